//! Every value reaches its place.

use serde_json::{Value, json};

use crate::{
    helm::{LOGINS, examples, objects},
    object::find,
};

/// Values as `--set` takes them, separated by spaces; the object they change, as kind and name; a JSON
/// pointer into it; and what is there then.
type Case<'a> = (&'a str, &'a str, &'a str, Value);

fn check<'a>(cases: impl IntoIterator<Item = Case<'a>>) {
    for (values, object, pointer, expected) in cases {
        let arguments: Vec<_> =
            values.split_whitespace().map(|value| format!("--set={value}")).collect();
        let objects = objects(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let (kind, name) = object.split_once(' ').unwrap();
        assert_eq!(find(&objects, kind, name).at(pointer), &expected, "{values}: {object}");
    }
}

#[test]
fn names() {
    let label = "/spec/selector/app.kubernetes.io~1name";
    check([
        ("nameOverride=other", "Service pullcred-other-webhook", label, json!("other")),
        ("fullnameOverride=short", "Service short-webhook", label, json!("pullcred")),
    ]);
}

#[test]
fn names_have_at_most_63_characters() {
    let long = format!("--set=fullnameOverride={}", "x".repeat(53));
    for object in objects(&[&long, LOGINS, "--set=metrics.service.enabled=true"]) {
        assert!(object.name().len() <= 63, "{} {}", object.kind(), object.name());
    }
}

#[test]
fn images() {
    let image = "/spec/template/spec/containers/0/image";
    let version = env!("CARGO_PKG_VERSION");
    let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
    check([
        (
            "",
            "Deployment pullcred-webhook",
            image,
            json!(format!("images.example.com/pullcred/pullcred:{version}")),
        ),
        (
            "image.tag=v2",
            "Deployment pullcred-webhook",
            image,
            json!("images.example.com/pullcred/pullcred:v2"),
        ),
        (
            "global.imageRegistry=mirror:5000",
            "Deployment pullcred-controller",
            image,
            json!(format!("mirror:5000/pullcred/pullcred:{version}")),
        ),
        (
            &format!("image.digest={digest}"),
            "Job pullcred-unregister",
            image,
            json!(format!("images.example.com/pullcred/pullcred:{version}@{digest}")),
        ),
        (
            "imagePullSecrets[0].name=b global.imagePullSecrets[0].name=a",
            "Deployment pullcred-webhook",
            "/spec/template/spec/imagePullSecrets",
            json!([{"name": "a"}, {"name": "b"}]),
        ),
    ]);
}

#[test]
fn where_pods_run_and_listen() {
    let container = "/spec/template/spec/containers/0";
    let port = format!("{container}/ports/0/containerPort");
    let listen = format!("{container}/args/2");
    check([
        (
            "webhook.hostNetwork=true",
            "Deployment pullcred-webhook",
            "/spec/template/spec/dnsPolicy",
            json!("ClusterFirstWithHostNet"),
        ),
        (
            "webhook.nodeSelector.pool=system",
            "Deployment pullcred-webhook",
            "/spec/template/spec/nodeSelector",
            json!({"kubernetes.io/os": "linux", "pool": "system"}),
        ),
        (
            "webhook.priorityClassName=",
            "Deployment pullcred-webhook",
            "/spec/template/spec/priorityClassName",
            Value::Null,
        ),
        (
            "podSecurityContext.runAsUser=null",
            "Deployment pullcred-webhook",
            "/spec/template/spec/securityContext/runAsUser",
            Value::Null,
        ),
        (
            "bindAddress=[::] webhook.ports.https=10250",
            "Deployment pullcred-webhook",
            &listen,
            json!("--listen=[::]:10250"),
        ),
        ("webhook.ports.https=10250", "Deployment pullcred-webhook", &port, json!(10250)),
        ("controller.ports.admin=9", "Deployment pullcred-controller", &port, json!(9)),
        (
            "webhook.ports.https=10250",
            "Service pullcred-webhook",
            "/spec/ports/0/targetPort",
            json!("https"),
        ),
        (
            "webhook.service.ipFamilyPolicy=PreferDualStack",
            "Service pullcred-webhook",
            "/spec/ipFamilyPolicy",
            json!("PreferDualStack"),
        ),
    ]);
}

#[test]
fn who_may_connect() {
    check([
        (
            "networkPolicy.apiServerCIDRs={192.0.2.1/32}",
            "NetworkPolicy pullcred-webhook",
            "/spec/ingress/0/from",
            json!([{"ipBlock": {"cidr": "192.0.2.1/32"}}]),
        ),
        (
            "networkPolicy.apiServerCIDRs={192.0.2.1/32}",
            "NetworkPolicy pullcred-controller",
            "/spec/egress/0/to",
            json!([{"ipBlock": {"cidr": "192.0.2.1/32"}}]),
        ),
        (
            "networkPolicy.metricsFrom=null",
            "NetworkPolicy pullcred-controller",
            "/spec/ingress",
            Value::Null,
        ),
        // `kubectl get --raw …/proxy/readyz` comes from the API server.
        (
            "networkPolicy.apiServerCIDRs={192.0.2.1/32}",
            "NetworkPolicy pullcred-webhook",
            "/spec/ingress/1/from",
            json!([{"namespaceSelector": {}}, {"ipBlock": {"cidr": "192.0.2.1/32"}}]),
        ),
        // The ports behind the Service of the API server, on minikube and microk8s, too.
        (
            "",
            "NetworkPolicy pullcred-controller",
            "/spec/egress/0/ports",
            json!([443, 6443, 8443, 16443].map(|port| json!({"port": port, "protocol": "TCP"}))),
        ),
    ]);
}

#[test]
fn spread_constraints_without_a_selector_get_the_webhooks() {
    let (_, everything) =
        examples().into_iter().find(|(example, _)| example == "everything").unwrap();
    let objects = objects(&[&everything]);
    let webhook = find(&objects, "Deployment", "creds-webhook");
    let constraint = |n: usize| format!("/spec/template/spec/topologySpreadConstraints/{n}");
    assert_eq!(
        webhook.at(&constraint(0)),
        &json!({"topologyKey": "topology.kubernetes.io/zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"spread": "mine"}}})
    );
    let selector = format!("{}/labelSelector", constraint(1));
    assert_eq!(webhook.at(&selector), webhook.at("/spec/selector"));
}

#[test]
fn under_fail_webhooks_share_no_node() {
    let unsatisfiable = |arguments: &[&str]| {
        let objects = objects(arguments);
        let webhook = find(&objects, "Deployment", "pullcred-webhook");
        webhook
            .items("/spec/template/spec/topologySpreadConstraints")
            .map(|constraint| constraint.text("/whenUnsatisfiable").to_owned())
            .collect::<Vec<_>>()
    };
    let fail = "--set=registration.failurePolicy=Fail";
    assert_eq!(unsatisfiable(&[]), ["ScheduleAnyway", "ScheduleAnyway"]);
    assert_eq!(unsatisfiable(&[fail]), ["ScheduleAnyway", "DoNotSchedule"]);
    let own = r#"--set-json=webhook.topologySpreadConstraints=[{"topologyKey":"kubernetes.io/hostname","maxSkew":1,"whenUnsatisfiable":"ScheduleAnyway"}]"#;
    assert_eq!(unsatisfiable(&[fail, own]), ["ScheduleAnyway"]);
}

#[test]
fn the_quota_for_critical_pods_binds_no_namespace() {
    check([("", "ResourceQuota pullcred-critical-pods", "/spec/hard/pods", json!("1G"))]);
}

#[test]
fn what_is_off_is_not_there() {
    let kinds = |arguments: &[&str]| -> Vec<String> {
        objects(arguments)
            .iter()
            .map(|object| format!("{}/{}", object.kind(), object.name()))
            .collect()
    };
    let usual = kinds(&[]);
    for (argument, gone) in [
        (
            "--set=networkPolicy.enabled=false",
            &["NetworkPolicy/pullcred-webhook", "NetworkPolicy/pullcred-controller"][..],
        ),
        (
            "--set=webhook.podDisruptionBudget.enabled=false",
            &["PodDisruptionBudget/pullcred-webhook"],
        ),
        (
            "--set=webhook.serviceAccount.create=false,webhook.serviceAccount.name=x",
            &["ServiceAccount/pullcred-webhook"],
        ),
        (
            "--set=controller.serviceAccount.create=false,controller.serviceAccount.name=x",
            &["ServiceAccount/pullcred-controller"],
        ),
        (
            "--set=mappingCheck.enabled=false",
            &["ConfigMap/pullcred-mapping-check", "Job/pullcred-mapping-check"],
        ),
        ("--set=criticalPodsQuota.create=false", &["ResourceQuota/pullcred-critical-pods"]),
        (
            "--set=controller.secretPolicy.enabled=false",
            &[
                "ValidatingAdmissionPolicy/pullcred-controller",
                "ValidatingAdmissionPolicyBinding/pullcred-controller",
            ],
        ),
        (
            "--set=rbac.create=false",
            &[
                "Role/pullcred-controller",
                "RoleBinding/pullcred-controller",
                "ClusterRole/pullcred-controller",
                "ClusterRoleBinding/pullcred-controller",
                "ClusterRole/pullcred-unregister",
                "ClusterRoleBinding/pullcred-unregister",
                "Role/pullcred-helm-test",
                "RoleBinding/pullcred-helm-test",
            ],
        ),
        (
            "--set=tests.enabled=false,mapping.always={x}",
            &[
                "Namespace/pullcred-helm-test",
                "ServiceAccount/pullcred-helm-test",
                "Role/pullcred-helm-test",
                "RoleBinding/pullcred-helm-test",
                "Pod/pullcred-helm-test",
                "ValidatingAdmissionPolicy/pullcred-helm-test",
                "ValidatingAdmissionPolicyBinding/pullcred-helm-test",
            ],
        ),
        (
            "--set=webhook.priorityClassName=,controller.priorityClassName=",
            &["ResourceQuota/pullcred-critical-pods"],
        ),
    ] {
        let there = kinds(&[argument]);
        let mut expected = usual.clone();
        expected.retain(|object| !gone.contains(&object.as_str()));
        assert_eq!(
            usual.len() - expected.len(),
            gone.len(),
            "{argument}: {gone:?} are not all in {usual:?}"
        );
        assert_eq!(there, expected, "{argument}");
    }
}

#[test]
fn monitoring_is_there_when_asked_for() {
    let objects = objects(&[
        "--set=metrics.serviceMonitor.enabled=true,metrics.serviceMonitor.labels.release=prometheus",
        "--set=metrics.prometheusRule.enabled=true,metrics.prometheusRule.disabled={PullcredSlow}",
        "--set=metrics.dashboard.enabled=true",
        LOGINS,
    ]);
    let monitor = find(&objects, "ServiceMonitor", "pullcred");
    assert_eq!(monitor.text("/metadata/labels/release"), "prometheus");
    for component in ["webhook", "controller", "credentials"] {
        let service = find(&objects, "Service", &format!("pullcred-{component}-metrics"));
        let port = service.items("/spec/ports").next().unwrap();
        assert_eq!(port.at("/name"), monitor.at("/spec/endpoints/0/port"));
    }
    let rules = find(&objects, "PrometheusRule", "pullcred");
    let alerts: Vec<_> =
        rules.items("/spec/groups/0/rules").map(|rule| rule.text("/alert").to_owned()).collect();
    assert!(alerts.contains(&"PullcredFailingOpen".to_owned()), "{alerts:?}");
    assert!(!alerts.contains(&"PullcredSlow".to_owned()), "{alerts:?}");
    let dashboard = find(&objects, "ConfigMap", "pullcred-dashboard");
    assert_eq!(dashboard.text("/metadata/labels/grafana_dashboard"), "1");
}
