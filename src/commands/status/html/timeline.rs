//! A bar from now to the end of a login, on a scale that shows hours as well as a year.

use std::fmt::{self, Write};

use super::class;
use crate::commands::status::worst::Level;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
/// The end of the scale, and where it has its marks.
const YEAR: i64 = 365 * DAY;
const MARKS: [(i64, &str); 4] = [(DAY, "1 d"), (7 * DAY, "1 w"), (30 * DAY, "1 mo"), (YEAR, "1 y")];

/// The scale, as a heading.
pub(super) fn scale(out: &mut String) -> fmt::Result {
    out.write_str("<svg class=\"scale\" width=\"100%\" height=\"14\" aria-hidden=\"true\">")?;
    for (seconds, name) in MARKS {
        let anchor = if seconds == YEAR { "end" } else { "middle" };
        write!(
            out,
            "<text x=\"{}%\" y=\"11\" text-anchor=\"{anchor}\">{name}</text>",
            tenths(place(seconds))
        )?;
    }
    out.write_str("</svg>")
}

/// The bar of a login that ends in so many seconds.
pub(super) fn bar(out: &mut String, left: i64, level: Level) -> fmt::Result {
    let class = class(level);
    out.write_str("<svg class=\"bar\" width=\"100%\" height=\"10\" aria-hidden=\"true\">")?;
    out.write_str("<rect class=\"track\" x=\"0\" y=\"2\" width=\"100%\" height=\"6\" rx=\"3\"/>")?;
    if left > 0 {
        // Also a minute can be seen.
        let width = tenths(place(left).max(15));
        write!(
            out,
            "<rect class=\"left {class}\" x=\"0\" y=\"2\" width=\"{width}%\" height=\"6\" rx=\"3\"/>"
        )?;
    }
    for (seconds, _) in &MARKS[..MARKS.len() - 1] {
        let at = tenths(place(*seconds));
        write!(out, "<line class=\"mark\" x1=\"{at}%\" x2=\"{at}%\" y1=\"0\" y2=\"10\"/>")?;
    }
    out.write_str("</svg>")
}

/// Where so many seconds are on the scale, in thousandths of its length: logarithmic from an hour on.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place on a scale of a thousand"
)]
fn place(seconds: i64) -> u32 {
    let hours = |seconds: i64| (1.0 + seconds.clamp(0, YEAR) as f64 / HOUR as f64).ln();
    (1_000.0 * hours(seconds) / hours(YEAR)).round() as u32
}

/// Thousandths as percent.
fn tenths(thousandths: u32) -> String {
    format!("{}.{}", thousandths / 10, thousandths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_grows_from_now_to_a_year() {
        let places = [-1, 0, HOUR, DAY, 7 * DAY, 30 * DAY, YEAR, i64::MAX].map(place);
        assert_eq!(places, [0, 0, 76, 355, 565, 725, 1_000, 1_000]);
        assert_eq!(tenths(565), "56.5");
    }
}
