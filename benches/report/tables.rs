//! Tables and sentences from figures, in Markdown.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};

use super::run::{Run, median};

type Section = fn(&Run) -> Result<String>;

/// What a document may ask for, by name.
pub(crate) const SECTIONS: [(&str, Section); 10] = [
    ("machine", machine),
    ("requests", requests),
    ("log", log),
    ("start", start),
    ("goals", goals),
    ("admission", admission),
    ("parts", parts),
    ("webhook", webhook),
    ("rules", rules),
    ("namespaces", namespaces),
];

const API_SERVER: &str = "API server's processor time";
const READY: &str = "ready after exec";
const AT_REST: &str = "memory at rest";
const BINARY: &str = "binary";
const GZIPPED: &str = "binary, gzipped";

/// The result of a goal: reached or not.
fn against(reached: bool) -> &'static str {
    if reached { "reached" } else { "**missed**" }
}

fn machine(run: &Run) -> Result<String> {
    let head = &run.head;
    ensure!(!head.machine.is_empty(), "the head of the run names no machine");
    let loaded = if head.load > 0.5 {
        format!(
            "; the load average was {} before it began, so other programs shared the machine",
            head.load
        )
    } else {
        String::new()
    };
    let text = format!(
        "Measured {}, commit {}: {}{loaded}. {}",
        head.date, head.commit, head.machine, head.note
    );
    Ok(text.trim_end().to_owned())
}

fn requests(run: &Run) -> Result<String> {
    let mut text = String::new();
    for size in run.places("request") {
        let figure = |server, metric| run.median("request", server, Some(size), metric);
        let (rate, cost) = (figure("echo", "rate")?, figure("echo", "cpu")?);
        let _ = writeln!(
            text,
            "| {} | requests/s | of echo | CPU µs a request | echo's to it | p50 µs | p99 µs | RSS MiB | failed |\n\
             |---|---|---|---|---|---|---|---|---|",
            kilobytes(size)
        );
        for server in run.series("request", "rate") {
            let _ = writeln!(
                text,
                "| {server} | {:.0} | {:.2} | {:.1} | {:.2} | {:.0} | {:.0} | {:.1} | {:.0} |",
                figure(server, "rate")?,
                figure(server, "rate")? / rate,
                figure(server, "cpu")?,
                cost / figure(server, "cpu")?,
                figure(server, "p50")?,
                figure(server, "p99")?,
                figure(server, "memory")?,
                figure(server, "failed")?,
            );
        }
        text += "\n";
    }
    Ok(text)
}

fn log(run: &Run) -> Result<String> {
    let mut text = String::from(
        "| the log is | CPU µs a request without its line | CPU µs a line | lines/s of one thread | lines dropped |\n\
         |---|---|---|---|---|\n",
    );
    let sinks = run.series("log", "line");
    ensure!(!sinks.is_empty(), "the run has no figures of `log`");
    for sink in sinks {
        let of = |metric| run.median("log", sink, None, metric);
        let (request, line) = (of("request without its line")?, of("line")?);
        let _ = writeln!(
            text,
            "| {sink} | {request:.1} | {line:.2} | {:.0} | {:.0} |",
            1e6 / (request + line),
            of("dropped")?
        );
    }
    Ok(text)
}

fn start(run: &Run) -> Result<String> {
    let mut text = String::from(
        "| program | ready after exec, ms: quickest | median | RSS at rest MiB | binary MB | gzipped MB |\n\
         |---|---|---|---|---|---|\n",
    );
    let programs = run.series("start", READY);
    ensure!(!programs.is_empty(), "the run has no figures of `start`");
    for program in programs {
        let ready = &run.figure("start", program, None, READY)?.values;
        let quickest = ready.iter().copied().fold(f64::INFINITY, f64::min);
        let of = |metric| run.median("start", program, None, metric);
        let _ = writeln!(
            text,
            "| {program} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} |",
            quickest / 1e3,
            median(ready) / 1e3,
            of(AT_REST)?,
            of(BINARY)? / 1e6,
            of(GZIPPED)? / 1e6
        );
    }
    Ok(text)
}

fn at_most(text: &mut String, what: &str, goal: f64, is: f64) {
    let _ = writeln!(text, "| {what} | {goal} | {is:.2} | {} |", against(is <= goal));
}

fn goals(run: &Run) -> Result<String> {
    let mut text = String::from("| what | goal | result | |\n|---|---|---|---|\n");
    let [_, middle, large] = run.places("request")[..] else {
        anyhow::bail!("the run does not have three sizes of requests");
    };
    let of = |size, metric| -> Result<f64> {
        let (own, echo) = (
            run.median("request", "pullcred", Some(size), metric)?,
            run.median("request", "echo", Some(size), metric)?,
        );
        Ok(if metric == "rate" { own / echo } else { echo / own })
    };
    let mut at_least = |what: String, goal: f64, is: f64| {
        let _ = writeln!(text, "| {what} | {goal:.2} | {is:.2} | {} |", against(is >= goal));
    };
    at_least(
        format!("echo's processor time to pullcred's, {}", kilobytes(middle)),
        0.80,
        of(middle, "cpu")?,
    );
    at_least(format!("pullcred's rate to echo's, {}", kilobytes(large)), 0.85, of(large, "rate")?);
    for size in run.places("request") {
        let memory = run.median("request", "pullcred-logging", Some(size), "memory")?;
        at_most(
            &mut text,
            &format!("RSS under load with the log, {}, MiB", kilobytes(size)),
            12.0,
            memory,
        );
    }
    let start = |metric| run.median("start", "pullcred", None, metric);
    at_most(&mut text, "RSS at rest, MiB", 8.0, start(AT_REST)?);
    at_most(&mut text, "ready after exec, ms", 4.0, start(READY)? / 1e3);
    at_most(&mut text, "binary, MB", 12.0, start(BINARY)? / 1e6);
    at_most(
        &mut text,
        "binary gzipped, which is the image but for 0.1 MB, MB",
        6.0,
        start(GZIPPED)? / 1e6,
    );
    for creators in run.places("admission") {
        let added = added(run, "webhook", creators, "p50")?;
        let goal = "webhook's addition to the creation of a Pod, p50, ms";
        at_most(&mut text, &format!("{goal}, {}", at_once(creators)), 0.7, added);
        let (of_percentiles, largest) = over_policy(run, creators)?;
        let _ = writeln!(
            text,
            "| percentiles from 1 to 99 at which the webhook takes longer than the policy, {} | 0 | {of_percentiles}, by {:.0} % at most | {} |",
            at_once(creators),
            (largest - 1.0) * 100.0,
            against(of_percentiles == 0)
        );
    }
    Ok(text)
}

/// At how many percentiles the webhook takes longer than the policy, and the largest ratio.
fn over_policy(run: &Run, creators: u64) -> Result<(usize, f64)> {
    let latency = |way| run.figure("admission", way, Some(creators), "latency");
    let (webhook, policy) = (latency("webhook")?, latency("policy")?);
    let ratios = webhook
        .percentiles
        .iter()
        .zip(&policy.percentiles)
        .map(|(webhook, policy)| webhook / policy);
    let over: Vec<f64> = ratios.filter(|it| *it > 1.0).collect();
    Ok((over.len(), over.iter().copied().fold(1.0, f64::max)))
}

/// What a way adds to neither: the median of the differences in each round.
fn added(run: &Run, way: &str, creators: u64, metric: &str) -> Result<f64> {
    let values = |way| run.figure("admission", way, Some(creators), metric);
    let pairs = values(way)?.values.iter().zip(&values("neither")?.values);
    let differences: Vec<f64> = pairs.map(|(with, without)| with - without).collect();
    Ok(median(&differences))
}

const WAYS: [&str; 3] = ["neither", "policy", "webhook"];

fn admission(run: &Run) -> Result<String> {
    let mut text = String::from(
        "| creators | way | p50 ms | p99 ms | Pods/s | API server's CPU µs a Pod | added: p50 ms | p99 ms | CPU µs |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for creators in run.places("admission") {
        for way in WAYS {
            let of = |metric| run.median("admission", way, Some(creators), metric);
            let more = |metric| added(run, way, creators, metric);
            let _ = write!(
                text,
                "| {creators} | {way} | {:.2} | {:.2} | {:.0} | {:.0} |",
                of("p50")?,
                of("p99")?,
                of("rate")?,
                of(API_SERVER)?
            );
            if way == "neither" {
                text += " | | |\n";
            } else {
                let _ = writeln!(
                    text,
                    " {:.2} | {:.2} | {:.0} |",
                    more("p50")?,
                    more("p99")?,
                    more(API_SERVER)?
                );
            }
        }
    }
    Ok(text)
}

fn parts(run: &Run) -> Result<String> {
    let mut text = String::from(
        "| way, one creator | added p50 ms | added CPU µs of the API server |\n|---|---|---|\n",
    );
    for way in run.series("admission", "p50").into_iter().filter(|it| *it != "neither") {
        let more = |metric| added(run, way, 1, metric);
        let _ = writeln!(text, "| {way} | {:.2} | {:.0} |", more("p50")?, more(API_SERVER)?);
    }
    Ok(text)
}

fn webhook(run: &Run) -> Result<String> {
    let mut text = String::from(
        "| creators | the API server's whole call µs | of it the webhook's answer µs | webhook's CPU µs a Pod | new connections for 1,000 calls |\n\
         |---|---|---|---|---|\n",
    );
    for creators in run.places("admission") {
        let of = |metric| run.median("admission", "webhook", Some(creators), metric);
        let _ = writeln!(
            text,
            "| {creators} | {:.0} | {:.0} | {:.0} | {} |",
            of("API server's call, mean")?,
            of("webhook's answer, mean")?,
            of("webhook's processor time")?,
            of("new connections for 1,000 calls")?
        );
    }
    Ok(text)
}

fn rules(run: &Run) -> Result<String> {
    by_size(run, "rules", "rules")
}

fn namespaces(run: &Run) -> Result<String> {
    by_size(run, "namespaces", "namespaces with a report")
}

fn by_size(run: &Run, case: &str, what: &str) -> Result<String> {
    let sizes = run.places(case);
    let (first, last) = (*sizes.first().context("no sizes")?, *sizes.last().context("no sizes")?);
    let heads: Vec<String> = sizes.iter().map(ToString::to_string).collect();
    let mut text = format!(
        "| ns a Pod, by {what} | {} | most to fewest |\n|---|{}---|\n",
        heads.join(" | "),
        "---|".repeat(sizes.len())
    );
    for metric in ["look-up", "request"] {
        for series in run.series(case, metric) {
            let of = |size| run.median(case, series, Some(size), metric);
            let _ = write!(text, "| {series}: {metric} |");
            for &size in &sizes {
                let _ = write!(text, " {:.0} |", of(size)?);
            }
            let _ = writeln!(text, " {:.2} |", of(last)? / of(first)?);
        }
    }
    Ok(text)
}

pub(crate) fn at_once(creators: u64) -> String {
    if creators == 1 { "one creator".to_owned() } else { format!("{creators} creators") }
}

pub(crate) fn kilobytes(bytes: u64) -> String {
    let tenths = (bytes + 50) / 100;
    if tenths < 1000 {
        format!("{}.{} KB", tenths / 10, tenths % 10)
    } else {
        format!("{} KB", tenths / 10)
    }
}
