//! Which namespaces have opted in, and which of them the API server asks about.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{admissionregistration::v1::MutatingWebhook, core::v1::Namespace},
    apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry,
    jiff::Timestamp,
};
use kube::core::{ObjectMeta, PartialObjectMeta};

use super::{
    super::{Check, finding::Report},
    registration,
};
use crate::{
    cluster::{CallError, Cluster, Collection},
    core::{
        pod::{INJECT_LABEL, OPTED_IN},
        rules::{EXCLUDED_NAMESPACES, Mapping},
    },
    paste::opt_in,
};

/// Whether a namespace has opted in, and whether the API server calls the webhook for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LabelState {
    /// The API server calls the webhook for its Pods.
    Covered,
    /// The API server does not call the webhook for its Pods, and the label alone does not change that.
    LeftOut,
    /// It has no such label.
    NotOptedIn,
}

/// The label of the chart's own test, whose namespace users do not maintain (Kubernetes' recommended labels).
const OF_THE_TEST: (&str, &str) = ("app.kubernetes.io/component", "helm-test");
/// The label of everything in the chart.
const OF_THE_CHART: (&str, &str) = ("app.kubernetes.io/name", "pullcred");

/// What a namespace says of itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Labelled {
    pub(super) labels: BTreeMap<String, String>,
    /// When the label that opts in was set, as far as that is known.
    pub(super) labelled_at: Option<Timestamp>,
}

/// The labels of the namespace of this name, or of all. Empty where there is no namespace of that name.
pub(super) async fn read(
    cluster: &Cluster,
    only: Option<&str>,
) -> Result<BTreeMap<String, Labelled>, CallError> {
    type Found = PartialObjectMeta<Namespace>;
    let namespaces = Collection::of::<Namespace>(None);
    let labels = |metadata: ObjectMeta| Some((metadata.name.clone()?, Labelled::from(metadata)));
    let found: Vec<Found> = match only {
        Some(name) => cluster.get_metadata(&namespaces, name).await?.into_iter().collect(),
        None => cluster.list_metadata(namespaces).all().await?,
    };
    Ok(found.into_iter().filter_map(|it| labels(it.metadata)).collect())
}

/// Checks the label of a namespace. Where no webhook configuration is known, the label alone counts.
pub(super) fn judge(
    name: &str,
    labels: &BTreeMap<String, String>,
    webhooks: &[MutatingWebhook],
    mapping: &Mapping,
    report: &mut Report,
) -> LabelState {
    let place = format!("namespace {name}");
    let label = labels.get(INJECT_LABEL).map(String::as_str);
    let is_own = mapping.own_namespace() == Some(name);
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
        return LabelState::LeftOut;
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
                "its label is {INJECT_LABEL}={other}, which means nothing: \
                 {}, or remove the label",
                opt_in(name)
            );
            report.warning(Check::Label, place, message);
        }
    }
    match label {
        _ if asked => LabelState::Covered,
        None => LabelState::NotOptedIn,
        Some(_) => LabelState::LeftOut,
    }
}

// === impl Labelled ===

impl Labelled {
    /// Whether this is the namespace of the chart's own test.
    pub(super) fn is_of_the_test(&self) -> bool {
        let has = |(key, value): (&str, &str)| self.labels.get(key).is_some_and(|it| it == value);
        has(OF_THE_TEST) && has(OF_THE_CHART)
    }
}

impl From<ObjectMeta> for Labelled {
    fn from(metadata: ObjectMeta) -> Self {
        let owns_label = |entry: &&ManagedFieldsEntry| {
            let fields = entry.fields_v1.as_ref().map(|it| &it.0);
            let labels = fields.and_then(|it| it.get("f:metadata")?.get("f:labels"));
            labels.is_some_and(|it| it.get(format!("f:{INJECT_LABEL}")).is_some())
        };
        let entries = metadata.managed_fields.iter().flatten().filter(owns_label);
        let labelled_at = entries.filter_map(|entry| entry.time.as_ref()).map(|time| time.0).min();
        Self { labels: metadata.labels.unwrap_or_default(), labelled_at }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_label_without_effect_is_reported() {
        let webhook: MutatingWebhook = serde_json::from_value(json!({
            "name": "x", "admissionReviewVersions": [], "clientConfig": {}, "sideEffects": "None",
            "namespaceSelector": {
                "matchLabels": {INJECT_LABEL: OPTED_IN},
                "matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}],
            },
        }))
        .unwrap();
        let mapping = Mapping::default().with_own_namespace(Some("home".into()));
        let enabled = (INJECT_LABEL, OPTED_IN);
        for (name, labels, state, reported) in [
            ("shop", vec![enabled], LabelState::Covered, ""),
            ("shop", vec![], LabelState::NotOptedIn, ""),
            (
                "shop",
                vec![enabled, ("tier", "x")],
                LabelState::LeftOut,
                "namespaceSelector leaves it out",
            ),
            (
                "shop",
                vec![(INJECT_LABEL, "true")],
                LabelState::LeftOut,
                "=true, which means nothing",
            ),
            ("kube-system", vec![], LabelState::LeftOut, ""),
            (
                "kube-system",
                vec![enabled],
                LabelState::LeftOut,
                "kubectl label namespace kube-system",
            ),
            ("home", vec![enabled], LabelState::LeftOut, "pullcred's own namespace"),
        ] {
            let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let mut report = Report::default();
            let webhooks = [webhook.clone()];
            let found = judge(name, &labels.collect(), &webhooks, &mapping, &mut report);
            assert_eq!(found, state, "{name}");
            let out = report.json();
            assert_eq!(out.is_empty(), reported.is_empty(), "{name}: {out}");
            assert!(out.contains(reported), "{name}: {out}");
        }
    }
}
