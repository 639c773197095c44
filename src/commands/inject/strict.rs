//! Whether other readers take a text, too: what is written must not be read by us alone.
//!
//! The parser that reads manifests follows YAML 1.2 and takes forms that others do not. kubectl's decoder and `PyYAML`
//! descend from libyaml, and `yaml_serde` reads with libyaml's own code, translated to Rust by machine.

use serde::de::{Deserialize, IgnoredAny};

/// Whether libyaml reads the text to its end.
pub(super) fn reads(text: &str) -> bool {
    // libyaml takes a byte order mark for the encoding's sign; the crate names the encoding itself, and the mark would count as a
    // column.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    yaml_serde::Deserializer::from_str(text)
        .all(|document| IgnoredAny::deserialize(document).is_ok())
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
        for text in [
            "",
            "a: 1\n",
            "\u{feff}a: [1, {b: c}]\r\n...\n",
            "\u{feff}---\na: 1\n--- {b: 2}",
            "{\"a\":\t1}",
            "a: |\n  b",
            "a: >\n  b\n   ",
        ] {
            assert!(reads(text), "{text}");
        }
        for text in ["a: 'b", "a: b: c", "- a\nb", "{ ? a : b, c: d }}", "a: 1\n--- *a"] {
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
