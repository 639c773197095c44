//! What a release refuses because of another one that the cluster has already.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    api_server::ApiServer,
    helm::{LOGINS, template},
};

const ADMISSION: &str = "admissionregistration.k8s.io/v1";
const RBAC: &str = "rbac.authorization.k8s.io/v1";

/// Why the templates refuse a cluster with these objects; nothing where they render.
fn refusal(configurations: &Value, roles: &Value, arguments: &[&str]) -> Option<String> {
    let group = |version: &str| {
        let version = json!({"groupVersion": version, "version": "v1"});
        let name = version["groupVersion"].as_str().unwrap().trim_end_matches("/v1").to_owned();
        json!({"name": name, "versions": [version], "preferredVersion": version})
    };
    let resources = |version: &str, name: &str, kind: &str| {
        json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version,
            "resources": [{"name": name, "singularName": "", "namespaced": false, "kind": kind, "verbs": ["get", "list"]}],
        })
    };
    let list = |version: &str, kind: &str, items: &Value| json!({"kind": kind, "apiVersion": version, "items": items});
    let version = json!({"major": "1", "minor": "37", "gitVersion": "v1.37.2"});
    let answers = [
        ("/version", version.clone()),
        ("/version?timeout=32s", version),
        ("/api?timeout=32s", json!({"kind": "APIVersions", "versions": ["v1"]})),
        (
            "/api/v1?timeout=32s",
            json!({"kind": "APIResourceList", "groupVersion": "v1", "resources": []}),
        ),
        (
            "/apis?timeout=32s",
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group(ADMISSION), group(RBAC)]}),
        ),
        (
            "/apis/admissionregistration.k8s.io/v1?timeout=32s",
            resources(ADMISSION, "mutatingwebhookconfigurations", "MutatingWebhookConfiguration"),
        ),
        (
            "/apis/rbac.authorization.k8s.io/v1?timeout=32s",
            resources(RBAC, "clusterroles", "ClusterRole"),
        ),
        (
            "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
            list(ADMISSION, "MutatingWebhookConfigurationList", configurations),
        ),
        ("/apis/rbac.authorization.k8s.io/v1/clusterroles", list(RBAC, "ClusterRoleList", roles)),
    ];
    let answers: BTreeMap<_, _> =
        answers.into_iter().map(|(path, answer)| (path, (200, answer))).collect();
    let server = ApiServer::start(answers);
    let kubeconfig = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(kubeconfig.path(), server.kubeconfig()).unwrap();
    let kubeconfig = format!("--kubeconfig={}", kubeconfig.path().display());
    let asks = ["--dry-run=server", &kubeconfig];
    let output = template(&[&asks, arguments].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    // What is rendered has kinds that this cluster does not know.
    let rendered = said.contains("unable to build kubernetes objects from release manifest");
    assert!(rendered || said.contains("execution error at"), "{said}");
    (!rendered).then_some(said)
}

fn role(name: &str, chart: &str, component: &str, secret: &str) -> Value {
    json!({
        "apiVersion": RBAC, "kind": "ClusterRole",
        "metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/component": component, "helm.sh/chart": chart},
        },
        "rules": [
            {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list"]},
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["first", secret], "verbs": ["get"]},
        ],
    })
}

#[test]
fn two_releases_keep_no_copies_of_one_name() {
    let theirs = "other-credentials";
    let none = json!([]);
    let refused =
        refusal(&none, &json!([role(theirs, "pullcred-9.9.9", "credentials", "acme")]), &[LOGINS]);
    let words = "another release of pullcred keeps copies named acme already, by ClusterRole other-credentials";
    assert!(refused.as_ref().is_some_and(|it| it.contains(words)), "{refused:?}");
    // Of another name, of the release itself, of something else, without labels or rules.
    for roles in [
        json!([role(theirs, "pullcred-9.9.9", "credentials", "other")]),
        json!([role("pullcred-credentials", "pullcred-9.9.9", "credentials", "acme")]),
        json!([role(theirs, "vault-9.9.9", "credentials", "acme")]),
        json!([role(theirs, "pullcred-9.9.9", "controller", "acme")]),
        json!([{"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": "plain"}, "rules": null}]),
    ] {
        assert_eq!(refusal(&none, &roles, &[LOGINS]), None, "{roles}");
    }
    let theirs = json!([role(theirs, "pullcred-9.9.9", "credentials", "acme")]);
    assert_eq!(refusal(&none, &theirs, &[]), None, "a release without logins");
}

#[test]
fn two_webhooks_are_one_too_many() {
    let theirs = json!([{
        "apiVersion": ADMISSION, "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "theirs"}, "webhooks": [{"name": "inject.pullcred.dev"}],
    }]);
    let none = json!([]);
    let refused = refusal(&theirs, &none, &[LOGINS]);
    let words = "this cluster has pullcred already, as MutatingWebhookConfiguration theirs";
    assert!(refused.as_ref().is_some_and(|it| it.contains(words)), "{refused:?}");
    let alone = "--set=webhook.enabled=false";
    assert_eq!(refusal(&theirs, &none, &[LOGINS, alone]), None, "a release without a webhook");
    let mut other = theirs;
    other[0]["webhooks"][0]["name"] = "inject.example.com".into();
    assert_eq!(refusal(&other, &none, &[]), None);
}
