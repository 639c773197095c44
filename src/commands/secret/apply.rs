//! The Secret into a cluster, by server-side apply.

use std::io::Write;

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{Patch, PatchParams},
};

use super::pull_secret::{PullSecret, TYPE};
use crate::{
    commands::{
        Failure,
        cluster::{ClusterError, ClusterOptions, block_on},
        paste,
    },
    core::rules::SecretName,
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
        let namespace = namespace.unwrap_or(&cluster.namespace);
        let secrets: Api<Secret> = Api::namespaced(cluster.client, namespace);
        let applied =
            secrets.patch(name.as_str(), &PatchParams::apply(MANAGER), &Patch::Apply(secret)).await;
        if let Err(source) = applied {
            return Err(refusal(source, namespace, name));
        }
        writeln!(out, "secret/{name} applied in namespace {namespace}")?;
        Ok(())
    })
}

/// Why the API server does not take the Secret, and what to do about it.
fn refusal(source: kube::Error, namespace: &str, name: &SecretName) -> Failure {
    let remove = match paste::name(namespace) {
        Some(namespace) => format!("remove it with `kubectl delete secret {name} -n {namespace}`"),
        None => "remove it".to_owned(),
    };
    if let kube::Error::Api(status) = &source {
        let immutable = status.message.contains("immutable");
        if status.code == 422 && immutable && status.message.contains("type") {
            return Failure::trouble(format!(
                "Secret {namespace}/{name} is there already and is not of type {TYPE}, and a type cannot change: \
                 take another name, or {remove} first"
            ));
        }
        if status.code == 422 && immutable {
            return Failure::trouble(format!(
                "Secret {namespace}/{name} is marked as immutable: take another name, or {remove} first"
            ));
        }
        if status.code == 409 {
            return Failure::trouble(format!(
                "Secret {namespace}/{name} was written by somebody else ({}): take another name, or {remove} first",
                status.message
            ));
        }
    }
    ClusterError::Request { attempt: format!("apply Secret {namespace}/{name}"), source }.into()
}
