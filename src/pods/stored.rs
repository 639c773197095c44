//! What of a Pod in the API server a decision does not read: who made it, whether it has ended, and what it waits for.

use serde::Deserialize;

use crate::core::Text;

/// The kubelet's reasons for a container that waits for its image (kubernetes: pkg/kubelet/images/types.go).
const PULL_REASONS: [&str; 6] = [
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImageInspectError",
    "ImagePullBackOff",
    "InvalidImageName",
    "RegistryUnavailable",
];

/// A Pod as the API server has it, beside what [`core::pod::Pod`](crate::core::pod::Pod) reads.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StoredPod<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow)]
    status: Status<'a>,
}

/// A container that waits for its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting<'p> {
    /// The name of the container.
    pub(crate) container: &'p str,
    /// Such as `ErrImagePull`.
    pub(crate) reason: &'p str,
    /// What the container runtime says.
    pub(crate) message: &'p str,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    namespace: Text<'a>,
    #[serde(borrow)]
    deletion_timestamp: Text<'a>,
    #[serde(borrow)]
    labels: Option<Labels<'a>>,
    #[serde(borrow)]
    owner_references: Option<Vec<OwnerReference<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Labels<'a> {
    /// Which of a Deployment's templates a Pod is of (apps/v1, `DefaultDeploymentUniqueLabelKey`).
    #[serde(borrow, rename = "pod-template-hash")]
    template_hash: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OwnerReference<'a> {
    #[serde(borrow)]
    api_version: Text<'a>,
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    controller: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status<'a> {
    #[serde(borrow)]
    phase: Text<'a>,
    #[serde(borrow)]
    init_container_statuses: Option<Vec<ContainerStatus<'a>>>,
    #[serde(borrow)]
    container_statuses: Option<Vec<ContainerStatus<'a>>>,
    #[serde(borrow)]
    ephemeral_container_statuses: Option<Vec<ContainerStatus<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerStatus<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    state: Option<State<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct State<'a> {
    #[serde(borrow)]
    waiting: Option<WaitingState<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WaitingState<'a> {
    #[serde(borrow)]
    reason: Text<'a>,
    #[serde(borrow)]
    message: Text<'a>,
}

// === impl StoredPod ===

impl StoredPod<'_> {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.metadata.name
    }

    /// Its namespace.
    pub(crate) fn namespace(&self) -> &str {
        &self.metadata.namespace
    }

    /// Whether it has ended or is about to: it needs nothing any more.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(&*self.status.phase, "Succeeded" | "Failed")
            || !self.metadata.deletion_timestamp.is_empty()
    }

    /// The containers that wait for their images.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = Waiting<'_>> {
        let Status { init_container_statuses, container_statuses, .. } = &self.status;
        let statuses = [
            init_container_statuses,
            container_statuses,
            &self.status.ephemeral_container_statuses,
        ];
        let statuses = statuses.into_iter().flatten().flatten();
        let waiting = statuses.filter_map(|status| {
            let WaitingState { reason, message } = status.state.as_ref()?.waiting.as_ref()?;
            Some(Waiting { container: &status.name, reason, message })
        });
        waiting.filter(|it| PULL_REASONS.contains(&it.reason))
    }

    /// Whether it may never have been ready: it is pending, or a container waits for its image.
    pub(crate) fn is_stuck(&self) -> bool {
        &*self.status.phase == "Pending" || self.waiting().next().is_some()
    }

    /// The version, the kind and the name of what made it.
    pub(super) fn controller(&self) -> Option<(&str, &str, &str)> {
        let references = self.metadata.owner_references.iter().flatten();
        let mut controllers = references.filter(|it| it.controller == Some(true));
        controllers.next().map(|it| (&*it.api_version, &*it.kind, &*it.name))
    }

    pub(super) fn template_hash(&self) -> Option<&str> {
        let hash = &*self.metadata.labels.as_ref()?.template_hash;
        (!hash.is_empty()).then_some(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_read_as_the_api_server_writes_it() {
        let text = r#"{
            "metadata": {"name": "web-0", "namespace": "shop", "labels": {"app": "web"}, "managedFields": [{}]},
            "spec": {"containers": [{}]},
            "status": {"phase": "Pending", "containerStatuses": [
                {"name": "app", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off \"x\""}}},
                {"name": "side", "state": {"waiting": {"reason": "ContainerCreating"}}},
                {"name": "old", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
            ], "initContainerStatuses": [{"name": "init", "state": {"waiting": {"reason": "ErrImagePull"}}}]}
        }"#;
        let pod: StoredPod<'_> = serde_json::from_str(text).unwrap();
        assert_eq!((pod.name(), pod.namespace(), pod.has_ended()), ("web-0", "shop", false));
        let waiting: Vec<_> =
            pod.waiting().map(|it| (it.container, it.reason, it.message)).collect();
        let app = ("app", "ImagePullBackOff", "Back-off \"x\"");
        assert_eq!(waiting, [("init", "ErrImagePull", ""), app]);
        assert!(pod.controller().is_none() && pod.template_hash().is_none());
        assert!(pod.is_stuck());
    }

    #[test]
    fn a_pod_without_a_node_is_stuck_and_one_that_runs_is_not() {
        for (status, stuck) in [
            (r#"{"phase": "Pending"}"#, true),
            (r#"{"phase": "Running"}"#, false),
            (
                r#"{"phase": "Running", "containerStatuses": [{"name": "a", "state": {"waiting": {"reason": "ErrImagePull"}}}]}"#,
                true,
            ),
        ] {
            let text = format!(r#"{{"status": {status}}}"#);
            assert_eq!(serde_json::from_str::<StoredPod<'_>>(&text).unwrap().is_stuck(), stuck);
        }
    }

    #[test]
    fn what_has_ended_or_is_about_to_needs_nothing() {
        for (text, ended) in [
            (r#"{"status": {"phase": "Succeeded"}}"#, true),
            (r#"{"status": {"phase": "Failed"}}"#, true),
            (r#"{"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}"#, true),
            (
                r#"{"metadata": {"labels": null, "ownerReferences": null}, "status": {"phase": "Running"}}"#,
                false,
            ),
        ] {
            assert_eq!(serde_json::from_str::<StoredPod<'_>>(text).unwrap().has_ended(), ended);
        }
    }
}
