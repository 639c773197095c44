//! What the API server itself does around a webhook: dry runs, newer fields, its audit log.

use std::sync::Arc;

use anyhow::{Context, Result};
use axum::http::StatusCode;
use k8s_openapi::api::core::v1 as core;
use serde_json::Value;

use crate::{
    audit::AuditEvent,
    cluster::Cluster,
    fixtures::pod,
    namespace::{PRIVATE_IMAGE, StoredPod},
    registration::WEBHOOK,
    report::Report,
};

pub(crate) async fn dry_run_equals_reality(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = cluster.opted_in("dry-run").await?;
    let app = pod("app").image(PRIVATE_IMAGE.0).init_image("quay.io/acme/model:7");
    let dry = StoredPod::from(namespace.dry_run(app.clone()).await?.object()?);
    let absent = namespace.answer_to_get("app").await?.status();
    assert_eq!(absent, StatusCode::NOT_FOUND, "a dry run must store nothing");
    let real = namespace.create_pod(app).await?;
    assert_eq!(dry.at("/spec"), real.at("/spec"));
    assert_eq!(real.pull_secrets(), ["acme-robot", PRIVATE_IMAGE.1]);
    Ok(Report::new().stored("`dryRun=All`", &dry).stored("the same Pod, created", &real))
}

/// `hostnameOverride` came after the version whose types the project is built with.
pub(crate) async fn field_of_a_newer_kubernetes(cluster: Arc<Cluster>) -> Result<Report> {
    const FIELD: &str = "hostnameOverride";
    let namespace = cluster.opted_in("newer-field").await?;
    let app = pod("app").image(PRIVATE_IMAGE.0).spec(FIELD, "app.example.com".into());
    let typed: core::Pod = serde_json::from_value(app.clone().into_object())?;
    let typed = serde_json::to_value(typed)?;
    assert_eq!(typed["spec"][FIELD], Value::Null, "our types know {FIELD}: take a newer field");

    let stored = namespace.create_pod(app).await?;
    assert_eq!(stored.pull_secrets(), [PRIVATE_IMAGE.1]);
    let field = stored.at("/spec/hostnameOverride").context("the field is lost")?;
    assert_eq!(field, "app.example.com");
    let what = "a Pod with `hostnameOverride`, which the project's own types lack";
    Ok(Report::new()
        .stored(what, &stored)
        .seen("the same, that field", format!("`hostnameOverride`: {field}")))
}

pub(crate) async fn audit_log(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = cluster.opted_in("audit").await?;
    let injected = namespace.create_pod(pod("injected").image(PRIVATE_IMAGE.0)).await?;
    let event = cluster.audited(&injected).await?;
    assert_eq!(event.annotation(WEBHOOK, "injected"), Some(PRIVATE_IMAGE.1));
    let registry = "registry.cn-shanghai.aliyuncs.com";
    assert_eq!(event.annotation(WEBHOOK, "matched-registry"), Some(registry));
    assert_eq!(event.annotation(WEBHOOK, "skipped-reason"), None);
    assert!(event.annotation(WEBHOOK, "uid").is_some_and(|uid| uid.len() == 36));
    assert_eq!(event.rounds_changed_by(WEBHOOK), [0]);
    let report = Report::new().seen("audit log, injected Pod", said(&event));

    let skipped = namespace.create_pod(pod("skipped").image("quay.io/other/app:1")).await?;
    let event = cluster.audited(&skipped).await?;
    assert_eq!(event.annotation(WEBHOOK, "skipped-reason"), Some("nothing-matches"));
    assert_eq!(event.annotation(WEBHOOK, "injected"), None);
    assert!(event.rounds_changed_by(WEBHOOK).is_empty());
    Ok(report.seen("audit log, untouched Pod", said(&event)))
}

/// Everything that the webhook said about a Pod.
fn said(event: &AuditEvent) -> String {
    ["injected", "already-present", "matched-registry", "skipped-reason"]
        .into_iter()
        .filter_map(|key| Some(format!("`{WEBHOOK}/{key}-…: {}`", event.annotation(WEBHOOK, key)?)))
        .collect::<Vec<_>>()
        .join(", ")
}
