//! The credentials controller: what there is of it, and when.

use clap::Parser as _;
use pullcred::{
    cli::{Cli, Command},
    controller::credentials::seen::DATA_KEY,
    core::{
        copies::{CONTENT, LOGIN, MARK},
        rules::EXCLUDED_NAMESPACES,
    },
    mapping,
};
use serde_json::{Value, json};

use crate::{
    access::rights,
    helm::{ALONE, LOGINS, examples, objects, render},
    object::{Object, find},
};

const NAME: &str = "pullcred-credentials";

fn names(objects: &[Object]) -> Vec<String> {
    objects.iter().map(|object| format!("{}/{}", object.kind(), object.name())).collect()
}

/// The objects of this component, in Helm's order.
fn of_credentials(objects: &[Object]) -> Vec<String> {
    let component = |object: &&Object| {
        object.at("/metadata/labels/app.kubernetes.io~1component") == "credentials"
    };
    names(&objects.iter().filter(component).cloned().collect::<Vec<_>>())
}

#[test]
fn it_is_there_where_the_mapping_has_logins() {
    let there = of_credentials(&objects(&[LOGINS]));
    let kinds = [
        "NetworkPolicy",
        "ServiceAccount",
        "ClusterRole",
        "ClusterRoleBinding",
        "Role",
        "RoleBinding",
        "Deployment",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ];
    assert_eq!(there, kinds.map(|kind| format!("{kind}/{NAME}")));
    for (example, values) in examples() {
        let text = render(&[&values]);
        let expected = matches!(
            &*example,
            "clouds" | "credentials" | "credentials-alone" | "everything" | "health"
        );
        assert_eq!(text.contains("component: credentials"), expected, "{example}");
    }
}

/// But for the logins themselves, a release without them is what it was. What reports change is for the tests of reports.
#[test]
fn logins_change_no_other_object() {
    let logins = r#"{"logins":[{"name":"acme","secret":"robot"}],"rules":[{"registries":["a.io"],"secret":"s","login":"acme","namespaces":["x"]}]}"#;
    let without = r#"{"rules":[{"registries":["a.io"],"secret":"s","namespaces":["x"]}]}"#;
    let off = "--set=reports.enabled=false";
    let with: Vec<_> = objects(&[&format!("--set-json=mapping={logins}"), off]);
    let without: Vec<_> = objects(&[&format!("--set-json=mapping={without}")]);
    let is_new = |object: &&Object| !without.contains(object);
    let new: Vec<Object> = with.iter().filter(is_new).cloned().collect();
    let mut expected = of_credentials(&with);
    expected.extend(
        ["ConfigMap/pullcred-mapping", "ConfigMap/pullcred-mapping-check"].map(String::from),
    );
    let mut new = names(&new);
    new.sort_unstable();
    expected.sort_unstable();
    assert_eq!(new, expected);
    assert_eq!(with.len(), without.len() + of_credentials(&with).len());
}

#[test]
fn its_rights_are_these() {
    let all = rights(&objects(&[LOGINS]));
    let own: Vec<_> = all.iter().filter(|right| right.starts_with(NAME)).collect();
    assert_eq!(
        own,
        [
            "pullcred-credentials: create on events",
            "pullcred-credentials: create on events",
            "pullcred-credentials: get create patch on leases pullcred-reports",
            "pullcred-credentials: get list watch create patch delete on loginreports pullsecretreports",
            "pullcred-credentials: get list watch create patch delete on secrets acme base",
            "pullcred-credentials: get list watch on configmaps pullcred-mapping",
            "pullcred-credentials: get list watch on namespaces",
            "pullcred-credentials: get list watch on secrets acme-robot base-robot",
        ]
    );
    // Those of the other roles are as without it, but for reports.
    let of_reports = ["pullcred-webhook", "pullcred-reports-view", NAME];
    let is_new = |right: &&String| of_reports.iter().any(|role| right.starts_with(role));
    let rest: Vec<_> = all.iter().filter(|right| !is_new(right)).cloned().collect();
    assert_eq!(rest, rights(&objects(&[])));

    assert_eq!(
        rights(&objects(&[ALONE])),
        [
            "pullcred-credentials: create on events",
            "pullcred-credentials: create on events",
            "pullcred-credentials: get create patch on leases pullcred-reports",
            "pullcred-credentials: get list watch create patch delete on loginreports pullsecretreports",
            "pullcred-credentials: get list watch create patch delete on secrets acme",
            "pullcred-credentials: get list watch on configmaps our-mapping",
            "pullcred-credentials: get list watch on namespaces",
            "pullcred-credentials: get list watch on secrets acme-robot",
            "pullcred-reports-view: get list watch on pullsecretreports",
        ]
    );
}

/// Rights that hold in every namespace are in a cluster role, the others in a role of the own namespace.
#[test]
fn logins_can_be_read_in_its_own_namespace_only() {
    let objects = objects(&[LOGINS]);
    let resources = |kind| -> Vec<_> {
        let rules = find(&objects, kind, NAME).items("/rules");
        rules.map(|rule| rule.texts("/resources").join(" ")).collect()
    };
    let everywhere = ["secrets", "namespaces", "loginreports pullsecretreports", "events"];
    assert_eq!(resources("ClusterRole"), everywhere);
    assert_eq!(resources("Role"), ["secrets", "configmaps", "events", "leases"]);
    assert_eq!(find(&objects, "Role", NAME).text("/metadata/namespace"), "pullcred");
}

/// What the mapping's own parser says of the names is what the roles have.
#[test]
fn its_names_are_those_of_the_mapping() {
    for (example, values) in examples() {
        let objects = objects(&[&values]);
        let Some(config) =
            objects.iter().find(|it| it.kind() == "ConfigMap" && it.name().ends_with("-mapping"))
        else {
            continue;
        };
        let mapping = mapping::parse(config.text("/data/pullcred.yaml")).unwrap();
        let filled = mapping.rules().iter().filter(|rule| rule.fill.is_some());
        let mut copies: Vec<_> = filled.map(|rule| rule.secret.as_str()).collect();
        let mut logins: Vec<_> = mapping
            .logins()
            .iter()
            .filter(|it| !it.is_fetched())
            .map(|it| it.secret().to_string())
            .collect();
        copies.sort_unstable();
        copies.dedup();
        logins.sort_unstable();
        logins.dedup();
        let of = |kind| {
            let mut roles = objects.iter().filter(|it| it.kind() == kind);
            roles.find(|it| it.name().ends_with("-credentials"))
        };
        let Some((everywhere, here)) = of("ClusterRole").zip(of("Role")) else {
            assert!(copies.is_empty(), "{example}");
            continue;
        };
        assert_eq!(everywhere.texts("/rules/0/resourceNames"), copies, "{example}");
        assert_eq!(here.texts("/rules/0/resourceNames"), logins, "{example}");
    }
}

#[test]
fn it_starts_with_these_arguments() {
    let options = |values: &str| {
        let pod = find(&objects(&[values]), "Deployment", NAME).pod().unwrap();
        let arguments = pod.texts("/spec/containers/0/args").into_iter().map(str::to_owned);
        let line = std::iter::once("pullcred".to_owned()).chain(arguments);
        let Command::Credentials(arguments) = Cli::try_parse_from(line).unwrap().command else {
            panic!("the Deployment runs another command than `credentials`");
        };
        let options = arguments.into_options();
        let port = pod.at("/spec/containers/0/ports/0/containerPort").clone();
        assert_eq!(port, options.admin_listen.port());
        assert_eq!(pod.at("/spec/automountServiceAccountToken"), true);
        (options.namespace, options.mapping, options.grace.as_secs())
    };
    let own = |mapping: &str, grace| ("pullcred".to_owned(), mapping.to_owned(), grace);
    assert_eq!(options(LOGINS), own("pullcred-mapping", 600));
    assert_eq!(options(ALONE), own("our-mapping", 3600));
    find(&objects(&[LOGINS]), "ConfigMap", "pullcred-mapping");
}

#[test]
fn a_second_pod_brings_a_budget() {
    let with = objects(&[LOGINS, "--set=credentials.replicas=2"]);
    let budget = find(&with, "PodDisruptionBudget", NAME);
    assert_eq!(budget.at("/spec/maxUnavailable"), 1);
    assert_eq!(budget.text("/spec/unhealthyPodEvictionPolicy"), "AlwaysAllow");
    let deployment = find(&with, "Deployment", NAME);
    assert_eq!(budget.at("/spec/selector"), deployment.at("/spec/selector"));
    let off = "--set=credentials.podDisruptionBudget.enabled=false";
    for arguments in [&[LOGINS][..], &[LOGINS, "--set=credentials.replicas=2", off]] {
        let there = of_credentials(&objects(arguments));
        assert!(!there.iter().any(|it| it.starts_with("PodDisruptionBudget")), "{there:?}");
    }
}

#[test]
fn it_connects_to_the_api_server_only() {
    let objects = objects(&[LOGINS, "--set=networkPolicy.apiServerCIDRs={192.0.2.1/32}"]);
    let policy = find(&objects, "NetworkPolicy", NAME);
    let controllers = find(&objects, "NetworkPolicy", "pullcred-controller");
    for part in ["policyTypes", "ingress", "egress"] {
        let pointer = format!("/spec/{part}");
        assert!(!policy.at(&pointer).is_null(), "{part}");
        assert_eq!(policy.at(&pointer), controllers.at(&pointer), "{part}");
    }
    let deployment = find(&objects, "Deployment", NAME);
    assert_eq!(policy.at("/spec/podSelector"), deployment.at("/spec/selector"));
}

/// What the policy lets through and what it refuses is for tests/cluster, on a real API server. Here: it speaks of what the code writes.
#[test]
fn a_policy_keeps_it_to_copies() {
    let objects = objects(&[LOGINS]);
    let policy = find(&objects, "ValidatingAdmissionPolicy", NAME);
    assert_eq!(
        policy.text("/spec/matchConditions/0/expression"),
        "request.userInfo.username == 'system:serviceaccount:pullcred:pullcred-credentials'"
    );
    assert_eq!(policy.text("/spec/failurePolicy"), "Fail");
    let rule = "/spec/matchConstraints/resourceRules/0";
    assert_eq!(policy.texts(&format!("{rule}/operations")), ["CREATE", "UPDATE", "DELETE"]);
    assert_eq!(policy.texts(&format!("{rule}/resources")), ["secrets"]);
    // Everywhere, since the right to write copies is.
    assert_eq!(policy.at("/spec/matchConstraints/namespaceSelector"), &json!({}));
    let expressions: Vec<_> = ["/spec/variables", "/spec/validations"]
        .into_iter()
        .flat_map(|list| policy.items(list))
        .map(|it| it.text("/expression").to_owned())
        .collect();
    let expressions = expressions.join("\n");
    let quoted = [MARK.0, MARK.1, LOGIN, CONTENT, DATA_KEY, "pullcred"].into_iter();
    for word in quoted.chain(EXCLUDED_NAMESPACES) {
        assert!(expressions.contains(&format!("'{word}'")), "{word}: {expressions}");
    }
    assert_eq!(policy.items("/spec/validations").count(), 9);
    let binding = find(&objects, "ValidatingAdmissionPolicyBinding", NAME);
    assert_eq!(binding.texts("/spec/validationActions"), ["Deny"]);
    let off = crate::helm::objects(&[LOGINS, "--set=credentials.secretPolicy.enabled=false"]);
    assert!(!names(&off).contains(&format!("ValidatingAdmissionPolicy/{NAME}")));
}

#[test]
fn without_the_webhook_nothing_else_is_left() {
    let off = "--set=webhook.enabled=false";
    let with = objects(&[LOGINS]);
    let alone = objects(&[LOGINS, off]);
    let mut left = names(&alone);
    let own = of_credentials(&with);
    assert!(own.iter().all(|it| left.contains(it)), "{left:?}");
    left.retain(|it| !own.contains(it));
    left.sort_unstable();
    assert_eq!(
        left,
        [
            "ClusterRole/pullcred-reports-view",
            "ConfigMap/pullcred-mapping",
            "ConfigMap/pullcred-mapping-check",
            "CustomResourceDefinition/loginreports.pullcred.dev",
            "CustomResourceDefinition/pullsecretreports.pullcred.dev",
            "Job/pullcred-mapping-check",
            "ResourceQuota/pullcred-critical-pods",
        ]
    );
    // Nor in another mode of certificates, nor with what is asked for besides.
    for mode in ["certManager", "existingSecret"] {
        let mode = format!("--set=certificates.mode={mode},certificates.existingSecret.name=x");
        assert_eq!(names(&objects(&[LOGINS, off, &mode])), names(&alone), "{mode}");
    }
    let metrics = objects(&[LOGINS, off, "--set=metrics.service.enabled=true"]);
    let services: Vec<_> = metrics.iter().filter(|it| it.kind() == "Service").collect();
    assert_eq!(services.len(), 1);
    assert_eq!(services[0].name(), "pullcred-credentials-metrics");
    assert_eq!(services[0].at("/spec/clusterIP"), "None");
    // The mapping has no rule for `helm test`, which asks for the webhook.
    let mapping = find(&alone, "ConfigMap", "pullcred-mapping").text("/data/pullcred.yaml");
    assert!(!mapping.contains("helm-test"), "{mapping}");
}

#[test]
fn its_critical_pods_have_a_quota() {
    let quota = |arguments: &[&str]| {
        names(&objects(arguments)).contains(&"ResourceQuota/pullcred-critical-pods".to_owned())
    };
    let off = "--set=webhook.enabled=false";
    let usual = "--set=credentials.priorityClassName=";
    assert!(quota(&[LOGINS, off]));
    assert!(!quota(&[LOGINS, off, usual]));
    assert!(quota(&[LOGINS, usual]), "that of the webhook");
    let others = "--set=webhook.priorityClassName=,controller.priorityClassName=";
    assert!(quota(&[LOGINS, others]));
    let deployment = find(&objects(&[LOGINS]), "Deployment", NAME).clone();
    assert_eq!(
        deployment.at("/spec/template/spec/priorityClassName"),
        &Value::from("system-cluster-critical")
    );
}

/// Each value reaches its place.
#[test]
fn its_values_reach_their_places() {
    let set = [
        "ports.admin=9",
        "replicas=3",
        "grace=1h30m",
        "priorityClassName=high",
        "nodeSelector.pool=system",
        "tolerations[0].operator=Exists",
        "affinity.podAntiAffinity.x=1",
        "podLabels.team=a",
        "podAnnotations.note=b",
        "resources.limits.memory=1Gi",
        "extraArgs[0]=--extra",
        "extraEnv[0].name=EXTRA",
        "serviceAccount.annotations.note=c",
    ];
    let set = set.map(|value| format!("--set=credentials.{value}"));
    let arguments: Vec<_> = std::iter::once(LOGINS).chain(set.iter().map(String::as_str)).collect();
    let objects = objects(&arguments);
    let deployment = find(&objects, "Deployment", NAME);
    let container = "/spec/template/spec/containers/0";
    for (pointer, expected) in [
        ("/spec/replicas".to_owned(), json!(3)),
        ("/spec/template/spec/priorityClassName".to_owned(), json!("high")),
        (
            "/spec/template/spec/nodeSelector".to_owned(),
            json!({"kubernetes.io/os": "linux", "pool": "system"}),
        ),
        ("/spec/template/spec/tolerations/0/operator".to_owned(), json!("Exists")),
        ("/spec/template/spec/affinity/podAntiAffinity/x".to_owned(), json!(1)),
        ("/spec/template/metadata/labels/team".to_owned(), json!("a")),
        ("/spec/template/metadata/annotations/note".to_owned(), json!("b")),
        (format!("{container}/ports/0/containerPort"), json!(9)),
        (format!("{container}/args/3"), json!("--admin-listen=0.0.0.0:9")),
        (format!("{container}/args/4"), json!("--grace=1h30m")),
        (format!("{container}/args/5"), json!("--reports")),
        (format!("{container}/args/6"), json!("--extra")),
        (format!("{container}/env/1/name"), json!("EXTRA")),
        (format!("{container}/resources/limits/memory"), json!("1Gi")),
    ] {
        assert_eq!(deployment.at(&pointer), &expected, "{pointer}");
    }
    let account = find(&objects, "ServiceAccount", NAME);
    assert_eq!(account.at("/metadata/annotations/note"), "c");
    assert_eq!(account.at("/automountServiceAccountToken"), false);
}

/// Rights and policy follow an account of one's own.
#[test]
fn an_account_of_ones_own_has_the_rights_and_the_policy() {
    let own = "--set=credentials.serviceAccount.create=false,credentials.serviceAccount.name=mine";
    let objects = objects(&[LOGINS, own]);
    assert!(!names(&objects).contains(&format!("ServiceAccount/{NAME}")));
    let pod = find(&objects, "Deployment", NAME);
    assert_eq!(pod.text("/spec/template/spec/serviceAccountName"), "mine");
    for kind in ["ClusterRoleBinding", "RoleBinding"] {
        assert_eq!(find(&objects, kind, NAME).text("/subjects/0/name"), "mine");
    }
    let policy = find(&objects, "ValidatingAdmissionPolicy", NAME);
    let condition = policy.text("/spec/matchConditions/0/expression");
    assert!(condition.ends_with("== 'system:serviceaccount:pullcred:mine'"), "{condition}");
}

#[test]
fn what_is_off_is_not_there() {
    let usual = of_credentials(&objects(&[LOGINS]));
    for (argument, gone) in [
        ("--set=networkPolicy.enabled=false", &["NetworkPolicy"][..]),
        ("--set=rbac.create=false", &["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"]),
        (
            "--set=credentials.secretPolicy.enabled=false",
            &["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"],
        ),
    ] {
        let mut expected = usual.clone();
        expected.retain(|it| !gone.iter().any(|kind| *it == format!("{kind}/{NAME}")));
        assert_eq!(usual.len() - expected.len(), gone.len(), "{argument}");
        assert_eq!(of_credentials(&objects(&[LOGINS, argument])), expected, "{argument}");
    }
}
