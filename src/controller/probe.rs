//! Asks the API server whether it gives Pods their Secrets.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::cluster::{CallError, Cluster, Collection};

/// Has the API server go through the creation of a Pod, by a dry run: its webhooks add to the Pod, and then its policies judge it. The chart
/// installs a policy that refuses Pods of `namespace` without the Secret of the mapping's rule. By server-side apply, so that
/// the right to do it can be one for this name.
///
/// # Errors
///
/// [`CallError`], with the policy's words where it refuses the Pod.
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
