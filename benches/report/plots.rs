//! The pictures of a run.

use anyhow::{Context, Result};

use super::{
    chart::{Axis, Line, Panel, Picture},
    run::{Run, median},
    tables::{at_once, kilobytes},
};

type Draw = fn(&Run) -> Result<Picture>;

/// The pictures, by the names of their files.
const PICTURES: [(&str, Draw); 4] = [
    ("performance-requests.svg", requests),
    ("performance-latency.svg", latency),
    ("performance-rules.svg", rules),
    ("performance-namespaces.svg", namespaces),
];

/// The names and texts of the pictures. One that lacks figures is an error beside its name.
pub(crate) fn all(run: &Run) -> Vec<(&'static str, Result<String>)> {
    PICTURES.iter().map(|(name, draw)| (*name, draw(run).map(|it| it.to_svg()))).collect()
}

fn requests(run: &Run) -> Result<Picture> {
    let ticks =
        run.places("request").into_iter().map(|it| (float(it), kilobytes(it))).collect::<Vec<_>>();
    let panel = |metric, title: &str| {
        let lines = run
            .series("request", metric)
            .into_iter()
            .map(|it| line(run, "request", it, metric, 1.0));
        let lines = lines.collect::<Result<Vec<_>>>()?;
        anyhow::Ok(Panel {
            title: title.to_owned(),
            x: Axis { label: "size of the review", logarithmic: true, ticks: ticks.clone() },
            y: Axis { label: "", logarithmic: true, ticks: decades(&lines) },
            lines,
        })
    };
    let panels =
        vec![panel("rate", "requests a second")?, panel("cpu", "processor time of a request, µs")?];
    Ok(Picture { title: "Requests, by size of the review", panels })
}

fn latency(run: &Run) -> Result<Picture> {
    let panel = |creators: u64| {
        let lines = ["webhook", "policy", "neither"].into_iter().map(|way| {
            let figure = run.figure("admission", way, Some(creators), "latency")?;
            let points =
                (1..100_u32).map(f64::from).zip(figure.percentiles.iter().copied()).collect();
            Ok(Line { name: way.to_owned(), points })
        });
        let lines = lines.collect::<Result<Vec<_>>>()?;
        let ticks = [1, 25, 50, 75, 99].map(|it| (f64::from(it), it.to_string()));
        anyhow::Ok(Panel {
            title: format!("ms, {}", at_once(creators)),
            x: Axis { label: "percentile", logarithmic: false, ticks: ticks.into() },
            y: Axis { label: "", logarithmic: false, ticks: steps(&lines) },
            lines,
        })
    };
    let panels = run.places("admission").into_iter().map(panel).collect::<Result<Vec<_>>>()?;
    Ok(Picture {
        title: "Creation of a Pod through the API server: how long it takes at each percentile",
        panels,
    })
}

fn rules(run: &Run) -> Result<Picture> {
    let title = "Cost of a Pod with three images, by the number of rules";
    Ok(Picture { title, panels: by_size(run, "rules", "rules")? })
}

fn namespaces(run: &Run) -> Result<Picture> {
    let title = "Cost of a Pod, by the number of namespaces with a report";
    Ok(Picture { title, panels: by_size(run, "namespaces", "namespaces")? })
}

fn by_size(run: &Run, case: &str, label: &'static str) -> Result<Vec<Panel>> {
    let panel = |(metric, title): (&str, &str)| {
        let lines =
            run.series(case, metric).into_iter().map(|it| line(run, case, it, metric, 1e-3));
        let lines = lines.collect::<Result<Vec<_>>>()?;
        let ticks = run.places(case).into_iter().map(|it| (float(it), it.to_string())).collect();
        Ok(Panel {
            title: title.to_owned(),
            x: Axis { label, logarithmic: true, ticks },
            y: Axis { label: "", logarithmic: false, ticks: steps(&lines) },
            lines,
        })
    };
    [("look-up", "look-up alone, µs"), ("request", "whole request, µs")]
        .into_iter()
        .map(panel)
        .collect()
}

/// The medians of a series.
fn line(run: &Run, case: &str, series: &str, metric: &str, factor: f64) -> Result<Line> {
    let of_series =
        |it: &&super::run::Figure| (&*it.case, &*it.series, &*it.metric) == (case, series, metric);
    let point = |it: &super::run::Figure| Some((float(it.at?), median(&it.values) * factor));
    let mut points: Vec<_> = run.figures.iter().filter(of_series).filter_map(point).collect();
    points.sort_by(|one, other| one.0.total_cmp(&other.0));
    points.first().with_context(|| format!("no {metric} of {series}"))?;
    Ok(Line { name: series.to_owned(), points })
}

/// The powers of ten around the values.
fn decades(lines: &[Line]) -> Vec<(f64, String)> {
    let values = || lines.iter().flat_map(|it| &it.points).map(|it| it.1);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    let powers = (0..9_i32).map(|it| 10_f64.powi(it));
    powers
        .filter(|it| *it > low / 10.0 && *it < high * 10.0)
        .map(|it| (it, format!("{it}")))
        .collect()
}

/// From three to six round values from 0 to the largest.
fn steps(lines: &[Line]) -> Vec<(f64, String)> {
    let high = lines.iter().flat_map(|it| &it.points).map(|it| it.1).fold(0.0, f64::max);
    let steps = (-3..9_i32).flat_map(|power| [1.0, 2.0, 5.0].map(|it| it * 10_f64.powi(power)));
    let step = steps.into_iter().find(|step| high / step <= 5.0).unwrap_or(high);
    // A tick above the largest value, so that the lines end below the top.
    (0..=6_u32)
        .map(|it| f64::from(it) * step)
        .take_while(|it| *it < high + step)
        .map(|it| (it, label(it)))
        .collect()
}

fn label(value: f64) -> String {
    super::figures::rounded(value).to_string()
}

/// Sizes and counts are far below what a float holds exactly.
#[expect(clippy::cast_precision_loss, reason = "they are small")]
fn float(value: u64) -> f64 {
    value as f64
}
