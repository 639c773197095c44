//! Checks by a dry run that the API server adds Secrets to Pods.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::cluster::{CallError, Cluster, Collection};

/// Creates a Pod by a dry run: the API server calls its webhooks, and then evaluates its policies. The chart installs a policy
/// that refuses Pods of `namespace` without the Secret of the mapping's rule. Uses server-side apply, so that a right scoped
/// to this name is enough.
///
/// # Errors
///
/// [`CallError`], with the policy's message if it refuses the Pod.
pub(super) async fn create(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    image: &str,
) -> Result<(), CallError> {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "probe",
                "image": image,
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    });
    let parameters = PatchParams::apply("pullcred-probe").dry_run();
    let pods = Collection::of::<Pod>(Some(namespace));
    cluster.patch("create", &pods, name, &parameters, &Patch::Apply(pod)).await
}
