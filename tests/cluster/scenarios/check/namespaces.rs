//! Namespaces, their Secrets and their Pods.

use std::sync::Arc;

use anyhow::Result;
use serde_json::json;

use super::clinic::{CANARY, Clinic, REGISTRY, docker_config, private_pod};
use crate::{
    cluster::Cluster, fixtures::workload, namespace::PRIVATE_IMAGE, registration::INJECT,
    report::Report, wait::until,
};

/// The one Secret that a Pod needs, in every way in which it does not open the image.
pub(crate) async fn secrets_of_every_kind(cluster: Arc<Cluster>) -> Result<Report> {
    let name = "check-secrets";
    let secret = PRIVATE_IMAGE.1;
    let clinic = Clinic::new(cluster, name).await?;
    clinic.namespace.until_injected().await?;
    clinic.namespace.create_pod(private_pod("app")).await?;
    let place = format!("secret {name}/{secret}");

    let missing = clinic.examine().await?;
    missing.is(
        "error",
        "missing-secret",
        &place,
        "then pullcred secret --registry registry.cn-shanghai.aliyuncs.com --name aliyun",
    )?;
    let mut report =
        Report::new().seen("`check --live`, the Secret is not there", clinic.table().await?);

    let pull = "kubernetes.io/dockerconfigjson";
    let without_password = json!({"auths": {REGISTRY: {"username": "robot"}}}).to_string();
    let unreadable = json!({"auths": {REGISTRY: {"auth": CANARY}}}).to_string();
    let with_port = docker_config(&format!("{REGISTRY}:443"));
    for (type_, content, severity, check, part) in [
        ("Opaque", docker_config(REGISTRY), "error", "secret-type", "it is of type `Opaque`"),
        (pull, unreadable, "error", "unreadable-secret", "`auth` of the entry"),
        (pull, docker_config("quay.io"), "error", "no-login", "it has one for quay.io"),
        (pull, with_port, "error", "no-login", "ports are compared as text"),
        (pull, without_password, "warning", "incomplete-login", "has no password"),
    ] {
        clinic.secret_of_type(secret, type_, &content).await?;
        clinic.examine().await?.is(severity, check, &place, part)?;
        let what = format!("`check --live`, {check} ({part})");
        report = report.seen(what, clinic.table().await?.lines().nth(1).unwrap_or_default());
        clinic.namespace.delete_object("/api/v1", &format!("secrets/{secret}")).await?;
    }
    clinic.secret(secret, &docker_config(REGISTRY)).await?;
    clinic.examine().await?.is_sound()?;

    // One that no Pod needs yet is judged by its rule.
    clinic.secret("hub", &docker_config("quay.io")).await?;
    let spare = clinic.examine().await?;
    spare.is("warning", "no-login", &format!("secret {name}/hub"), "no login for docker.io")?;
    Ok(report)
}

/// Pods that were there before the namespace opted in.
pub(crate) async fn pod_from_before(cluster: Arc<Cluster>) -> Result<Report> {
    let name = "check-before";
    let clinic = Clinic::new(cluster, name).await?;
    clinic.namespace.label(INJECT, None).await?;
    clinic.namespace.until_left_alone(PRIVATE_IMAGE.0).await?;
    clinic.secret(PRIVATE_IMAGE.1, &docker_config(REGISTRY)).await?;
    let deployment = workload("Deployment", private_pod("web"));
    clinic.namespace.create_object("/apis/apps/v1", "deployments", &deployment).await?;
    clinic.namespace.pod_of("web").await?;
    clinic.examine().await?.is_sound()?;

    clinic.namespace.label(INJECT, "enabled").await?;
    let late = clinic.examine().await?;
    let remedy = format!("kubectl rollout restart deployment/web -n {name}");
    late.is("warning", "pod-without-secret", &format!("deployment {name}/web"), &remedy)?;
    Ok(Report::new()
        .seen("`check --live`, a Deployment from before the label", clinic.table().await?))
}

/// More Pods than the API server gives at a time, told in one line.
pub(crate) async fn more_pods_than_a_page(cluster: Arc<Cluster>) -> Result<Report> {
    const PODS: usize = 260;
    let name = "check-pages";
    let clinic = Clinic::new(cluster, name).await?;
    clinic.namespace.label(INJECT, None).await?;
    clinic.namespace.until_left_alone(PRIVATE_IMAGE.0).await?;
    clinic.secret(PRIVATE_IMAGE.1, &docker_config(REGISTRY)).await?;
    let mut set = workload("ReplicaSet", private_pod("many"));
    set["spec"]["replicas"] = PODS.into();
    clinic.namespace.create_object("/apis/apps/v1", "replicasets", &set).await?;
    until("all Pods of the ReplicaSet", async || {
        let set = clinic.namespace.object("/apis/apps/v1", "replicasets/many").await?;
        Ok(set["status"]["replicas"] == PODS)
    })
    .await?;

    clinic.namespace.label(INJECT, "enabled").await?;
    let told = format!("{PODS} Pods lack Secret {}", PRIVATE_IMAGE.1);
    let diagnosis = clinic.examine().await?;
    diagnosis.is("warning", "pod-without-secret", &format!("replicaset {name}/many"), &told)?;
    clinic.namespace.delete_object("/apis/apps/v1", "replicasets/many").await?;
    Ok(Report::new().seen(format!("`check --live`, {PODS} Pods"), diagnosis.summary))
}

/// Labels that do not do what somebody may think.
pub(crate) async fn unlabelled_and_mislabelled(cluster: Arc<Cluster>) -> Result<Report> {
    let name = "check-labels";
    let clinic = Clinic::new(cluster, name).await?;
    let place = format!("namespace {name}");
    clinic.namespace.label(INJECT, "true").await?;
    clinic.examine().await?.is("warning", "label", &place, "which means nothing")?;

    clinic.namespace.label(INJECT, None).await?;
    clinic.namespace.until_left_alone(PRIVATE_IMAGE.0).await?;
    clinic.namespace.create_pod(private_pod("app")).await?;
    let waiting = json!({"status": {"containerStatuses": [{
        "name": "app-0", "image": PRIVATE_IMAGE.0, "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no basic auth"}},
    }]}});
    clinic.namespace.patch_pod("app/status", &waiting).await?;
    let unlabelled = clinic.examine().await?;
    unlabelled.is_sound()?;
    let remedy = format!("kubectl label --overwrite namespace {name} pullcred.dev/inject=enabled");
    unlabelled.has("note", "not-opted-in", &place, &remedy)?;

    // The same Pod in a namespace with the label lacks the Secret, and hangs for it.
    clinic.secret(PRIVATE_IMAGE.1, &docker_config(REGISTRY)).await?;
    clinic.namespace.label(INJECT, "enabled").await?;
    let labelled = clinic.examine().await?;
    labelled.is("error", "pod-without-secret", &format!("pod {name}/app"), "waits for an image")?;
    Ok(Report::new()
        .seen("`check --live`, a Pod that hangs and lacks a Secret", clinic.table().await?))
}
