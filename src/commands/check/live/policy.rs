//! What else in a cluster has to do with who gets Secrets: a policy in place of the webhook, and one on the label.

use std::collections::BTreeMap;

use k8s_openapi::{api::admissionregistration::v1::ValidatingAdmissionPolicy, jiff::Timestamp};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::Value;

use super::{
    super::{
        Check,
        finding::{Report, first_of},
    },
    namespaces::Labelled,
};
use crate::{
    cluster::{CallError, Cluster, Collection, Outcome},
    core::pod::{INJECT_LABEL, OPTED_IN},
};

/// The group of policies.
const GROUP: &str = "admissionregistration.k8s.io";
/// The versions in which an API server may have mutating policies, the newest first.
const VERSIONS: [&str; 2] = ["v1", "v1beta1"];
/// The resource on which the chart's opt-in policy wants a right.
const OPT_INS: &str = "optins";
/// How many namespaces are named.
const NAMED: usize = 10;

/// Finds a policy that injects without a webhook; says whether one exists and is in force.
pub(super) async fn in_place_of_a_webhook(
    cluster: &Cluster,
    has_mapping: bool,
    report: &mut Report,
) -> bool {
    let (policies, bindings) = match mutating(cluster).await {
        Ok(found) => found,
        Err(error) => {
            report.not_seen("mutatingadmissionpolicies", &error.reason());
            return false;
        }
    };
    judge(&policies, &bindings, has_mapping, report)
}

/// All mutating policies and their bindings; none where the API server has no such things.
async fn mutating(
    cluster: &Cluster,
) -> Result<(Vec<DynamicObject>, Vec<DynamicObject>), CallError> {
    for version in VERSIONS {
        let list = async |kind: &str| {
            let kind = GroupVersionKind::gvk(GROUP, version, kind);
            let all = Collection::of_resource(&ApiResource::from_gvk(&kind), None);
            cluster.list(all, None).all::<DynamicObject>().await
        };
        match list("MutatingAdmissionPolicy").await {
            Err(error) if error.outcome() == Outcome::Gone => {}
            Err(error) => return Err(error),
            Ok(policies) => return Ok((policies, list("MutatingAdmissionPolicyBinding").await?)),
        }
    }
    Ok((Vec::new(), Vec::new()))
}

fn judge(
    policies: &[DynamicObject],
    bindings: &[DynamicObject],
    has_mapping: bool,
    report: &mut Report,
) -> bool {
    let mut holds = false;
    for policy in policies.iter().filter(|policy| injects(&policy.data)) {
        let name = policy.metadata.name.as_deref().unwrap_or_default();
        let place = format!("policy {name}");
        let binds = |it: &DynamicObject| {
            it.data.pointer("/spec/policyName").and_then(Value::as_str) == Some(name)
        };
        if !bindings.iter().any(binds) {
            let message = "no MutatingAdmissionPolicyBinding binds it, so it does nothing: apply both objects that \
                           pullcred policy writes";
            report.error(Check::Policy, place, message);
            continue;
        }
        holds = true;
        let message = if has_mapping {
            "it gives new Pods their Secrets, without a webhook: held against the mapping of --config"
        } else {
            "it gives new Pods their Secrets, without a webhook. The mapping cannot be read out of it, so neither Secrets \
             nor Pods are judged: write --config FILE"
        };
        report.note(Check::Policy, place, message);
    }
    holds
}

/// Whether a policy is one that `pullcred policy` writes, or was made of one.
fn injects(policy: &Value) -> bool {
    let text = policy.get("spec").map(ToString::to_string).unwrap_or_default();
    text.contains(INJECT_LABEL) && text.contains("imagePullSecrets")
}

/// Says which namespaces opted in before a policy asked who may do so.
pub(super) async fn on_the_label(
    cluster: &Cluster,
    namespaces: &BTreeMap<String, Labelled>,
    report: &mut Report,
) {
    let all = Collection::of::<ValidatingAdmissionPolicy>(None);
    let policies = match cluster.list(all, None).all::<ValidatingAdmissionPolicy>().await {
        Ok(policies) => policies,
        Err(error) => return report.not_seen("validatingadmissionpolicies", &error.reason()),
    };
    for policy in &policies {
        let asks = policy.spec.as_ref().is_some_and(|spec| {
            let mut validations = spec.validations.iter().flatten();
            validations.any(|it| it.expression.contains(OPT_INS))
                && spec.variables.iter().flatten().any(|it| it.expression.contains(INJECT_LABEL))
        });
        if let Some(since) = policy.metadata.creation_timestamp.as_ref().filter(|_| asks) {
            let name = policy.metadata.name.as_deref().unwrap_or_default();
            from_before(name, since.0, namespaces, report);
        }
    }
}

fn from_before(
    policy: &str,
    since: Timestamp,
    namespaces: &BTreeMap<String, Labelled>,
    report: &mut Report,
) {
    let from_before = |it: &&Labelled| {
        it.labels.get(INJECT_LABEL).is_some_and(|value| value == OPTED_IN)
            && it.labelled_at.is_some_and(|at| at < since)
    };
    let names: Vec<&str> = namespaces
        .iter()
        .filter(|(_, labelled)| from_before(labelled))
        .map(|(name, _)| name.as_str())
        .collect();
    if names.is_empty() {
        return;
    }
    let first = first_of(&names, NAMED);
    let message = format!(
        "labelled before the policy was there, so it checked none of them: {first}. See whether each is to stay"
    );
    report.note(Check::LabelledBefore, format!("policy {policy}"), message);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(name: &str, spec: &Value) -> DynamicObject {
        let object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "x", "metadata": {"name": name},
            "spec": spec,
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn a_policy_of_ours_takes_the_place_of_a_webhook() {
        let ours = json!({
            "matchConstraints": {"namespaceSelector": {"matchExpressions": [{"key": INJECT_LABEL}]}},
            "mutations": [{"jsonPatch": {"expression": "path: '/spec/imagePullSecrets'"}}],
        });
        let policies =
            [object("other", &json!({"x": "imagePullSecrets"})), object("pullcred", &ours)];
        let bound = [object("b", &json!({"policyName": "pullcred"}))];
        let other = [object("b", &json!({"policyName": "other"}))];
        for (bindings, has_mapping, holds, part) in [
            (&bound, true, true, "\"note\""),
            (&bound, false, true, "write --config FILE"),
            (&other, true, false, "\"error\""),
        ] {
            let mut report = Report::default();
            assert_eq!(judge(&policies, bindings, has_mapping, &mut report), holds);
            let reported = report.json();
            assert_eq!(reported.lines().count(), 1, "{reported}");
            assert!(reported.contains(part) && reported.contains("policy pullcred"), "{reported}");
        }
        let mut report = Report::default();
        assert!(!judge(&policies[..1], &bound, true, &mut report));
        assert_eq!(report.json(), "");
    }

    #[test]
    fn namespaces_from_before_the_policy_are_named() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let labelled = |value: &str, time: Option<&str>| Labelled {
            labels: BTreeMap::from([(INJECT_LABEL.to_owned(), value.to_owned())]),
            labelled_at: time.map(at),
        };
        let namespaces = BTreeMap::from([
            ("early".to_owned(), labelled(OPTED_IN, Some("2026-01-01T00:00:00Z"))),
            ("late".to_owned(), labelled(OPTED_IN, Some("2026-03-01T00:00:00Z"))),
            ("other".to_owned(), labelled("x", Some("2026-01-01T00:00:00Z"))),
            ("unknown".to_owned(), labelled(OPTED_IN, None)),
        ]);
        let mut report = Report::default();
        from_before("opt-in", at("2026-02-01T00:00:00Z"), &namespaces, &mut report);
        let found = report.json();
        assert!(
            found.contains("\"note\"") && found.contains("none of them: early. See"),
            "{found}"
        );
    }
}
