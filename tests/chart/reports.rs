//! Reports: what the chart installs for them, and when.

use std::collections::BTreeSet;

use pullcred::core::reports::LEASE;
use serde_json::json;

use crate::{
    access::rights,
    definitions::{LOGIN_REPORTS, PULL_SECRET_REPORTS},
    helm::{ALONE, LOGINS, objects, render},
    object::{Object, find},
};

const OFF: &str = "--set=reports.enabled=false";

fn names(objects: &[Object]) -> BTreeSet<String> {
    objects.iter().map(|object| format!("{}/{}", object.kind(), object.name())).collect()
}

/// What reports bring, beside what is there without them.
#[test]
fn reports_bring_these_objects_and_change_these() {
    let (with, without) = (objects(&[LOGINS]), objects(&[LOGINS, OFF]));
    let (there, before) = (names(&with), names(&without));
    assert!(before.is_subset(&there), "{:?}", before.difference(&there));
    assert_eq!(
        there.difference(&before).map(String::as_str).collect::<Vec<_>>(),
        [
            "ClusterRole/pullcred-reports-view",
            "ClusterRole/pullcred-webhook",
            "ClusterRoleBinding/pullcred-webhook",
            "CustomResourceDefinition/loginreports.pullcred.dev",
            "CustomResourceDefinition/pullsecretreports.pullcred.dev",
            "Role/pullcred-webhook",
            "RoleBinding/pullcred-webhook",
        ]
    );
    let changed: Vec<_> = without.iter().filter(|object| !with.contains(object)).cloned().collect();
    assert_eq!(
        names(&changed).iter().map(String::as_str).collect::<Vec<_>>(),
        [
            "ClusterRole/pullcred-credentials",
            "Deployment/pullcred-credentials",
            "Deployment/pullcred-webhook",
            "NetworkPolicy/pullcred-webhook",
            "Role/pullcred-credentials",
        ]
    );
}

/// Where there is nothing to report, the value changes nothing.
#[test]
fn a_mapping_without_logins_and_discover_has_no_reports() {
    for arguments in
        [&[][..], &["--set=mapping.always={debug}"], &["--set=mappingFrom.configMap=x"]]
    {
        let off: Vec<_> = arguments.iter().copied().chain([OFF]).collect();
        assert_eq!(render(arguments), render(&off), "{arguments:?}");
        assert!(!render(arguments).contains("report"), "{arguments:?}");
    }
}

#[test]
fn with_a_mapping_of_ones_own_names_or_discovery_bring_reports() {
    let from = "--set=mappingFrom.configMap=mine";
    let copies = "--set=credentials.secretNames={a},credentials.loginSecretNames={b}";
    let discovery = "--set=discovery.enabled=true";
    for (arguments, expected) in [
        (&[from][..], false),
        (&[from, copies], true),
        (&[from, discovery], true),
        (&[from, "--set=discovery.enabled=false"], false),
        (&[from, copies, OFF], false),
        (&[ALONE], true),
    ] {
        let there = names(&objects(arguments));
        let definition = format!("CustomResourceDefinition/{LOGIN_REPORTS}");
        assert_eq!(there.contains(&definition), expected, "{arguments:?}");
    }
}

#[test]
fn definitions_can_be_left_out_alone() {
    let all = names(&objects(&[LOGINS]));
    let without = names(&objects(&[LOGINS, "--set=reports.crds=false"]));
    let expected =
        [LOGIN_REPORTS, PULL_SECRET_REPORTS].map(|name| format!("CustomResourceDefinition/{name}"));
    assert_eq!(all.difference(&without).cloned().collect::<Vec<_>>(), expected);
    assert!(without.is_subset(&all));
}

/// Who may view a namespace may view its report, and nothing of a login.
#[test]
fn viewers_of_a_namespace_read_its_report() {
    let objects = objects(&[LOGINS]);
    let role = find(&objects, "ClusterRole", "pullcred-reports-view");
    assert_eq!(
        role.at("/metadata/labels/rbac.authorization.k8s.io~1aggregate-to-view"),
        &json!("true")
    );
    assert_eq!(
        rights(std::slice::from_ref(role)),
        ["pullcred-reports-view: get list watch on pullsecretreports"]
    );
}

#[test]
fn the_lease_is_the_one_of_the_code() {
    let objects = objects(&[LOGINS]);
    for name in ["pullcred-webhook", "pullcred-credentials"] {
        let role = find(&objects, "Role", name);
        let mut rules = role.items("/rules");
        let lease = rules.find(|it| it.texts("/resources") == ["leases"]).unwrap();
        assert_eq!(lease.texts("/resourceNames"), [LEASE]);
        assert_eq!(lease.texts("/apiGroups"), ["coordination.k8s.io"]);
    }
}

/// A mapping with `discover` alone has the controller, with no right to any Secret: each namespace's administrator grants that.
#[test]
fn discovery_alone_brings_the_controller_without_a_right_on_secrets() {
    let discover = r#"--set-json=mapping={"discover":{"namespaces":["sandbox-*"]}}"#;
    let off = "--set=tests.enabled=false";
    let with = objects(&[discover, off]);
    find(&with, "Deployment", "pullcred-credentials");
    find(&with, "ValidatingAdmissionPolicy", "pullcred-credentials");
    let own = |objects: &[Object]| -> Vec<String> {
        let all = rights(objects).into_iter();
        all.filter(|right| {
            !right.starts_with("pullcred-controller:") && !right.contains("unregister")
        })
        .collect()
    };
    let expected = [
        "pullcred-credentials: create on events",
        "pullcred-credentials: create on events",
        "pullcred-credentials: get create patch on leases pullcred-reports",
        "pullcred-credentials: get list watch create patch delete on loginreports pullsecretreports",
        "pullcred-credentials: get list watch on configmaps pullcred-mapping",
        "pullcred-credentials: get list watch on namespaces",
        "pullcred-discover: get list on secrets",
        "pullcred-reports-view: get list watch on pullsecretreports",
        "pullcred-webhook: get list watch on leases pullcred-reports",
        "pullcred-webhook: get list watch on pullsecretreports",
    ];
    assert_eq!(own(&with), expected);
    // Nobody has the role, until somebody binds it.
    let bound = |objects: &[Object]| -> Vec<String> {
        let bindings = objects.iter().filter(|it| it.kind().ends_with("RoleBinding"));
        let of_it = bindings.filter(|it| it.text("/roleRef/name") == "pullcred-discover");
        of_it.map(|it| format!("{} {}", it.kind(), it.text("/subjects/0/name"))).collect()
    };
    assert_eq!(bound(&with), [""; 0]);
    let everywhere = objects(&[discover, off, "--set=discovery.allNamespaces=true"]);
    assert_eq!(bound(&everywhere), ["ClusterRoleBinding pullcred-credentials"]);
    // Without discovery there is no such role.
    assert!(!names(&objects(&[LOGINS])).contains("ClusterRole/pullcred-discover"));
}
