//! The Pods: hardened, and replaced without a gap.

use serde_json::{Value, json};

use crate::{
    helm::{examples, objects},
    object::{Object, find},
};

/// What the level `restricted` of the Pod Security Standards asks for, of what the chart can set.
fn assert_restricted(example: &str, name: &str, pod: &Object) {
    let spec = |field: &str| pod.at(&format!("/spec/{field}")).clone();
    assert_eq!(spec("securityContext/runAsNonRoot"), true, "{example}: {name}");
    assert_eq!(spec("securityContext/seccompProfile/type"), "RuntimeDefault", "{example}: {name}");
    for field in ["hostPID", "hostIPC", "initContainers", "ephemeralContainers"] {
        assert_eq!(spec(field), Value::Null, "{example}: {name}: {field}");
    }
    for volume in pod.items("/spec/volumes") {
        assert!(
            !volume.at("/configMap").is_null() || !volume.at("/secret").is_null(),
            "{example}: {name}: {volume:?}"
        );
    }
    for container in pod.items("/spec/containers") {
        assert_eq!(
            container.at("/securityContext"),
            &json!({
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
            }),
            "{example}: {name}"
        );
        assert!(!container.at("/resources/requests").is_null(), "{example}: {name}");
    }
}

#[test]
fn every_pod_meets_the_restricted_level() {
    for (example, values) in examples() {
        for object in objects(&[&values]) {
            let Some(pod) = object.pod() else { continue };
            assert_restricted(&example, object.name(), &pod);
            // The one thing that a value can do against it, and says so.
            let host_network = pod.at("/spec/hostNetwork") == true;
            let asked_for = example == "everything" && object.name().ends_with("-webhook");
            assert_eq!(host_network, asked_for, "{example}: {}", object.name());
        }
    }
}

#[test]
fn a_rolling_update_never_has_fewer_webhooks() {
    let objects = objects(&[]);
    let webhook = find(&objects, "Deployment", "pullcred-webhook");
    assert_eq!(webhook.at("/spec/replicas"), 2);
    assert_eq!(
        webhook.at("/spec/strategy"),
        &json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}})
    );
    // The webhook serves on for 95 seconds at most after SIGTERM.
    assert_eq!(webhook.at("/spec/template/spec/terminationGracePeriodSeconds"), 120);
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let port = format!("/spec/template/spec/containers/0/{probe}/httpGet/port");
        assert_eq!(webhook.text(&port), "admin");
    }
    let budget = find(&objects, "PodDisruptionBudget", "pullcred-webhook");
    assert_eq!(budget.at("/spec/maxUnavailable"), 1);
    assert_eq!(budget.text("/spec/unhealthyPodEvictionPolicy"), "AlwaysAllow");
    assert_eq!(budget.at("/spec/selector"), webhook.at("/spec/selector"));
}

#[test]
fn selectors_find_their_pods_and_no_others() {
    for (example, values) in examples() {
        let objects = objects(&[&values]);
        let pods: Vec<_> =
            objects.iter().filter_map(|object| Some((object.name(), object.pod()?))).collect();
        for service in objects.iter().filter(|object| object.kind() == "Service") {
            let selector = service.at("/spec/selector").as_object().unwrap();
            let selected: Vec<_> = pods
                .iter()
                .filter(|(_, pod)| {
                    let labels = pod.at("/metadata/labels");
                    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
                })
                .map(|(name, _)| *name)
                .collect();
            let name = service.name().trim_end_matches("-metrics");
            assert_eq!(selected, [name], "{example}: {}", service.name());
        }
    }
}

#[test]
fn a_changed_mapping_restarts_nothing() {
    let pods = |secret: &str| -> Vec<_> {
        let rules = format!(
            r#"--set-json=mapping.rules=[{{"registries":["a.example"],"secret":"{secret}"}}]"#
        );
        objects(&[&rules]).iter().filter_map(Object::pod).collect()
    };
    assert_eq!(pods("one"), pods("two"));
}

#[test]
fn the_hook_at_uninstall_ends_by_itself() {
    let objects = objects(&[]);
    let job = find(&objects, "Job", "pullcred-unregister");
    assert_eq!(job.at("/metadata/annotations/helm.sh~1hook"), "pre-delete");
    assert_eq!(job.at("/spec/activeDeadlineSeconds"), 60);
    let without = crate::helm::render(&["--set=unregisterHook.enabled=false"]);
    assert!(!without.contains("pre-delete"));
}
