//! Admission over HTTPS, and a plain port for probes and metrics.
//!
//! [`Webhook::bind`] reports every start error before a port is open. From then on [`Webhook::serve`] runs until a signal,
//! whatever happens to the files.

pub mod admin;
pub mod admission;
pub mod body;
pub mod metrics;
pub mod rejection;
pub mod reports;
pub mod sources;
pub mod state;
pub mod watch;

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::Router;
use prometheus_client::metrics::counter::Counter;
use tokio::{net::TcpListener, sync::watch as channel};
use tokio_rustls::TlsAcceptor;
use tracing::{error, info};

use self::{
    admin::Admin,
    admission::Admission,
    body::BodyLimits,
    metrics::{Metrics, ReportMetrics},
    sources::{
        CertificateFiles, CertificateSource, ConfigFile, Consumers, InForce, start_reloading,
    },
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

/// Webhook configuration.
#[derive(Debug)]
pub struct Options {
    /// The path of the mapping file.
    pub config: PathBuf,
    /// Where to serve admission over HTTPS.
    pub listen: SocketAddr,
    /// Where to serve probes and metrics over plain HTTP.
    pub admin_listen: SocketAddr,
    /// The source of the serving certificate.
    pub certificate: CertificateSource,
    /// The namespace that the webhook runs in, whose Pods it does not change.
    pub own_namespace: Option<Box<str>>,
    /// Whether to follow the reports of a cluster. They need [`Self::own_namespace`], where their Lease is.
    pub reports: bool,
    /// Limits of the HTTPS port.
    pub connections: ConnectionLimits,
    /// The most requests in hand; further ones get 429.
    pub max_in_flight: usize,
    /// How often to read the files again.
    pub reload_interval: Duration,
}

/// Why a webhook cannot start. Each says what to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address is in use, or not one of this machine.
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
    /// The namespace with the Lease of reports is not known.
    #[error("--reports needs --own-namespace: the Lease of those who write reports is there")]
    NoNamespace,
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
}

/// Why a running webhook ends without a signal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The operating system refuses a thread or an address.
    #[error("cannot serve")]
    System(#[from] io::Error),
    /// A background task ended, so the process cannot continue.
    #[error(transparent)]
    Task(#[from] TaskEnded),
}

/// A webhook whose ports are open, but which does not serve yet.
pub struct Webhook {
    listener: TcpListener,
    admin_listener: TcpListener,
    tls: TlsAcceptor,
    connections: ConnectionLimits,
    reload_interval: Duration,
    config: ConfigFile,
    certificate: CertificateFiles,
    consumers: Consumers,
    /// Where the Lease of reports is; `None` where they are not followed.
    reports: Option<(Box<str>, ReportMetrics)>,
}

impl Webhook {
    /// Loads mapping and certificate and then opens the ports. Must be called on a runtime. `dropped_log_lines` becomes a
    /// metric.
    ///
    /// # Errors
    ///
    /// [`StartError`]. Mapping and certificate are checked before a port is opened.
    pub fn bind(options: Options, dropped_log_lines: Counter) -> Result<Self, StartError> {
        let Options {
            config,
            listen,
            admin_listen,
            certificate,
            own_namespace,
            reports,
            connections,
            max_in_flight,
            reload_interval,
        } = options;
        let lease_in = match (reports, &own_namespace) {
            (true, None) => return Err(StartError::NoNamespace),
            (true, Some(namespace)) => Some(namespace.clone()),
            (false, _) => None,
        };
        descriptors::raise_limit(connections.connections);
        let (config, mapping) = ConfigFile::start(config, own_namespace)?;
        let (files, certificate) = CertificateFiles::start(certificate)?;
        let mut metrics = Metrics::new(dropped_log_lines);
        let reports = lease_in.map(|namespace| (namespace, metrics.with_reports()));
        let metrics = Arc::new(metrics);
        metrics.connections_max.set(i64::try_from(connections.connections).unwrap_or(i64::MAX));
        let in_force = Arc::new(InForce::default());
        match &mapping {
            Ok(loaded) => in_force.config_loaded(loaded, &metrics),
            Err(problem) => {
                metrics.config.failed();
                in_force.config_unusable(problem.clone());
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
            consumers: Consumers { admission, served, metrics, in_force },
            reports,
        })
    }

    /// Serves until a signal arrives or a task of `supervisor` ends. Both SIGTERM and the end of a task drain first: clients
    /// get time to connect elsewhere.
    ///
    /// # Errors
    ///
    /// [`ServeError`] if the operating system refuses a thread, or if a task ended.
    pub async fn serve(
        self,
        mut signals: Signals,
        mut supervisor: Supervisor,
    ) -> Result<(), ServeError> {
        let Self { listener, admin_listener, tls, consumers, .. } = self;
        let (phase, phase_seen) = channel::channel(Phase::Serving);
        let admin = Arc::new(Admin {
            phase: phase_seen.clone(),
            served: Arc::clone(&consumers.served),
            in_force: Arc::clone(&consumers.in_force),
            metrics: Arc::clone(&consumers.metrics),
        });
        info!(
            address = %listener.local_addr()?,
            admin_address = %admin_listener.local_addr()?,
            version = env!("CARGO_PKG_VERSION"),
            "serving",
        );
        let open = Arc::new(OpenConnections::default());
        let mut serve =
            |listener, limits, router: Router, tls, observer: Arc<dyn Observer>, open| {
                let connections =
                    Connections { limits, tls, router, phase: phase_seen.clone(), open, observer };
                supervisor.spawn("listener", connections.serve(listener))
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
        let metrics: Arc<dyn Observer> = Arc::clone(&consumers.metrics) as _;
        let router = admission::router(Arc::clone(&consumers.admission));
        let accepting =
            serve(listener, self.connections, router, Some(tls), metrics, Arc::clone(&open));
        if let Some((namespace, metrics)) = self.reports {
            let admission = Arc::clone(&consumers.admission);
            supervisor.spawn("reports", reports::run(namespace, admission, metrics));
        }
        let running = supervisor.guard("reload");
        start_reloading(self.config, self.certificate, consumers, self.reload_interval, running)?;

        let (stop, ended) = tokio::select! {
            stop = signals.next() => (stop, None),
            ended = supervisor.task_ended() => (Stop::Drain, Some(ended)),
        };
        if let Some(ended) = ended {
            error!(error = %ended, "a background task ended: draining before the restart");
        }
        if stop == Stop::Drain {
            info!(
                connections = open.count().open,
                "draining: waiting for clients to connect elsewhere"
            );
            phase.send_replace(Phase::Draining);
            tokio::select! {
                () = drain(|| open.count(), DRAIN) => {}
                _ = signals.next() => info!("second signal: shutting down now"),
            }
        }
        phase.send_replace(Phase::Stopping);
        // From here on every connection is counted.
        let _ = accepting.await;
        let finished = tokio::time::timeout(DRAIN.last_requests, open.gone()).await.is_ok();
        info!(connections = open.count().open, finished, "shutdown complete");
        ended.map_or(Ok(()), |ended| Err(ended.into()))
    }
}

fn open(address: SocketAddr, flag: &'static str) -> Result<TcpListener, StartError> {
    listen(address).map_err(|source| StartError::Bind { flag, address, source })
}
