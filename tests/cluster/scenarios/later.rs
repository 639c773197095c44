//! Pods that exist: a webhook that touched them would break their updates, because
//! `imagePullSecrets` cannot change after creation.

use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{
    cluster::Cluster,
    fixtures::{job, pod},
    namespace::PRIVATE_IMAGE,
    registration::INJECT,
    report::Report,
    wait::until,
};

/// Labels and finalizers of a Pod that was there before its namespace opted in.
pub(crate) async fn updates_of_a_pod_from_before(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = cluster.unlabelled("before").await?;
    let app = pod("old").image(PRIVATE_IMAGE.0).finalizer("cluster.test/cleanup");
    namespace.create_pod(app).await?;
    namespace.label(INJECT, "enabled").await?;
    namespace.until_injected().await?;

    let labelled = json!({"metadata": {"labels": {"team": "blue"}}});
    let labelled = namespace.patch_pod("old", &labelled).await?;
    assert_eq!(labelled.at("/metadata/labels/team"), Some(&Value::from("blue")));
    assert_eq!(labelled.pull_secrets(), []);
    let released = json!({"metadata": {"$deleteFromPrimitiveList/finalizers":
                          ["cluster.test/cleanup"]}});
    let released = namespace.patch_pod("old", &released).await?;
    assert_eq!(released.at("/metadata/finalizers"), None);
    assert_eq!(released.pull_secrets(), []);
    Ok(Report::new()
        .stored("label added to a Pod from before the opt-in", &labelled)
        .stored("finalizer removed from it", &released))
}

/// The Job controller takes its finalizer from finished Pods, which is an UPDATE.
pub(crate) async fn a_job_from_before_finishes(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = cluster.unlabelled("job-from-before").await?;
    let migrate = job(pod("migrate").image(PRIVATE_IMAGE.0));
    namespace.create_object("/apis/batch/v1", "jobs", &migrate).await?;
    let running = namespace.pod_of("migrate").await?;
    let tracked = running.at("/metadata/finalizers").context("the Job does not track its Pod")?;
    assert_eq!(*tracked, json!(["batch.kubernetes.io/job-tracking"]));
    namespace.label(INJECT, "enabled").await?;
    namespace.until_injected().await?;

    // What a kubelet would report.
    let finished = json!({"status": {"phase": "Succeeded"}});
    namespace.patch_pod(&format!("{}/status", running.name()), &finished).await?;
    until("end of the Job", async || {
        let job = namespace.object("/apis/batch/v1", "jobs/migrate").await?;
        Ok(job["status"]["succeeded"] == 1)
    })
    .await?;
    let released = namespace.pod(running.name()).await?;
    assert_eq!(released.at("/metadata/finalizers"), None);
    assert_eq!(released.pull_secrets(), []);
    Ok(Report::new().stored("Job's Pod from before the opt-in, tracked to its end", &released))
}

pub(crate) async fn ephemeral_containers(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = cluster.opted_in("ephemeral").await?;
    let before = namespace.create_pod(pod("app").image(PRIVATE_IMAGE.0)).await?;
    let tools = json!({"name": "tools", "image": "mesh.example.com/tools:1"});
    let patch = json!({"spec": {"ephemeralContainers": [tools]}});
    let after = namespace.patch_pod("app/ephemeralcontainers", &patch).await?;
    let image = after.at("/spec/ephemeralContainers/0/image").context("it was not stored")?;
    assert_eq!(image, "mesh.example.com/tools:1");
    assert_eq!(after.pull_secrets(), before.pull_secrets());
    let what = "ephemeral container added by a patch of `pods/ephemeralcontainers`";
    Ok(Report::new().stored(what, &after))
}

pub(crate) async fn kubectl_debug(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = cluster.opted_in("kubectl-debug").await?;
    namespace.create_pod(pod("app").image(PRIVATE_IMAGE.0)).await?;
    let debug = ["debug", "--namespace", namespace.name(), "app", "--container", "tools"];
    let image = ["--image", "mesh.example.com/tools:1"];
    cluster.control_plane().kubectl(&[debug.as_slice(), &image].concat()).await?;
    let stored = namespace.pod("app").await?;
    let tools = stored.at("/spec/ephemeralContainers/0").context("it was not stored")?;
    assert_eq!(tools["image"], "mesh.example.com/tools:1");
    assert_eq!(stored.pull_secrets(), [PRIVATE_IMAGE.1]);
    Ok(Report::new().stored("`kubectl debug` of a Pod", &stored))
}
