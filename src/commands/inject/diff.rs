//! A unified diff of a stream, written while the stream is read.

use std::{
    collections::VecDeque,
    io::{self, Write},
};

use similar::{Algorithm, ChangeTag, TextDiff};

/// How many lines that stay are shown around those that change.
const CONTEXT: usize = 3;

/// Writes the difference between two texts, of which it gets corresponding parts in order.
///
/// The context of a change may reach into the parts before and behind, as `patch` needs it.
#[derive(Debug)]
pub(super) struct DiffWriter {
    /// Written before the first hunk, and then empty.
    header: String,
    /// How many lines of each text are done.
    old: usize,
    new: usize,
    /// The last lines of both, while there is no hunk.
    before: VecDeque<String>,
    hunk: Option<Hunk>,
}

/// Lines that change, with those around them.
#[derive(Debug, Default)]
struct Hunk {
    old_start: usize,
    new_start: usize,
    lines: Vec<(ChangeTag, String)>,
    /// How many of `lines`, at their end, do not change.
    unchanged: usize,
}

// === impl DiffWriter ===

impl DiffWriter {
    /// A difference between versions of the file of this name.
    pub(super) fn new(name: &str) -> Self {
        let header = format!("--- {name}\n+++ {name}\n");
        Self { header, old: 0, new: 0, before: VecDeque::new(), hunk: None }
    }

    /// Takes the next part of both texts.
    pub(super) fn part(&mut self, old: &str, new: &str, out: &mut dyn Write) -> io::Result<()> {
        if old == new {
            return old.split_inclusive('\n').try_for_each(|line| self.unchanged(line, out));
        }
        // Documents differ by a few inserted lines, for which this algorithm looks at each line once.
        let diff = TextDiff::configure().algorithm(Algorithm::Myers).diff_lines(old, new);
        for change in diff.iter_all_changes() {
            match change.tag() {
                ChangeTag::Equal => self.unchanged(change.value(), out)?,
                tag => self.changed(tag, change.value()),
            }
        }
        Ok(())
    }

    /// Writes what is left.
    pub(super) fn finish(mut self, out: &mut dyn Write) -> io::Result<()> {
        self.close(out)
    }

    fn unchanged(&mut self, line: &str, out: &mut dyn Write) -> io::Result<()> {
        self.old += 1;
        self.new += 1;
        if let Some(hunk) = &mut self.hunk {
            hunk.lines.push((ChangeTag::Equal, line.to_owned()));
            hunk.unchanged += 1;
            // As many as a change further on could still need.
            if hunk.unchanged == 2 * CONTEXT {
                return self.close(out);
            }
            return Ok(());
        }
        if self.before.len() == CONTEXT {
            self.before.pop_front();
        }
        self.before.push_back(line.to_owned());
        Ok(())
    }

    fn changed(&mut self, tag: ChangeTag, line: &str) {
        let Self { old, new, before, hunk, .. } = self;
        let hunk = hunk.get_or_insert_with(|| Hunk {
            old_start: *old - before.len(),
            new_start: *new - before.len(),
            lines: before.drain(..).map(|line| (ChangeTag::Equal, line)).collect(),
            unchanged: 0,
        });
        hunk.unchanged = 0;
        hunk.lines.push((tag, line.to_owned()));
        *if tag == ChangeTag::Delete { old } else { new } += 1;
    }

    /// Writes the hunk, if there is one; what it has of context too much is the next one's.
    fn close(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let Some(mut hunk) = self.hunk.take() else { return Ok(()) };
        let surplus = hunk.unchanged.saturating_sub(CONTEXT);
        let rest = hunk.lines.split_off(hunk.lines.len() - surplus);
        self.before = rest.into_iter().map(|(_, line)| line).collect();
        out.write_all(std::mem::take(&mut self.header).as_bytes())?;
        hunk.write(out)
    }
}

// === impl Hunk ===

impl Hunk {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let count = |other| self.lines.iter().filter(|(tag, _)| *tag != other).count();
        let range = |start: usize, count: usize| {
            // A range without lines stands behind the line that it names.
            format!("{},{count}", if count == 0 { start } else { start + 1 })
        };
        let old = range(self.old_start, count(ChangeTag::Insert));
        let new = range(self.new_start, count(ChangeTag::Delete));
        writeln!(out, "@@ -{old} +{new} @@")?;
        for (tag, line) in &self.lines {
            write!(out, "{tag}{line}")?;
            if !line.ends_with('\n') {
                out.write_all(b"\n\\ No newline at end of file\n")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn diff(parts: &[(String, String)]) -> String {
        let mut out = Vec::new();
        let mut writer = DiffWriter::new("x");
        for (old, new) in parts {
            writer.part(old, new, &mut out).unwrap();
        }
        writer.finish(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn context_reaches_into_other_parts() {
        let text = |lines: &[&str]| lines.join("\n") + "\n";
        let parts = [
            (text(&["1", "2", "3", "4"]), text(&["1", "2", "3", "4"])),
            (text(&["5"]), text(&["5", "new"])),
            (text(&["6", "7", "8", "9"]), text(&["6", "7", "8", "9"])),
            ("a".to_owned(), "a\nb".to_owned()),
        ];
        let expected = "--- x\n+++ x\n@@ -3,8 +3,10 @@\n 3\n 4\n 5\n+new\n 6\n 7\n 8\n 9\n-a\n\
                        \\ No newline at end of file\n+a\n+b\n\\ No newline at end of file\n";
        assert_eq!(diff(&parts), expected);
        assert_eq!(diff(&parts[..1]), "");
    }

    proptest! {
        /// Whether changes are far from each other or close.
        #[test]
        fn the_diff_of_parts_applies_to_the_whole(parts in prop::collection::vec(("[ab\n]{0,12}", "[ab\n]{0,6}"), 1..6)) {
            let parts: Vec<_> = parts
                .into_iter()
                .map(|(old, added)| (format!("{old}\n"), format!("{old}\n{added}\n")))
                .collect();
            let (old, new): (String, String) = parts.iter().cloned().unzip();
            prop_assert_eq!(apply(&old, &diff(&parts)), new);
        }
    }

    /// Applies a diff, and checks all that it says of the old text.
    fn apply(old: &str, diff: &str) -> String {
        let old: Vec<&str> = old.split_inclusive('\n').collect();
        let mut new = String::new();
        let mut at = 0;
        for line in diff.lines().skip(2) {
            if let Some(ranges) = line.strip_prefix("@@ -") {
                let (start, count) = ranges.split_once(' ').unwrap().0.split_once(',').unwrap();
                let start: usize = start.parse().unwrap();
                let start = if count == "0" { start } else { start - 1 };
                new.extend(old[at..start].iter().copied());
                at = start;
                continue;
            }
            let (tag, text) = line.split_at(1);
            if tag != "+" {
                assert_eq!(old[at].trim_end_matches('\n'), text);
                at += 1;
            }
            if tag != "-" {
                new.push_str(text);
                new.push('\n');
            }
        }
        new.extend(old[at..].iter().copied());
        new
    }
}
