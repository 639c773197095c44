//! pullcred as the chart installs it, with Pods that run.

use std::sync::Arc;

use anyhow::{Result, ensure};

use super::clinic::{examine, run};
use crate::{
    fixtures::pod,
    node::{FIRST, HOME, NodeCluster},
    pki::{Authority, User},
    registration::Registration,
    report::Report,
};

/// Registration, mapping and what is served are found without a flag for them. Each webhook Pod shakes hands, over a
/// port that API server and kubelet forward: were it not so, there would be a note. Held against a stranger's
/// `caBundle`, the same hand-shakes are errors.
pub(crate) async fn a_real_installation(cluster: Arc<NodeCluster>) -> Result<Report> {
    let namespace = cluster.opted_in("check-real").await?;
    cluster.secret_by_login(&namespace, "first", FIRST, FIRST.password).await?;
    let image = cluster.push(FIRST, "shop/doctor:1").await?;
    let stored = namespace.create_pod(pod("app").image(&image)).await?;
    assert_eq!(stored.pull_secrets(), ["first"]);
    let in_namespace = ["--namespace", namespace.name()];
    let sound = examine(cluster.control_plane(), User::ADMIN, &in_namespace).await?;
    sound.is_sound()?;
    ensure!(sound.not_seen().is_empty(), "{sound:?}");

    let name = "check-stranger";
    let registration =
        Registration::service(name, HOME, "pullcred-webhook", &Authority::new(name)?);
    registration.clone().only_in(&[namespace.name()]).create(cluster.api()).await?;
    let args = [&in_namespace[..], &["--webhook-config", name]].concat();
    let distrusted = examine(cluster.control_plane(), User::ADMIN, &args).await?;
    let table = run(cluster.control_plane(), User::ADMIN, &args).await?;
    registration.delete(cluster.api()).await?;
    let pods = cluster.pods_of("webhook").await?;
    ensure!(!pods.is_empty(), "there are no webhook Pods");
    for pod in &pods {
        let place = format!("pod {HOME}/{}", pod.name());
        distrusted.has("error", "certificate", &place, "signed by none of the certificates")?;
    }
    Ok(Report::new()
        .seen("`check --live`, the chart as Helm installed it", sound.summary)
        .seen("`check --live`, the caBundle of a stranger", table.stdout + &table.stderr))
}
