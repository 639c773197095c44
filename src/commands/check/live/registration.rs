//! The webhook configuration, compared with what the webhook's decision takes for granted.
//!
//! Selectors are judged by what they select, not by how they are written: clouds add terms of their own.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::admissionregistration::v1::{
        MutatingWebhook, MutatingWebhookConfiguration, RuleWithOperations,
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
};
use kube::core::{Expression, Selector, SelectorExt};

use super::super::{Check, finding::Report};
use crate::{
    commands::constraints::{NAMESPACE_NAME, REINVOCATION, RESOURCE, SCOPE, VERSION},
    core::{
        decide::OPERATION,
        pod::{INJECT_LABEL, MIRROR_ANNOTATION, OPTED_IN, OPTED_OUT},
        review::{API_VERSION, PATH},
        rules::EXCLUDED_NAMESPACES,
    },
};

/// The name of pullcred's webhook within a configuration: the chart's, and that of the manifests.
pub(in crate::commands) const WEBHOOK: &str = "inject.pullcred.dev";

/// Where Helm writes the namespace of a release.
const RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";

/// The longest time-out that is not reported, in seconds: the API server's own default.
const PATIENCE: i32 = 10;

/// What the API server does where the webhook does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailurePolicy {
    /// It refuses the Pod.
    Fail,
    /// It takes the Pod as it is.
    Ignore,
}

/// Checks a webhook of the configuration `name`.
pub(super) fn judge(name: &str, webhook: &MutatingWebhook, report: &mut Report) {
    let place = place(name);
    rules(&place, webhook, report);
    values(&place, webhook, report);
    path(&place, webhook, report);
    namespaces(&place, webhook, report);
    pods(&place, webhook, report);
    let conditions = webhook.match_conditions.iter().flatten();
    if !conditions.into_iter().any(|it| it.expression.contains(MIRROR_ANNOTATION)) {
        let message = format!(
            "no match condition keeps mirrors of static Pods away, which pullcred leaves alone anyway: \
             add one that is false for Pods with the annotation {MIRROR_ANNOTATION}"
        );
        report.warning(Check::MatchConditions, &place, message);
    }
}

/// Judges what a webhook configuration has beside pullcred's webhook, and where it sends what it asks about. `named` is
/// one that was asked for by name, which may be somebody's own making.
pub(super) fn judge_whole(
    configuration: &MutatingWebhookConfiguration,
    named: bool,
    report: &mut Report,
) {
    let ObjectMeta { name, annotations, .. } = &configuration.metadata;
    let place = place(name.as_deref().unwrap_or_default());
    let webhooks = || configuration.webhooks.iter().flatten();
    if webhooks().any(|it| it.name == WEBHOOK) {
        for other in webhooks().filter(|it| it.name != WEBHOOK) {
            let message = format!(
                "it has another webhook, {:?}, which pullcred never makes: see who added it, and remove it",
                other.name
            );
            report.error(Check::Registration, &place, message);
        }
    }
    let release = annotations.iter().flatten().find(|(key, _)| *key == RELEASE_NAMESPACE);
    for webhook in webhooks() {
        match (&webhook.client_config.service, &webhook.client_config.url) {
            (Some(service), _) if release.is_some_and(|(_, it)| *it != service.namespace) => {
                let message = format!(
                    "it calls a Service in the namespace {:?}, but Helm installed it in {:?}: see who changed it",
                    service.namespace,
                    release.map_or("", |(_, it)| it),
                );
                report.error(Check::Service, &place, message);
            }
            (None, Some(url)) if !named => {
                let message = format!(
                    "it calls {url:?}, not a Service of this cluster, and so sends all that it asks about there: see who \
                     changed it. Where that is meant, say so by --webhook-config"
                );
                report.error(Check::Service, &place, message);
            }
            _ => {}
        }
    }
}

/// The place of findings about a webhook configuration.
pub(super) fn place(name: &str) -> String {
    format!("registration {name}")
}

/// Whether the namespaces with these labels are asked about.
pub(super) fn covers(webhook: &MutatingWebhook, labels: &BTreeMap<String, String>) -> bool {
    selector(webhook.namespace_selector.as_ref()).matches(labels)
}

// === one field each ===

fn rules(place: &str, webhook: &MutatingWebhook, report: &mut Report) {
    let rules = || webhook.rules.iter().flatten();
    let wanted = format!(
        "{OPERATION} of {RESOURCE} (apiGroups [\"\"], apiVersions [{VERSION}], scope {SCOPE})"
    );
    if !rules().any(covers_new_pods) {
        let message = format!("no rule covers new Pods, so no Pod gets anything: write {wanted}");
        report.error(Check::Rules, place, message);
    } else if !rules().all(covers_nothing_else) {
        let message = format!(
            "it asks about more than new Pods, and pullcred never does: what answers reads, and may change, all that the \
             rules cover. See who changed it, and write {wanted}"
        );
        report.error(Check::Rules, place, message);
    }
}

/// As the API server reads a rule (apiserver: pkg/admission/plugin/webhook/predicates/rules/rules.go).
fn covers_new_pods(rule: &RuleWithOperations) -> bool {
    let resource = |it: &String| {
        let (resource, subresource) = it.split_once('/').unwrap_or((it, ""));
        matches!(resource, "*" | RESOURCE) && matches!(subresource, "" | "*")
    };
    names(rule.api_groups.as_ref(), "")
        && names(rule.api_versions.as_ref(), VERSION)
        && names(rule.operations.as_ref(), OPERATION)
        && rule.resources.iter().flatten().any(resource)
        && matches!(rule.scope.as_deref(), None | Some("*" | SCOPE))
}

fn covers_nothing_else(rule: &RuleWithOperations) -> bool {
    let only =
        |list: Option<&Vec<String>>, wanted| list.into_iter().flatten().all(|it| it == wanted);
    only(rule.api_groups.as_ref(), "")
        && only(rule.operations.as_ref(), OPERATION)
        && only(rule.resources.as_ref(), RESOURCE)
}

fn names(list: Option<&Vec<String>>, wanted: &str) -> bool {
    list.into_iter().flatten().any(|it| it == "*" || it == wanted)
}

/// The fields that have one right value.
fn values(place: &str, webhook: &MutatingWebhook, report: &mut Report) {
    let version = API_VERSION.rsplit('/').next().unwrap_or(API_VERSION);
    if webhook.admission_review_versions.first().is_none_or(|it| it != version) {
        let message = format!(
            "admissionReviewVersions begins with another version than {version}, the only one that pullcred speaks: \
             write [{version}]"
        );
        report.error(Check::ReviewVersions, place, message);
    }
    if webhook.side_effects != "None" {
        let message =
            format!("sideEffects is {}, but pullcred has none: write None", webhook.side_effects);
        report.warning(Check::SideEffects, place, message);
    }
    if webhook.reinvocation_policy.as_deref() != Some(REINVOCATION) {
        let message = format!(
            "reinvocationPolicy is {}, so containers that a later webhook adds get no Secret: write {REINVOCATION}",
            webhook.reinvocation_policy.as_deref().unwrap_or("Never")
        );
        report.warning(Check::Reinvocation, place, message);
    }
    if let Some(seconds) = webhook.timeout_seconds.filter(|seconds| *seconds > PATIENCE) {
        let message = format!(
            "timeoutSeconds is {seconds}: for so long each new Pod waits while the webhook hangs. Write 3"
        );
        report.warning(Check::Timeout, place, message);
    }
}

fn path(place: &str, webhook: &MutatingWebhook, report: &mut Report) {
    let config = &webhook.client_config;
    let path = match (&config.service, &config.url) {
        (Some(service), _) => service.path.as_deref().unwrap_or("/"),
        (None, Some(url)) => {
            let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
            rest.find('/').map_or("/", |slash| &rest[slash..])
        }
        (None, None) => return,
    };
    if path != PATH {
        let message =
            format!("the API server posts to {path}, where pullcred answers 404: write {PATH}");
        report.error(Check::Path, place, message);
    }
}

fn namespaces(place: &str, webhook: &MutatingWebhook, report: &mut Report) {
    let expressions = expressions(webhook.namespace_selector.as_ref());
    let labelled = |value: &str| labels(INJECT_LABEL, value);
    let asks_for_label =
        |it: &Expression| !it.matches(&BTreeMap::new()) && !it.matches(&labelled("?"));
    let on_label = || expressions.iter().filter(|it| key(it) == INJECT_LABEL);
    if on_label().any(|it| !it.matches(&labelled(OPTED_IN))) {
        let message = format!(
            "namespaceSelector leaves out every namespace with {INJECT_LABEL}={OPTED_IN}, so no Pod gets anything: \
             write {INJECT_LABEL} In [{OPTED_IN}]"
        );
        report.error(Check::NamespaceSelector, place, message);
    } else if !on_label().any(asks_for_label) {
        let message = format!(
            "namespaceSelector lets namespaces in that did not opt in: write {INJECT_LABEL} In [{OPTED_IN}]"
        );
        report.error(Check::NamespaceSelector, place, message);
    }

    let own = webhook.client_config.service.as_ref().map(|service| service.namespace.as_str());
    let by_name = || expressions.iter().filter(|it| key(it) == NAMESPACE_NAME);
    let let_in: Vec<&str> = EXCLUDED_NAMESPACES
        .into_iter()
        .chain(own)
        .filter(|name| by_name().all(|it| it.matches(&labels(NAMESPACE_NAME, name))))
        .collect();
    if !let_in.is_empty() {
        let message = format!(
            "namespaceSelector does not leave out {}, where pullcred leaves every Pod alone{}: \
             write {NAMESPACE_NAME} NotIn [{}]",
            let_in.join(", "),
            match FailurePolicy::of(webhook) {
                FailurePolicy::Fail => ", and where Pods could not be created while it is down",
                FailurePolicy::Ignore => "",
            },
            let_in.join(", "),
        );
        report.error(Check::NamespaceSelector, place, message);
    }
}

fn pods(place: &str, webhook: &MutatingWebhook, report: &mut Report) {
    let selector = selector(webhook.object_selector.as_ref());
    if selector.matches(&labels(INJECT_LABEL, OPTED_OUT)) {
        let message = format!(
            "objectSelector lets Pods with {INJECT_LABEL}={OPTED_OUT} in, which pullcred leaves alone anyway: \
             write {INJECT_LABEL} NotIn [{OPTED_OUT}]"
        );
        report.error(Check::ObjectSelector, place, message);
    }
    if !selector.matches(&BTreeMap::new()) {
        let message =
            format!("objectSelector leaves Pods out that have no label for it: {selector}");
        report.note(Check::ObjectSelector, place, message);
    }
}

// === selectors ===

/// A selector that the API server took has only operators that there are.
fn selector(selector: Option<&LabelSelector>) -> Selector {
    selector.and_then(|it| Selector::try_from(it.clone()).ok()).unwrap_or_default()
}

fn expressions(of: Option<&LabelSelector>) -> Vec<Expression> {
    selector(of).into_iter().collect()
}

fn key(expression: &Expression) -> &str {
    match expression {
        Expression::In(key, _)
        | Expression::NotIn(key, _)
        | Expression::Exists(key)
        | Expression::DoesNotExist(key)
        | Expression::Equal(key, _)
        | Expression::NotEqual(key, _) => key,
    }
}

fn labels(key: &str, value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(key.to_owned(), value.to_owned())])
}

// === impl FailurePolicy ===

impl FailurePolicy {
    /// That of a webhook. Where none is written it is `Fail` (admissionregistration.k8s.io/v1).
    pub(super) fn of(webhook: &MutatingWebhook) -> Self {
        match webhook.failure_policy.as_deref() {
            Some("Ignore") => Self::Ignore,
            Some(_) | None => Self::Fail,
        }
    }
}

#[cfg(test)]
mod tests;
