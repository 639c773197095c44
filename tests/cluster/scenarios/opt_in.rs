//! Who gets anything at all: the labels of namespace and Pod, and the namespaces that never do.
//!
//! In the audit log `skipped-reason` is what the webhook says of a Pod that it left alone. Where a
//! scenario expects none, the registration has kept the Pod away from the webhook.

use std::sync::Arc;

use anyhow::Result;
use serde_json::json;

use crate::{
    cluster::Cluster,
    fixtures::pod,
    namespace::{Namespace, PRIVATE_IMAGE},
    registration::{INJECT, Registration, WEBHOOK},
    report::Report,
};

const MIRROR: &str = "kubernetes.io/config.mirror";

pub(crate) async fn labelled_and_unlabelled_namespace(cluster: Arc<Cluster>) -> Result<Report> {
    let (image, secret) = PRIVATE_IMAGE;
    let labelled = cluster.opted_in("labelled").await?;
    let injected = labelled.create_pod(pod("app").image(image)).await?;
    assert_eq!(injected.pull_secrets(), [secret]);

    let unlabelled = cluster.unlabelled("unlabelled").await?;
    let untouched = unlabelled.create_pod(pod("app").image(image)).await?;
    assert_eq!(untouched.pull_secrets(), []);

    let public = labelled.create_pod(pod("public").image("registry.k8s.io/pause:3.10")).await?;
    assert_eq!(public.pull_secrets(), []);

    Ok(Report::new()
        .stored("bare Pod, labelled namespace", &injected)
        .stored("bare Pod, namespace without the label", &untouched)
        .stored("labelled namespace, an image that no rule covers", &public))
}

pub(crate) async fn opted_out_pod(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = cluster.opted_in("opted-out").await?;
    let app = pod("app").image(PRIVATE_IMAGE.0).label(INJECT, "disabled");
    let stored = namespace.create_pod(app).await?;
    assert_eq!(stored.pull_secrets(), []);
    assert_eq!(cluster.audited(&stored).await?.annotation(WEBHOOK, "skipped-reason"), None);
    Ok(Report::new().stored("Pod with `pullcred.dev/inject: disabled`", &stored))
}

pub(crate) async fn kube_system(cluster: Arc<Cluster>) -> Result<Report> {
    cluster.webhook().await?;
    let namespace = Namespace::existing(cluster.api(), "kube-system");
    namespace.label(INJECT, "enabled").await?;
    namespace.until_pods_are_possible().await?;
    let stored = namespace.create_pod(pod("app").image(PRIVATE_IMAGE.0)).await?;
    assert_eq!(stored.pull_secrets(), []);
    assert_eq!(cluster.audited(&stored).await?.annotation(WEBHOOK, "skipped-reason"), None);
    Ok(Report::new().stored("Pod in kube-system, although that is labelled", &stored))
}

pub(crate) async fn mirror_pod(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = cluster.opted_in("mirror").await?;
    let mirror = pod("static").image(PRIVATE_IMAGE.0).annotation(MIRROR, "1");
    let stored = namespace.create_pod(mirror.spec("nodeName", "somewhere".into())).await?;
    assert_eq!(stored.pull_secrets(), []);
    assert_eq!(cluster.audited(&stored).await?.annotation(WEBHOOK, "skipped-reason"), None);
    Ok(Report::new().stored("mirror of a static Pod", &stored))
}

/// A registration that sends everything, as somebody may write it: what it should have kept away,
/// the webhook leaves alone itself.
pub(crate) async fn the_webhook_alone(cluster: Arc<Cluster>) -> Result<Report> {
    const UNCONDITIONAL: &str = "unconditional.pullcred.dev";
    let address = cluster.webhook().await?.address();
    let namespace = cluster.apart("unconditional").await?;
    namespace.create_pod(pod("old").image(PRIVATE_IMAGE.0)).await?;
    Registration::url("unconditional", address, cluster.webhooks())
        .webhook_name(UNCONDITIONAL)
        .unconditional()
        .only_in(&[namespace.name(), "kube-public"])
        .create(cluster.api())
        .await?;
    namespace.until_injected().await?;
    let excluded = Namespace::existing(cluster.api(), "kube-public");
    excluded.until_pods_are_possible().await?;

    let app = pod("app").image(PRIVATE_IMAGE.0);
    let in_excluded = excluded.create_pod(app.clone()).await?;
    let opted_out = namespace.create_pod(app.label(INJECT, "disabled")).await?;
    let mirror = pod("static").image(PRIVATE_IMAGE.0).annotation(MIRROR, "1");
    let mirror = namespace.create_pod(mirror.spec("nodeName", "somewhere".into())).await?;

    let mut report = Report::new();
    for (what, stored, reason) in [
        ("Pod in kube-public", in_excluded, "excluded-namespace"),
        ("opted-out Pod", opted_out, "opted-out"),
        ("mirror Pod", mirror, "mirror-pod"),
    ] {
        assert_eq!(stored.pull_secrets(), [], "{what}");
        let audited = cluster.audited(&stored).await?;
        assert_eq!(audited.annotation(UNCONDITIONAL, "skipped-reason"), Some(reason), "{what}");
        report = report.stored(format!("{what}, registration without selectors"), &stored);
    }

    let label = json!({"metadata": {"labels": {"team": "blue"}}});
    let updated = namespace.patch_pod("old", &label).await?;
    let tools = json!({"name": "tools", "image": PRIVATE_IMAGE.0});
    let tools = json!({"spec": {"ephemeralContainers": [tools]}});
    let debugged = namespace.patch_pod("old/ephemeralcontainers", &tools).await?;
    namespace.delete_pod("old").await?;
    assert_eq!(updated.pull_secrets(), []);
    assert_eq!(debugged.pull_secrets(), []);
    Ok(report
        .stored("UPDATE of a Pod from before, registration for all operations", &updated)
        .stored("`pods/ephemeralcontainers`, registration for all subresources", &debugged))
}
