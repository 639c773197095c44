//! What `pullcred inject` writes.

use std::io::{self, Write};

use serde_json::Value;

use super::{diff::DiffWriter, patch::Change};
use crate::commands::manifests::{Document, Source};

/// What is written to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// The difference, as `diff -u` writes it.
    Diff,
    /// A line for each Pod or Pod template that would change.
    Findings,
    /// The manifests as JSON, one document a line.
    Json,
    /// The manifests as they are written, with what is missing added.
    Yaml,
}

/// Writes documents of one source after the other.
pub(super) struct Writer<'s> {
    stdout: &'s mut dyn Write,
    /// Whether no document of this source was written yet.
    is_first: bool,
    /// The last byte of the manifests written; none before the first.
    last: Option<u8>,
    diff: Option<DiffWriter>,
}

// === impl Writer ===

impl<'s> Writer<'s> {
    pub(super) fn new(stdout: &'s mut dyn Write) -> Self {
        Self { stdout, is_first: true, last: None, diff: None }
    }

    /// Says that what follows comes from `source`.
    pub(super) fn begin(&mut self, source: &Source) -> io::Result<()> {
        self.is_first = true;
        let diff = self.diff.replace(DiffWriter::new(&source.to_string()));
        diff.map_or(Ok(()), |diff| diff.finish(self.stdout))
    }

    /// Writes a document's text, as it became.
    pub(super) fn manifest(&mut self, text: &str) -> io::Result<()> {
        // The documents of a stream are marked off from each other, those of two streams perhaps not.
        if std::mem::take(&mut self.is_first) && self.last.is_some() && !begins_with_marker(text) {
            let end = if self.last == Some(b'\n') { "" } else { "\n" };
            writeln!(self.stdout, "{end}---")?;
        }
        self.last = text.bytes().last().or(self.last);
        self.stdout.write_all(text.as_bytes())
    }

    /// Writes how a document's text changed.
    pub(super) fn diff(&mut self, document: &Document, text: &str) -> io::Result<()> {
        match &mut self.diff {
            Some(diff) => diff.part(document.text(), text, self.stdout),
            None => Ok(()),
        }
    }

    /// Writes a document's value in a line, unless the document is empty.
    pub(super) fn json(&mut self, mut value: Value) -> io::Result<()> {
        if value.is_null() {
            return Ok(());
        }
        whole_numbers(&mut value);
        writeln!(self.stdout, "{value}")
    }

    /// Writes what would change.
    pub(super) fn finding(&mut self, place: &str, change: &Change) -> io::Result<()> {
        let Change { object, secrets, .. } = change;
        writeln!(self.stdout, "{place}: {object} lacks {}", secrets.join(", "))
    }

    /// Writes what is left.
    pub(super) fn finish(self) -> io::Result<()> {
        if let Some(diff) = self.diff {
            diff.finish(self.stdout)?;
        }
        self.stdout.flush()
    }
}

fn begins_with_marker(text: &str) -> bool {
    let is_content = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    text.lines().find(is_content).is_some_and(|line| line.starts_with("---"))
}

/// Writes `1e3` and `1.0` as integers, as kubectl does: the API server takes no `1.0` for a port or a count.
fn whole_numbers(value: &mut Value) {
    /// Beyond it not every integer is a float (2^53).
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Array(entries) => entries.iter_mut().for_each(whole_numbers),
        Value::Object(members) => members.values_mut().for_each(whole_numbers),
        Value::Number(number) if number.is_f64() => {
            let whole = number.as_f64().filter(|it| it.fract() == 0.0 && it.abs() < EXACT);
            // The digits before the point are the integer: a cast could lose some.
            let integer = whole.and_then(|it| format!("{it:.0}").parse::<i64>().ok());
            if let Some(integer) = integer {
                *value = integer.into();
            }
        }
        _ => {}
    }
}
