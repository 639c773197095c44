//! The two objects: a MutatingAdmissionPolicy, and the binding without which it does nothing.

use serde::Serialize;

use super::cel::{PATCH, Variable};
use crate::{
    commands::constraints::{NAMESPACE_NAME, REINVOCATION, RESOURCE, SCOPE, VERSION},
    core::{
        decide::OPERATION,
        pod::{INJECT_LABEL, OPTED_IN, OPTED_OUT},
        rules::EXCLUDED_NAMESPACES,
    },
};

/// Served since Kubernetes 1.36.
const API_VERSION: &str = "admissionregistration.k8s.io/v1";

/// Whether the Pod mirrors no static Pod: the kubelet deletes a mirror that was changed.
const NOT_A_MIRROR_POD: &str =
    "!('kubernetes.io/config.mirror' in object.metadata.?annotations.orValue({}))";

/// An object with a spec.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Object<S> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    spec: S,
}

#[derive(Debug, Serialize)]
struct Metadata {
    name: String,
}

/// Which Pods, and what becomes of them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PolicySpec {
    failure_policy: &'static str,
    reinvocation_policy: &'static str,
    match_constraints: MatchConstraints,
    match_conditions: [MatchCondition; 1],
    variables: Vec<NamedExpression>,
    mutations: [Mutation; 1],
}

/// That the policy holds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BindingSpec {
    policy_name: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MatchConstraints {
    match_policy: &'static str,
    namespace_selector: Selector,
    object_selector: Selector,
    resource_rules: [ResourceRule; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Selector {
    match_expressions: Vec<Requirement>,
}

#[derive(Debug, Serialize)]
struct Requirement {
    key: &'static str,
    operator: &'static str,
    values: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceRule {
    api_groups: [&'static str; 1],
    api_versions: [&'static str; 1],
    operations: [&'static str; 1],
    resources: [&'static str; 1],
    scope: &'static str,
}

#[derive(Debug, Serialize)]
struct MatchCondition {
    name: &'static str,
    expression: &'static str,
}

#[derive(Debug, Serialize)]
struct NamedExpression {
    name: String,
    expression: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Mutation {
    patch_type: &'static str,
    json_patch: JsonPatch,
}

#[derive(Debug, Serialize)]
struct JsonPatch {
    expression: &'static str,
}

/// The policy, with the same selectors, operations and conditions as the webhook configuration.
pub(super) fn policy(name: &str, variables: Vec<Variable>) -> Object<PolicySpec> {
    let requirement = |key, operator, values| Requirement { key, operator, values };
    let variables = variables
        .into_iter()
        .map(|Variable { name, expression }| NamedExpression { name, expression });
    let spec = PolicySpec {
        failure_policy: "Ignore",
        reinvocation_policy: REINVOCATION,
        match_constraints: MatchConstraints {
            match_policy: "Equivalent",
            namespace_selector: Selector {
                match_expressions: vec![
                    requirement(INJECT_LABEL, "In", vec![OPTED_IN]),
                    requirement(NAMESPACE_NAME, "NotIn", EXCLUDED_NAMESPACES.to_vec()),
                ],
            },
            object_selector: Selector {
                match_expressions: vec![requirement(INJECT_LABEL, "NotIn", vec![OPTED_OUT])],
            },
            resource_rules: [ResourceRule {
                api_groups: [""],
                api_versions: [VERSION],
                operations: [OPERATION],
                resources: [RESOURCE],
                scope: SCOPE,
            }],
        },
        match_conditions: [MatchCondition {
            name: "not-a-mirror-pod",
            expression: NOT_A_MIRROR_POD,
        }],
        variables: variables.collect(),
        mutations: [Mutation {
            patch_type: "JSONPatch",
            json_patch: JsonPatch { expression: PATCH },
        }],
    };
    object("MutatingAdmissionPolicy", name, spec)
}

/// The binding of the policy of this name.
pub(super) fn binding(name: &str) -> Object<BindingSpec> {
    object("MutatingAdmissionPolicyBinding", name, BindingSpec { policy_name: name.to_owned() })
}

fn object<S>(kind: &'static str, name: &str, spec: S) -> Object<S> {
    Object { api_version: API_VERSION, kind, metadata: Metadata { name: name.to_owned() }, spec }
}
