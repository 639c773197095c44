//! Replicas of pullcred that are not ready, and why.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};

use super::{
    super::{Check, finding::Report},
    in_force::is_ready,
};

/// The label by which the Pods of one installation differ (Kubernetes' recommended labels).
const COMPONENT: &str = "app.kubernetes.io/component";
/// The value of it that the controller's Pods have.
const CONTROLLER: &str = "controller";

/// What selects the controller's Pods, where this selects the webhook's: the chart's labels differ in the component.
pub(super) fn of_controller(
    webhook: &BTreeMap<String, String>,
) -> Option<BTreeMap<String, String>> {
    let mut selector = webhook.clone();
    selector.insert(COMPONENT.to_owned(), CONTROLLER.to_owned())?;
    Some(selector)
}

/// Says which of the Pods of `component` are not ready. Those on their way out need not be.
pub(super) fn judge(component: &str, pods: &[Pod], report: &mut Report) {
    let stay: Vec<&Pod> =
        pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect();
    for pod in stay.iter().filter(|pod| !is_ready(pod)) {
        let of = |text: &Option<String>| text.clone().unwrap_or_default();
        let place = format!("pod {}/{}", of(&pod.metadata.namespace), of(&pod.metadata.name));
        let message = match stay.len() {
            1 => format!("the only {component} is not ready: {}", why(pod)),
            all => format!("one of {all} replicas of the {component} is not ready: {}", why(pod)),
        };
        report.warning(Check::Replicas, place, message);
    }
}

/// Why a Pod is not ready, as its status says.
fn why(pod: &Pod) -> String {
    let status = pod.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let condition = |type_: &str| {
        let found = conditions.iter().find(|it| it.type_ == type_ && it.status == "False");
        found.map(|it| {
            let texts = [it.reason.as_deref(), it.message.as_deref()];
            texts.into_iter().flatten().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(": ")
        })
    };
    if let Some(why) = condition("PodScheduled") {
        return format!("no node takes it: {why}");
    }
    let containers = status.init_container_statuses.into_iter().flatten();
    let mut containers = containers.chain(status.container_statuses.into_iter().flatten());
    if let Some(why) = containers.find_map(|container| of_container(&container)) {
        return why;
    }
    condition("Ready")
        .filter(|why| !why.is_empty())
        .unwrap_or_else(|| "it is being started".to_owned())
}

/// Why a container does not run, or is not ready.
fn of_container(container: &ContainerStatus) -> Option<String> {
    let state = container.state.clone().unwrap_or_default();
    let ended = ended(&state).or_else(|| ended(&container.last_state.clone().unwrap_or_default()));
    if let Some(waiting) = state.waiting {
        let reason = waiting.reason.unwrap_or_default();
        return Some(match (reason.as_str(), ended) {
            ("ContainerCreating" | "PodInitializing", None) => format!(
                "{reason}: a webhook Pod waits so for the Secret with its certificate, which the controller makes, so \
                 look at the controller first"
            ),
            (_, Some(ended)) => format!("{reason}: {ended}"),
            (_, None) => match waiting.message {
                Some(message) if !message.is_empty() => format!("{reason}: {message}"),
                _ => reason,
            },
        });
    }
    if state.terminated.is_some() {
        return ended;
    }
    (!container.ready)
        .then(|| "it runs, but /readyz says that it is not ready: see its log".to_owned())
}

/// How a container ended, where it did.
fn ended(state: &ContainerState) -> Option<String> {
    let terminated = state.terminated.as_ref()?;
    let message = terminated.message.as_deref().unwrap_or_default().trim();
    let last = message.lines().last().unwrap_or_default();
    let code = terminated.exit_code;
    Some(match (last, terminated.reason.as_deref()) {
        ("", Some(reason)) => format!("exit code {code}, {reason}: see kubectl logs --previous"),
        ("", None) => format!("exit code {code}: see kubectl logs --previous"),
        (last, _) => format!("exit code {code}: {last}"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn judged(statuses: &[Value]) -> String {
        let pod = |(at, status): (usize, &Value)| {
            let pod = json!({
                "metadata": {"namespace": "home", "name": format!("webhook-{at}"),
                             "deletionTimestamp": status.get("gone")},
                "status": status,
            });
            serde_json::from_value(pod).unwrap()
        };
        let pods: Vec<Pod> = statuses.iter().enumerate().map(pod).collect();
        let mut report = Report::default();
        judge("webhook", &pods, &mut report);
        report.json()
    }

    fn container(state: &Value, last: &Value) -> Value {
        json!({"containerStatuses": [{
            "name": "webhook", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": state, "lastState": last,
        }]})
    }

    #[test]
    fn a_replica_that_is_not_ready_says_why() {
        let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
        let waits = |reason: &str, message: &str| {
            container(&json!({"waiting": {"reason": reason, "message": message}}), &json!({}))
        };
        let crash = json!({"terminated": {"exitCode": 2, "reason": "Error",
            "message": "first\nline 3, column 5: a tag\n"}});
        for (status, part) in [
            (waits("ImagePullBackOff", "Back-off pulling"), "ImagePullBackOff: Back-off pulling"),
            (waits("ContainerCreating", ""), "look at the controller first"),
            (
                container(&json!({"waiting": {"reason": "CrashLoopBackOff"}}), &crash),
                "CrashLoopBackOff: exit code 2: line 3, column 5: a tag",
            ),
            (container(&crash, &json!({})), "exit code 2: line 3"),
            (
                container(
                    &json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}),
                    &json!({}),
                ),
                "exit code 137, OOMKilled: see kubectl logs --previous",
            ),
            (container(&json!({"running": {}}), &json!({})), "/readyz says"),
            (
                json!({"conditions": [{"type": "PodScheduled", "status": "False",
                    "reason": "Unschedulable", "message": "0/1 nodes are available"}]}),
                "no node takes it: Unschedulable: 0/1 nodes",
            ),
            (json!({}), "it is being started"),
        ] {
            let reported = judged(&[ready.clone(), status]);
            assert_eq!(reported.lines().count(), 1, "{reported}");
            assert!(
                reported.contains(
                    r#""severity":"warning","check":"replicas","where":"pod home/webhook-1""#
                ),
                "{reported}"
            );
            assert!(
                reported.contains("one of 2 replicas of the webhook is not ready"),
                "{reported}"
            );
            assert!(reported.contains(part), "{part}: {reported}");
        }
        assert!(judged(&[json!({})]).contains("the only webhook is not ready"));
        assert_eq!(judged(&[ready, json!({"gone": "2026-01-01T00:00:00Z"})]), "");
    }

    #[test]
    fn the_controller_differs_from_the_webhook_in_its_component() {
        let labels = |component: &str| {
            BTreeMap::from([
                ("app.kubernetes.io/name".to_owned(), "pullcred".to_owned()),
                (COMPONENT.to_owned(), component.to_owned()),
            ])
        };
        assert_eq!(of_controller(&labels("webhook")), Some(labels("controller")));
        assert_eq!(of_controller(&BTreeMap::new()), None);
    }
}
