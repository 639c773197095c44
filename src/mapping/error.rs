//! What is wrong with a mapping file: where, what, and what to write instead.

use std::fmt;

/// The most characters of a file's line that a message repeats.
const SNIPPET_MAX: usize = 100;

/// What is wrong with the text of a mapping file. At least one [`Problem`], in the order of the file.
///
/// `{}` shows each on a line of its own, as `line 4, column 18: …`; `{:#}` also shows where in the text it is.
/// The error does not know the name of the file: the caller adds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingError {
    first: Box<Problem>,
    others: Vec<Problem>,
    omitted: usize,
}

/// One thing that is wrong with the text of a mapping file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    place: Place,
    message: String,
    snippet: Option<Snippet>,
}

/// A position in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Characters before it in the text.
    pub(super) offset: usize,
    /// Its length in characters; 0 for a point between two characters.
    pub(super) length: usize,
    /// Counted from 1.
    pub(super) line: u32,
    /// In characters, counted from 1.
    pub(super) column: u32,
}

/// The part of a line that a problem is about, and the text before it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Snippet {
    text: String,
    /// Where the marked characters begin in `text`, and how many there are.
    mark: (usize, usize),
}

// === impl MappingError ===

impl MappingError {
    /// These problems, in the order of the file, and the number of further ones, `omitted`; `None` without problems.
    pub(super) fn of(mut problems: Vec<Problem>, omitted: usize) -> Option<Self> {
        problems.sort_by_key(|problem| problem.place);
        // The line of another problem may contain text that must not be shown.
        if problems.iter().any(|problem| problem.snippet.is_none()) {
            for problem in &mut problems {
                problem.snippet = None;
            }
        }
        let mut problems = problems.into_iter();
        Some(Self { first: Box::new(problems.next()?), others: problems.collect(), omitted })
    }

    /// The line of the first problem, counted from 1.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.first.line()
    }

    /// The column of the first problem in characters, counted from 1.
    #[must_use]
    pub fn column(&self) -> u32 {
        self.first.column()
    }

    /// The first problem: what is wrong, and what to write instead.
    #[must_use]
    pub fn message(&self) -> &str {
        self.first.message()
    }

    /// The listed problems, in the order of the file.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        std::iter::once(&*self.first).chain(&self.others)
    }

    /// The number of further problems, which the error does not list.
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.omitted
    }
}

impl From<Problem> for MappingError {
    fn from(first: Problem) -> Self {
        Self { first: Box::new(first), others: Vec::new(), omitted: 0 }
    }
}

impl std::error::Error for MappingError {}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(f)?;
        for problem in &self.others {
            f.write_str("\n")?;
            problem.fmt(f)?;
        }
        match self.omitted {
            0 => Ok(()),
            omitted => write!(f, "\nand {omitted} more"),
        }
    }
}

// === impl Problem ===

impl Problem {
    /// A problem with the text at `place`, which is shown.
    pub(super) fn new(text: &str, place: Place, message: String) -> Self {
        let credential = place.of(text).contains('@');
        Self { place, message, snippet: (!credential).then(|| Snippet::cut(text, place)) }
    }

    /// A problem without a snippet: the text may contain a credential, or the problem has no text.
    pub(super) fn unshown(place: Place, message: String) -> Self {
        Self { place, message, snippet: None }
    }

    /// The line, counted from 1.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.place.line
    }

    /// The column in characters, counted from 1.
    #[must_use]
    pub fn column(&self) -> u32 {
        self.place.column
    }

    /// What is wrong, and what to write instead.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column, .. } = self.place;
        write!(f, "line {line}, column {column}: {}", self.message)?;
        let Some(Snippet { text, mark: (before, marked) }) =
            self.snippet.as_ref().filter(|_| f.alternate())
        else {
            return Ok(());
        };
        let line = line.to_string();
        let gutter = line.len();
        let carets = "^".repeat(*marked);
        write!(f, "\n{:gutter$} |\n{line} | {text}\n{:gutter$} | {:before$}{carets}", "", "", "")
    }
}

// === impl Place ===

impl Place {
    /// The very beginning, for what is wrong with the text as a whole.
    pub(super) const START: Self = Self { offset: 0, length: 0, line: 1, column: 1 };

    /// The text of the place, as far as it is on one line.
    pub(super) fn of<'t>(&self, text: &'t str) -> &'t str {
        let (start, end) = (byte_of(text, self.offset), byte_of(text, self.offset + self.length));
        let text = &text[start..end];
        &text[..text.find(LINE_ENDS).unwrap_or(text.len())]
    }

    /// The place with the rest of its word, or at least one character, so that carets can mark it.
    pub(super) fn word(self, text: &str) -> Self {
        let rest = &text[byte_of(text, self.offset)..];
        let in_word = |c: &char| c.is_alphanumeric() || "*._-/".contains(*c);
        Self { length: rest.chars().take_while(in_word).count().max(self.length).max(1), ..self }
    }
}

const LINE_ENDS: [char; 2] = ['\n', '\r'];

/// The byte at which the character of this index begins, or the end of the text.
fn byte_of(text: &str, character: usize) -> usize {
    text.char_indices().nth(character).map_or(text.len(), |(byte, _)| byte)
}

// === impl Snippet ===

impl Snippet {
    /// Shows no text behind the place, and no text before an `@`: a credential that a user writes into a mapping by mistake,
    /// as `password: …` or `user:…@quay.io`, must not appear in a log.
    fn cut(text: &str, place: Place) -> Self {
        let start = byte_of(text, place.offset);
        let line_start = text[..start].rfind(LINE_ENDS).map_or(0, |end| end + 1);
        let marked = place.of(text);
        let behind = text[start + marked.len()..].chars().next();
        let cut = behind.is_some_and(|c| !LINE_ENDS.contains(&c));

        let mut shown: Vec<char> = Vec::new();
        let length = marked.chars().count().min(SNIPPET_MAX);
        let before: Vec<char> = text[line_start..start].chars().collect();
        let fitting = (before.len() + length).saturating_sub(SNIPPET_MAX).min(before.len());
        let skip = before.iter().rposition(|&c| c == '@').map_or(0, |at| at + 1).max(fitting);
        if skip > 0 {
            shown.push('…');
        }
        shown.extend(&before[skip..]);
        let begin = shown.len();
        shown.extend(marked.chars().take(length));
        if cut || length < marked.chars().count() {
            shown.push('…');
        }
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        Self { text: shown.into_iter().map(printable).collect(), mark: (begin, length.max(1)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snippet(text: &str, offset: usize, length: usize) -> Snippet {
        Snippet::cut(text, Place { offset, length, line: 1, column: 1 })
    }

    #[test]
    fn a_snippet_ends_with_what_it_marks() {
        let Snippet { text, mark } = snippet("a: 1\n  password: hunter2\n", 7, 8);
        assert_eq!((text.as_str(), mark), ("  password…", (2, 8)));
        let Snippet { text, mark } = snippet("é: 1\r\nb: ü\r\n", 9, 1);
        assert_eq!((text.as_str(), mark), ("b: ü", (3, 1)));
        let Snippet { text, mark } = snippet("a\tb", 2, 0);
        assert_eq!((text.as_str(), mark), ("a …", (2, 1)));
        let Snippet { text, mark } = snippet("[u:hunter2@quay.io, {a: b}]", 20, 1);
        assert_eq!((text.as_str(), mark), ("…quay.io, {…", (10, 1)));
        let Snippet { text, mark } = snippet("", 0, 0);
        assert_eq!((text.as_str(), mark), ("", (0, 1)));
        let Snippet { text, mark } = snippet("a", 7, 9);
        assert_eq!((text.as_str(), mark), ("a", (1, 1)));
    }

    #[test]
    fn a_snippet_of_a_long_line_is_short() {
        let text = "x".repeat(100_000);
        for (offset, length) in [(0, 100_000), (50_000, 3), (50_000, 50_000), (99_999, 1)] {
            let Snippet { text, mark } = snippet(&text, offset, length);
            assert!(text.chars().count() <= SNIPPET_MAX + 2);
            assert!(mark.0 + mark.1 <= SNIPPET_MAX + 2);
        }
    }

    #[test]
    fn problems_come_in_the_order_of_the_file() {
        let problem = |line| {
            Problem::unshown(
                Place { offset: line as usize, length: 0, line, column: 2 },
                format!("m{line}"),
            )
        };
        let error = MappingError::of(vec![problem(2), problem(1)], 1).unwrap();
        assert_eq!(error.to_string(), "line 1, column 2: m1\nline 2, column 2: m2\nand 1 more");
        assert_eq!((error.line(), error.column(), error.message()), (1, 2, "m1"));
        assert_eq!((error.problems().count(), error.omitted()), (2, 1));
        assert_eq!(MappingError::of(Vec::new(), 0), None);
    }
}
