//! The certificates of a release that the kubelet mounts, renewed while Pods are created.

use std::{
    env,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use axum::http::StatusCode;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    handshake::handshake,
    namespace::{Namespace, StoredPod},
    node::{Creations, HOME, NodeCluster, RELEASE, UNSCHEDULED_IMAGE, kill_all},
    registration::COLLECTION,
    report::Report,
    wait::until,
};

/// What callers ask the webhook for.
const HOST: &str = "pullcred-webhook.pullcred-system.svc";

/// Of a webhook Pod.
const PORT: u16 = 8443;

/// The Secrets with CA and leaf.
const CA_SECRET: &str = "pullcred-ca";
const TLS_SECRET: &str = "pullcred-tls";

/// A CA for half a minute: in its last third two waits must fit, each long enough for a kubelet to renew
/// what it has mounted.
const SHORT: &str = "--ca-duration=30s,--leaf-duration=15s,--propagation=3.75s";

/// For one that is killed while it waits, and another that waits from the beginning.
const LONGER: &str = "--ca-duration=60s,--leaf-duration=30s,--propagation=3.75s";

/// How long to look at rotations. `PULLCRED_ROTATION_SECONDS` asks for more, as far as a scenario's
/// limit allows.
const SECONDS: u64 = 45;

/// CAs of half a minute, renewed again and again: no Pod goes without, and each handshake succeeds.
pub(crate) async fn rotations(cluster: Arc<NodeCluster>) -> Result<Report> {
    let seconds = env::var("PULLCRED_ROTATION_SECONDS").map_or(Ok(SECONDS), |it| it.parse())?;
    let namespace = cluster.covered("rotations", UNSCHEDULED_IMAGE).await?;
    live_for(&cluster, &namespace, SHORT).await?;
    let webhooks = addresses(&cluster.pods_of("webhook").await?)?;
    let creations = Creations::start(&namespace);
    let begin = Instant::now();
    let mut authorities = vec![part(&cluster, CA_SECRET, "ca.crt").await?];
    let mut handshakes = 0;
    while begin.elapsed() < Duration::from_secs(seconds) {
        sleep(Duration::from_millis(200)).await;
        let now = part(&cluster, CA_SECRET, "ca.crt").await?;
        if !authorities.contains(&now) {
            authorities.push(now);
        }
        let bundle = bundle(&cluster).await?;
        for &webhook in &webhooks {
            let at = begin.elapsed();
            handshake(webhook, HOST, &bundle).await.with_context(|| {
                format!("{webhook} by the caBundle, {at:?} after the beginning")
            })?;
            handshakes += 1;
        }
    }
    let tally = creations.end().await?;
    let rotations = u64::try_from(authorities.len())? - 1;
    ensure!(rotations >= seconds / 30, "only {rotations} rotations in {seconds} s");
    Ok(Report::new()
        .seen(format!("CA life 30 s, {rotations} rotations in {seconds} s"), tally)
        .seen("meanwhile", format!("{handshakes} handshakes, each trusted by the `caBundle`")))
}

/// At one step of a rotation the controller's process is killed, at another its Pod is deleted by force:
/// the next one ends what was begun.
pub(crate) async fn controller_killed_in_a_rotation(cluster: Arc<NodeCluster>) -> Result<Report> {
    let namespace = cluster.covered("controller-killed", UNSCHEDULED_IMAGE).await?;
    live_for(&cluster, &namespace, LONGER).await?;
    let creations = Creations::start(&namespace);
    let begun = async || Ok(part(&cluster, CA_SECRET, "previous.crt").await?.is_some());
    until("second CA", begun).await?;
    let killed = kill_all(&["/pullcred", "controller"])?;
    ensure!(killed == 1, "{killed} processes of the controller");
    let issued = async || {
        let newest = part(&cluster, CA_SECRET, "ca.crt").await?;
        Ok(part(&cluster, TLS_SECRET, "ca.crt").await? == newest)
    };
    until("leaf of the new CA", issued).await?;
    ensure!(begun().await?, "the old CA was dropped before replicas could know of the new leaf");
    for pod in cluster.pods_of("controller").await? {
        let delete = ["delete", "pod", pod.name(), "--namespace", HOME];
        cluster.kubectl(&[delete.as_slice(), &["--force", "--grace-period=0"]].concat()).await?;
    }
    until("end of the old CA", async || Ok(!begun().await?)).await?;
    let what =
        "controller killed when it had made a CA, and its Pod deleted when it had issued a leaf";
    Ok(Report::new().seen(what, creations.end().await?))
}

/// Gives certificates short lives, and sees to it that there are none with longer ones.
async fn live_for(cluster: &NodeCluster, namespace: &Namespace, lives: &str) -> Result<()> {
    let controller = format!("controller.extraArgs={{{lives}}}");
    cluster.helm_upgrade(&[&controller, "webhook.extraArgs={--reload-interval=500ms}"]).await?;
    let before = part(cluster, CA_SECRET, "ca.crt").await?;
    let delete = ["delete", "secret", "--namespace", HOME, CA_SECRET, TLS_SECRET];
    cluster.kubectl(&delete).await?;
    let renewed = async || {
        let now = part(cluster, CA_SECRET, "ca.crt").await?;
        let alone = part(cluster, CA_SECRET, "previous.crt").await?.is_none();
        Ok(now.is_some() && now != before && alone)
    };
    until("CA with a short life", renewed).await?;
    // Without its CA a release starts over, and each Pod takes the new leaf when its kubelet brings it.
    let webhooks = addresses(&cluster.pods_of("webhook").await?)?;
    let trusted = async || {
        let bundle = bundle(cluster).await?;
        for &webhook in &webhooks {
            if handshake(webhook, HOST, &bundle).await.is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    };
    until("leaves of that CA in every webhook Pod", trusted).await?;
    namespace.until_injected_for(UNSCHEDULED_IMAGE).await
}

/// A part of a Secret in the release's namespace, encoded as it is, where there is one.
async fn part(cluster: &NodeCluster, secret: &str, key: &str) -> Result<Option<String>> {
    let path = format!("/api/v1/namespaces/{HOME}/secrets/{secret}");
    let answer = cluster.api().get(&path).await?;
    if answer.status() == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    Ok(answer.object()?["data"][key].as_str().map(str::to_owned))
}

/// What callers trust now, as PEM.
async fn bundle(cluster: &NodeCluster) -> Result<String> {
    let registration = cluster.api().get(&format!("{COLLECTION}/{RELEASE}")).await?.object()?;
    let bundle = registration["webhooks"][0]["clientConfig"]["caBundle"].as_str();
    Ok(String::from_utf8(BASE64_STANDARD.decode(bundle.context("no caBundle")?)?)?)
}

/// Where webhook Pods serve.
fn addresses(pods: &[StoredPod]) -> Result<Vec<SocketAddr>> {
    let address = |pod: &StoredPod| {
        let ip: IpAddr =
            pod.at("/status/podIP").and_then(Value::as_str).context("no IP")?.parse()?;
        Ok(SocketAddr::new(ip, PORT))
    };
    pods.iter().map(address).collect()
}
