//! The audit of Pods: which of those that exist lack a Secret that they would get if they were created now, and which wait for
//! an image. So Pods from before a label, before a rule or from an outage are found. No Pod is ever changed.
//!
//! | module | what it does |
//! |---|---|
//! | [`look`](mod@look) | the requests of one namespace, and what its Pods add up to |
//! | [`metrics`] | what an audit counts |
//!
//! What was found of a namespace is in its report, with the time: another process, and one that starts, goes on from there.

mod look;
pub(super) mod metrics;

use std::{collections::BTreeMap, pin::Pin, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use self::{
    look::{Look, look},
    metrics::{AuditMetrics, Audited},
};
use super::due::Due;
use crate::{
    cluster::{Backoff, CallError, Cluster, Outcome, Pace},
    core::{knowledge::Knowledge, reports::PodSummary, rules::Mapping},
    errors::with_causes,
    fetch::World,
};

/// Requests a second, how many at once after a quiet time, and how many namespaces at a time.
const PACE: (f64, f64, usize) = (5.0, 5.0, 1);
/// When a namespace is audited first: after a start, its label, or a change of the mapping. Copies and Pods settle before.
const FIRST: Duration = Duration::from_secs(600);
/// The mean time between two audits of a namespace, in seconds, and by what part of it one may come earlier or later.
const AGAIN: (f64, f64) = (6.0 * 3600.0, 0.1);
/// When a namespace is tried again whose Pods pullcred may not list.
const DENIED_AGAIN: Duration = Duration::from_secs(3600);
/// When one is tried again whose Pods the API server did not give.
const FAILED_AGAIN: Duration = Duration::from_secs(300);
/// Pauses of all audits while the API server does not answer.
const OUTAGE_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// By how many seconds the clock of another process may be ahead.
const SKEW: i64 = 300;
/// How much is kept of owners in sum, in bytes. Beyond that, Pods are counted and their owners are not named.
const OWNERS_MAX: usize = 4 << 20;

/// The audit of the Pods in opted-in namespaces.
pub(super) struct Audit {
    cluster: Cluster,
    clock: Arc<dyn World>,
    metrics: AuditMetrics,
    /// The mapping in force; `None` before there is one.
    mapping: Option<Arc<Mapping>>,
    places: BTreeMap<Arc<str>, Place>,
    due: Due,
    pace: Pace,
    work: FuturesUnordered<Pin<Box<dyn Future<Output = Ended> + Send>>>,
    /// What all places found, in sum.
    sums: Sums,
    /// Whether pullcred may not list Pods, which is said once.
    denied: bool,
}

/// A namespace.
#[derive(Debug, Default)]
struct Place {
    /// Whether it is audited; otherwise only its report is known.
    covered: bool,
    found: Option<Box<PodSummary>>,
}

#[derive(Debug, Default)]
struct Sums {
    without: i64,
    failing: i64,
    owners: usize,
}

/// An audit that has ended.
struct Ended {
    namespace: Arc<str>,
    took: Duration,
    look: Result<Look, CallError>,
}

// === impl Audit ===

impl Audit {
    pub(super) fn new(cluster: Cluster, clock: Arc<dyn World>, metrics: AuditMetrics) -> Self {
        let backoff = Backoff::new(OUTAGE_PAUSES.0, OUTAGE_PAUSES.1);
        let (rate, burst, in_flight) = PACE;
        Self {
            cluster,
            clock,
            metrics,
            mapping: None,
            places: BTreeMap::new(),
            due: Due::default(),
            pace: Pace::new(rate, burst, in_flight, backoff, Instant::now()),
            work: FuturesUnordered::new(),
            sums: Sums::default(),
            denied: false,
        }
    }

    /// From now on, this mapping holds, in which pullcred's own namespace is excluded. After a change, Pods are looked at soon.
    pub(super) fn set_mapping(&mut self, mapping: Arc<Mapping>, now: Instant) {
        if self.mapping.replace(mapping).is_some() {
            for name in self.due.after(now + FIRST) {
                self.due.set(&name, now + FIRST);
            }
        }
    }

    /// A namespace is audited from now on, or no longer.
    pub(super) fn cover(&mut self, namespace: &Arc<str>, is_covered: bool, now: Instant) {
        if !is_covered {
            let Some(place) = self.places.remove(namespace) else { return };
            self.due.remove(namespace);
            self.count(place.found.as_deref(), None);
            return;
        }
        let place = self.places.entry(Arc::clone(namespace)).or_default();
        if !std::mem::replace(&mut place.covered, true) {
            let seen_at = place.found.as_deref().and_then(seen_at);
            let at = self.due_after(seen_at, now);
            self.due.set(namespace, at);
        }
    }

    /// The report of a namespace says this of its Pods, or is not there.
    pub(super) fn reported(
        &mut self,
        namespace: &Arc<str>,
        found: Option<Box<PodSummary>>,
        now: Instant,
    ) {
        let Some(found) = found else {
            // What is covered is written again.
            if self.places.get(namespace).is_some_and(|it| !it.covered) {
                self.cover(namespace, false, now);
            }
            return;
        };
        let place = self.places.get(namespace);
        let known = place.and_then(|it| seen_at(it.found.as_deref()?));
        // A time that has not come yet cannot be when Pods were seen.
        let Some(seen_at) = seen_at(&found).filter(|it| *it <= self.clock.now() + SKEW) else {
            return;
        };
        if known.is_some_and(|known| seen_at <= known) {
            return;
        }
        self.keep(namespace, *found);
        if self.due.has(namespace) {
            let at = self.due_after(Some(seen_at), now);
            self.due.set(namespace, at);
        }
    }

    /// What was found of the Pods in a namespace; `None` until it has been audited.
    pub(super) fn found(&self, namespace: &str) -> Option<&PodSummary> {
        self.places.get(namespace).filter(|it| it.covered)?.found.as_deref()
    }

    /// When a namespace is due that was audited at this second of the wall clock, or never.
    fn due_after(&self, seen_at: Option<i64>, now: Instant) -> Instant {
        let first = now + FIRST;
        let Some(seen_at) = seen_at else { return first };
        let (mean, part) = AGAIN;
        let pause = Duration::from_secs_f64(mean * (1.0 - part + 2.0 * part * self.clock.draw()));
        let since = u64::try_from(self.clock.now().saturating_sub(seen_at)).unwrap_or_default();
        first.max(now + pause.saturating_sub(Duration::from_secs(since)))
    }

    /// Starts the audits that are due, as far as the pace allows; `known` says what is known of the Secrets in a namespace.
    /// Answers when there is more.
    pub(super) fn start_work(
        &mut self,
        mut known: impl FnMut(&Arc<str>) -> Knowledge,
        now: Instant,
    ) -> Option<Instant> {
        let mapping = Arc::clone(self.mapping.as_ref()?);
        loop {
            let namespace = match self.due.next(&mut self.pace, now) {
                Ok(namespace) => namespace,
                Err(at) => return at,
            };
            self.pace.start(1);
            let (cluster, mapping) = (self.cluster.clone(), Arc::clone(&mapping));
            let known = known(&namespace);
            self.work.push(Box::pin(async move {
                let look = look(&cluster, &namespace, &mapping, &known).await;
                Ended { namespace, took: now.elapsed(), look }
            }));
        }
    }

    /// Waits until an audit has ended; for ever where none is under way. Answers the namespace, if its Pods were counted.
    pub(super) async fn audited(&mut self) -> Option<Arc<str>> {
        let Some(ended) = self.work.next().await else { return std::future::pending().await };
        self.take_in(ended, Instant::now())
    }

    fn take_in(&mut self, ended: Ended, now: Instant) -> Option<Arc<str>> {
        let Ended { namespace, took, look } = ended;
        let is_outage = look.as_ref().err().is_some_and(CallError::is_outage);
        self.pace.end(!is_outage);
        let error = match look {
            Ok(Look { mut summary, requests }) => {
                self.pace.charge(requests.saturating_sub(1));
                self.metrics.audited(Audited::Success, took.as_secs_f64());
                if std::mem::take(&mut self.denied) {
                    info!("Pods can be listed again");
                }
                let seen_at = self.clock.now();
                summary.seen_at = Timestamp::from_second(seen_at).unwrap_or_default().to_string();
                // It may no longer be one that is audited.
                self.places.get(&namespace).filter(|it| it.covered)?;
                self.keep(&namespace, summary);
                let at = self.due_after(Some(seen_at), now);
                self.due.set(&namespace, at);
                return Some(namespace);
            }
            Err(error) => error,
        };
        let why = with_causes(&error);
        let (audited, pause) = match error.outcome() {
            Outcome::Denied => (Audited::Denied, DENIED_AGAIN),
            _ => (Audited::Failure, FAILED_AGAIN),
        };
        self.metrics.audited(audited, 0.0);
        if audited == Audited::Denied && !std::mem::replace(&mut self.denied, true) {
            warn!(
                error = why,
                "Pods cannot be audited: grant pullcred's ServiceAccount `list` of pods, as the chart does with audit.enabled"
            );
        } else {
            debug!(
                namespace = &*namespace,
                error = why,
                "the Pods of a namespace were not audited"
            );
        }
        if is_outage {
            self.pace.pause(error.retry_after().unwrap_or_default(), now);
        }
        if self.places.get(&namespace).is_some_and(|it| it.covered) {
            self.due.set(&namespace, now + pause);
        }
        None
    }

    /// Keeps what was found of a namespace.
    fn keep(&mut self, namespace: &Arc<str>, mut found: PodSummary) {
        let place = self.places.entry(Arc::clone(namespace)).or_default();
        let before = place.found.take();
        self.count(before.as_deref(), None);
        if self.sums.owners + size(&found) > OWNERS_MAX {
            found.owners.clear();
        }
        self.count(None, Some(&found));
        if let Some(place) = self.places.get_mut(namespace) {
            place.found = Some(Box::new(found));
        }
    }

    fn count(&mut self, before: Option<&PodSummary>, now: Option<&PodSummary>) {
        let sums = &mut self.sums;
        if let Some(before) = before {
            sums.without -= i64::from(before.without);
            sums.failing -= i64::from(before.failing);
            sums.owners -= size(before);
        }
        if let Some(now) = now {
            sums.without += i64::from(now.without);
            sums.failing += i64::from(now.failing);
            sums.owners += size(now);
        }
        self.metrics.pods(sums.without, sums.failing);
    }
}

/// When Pods were counted, in seconds since the Unix epoch.
fn seen_at(found: &PodSummary) -> Option<i64> {
    found.seen_at.parse::<Timestamp>().ok().map(Timestamp::as_second)
}

/// What the owners in a summary take, in bytes.
fn size(found: &PodSummary) -> usize {
    found.owners.iter().map(|it| it.kind.len() + it.name.len() + it.remedy.len()).sum()
}
