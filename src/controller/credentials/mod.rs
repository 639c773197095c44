//! `pullcred credentials`: copies of logins, which are the Secrets that rules name, filled from a login and kept as they
//! should be.
//!
//! | module | what it does |
//! |---|---|
//! | [`wanted`] | which copies a mapping wants in a namespace, and what each is made of (pure) |
//! | [`seen`] | what a Secret's metadata says of it (pure) |
//! | [`plan`](mod@plan) | what is to be done about one name in one namespace (pure) |
//! | [`state`] | what is known, and what it calls for in a namespace (pure) |
//! | `writes` | the calls of one step; `model` runs them against all interleavings |
//! | `objects` | those calls at the real API server |
//! | `sources` | the watches |
//! | `engine` | the loop between them |
//! | [`status`], [`metrics`], [`events`] | what the outside sees |
//!
//! Copies are a function of what is seen, so any number of processes may run, without a leader.

mod engine;
pub mod events;
pub mod metrics;
#[cfg(test)]
mod model;
mod objects;
pub mod plan;
pub mod seen;
mod sources;
pub mod state;
pub mod status;
pub mod wanted;
mod writes;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    sync::{mpsc, watch as channel},
};
use tracing::info;
use tracing_appender::non_blocking::ErrorCounter;

use self::{engine::Engine, metrics::Metrics, objects::Objects, sources::Sources, status::Status};
use super::{ServeError, StartError, supervise::Supervisor};
use crate::{
    cluster::ClusterOptions,
    http::{
        admin,
        connections::{ConnectionLimits, Connections, Phase},
        observer::Unobserved,
    },
    shutdown::Signals,
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
}

/// Keeps copies as they should be until a signal comes. There is nothing to finish then: a write that was under way has
/// happened or has not.
///
/// # Errors
///
/// [`StartError`], boxed with [`ServeError`] as one of two, where it cannot start or a task of it ends. An API server that
/// cannot be reached is no such case.
pub async fn run(
    options: Options,
    mut signals: Signals,
    dropped_log_lines: ErrorCounter,
) -> Result<Result<(), ServeError>, StartError> {
    let Options { admin_listen, grace, mapping, namespace } = options;
    let cluster = ClusterOptions::default().connect().await?;
    let listener = TcpListener::bind(admin_listen)
        .await
        .map_err(|source| StartError::Bind { address: admin_listen, source })?;
    info!(
        %admin_listen,
        namespace,
        mapping,
        version = env!("CARGO_PKG_VERSION"),
        "keeping copies of logins",
    );
    let (notices, notices_received) = mpsc::channel(NOTICES);
    let status = Arc::new(Status::new(Metrics::new(dropped_log_lines), notices));
    let (_serving, phase) = channel::channel(Phase::Serving);
    let connections = Connections {
        limits: ConnectionLimits::default(),
        tls: None,
        router: admin::router(Arc::clone(&status)),
        phase,
        open: Arc::default(),
        observer: Arc::new(Unobserved),
    };
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
    let engine = Engine::new(objects, &namespace, grace, sources, status, reachable);
    let mut supervisor = Supervisor::default();
    supervisor.start("admin port", connections.serve(listener));
    supervisor.start("events", events::write(cluster, namespace, mapping, notices_received));
    supervisor.start("copies", engine.run(events_received));
    tokio::select! {
        ended = supervisor.failed() => return Ok(Err(ended.into())),
        _ = signals.next() => {}
    }
    info!("shutdown complete");
    Ok(Ok(()))
}
