//! The one field of the registration that is the controller's, and what others do to it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    time::sleep,
};

use super::home::{Home, Times, USUAL};
use crate::{
    cluster::{Cluster, loopback},
    report::Report,
    wait::until,
};

/// How soon a `caBundle` is back.
const BACK: Duration = Duration::from_secs(2);

/// Somebody empties the `caBundle`: it is back within two seconds, and nothing else has changed.
pub(crate) async fn emptied_ca_bundle(cluster: Arc<Cluster>) -> Result<Report> {
    let home = Home::new(cluster, "controller-emptied").await?;
    home.register(&["nowhere"]).await?;
    let _controllers = [home.start("0", USUAL).await?, home.start("1", USUAL).await?];
    home.until_published().await?;
    let before = home.registered().await?.context("gone")?;
    let mut slowest = Duration::ZERO;
    for _ in 0..8 {
        // Not emptied faster than the controller may write it.
        sleep(Duration::from_millis(1200)).await;
        let begin = Instant::now();
        home.empty_bundle().await?;
        home.until_published().await?;
        slowest = slowest.max(begin.elapsed());
    }
    ensure!(slowest <= BACK, "it took {slowest:?}");
    let after = home.registered().await?.context("gone")?;
    ensure!(after["webhooks"] == before["webhooks"], "{before} has become {after}");
    let seen = format!("back within {} ms, 8 times out of 8", slowest.as_millis());
    Ok(Report::new().seen("`caBundle` emptied", seen))
}

/// Somebody empties the `caBundle` ten times a second: two controllers together write it about once a second, and win in
/// the end.
pub(crate) async fn overwritten_ca_bundle(cluster: Arc<Cluster>) -> Result<Report> {
    let home = Home::new(cluster, "controller-fight").await?;
    home.register(&["nowhere"]).await?;
    let controllers = [home.start("0", USUAL).await?, home.start("1", USUAL).await?];
    home.until_published().await?;
    let writes = async || {
        Ok::<_, anyhow::Error>(
            home.bundle_writes(&controllers[0]).await?
                + home.bundle_writes(&controllers[1]).await?,
        )
    };
    let before = writes().await?;
    let begin = Instant::now();
    let mut edits = 0;
    while begin.elapsed() < Duration::from_secs(10) {
        home.empty_bundle().await?;
        edits += 1;
        sleep(Duration::from_millis(100)).await;
    }
    let fight = begin.elapsed();
    let end = Instant::now();
    home.until_published().await?;
    let back = end.elapsed();
    let written = writes().await? - before;
    ensure!(back <= BACK, "it took {back:?}");
    let most = (fight + back).as_secs() + 2;
    ensure!(written <= most, "{written} writes in {fight:?}");
    ensure!(written >= 3, "only {written} writes: it has given in");
    let seen = format!(
        "{written} writes against {edits} edits in {} s, right again {} ms after the last",
        fight.as_secs(),
        back.as_millis()
    );
    Ok(Report::new().seen("`caBundle` emptied 10 times a second, 2 controllers", seen))
}

/// Others edit the registration, as AKS does: the controller has nothing against it and writes nothing.
pub(crate) async fn edits_by_others(cluster: Arc<Cluster>) -> Result<Report> {
    let home = Home::new(cluster, "controller-enforcer").await?;
    home.register(&["nowhere"]).await?;
    let controller = home.start("0", USUAL).await?;
    home.until_published().await?;
    let registered = home.registered().await?.context("gone")?;
    let mut selector = registered["webhooks"][0]["namespaceSelector"].clone();
    if let Some(all) = selector["matchExpressions"].as_array_mut() {
        all.push(json!({"key": "control-plane", "operator": "NotIn", "values": ["true"]}));
        let key = "kubernetes.azure.com/managedby";
        all.push(json!({"key": key, "operator": "NotIn", "values": ["aks"]}));
    }
    home.edit_webhook(json!({"namespaceSelector": selector})).await?;
    let before = home.registered().await?.context("gone")?;
    let writes = home.bundle_writes(&controller).await?;
    sleep(Duration::from_secs(20)).await;
    let after = home.registered().await?.context("gone")?;
    ensure!(after == before, "{before} has become {after}");
    ensure!(home.bundle_writes(&controller).await? == writes, "it has written");
    let generation = &after["metadata"]["generation"];
    let seen = format!("generation {generation} for 20 s, nothing written");
    Ok(Report::new().seen("`namespaceSelector` edited by an enforcer", seen))
}

/// A deleted webhook configuration stays deleted, however many controllers run or start. When it is created again, it gets
/// its `caBundle`.
pub(crate) async fn deleted_webhook_configuration(cluster: Arc<Cluster>) -> Result<Report> {
    let home = Home::new(cluster, "controller-deleted").await?;
    home.register(&["nowhere"]).await?;
    let controller = home.start("0", USUAL).await?;
    home.until_published().await?;
    home.unregister("unregister").await?;
    // It succeeds if it is already gone.
    home.unregister("unregister-again").await?;
    let _another = home.start("1", USUAL).await?;
    sleep(Duration::from_secs(10)).await;
    ensure!(home.registered().await?.is_none(), "the webhook configuration is back");
    let report = controller.readyz().await?;
    ensure!(report.contains("there is no webhook configuration"), "{report}");
    let said = controller.log()?.matches("waiting for one").count();
    ensure!(said == 1, "it was logged {said} times");
    let begin = Instant::now();
    home.register(&["nowhere"]).await?;
    home.until_published().await?;
    let back = begin.elapsed();
    ensure!(back <= BACK, "it took {back:?}");
    let seen = format!(
        "still gone after 10 s and a start; created again by hand: `caBundle` written within {} ms",
        back.as_millis()
    );
    Ok(Report::new()
        .seen("webhook configuration deleted by `pullcred controller unregister`", seen))
}

/// The API server cannot be reached for a while. The controller retries, and then repairs the caBundle.
pub(crate) async fn unreachable_api_server(cluster: Arc<Cluster>) -> Result<Report> {
    const AWAY: Duration = Duration::from_secs(15);
    // One reconciliation a second without a trigger.
    let times = Times { propagation: 8.0, ..USUAL };
    let home = Home::new(cluster, "controller-away").await?;
    home.register(&["nowhere"]).await?;
    let server: SocketAddr =
        home.server()?.strip_prefix("https://").context("no address")?.parse()?;
    let door = Door::open(server).await?;
    let mut controller =
        home.spawn_against(&format!("https://{}", door.address), "0", times).await?;
    controller.ready().await?;
    home.until_published().await?;

    door.shut();
    home.empty_bundle().await?;
    sleep(AWAY).await;
    let report = controller.readyz().await.err().context("ready without an API server")?;
    ensure!(report.to_string().contains("[-]cluster failed: cannot read"), "{report}");
    ensure!(home.bundle().await?.is_empty(), "the door is not shut");
    let failed = controller.metric("pullcred_reconcile_errors_total").await?;
    ensure!((3..=15).contains(&failed), "{failed} reconciliations failed");
    let begin = Instant::now();
    door.unlock();
    until("caBundle with the CA", async || Ok(home.bundle().await? == home.ca().await?)).await?;
    let back = begin.elapsed();
    controller.ready().await?;
    let seen = format!(
        "{failed} tries in {} s; in order {:.1} s after it is back",
        AWAY.as_secs(),
        back.as_secs_f64()
    );
    Ok(Report::new().seen("API server away, `caBundle` emptied meanwhile", seen))
}

/// A way to the API server that can be shut.
struct Door {
    address: SocketAddr,
    shut: Arc<AtomicBool>,
}

impl Door {
    async fn open(server: SocketAddr) -> Result<Self> {
        let address = loopback();
        let listener = TcpListener::bind(address).await?;
        let shut = Arc::new(AtomicBool::new(false));
        let is_shut = Arc::clone(&shut);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let is_shut = Arc::clone(&is_shut);
                tokio::spawn(async move {
                    let closed = async {
                        while !is_shut.load(Ordering::Relaxed) {
                            sleep(Duration::from_millis(20)).await;
                        }
                    };
                    let through = async {
                        let mut server = TcpStream::connect(server).await?;
                        copy_bidirectional(&mut client, &mut server).await
                    };
                    tokio::select! {
                        () = closed => {}
                        _ = through => {}
                    }
                });
            }
        });
        Ok(Self { address, shut })
    }

    fn shut(&self) {
        self.shut.store(true, Ordering::Relaxed);
    }

    fn unlock(&self) {
        self.shut.store(false, Ordering::Relaxed);
    }
}
