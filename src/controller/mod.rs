//! The serving certificate and the registration's `caBundle`, kept in order in a cluster.
//!
//! ```text
//! wake::watch --> Reconciler: Snapshot::take --observed--> plan::plan --actions--> Objects: one write each
//!                                                  (pure)
//! ```
//!
//! All state is in two Secrets and the registration, so that a process may be killed at any point and any number may run:
//! `docs/decisions/030-certificates-without-a-leader.md` says why that is safe.

pub mod brake;
pub mod certificate;
pub mod metrics;
pub mod objects;
pub mod plan;
mod reconcile;
pub mod registration;
pub mod secrets;
mod snapshot;
pub mod status;
pub mod steady;
pub mod times;
mod wake;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use kube::{Client, Config, config::InferConfigError};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::{net::TcpListener, sync::watch as channel};
use tracing::info;
use tracing_appender::non_blocking::ErrorCounter;

pub use self::snapshot::Names;
use self::{
    metrics::Metrics,
    objects::{CallError, Objects},
    reconcile::Reconciler,
    status::Status,
    times::{Times, TooShort},
};
use crate::{
    http::{
        admin,
        connections::{ConnectionLimits, Connections, Phase},
        observer::Unobserved,
    },
    shutdown::Signals,
};

/// For a connection to the API server, its TLS hand-shake not counted.
const CONNECT: Duration = Duration::from_secs(5);
/// For an answer or its next part. A watch is quiet for long, but the API server ends it by itself after 290 s.
const READ: Duration = Duration::from_secs(300);

/// What a controller is to be like.
#[derive(Debug)]
pub struct Options {
    /// Where to serve probes and metrics over plain HTTP.
    pub admin_listen: SocketAddr,
    /// How long a CA lives.
    pub ca_life: Duration,
    /// How long a leaf lives.
    pub leaf_life: Duration,
    /// What it looks after.
    pub names: Names,
    /// After how long everyone has heard of a write.
    pub propagation: Duration,
}

/// Why a controller cannot start. Each says what to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address} (--admin-listen)")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The API server's address and certificate are not usable.
    #[error("cannot prepare for the API server")]
    Client(#[source] Box<kube::Error>),
    /// There is no randomness.
    #[error("the operating system gives no random bytes")]
    NoRandomness,
    /// Nothing says where the API server is.
    #[error(
        "there is no API server to talk to: run in a Pod with its ServiceAccount's token, or set KUBECONFIG"
    )]
    NoCluster(#[source] Box<InferConfigError>),
    /// The lifetimes leave no time for a rotation.
    #[error(transparent)]
    TooShort(#[from] TooShort),
}

/// A controller whose port is open, but which does nothing yet.
pub struct Controller {
    listener: TcpListener,
    names: Names,
    objects: Objects,
    status: Arc<Status>,
    times: Times,
}

// === impl Controller ===

impl Controller {
    /// Finds the API server and opens the port. `dropped_log_lines` becomes a metric.
    ///
    /// # Errors
    ///
    /// [`StartError`]. That the API server does not answer is none: it may come back.
    pub async fn bind(
        options: Options,
        dropped_log_lines: ErrorCounter,
    ) -> Result<Self, StartError> {
        let Options { admin_listen, ca_life, leaf_life, names, propagation } = options;
        let times = Times::new(ca_life, leaf_life, propagation)?;
        let client = api_server().await?;
        let objects = Objects::new(client, &names.namespace, &names.registration, &random_name()?);
        let listener = TcpListener::bind(admin_listen)
            .await
            .map_err(|source| StartError::Bind { address: admin_listen, source })?;
        let status = Arc::new(Status::new(Metrics::new(dropped_log_lines)));
        Ok(Self { listener, names, objects, status, times })
    }

    /// Keeps the certificates in order until a signal comes. There is nothing to finish then: a write that was under way
    /// has happened or has not.
    ///
    /// # Errors
    ///
    /// Where the operating system fails us at the start.
    pub async fn serve(self, mut signals: Signals) -> io::Result<()> {
        let Self { listener, names, objects, status, times } = self;
        info!(
            admin_address = %listener.local_addr()?,
            namespace = names.namespace,
            registration = names.registration,
            version = env!("CARGO_PKG_VERSION"),
            "keeping certificates in order",
        );
        let (_serving, phase) = channel::channel(Phase::Serving);
        let connections = Connections {
            limits: ConnectionLimits::ADMIN,
            tls: None,
            router: admin::router(Arc::clone(&status)),
            phase,
            open: Arc::default(),
            observer: Arc::new(Unobserved),
        };
        tokio::spawn(connections.serve(listener));
        let wakes = wake::watch(&objects, &names, &status);
        tokio::select! {
            () = Reconciler::new(objects, names, times, status).run(wakes) => {}
            _ = signals.next() => {}
        }
        info!("left");
        Ok(())
    }
}

/// Deletes a registration, so that the API server calls the webhook no more. That there is none is fine.
///
/// # Errors
///
/// [`CallError`]
pub async fn unregister(client: Client, registration: &str) -> Result<(), CallError> {
    // No Secret is touched, so their namespace does not matter.
    let objects = Objects::new(client, "default", registration, "unregister");
    if objects.delete_registration().await? {
        info!(registration, "deleted: the API server no longer calls the webhook");
    } else {
        info!(registration, "there is none to delete");
    }
    Ok(())
}

/// The API server that a kubeconfig names, or else that of the cluster that the process runs in.
///
/// # Errors
///
/// [`StartError`], where neither says which. It is not called yet.
pub async fn api_server() -> Result<Client, StartError> {
    let mut config =
        Config::infer().await.map_err(|error| StartError::NoCluster(Box::new(error)))?;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(READ);
    // What fails is tried again after another look: a write that may have happened is not repeated blindly.
    config.default_retry = false;
    Client::try_from(config).map_err(|error| StartError::Client(Box::new(error)))
}

/// Tells this process from every other one.
fn random_name() -> Result<String, StartError> {
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).map_err(|_| StartError::NoRandomness)?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}
