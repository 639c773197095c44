//! A run of the benchmarks: its head, and what it measured.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

pub(crate) use super::figures::Figure;

/// Everything from one file of figures.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) head: Head,
    pub(crate) figures: Vec<Figure>,
}

/// When and where it was measured.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head {
    pub(crate) date: String,
    pub(crate) commit: String,
    /// The processor, the number of its cores, and the kernel.
    pub(crate) machine: String,
    /// The load average when it began: what else the machine did.
    pub(crate) load: f64,
    /// What else to know of figures that are not all of one run.
    #[serde(default)]
    pub(crate) note: String,
}

// === impl Run ===

impl Run {
    /// Reads a file: the head in its first line, and one figure in each other.
    pub(crate) fn read(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let head = lines.next().context("line 1: the file is empty")?;
        let head = serde_json::from_str(head)
            .context("line 1: not the head of a run, as benches/run.sh writes it")?;
        let mut figures = Vec::new();
        for (line, number) in lines.zip(2..) {
            let figure: Figure = serde_json::from_str(line)
                .with_context(|| format!("line {number}: not a figure"))?;
            ensure!(
                figure.values.is_empty() != figure.percentiles.is_empty(),
                "line {number}: a figure has values or percentiles"
            );
            figures.push(figure);
        }
        Ok(Self { head, figures })
    }

    /// What was measured of this, or an error that says what is missing.
    pub(crate) fn figure(
        &self,
        case: &str,
        series: &str,
        at: Option<u64>,
        metric: &str,
    ) -> Result<&Figure> {
        let is_it = |it: &&Figure| {
            (&*it.case, &*it.series, it.at, &*it.metric) == (case, series, at, metric)
        };
        self.figures.iter().find(is_it).with_context(|| {
            let at = at.map(|at| format!(" at {at}")).unwrap_or_default();
            format!("the run has no `{metric}` of `{series}`{at} in `{case}`")
        })
    }

    /// The median of that.
    pub(crate) fn median(
        &self,
        case: &str,
        series: &str,
        at: Option<u64>,
        metric: &str,
    ) -> Result<f64> {
        self.figure(case, series, at, metric).map(|it| median(&it.values))
    }

    /// What a case was measured at, in order.
    pub(crate) fn places(&self, case: &str) -> Vec<u64> {
        let of_case = self.figures.iter().filter(|it| it.case == case);
        of_case.filter_map(|it| it.at).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The series of a metric of a case, in the order of the file.
    pub(crate) fn series(&self, case: &str, metric: &str) -> Vec<&str> {
        let mut names = Vec::new();
        for figure in self.figures.iter().filter(|it| it.case == case && it.metric == metric) {
            if !names.contains(&&*figure.series) {
                names.push(&*figure.series);
            }
        }
        names
    }
}

/// The value in the middle; of an even number, between the two.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// Half the distance between the quartiles, as a part of the median: how far a median of such values is to be trusted.
pub(crate) fn spread(values: &[f64]) -> f64 {
    (quantile(values, 0.75) - quantile(values, 0.25)) / 2.0 / median(values).max(f64::MIN_POSITIVE)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "there are few of them"
)]
fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = sorted.len().saturating_sub(1) as f64 * share;
    let at = |place: f64| sorted.get(place as usize).copied().unwrap_or_default();
    at(place.floor()) + (at(place.ceil()) - at(place.floor())) * place.fract()
}
