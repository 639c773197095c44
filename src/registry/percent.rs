//! Percent-encoding, and forms made with it.

use zeroize::Zeroizing;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Percent-encoded, but for what RFC 3986 calls unreserved.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        push(&mut escaped, byte);
    }
    escaped
}

/// The pairs of a query or a form, percent-encoded. The text may hold a token and is overwritten when dropped.
pub(super) fn form(pairs: &[(&str, &str)]) -> Zeroizing<String> {
    // A byte takes at most three. The text must not grow, since that would leave copies in memory.
    let capacity = pairs.iter().map(|(name, value)| 3 * (name.len() + value.len()) + 2).sum();
    let mut form = Zeroizing::new(String::with_capacity(capacity));
    for (name, value) in pairs {
        if !form.is_empty() {
            form.push('&');
        }
        name.bytes().for_each(|byte| push(&mut form, byte));
        form.push('=');
        value.bytes().for_each(|byte| push(&mut form, byte));
    }
    form
}

fn push(text: &mut String, byte: u8) {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            text.push(char::from(byte));
        }
        other => {
            let digit = |half: u8| char::from(HEX[usize::from(half)]);
            text.extend(['%', digit(other >> 4), digit(other & 15)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_unreserved_is_escaped() {
        assert_eq!(escaped("a b/~é"), "a%20b%2F~%C3%A9");
        assert_eq!(*form(&[("a", "1 2"), ("b", "x=y&z")]), "a=1%202&b=x%3Dy%26z");
        assert_eq!(*form(&[]), "");
    }
}
