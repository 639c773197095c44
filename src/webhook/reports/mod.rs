//! Follows the reports of all namespaces, so that decisions know the states of Secrets.
//!
//! Nothing waits for this: without reports, or with old ones, the webhook decides as without this module, and `/readyz` does
//! not depend on it.

mod followed;

use std::{future::pending, sync::Arc, time::Duration};

use k8s_openapi::api::coordination::v1::Lease;
use tokio::{
    sync::{mpsc, watch as channel},
    time::{Instant, sleep, sleep_until},
};
use tracing::{info, warn};

use self::followed::{Followed, Renewal};
use super::{admission::Admission, metrics::ReportMetrics};
use crate::{
    cluster::{
        Backoff, CallError, Cluster, ClusterOptions, Outcome,
        watch::{Selection, WatchEvent, watch},
    },
    core::{
        knowledge::{ReportedSecrets, Unusable},
        reports::{LEASE, PULL_SECRET_REPORT_NAME},
    },
    errors::with_causes,
    reports::{Kind, OfNamespaces, SecretsReport},
};

/// The resource of namespaces' reports.
const PULL_SECRET_REPORTS: &str = OfNamespaces::PLURAL;

/// What is watched, as metrics name it.
pub(super) const RESOURCES: [&str; 2] = ["leases", PULL_SECRET_REPORTS];

/// How often decisions get what has changed. A burst of changes costs one copy of the parts that it is in.
const PUBLISHED: Duration = Duration::from_millis(100);
/// How many changes wait for being taken in.
const NEWS: usize = 256;
/// How often reports that say nothing are logged.
const QUIET: Duration = Duration::from_secs(600);

/// What the watches bring.
#[derive(Debug)]
enum News {
    Listing,
    Listed,
    Is(Box<str>, Result<ReportedSecrets, Unusable>),
    Gone(Box<str>),
    Failed(&'static str, CallError),
    Renewed(Renewal),
}

/// Finds the API server, and then [follows](follow) its reports.
pub(super) async fn run(namespace: Box<str>, admission: Arc<Admission>, metrics: ReportMetrics) {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
    let cluster = loop {
        match ClusterOptions::default().connect().await {
            Ok(cluster) => break cluster,
            Err(error) => {
                let error = with_causes(&error);
                warn!(error, "reports cannot be read: Secrets are taken for present");
                sleep(backoff.fail()).await;
            }
        }
    };
    follow(cluster, &namespace, admission, metrics).await;
}

/// Follows the reports of all namespaces and the Lease of those who write them, which is in this namespace, and gives
/// decisions what is known. Never ends.
pub async fn follow(
    cluster: Cluster,
    namespace: &str,
    admission: Arc<Admission>,
    metrics: ReportMetrics,
) {
    let (sender, news) = mpsc::channel(NEWS);
    // Each watch that is established ends the pause of the other.
    let (reachable, seen) = channel::channel(());
    let reports = {
        let (metrics, reachable) = (metrics.clone(), reachable.clone());
        let translate = move |event| report(event, &metrics, &reachable);
        let selection = Selection::all(PULL_SECRET_REPORTS);
        watch(cluster.all::<SecretsReport>(), selection, seen.clone(), sender.clone(), translate)
    };
    let lease = {
        let metrics = metrics.clone();
        let translate = move |event| lease(event, &metrics, &reachable);
        let selection = Selection::name(LEASE);
        watch(cluster.namespaced::<Lease>(namespace), selection, seen, sender, translate)
    };
    let follower = Follower {
        followed: Followed::default(),
        admission,
        metrics,
        fresh: false,
        published_at: None,
        warned_at: None,
    };
    tokio::join!(reports, lease, follower.run(news));
}

/// The namespace of a report; `None` for an object of another name, which is no report of pullcred's.
fn namespace_of(report: &SecretsReport) -> Option<Box<str>> {
    (report.name() == PULL_SECRET_REPORT_NAME).then(|| report.namespace().into())
}

fn report(
    event: WatchEvent<SecretsReport>,
    metrics: &ReportMetrics,
    reachable: &channel::Sender<()>,
) -> Option<News> {
    match event {
        WatchEvent::Is(report) => Some(News::Is(namespace_of(&report)?, report.into_kept())),
        WatchEvent::Gone(report) => Some(News::Gone(namespace_of(&report)?)),
        WatchEvent::Listing => Some(News::Listing),
        WatchEvent::Connected => {
            metrics.watches.connected(PULL_SECRET_REPORTS);
            reachable.send_replace(());
            Some(News::Listed)
        }
        WatchEvent::Failed(error) => {
            metrics.watches.failed(PULL_SECRET_REPORTS);
            Some(News::Failed(PULL_SECRET_REPORTS, error))
        }
    }
}

fn lease(
    event: WatchEvent<Lease>,
    metrics: &ReportMetrics,
    reachable: &channel::Sender<()>,
) -> Option<News> {
    match event {
        WatchEvent::Is(lease) => {
            let spec = lease.spec.unwrap_or_default();
            let time = spec.renew_time.map(|time| time.0.to_string());
            Some(News::Renewed(Renewal { holder: spec.holder_identity, time }))
        }
        WatchEvent::Gone(_) | WatchEvent::Listing => None,
        WatchEvent::Connected => {
            metrics.watches.connected("leases");
            reachable.send_replace(());
            None
        }
        WatchEvent::Failed(error) => {
            metrics.watches.failed("leases");
            Some(News::Failed("leases", error))
        }
    }
}

/// Takes in what the watches bring, and gives it to decisions.
struct Follower {
    followed: Followed,
    admission: Arc<Admission>,
    metrics: ReportMetrics,
    fresh: bool,
    published_at: Option<Instant>,
    warned_at: Option<Instant>,
}

// === impl Follower ===

impl Follower {
    async fn run(mut self, mut news: mpsc::Receiver<News>) {
        // When something that decisions do not have yet is given to them.
        let mut due: Option<Instant> = None;
        loop {
            let wake = due.into_iter().chain(self.followed.fresh_until(Instant::now())).min();
            tokio::select! {
                one = news.recv() => {
                    let Some(one) = one else { return };
                    let now = Instant::now();
                    self.take_in(one, now);
                    while let Ok(one) = news.try_recv() {
                        self.take_in(one, now);
                    }
                    let earliest = self.published_at.map_or(now, |at| (at + PUBLISHED).max(now));
                    due.get_or_insert(earliest);
                }
                () = until(wake) => {}
            }
            let now = Instant::now();
            let aged = self.fresh && self.followed.fresh_until(now).is_none();
            if aged || due.is_some_and(|due| due <= now) {
                due = None;
                self.publish(now);
            }
        }
    }

    fn take_in(&mut self, news: News, now: Instant) {
        match news {
            News::Listing => self.followed.listing(),
            News::Listed => self.followed.listed(),
            News::Is(namespace, Ok(secrets)) => {
                if !self.followed.is(secrets) {
                    self.warn(&namespace, "all reports together are too large", now);
                }
            }
            News::Is(namespace, Err(error)) => {
                self.followed.gone(&namespace);
                self.warn(&namespace, &error.to_string(), now);
            }
            News::Gone(namespace) => self.followed.gone(&namespace),
            News::Failed(what, error) => {
                warn!(watch = what, error = with_causes(&error), "a watch failed and restarts");
                match error.outcome() {
                    _ if what != PULL_SECRET_REPORTS => {}
                    Outcome::Gone => self.followed.absent(now),
                    _ => self.followed.lost(now),
                }
            }
            News::Renewed(renewal) => self.followed.renewed(renewal, now),
        }
    }

    /// Logs a report that says nothing, though not each of many.
    fn warn(&mut self, namespace: &str, error: &str, now: Instant) {
        if self.warned_at.is_none_or(|at| now >= at + QUIET) {
            self.warned_at = Some(now);
            warn!(namespace, error, "a report cannot be used: Secrets there are taken for present");
        }
    }

    fn publish(&mut self, now: Instant) {
        let known = self.followed.known(now);
        self.published_at = Some(now);
        self.metrics.reports(known.is_fresh(), known.namespaces());
        match (self.fresh, known.is_fresh()) {
            (false, true) => info!(namespaces = known.namespaces(), "reports are fresh"),
            (true, false) => warn!("reports are stale: Secrets are taken for present"),
            _ => {}
        }
        self.fresh = known.is_fresh();
        self.admission.state().set_known(known);
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}
