//! `pullcred credentials`: copies of logins, which are the Secrets that rules name, filled from a login and kept as they
//! should be.
//!
//! | module | what it does |
//! |---|---|
//! | [`core::copies`](crate::core::copies) | which copies a mapping wants in a namespace, and what each is made of (pure) |
//! | [`seen`] | what a Secret's metadata says of it (pure) |
//! | [`plan`](mod@plan) | what is to be done about one name in one namespace (pure) |
//! | [`state`] | what is known, and what it calls for in a namespace (pure) |
//! | [`health`] | whether the registries take the logins, and before a new one is copied |
//! | [`mint`] | short-lived logins, fetched and renewed |
//! | `writes` | the calls of one step; `model` runs them against all interleavings |
//! | `objects` | those calls at the real API server |
//! | `sources` | the watches, and `lean` what they keep of an object |
//! | `ends` | when logins end that people keep, as metric, log lines and Events |
//! | `engine` | the loop between them |
//! | `audit` | the Pods that lack a Secret, or wait for an image |
//! | `due` | which namespace is due, and when (pure) |
//! | `discovery` | the pull Secrets that exist where the mapping discovers them |
//! | `reports` | what is known, as objects that people and the webhook read |
//! | [`status`], [`metrics`], [`events`] | what the outside sees |
//!
//! Copies are a function of what is seen, so any number of processes may run, without a leader.

mod audit;
mod discovery;
mod due;
mod ends;
mod engine;
pub mod events;
pub mod health;
mod lean;
pub mod metrics;
pub mod mint;
#[cfg(test)]
mod model;
mod objects;
pub mod plan;
mod reports;
pub mod seen;
mod sources;
pub mod state;
pub mod status;
mod writes;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use prometheus_client::metrics::counter::Counter;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch as channel},
};
use tracing::info;

use self::{
    audit::Audit,
    discovery::Discovery,
    engine::Engine,
    health::{Board, Checks, Former},
    metrics::Metrics,
    mint::{Orders, Renewals},
    objects::Objects,
    reports::Reports,
    sources::Sources,
    status::Status,
};
use super::{ServeError, StartError, api_server, random_name, serve_until_a_signal};
use crate::{
    cluster::Cluster,
    fetch::{Outside, World},
    http::listen::listen,
    shutdown::Signals,
    supervise::Supervisor,
};

/// How many events may wait: a watch then waits, too, and misses nothing.
const EVENTS: usize = 1024;
/// How many notices may wait to become Events.
const NOTICES: usize = 64;

/// Configuration of the credentials controller.
#[derive(Debug)]
pub struct Options {
    /// Where to serve probes and metrics over plain HTTP.
    pub admin_listen: SocketAddr,
    /// For how long a copy stays that is no longer wanted.
    pub grace: Duration,
    /// The ConfigMap with the mapping.
    pub mapping: String,
    /// The namespace of the logins and of the mapping.
    pub namespace: String,
    /// Whether to write reports.
    pub reports: bool,
    /// Whether to ask registries if they take the logins. Needs `reports`.
    pub health: bool,
    /// Whether to look for Pods that lack a Secret. Needs `reports`.
    pub audit: bool,
    /// The socket of the container that runs plugins.
    pub plugins: Option<PathBuf>,
}

/// What a credentials controller keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// For how long a copy stays that is no longer wanted.
    pub grace: Duration,
    /// The ConfigMap with the mapping.
    pub mapping: String,
    /// The namespace of the logins and of the mapping.
    pub namespace: String,
    /// The name of this process in the Lease of the reports; `None` where none are written.
    pub reports: Option<String>,
    /// Whether to ask registries if they take the logins. Needs `reports`.
    pub health: bool,
    /// Whether to look for Pods that lack a Secret. Needs `reports`.
    pub audit: bool,
}

/// A credentials controller whose port is open, but which has read nothing yet.
pub struct Controller {
    listener: TcpListener,
    cluster: Cluster,
    settings: Settings,
    plugins: Option<PathBuf>,
    dropped_log_lines: Counter,
}

// === impl Controller ===

impl Controller {
    /// Finds the API server and opens the port. `dropped_log_lines` becomes a metric.
    ///
    /// # Errors
    ///
    /// [`StartError`]. An API server that cannot be reached is not a start error.
    pub async fn bind(options: Options, dropped_log_lines: Counter) -> Result<Self, StartError> {
        let Options { admin_listen, grace, mapping, namespace, reports, health, audit, plugins } =
            options;
        if let Some(flag) = [(health, "--health"), (audit, "--audit")]
            .into_iter()
            .find_map(|(on, flag)| (on && !reports).then_some(flag))
        {
            return Err(StartError::NeedsReports(flag));
        }
        let reports = if reports { Some(random_name()?) } else { None };
        let reports = reports.map(|name| format!("pullcred-credentials-{name}"));
        let cluster = api_server().await?;
        let listener = listen(admin_listen)
            .map_err(|source| StartError::Bind { address: admin_listen, source })?;
        let settings = Settings { grace, mapping, namespace, reports, health, audit };
        Ok(Self { listener, cluster, settings, plugins, dropped_log_lines })
    }

    /// Keeps the copies until a signal arrives or a task of `supervisor` ends. A signal needs no clean-up: each write is one
    /// request, which the API server has applied or not.
    ///
    /// # Errors
    ///
    /// [`ServeError`] if the port cannot be used or a task ended.
    pub async fn serve(
        self,
        signals: Signals,
        mut supervisor: Supervisor,
    ) -> Result<(), ServeError> {
        let Self { listener, cluster, settings, plugins, dropped_log_lines } = self;
        info!(
            admin_address = %listener.local_addr().map_err(ServeError::Listener)?,
            namespace = settings.namespace,
            mapping = settings.mapping,
            reports = settings.reports.is_some(),
            health = settings.health,
            audit = settings.audit,
            version = env!("CARGO_PKG_VERSION"),
            "keeping copies of logins",
        );
        let world = Arc::new(Outside::from_env(plugins));
        let status = start(cluster, settings, world, dropped_log_lines, &mut supervisor);
        serve_until_a_signal(listener, status, signals, supervisor).await
    }
}

/// Starts to keep the copies of a namespace's logins by the mapping in its ConfigMap. Logins are fetched from
/// `world`.
#[must_use]
pub fn start(
    cluster: Cluster,
    settings: Settings,
    world: Arc<dyn World>,
    dropped_log_lines: Counter,
    supervisor: &mut Supervisor,
) -> Arc<Status> {
    let Settings { grace, mapping, namespace, reports: holder, health, audit } = settings;
    let (notices, notices_received) = mpsc::channel(NOTICES);
    let metrics = Metrics::new(dropped_log_lines);
    let audit =
        audit.then(|| Audit::new(cluster.clone(), Arc::clone(&world), metrics.audit().clone()));
    let status = Status::new(metrics, notices);
    let status = Arc::new(if holder.is_some() { status.with_reports() } else { status });
    let (events, events_received) = mpsc::channel(EVENTS);
    let (reachable, reachable_seen) = channel::channel(());
    let sources = Sources::start(
        cluster.clone(),
        &namespace,
        &mapping,
        events,
        reachable_seen,
        Arc::clone(&status),
    );
    let objects = Objects::new(cluster.clone());
    let orders = Arc::new(Orders::default());
    let fetched = Arc::clone(status.fetched());
    let board = Arc::new(Board::default());
    let outside = Arc::clone(&world);
    let renewals = Renewals::new(
        cluster.clone(),
        objects.clone(),
        &namespace,
        Arc::clone(&world),
        Arc::clone(&orders),
        fetched,
    );
    let everywhere = holder.is_some();
    let mut engine = Engine::new(
        objects.clone(),
        &namespace,
        grace,
        sources,
        Arc::clone(&status),
        reachable,
        world,
    )
    .with_orders(orders);
    if health {
        engine = engine.with_checks(Arc::clone(&board));
        let reported = status.for_checks();
        let checks = Checks::new(cluster.clone(), objects, &namespace, outside, board, reported);
        supervisor.spawn("checks of logins", checks.run());
    } else if everywhere {
        engine = engine.with_records(Arc::clone(&board));
        let former = Former::new(cluster.clone(), outside, board);
        supervisor.spawn("verdicts of former checks", former.run());
    }
    if let Some(holder) = holder {
        let (said, said_received) = mpsc::channel(reports::events::NOTICES);
        let status = Arc::clone(&status);
        let reports = Reports::new(cluster.clone(), &namespace, holder, status, said);
        let discovery = Discovery::new(cluster.clone());
        engine = engine.with_reports(reports, discovery).with_audit(audit);
        let events = reports::events::write(cluster.clone(), said_received);
        supervisor.spawn("Events of reports", events);
    }
    let events = events::write(cluster, namespace, mapping, everywhere, notices_received);
    supervisor.spawn("Events", events);
    supervisor.spawn("fetched logins", renewals.run());
    supervisor.spawn("copies", engine.run(events_received));
    status
}
