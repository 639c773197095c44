//! What benchmarks measure, as lines of JSON.
//!
//! Each benchmark appends its figures to the file that `PULLCRED_BENCH_DATA` names, if it names one. The example `report` reads them.

use std::{env, fs::File, io, io::Write as _};

use serde::{Deserialize, Serialize};

/// One thing that was measured, several times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Figure {
    /// What was done, such as `request`.
    pub(crate) case: String,
    /// Which of the things that are compared, such as `pullcred`.
    pub(crate) series: String,
    /// What was varied, and to which value, such as `bytes` and 2211.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<u64>,
    /// What was measured, such as `cpu`, and its unit. Of a unit that ends in `/s` more is better, of others less.
    pub(crate) metric: String,
    pub(crate) unit: String,
    /// One value for each round.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) values: Vec<f64>,
    /// Instead of that, the percentiles from 1 to 99 of all rounds together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) percentiles: Vec<f64>,
}

// === impl Figure ===

impl Figure {
    /// A figure, which still lacks its values.
    pub(crate) fn new(case: &str, series: &str, [metric, unit]: [&str; 2]) -> Self {
        Self {
            case: case.to_owned(),
            series: series.to_owned(),
            by: None,
            at: None,
            metric: metric.to_owned(),
            unit: unit.to_owned(),
            values: Vec::new(),
            percentiles: Vec::new(),
        }
    }

    pub(crate) fn at(self, by: &str, at: usize) -> Self {
        Self { by: Some(by.to_owned()), at: u64::try_from(at).ok(), ..self }
    }

    pub(crate) fn values(self, values: impl IntoIterator<Item = f64>) -> Self {
        Self { values: values.into_iter().map(rounded).collect(), ..self }
    }
}

/// Appends figures to the file of this run, if there is one.
pub(crate) fn append(figures: &[Figure]) -> io::Result<()> {
    let Some(path) = env::var_os("PULLCRED_BENCH_DATA") else { return Ok(()) };
    let mut file = File::options().append(true).create(true).open(path)?;
    for figure in figures {
        writeln!(file, "{}", serde_json::to_string(figure)?)?;
    }
    Ok(())
}

/// Four digits, which is more than any measurement has.
pub(crate) fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}
