//! Background tasks in a cluster, under one supervisor, with one admin port.
//!
//! [`certificates`] is the task of `pullcred controller`, and [`credentials`] that of `pullcred credentials`. Each runs as a
//! process of its own, with rights of its own.

pub mod certificates;
pub mod credentials;
pub mod metrics;
mod probe;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use prometheus_client::metrics::counter::Counter;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::{net::TcpListener, sync::watch as channel};
use tracing::info;

pub use self::certificates::{
    durations::DurationError, publish::PublishError, snapshot::Names, status::Publish,
};
use self::certificates::{
    durations::Durations, metrics::Metrics, objects::Objects, objects::delete_configuration,
    publish::publish as publish_once, status::Status,
};
use crate::{
    cluster::{CallError, Cluster, ClusterError, ClusterOptions},
    http::{
        admin::{self, Report},
        connections::{ConnectionLimits, Connections, Phase},
        listen::listen,
        observer::Unobserved,
    },
    shutdown::Signals,
    supervise::{Supervisor, TaskEnded},
};

/// Controller configuration.
#[derive(Debug)]
pub struct Options {
    /// Where to serve probes and metrics over plain HTTP.
    pub admin_listen: SocketAddr,
    /// The validity of a CA.
    pub ca_duration: Duration,
    /// The validity of a serving certificate.
    pub leaf_duration: Duration,
    /// The names of the managed objects.
    pub names: Names,
    /// How long a write takes to reach every API server and every replica.
    pub propagation: Duration,
    /// Whether to write the `caBundle`.
    pub publish: Publish,
}

/// Why a controller cannot start. Each says what to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address is in use, or not one of this machine.
    #[error("cannot listen on {address} (--admin-listen)")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// No API server is configured.
    #[error(
        "there is no API server to call: run in a Pod with its ServiceAccount's token, or set KUBECONFIG"
    )]
    Cluster(#[from] ClusterError),
    /// A duration leaves no time for a rotation, or is longer than any certificate can be valid.
    #[error(transparent)]
    Duration(#[from] DurationError),
    /// What a flag turns on is written into reports, and none are written.
    #[error("{0} writes what it finds into reports: add --reports, or leave {0} out")]
    NeedsReports(&'static str),
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    NoRandomness,
}

/// Why a running controller ends without a signal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The port that is open cannot be used.
    #[error("cannot serve")]
    Listener(#[source] io::Error),
    /// A background task ended, so the process cannot continue.
    #[error(transparent)]
    Task(#[from] TaskEnded),
}

/// A controller whose port is open, but which does not reconcile yet.
pub struct Controller {
    listener: TcpListener,
    objects: Objects,
    publish: Publish,
    status: Arc<Status>,
    durations: Durations,
}

// === impl Controller ===

impl Controller {
    /// Finds the API server and opens the port. `dropped_log_lines` becomes a metric.
    ///
    /// # Errors
    ///
    /// [`StartError`]. An API server that cannot be reached is not a start error.
    pub async fn bind(options: Options, dropped_log_lines: Counter) -> Result<Self, StartError> {
        let Options { admin_listen, ca_duration, leaf_duration, names, propagation, publish } =
            options;
        let durations = Durations::new(ca_duration, leaf_duration, propagation)?;
        let objects = objects(names).await?;
        let listener = listen(admin_listen)
            .map_err(|source| StartError::Bind { address: admin_listen, source })?;
        let status = Arc::new(Status::new(Metrics::new(dropped_log_lines), publish));
        Ok(Self { listener, objects, publish, status, durations })
    }

    /// Manages the certificates until a signal arrives or a task of `supervisor` ends. A signal needs no clean-up: each write
    /// is one request, which the API server has applied or not.
    ///
    /// # Errors
    ///
    /// [`ServeError`] if the port cannot be used or a task ended.
    pub async fn serve(
        self,
        signals: Signals,
        mut supervisor: Supervisor,
    ) -> Result<(), ServeError> {
        let Self { listener, objects, publish, status, durations } = self;
        let names = objects.names();
        info!(
            admin_address = %listener.local_addr().map_err(ServeError::Listener)?,
            namespace = names.namespace,
            configuration = names.configuration,
            publish = publish == Publish::Always,
            version = env!("CARGO_PKG_VERSION"),
            "managing certificates",
        );
        certificates::start(objects, durations, publish, &status, &mut supervisor);
        serve_until_a_signal(listener, status, signals, supervisor).await
    }
}

/// Serves probes and metrics until a signal arrives or a task of `supervisor` ends.
async fn serve_until_a_signal(
    listener: TcpListener,
    status: Arc<impl Report>,
    mut signals: Signals,
    mut supervisor: Supervisor,
) -> Result<(), ServeError> {
    let (_serving, phase) = channel::channel(Phase::Serving);
    let connections = Connections {
        limits: ConnectionLimits::ADMIN,
        tls: None,
        router: admin::router(status),
        phase,
        open: Arc::default(),
        observer: Arc::new(Unobserved),
    };
    supervisor.spawn("admin port", connections.serve(listener));
    tokio::select! {
        ended = supervisor.task_ended() => return Err(ended.into()),
        _ = signals.next() => {}
    }
    info!("shutdown complete");
    Ok(())
}

/// Publishes the CAs of the CA Secret in the webhook configuration, once.
///
/// # Errors
///
/// [`PublishError`] if that has not succeeded after `limit`.
pub async fn publish(objects: &Objects, limit: Duration) -> Result<(), PublishError> {
    publish_once(objects, limit).await?;
    info!(configuration = objects.names().configuration, "the caBundle holds the CA");
    Ok(())
}

/// Deletes the webhook configuration, so that the API server no longer calls the webhook; succeeds if it is already gone.
///
/// # Errors
///
/// [`CallError`]
pub async fn unregister(cluster: &Cluster, configuration: &str) -> Result<(), CallError> {
    if delete_configuration(cluster, configuration).await? {
        info!(configuration, "deleted: the API server no longer calls the webhook");
    } else {
        info!(configuration, "already gone");
    }
    Ok(())
}

/// Asks the API server to create a Pod by a dry run, and logs the success.
///
/// # Errors
///
/// [`CallError`], with the message of the API server or of a policy, if the Pod is refused.
pub async fn probe(
    cluster: &Cluster,
    namespace: &str,
    pod: &str,
    image: &str,
) -> Result<(), CallError> {
    probe::create(cluster, namespace, pod, image).await?;
    info!(namespace, pod, "the API server would create the Pod");
    Ok(())
}

/// The objects of these names, at the API server of [`api_server`]. No request is sent yet.
///
/// # Errors
///
/// [`StartError`] if no API server is configured.
pub async fn objects(names: Names) -> Result<Objects, StartError> {
    Ok(Objects::new(api_server().await?, names, &random_name()?))
}

/// The API server of the kubeconfig, or else of the cluster that the process runs in. No request is sent yet.
///
/// # Errors
///
/// [`StartError`] if neither exists.
pub async fn api_server() -> Result<Cluster, StartError> {
    Ok(ClusterOptions::default().connect().await?)
}

/// A name for this process that no other one has.
fn random_name() -> Result<String, StartError> {
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).map_err(|_| StartError::NoRandomness)?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}
