//! The reports of a cluster, through the real binary.

use std::{collections::BTreeMap, fs};

use k8s_openapi::jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use super::{
    api_server::ApiServer,
    cli::{Run, command, output, run},
    login, namespace, ready_login,
};

const LOGINS: &str = "/apis/pullcred.dev/v1alpha1/loginreports?&limit=250";
const NAMESPACES: &str = "/apis/pullcred.dev/v1alpha1/pullsecretreports?&limit=250";
const SHOP: &str = "/apis/pullcred.dev/v1alpha1/namespaces/shop/pullsecretreports?&limit=250";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/home/leases/pullcred-reports";
const WEBHOOKS: &str =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations?&limit=250";

type Answers = BTreeMap<&'static str, (u16, Value)>;

fn list(items: &[Value]) -> (u16, Value) {
    (200, json!({"kind": "List", "metadata": {}, "items": items}))
}

fn forbidden(what: &str) -> (u16, Value) {
    (403, json!({"reason": "Forbidden", "message": format!("{what} is forbidden")}))
}

fn lease(seconds_ago: i64) -> (u16, Value) {
    let renewed = Timestamp::now() - seconds_ago.seconds();
    (
        200,
        json!({"metadata": {"name": "pullcred-reports"}, "spec": {"renewTime": renewed.to_string()}}),
    )
}

/// A cluster in which all is well.
fn answers() -> Answers {
    let webhook = json!({
        "name": "inject.pullcred.dev", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {"service": {"namespace": "home", "name": "pullcred"}},
    });
    let shop = namespace("shop", &json!({"secrets": [{"name": "acme", "state": "Ready"}]}));
    BTreeMap::from([
        (LOGINS, list(&[login("acme", &ready_login())])),
        (NAMESPACES, list(std::slice::from_ref(&shop))),
        (SHOP, list(&[shop])),
        (LEASE, lease(3)),
        (WEBHOOKS, list(&[json!({"metadata": {"name": "pullcred"}, "webhooks": [webhook]})])),
    ])
}

fn status(answers: Answers, args: &[&str]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    fs::write(&kubeconfig, ApiServer::start(answers).kubeconfig()).unwrap();
    let kubeconfig = kubeconfig.to_str().unwrap();
    run(&[&["status", "--kubeconfig", kubeconfig], args].concat(), "")
}

fn with(changes: &[(&'static str, (u16, Value))]) -> Answers {
    let mut answers = answers();
    answers.extend(changes.iter().cloned());
    answers
}

#[test]
fn fresh_reports_without_a_finding_are_exit_code_0() {
    let run = status(answers(), &[]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{}", run.shown());
    assert!(
        run.stdout.starts_with("pullcred: all is well\nReports of the cluster, fresh, "),
        "{}",
        run.stdout
    );
    let run = status(answers(), &["--namespace", "shop"]);
    assert_eq!(run.code, Some(0), "{}", run.shown());
    assert!(run.stdout.starts_with("Namespace shop: all is well\n"), "{}", run.stdout);
}

#[test]
fn stale_reports_are_said_first() {
    for (renewed, said) in [
        (
            lease(7_300),
            "✗ The reports are stale: last renewed 2 h ago; what follows is as of then\n",
        ),
        (
            (404, json!({"reason": "NotFound"})),
            "✗ No controller has renewed the reports: what follows may be old\n",
        ),
    ] {
        let run = status(with(&[(LEASE, renewed)]), &[]);
        assert_eq!(run.code, Some(1), "{}", run.shown());
        assert!(run.stdout.starts_with(said), "{}", run.stdout);
        let command = "kubectl logs --namespace home --selector app.kubernetes.io/component=credentials --tail 50";
        assert!(run.stdout.contains(command), "{}", run.stdout);
    }
}

#[test]
fn who_may_not_look_at_the_webhook_names_the_namespace() {
    let mut hidden = with(&[(WEBHOOKS, forbidden("it"))]);
    let run = status(hidden.clone(), &[]);
    assert_eq!(run.code, Some(0), "{}", run.shown());
    let said = "· Whether the reports are fresh could not be looked at: it is forbidden;";
    assert!(run.stdout.starts_with(said), "{}", run.stdout);
    hidden.insert(LEASE, lease(100));
    let run = status(hidden, &["--installed-in", "home"]);
    assert!(run.stdout.starts_with("✗ The reports are stale: last renewed 10"), "{}", run.stdout);
}

#[test]
fn a_cluster_without_reports_is_said_with_what_to_install() {
    let mut none = answers();
    for path in [LOGINS, NAMESPACES, SHOP] {
        none.remove(path);
    }
    for args in [&[][..], &["--namespace", "shop"]] {
        let run = status(none.clone(), args);
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{}", run.shown());
        let said =
            "pullcred: this cluster has no reports: install the chart with `reports.enabled: true`";
        assert!(run.stderr.starts_with(said), "{}", run.stderr);
    }
    let run = status(with(&[(LOGINS, list(&[])), (NAMESPACES, list(&[]))]), &[]);
    assert_eq!(run.code, Some(1), "{}", run.shown());
    assert!(run.stdout.starts_with("! There is no report yet"), "{}", run.stdout);
}

#[test]
fn what_may_not_be_seen_is_said() {
    let run = status(with(&[(LOGINS, forbidden("loginreports"))]), &[]);
    assert_eq!(run.code, Some(0), "{}", run.shown());
    let said = "· The logins could not be looked at: loginreports is forbidden\n";
    assert!(run.stdout.starts_with(said), "{}", run.stdout);
    let run = status(with(&[(NAMESPACES, forbidden("pullsecretreports"))]), &[]);
    assert_eq!(run.code, Some(1), "{}", run.shown());
    assert!(
        run.stderr.contains("name a namespace that you may view with --namespace"),
        "{}",
        run.stderr
    );
    let run = status(with(&[(SHOP, forbidden("pullsecretreports"))]), &["-n", "shop"]);
    assert!(
        run.stderr.contains("the ClusterRole `view` in the namespace is enough"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_list_comes_in_pages() {
    let page = |name: &str, next: &str| {
        let report = namespace(name, &json!({"secrets": [{"name": "acme", "state": "Missing"}]}));
        (200, json!({"kind": "List", "metadata": {"continue": next}, "items": [report]}))
    };
    let second = "/apis/pullcred.dev/v1alpha1/pullsecretreports?&limit=250&continue=a";
    let run =
        status(with(&[(NAMESPACES, page("one", "a")), (second, page("two", ""))]), &["-o", "json"]);
    assert_eq!(run.code, Some(1), "{}", run.shown());
    let value: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(value["namespaces"]["total"], 2);
    assert_eq!(value["freshness"], json!({"state": "Fresh"}));
}

#[test]
fn what_cannot_be_asked_is_a_usage_error() {
    for args in [&["status", "-n", "Shop"][..], &["status", "-o", "yaml"], &["status", "shop"]] {
        assert_eq!(run(args, "").code, Some(2), "{args:?}");
    }
}

#[test]
fn lines_are_as_long_as_the_environment_says() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/status/reports.yaml");
    let widest = |columns: &str| {
        let mut command = command(&["status", "--reports", folder]);
        let run = output(command.env("COLUMNS", columns), "");
        let lines =
            run.stdout.lines().filter(|line| !line.contains("kubectl ") && !line.contains('/'));
        lines.map(|line| line.chars().count()).max().unwrap()
    };
    assert!(widest("50") <= 50 && widest("150") > 80 && widest("none") <= 80);
}
