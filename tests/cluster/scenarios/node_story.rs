//! The story that people meet: a private image, a Pod that hangs in `ErrImagePull`, and one that runs.

use std::sync::Arc;

use anyhow::Result;
use serde_json::Value;

use crate::{
    fixtures::pod,
    namespace::Namespace,
    node::{Events, FIRST, NodeCluster, PRELOADED_IMAGE, SECOND, until_phase},
    registration::INJECT,
    report::Report,
    scenarios::workloads::create_due_cron_job,
};

/// What a registry says to one without credentials, as containerd passes it on.
const REFUSAL: &str = "no basic auth credentials";

/// What the kubelet reports of a container that runs.
const RUNS: [&str; 4] = ["Pulling", "Pulled", "Created", "Started"];

/// The Pod of before hung; the same Pod, created again, runs.
pub(crate) async fn before_and_after(cluster: Arc<NodeCluster>) -> Result<Report> {
    let before = &cluster.pullcred().await?.before;
    assert!(before.events.has("Failed", REFUSAL), "{}", before.events);
    assert_eq!(before.pod.pull_secrets(), []);
    let namespace = &before.namespace;
    namespace.delete_pod(before.pod.name()).await?;
    let image = before.pod.at("/spec/containers/0/image").and_then(Value::as_str).unwrap_or("");
    let after = runs(namespace, image).await?;
    Ok(Report::new()
        .seen("labelled namespace with the Secret, no pullcred: Pod", &before.events)
        .seen("the same namespace with pullcred: a Pod from the same manifest", after))
}

pub(crate) async fn secret_from_a_docker_config(cluster: Arc<NodeCluster>) -> Result<Report> {
    let image = cluster.push(FIRST, "from-file/app:1").await?;
    let namespace = cluster.opted_in("from-file").await?;
    cluster.secret_from_file(&namespace, "first", &FIRST.docker_config()).await?;
    let events = runs(&namespace, &image).await?;
    Ok(Report::new().seen("Secret by `kubectl create secret generic --from-file`", events))
}

pub(crate) async fn secret_from_a_login(cluster: Arc<NodeCluster>) -> Result<Report> {
    let image = cluster.push(FIRST, "by-login/app:1").await?;
    let namespace = cluster.opted_in("by-login").await?;
    cluster.secret_by_login(&namespace, "first", FIRST, FIRST.password).await?;
    let events = runs(&namespace, &image).await?;
    Ok(Report::new().seen("Secret by `kubectl create secret docker-registry`", events))
}

/// Two registries with two passwords, and one Pod that needs both.
pub(crate) async fn two_registries(cluster: Arc<NodeCluster>) -> Result<Report> {
    let first = cluster.push(FIRST, "both/app:1").await?;
    let second = cluster.push(SECOND, "both/sidecar:1").await?;
    let namespace = cluster.opted_in("both").await?;
    cluster.secret_by_login(&namespace, "first", FIRST, FIRST.password).await?;
    cluster.secret_by_login(&namespace, "second", SECOND, SECOND.password).await?;
    let stored = namespace.create_pod(pod("app").image(&first).image(&second)).await?;
    assert_eq!(stored.pull_secrets(), ["first", "second"]);
    let events = until_phase(&namespace, &stored, "Running").await?;
    assert_eq!(events.reasons(), [RUNS, RUNS].concat(), "{events}");
    Ok(Report::new().seen("one Pod, two registries, two passwords", events))
}

/// The container's image is on the node already; only the volume's comes from a registry.
pub(crate) async fn image_volume(cluster: Arc<NodeCluster>) -> Result<Report> {
    let volume = cluster.push(SECOND, "models/small:1").await?;
    let namespace = cluster.opted_in("image-volume").await?;
    cluster.secret_by_login(&namespace, "second", SECOND, SECOND.password).await?;
    let reader = pod("reader")
        .image(PRELOADED_IMAGE)
        .args(&["find", "/model/licenses/LICENSE"])
        .image_volume(&volume)
        .mounted_at("/model")
        .spec("restartPolicy", "Never".into());
    let stored = namespace.create_pod(reader).await?;
    assert_eq!(stored.pull_secrets(), ["second"]);
    let events = until_phase(&namespace, &stored, "Succeeded").await?;
    assert!(events.has("Pulled", &volume), "{events}");
    Ok(Report::new().seen("image volume, and a container that finds a file in it", events))
}

pub(crate) async fn cron_job(cluster: Arc<NodeCluster>) -> Result<Report> {
    let image = cluster.push(FIRST, "nightly/report:1").await?;
    let namespace = cluster.opted_in("nightly").await?;
    cluster.secret_by_login(&namespace, "first", FIRST, FIRST.password).await?;
    create_due_cron_job(&namespace, pod("report").image(&image).args(&["find", "/"])).await?;
    let made = namespace.pod_of("report").await?;
    assert_eq!(made.pull_secrets(), ["first"]);
    let events = until_phase(&namespace, &made, "Succeeded").await?;
    assert_eq!(events.reasons(), RUNS, "{events}");
    Ok(Report::new().seen("CronJob, whose Job's Pod succeeds", events))
}

/// A Secret that comes after the Pod that needs it: the kubelet tries again, and the Pod runs.
pub(crate) async fn secret_made_later(cluster: Arc<NodeCluster>) -> Result<Report> {
    let image = cluster.push(FIRST, "later/app:1").await?;
    let namespace = cluster.opted_in("later").await?;
    let stored = namespace.create_pod(pod("app").image(&image)).await?;
    assert_eq!(stored.pull_secrets(), ["first"]);
    let early =
        Events::until(&namespace, &stored, "FailedToRetrieveImagePullSecret", "first").await?;
    assert!(early.has("Failed", REFUSAL) || !early.has("Pulled", ""), "{early}");
    cluster.secret_by_login(&namespace, "first", FIRST, FIRST.password).await?;
    let events = until_phase(&namespace, &stored, "Running").await?;
    Ok(Report::new().seen("Secret made after the Pod: the kubelet's next attempt", events))
}

pub(crate) async fn wrong_password(cluster: Arc<NodeCluster>) -> Result<Report> {
    let image = cluster.push(FIRST, "wrong/app:1").await?;
    let namespace = cluster.opted_in("wrong").await?;
    cluster.secret_by_login(&namespace, "first", FIRST, SECOND.password).await?;
    let stored = namespace.create_pod(pod("app").image(&image)).await?;
    assert_eq!(stored.pull_secrets(), ["first"]);
    let events = Events::until(&namespace, &stored, "Failed", "401 Unauthorized").await?;
    Ok(Report::new().seen("Secret with a wrong password", events))
}

/// The kubelet reads two types of Secrets, and passes over the others without a word.
pub(crate) async fn opaque_secret(cluster: Arc<NodeCluster>) -> Result<Report> {
    let image = cluster.push(FIRST, "opaque/app:1").await?;
    let namespace = cluster.opted_in("opaque").await?;
    cluster.opaque_secret_from_file(&namespace, "first", &FIRST.docker_config()).await?;
    let stored = namespace.create_pod(pod("app").image(&image)).await?;
    assert_eq!(stored.pull_secrets(), ["first"]);
    let events = Events::until(&namespace, &stored, "Failed", REFUSAL).await?;
    Ok(Report::new().seen("Secret of type `Opaque`", events))
}

pub(crate) async fn unlabelled_namespace(cluster: Arc<NodeCluster>) -> Result<Report> {
    let image = cluster.push(FIRST, "unlabelled/app:1").await?;
    let namespace = cluster.unlabelled("unlabelled").await?;
    cluster.secret_by_login(&namespace, "first", FIRST, FIRST.password).await?;
    let stored = namespace.create_pod(pod("app").image(&image)).await?;
    assert_eq!(stored.pull_secrets(), []);
    let events = Events::until(&namespace, &stored, "Failed", REFUSAL).await?;
    Ok(Report::new().seen("namespace without the label, its Secret notwithstanding", events))
}

pub(crate) async fn label_removed_and_added(cluster: Arc<NodeCluster>) -> Result<Report> {
    let image = cluster.push(FIRST, "on-and-off/app:1").await?;
    let namespace = cluster.opted_in("on-and-off").await?;
    cluster.secret_by_login(&namespace, "first", FIRST, FIRST.password).await?;
    namespace.until_injected_for(&image).await?;
    cluster.kubectl(&["label", "namespace", namespace.name(), &format!("{INJECT}-")]).await?;
    namespace.until_left_alone(&image).await?;
    let without = namespace.create_pod(pod("without").image(&image)).await?;
    assert_eq!(without.pull_secrets(), []);
    let refused = Events::until(&namespace, &without, "Failed", REFUSAL).await?;
    let label = format!("{INJECT}=enabled");
    cluster.kubectl(&["label", "namespace", namespace.name(), &label]).await?;
    namespace.until_injected_for(&image).await?;
    let running = runs(&namespace, &image).await?;
    Ok(Report::new()
        .seen("`kubectl label namespace … pullcred.dev/inject-`", refused)
        .seen("`kubectl label namespace … pullcred.dev/inject=enabled`", running))
}

/// Creates a Pod of `image`, which gets the Secret `first`, runs, and had to be pulled; answers what
/// the kubelet said.
async fn runs(namespace: &Namespace, image: &str) -> Result<Events> {
    let stored = namespace.create_pod(pod("app").image(image)).await?;
    assert_eq!(stored.pull_secrets(), ["first"]);
    let events = until_phase(namespace, &stored, "Running").await?;
    assert_eq!(events.reasons(), RUNS, "{events}");
    Ok(events)
}
