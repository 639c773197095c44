//! The loop: what watches bring goes into the state, what the state calls for is done at the API server's pace.
//!
//! One task owns the state. Content is taken when it is written, not when it is queued: a namespace in the queue is but its
//! name.

mod auditing;
mod checking;
mod expiring;
mod fetching;
mod intake;
mod reporting;
mod results;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::{Future, pending},
    mem,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::{
    sync::{mpsc::Receiver, watch::Sender},
    time::{Instant, sleep_until},
};

use self::{checking::checked, fetching::Fetching};
use super::{
    audit::Audit,
    discovery::Discovery,
    health::Board,
    mint::Orders,
    objects::Objects,
    plan::Step,
    reports::Reports,
    sources::{Event, Resource, Sources},
    state::{Content, LoginRead, State, Task},
    status::Status,
    writes::{Done, Place, collect, create, update},
};
use crate::{
    cluster::{Backoff, CallError, Pace, Schedule, Urgency, Worked},
    core::{
        copies::Copies,
        pod::{INJECT_LABEL, OPTED_IN},
        rules::{LoginName, Mapping},
    },
    fetch::World,
};

/// Writes a second, and how many at once after a quiet time. At this rate the API server spends less on a rotation than at a
/// slower one, and a new namespace still does not wait.
const RATE: (f64, f64) = (200.0, 100.0);
/// Requests in flight.
const IN_FLIGHT: usize = 16;
/// Pauses of a namespace whose writes fail.
const NAMESPACE_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// Pauses of all writes while the API server does not answer.
const OUTAGE_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// After a creation that a quota refuses: each attempt may charge it until it is counted again.
const QUOTA_PAUSE: Duration = Duration::from_secs(300);
/// After a write that met a change which the watch has not brought yet.
const STALE_PAUSE: Duration = Duration::from_millis(100);
/// After so many of them in a row, a person hears of it.
const STALE_SHOWN: u32 = 3;
/// How long contents stay in memory when nothing is being written.
const WIPE_AFTER: Duration = Duration::from_secs(10);
/// How many events are taken in before work goes on.
const EVENTS_AT_ONCE: usize = 256;

/// Keeps copies as they should be.
pub(super) struct Engine {
    objects: Arc<Objects>,
    own_namespace: Arc<str>,
    state: State,
    schedule: Schedule<Arc<str>>,
    pace: Pace,
    sources: Sources,
    status: Arc<Status>,
    reachable: Sender<()>,
    fetching: Fetching,
    /// The wall clock.
    clock: Arc<dyn World>,
    /// Namespaces that wait for a login to be read.
    blocked: BTreeMap<LoginName, BTreeSet<Arc<str>>>,
    /// Namespaces whose last write got no answer, and the one with which that began.
    unanswered: BTreeSet<Arc<str>>,
    first_unanswered: Option<Arc<str>>,
    /// Logins that are being read, and whether they have changed since.
    reading: BTreeMap<LoginName, bool>,
    /// Logins that could not be read, and when to try again.
    retries: BTreeMap<LoginName, (Instant, Backoff)>,
    work: FuturesUnordered<Pin<Box<dyn Future<Output = Work> + Send>>>,
    /// The fingerprint of the mapping in force.
    mapping: Option<Box<str>>,
    wipe_at: Option<Instant>,
    /// Whether deletions waited for a person at the last turn of the loop.
    held: bool,
    reports: Option<Reports>,
    discovery: Option<Discovery>,
    audit: Option<Audit>,
    /// The mapping in force, if it discovers pull Secrets.
    discovers: Option<Arc<Mapping>>,
    /// Ends the pause of watches of reports: the API server answers again.
    reports_reachable: Sender<()>,
    /// Where logins are checked.
    checks: Option<Arc<Board>>,
    /// Where records of checks go as reports have them.
    records: Option<Arc<Board>>,
}

/// Work at the API server that has ended.
enum Work {
    Login { name: LoginName, read: Result<Option<LoginRead>, CallError> },
    Namespace { name: Arc<str>, tasks: Vec<(Task, Result<Done, CallError>)> },
}

// === impl Engine ===

impl Engine {
    pub(super) fn new(
        objects: Objects,
        own_namespace: &str,
        grace: Duration,
        sources: Sources,
        status: Arc<Status>,
        reachable: Sender<()>,
        clock: Arc<dyn World>,
    ) -> Self {
        let now = Instant::now();
        let outage = Backoff::new(OUTAGE_PAUSES.0, OUTAGE_PAUSES.1);
        Self {
            objects: Arc::new(objects),
            own_namespace: own_namespace.into(),
            state: State::new(grace),
            schedule: Schedule::new(Backoff::new(NAMESPACE_PAUSES.0, NAMESPACE_PAUSES.1)),
            pace: Pace::new(RATE.0, RATE.1, IN_FLIGHT, outage, now),
            sources,
            status,
            reachable,
            fetching: Fetching::default(),
            clock,
            blocked: BTreeMap::new(),
            unanswered: BTreeSet::new(),
            first_unanswered: None,
            reading: BTreeMap::new(),
            retries: BTreeMap::new(),
            work: FuturesUnordered::new(),
            mapping: None,
            wipe_at: None,
            held: false,
            reports: None,
            discovery: None,
            audit: None,
            discovers: None,
            reports_reachable: Sender::new(()),
            checks: None,
            records: None,
        }
    }

    /// The same, with reports of what it knows and discovers.
    pub(super) fn with_reports(mut self, reports: Reports, discovery: Discovery) -> Self {
        self.discovery = Some(discovery);
        self.sources.watch_reports(self.reports_reachable.subscribe());
        self.reports = Some(reports);
        self
    }

    /// The same, with an audit of Pods.
    pub(super) fn with_audit(self, audit: Option<Audit>) -> Self {
        Self { audit, ..self }
    }

    /// The same, with these orders to those that fetch logins.
    pub(super) fn with_orders(self, orders: Arc<Orders>) -> Self {
        Self { fetching: Fetching::new(orders), ..self }
    }

    /// Goes on for as long as the process lives.
    pub(super) async fn run(mut self, mut events: Receiver<Event>) {
        let fetching = Arc::clone(self.status.fetched());
        let checks = self.checks.clone();
        loop {
            let now = Instant::now();
            let held = self.state.is_collection_held();
            if mem::replace(&mut self.held, held) && !held {
                // What was held and is due has no event of its own.
                self.want_all(Urgency::Bulk, now);
            }
            let wake = self.start_work(now);
            let end = self.expire(now);
            let overview = self.status.show(&self.state, &self.schedule, now);
            let report = self.report(overview, now);
            let retry = self.retries.values().map(|(at, _)| *at).min();
            let look = self.discover(now);
            let audit = self.start_audits(now);
            let timers =
                [wake, report, look, audit, end, retry, self.wipe_at, self.status.next_count()];
            let wake = timers.into_iter().flatten().min();
            let sleep = async {
                match wake {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                event = events.recv() => {
                    let Some(event) = event else { return };
                    self.take_in(event);
                    for _ in 0..EVENTS_AT_ONCE {
                        let Ok(event) = events.try_recv() else { break };
                        self.take_in(event);
                    }
                }
                Some(work) = self.work.next(), if !self.work.is_empty() => self.finish(work),
                () = finish_report(&mut self.reports) => {}
                changed = looked(&mut self.discovery) => {
                    if let Some(name) = changed {
                        self.want_report(&name, Instant::now());
                    }
                }
                audited = audited(&mut self.audit) => {
                    if let Some(name) = audited {
                        self.audited(&name);
                    }
                }
                keys = fetching.changed() => self.take_in_fetched(keys),
                logins = checked(checks.as_deref()) => self.take_in_health(logins),
                () = self.sources.ended() => return,
                () = sleep => self.time_passed(),
            }
        }
    }

    /// Starts what is ready, as far as the pace allows. Answers when there may be more.
    fn start_work(&mut self, now: Instant) -> Option<Instant> {
        if self.mapping.is_none() || !self.sources.is_listed(&Resource::Namespaces) {
            return None;
        }
        loop {
            if let Err(at) = self.pace.ready(now) {
                return at;
            }
            let Some(name) = self.schedule.next(now) else { return self.schedule.next_at() };
            self.start_namespace(name, now);
        }
    }

    fn start_namespace(&mut self, name: Arc<str>, now: Instant) {
        let tasks = self.state.tasks(&name, now);
        self.want_own(&name, tasks.own);
        let is_blocked = !tasks.read.is_empty();
        for login in tasks.read {
            self.blocked.entry(login.clone()).or_default().insert(Arc::clone(&name));
            self.read_login(login);
        }
        if tasks.now.is_empty() && is_blocked {
            self.schedule.worked(&name, Worked::Blocked, now);
            return;
        }
        self.want_report(&name, now);
        if tasks.now.is_empty() {
            if tasks.later.is_none() {
                self.forget_refused(&name);
            }
            self.schedule.worked(&name, Worked::Done, now);
            if let Some(later) = tasks.later {
                self.schedule.want_at(name, Urgency::Bulk, later, now);
            }
            return;
        }
        self.wipe_at = None;
        self.pace.start(tasks.now.len());
        let objects = Arc::clone(&self.objects);
        let wanted = Arc::clone(self.state.copies());
        self.work.push(Box::pin(async move {
            let mut done = Vec::with_capacity(tasks.now.len());
            for task in tasks.now {
                let result = perform(&objects, &name, &task, &wanted).await;
                done.push((task, result));
            }
            Work::Namespace { name, tasks: done }
        }));
    }

    /// Reads a login again, since it has changed.
    pub(super) fn login_changed(&mut self, name: LoginName) {
        self.state.logins_mut().forget(&name);
        match self.reading.get_mut(&name) {
            Some(again) => *again = true,
            None => self.read_login(name),
        }
    }

    /// Reads a login, unless that is under way.
    fn read_login(&mut self, name: LoginName) {
        if self.reading.contains_key(&name) {
            return;
        }
        let Some((_, secret)) = self.state.logins().secrets().find(|(it, _)| **it == name) else {
            return;
        };
        let secret = secret.as_str().to_owned();
        let (objects, namespace) = (Arc::clone(&self.objects), Arc::clone(&self.own_namespace));
        self.reading.insert(name.clone(), false);
        self.work.push(Box::pin(async move {
            let read = objects.login(&namespace, &secret).await;
            Work::Login { name, read }
        }));
    }

    fn finish(&mut self, work: Work) {
        let now = Instant::now();
        match work {
            Work::Login { name, read } => self.login_read(name, read, now),
            Work::Namespace { name, tasks } => self.namespace_done(&name, tasks, now),
        }
        if self.work.is_empty() && !self.schedule.has_ready() {
            self.wipe_at = Some(now + WIPE_AFTER);
        }
    }

    fn time_passed(&mut self) {
        let now = Instant::now();
        if self.wipe_at.is_some_and(|at| at <= now) {
            self.wipe_at = None;
            self.state.logins_mut().wipe();
        }
        let due = self.retries.iter().filter(|(_, (at, _))| *at <= now);
        let due: Vec<_> = due.map(|(name, _)| name.clone()).collect();
        for name in due {
            if let Some((at, _)) = self.retries.get_mut(&name) {
                *at = now + OUTAGE_PAUSES.1;
            }
            self.read_login(name);
        }
    }
}

/// Waits until some work on reports has ended.
async fn finish_report(reports: &mut Option<Reports>) {
    match reports {
        Some(reports) => reports.work().await,
        None => pending().await,
    }
}

/// Waits until a look into a namespace has ended. Answers the namespace, if something else was found there than before.
async fn looked(discovery: &mut Option<Discovery>) -> Option<Arc<str>> {
    match discovery {
        Some(discovery) => discovery.looked().await,
        None => pending().await,
    }
}

/// Waits until the audit of a namespace has ended. Answers the namespace, if its Pods were counted.
async fn audited(audit: &mut Option<Audit>) -> Option<Arc<str>> {
    match audit {
        Some(audit) => audit.audited().await,
        None => pending().await,
    }
}

async fn perform(
    objects: &Objects,
    namespace: &str,
    task: &Task,
    wanted: &Copies,
) -> Result<Done, CallError> {
    let at = Place { namespace, secret: &task.secret };
    let content: Option<&Content> = task.content.as_deref();
    match (&task.step, content) {
        (Step::Create, Some(content)) => create(objects, at, content).await,
        (Step::Update(seen), Some(content)) => update(objects, at, seen, content).await,
        (Step::Collect(_), _) => {
            let still = |metadata: &ObjectMeta| {
                let labels = metadata.labels.as_ref();
                let label = |key: &str| labels.and_then(|it| it.get(key)).map(String::as_str);
                label(INJECT_LABEL) == Some(OPTED_IN)
                    && wanted.wants(namespace, &task.secret, label)
            };
            collect(objects, at, still).await
        }
        _ => Ok(Done::Stale),
    }
}
