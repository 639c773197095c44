//! Whoever may read little is told what was not looked at.

use std::sync::Arc;

use anyhow::Result;
use serde_json::{Value, json};

use super::clinic::{Clinic, examine};
use crate::{cluster::Cluster, pki::User, report::Report};

/// As the documents have it.
const ROLE: &str = include_str!("../../../../examples/check-rights.yaml");

/// Without any right, each thing is a note, and there is nothing to fail for.
pub(crate) async fn of_nobody(cluster: Arc<Cluster>) -> Result<Report> {
    let nobody = User::named("check-nobody");
    let diagnosis = examine(cluster.control_plane(), nobody, &[]).await?;
    diagnosis.is_sound()?;
    assert_eq!(diagnosis.not_seen(), ["registration", "mapping", "namespaces"]);
    diagnosis.has("note", "not-seen", "registration", "is forbidden")?;
    Ok(Report::new().seen("`check --live` without any right", &diagnosis.summary))
}

/// With the role of the documents, all of it can be looked at.
pub(crate) async fn of_the_documented_role(cluster: Arc<Cluster>) -> Result<Report> {
    let name = "check-rights";
    let doctor = User::named("check-doctor");
    let clinic = Clinic::new(cluster, name).await?.with_a_pod().await?;
    let args = clinic.args();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let before = examine(clinic.cluster.control_plane(), doctor, &args).await?;
    before.is_sound()?;
    assert_eq!(before.not_seen().len(), 2, "{before:?}");

    let role: Value = serde_saphyr::from_str(ROLE)?;
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    clinic.cluster.api().post(roles, &role).await?.ok()?;
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                    "name": role["metadata"]["name"]},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": doctor.name}],
    });
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    clinic.cluster.api().post(bindings, &binding).await?.ok()?;
    crate::wait::until("the rights of the documented role", async || {
        Ok(examine(clinic.cluster.control_plane(), doctor, &args).await?.not_seen().is_empty())
    })
    .await?;
    let after = examine(clinic.cluster.control_plane(), doctor, &args).await?;
    after.is_sound()?;
    // The whole cluster, where other scenarios do as they like: nothing of it is out of reach.
    let whole = examine(clinic.cluster.control_plane(), doctor, &args[2..]).await?;
    let forbidden = whole.forbidden();
    assert!(forbidden.is_empty(), "{forbidden:?}");
    Ok(Report::new()
        .seen("`check --live` without rights", &before.summary)
        .seen("`check --live` with the documented ClusterRole", &after.summary))
}
