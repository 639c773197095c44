//! A new CA, and then another, while Pods are created.

use std::{env, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use tokio::time::{Instant, sleep};

use super::{
    home::{CA_SECRET, Home, TLS_SECRET, Times, decoded},
    witness::{Replicas, Seen, Witness},
};
use crate::{cluster::Cluster, controller::Controller, report::Report, wait::until};

/// A CA for half a minute. In the last third two waits must fit.
const SHORT: Times = Times { ca_duration: 30.0, leaf_duration: 15.0, propagation: 3.0 };
/// For those who are killed while they wait, and then wait from the beginning.
const LONGER: Times = Times { ca_duration: 60.0, leaf_duration: 30.0, propagation: 3.0 };
/// How long to observe rotations. `PULLCRED_ROTATION_SECONDS` asks for more, as far as a scenario's limit allows.
const SECONDS: u64 = 75;

/// CAs of half a minute, renewed again and again, while Pods are created: no call fails.
pub(crate) async fn rotations(cluster: Arc<Cluster>) -> Result<Report> {
    let seconds = env::var("PULLCRED_ROTATION_SECONDS").map_or(Ok(SECONDS), |it| it.parse())?;
    let scene = Scene::set(cluster, "controller-rotation", "rotation", SHORT).await?;
    let begin = Instant::now();
    let mut cas = vec![scene.home.ca().await?];
    while begin.elapsed() < Duration::from_secs(seconds) {
        sleep(Duration::from_millis(200)).await;
        let ca = scene.home.ca().await?;
        if !cas.contains(&ca) {
            cas.push(ca);
        }
    }
    let seen = scene.end().await?;
    let rotations = u64::try_from(cas.len())? - 1;
    ensure!(rotations >= seconds / 30, "only {rotations} rotations in {seconds} s");
    // Each publishes two CAs and then one; before the first there was one.
    ensure!(seen.bundles >= 2 * rotations - 1, "only {} bundles", seen.bundles);
    let text = format!("{rotations} rotations in {seconds} s: {}", seen.text());
    Ok(Report::new().seen("CA duration 30 s, 2 replicas, 2 controllers", text))
}

/// Both controllers are killed after each step of a rotation.
pub(crate) async fn killed_in_a_rotation(cluster: Arc<Cluster>) -> Result<Report> {
    let mut scene = Scene::set(cluster, "controller-killed", "killed", LONGER).await?;
    let before = scene.home.ca().await?;
    let mut kills = 0;
    for step in ["new CA", "caBundle with both", "leaf of the new CA", "old CA's end"] {
        let home = Arc::clone(&scene.home);
        until(step, async || step_is_taken(&home, step, &before).await).await?;
        scene.controllers.drain(..).for_each(Controller::kill);
        kills += 1;
        for controller in 0..2 {
            let controller = scene.home.spawn(&format!("{kills}-{controller}"), LONGER).await?;
            scene.controllers.push(controller);
        }
    }
    scene.home.until_published().await?;
    let seen = scene.end().await?;
    let text = format!("rotated with {kills} kills of both: {}", seen.text());
    Ok(Report::new().seen("controllers killed after each step of a rotation", text))
}

/// Somebody deletes both Secrets: what replicas serve stays trusted until they serve by the new CA.
pub(crate) async fn secrets_deleted(cluster: Arc<Cluster>) -> Result<Report> {
    let scene = Scene::set(cluster, "controller-lost", "lost", LONGER).await?;
    let before = scene.home.ca().await?;
    for secret in [CA_SECRET, TLS_SECRET] {
        scene.home.delete_secret(secret).await?;
    }
    let home = Arc::clone(&scene.home);
    let is_new = async || {
        let Some(secret) = home.secret(CA_SECRET).await? else { return Ok(false) };
        let ca = decoded(&secret["data"]["ca.crt"])?;
        Ok(ca != before && secret["data"]["previous.crt"].is_null())
    };
    until("new CA alone", is_new).await?;
    home.until_published().await?;
    let seen = scene.end().await?;
    Ok(Report::new().seen("both Secrets deleted", format!("made again: {}", seen.text())))
}

/// Replicas, controllers and witnesses.
struct Scene {
    home: Arc<Home>,
    controllers: Vec<Controller>,
    // Ends before what it observes.
    witness: Witness,
    replicas: Replicas,
}

impl Scene {
    async fn set(
        cluster: Arc<Cluster>,
        name: &'static str,
        covered: &str,
        times: Times,
    ) -> Result<Self> {
        let covered = cluster.apart(covered).await?;
        let home = Arc::new(Home::new(cluster, name).await?);
        home.register(&[covered.name()]).await?;
        let controllers = vec![home.start("0", times).await?, home.start("1", times).await?];
        home.until_published().await?;
        let replicas = Replicas::start(&home, 2).await?;
        covered.until_injected().await?;
        let witness = Witness::start(&home, &replicas, covered);
        Ok(Self { home, controllers, witness, replicas })
    }

    /// Observes for a moment longer, for effects of the last step, and ends.
    async fn end(self) -> Result<Seen> {
        sleep(Duration::from_secs(5)).await;
        let Self { home: _home, controllers: _controllers, witness, replicas: _replicas } = self;
        witness.end().await
    }
}

impl Seen {
    fn text(&self) -> String {
        let Self { handshakes, pods, failures, .. } = self;
        format!(
            "{handshakes} handshakes with the replicas and {pods} Pods, {} failures",
            failures.len()
        )
    }
}

async fn step_is_taken(home: &Home, step: &str, before: &str) -> Result<bool> {
    let (Some(ca), Some(tls)) = (home.secret(CA_SECRET).await?, home.secret(TLS_SECRET).await?)
    else {
        return Ok(false);
    };
    let newest = decoded(&ca["data"]["ca.crt"])?;
    Ok(match step {
        "new CA" => newest != before,
        "caBundle with both" => home.bundle().await? == format!("{newest}{before}"),
        "leaf of the new CA" => decoded(&tls["data"]["ca.crt"])? == newest,
        _ => ca["data"]["previous.crt"].is_null(),
    })
}
