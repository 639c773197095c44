//! JSON as Go's `encoding/json` reads it.
//!
//! A Secret that the kubelet can read must be readable here, and no other, so its leniency counts: bytes that
//! are not UTF-8 and halves of surrogate pairs become U+FFFD, names are compared without regard to case, and
//! members may repeat. As in Go, the whole document is checked first, and then read without further errors.

use std::fmt;

mod syntax;

use syntax::Scanner;
pub use syntax::SyntaxError;

/// One value of a document whose syntax has been checked: its bytes, without white space around them.
#[derive(Clone, Copy)]
pub(super) struct Value<'a>(&'a [u8]);

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of JSON's own types")]
pub enum Kind {
    Boolean,
    List,
    Null,
    Number,
    Object,
    String,
}

// === impl Value ===

impl<'a> Value<'a> {
    /// Checks that a text is exactly one JSON document.
    pub(super) fn parse(text: &'a [u8]) -> Result<Self, SyntaxError> {
        Scanner::new(text).document()?;
        Ok(Self(text.trim_ascii()))
    }

    pub(super) fn kind(self) -> Kind {
        match self.0.first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::List,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Boolean,
            Some(b'n') => Kind::Null,
            _ => Kind::Number,
        }
    }

    /// The text of a string; none where the value is `null`, which Go takes for absent.
    pub(super) fn text(self) -> Result<Option<String>, Kind> {
        match self.kind() {
            Kind::String => Ok(Some(unquote(self.0))),
            Kind::Null => Ok(None),
            other => Err(other),
        }
    }

    /// The members of an object, in order; none where the value is `null`, which Go takes for absent.
    pub(super) fn members(self) -> Result<Option<Members<'a>>, Kind> {
        match self.kind() {
            Kind::Object => Ok(Some(Members { rest: self.0.get(1..).unwrap_or_default() })),
            Kind::Null => Ok(None),
            other => Err(other),
        }
    }
}

/// The members of an object, in the order in which they are written.
pub(super) struct Members<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Members<'a> {
    type Item = (String, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let [name, value] = [self.take(), self.take()];
        Some((unquote(name?), Value(value?)))
    }
}

impl<'a> Members<'a> {
    /// Takes the next name or value and the punctuation before it. None at the end of the object.
    fn take(&mut self) -> Option<&'a [u8]> {
        let is_between = |byte: &u8| matches!(byte, b',' | b':' | b' ' | b'\t' | b'\r' | b'\n');
        let start = self.rest.iter().position(|byte| !is_between(byte))?;
        let rest = self.rest.get(start..)?;
        let (taken, rest) = rest.split_at_checked(length(rest))?;
        self.rest = rest;
        (!taken.is_empty()).then_some(taken)
    }
}

/// The length of the value at the front of checked text; 0 at a closing bracket.
fn length(text: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for (at, &byte) in text.iter().enumerate() {
        if in_string {
            (in_string, escaped) = (escaped || byte != b'"', !escaped && byte == b'\\');
            if !in_string && depth == 0 {
                return at + 1;
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth > 1 => depth -= 1,
            b'}' | b']' => return at + depth,
            b',' | b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

/// The text of a checked string, which has its quotes.
fn unquote(quoted: &[u8]) -> String {
    let mut text = String::with_capacity(quoted.len());
    let mut rest = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    while let Some(backslash) = rest.iter().position(|&byte| byte == b'\\') {
        let (plain, escape) = rest.split_at(backslash);
        push_bytes(&mut text, plain);
        rest = match escape.get(1) {
            Some(b'u') => push_unicode(&mut text, escape),
            Some(&byte) => {
                text.push(match byte {
                    b'b' => '\u{8}',
                    b'f' => '\u{c}',
                    b'n' => '\n',
                    b'r' => '\r',
                    b't' => '\t',
                    other => char::from(other),
                });
                escape.get(2..).unwrap_or_default()
            }
            None => &[],
        };
    }
    push_bytes(&mut text, rest);
    text
}

/// Appends bytes, with U+FFFD for each that is not UTF-8.
fn push_bytes(text: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
}

/// Appends what `\uXXXX` at the front stands for, or such a pair of surrogates. Returns what is behind it.
fn push_unicode<'a>(text: &mut String, escape: &'a [u8]) -> &'a [u8] {
    let unit = |escape: &[u8]| {
        let digits = str::from_utf8(escape.strip_prefix(b"\\u")?.get(..4)?).ok()?;
        u16::from_str_radix(digits, 16).ok()
    };
    let behind = escape.get(6..).unwrap_or_default();
    let units = unit(escape).into_iter().chain(unit(behind));
    // Only the first is asked for: with the second, if both together are one character.
    let first = char::decode_utf16(units).next().and_then(Result::ok);
    text.push(first.unwrap_or(char::REPLACEMENT_CHARACTER));
    if first.is_some_and(|char| char.len_utf16() == 2) {
        behind.get(6..).unwrap_or_default()
    } else {
        behind
    }
}

/// Whether a member's name is the one of an ASCII field, under Unicode's simple case folding.
pub(super) fn is_named(member: &str, field: &str) -> bool {
    // The only characters outside ASCII that fold to a letter in it.
    let fold = |char| match char {
        'ſ' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    member.chars().map(fold).eq(field.chars().map(fold))
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "a boolean",
            Self::List => "a list",
            Self::Null => "null",
            Self::Number => "a number",
            Self::Object => "an object",
            Self::String => "a string",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answers are those of Go 1.26.
    #[test]
    fn strings_are_mended_as_go_mends_them() {
        for (json, text) in [
            (br#""\ud83d\ude00""#.as_slice(), "\u{1f600}"),
            (br#""\ud83d""#, "\u{fffd}"),
            (br#""\ud83dx""#, "\u{fffd}x"),
            (br#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (br#""\ude00\ud83d""#, "\u{fffd}\u{fffd}"),
            (b"\"\xe2\x82\"", "\u{fffd}\u{fffd}"),
            (b"\"\xed\xa0\x80\"", "\u{fffd}\u{fffd}\u{fffd}"),
            (br#""\b\f\/\\\"""#, "\u{8}\u{c}/\\\""),
        ] {
            assert_eq!(Value::parse(json).expect("JSON").text(), Ok(Some(text.to_owned())));
        }
    }

    #[test]
    fn names_fold_as_unicode_has_it() {
        assert!(is_named("AUTHS", "auths"));
        assert!(is_named("auth\u{17f}", "auths"));
        assert!(!is_named("auths ", "auths"));
    }
}
