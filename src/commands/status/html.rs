//! The status as one page: no script, and nothing from elsewhere. It is well-formed XML, too, so that a strict parser can
//! check it.
//!
//! Names and messages were written by others. They are escaped, and no link, address or style is made of one. The page also
//! forbids everything but its own style sheet, for what opens it in a browser.

mod page;
mod timeline;

use std::{
    fmt::{self, Display, Write as _},
    io,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use ring::digest::{SHA256, digest};

use super::{summary::Summary, worst::Level};
use crate::commands::printable::Printable;

/// The style sheet, which is in the page.
const STYLE: &str = include_str!("html/style.css");

/// Writes the page.
pub(super) fn write(summary: &Summary, out: &mut dyn io::Write) -> io::Result<()> {
    let mut html = String::new();
    // Writing to a text cannot fail.
    page::page(&mut html, summary).map_err(io::Error::other)?;
    out.write_all(html.as_bytes())
}

/// A text of somebody else in HTML: as an element's content, or in a quoted attribute.
struct Escaped<T>(T);

struct Escaper<'a, 'f>(&'a mut fmt::Formatter<'f>);

// === impl Escaped ===

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaper(f), "{}", Printable(&self.0))
    }
}

impl fmt::Write for Escaper<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|char| match char {
            '&' => self.0.write_str("&amp;"),
            '<' => self.0.write_str("&lt;"),
            '>' => self.0.write_str("&gt;"),
            '"' => self.0.write_str("&quot;"),
            '\'' => self.0.write_str("&#39;"),
            // XML and HTML have no such character, also escaped.
            '\u{fffe}' | '\u{ffff}' => self.0.write_char(char::REPLACEMENT_CHARACTER),
            _ => self.0.write_char(char),
        })
    }
}

/// What the page may load: its own style sheet, which its hash names.
fn policy() -> String {
    let hash = BASE64_STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'")
}

/// The class of what has a level.
fn class(level: Level) -> &'static str {
    match level {
        Level::Ok => "ok",
        Level::Note => "note",
        Level::Warning => "warning",
        Level::Error => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_others_is_markup() {
        let text = Escaped("<a href='x' b=\"y\">&\u{202e}\u{1b}\n\u{ffff}").to_string();
        assert_eq!(
            text,
            "&lt;a href=&#39;x&#39; b=&quot;y&quot;&gt;&amp;\\u{202e}\\u{1b}\\n\u{fffd}"
        );
    }

    #[test]
    fn the_style_sheet_needs_nothing_else() {
        for word in ["url(", "@import", "expression", "</", "&"] {
            assert!(!STYLE.contains(word), "{word}");
        }
    }
}
