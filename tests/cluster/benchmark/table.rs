//! Numbers with their goals, as a table in Markdown.

use std::{fmt::Write as _, time::Duration};

/// Measured values beside their goals.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<[String; 3]>,
}

/// Times, sorted.
#[derive(Debug)]
pub(super) struct Times(Vec<Duration>);

// === impl Table ===

impl Table {
    /// Adds a row.
    pub(super) fn row(&mut self, what: &str, goal: &str, measured: impl Into<String>) {
        self.rows.push([what.to_owned(), goal.to_owned(), measured.into()]);
    }

    pub(super) fn to_markdown(&self) -> String {
        let mut text = String::from("| what | goal | measured |\n|---|---|---|");
        for row in &self.rows {
            let _ = write!(text, "\n| {} |", row.join(" | "));
        }
        text
    }
}

// === impl Times ===

impl Times {
    pub(super) fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// The time within which this share of all lies.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "there are few of them"
    )]
    pub(super) fn quantile(&self, share: f64) -> Duration {
        let place = (self.0.len() as f64 * share).ceil() as usize;
        self.0.get(place.max(1) - 1).copied().unwrap_or_default()
    }

    pub(super) fn max(&self) -> Duration {
        self.0.last().copied().unwrap_or_default()
    }

    /// The median and the 99th percentile, in milliseconds.
    pub(super) fn p50_and_p99(&self) -> String {
        format!(
            "{:.1} / {:.1}",
            milliseconds(self.quantile(0.5)),
            milliseconds(self.quantile(0.99))
        )
    }

    /// The median and the largest, in seconds.
    pub(super) fn p50_and_max(&self) -> String {
        format!("{:.3} / {:.3}", self.quantile(0.5).as_secs_f64(), self.max().as_secs_f64())
    }
}

/// A duration in milliseconds.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
