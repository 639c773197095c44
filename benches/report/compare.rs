//! Two runs beside each other.

use std::fmt::Write as _;

use anyhow::{Result, ensure};

use super::run::{Figure, Run, median, spread};

/// What came of a comparison.
#[derive(Debug)]
pub(crate) struct Comparison {
    /// Markdown.
    pub(crate) table: String,
    /// Figures that are worse by more than the bound and by more than the spread of both runs.
    pub(crate) worse: usize,
}

/// Compares `new` with `old`. A ratio above 1 is worse; `bound` is the largest that passes.
pub(crate) fn compare(old: &Run, new: &Run, bound: f64) -> Result<Comparison> {
    let mut table = format!(
        "{} ({}, {}) against {} ({}, {})\n",
        new.head.commit,
        new.head.date,
        new.head.machine,
        old.head.commit,
        old.head.date,
        old.head.machine
    );
    if new.head.machine != old.head.machine {
        table += "\nThe machines differ.\n";
    }
    table += "\n| what | unit | old | new | worse by | spread | |\n|---|---|---|---|---|---|---|\n";
    let (mut compared, mut worse) = (0, 0);
    for figure in new.figures.iter().filter(|it| !it.values.is_empty()) {
        let Some(before) = old.figures.iter().find(|it| is_same(it, figure)) else {
            let _ = writeln!(
                table,
                "| {} | {} | | {} | | | only new |",
                name(figure),
                figure.unit,
                median(&figure.values)
            );
            continue;
        };
        compared += 1;
        let (was, is) = (median(&before.values), median(&figure.values));
        let ratio = worse_by(&figure.unit, was, is);
        let noise = spread(&before.values) + spread(&figure.values);
        let is_worse = ratio > bound && ratio > 1.0 + noise;
        worse += usize::from(is_worse);
        let verdict = if is_worse { "**worse**" } else { "" };
        let _ = writeln!(
            table,
            "| {} | {} | {was} | {is} | {ratio:.3} | ±{noise:.3} | {verdict} |",
            name(figure),
            figure.unit
        );
    }
    let missing = old.figures.iter().filter(|it| !it.values.is_empty());
    for figure in missing.filter(|it| !new.figures.iter().any(|other| is_same(it, other))) {
        let _ = writeln!(
            table,
            "| {} | {} | {} | | | | only old |",
            name(figure),
            figure.unit,
            median(&figure.values)
        );
    }
    ensure!(
        compared > 0,
        "the two runs have no figure in common: measure the same parts, see BENCH in benches/run.sh"
    );
    Ok(Comparison { table, worse })
}

/// How many times worse the new value is. From nothing to something is infinitely worse.
fn worse_by(unit: &str, was: f64, is: f64) -> f64 {
    match if unit.ends_with("/s") { (is, was) } else { (was, is) } {
        (from, to) if (from - to).abs() < f64::EPSILON => 1.0,
        (from, to) => to / from,
    }
}

fn is_same(one: &Figure, other: &Figure) -> bool {
    (&one.case, &one.series, &one.by, one.at, &one.metric, &one.unit)
        == (&other.case, &other.series, &other.by, other.at, &other.metric, &other.unit)
        && one.values.is_empty() == other.values.is_empty()
}

fn name(figure: &Figure) -> String {
    let at = figure.by.iter().zip(figure.at).map(|(by, at)| format!(", {at} {by}"));
    let at: String = at.collect();
    format!("{}: {}{at}: {}", figure.case, figure.series, figure.metric)
}
