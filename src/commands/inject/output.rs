//! What `pullcred inject` writes: all of it in the end, or nothing.

use std::{
    fs,
    io::{self, Seek, Write},
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde_json::Value;
use similar::{Algorithm, TextDiff};
use tempfile::{NamedTempFile, SpooledTempFile, TempPath};

use crate::commands::manifests::{Document, Source};

/// How much output is kept in memory, in bytes; more goes to a file, until all input is known to be good.
const IN_MEMORY: usize = 4 * 1024 * 1024;

/// The byte order mark.
const MARK: char = '\u{feff}';

/// What is written, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// The manifests as they are written, with what is missing added
    Yaml,
    /// The manifests as JSON, one document a line
    Json,
    /// A unified diff
    Diff,
    /// A line for each Pod or Pod template that would change: the default of `--check`.
    #[value(skip)]
    Findings,
    /// The manifests, each to the file it comes from: `--in-place`.
    #[value(skip)]
    InPlace,
}

/// Keeps what is to be written of documents of one source after the other.
#[derive(Debug)]
pub(super) struct Writer {
    output: Output,
    kept: SpooledTempFile,
    /// Whether no document of this source was written yet.
    is_first: bool,
    /// The last byte of the manifests written; none before the first.
    last: Option<u8>,
    /// The texts of this source before and after, where the difference is to be written.
    old: String,
    new: String,
    /// Whether the text of this source changed.
    changed: bool,
    /// The new files, and what they replace.
    files: Vec<(TempPath, PathBuf)>,
}

// === impl Writer ===

impl Writer {
    pub(super) fn new(output: Output) -> Self {
        Self {
            output,
            kept: SpooledTempFile::new(IN_MEMORY),
            is_first: true,
            last: None,
            old: String::new(),
            new: String::new(),
            changed: false,
            files: Vec::new(),
        }
    }

    /// Takes a document's text, as it became.
    pub(super) fn text(&mut self, document: &Document, text: &str) -> io::Result<()> {
        self.changed |= document.text() != text;
        if self.output == Output::Diff {
            self.old.push_str(document.text());
            self.new.push_str(text);
            return Ok(());
        }
        // A mark is one only at the start of the stream.
        let text = if self.last.is_some() { text.trim_start_matches(MARK) } else { text };
        // The documents of a stream are marked off from each other, those of two streams perhaps not.
        if std::mem::take(&mut self.is_first) && self.last.is_some() && !begins_with_marker(text) {
            let end = if self.last == Some(b'\n') { "" } else { "\n" };
            writeln!(self.kept, "{end}---")?;
        }
        self.last = text.bytes().last().or(self.last);
        self.kept.write_all(text.as_bytes())
    }

    /// Takes a document's value, unless the document is empty.
    pub(super) fn json(&mut self, mut value: Value) -> io::Result<()> {
        if value.is_null() {
            return Ok(());
        }
        whole_numbers(&mut value);
        writeln!(self.kept, "{value}")
    }

    /// Takes a finding.
    pub(super) fn finding(&mut self, finding: &str) -> io::Result<()> {
        writeln!(self.kept, "{finding}")
    }

    /// Says that this was all of `source`.
    pub(super) fn end(&mut self, source: &Source) -> io::Result<()> {
        self.is_first = true;
        let changed = std::mem::take(&mut self.changed);
        match (self.output, source) {
            (Output::Diff, _) => self.diff(&source.to_string()),
            (Output::InPlace, Source::File(path)) => {
                if changed {
                    // Through a link, to the file that it names.
                    let path = fs::canonicalize(path)?;
                    self.kept.rewind()?;
                    self.files.push((beside(&path, &mut self.kept)?, path));
                }
                self.kept = SpooledTempFile::new(IN_MEMORY);
                self.last = None;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn diff(&mut self, name: &str) -> io::Result<()> {
        let (old, new) = (std::mem::take(&mut self.old), std::mem::take(&mut self.new));
        if old == new {
            return Ok(());
        }
        // Files differ by a few inserted lines, for which this algorithm reads each line once.
        let diff = TextDiff::configure().algorithm(Algorithm::Myers).diff_lines(&old, &new);
        diff.unified_diff().header(name, name).to_writer(&mut self.kept)
    }

    /// Writes all that was kept.
    pub(super) fn finish(mut self, stdout: &mut dyn Write) -> io::Result<()> {
        self.kept.rewind()?;
        io::copy(&mut self.kept, stdout)?;
        for (file, path) in self.files {
            file.persist(path)?;
        }
        stdout.flush()
    }
}

/// A new file with the permissions of `path`, in its folder, so that it can take its place in one step.
fn beside(path: &Path, content: &mut impl io::Read) -> io::Result<TempPath> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(folder)?;
    io::copy(content, &mut file)?;
    file.as_file().set_permissions(fs::metadata(path)?.permissions())?;
    file.as_file().sync_all()?;
    Ok(file.into_temp_path())
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
