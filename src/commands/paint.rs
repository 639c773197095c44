//! Colours, where they are wanted.

use std::fmt::{self, Display};

use anstyle::{AnsiColor, Style};

use super::printable::Printable;

/// What a text is to the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// In the way of a pull.
    Bad,
    /// As it should be.
    Good,
    /// No more than what it says.
    Plain,
    /// Beside the point.
    Quiet,
    /// What the lines below are about.
    Title,
    /// Perhaps not as it should be.
    Unsure,
}

/// Whether texts get colours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint(pub(super) bool);

/// A text with its colour, and printable: much of the text was written by others.
#[derive(Debug)]
pub(super) struct Painted<T>(Style, T);

// === impl Paint ===

impl Paint {
    /// `text` in the colour of its role.
    pub(super) fn as_<T: Display>(self, role: Role, text: T) -> Painted<T> {
        let style = match role {
            Role::Bad => AnsiColor::Red.on_default(),
            Role::Good => AnsiColor::Green.on_default(),
            Role::Plain => Style::new(),
            Role::Quiet => Style::new().dimmed(),
            Role::Title => Style::new().bold(),
            Role::Unsure => AnsiColor::Yellow.on_default(),
        };
        Painted(if self.0 { style } else { Style::new() }, text)
    }
}

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(style, text) = self;
        write!(f, "{style}{}{style:#}", Printable(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_ours_alone() {
        let text = "a\u{1b}[31mb\né";
        assert_eq!(Paint(false).as_(Role::Bad, text).to_string(), "a\\u{1b}[31mb\\né");
        assert_eq!(Paint(true).as_(Role::Title, "a").to_string(), "\u{1b}[1ma\u{1b}[0m");
    }
}
