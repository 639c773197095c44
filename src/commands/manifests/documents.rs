//! A stream of manifests to its documents.

use std::io::{self, BufRead};

use super::{
    Document, ManifestError, Problem, Source,
    json_end::{JsonEnd, State},
};

/// The byte order mark, in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The documents of a stream, one after the other, each with every byte that belongs to it.
///
/// A document ends before a line that begins with `---`, behind a line that begins with `...`, and behind the last
/// bracket of a JSON document. In YAML these markers cannot be part of any text (YAML 1.2.2, `c-forbidden`), so no
/// parser is needed to find them. Joined, the documents are the stream again, but for byte order marks: kubectl takes one
/// at the start of any document, and only that of the stream is kept.
#[derive(Debug)]
pub struct Documents<R> {
    source: Source,
    reader: R,
    /// The lines that were read so far.
    lines: usize,
    /// The first line of the next document.
    next: Vec<u8>,
    ended: bool,
}

/// What stands in a document so far.
#[derive(Debug, Default)]
enum Content {
    /// Blank lines and comments.
    #[default]
    Nothing,
    /// `%YAML` or `%TAG`: the next `---` belongs to it.
    Directives,
    /// Text that begins like JSON.
    Json(JsonEnd),
    /// Anything else, or a `---`.
    Yaml,
}

/// How a line goes on with a document.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// It belongs to the document.
    Continue,
    /// It belongs to the document and ends it.
    Last,
    /// It begins the next document.
    Next,
}

// === impl Documents ===

impl<R: BufRead> Documents<R> {
    /// The documents that `reader` gives, which is `source` to a person.
    pub fn new(source: Source, reader: R) -> Self {
        Self { source, reader, lines: 0, next: Vec::new(), ended: false }
    }

    /// Where the documents come from.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The error of a problem in this stream.
    #[must_use]
    pub fn error(&self, problem: Problem) -> ManifestError {
        ManifestError::new(&self.source, problem)
    }

    fn read(&mut self) -> Result<Option<Document>, Problem> {
        let mut bytes = std::mem::take(&mut self.next);
        let first_line = if bytes.is_empty() { self.lines + 1 } else { self.lines };
        let mut content = Content::default();
        let mut is_last = content.step(&bytes) == Step::Last;
        let mut starts = is_start(&bytes);
        while !is_last {
            let start = bytes.len();
            if self.read_line(&mut bytes)? == 0 {
                break;
            }
            if starts && self.lines > 1 && bytes.get(start..).is_some_and(|it| it.starts_with(MARK))
            {
                bytes.drain(start..start + MARK.len());
            }
            starts = is_start(bytes.get(start..).unwrap_or_default());
            match content.step(bytes.get(start..).unwrap_or_default()) {
                Step::Continue => {}
                Step::Last => is_last = true,
                Step::Next => {
                    self.next = bytes.split_off(start);
                    if self.next.starts_with(MARK) {
                        self.next.drain(..MARK.len());
                    }
                    break;
                }
            }
        }
        if bytes.is_empty() && self.next.is_empty() {
            return Ok(None);
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(Document::new(text, first_line))),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let before = error.as_bytes().iter().take(valid);
                let line = first_line + before.filter(|&&byte| byte == b'\n').count();
                Err(Problem::Utf8 { line })
            }
        }
    }

    /// Appends the next line, and says how long it is.
    fn read_line(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        let length = self.reader.read_until(b'\n', bytes)?;
        self.lines += usize::from(length > 0);
        Ok(length)
    }
}

impl<R: BufRead> Iterator for Documents<R> {
    type Item = Result<Document, ManifestError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let document = self.read().transpose()?;
        self.ended = document.is_err();
        Some(document.map_err(|problem| self.error(problem)))
    }
}

// === impl Content ===

impl Content {
    fn step(&mut self, line: &[u8]) -> Step {
        let line = line.strip_prefix(MARK).unwrap_or(line);
        if is_marker(line, b"---") {
            match self {
                Self::Json(_) | Self::Yaml => return Step::Next,
                // Comments in front belong to the document.
                Self::Nothing | Self::Directives => *self = Self::Yaml,
            }
            return self.start(line.get(3..).unwrap_or_default());
        }
        if is_marker(line, b"...") {
            return Step::Last;
        }
        match self {
            Self::Nothing | Self::Directives => self.start(line),
            Self::Json(end) => match end.line(line) {
                State::Open => Step::Continue,
                State::Closed => Step::Last,
                State::Yaml => {
                    *self = Self::Yaml;
                    Step::Continue
                }
            },
            Self::Yaml => Step::Continue,
        }
    }

    /// Takes the first text of a document.
    fn start(&mut self, text: &[u8]) -> Step {
        match text.trim_ascii_start().first() {
            None | Some(b'#') => {}
            Some(b'%') => *self = Self::Directives,
            Some(b'{') => {
                *self = Self::Json(JsonEnd::default());
                return self.step(text);
            }
            Some(_) => *self = Self::Yaml,
        }
        Step::Continue
    }
}

/// Whether a document can begin behind this line: it is `---`, or no line was read yet.
fn is_start(line: &[u8]) -> bool {
    let line = line.strip_prefix(MARK).unwrap_or(line).trim_ascii_end();
    line.is_empty() || line == b"---"
}

fn is_marker(line: &[u8], marker: &[u8]) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the text is, nothing of it is lost.
        #[test]
        fn any_text_is_its_documents(text in "(---|\\.\\.\\.|[-.{}\"'#%a: \r\n\u{feff}]){0,40}") {
            split(&text);
        }
    }

    /// The lines and texts of the documents of `text`, which are `text` again when joined.
    fn split(text: &str) -> Vec<(usize, String)> {
        let documents = Documents::new(Source::Stdin, text.as_bytes());
        let documents: Vec<_> =
            documents.map(Result::unwrap).map(|it| (it.line(), it.text().to_owned())).collect();
        let joined = documents.iter().map(|(_, text)| text.as_str()).collect::<String>();
        let without = |text: &str| text.replace('\u{feff}', "");
        assert_eq!(without(&joined), without(text));
        documents
    }

    fn texts(text: &str) -> Vec<String> {
        split(text).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn markers_end_a_document() {
        assert_eq!(texts(""), [""; 0]);
        assert_eq!(texts("a: 1\n"), ["a: 1\n"]);
        assert_eq!(texts("a: 1\n---\nb: 2"), ["a: 1\n", "---\nb: 2"]);
        assert_eq!(texts("---\r\na: 1\r\n---\r\n"), ["---\r\na: 1\r\n", "---\r\n"]);
        assert_eq!(texts("--- # one\na: 1\n--- {b: 2}\n"), ["--- # one\na: 1\n", "--- {b: 2}\n"]);
        assert_eq!(texts("a: |\n ---\n b\n----\n"), ["a: |\n ---\n b\n----\n"]);
        assert_eq!(texts("a: 1\n...\n\n# b\nb: 2\n"), ["a: 1\n...\n", "\n# b\nb: 2\n"]);
        assert_eq!(texts("# head\n\n---\na: 1\n"), ["# head\n\n---\na: 1\n"]);
        assert_eq!(texts("---\n---\n"), ["---\n", "---\n"]);
        assert_eq!(
            texts("\u{feff}a: 1\n---\n\u{feff}b: 2\n\u{feff}---\r\n\u{feff}c: '\u{feff}'\n{}\n"),
            ["\u{feff}a: 1\n", "---\nb: 2\n", "---\r\nc: '\u{feff}'\n{}\n"]
        );
        assert_eq!(
            texts("%YAML 1.2\n---\na: 1\n...\n%YAML 1.2\n---\nb: 2\n"),
            ["%YAML 1.2\n---\na: 1\n...\n", "%YAML 1.2\n---\nb: 2\n"]
        );
    }

    #[test]
    fn json_documents_need_no_marker() {
        assert_eq!(texts("{}\n{}\n"), ["{}\n", "{}\n"]);
        assert_eq!(texts("{\n}\n\n{\"a\": \"{\"}\n"), ["{\n}\n", "\n{\"a\": \"{\"}\n"]);
        assert_eq!(texts("{}\n---\na: 1\n"), ["{}\n", "---\na: 1\n"]);
        assert_eq!(texts("{a: '}'\n}\n"), ["{a: '}'\n}\n"]);
    }

    #[test]
    fn a_document_knows_its_line() {
        let lines = |text| split(text).into_iter().map(|(line, _)| line).collect::<Vec<_>>();
        assert_eq!(lines("a: 1\n---\nb: 2\n---\nc: 3\n"), [1, 2, 4]);
        assert_eq!(lines("{}\n{}\n\n{}\n"), [1, 2, 3]);
        assert_eq!(lines("a: 1\n...\nb: 2\n"), [1, 3]);
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_with_their_line() {
        let mut documents = Documents::new(Source::Stdin, b"a: 1\n---\nb: 2\nc: \xff\n".as_slice());
        assert!(documents.next().unwrap().is_ok());
        let error = documents.next().unwrap().unwrap_err();
        assert_eq!(
            error.to_string(),
            "standard input: line 4: not UTF-8 text: save the file as UTF-8"
        );
        assert!(documents.next().is_none());
    }
}
