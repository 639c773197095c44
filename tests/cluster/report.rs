//! What the scenarios read back from the API server, as one table.

use std::{
    collections::BTreeMap,
    fmt::{Display, Write as _},
};

use crate::namespace::StoredPod;

/// What one scenario read back.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<(String, String)>,
}

/// The reports of a run, in the order of the list of scenarios.
#[derive(Debug, Default)]
pub(crate) struct Table {
    reports: BTreeMap<&'static str, Report>,
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
    pub(crate) fn add(&mut self, scenario: &'static str, report: Report) {
        self.reports.insert(scenario, report);
    }

    /// The table as Markdown.
    pub(crate) fn to_markdown(&self) -> String {
        let mut text = String::from(
            "| test | scenario | what the API server stored or said |\n|---|---|---|\n",
        );
        for (test, report) in &self.reports {
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
