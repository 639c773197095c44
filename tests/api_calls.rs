//! How commands call the API server: what it answers, and what must not come of it.

#![cfg(test)]

#[path = "support/api_server.rs"]
mod api_server;
#[path = "support/cli.rs"]
mod cli;

use std::{collections::BTreeMap, fs};

use api_server::ApiServer;
use cli::Run;
use serde_json::{Value, json};

/// Runs the binary against a server with these answers.
fn run(arguments: &[&str], answers: BTreeMap<&'static str, (u16, Value)>) -> Run {
    let server = ApiServer::start(answers);
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    fs::write(&kubeconfig, server.kubeconfig()).unwrap();
    let cluster =
        ["--kubeconfig", kubeconfig.to_str().unwrap(), "--log", "trace,kube_client::client=trace"];
    cli::run(&[arguments, &cluster].concat(), "")
}

#[test]
fn a_secret_that_cannot_be_decoded_is_in_no_log_and_no_error() {
    // As a proxy or an aggregated API may send it.
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "quay", "namespace": "shop"},
        "immutable": "hunter2", "data": {".dockerconfigjson": "aHVudGVyMg=="}, "type": "hunter2",
    });
    let answers = BTreeMap::from([("/api/v1/namespaces/shop/secrets/quay", (200, secret))]);
    let run = run(&["secret", "show", "--live", "quay"], answers);
    assert_eq!(run.code, Some(1), "{}", run.shown());
    assert!(run.stderr.contains("cannot read Secret shop/quay"), "{}", run.shown());
    assert!(run.stderr.contains("cannot be read (line 1, column"), "{}", run.shown());
    for canary in ["hunter2", "aHVudGVyMg"] {
        assert!(!run.shown().contains(canary), "{}", run.shown());
    }
}

fn pods(names: &[&str], next: Option<&str>) -> Value {
    let pod = |name: &&str| {
        json!({
            "metadata": {"namespace": "shop", "name": name},
            "spec": {"containers": [{"name": "app", "image": "nginx"}]},
        })
    };
    let items: Vec<_> = names.iter().map(pod).collect();
    json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"continue": next}, "items": items})
}

/// The list with an answer to its second page, and to the page `fresh`.
fn list(expired: Value) -> BTreeMap<&'static str, (u16, Value)> {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    BTreeMap::from([
        ("/api/v1/namespaces/shop", (200, namespace)),
        ("/api/v1/pods?&limit=250", (200, pods(&["first"], Some("old")))),
        ("/api/v1/pods?&limit=250&continue=old", (410, expired)),
        ("/api/v1/pods?&limit=250&continue=fresh", (200, pods(&["second"], None))),
    ])
}

const EXPLAIN: [&str; 6] =
    ["explain", "--config", "explain/mapping.yaml", "--live", "-A", "-o=json"];

#[test]
fn a_list_goes_on_where_its_snapshot_has_expired() {
    let run = run(&EXPLAIN, list(json!({"reason": "Expired", "metadata": {"continue": "fresh"}})));
    assert_eq!(run.code, Some(0), "{}", run.shown());
    for name in ["first", "second"] {
        let lines = run.stdout.lines().filter(|line| line.contains(&format!("\"{name}\"")));
        assert_eq!(lines.count(), 1, "{name}: {}", run.shown());
    }
}

#[test]
fn half_a_list_is_not_a_list() {
    let expired = json!({"reason": "Expired", "message": "the continue parameter is too old"});
    let run = run(&EXPLAIN, list(expired));
    assert_eq!(run.code, Some(1), "{}", run.shown());
    assert!(run.stderr.contains("cannot list the Pods of all namespaces"), "{}", run.shown());
}
