//! `pullcred explain` where logins fill the Secrets, through the real binary.

#![cfg(test)]

#[path = "support/api_server.rs"]
mod api_server;
#[path = "support/cli.rs"]
mod cli;
#[path = "support/snapshot.rs"]
mod snapshot;

use std::{collections::BTreeMap, fmt::Write, fs};

use api_server::ApiServer;
use base64::{Engine, prelude::BASE64_STANDARD};
use cli::run;
use serde_json::{Value, json};

const CONFIG: &str = "explain/logins/mapping.yaml";

fn snapshot(name: &str, shown: &str) {
    snapshot::snapshot("explain/logins", name, shown);
}

#[test]
fn the_login_of_a_secret_is_named() {
    let images = ["ghcr.io/acme/web:1", "quay.io/base/go:1", "own.example.com/app"];
    let args = [&["explain", "--config", CONFIG, "-n", "shop"][..], &images].concat();
    snapshot("images", &run(&args, "").shown());
    let json = run(&[&args[..], &["-o", "json"]].concat(), "");
    let lines = json.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let logins: Vec<_> = lines.map(|line| line["rules"][0].get("login").cloned()).collect();
    assert_eq!(logins, [Some(json!("acme")), Some(json!("base")), None]);
}

/// A Pod of namespace `shop` that waits for `image` and lists `secret`.
fn pod(image: &str, secret: &str) -> Value {
    let state = json!({"waiting": {"reason": "ErrImagePull", "message": "401 Unauthorized"}});
    json!({
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "containers": [{"name": "app", "image": image}], "imagePullSecrets": [{"name": secret}],
        },
        "status": {"containerStatuses": [{"name": "app", "state": state}]},
    })
}

fn secret(name: &str, is_copy: bool, config: &str) -> Value {
    let labels =
        if is_copy { json!({"app.kubernetes.io/managed-by": "pullcred"}) } else { json!({}) };
    json!({
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": BASE64_STANDARD.encode(config)},
    })
}

/// What `explain --live` shows of a Pod in namespace `shop`, which has these labels, and this Secret or none.
fn explained(pod: &Value, labels: &Value, secret: Option<Value>) -> String {
    let list =
        |kind: &str, items: Value| (200, json!({"kind": kind, "metadata": {}, "items": items}));
    let webhook = json!({
        "name": "inject.pullcred.dev", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {"service": {"namespace": "home", "name": "pullcred"}},
    });
    let configuration = json!({"metadata": {"name": "pullcred"}, "webhooks": [webhook]});
    let mut answers = BTreeMap::from([
        (
            "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations?&limit=250",
            list("MutatingWebhookConfigurationList", json!([configuration])),
        ),
        ("/api/v1/namespaces/shop/pods?&limit=250", list("PodList", json!([pod]))),
        ("/api/v1/namespaces/shop", (200, json!({"metadata": {"name": "shop", "labels": labels}}))),
    ]);
    if let Some(secret) = secret {
        let path = match secret["metadata"]["name"].as_str().unwrap() {
            "acme-pull" => "/api/v1/namespaces/shop/secrets/acme-pull",
            "base-pull" => "/api/v1/namespaces/shop/secrets/base-pull",
            name => panic!("{name}"),
        };
        answers.insert(path, (200, secret));
    }
    let server = ApiServer::start(answers);
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    fs::write(&kubeconfig, server.kubeconfig()).unwrap();
    let kubeconfig = kubeconfig.to_str().unwrap();
    let run = run(&["explain", "--config", CONFIG, "--live", "--kubeconfig", kubeconfig], "");
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{}", run.shown());
    run.stdout
}

#[test]
fn what_to_do_leads_to_the_login_and_not_to_a_secret_by_hand() {
    let enabled = json!({"pullcred.dev/inject": "enabled"});
    let prod = json!({"pullcred.dev/inject": "enabled", "tier": "prod"});
    let acme = || pod("ghcr.io/acme/web:1", "acme-pull");
    let base = || pod("quay.io/base/go:1", "base-pull");
    let quay = r#"{"auths": {"quay.io/base": {"username": "robot", "password": "canary"}}}"#;
    let other = r#"{"auths": {"ghcr.io/other": {"username": "robot", "password": "canary"}}}"#;
    let broken = r#"{"auths": {"ghcr.io": {"auth": "canary"}}}"#;
    let by_hand = "pullcred secret --registry";
    let mut shown = String::new();
    for (what, pod, labels, found, makes) in [
        ("the copy is missing", acme(), &enabled, None, false),
        ("the namespace has not opted in", acme(), &json!({}), None, false),
        ("the namespace lacks a label", base(), &enabled, None, false),
        ("it has the label", base(), &prod, None, false),
        (
            "the rule is for other namespaces",
            pod("registry.example.com/x", "elsewhere"),
            &enabled,
            None,
            true,
        ),
        ("people make it", pod("own.example.com/x", "by-hand"), &enabled, None, true),
        ("the copy opens it", base(), &prod, Some(secret("base-pull", true, quay)), false),
        (
            "the copy does not open it",
            acme(),
            &enabled,
            Some(secret("acme-pull", true, other)),
            false,
        ),
        (
            "somebody's own has the name",
            acme(),
            &enabled,
            Some(secret("acme-pull", false, other)),
            false,
        ),
        (
            "somebody's own is broken",
            acme(),
            &enabled,
            Some(secret("acme-pull", false, broken)),
            false,
        ),
    ] {
        let text = explained(&pod, labels, found);
        assert!(!text.contains("canary"), "{text}");
        assert_eq!(text.contains(by_hand), makes, "{what}: {text}");
        assert!(!text.contains("kubectl create secret"), "{text}");
        write!(shown, "# {what}\n{text}").unwrap();
    }
    snapshot("live", &shown);
}
