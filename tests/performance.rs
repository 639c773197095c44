//! The figures of docs/performance.md are those of its data; and what a comparison of two runs says.

#![cfg(test)]

#[path = "../benches/report/mod.rs"]
mod report;

use std::{fs, path::Path};

use report::{command, documents::rewritten, plots, run::Run, tables::SECTIONS};
use tempfile::TempDir;

const HEAD: &str = r#"{"date":"2026-01-02","commit":"abc","machine":"2 cores","load":0.1}"#;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn committed() -> Run {
    Run::read(&read("performance.jsonl")).unwrap()
}

/// The tables are made from the data, all of them.
#[test]
fn tables() {
    let page = read("performance.md");
    let made = rewritten(&page, &committed()).unwrap();
    assert!(
        made == page,
        "the tables are not those of docs/performance.jsonl: run `cargo run --example report docs docs/performance.jsonl`"
    );
    for (name, _) in SECTIONS {
        let mark = format!("<!-- figures: {name} -->");
        assert_eq!(page.matches(&mark).count(), 1, "{mark}");
    }
}

/// The pictures are made from the data, and the page has each of them.
#[test]
fn pictures() {
    let page = read("performance.md");
    for (name, picture) in plots::all(&committed()) {
        let picture = picture.unwrap();
        assert!(
            picture == read(&format!("pictures/{name}")),
            "{name} is not drawn from docs/performance.jsonl"
        );
        assert!(page.contains(&format!("(pictures/{name})")), "the page lacks {name}");
        assert!(picture.len() < 20_000, "{name} has {} bytes", picture.len());
    }
}

/// A document asks for figures that there are.
#[test]
fn marks() {
    let run = committed();
    let error = |text| rewritten(text, &run).unwrap_err().to_string();
    assert_eq!(
        error("<!-- figures: nothing -->\n<!-- end of figures -->"),
        "there are no figures `nothing`"
    );
    assert_eq!(error("<!-- figures: rules -->\n"), "`rules` has no end");
    let lacking = Run::read(HEAD).unwrap();
    let error =
        rewritten("<!-- figures: start -->\n<!-- end of figures -->", &lacking).unwrap_err();
    assert_eq!(error.to_string(), "the run has no figures of `start`");
}

/// A file with these figures after a head.
fn file(folder: &TempDir, name: &str, figures: &[&str]) -> String {
    let path = folder.path().join(name);
    fs::write(&path, format!("{HEAD}\n{}\n", figures.join("\n"))).unwrap();
    path.display().to_string()
}

fn figure(metric: &str, unit: &str, values: &str) -> String {
    format!(
        r#"{{"case":"c","series":"s","by":"bytes","at":7,"metric":"{metric}","unit":"{unit}","values":{values}}}"#
    )
}

/// Worse is what took longer or did less, by more than the bound and the spread.
#[test]
fn comparison() {
    let folder = TempDir::new().unwrap();
    let compared = |old: &[&str], new: &[&str], bound: &str| {
        let (old, new) = (file(&folder, "old", old), file(&folder, "new", new));
        command::run(&["compare", &old, &new, bound]).unwrap()
    };
    let (time, slower) = (figure("cpu", "µs", "[10,10,11]"), figure("cpu", "µs", "[12,12,12]"));
    let (rate, fewer) =
        (figure("rate", "requests/s", "[100]"), figure("rate", "requests/s", "[80]"));
    let (code, text) = compared(&[&time, &rate], &[&slower, &fewer], "1.1");
    assert_eq!(code, 1);
    assert!(
        text.contains("| c: s, 7 bytes: cpu | µs | 10 | 12 | 1.200 | ±0.025 | **worse** |"),
        "{text}"
    );
    assert!(text.contains("| requests/s | 100 | 80 | 1.250 | ±0.000 | **worse** |"), "{text}");
    assert!(text.ends_with("\n2 worse by more than 1.1 times and the spread\n"), "{text}");
    assert_eq!(compared(&[&time, &rate], &[&slower, &fewer], "1.3").0, 0, "within the bound");
    assert_eq!(compared(&[&slower, &fewer], &[&time, &rate], "1").0, 0, "better");
    let noisy = figure("cpu", "µs", "[6,10,16]");
    assert_eq!(compared(&[&noisy], &[&slower], "1.1").0, 0, "within the spread");
    let failures = |values| figure("failed", "requests", values);
    assert_eq!(compared(&[&failures("[0]")], &[&failures("[0]")], "1.1").0, 0);
    assert_eq!(compared(&[&failures("[0]")], &[&failures("[3]")], "1.1").0, 1);
    let (code, text) = compared(&[&time, &rate], &[&time, &failures("[0]")], "1.1");
    assert_eq!(code, 0);
    assert!(text.contains("| only old |") && text.contains("| only new |"), "{text}");
}

/// What is wrong is an error with its place.
#[test]
fn errors() {
    let folder = TempDir::new().unwrap();
    let time = figure("cpu", "µs", "[1]");
    let rate = figure("rate", "requests/s", "[1]");
    let good = file(&folder, "good", &[&time]);
    let error = |arguments: &[&str]| format!("{:#}", command::run(arguments).unwrap_err());
    for arguments in [
        &[][..],
        &["compare", &good],
        &["compare", &good, &good, "0.9"],
        &["compare", &good, &good, "much"],
    ] {
        assert!(error(arguments).contains("usage: report show DATA"), "{arguments:?}");
    }
    let other = file(&folder, "other", &[&rate]);
    assert!(
        error(&["compare", &good, &other]).starts_with("the two runs have no figure in common")
    );
    let broken = file(&folder, "broken", &[&time, "{}"]);
    assert!(
        error(&["show", &broken]).contains("broken: line 3: not a figure: missing field `case`")
    );
    let empty = file(&folder, "empty", &[&figure("cpu", "µs", "[]")]);
    assert!(error(&["show", &empty]).contains("line 2: a figure has values or percentiles"));
    assert!(
        error(&["show", &folder.path().join("none").display().to_string()])
            .contains("No such file")
    );
}
