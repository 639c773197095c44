//! What the schema of the values refuses, and that it knows every value.

use std::{collections::BTreeSet, fs};

use serde_json::{Map, Value};

use crate::helm::{refusal, render, repository};

#[test]
fn slips_of_the_pen_are_refused() {
    for (argument, words) in [
        ("--set=webhok.replicas=3", "additional properties 'webhok' not allowed"),
        ("--set=webhook.replica=3", "additional properties 'replica' not allowed"),
        ("--set=certificates.mode=selfSigned", "/certificates/mode"),
        ("--set=registration.failurePolicy=Fial", "/registration/failurePolicy"),
        ("--set=registration.timeoutSeconds=31", "/registration/timeoutSeconds"),
        ("--set=image.digest=abc", "/image/digest"),
        ("--set=image.repository=ghcr.io/Acme/x", "/image/repository"),
        ("--set=bindAddress=localhost", "/bindAddress"),
        (
            "--set=webhook.podDisruptionBudget.maxUnavailable=half",
            "/webhook/podDisruptionBudget/maxUnavailable",
        ),
        ("--set=imagePullSecrets={plain}", "/imagePullSecrets/0"),
        ("--set=networkPolicy.apiServerCIDRs={10.0.0.1}", "/networkPolicy/apiServerCIDRs/0"),
        ("--set=optInPolicy.validationActions={Refuse}", "/optInPolicy/validationActions/0"),
        ("--set=controller.serviceAccount.create=false", "/controller/serviceAccount/name"),
        ("--set=certificates.mode=existingSecret", "/certificates/existingSecret/name"),
        (
            r#"--set-json=mapping.rules=[{"registries":["https://quay.io"],"secret":"s"}]"#,
            "/mapping/rules/0/registries/0",
        ),
        (
            r#"--set-json=mapping.rules=[{"registry":"quay.io","secret":"s"}]"#,
            "additional properties 'registry' not allowed",
        ),
        (
            r#"--set-json=mapping.rules=[{"registries":["quay.io"],"secret":"Not_A_Name"}]"#,
            "/mapping/rules/0/secret",
        ),
    ] {
        let refusal = refusal(&[argument]);
        assert!(refusal.contains(words), "{argument}: {refusal}");
    }
}

#[test]
fn what_the_templates_refuse_says_what_to_write() {
    for (arguments, words) in [
        (
            &["--set=tests.enabled=false"][..],
            "the mapping is empty, and pullcred doesn't start with an empty one: write mapping.rules",
        ),
        (
            &["--set=mappingFrom.configMap=mine", "--set=mapping.always={debug}"],
            "both mapping and mappingFrom.configMap are set",
        ),
    ] {
        let refusal = refusal(arguments);
        assert!(refusal.contains(words), "{arguments:?}: {refusal}");
    }
}

#[test]
fn refusing_pods_takes_two_replicas_and_a_budget() {
    let fail = "--set=registration.failurePolicy=Fail";
    assert!(render(&[fail]).contains("failurePolicy: Fail"));
    assert!(
        refusal(&[fail, "--set=webhook.replicas=1"])
            .contains("/webhook/replicas': minimum: got 1, want 2")
    );
    let without = refusal(&[fail, "--set=webhook.podDisruptionBudget.enabled=false"]);
    assert!(
        without.contains("/webhook/podDisruptionBudget/enabled': value must be true"),
        "{without}"
    );
    // A null takes the default away, and must not take the condition with it.
    assert!(refusal(&[fail, "--set=webhook.replicas=null"]).contains("/webhook"));
}

/// The keys of a tree, as `a.b.c`; `below` gives what is below a node.
fn keys(
    tree: &Value,
    prefix: &str,
    below: fn(&Value) -> Option<&Map<String, Value>>,
    found: &mut BTreeSet<String>,
) {
    for (key, value) in below(tree).into_iter().flatten() {
        let name = format!("{prefix}{key}");
        keys(value, &format!("{name}."), below, found);
        found.insert(name);
    }
}

#[test]
fn the_schema_knows_the_values_and_no_others() {
    let read =
        |file: &str| fs::read_to_string(repository().join("charts/pullcred").join(file)).unwrap();
    let values: Value = serde_saphyr::from_str(&read("values.yaml")).unwrap();
    let mut schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    let account = schema["definitions"]["serviceAccount"].clone();
    for role in ["webhook", "controller"] {
        schema["properties"][role]["properties"]["serviceAccount"] = account.clone();
    }

    let (mut written, mut known) = (BTreeSet::new(), BTreeSet::new());
    keys(&values, "", Value::as_object, &mut written);
    keys(&schema, "", |schema| schema.get("properties")?.as_object(), &mut known);
    // Left to whoever installs: a parent chart's condition, and fields that have no default.
    let optional = ["enabled", "mapping.always"];
    let issuer = "certificates.certManager.issuerRef.";
    let unwritten: Vec<_> = known
        .difference(&written)
        .filter(|key| !optional.contains(&key.as_str()) && !key.starts_with(issuer))
        .collect();
    assert!(unwritten.is_empty(), "in the schema, but not in values.yaml: {unwritten:?}");
    // Kubernetes's own objects are passed on: the schema says that they are objects, and no more.
    let passed_on = ["podSecurityContext.", "securityContext.", ".resources.", ".labels."];
    let unknown: Vec<_> = written
        .difference(&known)
        .filter(|key| !passed_on.iter().any(|part| key.contains(part)))
        .collect();
    assert!(unknown.is_empty(), "in values.yaml, but not in the schema: {unknown:?}");
}
