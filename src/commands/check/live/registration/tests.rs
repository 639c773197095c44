use k8s_openapi::api::admissionregistration::v1::MutatingWebhook;
use serde_json::{Value, json};

use super::*;

/// As the chart makes it, what clouds add included.
fn sound() -> Value {
    json!({
        "name": WEBHOOK,
        "admissionReviewVersions": ["v1"],
        "clientConfig": {"service": {
            "namespace": "home", "name": "pullcred-webhook", "path": "/mutate", "port": 443,
        }},
        "rules": [{
            "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
            "resources": ["pods"], "scope": "Namespaced",
        }],
        "failurePolicy": "Ignore", "matchPolicy": "Equivalent", "reinvocationPolicy": "IfNeeded",
        "sideEffects": "None", "timeoutSeconds": 3,
        "namespaceSelector": {"matchExpressions": [
            {"key": "pullcred.dev/inject", "operator": "In", "values": ["enabled"]},
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn",
             "values": ["kube-node-lease", "kube-public", "kube-system", "home"]},
            {"key": "control-plane", "operator": "NotIn", "values": ["true"]},
        ]},
        "objectSelector": {"matchExpressions": [
            {"key": "pullcred.dev/inject", "operator": "NotIn", "values": ["disabled"]},
        ]},
        "matchConditions": [{
            "name": "not-a-mirror-pod",
            "expression": "!('kubernetes.io/config.mirror' in object.metadata.annotations)",
        }],
    })
}

/// `severity check` of each finding, after a merge patch of the sound one.
fn found(change: &Value) -> Vec<String> {
    let mut webhook = sound();
    json_patch::merge(&mut webhook, change);
    let webhook: MutatingWebhook = serde_json::from_value(webhook).unwrap();
    let mut report = Report::default();
    judge("pullcred", &webhook, &mut report);
    let line = |line: &str| {
        let finding: Value = serde_json::from_str(line).unwrap();
        assert_eq!(finding["where"], "registration pullcred");
        format!("{} {}", finding["severity"].as_str().unwrap(), finding["check"].as_str().unwrap())
    };
    report.json().lines().map(line).collect()
}

fn rule(field: &str, value: &Value) -> Value {
    let mut rules = sound()["rules"].clone();
    rules[0][field] = value.clone();
    json!({"rules": rules})
}

fn namespaces(expressions: &Value) -> Value {
    json!({"namespaceSelector": {"matchExpressions": expressions}})
}

#[test]
fn a_sound_registration_has_no_finding() {
    assert_eq!(found(&json!({})), [""; 0]);
}

#[test]
fn rules_are_read_as_the_api_server_reads_them() {
    for (field, value) in [
        ("operations", json!(["UPDATE"])),
        ("resources", json!(["pods/status"])),
        ("resources", json!(["services"])),
        ("apiGroups", json!(["apps"])),
        ("apiVersions", json!(["v2"])),
        ("scope", json!("Cluster")),
    ] {
        let found = found(&rule(field, &value));
        assert_eq!(found[0], "error rules", "{field} {value}");
    }
    for (field, value) in [
        ("operations", json!(["CREATE", "UPDATE"])),
        ("operations", json!(["*"])),
        ("resources", json!(["pods", "pods/ephemeralcontainers"])),
        ("resources", json!(["pods/*"])),
        ("apiGroups", json!(["*"])),
    ] {
        assert_eq!(found(&rule(field, &value)), ["error rules"], "{field} {value}");
    }
    for (field, value) in [("scope", json!("*")), ("apiVersions", json!(["*"]))] {
        assert_eq!(found(&rule(field, &value)), [""; 0], "{field} {value}");
    }
}

#[test]
fn each_value_has_its_finding() {
    for (change, expected) in [
        (json!({"sideEffects": "NoneOnDryRun"}), "warning side-effects"),
        (json!({"reinvocationPolicy": null}), "warning reinvocation"),
        (json!({"timeoutSeconds": 11}), "warning timeout"),
        (json!({"admissionReviewVersions": ["v1beta1", "v1"]}), "error review-versions"),
        (json!({"matchConditions": null}), "warning match-conditions"),
        (json!({"objectSelector": null}), "error object-selector"),
        (json!({"clientConfig": {"service": {"path": null}}}), "error path"),
        (json!({"clientConfig": {"service": null, "url": "https://x/Mutate"}}), "error path"),
        (namespaces(&json!([])), "error namespace-selector"),
    ] {
        assert_eq!(found(&change)[0], expected, "{change}");
    }
    let url = json!({"clientConfig": {"service": null, "url": "https://127.0.0.1:8443/mutate"}});
    assert_eq!(found(&url), [""; 0]);
    let labelled_pods = json!({"objectSelector": {"matchLabels": {"tier": "front"}}});
    assert_eq!(found(&labelled_pods), ["note object-selector"]);
}

#[test]
fn selectors_are_judged_by_what_they_select() {
    let label = json!({"key": "pullcred.dev/inject", "operator": "In", "values": ["enabled"]});
    let by_name = |operator: &str, names: &[&str]| json!({"key": "kubernetes.io/metadata.name", "operator": operator, "values": names});
    let all = ["kube-node-lease", "kube-public", "kube-system", "home"];
    let error = ["error namespace-selector"];
    for (expressions, expected) in [
        (json!([label, by_name("In", &["shop"])]), &[][..]),
        (json!([label, by_name("NotIn", &all[..3])]), &error),
        (json!([label]), &error),
        (json!([by_name("NotIn", &all)]), &error),
        (json!([by_name("NotIn", &all), {"key": INJECT_LABEL, "operator": "Exists"}]), &error),
        (
            json!([by_name("NotIn", &all), {"key": INJECT_LABEL, "operator": "In", "values": ["on"]}]),
            &error,
        ),
    ] {
        assert_eq!(found(&namespaces(&expressions)), expected, "{expressions}");
    }
    let mut fails = namespaces(&json!([label]));
    fails["failurePolicy"] = "Fail".into();
    assert_eq!(found(&fails), error);
    let by_label = json!({"namespaceSelector": {
        "matchLabels": {INJECT_LABEL: OPTED_IN}, "matchExpressions": [by_name("NotIn", &all)],
    }});
    assert_eq!(found(&by_label), [""; 0]);
}

/// What is beside pullcred's webhook, or elsewhere, sees what it should not.
#[test]
fn a_configuration_that_somebody_else_changed_is_an_error() {
    let found = |webhooks: Value, release: Option<&str>, named: bool| {
        let annotations = release.map(|it| json!({"meta.helm.sh/release-namespace": it}));
        let configuration = json!({
            "metadata": {"name": "pullcred", "annotations": annotations}, "webhooks": webhooks,
        });
        let mut report = Report::default();
        judge_whole(&serde_json::from_value(configuration).unwrap(), named, &mut report);
        report.json()
    };
    let changed = |change: Value| {
        let mut webhook = sound();
        json_patch::merge(&mut webhook, &change);
        webhook
    };
    let elsewhere = changed(json!({
        "clientConfig": {"service": null, "url": "https://thief.example/\u{1b}[2J"},
    }));
    let beside = changed(json!({"name": "all.thief.example"}));
    for (webhooks, release, named, part) in [
        (json!([sound()]), None, false, ""),
        (json!([sound()]), Some("home"), false, ""),
        (json!([sound()]), Some("other"), false, "\"service\",\"where\":\"registration pullcred\""),
        (json!([elsewhere]), None, false, "\"service\",\"where\":\"registration pullcred\""),
        (json!([elsewhere]), None, true, ""),
        (
            json!([sound(), beside]),
            None,
            false,
            "\"registration\",\"where\":\"registration pullcred\"",
        ),
        (json!([beside]), None, true, ""),
    ] {
        let found = found(webhooks, release, named);
        assert_eq!(found.lines().count(), usize::from(!part.is_empty()), "{found}");
        assert!(
            found.contains(part) && (part.is_empty() || found.contains("\"error\"")),
            "{found}"
        );
        assert!(!found.contains('\u{1b}'), "{found}");
    }
}
