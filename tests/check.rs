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
    for (name, code) in [("clean", 0), ("reports", 1), ("shadowed", 1), ("unreachable", 1)] {
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

/// The example of the documents is what the command writes for the example mapping: no right more, no Secret unnamed.
#[test]
fn the_rights_of_the_example_are_those_of_its_mapping() {
    let config = "../../examples/pullcred.yaml";
    let run = run(&["check", "--print-rights", "--config", config], "");
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{}", run.shown());
    let example = include_str!("../examples/check-rights.yaml");
    assert_eq!(
        run.stdout, example,
        "run: pullcred check --print-rights --config examples/pullcred.yaml"
    );
    let (_, secrets) = run.stdout.split_once("- secrets\n  resourceNames:\n").unwrap();
    assert!(!secrets.contains("list"), "{secrets}");
}

#[test]
fn rights_are_for_the_namespace_that_pullcred_is_in() {
    let folder = tempfile::tempdir().unwrap();
    let values = folder.path().join("values.yaml");
    let mapping = "mapping: {rules: [{registries: [quay.io], secret: b}], always: [a, b]}\n";
    fs::write(&values, mapping).unwrap();
    let values = values.to_str().unwrap();
    let run = run(&["check", "--print-rights", "--config", values, "--installed-in", "home"], "");
    assert_eq!(run.code, Some(0), "{}", run.shown());
    assert_eq!(run.stdout.matches("  namespace: home\n").count(), 1, "{}", run.stdout);
    let names = "  resourceNames:\n  - a\n  - b\n  verbs:\n  - get\n";
    assert!(run.stdout.ends_with(names), "{}", run.stdout);
}

/// The values of the chart are checked as the mapping in them, by the lines of the values.
#[test]
fn values_of_the_chart_are_checked_by_their_mapping() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("values.yaml");
    let check = |text: &str| {
        fs::write(&path, text).unwrap();
        run(&["check", "--config", path.to_str().unwrap()], "")
    };
    let sound =
        check("image: {tag: 0.1.0}\nmapping:\n  rules: [{registries: [quay.io], secret: a}]\n");
    assert_eq!((sound.code, sound.stdout.as_str()), (Some(0), ""), "{}", sound.shown());
    let port = check(
        "replicas: 2\nmapping:\n  rules:\n    - registries: ['quay.io:443']\n      secret: a\n",
    );
    assert_eq!(port.code, Some(1), "{}", port.shown());
    assert!(port.stdout.contains("usual-port line 4"), "{}", port.stdout);
    let refused = check("mapping:\n  rules:\n    - registries: ['quay.io/*']\n      secret: a\n");
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""), "{}", refused.shown());
    assert!(refused.stderr.contains("line 3, column 20"), "{}", refused.stderr);
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
        vec!["check", "--config", "check/clean.yaml", "--wait"],
        vec!["check", "--live", "--wait=soon"],
        vec!["check", "--live", "--wait=-5s"],
        vec!["check", "--print-rights"],
        vec!["check", "--live", "--print-rights", "--config", "check/clean.yaml"],
        vec!["check", "--config", "check/clean.yaml", "--installed-in", "home"],
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
