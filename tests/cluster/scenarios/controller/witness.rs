//! Whether calls would succeed, seen continuously: handshakes of our own with every replica, by what API servers may
//! trust, and Pods that the API server admits.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use serde_json::json;
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    home::{Home, SERVICE, TLS_SECRET},
    mount::Mount,
};
use crate::{
    cluster::MAPPING,
    fixtures::pod,
    handshake::handshake,
    namespace::{Namespace, PRIVATE_IMAGE},
    pullcred::Pullcred,
    sandbox::{NODE_ADDRESS, next_port},
};

/// How late an API server may hear of a `caBundle`: one in this process hears at once.
const BUNDLE_DELAY: Duration = Duration::from_secs(1);
/// How often a kubelet reads a Secret, and a webhook its files.
const MOUNT_PERIOD: Duration = Duration::from_millis(500);
const RELOAD_INTERVAL: &str = "500ms";

/// Webhooks behind the Service of a home, each with a mount of the TLS Secret.
pub(super) struct Replicas {
    webhooks: Vec<(Pullcred, Mount)>,
}

/// What a witness has seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) handshakes: u64,
    pub(super) pods: u64,
    /// The CAs that callers trusted, each counted once.
    pub(super) bundles: u64,
    pub(super) failures: Vec<String>,
}

/// Two witnesses at work.
pub(super) struct Witness {
    stop: CancellationToken,
    handshakes: AbortOnDropHandle<Result<Seen>>,
    pods: AbortOnDropHandle<Result<Seen>>,
}

// === impl Replicas ===

impl Replicas {
    /// Starts so many, and puts them behind the Service.
    pub(super) async fn start(home: &Home, count: usize) -> Result<Self> {
        let folder = home.cluster.control_plane().folder();
        let mut webhooks = Vec::new();
        for replica in 0..count {
            let name = format!("{}-webhook-{replica}", home.registration());
            let path = home.secret_path(TLS_SECRET);
            let mount = Mount::start(home.api(), path, folder.join(&name), MOUNT_PERIOD).await?;
            let mapping: PathBuf = folder.join(format!("{name}.yaml"));
            std::fs::write(&mapping, MAPPING)?;
            let listen = SocketAddr::new(NODE_ADDRESS, next_port());
            let admin = SocketAddr::from(([127, 0, 0, 1], next_port()));
            let mut command = Pullcred::command();
            command
                .arg("webhook")
                .arg("--config")
                .arg(mapping)
                .args(["--listen", &listen.to_string()])
                .args(["--admin-listen", &admin.to_string()])
                .args(["--reload-interval", RELOAD_INTERVAL])
                .arg("--tls-cert")
                .arg(mount.file("tls.crt"))
                .arg("--tls-key")
                .arg(mount.file("tls.key"));
            webhooks
                .push((Pullcred::start(&name, &mut command, listen, admin, folder).await?, mount));
        }
        let replicas = Self { webhooks };
        replicas.publish(&home.namespace).await?;
        Ok(replicas)
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.webhooks.iter().map(|(webhook, _)| webhook.address()).collect()
    }

    /// One EndpointSlice a replica, since each has a port of its own.
    async fn publish(&self, home: &Namespace) -> Result<()> {
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVICE},
            "spec": {"ports": [{"name": "https", "port": 443}]},
        });
        home.create_object("/api/v1", "services", &service).await?;
        for (replica, address) in self.addresses().into_iter().enumerate() {
            home.add_endpoint(SERVICE, &format!("{SERVICE}-{replica}"), address).await?;
        }
        Ok(())
    }
}

// === impl Witness ===

impl Witness {
    /// Begins to observe the replicas of `home` and the Pods of `covered`.
    pub(super) fn start(home: &Arc<Home>, replicas: &Replicas, covered: Namespace) -> Self {
        let stop = CancellationToken::new();
        let handshakes =
            tokio::spawn(handshakes(Arc::clone(home), replicas.addresses(), stop.clone()));
        let pods = tokio::spawn(pods(covered, stop.clone()));
        Self {
            stop,
            handshakes: AbortOnDropHandle::new(handshakes),
            pods: AbortOnDropHandle::new(pods),
        }
    }

    /// Ends, and says what was seen. Any failure is an error.
    pub(super) async fn end(self) -> Result<Seen> {
        self.stop.cancel();
        let (handshakes, pods) = (self.handshakes.await??, self.pods.await??);
        let failures: Vec<String> = handshakes.failures.into_iter().chain(pods.failures).collect();
        ensure!(
            failures.is_empty(),
            "{} failures in {} handshakes and {} Pods, the first: {}",
            failures.len(),
            handshakes.handshakes,
            pods.pods,
            failures[..failures.len().min(5)].join("\n")
        );
        Ok(Seen { pods: pods.pods, failures, ..handshakes })
    }
}

/// With every replica, again and again, by each bundle that some API server may still have.
async fn handshakes(
    home: Arc<Home>,
    replicas: Vec<SocketAddr>,
    stop: CancellationToken,
) -> Result<Seen> {
    let host = format!("{SERVICE}.{}.svc", home.namespace.name());
    let mut seen = Seen::default();
    let mut bundles: VecDeque<(Option<Instant>, String)> = VecDeque::new();
    while !stop.is_cancelled() {
        let bundle = home.bundle().await?;
        if bundles.back().is_none_or(|(_, last)| *last != bundle) {
            seen.bundles += 1;
            if let Some((until, _)) = bundles.back_mut() {
                *until = Some(Instant::now());
            }
            bundles.push_back((None, bundle));
        }
        bundles.retain(|(until, _)| until.is_none_or(|until| until.elapsed() < BUNDLE_DELAY));
        for (until, bundle) in &bundles {
            for &replica in &replicas {
                seen.handshakes += 1;
                if let Err(error) = handshake(replica, &host, bundle).await {
                    let which = until.map_or("the bundle", |_| "the bundle before");
                    seen.failures.push(format!("{replica} by {which}: {error:#}"));
                }
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(seen)
}

/// One after the other, each of which must be there with its Secret.
async fn pods(covered: Namespace, stop: CancellationToken) -> Result<Seen> {
    let mut seen = Seen::default();
    while !stop.is_cancelled() {
        seen.pods += 1;
        let name = format!("pod-{}", seen.pods);
        if let Err(error) = one_pod(&covered, &name).await {
            seen.failures.push(format!("{name}: {error:#}"));
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(seen)
}

async fn one_pod(covered: &Namespace, name: &str) -> Result<()> {
    let stored = covered.create_pod(pod(name).image(PRIVATE_IMAGE.0)).await?;
    if stored.pull_secrets() != [PRIVATE_IMAGE.1] {
        bail!("stored with {}", stored.pull_secrets());
    }
    covered.delete_pod(name).await
}
