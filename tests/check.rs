//! `pullcred check` through the real binary. A case is a mapping in `testdata/check`, and beside it what comes of it.

#![cfg(test)]

#[path = "support/cli.rs"]
mod cli;
#[path = "support/snapshot.rs"]
mod snapshot;

use std::{fmt::Write as _, fs};

use cli::run;

fn snapshot(name: &str, shown: &str) {
    snapshot::snapshot("check", name, shown);
}

#[test]
fn mappings() {
    for (name, code) in [("clean", 0), ("shadowed", 1), ("unreachable", 1)] {
        let run = run(&["check", "--config", &format!("check/{name}.yaml")], "");
        assert_eq!(run.code, Some(code), "{name}: {}", run.shown());
        snapshot(name, &run.shown());
    }
}

#[test]
fn json_has_one_finding_a_line() {
    let config = "check/unreachable.yaml";
    let json = run(&["check", "--config", config, "-o", "json"], "");
    let table = run(&["check", "--config", config], "");
    assert_eq!(json.stdout.lines().count(), table.stdout.lines().count() - 1);
    for line in json.stdout.lines() {
        let finding: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| finding[name].as_str().unwrap().to_owned();
        assert!(["error", "warning", "note"].contains(&&*text("severity")), "{line}");
        for name in ["check", "where", "message"] {
            assert!(table.stdout.contains(&text(name)), "{name} of {line}");
        }
    }
}

#[test]
fn the_examples_of_this_project_are_clean() {
    let run = run(&["check", "--config", "../../examples/pullcred.yaml"], "");
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{}", run.shown());
}

#[test]
fn mistakes_are_a_matter_of_usage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mapping.yaml");
    fs::write(&path, "rules:\n  - registries: [https://quay.io]\n    secret: quay\n").unwrap();
    for args in [
        vec!["check"],
        vec!["check", "--config", "no-such-file.yaml"],
        vec!["check", "--config", "check/clean.yaml", "--namespace", "shop"],
        vec!["check", "--live", "--config", "no-such-file.yaml"],
        vec!["check", "--config", path.to_str().unwrap()],
    ] {
        let run = run(&args, "");
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{}", run.shown());
    }
}

#[test]
fn a_message_that_nobody_can_get_is_no_reason_to_panic() {
    let mut command = cli::command(&["check", "--config", "no-such-file.yaml"]);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    assert_eq!(command.stderr(full).status().unwrap().code(), Some(2));
}

#[test]
fn without_a_cluster_there_is_nothing_to_report() {
    let run = run(&["check", "--live", "--kubeconfig", "no-such-file"], "");
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{}", run.shown());
    assert!(run.stderr.contains("the kubeconfig cannot be used"), "{}", run.stderr);
}

#[test]
fn ten_thousand_rules_of_one_secret_are_compared() {
    let mut mapping = "rules:\n".to_owned();
    for n in 0..5_000 {
        writeln!(mapping, "- {{registries: [host-{n}.example.com], secret: one}}").unwrap();
        writeln!(mapping, "- {{registries: [quay.io/team-{n}], secret: one}}").unwrap();
    }
    mapping.push_str("- {registries: [quay.io/team-77/app], secret: one}\n");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mapping.yaml");
    fs::write(&path, mapping).unwrap();
    let run = run(&["check", "--config", path.to_str().unwrap()], "");
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stdout.contains("quay.io/team-77 in line 157 gives it"), "{}", run.stdout);
    assert_eq!(run.stdout.lines().count(), 2);
}
