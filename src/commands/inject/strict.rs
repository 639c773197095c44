//! Whether other readers take a text, too: what is written must not be read by us alone.
//!
//! The parser that reads manifests follows YAML 1.2 and takes forms that others do not. kubectl's decoder and `PyYAML`
//! descend from libyaml, of which `libyaml-safer` is a port line by line.

use std::borrow::Cow;

use libyaml_safer::{EventData, Parser};
use serde::de::IgnoredAny;

/// Whether libyaml reads the text to its end.
pub(super) fn reads(text: &str) -> bool {
    let text = with_space_after_tags(text);
    let mut bytes = text.as_bytes();
    let mut parser = Parser::new();
    parser.set_input_string(&mut bytes);
    loop {
        match parser.parse() {
            Ok(event) if matches!(event.data, EventData::StreamEnd) => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

/// The text with a space between a tag and a comma. libyaml reads both alike, and its port panics where the space is missing.
/// Elsewhere the space changes nothing but the content of a scalar.
fn with_space_after_tags(text: &str) -> Cow<'_, str> {
    if !text.contains('!') {
        return Cow::Borrowed(text);
    }
    let mut spaced = String::with_capacity(text.len());
    // A verbatim tag, `!<…>`, may have commas of its own.
    let (mut in_tag, mut in_verbatim) = (false, false);
    for character in text.chars() {
        match character {
            ',' if in_tag && !in_verbatim => spaced.push(' '),
            '<' if in_tag => in_verbatim = true,
            '>' => in_verbatim = false,
            _ => {}
        }
        in_tag = match character {
            '!' => true,
            ',' => in_verbatim,
            '[' | ']' | '{' | '}' => false,
            _ => in_tag && !character.is_whitespace(),
        };
        in_verbatim &= in_tag;
        spaced.push(character);
    }
    Cow::Owned(spaced)
}

/// Whether the text is JSON, which kubectl reads as such.
pub(super) fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libyaml_does_not_read_is_refused() {
        for text in ["", "a: 1\n", "\u{feff}a: [1, {b: c}]\r\n...\n", "{\"a\":\t1}"] {
            assert!(reads(text), "{text}");
        }
        for text in ["a: 'b", "a: b: c", "- a\nb", "{ ? a : b, c: d }}"] {
            assert!(!reads(text), "{text}");
        }
        for text in
            ["[!, a]", "{a: !t,b: c}", "[!<tag:a,b>, c]", "[!<tag:a,b> x, !!str,c]", "a: Hi!, you"]
        {
            assert!(reads(text), "{text}");
        }
        assert!(!reads("a: !t, b"), "no flow");
        assert!(is_json(" {\"a\": 1}\n") && !is_json("{a: 1}"));
    }
}
