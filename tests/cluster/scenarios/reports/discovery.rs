//! Discovery on a node: Secrets that a namespace has already, for images that no rule covers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::house;
use crate::{
    fixtures::pod,
    namespace::Namespace,
    node::{FIRST, HOME, NodeCluster, PRELOADED_IMAGE, SECOND, VALUES, until_phase},
    registration::INJECT,
    report::Report,
    wait::{time_until, until},
};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
/// What the chart's own role is called.
const ROLE: &str = "pullcred-discover";
/// Consent that is withdrawn ends within a minute, on a machine that starts containers meanwhile.
const WITHDRAWN: Duration = Duration::from_secs(90);

/// A mapping with `discover` alone, and a namespace with pull Secrets of its own: a Pod with three images runs, and lists what the
/// kubelet offers for them. Without consent nothing is found, and what was found goes with the consent.
pub(crate) async fn discovery(cluster: Arc<NodeCluster>) -> Result<Report> {
    cluster.pullcred().await?;
    let mapping = r#"mapping.discover={"namespaces":["found-*"]}"#;
    let arguments = [
        "--set-json",
        mapping,
        "--set-json",
        "mapping.rules=[]",
        "--set-json",
        "mapping.logins=null",
    ];
    cluster.helm_upgrade_with(&arguments).await?;
    let played = play(&cluster).await;
    // Others want to play with it.
    cluster.helm_upgrade_with(&["--values", VALUES, "--set-json", "mapping.discover=null"]).await?;
    played
}

async fn play(cluster: &NodeCluster) -> Result<Report> {
    cluster.until_in_force().await?;
    let images = [
        cluster.push(FIRST, "found/front:1").await?,
        cluster.push(SECOND, "found/back:1").await?,
        PRELOADED_IMAGE.to_owned(),
    ];
    let with = make(cluster, "found-with-consent").await?;
    let without = make(cluster, "found-without").await?;
    consent(&with).await?;
    for namespace in [&with, &without] {
        namespace.label(INJECT, "enabled").await?;
        // The webhook is asked from then on.
        until("report", async || {
            Ok(house::report(cluster.api(), namespace.name()).await?.is_some())
        })
        .await?;
    }
    until_discovery(cluster, &with, "Permitted").await?;
    until_discovery(cluster, &without, "NotPermitted").await?;
    until("discovered names", async || Ok(names(&with, &images).await? == ["back", "front"]))
        .await?;

    let app = images.iter().fold(pod("app"), |pod, image| pod.image(image));
    let stored = with.create_pod(app).await?;
    assert_eq!(stored.pull_secrets(), ["back", "front"]);
    let events = until_phase(&with, &stored, "Running").await?;
    let mut report = Report::new().seen(
        "three Secrets of the namespace's own, no rule, three images: list of the Pod",
        stored.pull_secrets(),
    );
    report = report.seen("that Pod", events);
    ensure!(names(&without, &images).await?.is_empty(), "found without consent");
    report = report.seen("the same without the RoleBinding", "no name");

    with.delete_object(RBAC, &format!("rolebindings/{ROLE}")).await?;
    let begin = Instant::now();
    let gone = time_until(begin, WITHDRAWN, "end of what was found", async || {
        Ok(names(&with, &images).await?.is_empty())
    });
    let gone = gone.await?;
    until_discovery(cluster, &with, "NotPermitted").await?;
    Ok(report.seen("RoleBinding deleted: no name after", format!("{} s", gone.as_secs())))
}

/// A namespace with three pull Secrets, of which two are for the Pod's images.
async fn make(cluster: &NodeCluster, name: &str) -> Result<Namespace> {
    let namespace = Namespace::create(cluster.api(), name, &json!({})).await?;
    cluster.secret_by_login(&namespace, "front", FIRST, FIRST.password).await?;
    cluster.secret_by_login(&namespace, "back", SECOND, SECOND.password).await?;
    let other = json!({"auths": {"quay.io": {"auth": "cm9ib3Q6eA=="}}});
    cluster.secret_from_file(&namespace, "unused", &other).await?;
    Ok(namespace)
}

/// What docs/reports.md has an administrator of the namespace apply, by the names of this release.
async fn consent(namespace: &Namespace) -> Result<()> {
    let document = include_str!("../../../../docs/reports.md");
    let begin = document.find("kind: RoleBinding").context("no RoleBinding in docs/reports.md")?;
    let block =
        &document[begin..document[begin..].find("```").map_or(document.len(), |at| begin + at)];
    let mut binding: Value = serde_saphyr::from_str(block)?;
    ensure!(binding["roleRef"]["name"] == ROLE, "{binding}");
    binding["apiVersion"] = "rbac.authorization.k8s.io/v1".into();
    binding["metadata"]["namespace"] = namespace.name().into();
    binding["subjects"][0]["namespace"] = HOME.into();
    namespace.create_object(RBAC, "rolebindings", &binding).await.map(drop)
}

async fn until_discovery(
    cluster: &NodeCluster,
    namespace: &Namespace,
    expected: &str,
) -> Result<()> {
    until(&format!("`{expected}` in {}", namespace.name()), async || {
        let report = house::report(cluster.api(), namespace.name()).await?.unwrap_or_default();
        Ok(report["status"]["discovery"] == expected)
    })
    .await
}

/// The names that a Pod with these images would get.
async fn names(namespace: &Namespace, images: &[String]) -> Result<Vec<String>> {
    let app = images.iter().fold(pod("asks"), |pod, image| pod.image(image));
    let stored = namespace.dry_run(app).await?.object()?;
    let list = stored["spec"]["imagePullSecrets"].as_array().cloned().unwrap_or_default();
    Ok(list.iter().filter_map(|it| it["name"].as_str().map(str::to_owned)).collect())
}
