//! Text that others wrote, on its way to a terminal.

use std::{
    fmt::{self, Display, Write},
    io,
};

/// Shows as escapes what must not reach the reader's terminal as it is: control characters, which end a line or steer the
/// terminal, and characters that change the order of others or cannot be seen, so that a text resembles another one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Printable<T>(pub(super) T);

/// A stream for text on which only line breaks and tabs pass as they are: see `Printable`. What is not UTF-8 becomes
/// U+FFFD.
#[derive(Debug)]
pub struct PrintableLines<W>(pub W);

struct Escaper<'a, 'f>(&'a mut fmt::Formatter<'f>);

// === impl Printable ===

impl<T: Display> Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaper(f), "{}", self.0)
    }
}

impl fmt::Write for Escaper<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|char| {
            if is_unsafe(char) {
                write!(self.0, "{}", char.escape_default())
            } else {
                self.0.write_char(char)
            }
        })
    }
}

// === impl PrintableLines ===

impl<W: io::Write> io::Write for PrintableLines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut text = String::with_capacity(bytes.len());
        for char in String::from_utf8_lossy(bytes).chars() {
            if is_unsafe(char) && !matches!(char, '\n' | '\t') {
                text.extend(char.escape_default());
            } else {
                text.push(char);
            }
        }
        self.0.write_all(text.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Whether a character steers a terminal, changes the order of others, or cannot be seen.
///
/// Besides the control characters (Unicode's general category Cc) these are the format characters (Cf) of
/// <https://www.unicode.org/Public/17.0.0/ucd/extracted/DerivedGeneralCategory.txt>, the two separators of lines and
/// paragraphs (Zl, Zp), and the letters and marks that fonts show as nothing (`Default_Ignorable_Code_Point`). Names of
/// images, Secrets and users have no use for them.
fn is_unsafe(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{34f}'
            | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
            | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_others_are_not() {
        assert_eq!(Printable("a\u{1b}[31mb\né\u{9b}").to_string(), "a\\u{1b}[31mb\\né\\u{9b}");
    }

    #[test]
    fn what_cannot_be_seen_or_turns_text_around_is_escaped() {
        let ranges = [
            '\u{200b}'..='\u{200f}',
            '\u{202a}'..='\u{202e}',
            '\u{2066}'..='\u{2069}',
            '\u{61c}'..='\u{61c}',
            '\u{feff}'..='\u{feff}',
            '\u{ad}'..='\u{ad}',
            '\u{2028}'..='\u{2029}',
            '\u{2060}'..='\u{2064}',
            '\u{e0020}'..='\u{e007f}',
        ];
        for char in ranges.into_iter().flatten() {
            let shown = Printable(format!("a{char}b")).to_string();
            assert_eq!(shown, format!("a\\u{{{:x}}}b", u32::from(char)));
        }
        for seen in ["émoji 🦀", "镜像", "مرحبا", "שלום", "→ ✓ …"] {
            assert_eq!(Printable(seen).to_string(), seen);
        }
    }

    #[test]
    fn a_stream_keeps_its_lines() {
        let mut out = Vec::new();
        let text = "line 1:\ta\u{1b}[31m\n  镜像\u{202e}\r\n";
        io::Write::write_all(&mut PrintableLines(&mut out), text.as_bytes()).unwrap();
        assert_eq!(str::from_utf8(&out).unwrap(), "line 1:\ta\\u{1b}[31m\n  镜像\\u{202e}\\r\n");
    }
}
