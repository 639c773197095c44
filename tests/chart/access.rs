//! Who may do what.

use crate::{
    helm::{LOGINS, examples, objects},
    object::{Object, find},
};

fn rules(objects: &[Object]) -> impl Iterator<Item = (&str, Object)> {
    objects
        .iter()
        .filter(|object| matches!(object.kind(), "Role" | "ClusterRole"))
        .flat_map(|role| role.items("/rules").map(|rule| (role.name(), rule)))
}

#[test]
fn every_right_is_on_named_objects() {
    let mut on_secrets = 0;
    for (example, values) in examples() {
        for (role, rule) in rules(&objects(&[&values])) {
            let everything =
                ["/apiGroups", "/resources", "/verbs"].map(|list| rule.texts(list)).concat();
            assert!(!everything.contains(&"*"), "{example}: {role}: {rule:?}");
            on_secrets += usize::from(rule.texts("/resources").contains(&"secrets"));
            // These have no names: to grant opting in is to grant it for all namespaces, namespaces are found by their label,
            // Events get their names from the API server, reports are pullcred's own, and discovery looks for Secrets of any name.
            // Who gets that right, is for the administrator of each namespace. The audit looks for Pods.
            let nameless = matches!(
                (
                    rule.texts("/resources")[..].join(" ").as_str(),
                    rule.texts("/verbs")[..].join(" ").as_str()
                ),
                (
                    "namespaces" | "pullsecretreports" | "loginreports pullsecretreports",
                    "get list watch"
                ) | ("loginreports pullsecretreports", "get list watch create patch delete")
                    | ("optins", "use")
                    | ("events", "create")
                    | ("secrets", "get list")
                    | ("pods", "list")
            );
            assert_eq!(
                rule.texts("/resourceNames").is_empty(),
                nameless,
                "{example}: {role}: {rule:?}"
            );
        }
    }
    assert!(on_secrets > 0, "no example has a rule on Secrets");
}

/// Each right as a line, sorted.
pub(crate) fn rights(objects: &[Object]) -> Vec<String> {
    let mut rights: Vec<_> = rules(objects)
        .map(|(role, rule)| {
            let [verbs, resources, names] =
                ["/verbs", "/resources", "/resourceNames"].map(|list| rule.texts(list).join(" "));
            format!("{role}: {verbs} on {resources} {names}").trim_end().to_owned()
        })
        .collect();
    rights.sort_unstable();
    rights
}

#[test]
fn the_rights_are_these() {
    assert_eq!(
        rights(&objects(&[])),
        [
            "pullcred-controller: get list watch create patch on secrets pullcred-ca pullcred-tls",
            "pullcred-controller: get list watch patch on mutatingwebhookconfigurations pullcred",
            "pullcred-helm-test: create patch on pods pullcred-helm-test",
            "pullcred-unregister: get delete on mutatingwebhookconfigurations pullcred",
        ]
    );
}

/// With reports it has a token, for what it reads of them. Otherwise it has neither.
#[test]
fn the_webhook_has_a_token_for_reports_alone() {
    for (example, values) in examples() {
        let objects = objects(&[&values]);
        let of_webhook =
            |object: &&Object| object.kind() == "Deployment" && object.name().ends_with("-webhook");
        let Some(webhook) = objects.iter().find(of_webhook) else {
            assert_eq!(example, "credentials-alone");
            continue;
        };
        let reports = objects.iter().any(|object| object.kind() == "CustomResourceDefinition");
        let account = webhook.text("/spec/template/spec/serviceAccountName");
        let token = webhook.at("/spec/template/spec/automountServiceAccountToken");
        assert_eq!(token, reports, "{example}");
        let mut bound = Vec::new();
        for binding in objects.iter().filter(|object| object.kind().ends_with("RoleBinding")) {
            if binding.items("/subjects").any(|it| it.text("/name") == account) {
                bound.push(binding.clone());
            }
        }
        let roles = |binding: &Object| {
            let (kind, name) = (binding.text("/roleRef/kind"), binding.text("/roleRef/name"));
            find(&objects, kind, name).clone()
        };
        let rights = rights(&bound.iter().map(roles).collect::<Vec<_>>());
        let name = webhook.name();
        let expected = [
            format!("{name}: get list watch on leases pullcred-reports"),
            format!("{name}: get list watch on pullsecretreports"),
        ];
        assert_eq!(rights, if reports { &expected[..] } else { &[] }, "{example}");
    }
}

#[test]
fn no_secret_is_in_the_chart() {
    for (example, values) in examples() {
        assert!(objects(&[&values]).iter().all(|object| object.kind() != "Secret"), "{example}");
    }
}

#[test]
fn bindings_are_of_roles_and_accounts_that_are_there() {
    for (example, values) in examples() {
        let objects = objects(&[&values]);
        for binding in objects.iter().filter(|object| object.kind().ends_with("RoleBinding")) {
            let role = find(&objects, binding.text("/roleRef/kind"), binding.text("/roleRef/name"));
            assert!(role.at("/rules").is_array(), "{example}");
            for subject in binding.items("/subjects") {
                if subject.kind() == "ServiceAccount" {
                    find(&objects, "ServiceAccount", subject.text("/name"));
                }
            }
        }
    }
}

#[test]
fn with_a_job_that_publishes_nothing_that_stays_may_patch() {
    let objects = objects(&["--set=certificates.self.publish=job"]);
    let patches: Vec<_> = rules(&objects)
        .filter(|(_, rule)| rule.texts("/resources") == ["mutatingwebhookconfigurations"])
        .map(|(role, rule)| format!("{role}: {}", rule.texts("/verbs").join(" ")))
        .collect();
    assert_eq!(
        patches,
        [
            "pullcred-controller: get list watch",
            "pullcred-publish: get patch",
            "pullcred-unregister: get delete",
        ]
    );
    // Its rights, and who has them, go with the Job.
    let hooks: Vec<_> =
        objects.iter().filter(|object| object.name() == "pullcred-publish").collect();
    assert_eq!(hooks.len(), 6);
    for hook in hooks {
        let annotation =
            |name: &str| hook.text(&format!("/metadata/annotations/helm.sh~1hook{name}"));
        assert_eq!(annotation(""), "post-install,post-upgrade,post-rollback");
        let policy = annotation("-delete-policy");
        assert!(policy.contains("hook-succeeded"), "{}: {policy}", hook.kind());
        assert_eq!(policy.contains("hook-failed"), hook.kind() != "Job", "{}", hook.kind());
    }
    let policy = find(&objects, "NetworkPolicy", "pullcred-controller");
    let components = policy.texts("/spec/podSelector/matchExpressions/0/values");
    assert!(components.contains(&"publish"), "{components:?}");
}

#[test]
fn a_policy_keeps_the_controller_to_certificates() {
    let objects = objects(&[]);
    let policy = find(&objects, "ValidatingAdmissionPolicy", "pullcred-controller");
    assert_eq!(
        policy.text("/spec/matchConditions/0/expression"),
        "request.userInfo.username == 'system:serviceaccount:pullcred:pullcred-controller'"
    );
    assert_eq!(policy.text("/spec/failurePolicy"), "Fail");
    // Type, annotations, labels, owners and finalizers, keys: tests/cluster tries each on a real API server.
    assert_eq!(policy.items("/spec/validations").count(), 5);
    let binding = find(&objects, "ValidatingAdmissionPolicyBinding", "pullcred-controller");
    assert_eq!(binding.texts("/spec/validationActions"), ["Deny"]);
}

#[test]
fn opting_in_is_guarded_where_labels_can_be_changed() {
    let objects = objects(&["--set=optInPolicy.enabled=true"]);
    let policy = find(&objects, "ValidatingAdmissionPolicy", "pullcred-opt-in");
    assert_eq!(
        policy.texts("/spec/matchConstraints/resourceRules/0/resources"),
        ["namespaces", "namespaces/status", "namespaces/finalize"]
    );
    assert_eq!(
        policy.texts("/spec/matchConstraints/resourceRules/0/operations"),
        ["CREATE", "UPDATE"]
    );
    assert_eq!(policy.text("/spec/failurePolicy"), "Fail");
}

#[test]
fn subjects_have_the_group_that_the_api_server_would_add() {
    let objects = objects(&[
        "--set=optInPolicy.enabled=true",
        r#"--set-json=optInPolicy.subjects=[{"kind":"Group","name":"a"},{"kind":"ServiceAccount","name":"b","namespace":"c"}]"#,
    ]);
    let binding = find(&objects, "ClusterRoleBinding", "pullcred-opt-in");
    assert_eq!(binding.at("/subjects/0/apiGroup"), "rbac.authorization.k8s.io");
    assert!(binding.at("/subjects/1/apiGroup").is_null());
}

#[test]
fn the_webhook_connects_to_nothing() {
    let objects = objects(&[]);
    let policy = find(&objects, "NetworkPolicy", "pullcred-webhook");
    assert_eq!(policy.texts("/spec/policyTypes"), ["Ingress", "Egress"]);
    // No rule is the same as an empty list, which the API server does not store.
    assert!(policy.at("/spec/egress").is_null());
}

/// Not even with reports to anything but the API server, as the controllers.
#[test]
fn with_reports_the_webhook_connects_to_the_api_server() {
    let objects = objects(&[LOGINS, "--set=networkPolicy.apiServerCIDRs={192.0.2.1/32}"]);
    let policy = find(&objects, "NetworkPolicy", "pullcred-webhook");
    let controllers = find(&objects, "NetworkPolicy", "pullcred-controller");
    assert_eq!(policy.texts("/spec/policyTypes"), ["Ingress", "Egress"]);
    assert!(policy.at("/spec/egress/0/ports/0/port").is_number());
    assert_eq!(policy.at("/spec/egress"), controllers.at("/spec/egress"));
}
