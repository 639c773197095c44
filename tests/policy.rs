//! `pullcred policy` through the real binary. That an API server understands what is written here, and does with it what
//! the webhook does, is shown by the scenarios `policy::` of `tests/cluster`.

#![cfg(test)]

#[path = "support/cli.rs"]
mod cli;
#[path = "support/snapshot.rs"]
mod snapshot;

use std::{fmt::Write, fs};

use cli::run;
use serde_json::Value;

fn snapshot(name: &str, shown: &str) {
    snapshot::snapshot("policy", name, shown);
}

#[test]
fn yaml_is_written_like_this() {
    let run = run(&["policy", "--config", "policy/everything.yaml"], "");
    snapshot("everything", &run.shown());
}

#[test]
fn json_is_a_list_of_the_same() {
    let args = ["policy", "--config", "policy/everything.yaml", "--name", "pull.acme"];
    let yaml = run(&args, "").stdout;
    let json = run(&[&args[..], &["-o", "json"]].concat(), "").stdout;
    let list: Value = serde_json::from_str(&json).unwrap();
    let documents: Vec<Value> = serde_saphyr::from_multiple(&yaml).unwrap();
    assert_eq!(list["kind"], "List");
    assert_eq!(list["items"].as_array().unwrap(), &documents);
    assert_eq!(documents[1]["spec"]["policyName"], "pull.acme");
}

/// What the policy cannot follow is said, and a mapping that has nothing else is refused.
#[test]
fn what_takes_reports_is_not_for_a_policy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mapping.yaml");
    let discover = "discover: {namespaces: [shop]}\n";
    fs::write(&path, discover).unwrap();
    let config = path.to_str().unwrap();
    let refused = run(&["policy", "--config", config], "");
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""), "{}", refused.shown());
    assert!(refused.stderr.contains("the mapping has only `discover`"), "{}", refused.shown());
    let rule = "- {registries: [quay.io], secret: quay, whenMissing: skip}\n";
    fs::write(&path, format!("{discover}rules:\n{rule}")).unwrap();
    let written = run(&["policy", "--config", config], "");
    assert_eq!(written.code, Some(0), "{}", written.shown());
    let notes: Vec<&str> = written.stderr.lines().filter(|it| it.starts_with("warning")).collect();
    assert_eq!(
        notes,
        [
            "warning: a policy sees no reports: it adds the Secrets of rules with `whenMissing: skip` (line 3) also where they are missing",
            "warning: a policy sees no reports: `discover` does nothing",
        ]
    );
    fs::write(&path, "always: [quay]\n").unwrap();
    assert!(!run(&["policy", "--config", config], "").stderr.contains("warning"));
}

/// Which names Pods get does not depend on who makes the Secrets.
#[test]
fn a_rule_with_a_login_is_a_rule_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mapping.yaml");
    let written = |logins: &str, login: &str| {
        let mapping = format!(
            "rules: [{{registries: [ghcr.io/acme], secret: pull, namespaces: [shop]{login}}}]\n\
             always: [debug]\n{logins}"
        );
        fs::write(&path, mapping).unwrap();
        let path = path.to_str().unwrap();
        let pod = "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: shop}, \
                   spec: {containers: [{name: c, image: ghcr.io/acme/web}]}}\n";
        let policy = run(&["policy", "--config", path], "").shown();
        policy + &run(&["inject", "--config", path, "-f", "-"], pod).shown()
    };
    let without = written("", "");
    assert!(without.contains("pull") && without.contains("debug"), "{without}");
    let logins = "logins: [{name: acme, secret: acme-robot}]\n";
    assert_eq!(written(logins, ", login: acme"), without);
    assert_eq!(written(logins, ", login: acme, namespaceLabels: {tier: prod}"), without);
}

#[test]
fn too_many_rules_are_refused_with_the_line() {
    let mut mapping = "rules:\n".to_owned();
    for n in 0..2_000 {
        writeln!(mapping, "- {{registries: [host-{n}.example.com], secret: one}}").unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mapping.yaml");
    fs::write(&path, mapping).unwrap();
    let run = run(&["policy", "--config", path.to_str().unwrap()], "");
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
    assert!(
        run.stderr.contains("mapping.yaml: line 1252: host-1250.example.com"),
        "{}",
        run.stderr
    );
}

#[test]
fn mistakes() {
    for (args, message) in [
        (&["policy"][..], "--config"),
        (&["policy", "--config", "policy/everything.yaml", "--name", "Pull Cred"], "lower-case"),
        (&["policy", "--config", "no-such-file"], "no-such-file"),
    ] {
        let run = run(args, "");
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{}", run.shown());
        assert!(run.stderr.contains(message), "{}", run.stderr);
    }
}
