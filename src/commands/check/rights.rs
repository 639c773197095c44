//! The rights that `check --live` needs, and no more, as manifests.
//!
//! Three objects: what is looked at in the whole cluster; what is looked at in pullcred's own namespace, with the Secrets of
//! logins by their names; and the Secrets of the mapping, each by its name. No Secret can be listed with them, and no port of other Pods than pullcred's forwarded.

use std::{borrow::Cow, collections::BTreeSet};

use serde::Serialize;

use super::super::{Exit, Failure, Streams};
use crate::core::{
    reports::{GROUP, LEASE},
    rules::{Login, Mapping, Rule, SecretName, WhenMissing},
};

/// The group of roles.
const API_VERSION: &str = "rbac.authorization.k8s.io/v1";
/// The group of webhook configurations and of policies.
const ADMISSION: &str = "admissionregistration.k8s.io";
/// The name of what is written.
const NAME: &str = "pullcred-check";

const HEAD: &str = "\
# What a user of `pullcred check --live` needs; what is not granted is a note, and everything else is still looked at.
# Bind each of the three: the last one for the namespaces whose Secrets may be looked at, or for all.
";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Role<'r> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata<'r>,
    rules: Vec<PolicyRule<'r>>,
}

#[derive(Serialize)]
struct Metadata<'r> {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'r str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PolicyRule<'r> {
    api_groups: [&'static str; 1],
    resources: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resource_names: Vec<Cow<'r, str>>,
    verbs: Vec<&'static str>,
}

/// Writes the rights to check a cluster by `mapping`, with pullcred installed in `namespace`.
pub(super) fn write(
    mapping: &Mapping,
    namespace: &str,
    streams: &mut Streams<'_>,
) -> Result<Exit, Failure> {
    streams.stdout.write_all(HEAD.as_bytes())?;
    let texts = roles(mapping, namespace)
        .iter()
        .map(serde_saphyr::to_string)
        .collect::<Result<Vec<String>, _>>()
        .map_err(Failure::trouble)?;
    streams.stdout.write_all(texts.join("---\n").as_bytes())?;
    streams.stdout.flush()?;
    Ok(Exit::Fine)
}

fn roles<'r>(mapping: &'r Mapping, namespace: &'r str) -> [Role<'r>; 3] {
    let rule = |group, resources: &[&'static str], verbs: &[&'static str]| PolicyRule {
        api_groups: [group],
        resources: resources.to_vec(),
        resource_names: Vec::new(),
        verbs: verbs.to_vec(),
    };
    let object = |kind, name: &str, namespace, rules| Role {
        api_version: API_VERSION,
        kind,
        metadata: Metadata { name: name.to_owned(), namespace },
        rules,
    };
    let policies = [
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
        "mutatingwebhookconfigurations",
        "validatingadmissionpolicies",
    ];
    let mut in_the_cluster = vec![
        rule(ADMISSION, &policies, &["get", "list"]),
        rule("", &["namespaces", "pods"], &["get", "list"]),
    ];
    let decides_by_reports = !mapping.discover().is_empty()
        || mapping.rules().iter().any(|it| it.when_missing == WhenMissing::Skip);
    let mut at_home = vec![
        rule("", &["configmaps", "services"], &["get"]),
        rule("discovery.k8s.io", &["endpointslices"], &["list"]),
        // API servers ask for one of the verbs or the other, by their version.
        rule("", &["pods/portforward"], &["create", "get"]),
    ];
    if decides_by_reports || !mapping.logins().is_empty() {
        in_the_cluster.push(rule(GROUP, &["pullsecretreports"], &["list"]));
        let leases = rule("coordination.k8s.io", &["leases"], &["get"]);
        at_home.push(PolicyRule { resource_names: vec![LEASE.into()], ..leases });
    }
    let logins: BTreeSet<SecretName> = mapping.logins().iter().map(Login::secret).collect();
    if !logins.is_empty() {
        let secrets = rule("", &["secrets"], &["get"]);
        let resource_names = logins.iter().map(|it| it.to_string().into()).collect();
        at_home.push(PolicyRule { resource_names, ..secrets });
    }
    let of_rules = mapping.rules().iter().map(|Rule { secret, .. }| secret);
    let names: BTreeSet<&str> = of_rules.chain(mapping.always()).map(SecretName::as_str).collect();
    let secrets = PolicyRule {
        resource_names: names.into_iter().map(Cow::Borrowed).collect(),
        ..rule("", &["secrets"], &["get"])
    };
    [
        object("ClusterRole", NAME, None, in_the_cluster),
        object("Role", NAME, Some(namespace), at_home),
        object("ClusterRole", &format!("{NAME}-secrets"), None, vec![secrets]),
    ]
}
