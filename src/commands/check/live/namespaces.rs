//! Which namespaces have opted in, and which of them the API server asks about.

use std::collections::BTreeMap;

use k8s_openapi::api::{admissionregistration::v1::MutatingWebhook, core::v1::Namespace};
use kube::core::{ObjectMeta, PartialObjectMeta};

use super::{
    super::{Check, finding::Report},
    registration,
};
use crate::{
    cluster::{CallError, Cluster, Collection},
    core::{
        decide::{EXCLUDED_NAMESPACES, Knowledge},
        pod::{INJECT_LABEL, OPTED_IN},
    },
};

/// How a namespace stands to the webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The API server asks about its Pods.
    Covered,
    /// Nobody asks about its Pods, and the label alone does not change that.
    LeftOut,
    /// It has no such label.
    NotOptedIn,
}

/// The labels of the namespace of this name, or of all. Empty where there is no namespace of that name.
pub(super) async fn read(
    cluster: &Cluster,
    only: Option<&str>,
) -> Result<BTreeMap<String, BTreeMap<String, String>>, CallError> {
    type Found = PartialObjectMeta<Namespace>;
    let namespaces = Collection::of::<Namespace>(None);
    let labels = |metadata: ObjectMeta| Some((metadata.name?, metadata.labels.unwrap_or_default()));
    let found: Vec<Found> = match only {
        Some(name) => cluster.get_metadata(&namespaces, name).await?.into_iter().collect(),
        None => cluster.list_metadata(namespaces).all().await?,
    };
    Ok(found.into_iter().filter_map(|it| labels(it.metadata)).collect())
}

/// Judges the label of a namespace. Where no registration is known, the label alone counts.
pub(super) fn judge(
    name: &str,
    labels: &BTreeMap<String, String>,
    webhooks: &[MutatingWebhook],
    known: &Knowledge,
    report: &mut Report,
) -> Standing {
    let place = format!("namespace {name}");
    let label = labels.get(INJECT_LABEL).map(String::as_str);
    let is_own = known.own_namespace.as_deref() == Some(name);
    if EXCLUDED_NAMESPACES.contains(&name) || is_own {
        if label == Some(OPTED_IN) {
            let whose = if is_own {
                "pullcred's own namespace"
            } else {
                "a namespace of Kubernetes itself"
            };
            let message = format!(
                "it is labelled, but it is {whose}, where no Pod ever gets a Secret: \
                 kubectl label namespace {name} {INJECT_LABEL}-"
            );
            report.warning(Check::ExcludedNamespace, place, message);
        }
        return Standing::LeftOut;
    }
    let asked = if webhooks.is_empty() {
        label == Some(OPTED_IN)
    } else {
        webhooks.iter().any(|webhook| registration::covers(webhook, labels))
    };
    match label {
        Some(OPTED_IN) if !asked => {
            let message = "it is labelled, but the registration's namespaceSelector leaves it out, so its Pods get no \
                           Secret: see what it asks for";
            report.warning(Check::Label, place, message);
        }
        Some(OPTED_IN) | None => {}
        Some(other) => {
            let message = format!(
                "its label is {INJECT_LABEL}={other}, which means nothing: write {OPTED_IN}, or remove it"
            );
            report.warning(Check::Label, place, message);
        }
    }
    match label {
        _ if asked => Standing::Covered,
        None => Standing::NotOptedIn,
        Some(_) => Standing::LeftOut,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_label_does_what_it_says_or_is_told_of() {
        let webhook: MutatingWebhook = serde_json::from_value(json!({
            "name": "x", "admissionReviewVersions": [], "clientConfig": {}, "sideEffects": "None",
            "namespaceSelector": {
                "matchLabels": {INJECT_LABEL: OPTED_IN},
                "matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}],
            },
        }))
        .unwrap();
        let known = Knowledge { own_namespace: Some("home".into()), ..Knowledge::default() };
        let enabled = (INJECT_LABEL, OPTED_IN);
        for (name, labels, standing, told) in [
            ("shop", vec![enabled], Standing::Covered, ""),
            ("shop", vec![], Standing::NotOptedIn, ""),
            (
                "shop",
                vec![enabled, ("tier", "x")],
                Standing::LeftOut,
                "namespaceSelector leaves it out",
            ),
            ("shop", vec![(INJECT_LABEL, "true")], Standing::LeftOut, "=true, which means nothing"),
            ("kube-system", vec![], Standing::LeftOut, ""),
            (
                "kube-system",
                vec![enabled],
                Standing::LeftOut,
                "kubectl label namespace kube-system",
            ),
            ("home", vec![enabled], Standing::LeftOut, "pullcred's own namespace"),
        ] {
            let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let mut report = Report::default();
            let webhooks = [webhook.clone()];
            let found = judge(name, &labels.collect(), &webhooks, &known, &mut report);
            assert_eq!(found, standing, "{name}");
            let mut out = Vec::new();
            report.write_json(&mut out).unwrap();
            let out = String::from_utf8(out).unwrap();
            assert_eq!(out.is_empty(), told.is_empty(), "{name}: {out}");
            assert!(out.contains(told), "{name}: {out}");
        }
    }
}
