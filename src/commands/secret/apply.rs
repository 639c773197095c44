//! The Secret into a cluster, by server-side apply.

use std::io::Write;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};

use super::pull_secret::{PullSecret, TYPE};
use crate::{
    cluster::{CallError, ClusterOptions, Collection, Outcome, client::block_on},
    commands::Failure,
    core::rules::SecretName,
    paste,
};

/// Who owns the fields.
const MANAGER: &str = "pullcred";

/// Applies a Secret to the namespace, or to that of the kubeconfig's context.
pub(super) fn apply(
    cluster: &ClusterOptions,
    namespace: Option<&str>,
    name: &SecretName,
    secret: &PullSecret,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    block_on(async {
        let cluster = cluster.connect().await?;
        let namespace = namespace.unwrap_or(cluster.namespace());
        let secrets = Collection::of::<Secret>(Some(namespace));
        let (parameters, patch) = (PatchParams::apply(MANAGER), Patch::Apply(secret));
        let applied = cluster.patch("apply", &secrets, name.as_str(), &parameters, &patch).await;
        applied.map_err(|error| refusal(error, namespace, name))?;
        writeln!(out, "secret/{name} applied in namespace {namespace}")?;
        Ok(())
    })
}

/// Why the API server does not take the Secret, and what to do about it.
pub(super) fn refusal(error: CallError, namespace: &str, name: &SecretName) -> Failure {
    let remove = match paste::name(namespace) {
        Some(namespace) => format!("remove it with `kubectl delete secret {name} -n {namespace}`"),
        None => "remove it".to_owned(),
    };
    let reason = error.reason();
    let immutable = error.status() == Some(422) && reason.contains("immutable");
    if immutable && reason.contains("type") {
        return Failure::trouble(format!(
            "Secret {namespace}/{name} is there already and is not of type {TYPE}, and a type cannot change: \
             take another name, or {remove} first"
        ));
    }
    if immutable {
        return Failure::trouble(format!(
            "Secret {namespace}/{name} is marked as immutable: take another name, or {remove} first"
        ));
    }
    if error.outcome() == Outcome::Conflict {
        return Failure::trouble(format!(
            "Secret {namespace}/{name} was written by somebody else ({reason}): take another name, or {remove} first"
        ));
    }
    error.into()
}
