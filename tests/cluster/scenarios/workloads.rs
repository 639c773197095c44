//! Pods that controllers make. All but those of a `StatefulSet` have no name when they are admitted,
//! only a `generateName`.

use std::sync::Arc;

use anyhow::{Context, Result};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::{
    cluster::Cluster,
    fixtures::{Pod, job as job_of, pod, workload},
    namespace::{Namespace, PRIVATE_IMAGE, StoredPod},
    report::Report,
};

const APPS: &str = "/apis/apps/v1";
const BATCH: &str = "/apis/batch/v1";

pub(crate) async fn deployment(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = cluster.opted_in("deployment").await?;
    let web = workload("Deployment", app("web"));
    let made = namespace.create_object(APPS, "deployments", &web).await?;
    let report = injected(&namespace, "web", "Deployment", "ReplicaSet").await?;
    // The template stays as it was written: nothing that a GitOps tool would want to undo.
    let now = namespace.object(APPS, "deployments/web").await?;
    assert_eq!(now["spec"]["template"], made["spec"]["template"]);
    let template = StoredPod::from(now["spec"]["template"].clone());
    assert_eq!(template.pull_secrets(), []);
    Ok(report.stored("Deployment: its template afterwards", &template))
}

pub(crate) async fn stateful_set(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = cluster.opted_in("stateful-set").await?;
    let mut database = workload("StatefulSet", app("db"));
    database["spec"]["serviceName"] = "db".into();
    namespace.create_object(APPS, "statefulsets", &database).await?;
    injected(&namespace, "db", "StatefulSet", "StatefulSet").await
}

pub(crate) async fn daemon_set(cluster: Arc<Cluster>) -> Result<Report> {
    // A node that never reports is enough: the DaemonSet tolerates it, and nothing has to run.
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "silent"}});
    cluster.api().post("/api/v1/nodes", &node).await?.ok()?;
    let namespace = cluster.opted_in("daemon-set").await?;
    let agent = app("agent").spec("tolerations", json!([{"operator": "Exists"}]));
    let agent = workload("DaemonSet", agent);
    namespace.create_object(APPS, "daemonsets", &agent).await?;
    injected(&namespace, "agent", "DaemonSet", "DaemonSet").await
}

pub(crate) async fn job(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = cluster.opted_in("job").await?;
    namespace.create_object(BATCH, "jobs", &job_of(app("migrate"))).await?;
    injected(&namespace, "migrate", "Job", "Job").await
}

pub(crate) async fn cron_job(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = cluster.opted_in("cron-job").await?;
    create_due_cron_job(&namespace, app("nightly")).await?;
    injected(&namespace, "nightly", "CronJob", "Job").await
}

/// Creates a `CronJob` for `template` that makes its first Job at once.
pub(super) async fn create_due_cron_job(namespace: &Namespace, template: Pod) -> Result<()> {
    let job = job_of(template);
    let name = &job["metadata"]["name"];
    let path = format!("cronjobs/{}", name.as_str().context("the template has no name")?);
    let cron_job = json!({
        "apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": {"name": name},
        "spec": {"schedule": "* * * * *", "suspend": true, "jobTemplate": {"spec": job["spec"]}},
    });
    namespace.create_object(BATCH, "cronjobs", &cron_job).await?;
    // A CronJob whose last run is some minutes ago is due at once, not at the next full minute.
    let last = Timestamp::now() - SignedDuration::from_mins(3);
    let last = json!({"status": {"lastScheduleTime": last.to_string()}});
    namespace.patch_object(BATCH, &format!("{path}/status"), &last).await?;
    let resume = json!({"spec": {"suspend": false}});
    namespace.patch_object(BATCH, &path, &resume).await.map(drop)
}

/// A template with a private image.
fn app(name: &str) -> Pod {
    pod(name).image(PRIVATE_IMAGE.0)
}

/// Waits for the Pod of `app`, which an `owner` makes for a workload, and checks that it has its
/// Secret.
async fn injected(namespace: &Namespace, app: &str, workload: &str, owner: &str) -> Result<Report> {
    let stored = namespace.pod_of(app).await?;
    assert_eq!(stored.pull_secrets(), [PRIVATE_IMAGE.1]);
    let owned_by = stored.at("/metadata/ownerReferences/0/kind").context("nobody owns the Pod")?;
    assert_eq!(owned_by, owner);
    let prefix = stored.at("/metadata/generateName");
    assert!(prefix.is_some(), "the controller gave no generateName");
    Ok(Report::new().stored(format!("{workload}: Pod made for a {owner}"), &stored))
}
