//! `pullcred check --live` with a mapping that decides by reports, through the real binary.

#![cfg(test)]

#[path = "support/api_server.rs"]
mod api_server;
#[path = "support/cli.rs"]
mod cli;

use std::{collections::BTreeMap, fs};

use api_server::ApiServer;
use cli::run;
use serde_json::{Value, json};

const REPORTS: &str = "/apis/pullcred.dev/v1alpha1/pullsecretreports?&limit=250";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/home/leases/pullcred-reports";

/// The findings about reports in a cluster with these answers.
fn found(mapping: &str, answers: &[(&'static str, (u16, Value))]) -> Vec<String> {
    let webhook = json!({
        "name": "inject.pullcred.dev", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {"service": {"namespace": "home", "name": "pullcred"}},
    });
    let configuration = json!({"metadata": {"name": "pullcred"}, "webhooks": [webhook]});
    let list = json!({"kind": "List", "metadata": {}, "items": [configuration]});
    let mut all = BTreeMap::from([(
        "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations?&limit=250",
        (200, list),
    )]);
    all.extend(answers.iter().cloned());
    let folder = tempfile::tempdir().unwrap();
    let (kubeconfig, config) = (folder.path().join("kubeconfig"), folder.path().join("mapping"));
    fs::write(&kubeconfig, ApiServer::start(all).kubeconfig()).unwrap();
    fs::write(&config, mapping).unwrap();
    let (kubeconfig, config) = (kubeconfig.to_str().unwrap(), config.to_str().unwrap());
    let args = ["check", "--live", "--kubeconfig", kubeconfig, "--config", config, "-o", "json"];
    let run = run(&args, "");
    let findings = run.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    findings
        .filter(|it| it["where"] == "reports" || it["check"] == "discovery")
        .map(|it| {
            format!("{} {} {}", text(&it, "severity"), text(&it, "check"), text(&it, "message"))
        })
        .collect()
}

fn reports(states: &[(&str, &str)]) -> (&'static str, (u16, Value)) {
    let report = |(namespace, discovery): &(&str, &str)| {
        json!({
            "metadata": {"name": "pullcred", "namespace": namespace},
            "status": {"secrets": [], "discovery": discovery},
        })
    };
    let items: Vec<Value> = states.iter().map(report).collect();
    (REPORTS, (200, json!({"kind": "List", "metadata": {}, "items": items})))
}

fn lease(renewed: &str) -> (&'static str, (u16, Value)) {
    (
        LEASE,
        (200, json!({"metadata": {"name": "pullcred-reports"}, "spec": {"renewTime": renewed}})),
    )
}

#[test]
fn reports_are_there_and_count_where_the_mapping_decides_by_them() {
    let now = k8s_openapi::jiff::Timestamp::now().to_string();
    let discover = "discover: {namespaces: ['sand-*']}";
    let skip = "logins: [{name: a, secret: a}]\nrules:\n\
                - {registries: [quay.io], secret: q, login: a, namespaces: ['*'], whenMissing: skip}";
    let login = skip.replace(", whenMissing: skip", "");
    let none = "warning reports there are no reports in this cluster, so `discover` and `whenMissing: skip` do nothing: \
                install the chart with reports.enabled";
    assert_eq!(found(discover, &[]), [none]);
    assert_eq!(found(skip, &[]), [none]);
    assert!(found(&login, &[]).is_empty(), "a mapping with logins does without");
    assert!(found("always: [a]", &[]).is_empty());

    let refused = (REPORTS, (403, json!({"message": "pullsecretreports is forbidden"})));
    let [finding] = &found(discover, &[refused])[..] else { panic!("one finding") };
    assert!(finding.starts_with("note not-seen") && finding.contains("forbidden"), "{finding}");

    let permitted = || reports(&[("sand-a", "Permitted"), ("shop", "NotPermitted")]);
    assert!(found(discover, &[permitted(), lease(&now)]).is_empty());
    for mapping in [discover, skip, &login] {
        let [finding] = &found(mapping, &[permitted(), lease("2026-01-01T00:00:00Z")])[..] else {
            panic!("one finding for {mapping}")
        };
        assert!(
            finding.starts_with("warning reports the reports are stale, last renewed "),
            "{finding}"
        );
        let [finding] = &found(mapping, &[permitted()])[..] else { panic!("one for {mapping}") };
        assert!(finding.starts_with("warning reports no controller has renewed"), "{finding}");
    }

    let refused =
        reports(&[("sand-b", "NotPermitted"), ("sand-a", "NotPermitted"), ("x", "NotPermitted")]);
    assert_eq!(
        found(discover, &[refused, lease(&now)]),
        [
            "warning discovery pullcred may not list the pull Secrets of sand-a, sand-b, so `discover` finds none there: \
          bind the ClusterRole whose name ends in -discover to its ServiceAccount, by a RoleBinding in each, such as sand-a"
        ]
    );
}

/// The rights to check are those to read reports, too, where the mapping decides by them.
#[test]
fn the_rights_to_check_grow_with_the_mapping() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mapping.yaml");
    for (mapping, reads) in [("always: [a]", false), ("discover: {namespaces: [a]}", true)] {
        fs::write(&path, mapping).unwrap();
        let run = run(&["check", "--print-rights", "--config", path.to_str().unwrap()], "");
        let has = |text: &str| run.stdout.contains(text);
        assert_eq!(has("pullsecretreports") && has("pullcred-reports"), reads, "{}", run.shown());
    }
}
