//! New values as YAML.

use serde_json::Value;

use crate::commands::manifests::read;

/// How texts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quotes {
    /// In quotes, always.
    Json,
    /// Plain, where that is the same text to a YAML reader.
    Yaml,
}

/// A value in one line, in flow style.
pub(super) fn flow(value: &Value, quotes: Quotes) -> String {
    match value {
        Value::Array(entries) => {
            let entries: Vec<_> = entries.iter().map(|entry| flow(entry, quotes)).collect();
            format!("[{}]", entries.join(", "))
        }
        Value::Object(members) => {
            let members: Vec<_> =
                members.iter().map(|(name, value)| member(name, value, quotes)).collect();
            format!("{{{}}}", members.join(", "))
        }
        Value::String(text) => scalar(text, quotes),
        other => other.to_string(),
    }
}

/// A name and its value in one line, in flow style.
pub(super) fn member(name: &str, value: &Value, quotes: Quotes) -> String {
    format!("{}: {}", scalar(name, quotes), flow(value, quotes))
}

/// The entries of a list, each on a line of its own behind a dash.
pub(super) fn entries(indent: &str, value: &Value) -> Vec<String> {
    let entries = value.as_array().map(Vec::as_slice).unwrap_or_default();
    entries.iter().map(|value| entry(indent, value)).collect()
}

/// One entry of a list, behind a dash.
pub(super) fn entry(indent: &str, value: &Value) -> String {
    match value {
        Value::Object(members) if members.len() == 1 => {
            let members = members.iter().map(|(name, value)| member(name, value, Quotes::Yaml));
            format!("{indent}- {}", members.collect::<String>())
        }
        _ => format!("{indent}- {}", flow(value, Quotes::Yaml)),
    }
}

fn scalar(text: &str, quotes: Quotes) -> String {
    if quotes == Quotes::Yaml && is_plain(text) {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

/// Whether every YAML reader takes the bare text for text.
///
/// What begins with a digit may be a number or a date, in YAML 1.1 also in base 60. Of what begins with a letter, a
/// few words are something else, and `y` and `n` only to some readers.
fn is_plain(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
        && !matches!(text, "y" | "n" | "Y" | "N")
        && read(text).is_ok_and(|value| value == text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_that_are_numbers_get_quotes() {
        let list = json!([{"name": "ghcr"}, {"name": "1e3"}, {"name": "null"}, {"name": "on"}, {"name": "y"}, {"name": "2026-11-24"}]);
        let yaml = r#"[{name: ghcr}, {name: "1e3"}, {name: "null"}, {name: "on"}, {name: "y"}, {name: "2026-11-24"}]"#;
        assert_eq!(flow(&list, Quotes::Yaml), yaml);
        assert_eq!(read(yaml).unwrap(), list);
        assert_eq!(flow(&json!([{"name": "a"}]), Quotes::Json), r#"[{"name": "a"}]"#);
        assert_eq!(entries("  ", &json!([{"name": "a"}, "b"])), ["  - name: a", "  - b"]);
    }
}
