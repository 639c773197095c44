//! `pullcred explain` and `pullcred inject` with reports, through the real binary.

#![cfg(test)]

#[path = "support/api_server.rs"]
mod api_server;
#[path = "support/cli.rs"]
mod cli;
#[path = "support/snapshot.rs"]
mod snapshot;

use std::{collections::BTreeMap, fs};

use api_server::ApiServer;
use cli::{Run, run};
use serde_json::{Value, json};

const CONFIG: &str = "explain/reports/mapping.yaml";
const REPORTS: &str = "explain/reports/reports.yaml";
const PODS: &str = "explain/reports/pods.yaml";

fn snapshot(name: &str, shown: &str) {
    snapshot::snapshot("explain/reports", name, shown);
}

fn with_reports(command: &str, more: &[&str]) -> Run {
    run(&[&[command, "--config", CONFIG, "--reports", REPORTS], more].concat(), "")
}

#[test]
fn explain_says_what_reports_change() {
    let images = ["ghcr.io/acme/web:1", "skip.io/app", "own.io/x", "nginx"];
    snapshot("images", &with_reports("explain", &[&["-n", "shop"], &images[..]].concat()).shown());
    snapshot("pods", &with_reports("explain", &["-f", PODS]).shown());
    let json = with_reports("explain", &["-n", "shop", "-o", "json", "skip.io/app", "own.io/x"]);
    let lines: Vec<Value> =
        json.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (&lines[0]["withheld"], &lines[0]["secrets"]),
        (&json!(["extra", "tools"]), &json!([]))
    );
    assert_eq!((&lines[1]["discovered"], &lines[1]["secrets"]), (&json!(["own"]), &json!(["own"])));
    let plain = run(&["explain", "--config", CONFIG, "-o", "json", "skip.io/app"], "");
    let line: Value = serde_json::from_str(&plain.stdout).unwrap();
    assert_eq!(line["secrets"], json!(["extra", "tools"]));
    assert!(line.get("withheld").is_none(), "{line}");
}

#[test]
fn inject_adds_what_the_webhook_would() {
    snapshot("inject", &with_reports("inject", &["-f", PODS, "-o", "diff"]).shown());
    let none = with_reports("inject", &["-f", PODS, "--reports", PODS]);
    assert_eq!(none.code, Some(2), "one source of reports: {}", none.shown());
    let none = run(&["inject", "--config", CONFIG, "-f", PODS, "--reports", PODS], "");
    assert!(none.stderr.contains("no PullSecretReport found in what --reports names"), "{none:?}");
    let both = run(&["inject", "--config", CONFIG, "-f", "-", "--reports", "-"], "");
    assert_eq!(both.code, Some(2), "{}", both.shown());
}

/// A kubeconfig of a cluster with a report of namespace `shop`, and a Lease that was renewed then, if there is one.
fn cluster(renewed: Option<&str>) -> (tempfile::TempDir, String) {
    let webhook = json!({
        "name": "inject.pullcred.dev", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {"service": {"namespace": "home", "name": "pullcred"}},
    });
    let configuration = json!({"metadata": {"name": "pullcred"}, "webhooks": [webhook]});
    let list = json!({"kind": "List", "metadata": {}, "items": [configuration]});
    let pod = json!({
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"containers": [{"name": "app", "image": "skip.io/app"}]},
    });
    let pods = json!({"kind": "PodList", "metadata": {}, "items": [pod]});
    let report = json!({
        "metadata": {"name": "pullcred", "namespace": "shop"},
        "status": {"secrets": [{"name": "extra", "state": "Pending"}]},
    });
    let mut answers = BTreeMap::from([
        (
            "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations?&limit=250",
            (200, list),
        ),
        ("/api/v1/namespaces/shop/pods?&limit=250", (200, pods)),
        ("/apis/pullcred.dev/v1alpha1/namespaces/shop/pullsecretreports/pullcred", (200, report)),
    ]);
    if let Some(renewed) = renewed {
        let lease =
            json!({"metadata": {"name": "pullcred-reports"}, "spec": {"renewTime": renewed}});
        let path = "/apis/coordination.k8s.io/v1/namespaces/home/leases/pullcred-reports";
        answers.insert(path, (200, lease));
    }
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    fs::write(&kubeconfig, ApiServer::start(answers).kubeconfig()).unwrap();
    let kubeconfig = kubeconfig.to_str().unwrap().to_owned();
    (folder, kubeconfig)
}

#[test]
fn the_reports_of_a_cluster_count_while_they_are_fresh() {
    let now = k8s_openapi::jiff::Timestamp::now().to_string();
    for (renewed, counts, said) in [
        (Some(now.as_str()), true, ""),
        (Some("2026-01-01T00:00:00Z"), false, "warning: the reports are stale, last renewed "),
        (None, false, "warning: no controller has renewed reports"),
    ] {
        let (_folder, kubeconfig) = cluster(renewed);
        let live = ["--config", CONFIG, "--reports", "live", "--kubeconfig", &kubeconfig];
        let gets = if counts { "gets tools\n" } else { "gets extra, tools\n" };
        let image = run(&[&["explain", "-n", "shop", "skip.io/app"], &live[..]].concat(), "");
        assert!(image.stdout.contains(gets), "{renewed:?}: {}", image.shown());
        assert!(image.stderr.starts_with(said), "{renewed:?}: {}", image.shown());
        let pods = run(&[&["explain", "--live"], &live[..]].concat(), "");
        let gets = if counts { "would get tools\n" } else { "would get extra, tools\n" };
        assert!(pods.stdout.contains(gets), "{renewed:?}: {}", pods.shown());
        let left_out = "pull secret extra is not in namespace shop yet: left out by its rule";
        assert_eq!(pods.stdout.contains(left_out), counts, "{renewed:?}: {}", pods.shown());
        let pod = r#"{"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a", "namespace": "shop"},
                      "spec": {"containers": [{"name": "a", "image": "skip.io/a"}]}}"#;
        let injected = run(&[&["inject", "-f", "-", "-o", "json"], &live[..]].concat(), pod);
        let value: Value = serde_json::from_str(&injected.stdout).unwrap();
        let expected = if counts {
            json!([{"name": "tools"}])
        } else {
            json!([{"name": "extra"}, {"name": "tools"}])
        };
        assert_eq!(value["spec"]["imagePullSecrets"], expected, "{}", injected.shown());
    }
    // Another namespace has no report, so nothing is known of it.
    let (_folder, kubeconfig) = cluster(Some(&now));
    let live = ["--config", CONFIG, "--reports", "live", "--kubeconfig", &kubeconfig];
    let image = run(&[&["explain", "-n", "other", "skip.io/app"], &live[..]].concat(), "");
    assert!(image.stdout.contains("gets extra, tools\n"), "{}", image.shown());
}

#[test]
fn a_secret_whose_login_is_refused_has_the_advice_to_renew_it() {
    let pod = json!({
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "imagePullSecrets": [{"name": "robot"}, {"name": "tools"}],
            "containers": [{"name": "app", "image": "ghcr.io/acme/web:1"}],
        },
    });
    let pods = json!({"kind": "PodList", "metadata": {}, "items": [pod]});
    let report = json!({
        "metadata": {"name": "pullcred", "namespace": "shop"},
        "status": {"secrets": [{"name": "robot", "state": "Missing", "reason": "LoginRefused"}]},
    });
    let answers = BTreeMap::from([
        ("/api/v1/namespaces/shop/pods?&limit=250", (200, pods)),
        ("/apis/pullcred.dev/v1alpha1/namespaces/shop/pullsecretreports/pullcred", (200, report)),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    fs::write(&kubeconfig, ApiServer::start(answers).kubeconfig()).unwrap();
    let kubeconfig = kubeconfig.to_str().unwrap();
    let live = ["--config", CONFIG, "--reports", "live", "--kubeconfig", kubeconfig];
    let pods = run(&[&["explain", "--live"], &live[..]].concat(), "");
    for said in [
        "pull secret robot is not in namespace shop: a registry refuses its login",
        "renew login acme, which a registry refuses, so that pullcred makes Secret robot",
        "kubectl describe loginreport acme",
    ] {
        assert!(pods.stdout.contains(said), "{}", pods.shown());
    }
}
