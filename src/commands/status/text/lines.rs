//! Lines and columns of a terminal. Every text in them is made printable first.

use crate::commands::{printable::Printable, status::worst::Level};

/// The blanks between two columns.
const GAP: usize = 2;
/// What stands before each row.
const MARK: usize = 2;

/// Rows of cells, each row with a level and a message below it.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    head: Option<[&'static str; N]>,
    rows: Vec<Row<N>>,
}

/// A row.
#[derive(Debug)]
pub(super) struct Row<const N: usize> {
    pub(super) level: Level,
    cells: [String; N],
    pub(super) message: String,
}

// === impl Table ===

impl<const N: usize> Table<N> {
    pub(super) fn new(head: [&'static str; N]) -> Self {
        Self { head: Some(head), rows: Vec::new() }
    }

    /// The same without a line of headings.
    pub(super) fn without_head(self) -> Self {
        Self { head: None, ..self }
    }

    pub(super) fn add(&mut self, level: Level, cells: [String; N], message: &str) {
        let cells = cells.map(|it| clean(&it));
        self.rows.push(Row { level, cells, message: clean(message) });
    }

    /// The line of headings, where the columns fit into this width.
    pub(super) fn head(&self, width: usize) -> Option<String> {
        let head = self.head.filter(|_| !self.rows.is_empty())?;
        let widths = self.widths(width)?;
        Some(in_columns(head, widths))
    }

    /// Each row with its lines.
    pub(super) fn rows(&self, width: usize) -> impl Iterator<Item = (&Row<N>, Vec<String>)> {
        let widths = self.widths(width);
        self.rows.iter().map(move |row| (row, row.lines(widths, self.head, width)))
    }

    /// The widths of the columns; `None` where they do not fit. Without headings, the last column takes what is left, if that
    /// is half of the line or more.
    fn widths(&self, width: usize) -> Option<[usize; N]> {
        let mut widths = [0; N];
        for (column, widest) in widths.iter_mut().enumerate() {
            let cells = self.rows.iter().map(|row| row.cells[column].chars().count());
            let head = self.head.map_or(0, |head| head[column].len());
            *widest = cells.max().unwrap_or_default().max(head);
        }
        if self.head.is_none() {
            let before: usize = widths.iter().take(N - 1).map(|it| it + GAP).sum();
            let left = width.saturating_sub(before + MARK);
            widths[N - 1] = left;
            return (left >= width / 2).then_some(widths);
        }
        let all = widths.iter().sum::<usize>() + GAP * (N - 1) + MARK;
        (all <= width).then_some(widths)
    }
}

// === impl Row ===

impl<const N: usize> Row<N> {
    fn lines(
        &self,
        widths: Option<[usize; N]>,
        head: Option<[&'static str; N]>,
        width: usize,
    ) -> Vec<String> {
        let cells = self.cells.each_ref().map(String::as_str);
        match (widths, head) {
            (Some(widths), Some(_)) => vec![in_columns(cells, widths)],
            (Some(widths), None) => {
                let margin = widths.iter().take(N - 1).map(|it| it + GAP).sum();
                let last = wrapped(cells[N - 1], widths[N - 1], usize::MAX);
                let mut lines: Vec<String> =
                    last.iter().map(|it| format!("{:margin$}{it}", "")).collect();
                let mut first = cells;
                first[N - 1] = last.first().map_or("", String::as_str);
                match lines.first_mut() {
                    Some(line) => *line = in_columns(first, widths),
                    None => lines.push(in_columns(first, widths)),
                }
                lines
            }
            (None, head) => {
                let filled = cells.iter().enumerate().skip(1).filter(|(_, it)| !it.is_empty());
                let rest = filled.map(|(column, cell)| match head {
                    Some(head) => format!("{} {cell}", head[column].to_ascii_lowercase()),
                    None => (*cell).to_owned(),
                });
                let rest = rest.collect::<Vec<_>>().join(", ");
                let rest = wrapped(&rest, width.saturating_sub(MARK + GAP), usize::MAX);
                let rest = rest.into_iter().map(|it| format!("  {it}"));
                std::iter::once(cells[0].to_owned()).chain(rest).collect()
            }
        }
    }
}

/// Cells in one line.
fn in_columns<const N: usize>(cells: [&str; N], widths: [usize; N]) -> String {
    let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
    cells.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end().to_owned()
}

/// A text of somebody else, without what steers a terminal.
pub(super) fn clean(text: &str) -> String {
    Printable(text).to_string()
}

/// A text in lines of so many characters, broken between words; a word that is longer stands whole. What does not fit into
/// `most` lines is left out.
pub(super) fn wrapped(text: &str, width: usize, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            last.push_str(" …");
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrapped("a bc def", 4, 9), ["a bc", "def"]);
        assert_eq!(wrapped("longer-than-that a", 4, 9), ["longer-than-that", "a"]);
        assert_eq!(wrapped("a b c d", 1, 2), ["a", "b …"]);
        assert!(wrapped(" ", 4, 9).is_empty());
    }

    #[test]
    fn columns_become_lines_where_they_do_not_fit() {
        let mut table = Table::new(["NAME", "ENDS"]);
        table.add(Level::Ok, ["a\u{1b}".to_owned(), "in 3 d".to_owned()], "");
        let lines = |width| table.rows(width).flat_map(|(_, lines)| lines).collect::<Vec<_>>();
        assert_eq!(lines(20), ["a\\u{1b}  in 3 d"]);
        assert_eq!(table.head(20).as_deref(), Some("NAME     ENDS"));
        assert_eq!(lines(16), ["a\\u{1b}", "  ends in 3 d"]);
        assert_eq!(table.head(16), None);
    }
}
