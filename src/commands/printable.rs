//! Text that others wrote, on its way to a terminal.

use std::fmt::{self, Display, Write};

/// Shows control characters as escapes: what others wrote must not reach into the reader's terminal, or end a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Printable<T>(pub(super) T);

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
            if char.is_control() {
                write!(self.0, "{}", char.escape_default())
            } else {
                self.0.write_char(char)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_others_are_not() {
        assert_eq!(Printable("a\u{1b}[31mb\né\u{9b}").to_string(), "a\\u{1b}[31mb\\né\\u{9b}");
    }
}
