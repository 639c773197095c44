//! What the scenarios read back from the API server, as one table.

use std::{
    collections::BTreeMap,
    fmt::{Display, Write as _},
    time::Duration,
};

use crate::namespace::StoredPod;

/// What one scenario read back.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<(String, String)>,
}

/// The reports of a run, by scenario, and how long each played.
#[derive(Debug, Default)]
pub(crate) struct Table {
    reports: BTreeMap<&'static str, (Report, Duration)>,
}

// === impl Report ===

impl Report {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds the `imagePullSecrets` of a stored Pod.
    pub(crate) fn stored(self, what: impl Into<String>, pod: &StoredPod) -> Self {
        self.seen(what, format!("`imagePullSecrets`: {}", pod.pull_secrets()))
    }

    /// Adds anything else that the API server said or stored.
    pub(crate) fn seen(mut self, what: impl Into<String>, seen: impl Display) -> Self {
        self.rows.push((what.into(), seen.to_string()));
        self
    }
}

// === impl Table ===

impl Table {
    pub(crate) fn add(&mut self, scenario: &'static str, report: Report, played: Duration) {
        self.reports.insert(scenario, (report, played));
    }

    /// The scenarios that a run waits for longest: where to save time.
    pub(crate) fn longest(&self) -> String {
        let mut times: Vec<_> =
            self.reports.iter().map(|(scenario, (_, played))| (*played, *scenario)).collect();
        times.sort_unstable();
        let longest = times.iter().rev().take(10);
        let longest: Vec<_> = longest
            .map(|(played, scenario)| format!("{scenario} {} s", played.as_secs()))
            .collect();
        format!("longest: {}", longest.join(", "))
    }

    /// The table as Markdown.
    pub(crate) fn to_markdown(&self) -> String {
        let mut text = String::from(
            "| test | scenario | what the API server stored or said |\n|---|---|---|\n",
        );
        for (test, (report, _)) in &self.reports {
            for (what, seen) in &report.rows {
                let _ = writeln!(text, "| `{test}` | {} | {} |", cell(what), cell(seen));
            }
        }
        text
    }
}

/// Text that cannot end a cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
