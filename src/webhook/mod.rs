//! Admission over HTTPS, and a plain port for probes and metrics.
//!
//! Everything that can be wrong is found before anything is bound ([`Webhook::bind`]); from then on the process serves
//! until it is told to leave, whatever happens to its files ([`Webhook::serve`]).

pub mod admin;
pub mod admission;
pub mod body;
pub mod metrics;
pub mod rejection;
pub mod sources;
pub mod state;
pub mod watch;

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::Router;
use tokio::{net::TcpListener, sync::watch as channel};
use tokio_rustls::TlsAcceptor;
use tracing::{error, info};
use tracing_appender::non_blocking::ErrorCounter;

use self::{
    admin::Admin,
    admission::Admission,
    body::BodyLimits,
    metrics::Metrics,
    sources::{CertificateFiles, CertificateSource, ConfigFile, InForce, Users, keep_looking},
    watch::LoadError,
};
use crate::{
    http::{
        admin::router as admin_router,
        connections::{ConnectionLimits, Connections, OpenConnections, Phase},
        descriptors,
        drain::{DRAIN, drain},
        listen::listen,
        observer::{Observer, Unobserved},
    },
    mapping::MappingError,
    pki::served::{CertificateError, ServedCertificate, server_config},
    shutdown::{Signals, Stop},
    supervise::{Supervisor, TaskEnded},
};

/// What a webhook is to be like.
#[derive(Debug)]
pub struct Options {
    /// The mapping file.
    pub config: PathBuf,
    /// Where to serve admission over HTTPS.
    pub listen: SocketAddr,
    /// Where to serve probes and metrics over plain HTTP.
    pub admin_listen: SocketAddr,
    /// The serving certificate.
    pub certificate: CertificateSource,
    /// The namespace that the webhook runs in.
    pub own_namespace: Option<Box<str>>,
    /// Limits of connections.
    pub connections: ConnectionLimits,
    /// How many requests to have in hand at most.
    pub max_in_flight: usize,
    /// How often to look at the files.
    pub reload_interval: Duration,
}

/// Why a webhook cannot start. Each says what to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address is taken, or not ours.
    #[error("cannot listen on {address} ({flag})")]
    Bind {
        /// The flag that names the address.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The certificate or its key is not usable.
    #[error(transparent)]
    Certificate(#[from] LoadError<CertificateError>),
    /// The file of the mapping cannot be read.
    #[error(transparent)]
    Config(#[from] LoadError<MappingError>),
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
}

/// Why a webhook that has started ends without a signal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The operating system refuses a thread or an address.
    #[error("cannot serve")]
    System(#[from] io::Error),
    /// A task ended that must not.
    #[error(transparent)]
    Task(#[from] TaskEnded),
}

/// A webhook whose ports are open, but which serves nobody yet.
pub struct Webhook {
    listener: TcpListener,
    admin_listener: TcpListener,
    tls: TlsAcceptor,
    connections: ConnectionLimits,
    reload_interval: Duration,
    config: ConfigFile,
    certificate: CertificateFiles,
    users: Users,
}

impl Webhook {
    /// Loads mapping and certificate and then opens the ports, for which it needs a runtime. `dropped_log_lines` becomes a
    /// metric.
    ///
    /// # Errors
    ///
    /// [`StartError`], before a port is open where mapping or certificate are at fault.
    pub fn bind(options: Options, dropped_log_lines: ErrorCounter) -> Result<Self, StartError> {
        let Options {
            config,
            listen,
            admin_listen,
            certificate,
            own_namespace,
            connections,
            max_in_flight,
            reload_interval,
        } = options;
        descriptors::raise_limit(connections.connections);
        let (config, mapping) = ConfigFile::start(config, own_namespace)?;
        let (files, certificate) = CertificateFiles::start(certificate)?;
        let metrics = Arc::new(Metrics::new(dropped_log_lines));
        metrics.connections_max.set(i64::try_from(connections.connections).unwrap_or(i64::MAX));
        let in_force = Arc::new(InForce::default());
        match &mapping {
            Ok(loaded) => in_force.config_loaded(loaded, &metrics),
            Err(problem) => {
                metrics.config.failed();
                in_force.config_refused(problem.clone());
            }
        }
        in_force.certificate_loaded(&certificate, &metrics);
        let served = Arc::new(ServedCertificate::new(certificate.value));
        let tls = TlsAcceptor::from(Arc::new(
            server_config(Arc::clone(&served)).map_err(StartError::Tls)?,
        ));
        let admission = Arc::new(Admission::new(
            mapping.ok().map(|loaded| loaded.value),
            Arc::clone(&metrics),
            BodyLimits::default(),
            max_in_flight,
        ));
        Ok(Self {
            listener: open(listen, "--listen")?,
            admin_listener: open(admin_listen, "--admin-listen")?,
            tls,
            connections,
            reload_interval,
            config,
            certificate: files,
            users: Users { admission, served, metrics, in_force },
        })
    }

    /// Serves until the signals say otherwise, or until a task of `supervisor` ends: clients are then given time to connect
    /// elsewhere as well.
    ///
    /// # Errors
    ///
    /// [`ServeError`], where the operating system fails us before anything is served, or where a task ended.
    pub async fn serve(
        self,
        mut signals: Signals,
        mut supervisor: Supervisor,
    ) -> Result<(), ServeError> {
        let Self { listener, admin_listener, tls, users, .. } = self;
        let (phase, phase_seen) = channel::channel(Phase::Serving);
        let admin = Arc::new(Admin {
            phase: phase_seen.clone(),
            served: Arc::clone(&users.served),
            in_force: Arc::clone(&users.in_force),
            metrics: Arc::clone(&users.metrics),
        });
        info!(
            address = %listener.local_addr()?,
            admin_address = %admin_listener.local_addr()?,
            version = env!("CARGO_PKG_VERSION"),
            "serving",
        );
        let open = Arc::new(OpenConnections::default());
        let serve = |listener, limits, router: Router, tls, observer: Arc<dyn Observer>, open| {
            let connections =
                Connections { limits, tls, router, phase: phase_seen.clone(), open, observer };
            let running = supervisor.guard("listener");
            tokio::spawn(async move {
                let _running = running;
                connections.serve(listener).await;
            })
        };
        let limits = ConnectionLimits::ADMIN;
        serve(
            admin_listener,
            limits,
            admin_router(admin),
            None,
            Arc::new(Unobserved),
            Arc::default(),
        );
        let metrics: Arc<dyn Observer> = Arc::clone(&users.metrics) as _;
        let router = admission::router(Arc::clone(&users.admission));
        let accepting =
            serve(listener, self.connections, router, Some(tls), metrics, Arc::clone(&open));
        let running = supervisor.guard("reload");
        keep_looking(self.config, self.certificate, users, self.reload_interval, running)?;

        let (stop, ended) = tokio::select! {
            stop = signals.next() => (stop, None),
            ended = supervisor.task_ended() => (Stop::Drain, Some(ended)),
        };
        if let Some(ended) = ended {
            error!(error = %ended, "leaving, to be started again");
        }
        if stop == Stop::Drain {
            info!(
                connections = open.count().open,
                "leaving: waiting for clients to connect elsewhere"
            );
            phase.send_replace(Phase::Draining);
            tokio::select! {
                () = drain(|| open.count(), DRAIN) => {}
                _ = signals.next() => info!("told again: leaving at once"),
            }
        }
        phase.send_replace(Phase::Stopping);
        // Only then is every connection counted.
        let _ = accepting.await;
        let finished = tokio::time::timeout(DRAIN.last_requests, open.gone()).await.is_ok();
        info!(connections = open.count().open, finished, "left");
        ended.map_or(Ok(()), |ended| Err(ended.into()))
    }
}

fn open(address: SocketAddr, flag: &'static str) -> Result<TcpListener, StartError> {
    listen(address).map_err(|source| StartError::Bind { flag, address, source })
}
