//! From the figures of a run to tables, plots and a comparison. Only the figures decide what these say.

mod chart;
pub(crate) mod command;
mod compare;
pub(crate) mod documents;
#[path = "../figures.rs"]
#[expect(dead_code, reason = "it reads what the benchmarks write")]
mod figures;
pub(crate) mod plots;
pub(crate) mod run;
pub(crate) mod tables;
