//! The lines of a text, from a place within it. All places are bytes from its start.

/// A text, seen as lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines<'t>(pub(super) &'t str);

// === impl Lines ===

impl<'t> Lines<'t> {
    fn before(self, at: usize) -> &'t str {
        self.0.get(..at).unwrap_or_default()
    }

    fn behind(self, at: usize) -> &'t str {
        self.0.get(at..).unwrap_or_default()
    }

    fn line_start(self, at: usize) -> usize {
        self.before(at).rfind('\n').map_or(0, |end| end + 1)
    }

    /// The text of the line before `at`.
    fn prefix(self, at: usize) -> &'t str {
        self.0.get(self.line_start(at)..at).unwrap_or_default()
    }

    /// The column of `at`, in characters from 0.
    pub(super) fn column(self, at: usize) -> usize {
        self.prefix(at).chars().count()
    }

    /// The spaces before `at`, if there is nothing else before it on its line. Reads no further back than these, since all of
    /// a document may stand on one line.
    pub(super) fn indent(self, at: usize) -> Option<&'t str> {
        let before = self.before(at);
        let rest = before.trim_end_matches([' ', '\t']);
        (rest.is_empty() || rest.ends_with('\n')).then(|| self.0.get(rest.len()..at)).flatten()
    }

    /// How the line of `at` ends; a last line without an end is like the first.
    pub(super) fn line_break(self, at: usize) -> &'static str {
        let line_end = |at| self.behind(at).find('\n').map(|length| at + length);
        let end = line_end(at).or_else(|| line_end(0));
        if end.is_some_and(|end| self.before(end).ends_with('\r')) { "\r\n" } else { "\n" }
    }

    /// The start of the line of `at`, or of the first of the comments right above it that are indented as it is.
    pub(super) fn above_comments(self, at: usize) -> usize {
        let indent = self.prefix(at);
        let mut start = self.line_start(at);
        while let Some(above) = start.checked_sub(1) {
            let above_start = self.line_start(above);
            let line = self.0.get(above_start..above).unwrap_or_default();
            if !line.strip_prefix(indent).is_some_and(|rest| rest.starts_with('#')) {
                break;
            }
            start = above_start;
        }
        start
    }

    /// The start of a key in a mapping: the `?` before `at`, where there is one, or `at` itself.
    pub(super) fn key_start(self, at: usize) -> usize {
        let before = self.before(at).trim_end_matches([' ', '\t']);
        if before.len() < at && before.ends_with('?') { before.len() - 1 } else { at }
    }

    /// The dash of the entry of a list that starts at `at`: what may stand between are space, lines that are blank or
    /// comments, an anchor and a tag.
    pub(super) fn dash(self, at: usize) -> Option<usize> {
        let mut line_start = self.line_start(at);
        let mut line = self.0.get(line_start..at)?;
        loop {
            let before = without_properties(line);
            if before.ends_with('-') {
                return Some(line_start + before.len() - 1);
            }
            if !before.is_empty() {
                return None;
            }
            let above = line_start.checked_sub(1)?;
            line_start = self.line_start(above);
            line = without_comment(self.0.get(line_start..above)?);
        }
    }

    /// What stands behind `at` on its line, and where the next line starts, if there is one.
    pub(super) fn rest(self, at: usize) -> (&'t str, Option<usize>) {
        let rest = self.behind(at);
        match rest.find('\n') {
            Some(length) => (rest.get(..length).unwrap_or_default().trim(), Some(at + length + 1)),
            None => (rest.trim(), None),
        }
    }

    /// Where and what to insert so that `lines` follow the line of `at`, behind which only a comment may stand.
    pub(super) fn insert_behind(self, at: usize, lines: &[String]) -> Option<(usize, String)> {
        let line_break = self.line_break(at);
        let (rest, next_line) = self.rest(at);
        if !rest.is_empty() && !rest.starts_with('#') {
            return None;
        }
        let each = |line: &String| match next_line {
            Some(_) => [line, line_break].concat(),
            None => [line_break, line].concat(),
        };
        Some((next_line.unwrap_or(self.0.len()), lines.iter().map(each).collect()))
    }
}

/// A line up to a comment, and without the space before it. Of a line that holds no more than dashes, anchors and tags.
fn without_comment(line: &str) -> &str {
    let comment = line.match_indices('#').map(|(at, _)| at);
    let mut comment = comment
        .filter(|at| line.get(..*at).is_some_and(|it| it.is_empty() || it.ends_with([' ', '\t'])));
    comment.next().map_or(line, |at| line.get(..at).unwrap_or_default()).trim_end()
}

/// What stands before the anchor and the tag at the end of a line.
fn without_properties(line: &str) -> &str {
    let mut line = line.trim_end();
    loop {
        let start = line.rfind([' ', '\t']).map_or(0, |space| space + 1);
        let Some((before, last)) = line.split_at_checked(start) else { return line };
        if !last.starts_with(['&', '!']) {
            return line;
        }
        line = before.trim_end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_in_lines() {
        let lines = Lines("a:\r\n  # x\r\n  # y\r\n  é: 1 # z\r\n  -  b");
        let key = lines.0.find('é').unwrap();
        assert_eq!((lines.indent(key), lines.column(key)), (Some("  "), 2));
        assert_eq!(lines.indent(key + 4), None);
        assert_eq!(lines.line_break(key), "\r\n");
        assert_eq!(lines.above_comments(key), lines.0.find("  # x").unwrap());
        let entry = lines.0.len() - 1;
        assert_eq!((lines.dash(entry), lines.line_break(entry)), (Some(entry - 3), "\r\n"));
        assert_eq!((lines.key_start(entry), Lines("{ ?  a").key_start(5)), (entry, 2));
        for text in [
            "a:\n  -\n    ",
            "a:\n  - &x !!map ",
            "a:\n  - &x # c\n\n    # d\n    !t ",
            "- # a - b\n\t",
        ] {
            assert_eq!(Lines(text).dash(text.len()), text.find('-'), "{text}");
        }
        assert_eq!(Lines("a: b\n ").dash(6), None);
        let new = ["n".to_owned()];
        assert_eq!(lines.insert_behind(key + 5, &new), Some((entry - 5, "n\r\n".to_owned())));
        assert_eq!(lines.insert_behind(key, &new), None);
        assert_eq!(lines.insert_behind(entry + 1, &new), Some((entry + 1, "\r\nn".to_owned())));
    }
}
