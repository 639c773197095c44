//! The Pods that there are: what they need, what they lack, and what they wait for.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::super::{Check, finding::Report};
use crate::{
    commands::explain::near_rules,
    core::{
        decide::{Reason, decide},
        image::ImageRef,
        pod::Pod,
        review::Request,
        rules::Mapping,
    },
    paste,
    pods::{Owner, Replaced, StoredPod},
};

/// What is known of the Pods of a cluster so far.
#[derive(Debug, Default)]
pub(super) struct Usage {
    /// By namespace that has opted in and Secret: the names of the images for which it is. None are for `always`.
    pub(super) needs: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    /// Pods that run without a Secret that they would get if they were new.
    lacking: BTreeMap<Owner, Lacking>,
    /// By namespace without the label: Pods that wait for an image that a rule covers.
    hanging: BTreeMap<String, Hanging>,
    /// By namespace that has opted in and image: Pods that wait for an image that a rule nearly covers, and which one.
    missed: BTreeMap<(String, String), Missed>,
}

#[derive(Debug, Default)]
struct Lacking {
    pods: Replaced,
    /// Whether one of them waits for an image.
    hangs: bool,
    secrets: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Hanging {
    pods: usize,
    /// One of the images, and the line of a rule that covers it.
    example: Option<(String, u32)>,
}

#[derive(Debug)]
struct Missed {
    pods: usize,
    /// What keeps the rule from covering it.
    rule: String,
}

// === impl Usage ===

impl Usage {
    /// Takes a Pod in. Its namespace is `covered` where the API server asks about its new Pods.
    pub(super) fn add(&mut self, object: &Value, covered: bool, mapping: &Mapping) {
        let (Ok(stored), Ok(pod)) = (StoredPod::deserialize(object), Pod::deserialize(object))
        else {
            return;
        };
        if stored.has_ended() {
            return;
        }
        let namespace = stored.namespace();
        if !covered {
            self.hang(&stored, &pod, mapping);
            return;
        }
        self.miss(&stored, &pod, mapping);
        let request = Request::create(namespace, pod.clone());
        let decision = decide(&request, mapping, None);
        if !matches!(decision.reason(), None | Some(Reason::AlreadyPresent)) {
            return;
        }
        self.need(namespace, &pod, mapping);
        if !decision.injected().is_empty() {
            let lacking = self.lacking.entry(Owner::of(namespace, &stored)).or_default();
            lacking.pods.add(stored.name(), stored.is_stuck());
            lacking.hangs |= stored.waiting().next().is_some();
            lacking.secrets.extend(decision.injected().iter().map(ToString::to_string));
        }
    }

    fn need(&mut self, namespace: &str, pod: &Pod<'_>, mapping: &Mapping) {
        let needs = self.needs.entry(namespace.to_owned()).or_default();
        for secret in mapping.always() {
            needs.entry(secret.to_string()).or_default();
        }
        let mut found = Vec::new();
        for image in pod.images().filter_map(|it| ImageRef::parse(it.reference).ok()) {
            mapping.matches(&image, namespace, &mut found);
            for found in found.drain(..) {
                needs.entry(found.secret.to_string()).or_default().insert(image.name());
            }
        }
    }

    /// Finds images that the Pod waits for and that a rule nearly covers.
    fn miss(&mut self, stored: &StoredPod<'_>, pod: &Pod<'_>, mapping: &Mapping) {
        let namespace = stored.namespace();
        let mut found = Vec::new();
        for image in pod.images() {
            let waits = stored.waiting().any(|it| it.container == image.owner);
            let Some(reference) = ImageRef::parse(image.reference).ok().filter(|_| waits) else {
                continue;
            };
            mapping.matches(&reference, namespace, &mut found);
            if !std::mem::take(&mut found).is_empty() {
                continue;
            }
            let near = near_rules(mapping, &reference, namespace);
            let Some(rule) = near.first() else { continue };
            let rule =
                format!("{} in line {} does not, since {}", rule.pattern, rule.line, rule.why);
            let key = (namespace.to_owned(), reference.name());
            self.missed.entry(key).or_insert(Missed { pods: 0, rule }).pods += 1;
        }
    }

    fn hang(&mut self, stored: &StoredPod<'_>, pod: &Pod<'_>, mapping: &Mapping) {
        let namespace = stored.namespace();
        let mut found = Vec::new();
        let covered = pod.images().find_map(|image| {
            stored.waiting().find(|it| it.container == image.owner)?;
            let reference = ImageRef::parse(image.reference).ok()?;
            mapping.matches(&reference, namespace, &mut found);
            Some((image.reference.to_owned(), found.first()?.rule.line))
        });
        if let Some(covered) = covered {
            let hanging = self.hanging.entry(namespace.to_owned()).or_default();
            hanging.pods += 1;
            hanging.example.get_or_insert(covered);
        }
    }

    /// Says which Pods lack what, and where a label would help, which is where a namespace `may_opt_in`.
    pub(super) fn report(&self, may_opt_in: impl Fn(&str) -> bool, report: &mut Report) {
        for (owner, lacking) in &self.lacking {
            lacking.report(owner, report);
        }
        for ((namespace, image), Missed { pods, rule }) in &self.missed {
            let message = format!(
                "{} for {image}, which no rule covers: {rule}",
                if *pods == 1 { "a Pod waits".to_owned() } else { format!("{pods} Pods wait") },
            );
            report.warning(Check::NoRule, format!("namespace {namespace}"), message);
        }
        for (namespace, Hanging { pods, example }) in &self.hanging {
            let Some((image, line)) = example.as_ref().filter(|_| may_opt_in(namespace)) else {
                continue;
            };
            let message = format!(
                "{} for images that the mapping has a rule for, such as {image} (line {line}): \
                 {}",
                if *pods == 1 { "a Pod waits".to_owned() } else { format!("{pods} Pods wait") },
                paste::opt_in(namespace),
            );
            report.note(Check::NotOptedIn, format!("namespace {namespace}"), message);
        }
    }
}

// === impl Lacking ===

impl Lacking {
    fn report(&self, owner: &Owner, report: &mut Report) {
        let Self { pods, hangs, secrets } = self;
        let secrets = secrets.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let count = pods.count();
        let one = count == 1;
        let which = match (owner.kind.as_str(), pods.first()) {
            ("Pod", _) => "it".to_owned(),
            (_, Some(pod)) if one => format!("Pod {pod}"),
            _ => format!("{count} Pods"),
        };
        let message = format!(
            "{which} {} Secret {secrets}, which a new Pod gets{}. {}",
            if one { "lacks" } else { "lack" },
            match (*hangs, one) {
                (true, true) => ", and waits for an image",
                (true, false) => ", and not all of them have their images",
                (false, _) => "",
            },
            owner.remedy(pods),
        );
        let place = format!("{} {}/{}", owner.kind.to_lowercase(), owner.namespace, owner.name);
        if *hangs {
            report.error(Check::PodWithoutSecret, place, message);
        } else {
            report.warning(Check::PodWithoutSecret, place, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{core::pod::INJECT_LABEL, mapping};

    const MAPPING: &str = "rules: [{registries: [quay.io/acme], secret: acme}]\nalways: [debug]\n";

    fn report(pods: &[(Value, bool)]) -> String {
        let mapping = mapping::parse(MAPPING).unwrap();
        let mut usage = Usage::default();
        for (pod, covered) in pods {
            usage.add(pod, *covered, &mapping);
        }
        let mut report = Report::default();
        usage.report(|namespace| namespace == "shop", &mut report);
        report.json()
    }

    fn pod(name: &str, owner: Option<(&str, &str)>, extra: &Value) -> Value {
        let mut pod = json!({
            "metadata": {"namespace": "shop", "name": name, "labels": {"pod-template-hash": "7d4b9c"}},
            "spec": {"containers": [{"name": "app", "image": "quay.io/acme/web:1"}]},
        });
        if let Some((kind, name)) = owner {
            let version = if kind == "Job" { "batch/v1" } else { "apps/v1" };
            let reference =
                json!([{"apiVersion": version, "kind": kind, "name": name, "controller": true}]);
            pod["metadata"]["ownerReferences"] = reference;
        }
        json_patch::merge(&mut pod, extra);
        pod
    }

    fn waits() -> Value {
        let state = json!({"waiting": {"reason": "ErrImagePull"}});
        json!({"status": {"containerStatuses": [{"name": "app", "state": state}]}})
    }

    #[test]
    fn pods_of_one_owner_are_told_together() {
        let web = |name| (pod(name, Some(("ReplicaSet", "web-7d4b9c")), &json!({})), true);
        let reported = report(&[web("web-7d4b9c-a"), web("web-7d4b9c-b")]);
        assert_eq!(reported.lines().count(), 1, "{reported}");
        assert!(
            reported.contains("2 Pods lack Secret acme, debug, which a new Pod gets."),
            "{reported}"
        );
        assert!(reported.contains("kubectl rollout restart deployment/web -n shop"), "{reported}");
        assert!(reported.contains(r#""severity":"warning""#), "{reported}");
    }

    #[test]
    fn each_owner_has_its_own_way_to_replace_pods() {
        for (owner, remedy) in [
            (None, "Delete it and create it again"),
            (Some(("StatefulSet", "db")), "kubectl rollout restart statefulset/db -n shop"),
            (Some(("Job", "once")), "Let the Job end"),
            (Some(("ReplicaSet", "bare")), "kubectl delete pod -n shop a"),
            (Some(("Rollout", "web")), "kubectl delete pod -n shop a"),
        ] {
            let reported = report(&[(pod("a", owner, &json!({})), true)]);
            assert!(reported.contains(remedy), "{owner:?}: {reported}");
        }
    }

    #[test]
    fn many_pods_are_not_named_one_by_one() {
        let pods: Vec<_> = (0..300)
            .map(|n| (pod(&format!("web-{n}"), Some(("ReplicaSet", "bare")), &json!({})), true))
            .collect();
        let reported = report(&pods);
        assert!(reported.contains("300 Pods lack Secret acme, debug"), "{reported}");
        assert!(
            reported.contains("delete these 300 Pods, and ReplicaSet bare makes"),
            "{reported}"
        );
        assert!(reported.len() < 400, "{reported}");
    }

    #[test]
    fn a_pod_that_hangs_is_worse() {
        let reported = report(&[(pod("a", None, &waits()), true)]);
        assert!(reported.contains(r#""severity":"error""#), "{reported}");
        assert!(
            reported.contains("it lacks Secret acme, debug, which a new Pod gets, and waits"),
            "{reported}"
        );
    }

    #[test]
    fn pods_that_need_nothing_are_not_told() {
        let with = |extra: Value| (pod("a", None, &extra), true);
        let reported = report(&[
            with(json!({"status": {"phase": "Succeeded"}})),
            with(json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})),
            with(json!({"metadata": {"labels": {INJECT_LABEL: "disabled"}}})),
            with(json!({"spec": {"imagePullSecrets": [{"name": "debug"}, {"name": "acme"}]}})),
            (pod("a", None, &json!({})), false),
        ]);
        assert_eq!(reported, "");
    }

    #[test]
    fn who_waits_without_the_label_is_told_of_it() {
        let reported = report(&[
            (pod("a", None, &waits()), false),
            (pod("b", None, &waits()), false),
            (
                pod(
                    "c",
                    None,
                    &json!({"metadata": {"namespace": "kube-system"}, "status": waits()["status"]}),
                ),
                false,
            ),
        ]);
        assert_eq!(reported.lines().count(), 1, "{reported}");
        assert!(reported.contains("2 Pods wait for images"), "{reported}");
        assert!(
            reported
                .contains("kubectl label --overwrite namespace shop pullcred.dev/inject=enabled"),
            "{reported}"
        );
    }

    #[test]
    fn an_image_that_a_rule_nearly_covers_is_named() {
        let waits_for = |image: &str| {
            let image = json!({
                "spec": {"containers": [{"name": "app", "image": image}]}, "status": waits()["status"],
            });
            (pod("a", None, &image), true)
        };
        for (image, part) in [
            (
                "quay.io:443/acme/app",
                "a Pod waits for quay.io:443/acme/app, which no rule covers: quay.io/acme",
            ),
            ("quay.io/other/app", "in line 1 does not, since its path"),
            ("ghcr.io/acme/app", ""),
            ("quay.io/acme/app", ""),
        ] {
            let reported = report(&[waits_for(image)]);
            let found =
                reported.lines().filter(|line| line.contains("\"no-rule\"")).collect::<Vec<_>>();
            assert_eq!(found.len(), usize::from(!part.is_empty()), "{reported}");
            assert!(found.iter().all(|line| line.contains(part)), "{reported}");
        }
    }
}
