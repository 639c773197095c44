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

    /// The spaces before `at`, if there is nothing else before it on its line. Looks no further back than these, since all of
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

    /// The place behind the colon that follows a key that ends at `end`.
    pub(super) fn colon(self, end: usize) -> Option<usize> {
        let rest = self.behind(end).trim_start_matches([' ', '\t']);
        rest.starts_with(':').then(|| self.0.len() - rest.len() + 1)
    }

    /// The last dash before `at` on its line, with nothing but space between.
    pub(super) fn dash(self, at: usize) -> Option<usize> {
        let before = self.prefix(at).trim_end_matches([' ', '\t']);
        before.ends_with('-').then(|| self.line_start(at) + before.len() - 1)
    }

    /// Where and what to insert so that `lines` follow the line of `at`, behind which only a comment may stand.
    pub(super) fn insert_behind(self, at: usize, lines: &[String]) -> Option<(usize, String)> {
        let line_break = self.line_break(at);
        let rest = self.behind(at);
        let (rest, line_end) = match rest.find('\n') {
            Some(length) => (rest.get(..length)?, Some(at + length + 1)),
            None => (rest, None),
        };
        let rest = rest.trim();
        if !rest.is_empty() && !rest.starts_with('#') {
            return None;
        }
        let each = |line: &String| match line_end {
            Some(_) => [line, line_break].concat(),
            None => [line_break, line].concat(),
        };
        Some((line_end.unwrap_or(self.0.len()), lines.iter().map(each).collect()))
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
        assert_eq!(lines.colon(key + 2), Some(key + 3));
        let entry = lines.0.len() - 1;
        assert_eq!((lines.dash(entry), lines.line_break(entry)), (Some(entry - 3), "\r\n"));
        let new = ["n".to_owned()];
        assert_eq!(lines.insert_behind(key + 5, &new), Some((entry - 5, "n\r\n".to_owned())));
        assert_eq!(lines.insert_behind(key, &new), None);
        assert_eq!(lines.insert_behind(entry + 1, &new), Some((entry + 1, "\r\nn".to_owned())));
    }
}
