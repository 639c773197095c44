//! One document of a stream: its text, and the value that the text stands for.

use serde_json::Value;
use serde_saphyr::{Error, Location};

use super::Problem;

/// The most nodes that aliases may stand for: enough to name things once, too few for a bomb.
const ALIASED_MAX: usize = 1_000_000;

/// The deepest nesting. Kubernetes' own schema for custom resources is the deepest that people write, at about 60.
const DEPTH_MAX: usize = 200;

/// One document, as it is written.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    text: String,
    line: usize,
}

// === impl Document ===

impl Document {
    pub(super) fn new(text: String, line: usize) -> Self {
        Self { text, line }
    }

    /// Every byte of the document, markers and comments included.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The line of the stream in which the text begins, counted from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// The line of the stream in which the first text that is no comment or marker stands, counted from 1.
    #[must_use]
    pub fn content_line(&self) -> usize {
        let is_content = |line: &str| {
            let line = line.strip_prefix("---").unwrap_or(line).trim_start();
            !line.is_empty() && !line.starts_with('#')
        };
        self.line + self.text.lines().position(is_content).unwrap_or_default()
    }

    /// What the document stands for; `null` where it is empty.
    ///
    /// # Errors
    ///
    /// [`Problem::Yaml`], with line and column.
    pub fn value(&self) -> Result<Value, Problem> {
        read(&self.text).map_err(|error| {
            let place = error.location().unwrap_or(Location::UNKNOWN);
            let number = |number| usize::try_from(number).unwrap_or(usize::MAX);
            Problem::Yaml {
                line: self.line + number(place.line().saturating_sub(1)),
                column: number(place.column().max(1)),
                fault: fault(&error, &self.text),
            }
        })
    }
}

/// Nothing of the text: it may be a Secret's.
impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Document")
            .field("line", &self.line)
            .field("length", &self.text.len())
            .finish_non_exhaustive()
    }
}

/// Reads the text of one document the way `kubectl` does, where YAML 1.1 and 1.2 differ.
pub(in crate::commands) fn read(text: &str) -> Result<Value, Error> {
    let options = serde_saphyr::options! {
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: ALIASED_MAX },
        // A List may be as large as memory allows: what bounds it is the text, which is there already.
        budget: serde_saphyr::budget! {
            enforce_alias_anchor_ratio: false,
            max_aliases: usize::MAX,
            max_anchors: usize::MAX,
            max_depth: DEPTH_MAX,
            max_events: usize::MAX,
            max_merge_keys: usize::MAX,
            max_nodes: usize::MAX,
            max_recorded_anchor_bytes: usize::MAX,
            max_recorded_anchor_events: usize::MAX,
            max_total_scalar_bytes: usize::MAX,
        },
        emit_comments: false,
        legacy_octal_numbers: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options)
}

/// What is wrong, without text of the document other than a key's name.
fn fault(error: &Error, text: &str) -> String {
    match error {
        Error::WithSnippet { error, .. } | Error::AliasError { error, .. } => fault(error, text),
        Error::DuplicateMappingKey { .. } => {
            "this key stands here a second time: keep one of the two".to_owned()
        }
        Error::UnknownAnchor { .. } => {
            "an alias without its anchor: write text that begins with `*` in quotes".to_owned()
        }
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            "its aliases stand for too much text: write them out".to_owned()
        }
        Error::Budget { .. } => "it is nested too deeply for a manifest".to_owned(),
        Error::MultipleDocuments { .. } => {
            "a second document begins here: write a line with `---` before it".to_owned()
        }
        _ if text.contains("{{") => {
            "not valid YAML, and it has `{{` in it: render the template first, as in `helm template …`"
                .to_owned()
        }
        // The parser's own words, which quote a character at most.
        Error::ExternalMessage { msg, .. } => not_yaml(msg),
        _ => "not valid YAML: this value cannot be read as what it looks like".to_owned(),
    }
}

/// A message of the YAML parser, with what to do.
fn not_yaml(message: &str) -> String {
    let hint = if message.contains("tab") {
        ": indent with spaces"
    } else if message.contains("block") || message.contains("indent") {
        ": compare the indentation with the lines above"
    } else if message.contains("<document start>") {
        ": write a line with `---` between documents, and each one in JSON on lines of its own"
    } else if message.contains("illegal placement") {
        ": a bracket or quote above may still be open"
    } else {
        ""
    };
    format!("not valid YAML, {message}{hint}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(text: &str) -> Value {
        Document::new(text.to_owned(), 1).value().unwrap()
    }

    fn refused(text: &str) -> String {
        Document::new(text.to_owned(), 10).value().unwrap_err().to_string()
    }

    /// The answers of `YAMLToJSON` of sigs.k8s.io/yaml v1.6.0, which kubectl and the API server read YAML with.
    #[test]
    fn scalars_mean_what_kubectl_takes_them_for() {
        for (yaml, expected) in [
            ("y", json!(true)),
            ("N", json!(false)),
            ("yes", json!(true)),
            ("Off", json!(false)),
            ("True", json!(true)),
            ("~", json!(null)),
            ("NULL", json!(null)),
            ("0644", json!(420)),
            ("0o644", json!(420)),
            ("08", json!(8.0)),
            ("0x1F", json!(31)),
            ("0b101", json!(5)),
            ("1_000", json!(1000)),
            ("1e3", json!(1000.0)),
            ("1e", json!("1e")),
            (".5", json!(0.5)),
            ("+1", json!(1)),
            ("-0", json!(0)),
            ("190:20:30", json!("190:20:30")),
            ("2026-11-24", json!("2026-11-24")),
            ("12345678901234567890", json!(12_345_678_901_234_567_890_u64)),
            ("=", json!("=")),
            ("'1'", json!("1")),
            ("!!str 1", json!("1")),
            ("!!int \"1\"", json!(1)),
            ("!!binary aGk=", json!("hi")),
        ] {
            assert_eq!(value(&format!("v: {yaml}\n")), json!({"v": expected}), "{yaml}");
        }
    }

    #[test]
    fn documents_mean_what_kubectl_takes_them_for() {
        assert_eq!(value("# nothing\n---\n"), Value::Null);
        assert_eq!(value(""), Value::Null);
        assert_eq!(value("\u{feff}a: 1\n"), json!({"a": 1}));
        assert_eq!(value("{\"a\": \"\\u00e9\\/\", \"b\":\t[1.5]}"), json!({"a": "é/", "b": [1.5]}));
        assert_eq!(
            value("a: &x {b: 1}\nc: {<<: *x, d: 2}"),
            json!({"a": {"b": 1}, "c": {"b": 1, "d": 2}})
        );
        assert_eq!(value("1: a\ntrue: b"), json!({"1": "a", "true": "b"}));
    }

    #[test]
    fn errors_have_the_line_of_the_stream() {
        for (text, message) in [
            (
                "a: 1\n\tb: 2\n",
                "line 10, column 4: not valid YAML, while scanning a plain scalar, found a tab: indent with spaces",
            ),
            (
                "a: 1\na: 2\n",
                "line 11, column 1: this key stands here a second time: keep one of the two",
            ),
            (
                "a: *hunter2\n",
                "line 10, column 4: an alias without its anchor: write text that begins with `*` in quotes",
            ),
            (
                "a: !!int hunter2\n",
                "line 10, column 10: not valid YAML: this value cannot be read as what it looks like",
            ),
            (
                "image: {{ .Values.image }}:{{ .Values.tag }}\n",
                "line 10, column 9: not valid YAML, and it has `{{` in it: render the template first, as in `helm template …`",
            ),
            (
                "a:\n  b: 1\n c: 2\n",
                "line 12, column 2: not valid YAML, while parsing a block mapping, did not find expected key: compare the indentation with the lines above",
            ),
            (
                "{\"a\": 1}{\"a\": 2}\n",
                "line 10, column 9: not valid YAML, did not find expected <document start>: write a line with `---` between documents, and each one in JSON on lines of its own",
            ),
            (
                "a: [1, 2\nb: 1\n",
                "line 11, column 2: not valid YAML, illegal placement of ':' indicator: a bracket or quote above may still be open",
            ),
        ] {
            assert_eq!(refused(text), message);
        }
    }

    #[test]
    fn the_line_of_the_content_is_behind_comments() {
        let line = |text: &str| Document::new(text.to_owned(), 10).content_line();
        assert_eq!(line("---\n# Source: chart/x.yaml\napiVersion: v1\n"), 12);
        assert_eq!(line("--- {}\n"), 10);
        assert_eq!(line(""), 10);
    }
}
