//! The chart's alerts, evaluated by a real Prometheus over what the processes really export.

use std::{fs, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use serde_json::json;

use super::home::{Home, TLS_SECRET, USUAL};
use crate::{
    cluster::{Cluster, MAPPING, loopback},
    fixtures::pod,
    namespace::PRIVATE_IMAGE,
    pki::User,
    prometheus::{Monitoring, Prometheus, Targets},
    pullcred::Webhook,
    registration::{COLLECTION, Registration},
    report::Report,
    wait::{until, until_within},
};

/// The name of a webhook that no other scenario has: the API server counts by it.
const ENTRY: &str = "alerts.pullcred.dev";

/// The controller tries again at least every minute.
const AGAIN: Duration = Duration::from_secs(90);

/// Silent while all is well, and firing upon the first bad mapping, the first refused write, the first
/// call about something else than a new Pod, and the first Pod that comes through without the webhook.
pub(crate) async fn alerts(cluster: Arc<Cluster>) -> Result<Report> {
    let monitoring = cluster.monitoring().clone();
    let pods = cluster.apart("alerts-pods").await?;
    let home = Home::new(Arc::clone(&cluster), "alerts").await?;
    home.register(&["nowhere"]).await?;
    let controller = home.start("0", USUAL).await?;
    let folder = cluster.control_plane().folder();
    let (listen, identity) = (loopback(), cluster.webhooks().server(&["127.0.0.1"])?);
    let flags = ["--reload-interval", "200ms"];
    let webhook = Webhook {
        name: "alerts-webhook",
        mapping: MAPPING,
        listen,
        identity: &identity,
        flags: &flags,
        environment: &[],
    };
    let mapping = folder.join("alerts-webhook.yaml");
    let webhook = webhook.start(folder).await?;
    for admin in [webhook.admin(), controller.admin()] {
        monitoring.check_metrics(admin).await?;
    }
    let namespace = home.namespace.name();
    let targets = Targets {
        pods: &[
            (webhook.admin(), namespace, "pullcred-webhook-0"),
            (controller.admin(), namespace, "pullcred-controller-0"),
        ],
        api_server: &cluster.control_plane().kubeconfig(User::ADMIN)?,
    };
    let rules = Monitoring::hurried(&monitoring.rules, namespace, ENTRY);
    let prometheus = monitoring.start(&folder.join("prometheus"), &rules, &targets).await?;
    prometheus.until_scraped(targets.pods.len() + 1).await?;
    Registration::url("alerts-calls", listen, cluster.webhooks())
        .webhook_name(ENTRY)
        .only_in(&[pods.name()])
        .create(cluster.api())
        .await?;
    pods.until_injected().await?;
    let early = prometheus.lately().await?;
    ensure!(early.is_empty(), "while all was well: {early:?}");

    fs::write(&mapping, "rules: [")?;
    let reload = prometheus.until_firing("PullcredReloadFailed").await?;
    ensure!(reload.label("pod") == "pullcred-webhook-0", "{reload:?}");
    ensure!(reload.label("release") == "pullcred", "{reload:?}");
    fs::write(&mapping, MAPPING)?;
    prometheus.until_silent("PullcredReloadFailed").await?;

    let refused = refused_write(&home, &prometheus).await?;

    // What a thief of the controller's token does first: have the API server ask about more.
    let before = pods.create_pod(pod("before").image(PRIVATE_IMAGE.0)).await?;
    let call = json!({"webhooks": [{"name": ENTRY, "rules": [{
        "apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["pods"],
    }]}]});
    let path = format!("{COLLECTION}/alerts-calls");
    cluster.api().patch(&path, &call).await?.ok()?;
    let mut updates = 0;
    until("call about an update", async || {
        updates += 1;
        let change = json!({"metadata": {"annotations": {"update": updates.to_string()}}});
        pods.patch_pod(before.name(), &change).await?;
        let lately = prometheus.lately().await?;
        Ok(lately.iter().any(|alert| alert == "PullcredUnexpectedCalls"))
    })
    .await?;
    let calls = prometheus.until_firing("PullcredUnexpectedCalls").await?;

    webhook.kill();
    pods.create_pod(pod("after").image(PRIVATE_IMAGE.0)).await?;
    let open = prometheus.until_firing("PullcredFailingOpen").await?;
    let down = prometheus.until_firing("PullcredWebhookDown").await?;
    Ok(Report::new()
        .seen("a mapping that cannot be read: `PullcredReloadFailed`", reload.description())
        .seen("a quota refuses a Secret: `PullcredWriteRefused`", refused)
        .seen("a call about an update: `PullcredUnexpectedCalls`", calls.description())
        .seen("webhook killed: `PullcredFailingOpen`", open.description())
        .seen("webhook killed: `PullcredWebhookDown`", down.description()))
}

/// A quota refuses the controller's Secret, until it goes.
async fn refused_write(home: &Home, prometheus: &Prometheus) -> Result<String> {
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"},
        "spec": {"hard": {"count/secrets": "0"}},
    });
    home.namespace.create_object("/api/v1", "resourcequotas", &quota).await?;
    until("quota in force", async || {
        let quota = home.namespace.object("/api/v1", "resourcequotas/none").await?;
        Ok(quota["status"]["hard"]["count/secrets"] == "0")
    })
    .await?;
    home.delete_secret(TLS_SECRET).await?;
    let refused = prometheus.until_firing("PullcredWriteRefused").await?;
    ensure!(refused.label("object") == "serving", "{refused:?}");
    prometheus.until_firing("PullcredReconcileFailing").await?;
    home.namespace.delete_object("/api/v1", "resourcequotas/none").await?;
    until_within(AGAIN, "Secret without the quota", async || {
        Ok(home.secret(TLS_SECRET).await?.is_some())
    })
    .await?;
    prometheus.until_silent("PullcredReconcileFailing").await?;
    Ok(refused.description().to_owned())
}
