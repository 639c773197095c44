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
        // Those with `csi` and `projected` are an example's own.
        let kinds = ["configMap", "csi", "emptyDir", "image", "projected", "secret"];
        let allowed = kinds.iter().any(|kind| !volume.at(&format!("/{kind}")).is_null());
        assert!(allowed, "{example}: {name}: {volume:?}");
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
    let pods = |secret: &str, argument: &str| -> Vec<_> {
        let rules = format!(
            r#"--set-json=mapping.rules=[{{"registries":["a.example"],"secret":"{secret}"}}]"#
        );
        let objects = objects(&[&rules, "--set=mappingCheck.enabled=false", argument]);
        objects.iter().filter_map(Object::pod).collect()
    };
    let usual = "--set=webhook.rollOutMapping=false";
    assert_eq!(pods("one", usual), pods("two", usual));
    // Unless it is asked for, so that `helm upgrade --wait` waits for the new mapping.
    let asked_for = "--set=webhook.rollOutMapping=true";
    assert_ne!(pods("one", asked_for), pods("two", asked_for));
    assert_eq!(pods("one", asked_for), pods("one", asked_for));
}

/// What fails before anything of the release is touched.
#[test]
fn a_hook_reads_the_mapping_before_anything_is_installed() {
    let objects = objects(&[]);
    let installed = find(&objects, "ConfigMap", "pullcred-mapping");
    let read = find(&objects, "ConfigMap", "pullcred-mapping-check");
    assert_eq!(installed.at("/data"), read.at("/data"));
    let job = find(&objects, "Job", "pullcred-mapping-check");
    for object in [read, job] {
        assert_eq!(
            object.text("/metadata/annotations/helm.sh~1hook"),
            "pre-install,pre-upgrade",
            "{}",
            object.kind()
        );
    }
    // Its words are what Helm prints.
    assert_eq!(job.text("/metadata/annotations/helm.sh~1hook-output-log-policy"), "hook-failed");
    assert_eq!(job.at("/spec/podFailurePolicy/rules/0/onExitCodes/values"), &json!([2]));
    let pod = job.pod().unwrap();
    assert_eq!(pod.at("/spec/automountServiceAccountToken"), false);
    // The chart's own accounts are not there yet.
    assert!(pod.at("/spec/serviceAccountName").is_null());
    let own = crate::helm::render(&["--set=mappingFrom.configMap=mine"]);
    assert!(!own.contains("mapping-check"), "a ConfigMap of one's own may not be there yet");
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
