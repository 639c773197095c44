//! What the schema of the values refuses, and that it knows every value.

use std::{collections::BTreeSet, fs};

use pullcred::core::rules::RegistryPattern;
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
            r#"--set-json=mapping.rules=[{"registry":"quay.io","secret":"s"}]"#,
            "additional properties 'registry' not allowed",
        ),
        (
            r#"--set-json=mapping.rules=[{"registries":["quay.io"],"secret":"Not_A_Name"}]"#,
            "/mapping/rules/0/secret",
        ),
        (
            r#"--set-json=mapping.rules=[{"registries":["quay.io"],"secret":"s","login":"A B"}]"#,
            "/mapping/rules/0/login",
        ),
        (
            r#"--set-json=mapping.rules=[{"registries":["quay.io"],"secret":"s","namespaceLabels":{"on":true}}]"#,
            "/mapping/rules/0/namespaceLabels/on': got boolean, want string",
        ),
        ("--set-json=mapping.discover={}", "/mapping/discover': missing property 'namespaces'"),
        (r#"--set-json=mapping.discover={"namespaces":[]}"#, "/mapping/discover/namespaces"),
        ("--set=discovery.enabled=yes", "/discovery/enabled"),
        ("--set=reports.crd=false", "additional properties 'crd' not allowed"),
        (
            r#"--set-json=mapping.logins=[{"name":"acme"}]"#,
            "/mapping/logins/0': minProperties: got 1, want 2",
        ),
        (
            r#"--set-json=mapping.logins=[{"name":"acme","secret":"s","password":"p"}]"#,
            "additional properties 'password' not allowed",
        ),
        (
            r#"--set-json=mapping.rules=[{"registries":["quay.io"],"secret":"s","whenMissing":"drop"}]"#,
            "/mapping/rules/0/whenMissing",
        ),
        ("--set-json=mapping.logins=[]", "/mapping/logins': minItems: got 0, want 1"),
        ("--set=credentials.grace=10", "/credentials/grace"),
        ("--set=credentials.secretNames={Not_A_Name}", "/credentials/secretNames/0"),
        ("--set=credentials.serviceAccount.create=false", "/credentials/serviceAccount/name"),
    ] {
        let refusal = refusal(&[argument]);
        assert!(refusal.contains(words), "{argument}: {refusal}");
    }
}

#[test]
fn what_the_templates_refuse_says_what_to_write() {
    for (arguments, words) in [
        (
            &["--set=image.registry="][..],
            "image.registry is required: no image of pullcred is published yet. Build one (make image), push it to a \
             registry of yours, and write its place as image.registry and image.repository: see docs/install.md",
        ),
        (
            &["--set=tests.enabled=false"][..],
            "the mapping is empty, and pullcred doesn't start with an empty one: write mapping.rules",
        ),
        (
            &["--set=mappingFrom.configMap=mine", "--set=mapping.always={debug}"],
            "both mapping and mappingFrom.configMap are set",
        ),
        (
            &["--namespace=kube-system"],
            "pullcred doesn't go into kube-system: its ResourceQuota, priority and policies are for a namespace of its own. \
             Write --namespace pullcred --create-namespace",
        ),
        (
            &["--set=webhook.hostNetwork=true,webhook.ports.https=10250"],
            "port 10250 of each node is the kubelet's: choose another for webhook.ports",
        ),
        (
            &["--set=webhook.hostNetwork=true,webhook.ports.admin=10250"],
            "port 10250 of each node is the kubelet's: choose another for webhook.ports",
        ),
        (
            &[
                "--set=certificates.mode=existingSecret,certificates.existingSecret.name=pullcred-cm-tls",
                "--set=certificates.existingSecret.caBundle=",
            ],
            "pullcred-cm-tls is the name of a Secret of another certificates.mode: choose another",
        ),
    ] {
        let refusal = refusal(arguments);
        assert!(refusal.contains(words), "{arguments:?}: {refusal}");
    }
}

/// RBAC reads an empty list of names as all names, so logins without a copy must never render.
#[test]
fn logins_that_would_make_wrong_objects_are_refused_in_words() {
    let mapping = |logins: &str, rule: &str| {
        format!(
            r#"--set-json=mapping={{"logins":[{logins}],"rules":[{{"registries":["quay.io"],"secret":"s"{rule}}}]}}"#
        )
    };
    let acme = r#"{"name":"acme","secret":"robot"}"#;
    for (mapping, words) in [
        (
            mapping(acme, ""),
            "mapping.logins: no rule uses one: write login: acme in the rules whose Secret it fills",
        ),
        (
            mapping(acme, r#","namespaces":["a"],"login":"other""#),
            "mapping.rules[0].login: there is no login other: write it under mapping.logins, as {name: other, secret:",
        ),
        (
            mapping(acme, r#","login":"acme""#),
            "mapping.rules[0]: a rule with a login says where its Secret is made: write namespaces",
        ),
        (
            mapping(acme, r#","namespaceLabels":{"tier":"prod"}"#),
            "mapping.rules[0].namespaceLabels say where a login fills the rule's Secret, and the rule has no login",
        ),
    ] {
        let refusal = refusal(&[&mapping]);
        assert!(refusal.contains(words), "{mapping}: {refusal}");
    }
    let from = "--set=mappingFrom.configMap=mine";
    let names = "--set=credentials.secretNames={s},credentials.loginSecretNames={robot}";
    for (arguments, words) in [
        (
            &[from, "--set=credentials.secretNames={s}"][..],
            "credentials.loginSecretNames is not: write the names of the logins' Secrets there",
        ),
        (
            &[from, "--set=credentials.loginSecretNames={robot}"],
            "credentials.secretNames is not: write the names of the copies there",
        ),
        (
            &[from, names, "--set=mappingFrom.key=mapping.yaml"],
            "mappingFrom.key is mapping.yaml, and the credentials controller reads the key pullcred.yaml",
        ),
        (&[names], "the chart takes these names from mapping, so leave both out"),
        (
            &[from, "--set=discovery.enabled=true,mappingFrom.key=mapping.yaml"],
            "mappingFrom.key is mapping.yaml, and the credentials controller reads the key pullcred.yaml",
        ),
        (
            &["--set=discovery.enabled=false"],
            "discovery.enabled is for mappingFrom alone: the chart takes it from mapping.discover, so leave it out",
        ),
        (
            &["--set=mapping.discover.namespaces={a},reports.enabled=false"],
            "the mapping has discover, and reports.enabled is false: what is found reaches the webhook by reports alone",
        ),
        (
            &["--set=discovery.allNamespaces=true"],
            r#"write mapping.discover, such as {namespaces: ["sandbox-*"]}, or leave discovery.allNamespaces out"#,
        ),
        (
            &[from, "--set=discovery.allNamespaces=true"],
            "write discovery.enabled: true, or leave discovery.allNamespaces out",
        ),
        (
            &["--set=webhook.enabled=false"],
            "without logins there is no credentials controller: nothing would be left. Write mapping.logins",
        ),
        (
            &["--set=webhook.enabled=false", from],
            "nothing would be left. Write credentials.secretNames and credentials.loginSecretNames",
        ),
    ] {
        let refusal = refusal(arguments);
        assert!(refusal.contains(words), "{arguments:?}: {refusal}");
    }
}

/// What the schema can't say, since its messages are patterns. Everything else is refused by the hook that reads the mapping.
#[test]
fn a_registry_that_the_webhook_refuses_is_refused_in_words() {
    for (registry, words) in [
        ("https://quay.io", "has a scheme: write quay.io"),
        ("quay.io/acme/app:1.2", "has a tag: write quay.io/acme/app, which covers all its tags"),
        ("registry:5000/app:1", "has a tag: write registry:5000/app"),
        (
            "quay.io/*",
            "has a * in its path: a path covers all that is below it, so leave it out: quay.io",
        ),
        ("quay.io/acme/app-*", "so leave it out: quay.io/acme"),
        ("quay.io ", "has white space in it"),
        ("quay.io/acme\\tapp", "has white space in it"),
        ("robot@quay.io", "has an @: leave out user name and digest"),
        ("quay.io/app@sha256:00", "has an @: leave out user name and digest"),
    ] {
        let rules = format!(
            r#"--set-json=mapping.rules=[{{"registries":["quay.io"],"secret":"s"}},{{"registries":["{registry}"],"secret":"s"}}]"#
        );
        let refusal = refusal(&[&rules]);
        assert!(refusal.contains("mapping.rules[1].registries"), "{registry}: {refusal}");
        assert!(refusal.contains(words), "{registry}: {refusal}");
        let text = registry.replace("\\t", "\t");
        assert!(text.parse::<RegistryPattern>().is_err(), "the webhook takes {registry}");
    }
    for registry in
        ["quay.io", "*.example.com", "registry:5000/a/b", "*.a.io:5000", "[fd00::1]:5000/x"]
    {
        assert!(registry.parse::<RegistryPattern>().is_ok(), "the webhook refuses {registry}");
        render(&[&format!(
            r#"--set-json=mapping.rules=[{{"registries":["{registry}"],"secret":"s"}}]"#
        )]);
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
    let both = refusal(&[fail, "--set=webhook.podDisruptionBudget.maxUnavailable=100%"]);
    assert!(
        both.contains("/webhook/podDisruptionBudget/maxUnavailable': value must be 1"),
        "{both}"
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
    for role in ["webhook", "controller", "credentials"] {
        schema["properties"][role]["properties"]["serviceAccount"] = account.clone();
    }

    let (mut written, mut known) = (BTreeSet::new(), BTreeSet::new());
    keys(&values, "", Value::as_object, &mut written);
    keys(&schema, "", |schema| schema.get("properties")?.as_object(), &mut known);
    // Left to who installs: a parent chart's condition, and fields that have no default.
    let discover = ["mapping.discover", "mapping.discover.namespaces"];
    let optional = ["enabled", "mapping.always", "mapping.logins", discover[0], discover[1]];
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
