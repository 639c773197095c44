//! Where images stand in a Pod, how they are written, and which rules cover them.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use crate::{
    cluster::Cluster,
    fixtures::pod,
    namespace::{PRIVATE_IMAGE, StoredPod},
    report::Report,
};

pub(crate) async fn two_registries(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = cluster.opted_in("two-registries").await?;
    let app = pod("app").image(PRIVATE_IMAGE.0).image("ghcr.io/acme/worker:2");
    let stored = namespace.create_pod(app).await?;
    // The narrower pattern, a registry with a path, comes first.
    assert_eq!(stored.pull_secrets(), ["acme-robot", "aliyun"]);
    Ok(Report::new().stored("two private registries in one Pod", &stored))
}

pub(crate) async fn init_container_only(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = cluster.opted_in("init-only").await?;
    let app = pod("app").image("registry.k8s.io/pause:3.10").init_image(PRIVATE_IMAGE.0);
    let stored = namespace.create_pod(app).await?;
    assert_eq!(stored.pull_secrets(), [PRIVATE_IMAGE.1]);
    Ok(Report::new().stored("private image in an init container only", &stored))
}

pub(crate) async fn image_volume(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = cluster.opted_in("image-volume").await?;
    let app = pod("app").image("registry.k8s.io/pause:3.10").image_volume("quay.io/acme/model:7");
    let stored = namespace.create_pod(app).await?;
    assert_eq!(stored.pull_secrets(), ["acme-robot"]);
    let reference = stored.at("/spec/volumes/0/image/reference").context("no image volume")?;
    assert_eq!(reference, "quay.io/acme/model:7");
    Ok(Report::new().stored("private image in an image volume only", &stored))
}

pub(crate) async fn port(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = cluster.opted_in("port").await?;
    let with = namespace.create_pod(pod("with").image("registry.internal:5000/app:1")).await?;
    assert_eq!(with.pull_secrets(), ["internal"]);
    let without = namespace.create_pod(pod("without").image("registry.internal/app:1")).await?;
    assert_eq!(without.pull_secrets(), []);
    Ok(Report::new()
        .stored("`registry.internal:5000/app:1`, as in the rule", &with)
        .stored("`registry.internal/app:1`, another port than in the rule", &without))
}

pub(crate) async fn digest(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = cluster.opted_in("digest").await?;
    let digest = "sha256:".to_owned() + &"0123456789abcdef".repeat(4);
    let registry = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
    let by_digest = pod("by-digest").image(&format!("{registry}/app@{digest}"));
    let by_digest = namespace.create_pod(by_digest).await?;
    assert_eq!(by_digest.pull_secrets(), ["ecr"]);
    let both = pod("by-both").image(&format!("{registry}/app:1@{digest}"));
    let both = namespace.create_pod(both).await?;
    assert_eq!(both.pull_secrets(), ["ecr"]);
    Ok(Report::new()
        .stored("image by digest, registry by a glob", &by_digest)
        .stored("image by tag and digest", &both))
}

pub(crate) async fn docker_hub_in_four_spellings(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = cluster.opted_in("docker-hub").await?;
    let mut report = Report::new();
    for (name, image) in [
        ("short", "nginx"),
        ("library", "library/nginx"),
        ("full", "docker.io/library/nginx"),
        ("index", "index.docker.io/library/nginx"),
    ] {
        let stored = namespace.create_pod(pod(name).image(image)).await?;
        assert_eq!(stored.pull_secrets(), ["hub"], "{image}");
        report = report.stored(format!("`{image}`, by the rule for `docker.io`"), &stored);
    }
    Ok(report)
}

pub(crate) async fn rule_for_some_namespaces(cluster: Arc<Cluster>) -> Result<Report> {
    let app = pod("app").image("batch.example.com/app:1");
    let named = cluster.opted_in("batch-nightly").await?.create_pod(app.clone()).await?;
    assert_eq!(named.pull_secrets(), ["batch"]);
    let other = cluster.opted_in("daytime").await?.create_pod(app).await?;
    assert_eq!(other.pull_secrets(), []);
    Ok(Report::new()
        .stored("a rule for namespaces `batch-*`, in `batch-nightly`", &named)
        .stored("a rule for namespaces `batch-*`, in `daytime`", &other))
}

/// The API server stores what no kubelet can pull; that must not stand in the way of the rest.
pub(crate) async fn malformed(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = cluster.opted_in("malformed").await?;
    let app = pod("app").image("https://ghcr.io/acme/app:1").image(PRIVATE_IMAGE.0);
    let answer = namespace.answer_to(app).await?;
    let warnings = answer.warnings().to_vec();
    let stored = StoredPod::from(answer.object()?);
    let stored = namespace.pod(stored.name()).await?;
    assert_eq!(stored.pull_secrets(), [PRIVATE_IMAGE.1]);
    ensure!(
        warnings.iter().any(|warning| warning.contains("https://ghcr.io/acme/app:1")),
        "no warning names the malformed image: {warnings:?}"
    );
    let warnings = format!("`Warning: {}`", warnings.join("`, `Warning: "));
    Ok(Report::new()
        .stored("a malformed image beside a private one", &stored)
        .seen("a malformed image, what its creator is told", warnings))
}
