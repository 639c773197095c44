//! What a check finds, and how it is reported.

use std::{
    fmt,
    io::{self, Write},
};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::Check;
use crate::commands::printable::Printable;

/// How bad a finding is. The worst comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// Something does not work.
    Error,
    /// Something is hardly meant so.
    Warning,
    /// Good to know: also what could not be looked at. By itself no reason to fail.
    Note,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// What was checked.
    pub(super) check: Check,
    /// Where: a line of the mapping, or an object of the cluster.
    #[serde(rename = "where")]
    pub(super) place: String,
    /// What is so, and what to do about it.
    pub(super) message: String,
}

/// All that was found, in the order in which it was, until it is sorted.
#[derive(Debug, Default)]
pub(super) struct Report {
    findings: Vec<Finding>,
}

// === impl Report ===

impl Report {
    pub(super) fn error(
        &mut self,
        check: Check,
        place: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.add(Severity::Error, check, place, message);
    }

    pub(super) fn warning(
        &mut self,
        check: Check,
        place: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.add(Severity::Warning, check, place, message);
    }

    pub(super) fn note(
        &mut self,
        check: Check,
        place: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.add(Severity::Note, check, place, message);
    }

    fn add(
        &mut self,
        severity: Severity,
        check: Check,
        place: impl Into<String>,
        message: impl Into<String>,
    ) {
        let (place, message) = (place.into(), message.into());
        self.findings.push(Finding { severity, check, place, message });
    }

    /// What could not be looked at, and so may be good or bad.
    pub(super) fn not_seen(&mut self, place: impl Into<String>, why: &str) {
        self.note(Check::NotSeen, place, format!("it could not be looked at: {why}"));
    }

    /// The worst first; what is equally bad stays in its order.
    pub(super) fn sort(&mut self) {
        self.findings.sort_by_key(|finding| finding.severity);
    }

    /// Whether there is more than notes.
    pub(super) fn has_findings(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity < Severity::Note)
    }

    /// One JSON object a line.
    pub(super) fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        for finding in &self.findings {
            serde_json::to_writer(&mut *out, finding)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Columns for people.
    pub(super) fn write_table(&self, out: &mut dyn Write, colour: bool) -> io::Result<()> {
        let width = |column: fn(&Finding) -> &str, head: &str| {
            let widths = self.findings.iter().map(|it| column(it).chars().count());
            widths.max().unwrap_or_default().max(head.len())
        };
        if self.findings.is_empty() {
            return Ok(());
        }
        let check = width(|it| it.check.as_str(), "CHECK");
        let place = width(|it| &it.place, "WHERE");
        writeln!(out, "{:8} {:check$} {:place$} FINDING", "SEVERITY", "CHECK", "WHERE")?;
        for finding in &self.findings {
            let style = if colour { finding.severity.style() } else { Style::new() };
            let severity = finding.severity.to_string();
            writeln!(
                out,
                "{style}{severity:8}{style:#} {:check$} {:place$} {}",
                finding.check.as_str(),
                Printable(&finding.place).to_string(),
                Printable(&finding.message),
            )?;
        }
        Ok(())
    }

    /// `2 errors, 1 warning, 3 notes`
    pub(super) fn summary(&self) -> String {
        let count = |severity: Severity| {
            let count = self.findings.iter().filter(|it| it.severity == severity).count();
            format!("{count} {severity}{}", if count == 1 { "" } else { "s" })
        };
        [Severity::Error, Severity::Warning, Severity::Note].map(count).join(", ")
    }
}

#[cfg(test)]
impl Report {
    /// What [`Self::write_json`] writes.
    pub(super) fn json(&self) -> String {
        let mut out = Vec::new();
        self.write_json(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }
}

/// The first `most` of some names, and how many more there are.
pub(in crate::commands) fn first_of(names: &[impl AsRef<str>], most: usize) -> String {
    let first = names.iter().take(most).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(most) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

// === impl Severity ===

impl Severity {
    fn style(self) -> Style {
        match self {
            Self::Error => AnsiColor::Red.on_default(),
            Self::Warning => AnsiColor::Yellow.on_default(),
            Self::Note => Style::new().dimmed(),
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}
