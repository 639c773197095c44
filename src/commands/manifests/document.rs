//! One document of a stream: its text, and the value that the text stands for.

use std::rc::Rc;

use json_patch::jsonptr::Pointer;
use serde_json::Value;
use serde_saphyr::{DuplicateKeyPolicy, Error, Location, Options};

use super::{
    Problem,
    tree::{self, Node},
};
use crate::mapping::yaml_hint;

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
        self.value_and_repeated_keys().map(|(value, _)| value)
    }

    /// What the document stands for, and the lines of the stream with keys that stand in their mapping a second time. Of
    /// these the last one counts, as it does to kubectl.
    ///
    /// # Errors
    ///
    /// [`Problem::Yaml`], with line and column.
    pub fn value_and_repeated_keys(&self) -> Result<(Value, Vec<usize>), Problem> {
        let once = options(DuplicateKeyPolicy::Error);
        if let Ok(value) = serde_saphyr::from_str_with_options(&self.text, once) {
            return Ok((value, Vec::new()));
        }
        match read(&self.text) {
            Ok(value) => Ok((value, Places::new(self).repeated_keys())),
            Err(error) => {
                let place = error.location().unwrap_or(Location::UNKNOWN);
                let number = |number| usize::try_from(number).unwrap_or(usize::MAX);
                let line = number(place.line().saturating_sub(1));
                Err(Problem::Yaml {
                    line: self.line + line,
                    column: number(place.column().max(1)),
                    fault: fault(&error, self.text.lines().nth(line).unwrap_or_default()),
                })
            }
        }
    }
}

/// Where the values of a document stand.
pub(in crate::commands) struct Places<'d> {
    document: &'d Document,
    root: Option<Rc<Node>>,
    /// The places behind the line breaks of the text.
    line_starts: Vec<usize>,
}

// === impl Places ===

impl<'d> Places<'d> {
    /// The places of a document that has a value.
    pub(in crate::commands) fn new(document: &'d Document) -> Self {
        let breaks = document.text.match_indices('\n');
        let line_starts = breaks.map(|(at, _)| at + 1).collect();
        Self { document, root: tree::parse(&document.text).ok().flatten(), line_starts }
    }

    /// The line of the stream in which the value at `pointer` stands, or else the last one that is there on the way to
    /// it. That of the root is [`Document::content_line`].
    pub(in crate::commands) fn line_at(&self, pointer: &Pointer) -> usize {
        match &self.root {
            Some(root) if !pointer.is_root() => self.line(root.nearest(pointer)),
            _ => self.document.content_line(),
        }
    }

    fn repeated_keys(&self) -> Vec<usize> {
        let keys = self.root.as_ref().map(|root| root.repeated_keys());
        keys.into_iter().flatten().map(|key| self.line(key)).collect()
    }

    fn line(&self, node: &Node) -> usize {
        let above = self.line_starts.partition_point(|start| *start <= node.span.start);
        self.document.line + above
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
    serde_saphyr::from_str_with_options(text, options(DuplicateKeyPolicy::LastWins))
}

fn options(duplicate_keys: DuplicateKeyPolicy) -> Options {
    serde_saphyr::options! {
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
        duplicate_keys: duplicate_keys,
        emit_comments: false,
        legacy_octal_numbers: true,
        with_snippet: false,
    }
}

/// What is wrong in `line`, without text of the document other than a key's name.
fn fault(error: &Error, line: &str) -> String {
    match error {
        Error::WithSnippet { error, .. } | Error::AliasError { error, .. } => fault(error, line),
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
        _ if line.contains("{{") => {
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
    let hint = if message.contains("<document start>") {
        ": write a line with `---` between documents, and each one in JSON on lines of its own"
    } else {
        yaml_hint(message)
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
        assert_eq!(value("a: 1\nb: {c: 1, c: 2}\na: 3\n"), json!({"a": 3, "b": {"c": 2}}));
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
                "s: '{{ $x }}'\na:\n\tb: 1\n",
                "line 12, column 2: not valid YAML, tabs disallowed within this context (block indentation): indent with spaces",
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
    fn repeated_keys_and_values_have_their_lines() {
        let repeated =
            |text: &str| Document::new(text.to_owned(), 10).value_and_repeated_keys().unwrap().1;
        let text = "# c\na: {b: 1,\n  b: 2}\na: 3\nb: {<<: {c: 1}, <<: {d: 2}}\n";
        assert_eq!(repeated(text), [12, 13]);
        assert_eq!(repeated("a: {b: 1}\nb: 2"), [0; 0]);
        let text = "# c\na:\n- b\n- c: &x\n    d: 1\ne: *x\n";
        let document = Document::new(text.to_owned(), 10);
        let line = |pointer| Places::new(&document).line_at(Pointer::from_static(pointer));
        let lines = ["", "/a/1", "/a/1/c/d", "/e/d", "/e", "/a/0/none"].map(line);
        assert_eq!(lines, [11, 13, 14, 14, 15, 12]);
    }

    #[test]
    fn the_line_of_the_content_is_behind_comments() {
        let line = |text: &str| Document::new(text.to_owned(), 10).content_line();
        assert_eq!(line("---\n# Source: chart/x.yaml\napiVersion: v1\n"), 12);
        assert_eq!(line("--- {}\n"), 10);
        assert_eq!(line(""), 10);
    }
}
