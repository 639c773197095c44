//! Go's `path/filepath.Match` on one label of a host.

/// Whether the whole of `text`, which is ASCII, matches `pattern`: `*` is any text, `[…]` one of a class.
///
/// Go also knows `?`, `\` and `[^…]`. None of them can come here, because Go's URL parser lets none of these
/// characters into a host, escaped or not.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // Where to go on if what follows the last star does not fit: with one more byte under the star.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        let step = match (pattern.split_first(), text.split_first()) {
            (None, None) => return true,
            (Some((b'*', behind)), _) => {
                retry = Some((behind, text));
                Some((behind, text))
            }
            (Some((b'[', class)), Some((byte, text))) => match take_class(class, *byte) {
                None => return false,
                Some((is_member, behind)) => is_member.then_some((behind, text)),
            },
            (Some((want, behind)), Some((byte, text))) if want == byte => Some((behind, text)),
            _ => None,
        };
        let next = step.or_else(|| {
            let (behind_star, from) = retry?;
            let from = from.get(1..)?;
            retry = Some((behind_star, from));
            retry
        });
        match next {
            Some(next) => (pattern, text) = next,
            None => return false,
        }
    }
}

/// Takes a class, whose opening bracket is gone. Gives whether the byte is in it, and what follows the class.
/// None where the class has no end or a range without one of its ends: then nothing matches.
fn take_class(pattern: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let byte = char::from(byte);
    let mut is_member = false;
    let mut is_first = true;
    let mut rest = pattern;
    loop {
        if let (false, Some(behind)) = (is_first, rest.strip_prefix(b"]")) {
            return Some((is_member, behind));
        }
        let (low, behind) = take_bound(rest)?;
        let (high, behind) = match behind.strip_prefix(b"-") {
            Some(behind) => take_bound(behind)?,
            None => (low, behind),
        };
        is_member |= (low..=high).contains(&byte);
        is_first = false;
        rest = behind;
    }
}

fn take_bound(pattern: &[u8]) -> Option<(char, &[u8])> {
    let char = pattern.utf8_chunks().next()?.valid().chars().next()?;
    let is_bound = !matches!(char, '-' | ']');
    is_bound.then_some((char, pattern.get(char.len_utf8()..)?))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_and_classes() {
        for (pattern, text, is_match) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXbX", false),
            ("*ab", "aab", true),
            ("[::1]", ":", true),
            ("[::1]", "[::1]", false),
            ("[1:%a-c]", "b", true),
            ("[1:%*]", "*", true),
            ("*[1:]", "ab1", true),
            ("[1:", ":", false),
            ("[1:%-]", ":", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), is_match, "{pattern} {text}");
        }
    }
}
