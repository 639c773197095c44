//! The loop: what watches bring goes into the state, what the state calls for is done at the API server's pace.
//!
//! One task owns the state. Content is taken when it is written, not when it is queued: a namespace in the queue is but its
//! name.

mod intake;

use std::{
    collections::BTreeMap,
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
use tracing::warn;

use super::{
    metrics::Operation,
    objects::Objects,
    plan::Step,
    seen::Seen,
    sources::{Event, Resource, Sources},
    state::{Content, LoginRead, State, Task},
    status::Status,
    writes::{Done, Place, collect, create, update},
};
use crate::{
    cluster::{Backoff, CallError, Outcome, Pace, Schedule, Urgency, Worked},
    controller::metrics::Written,
    core::{
        copies::Copies,
        pod::{INJECT_LABEL, OPTED_IN},
        rules::LoginName,
    },
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
    /// Namespaces that wait for a login to be read, and how urgent they are.
    blocked: BTreeMap<LoginName, BTreeMap<Arc<str>, Urgency>>,
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
            blocked: BTreeMap::new(),
            reading: BTreeMap::new(),
            retries: BTreeMap::new(),
            work: FuturesUnordered::new(),
            mapping: None,
            wipe_at: None,
            held: false,
        }
    }

    /// Goes on for as long as the process lives.
    pub(super) async fn run(mut self, mut events: Receiver<Event>) {
        loop {
            let now = Instant::now();
            let held = self.state.is_collection_held();
            if mem::replace(&mut self.held, held) && !held {
                // What was held and is due has no event of its own.
                self.want_all(Urgency::Bulk, now);
            }
            let wake = self.start_work(now);
            self.status.show(&self.state, &self.schedule, now);
            let retry = self.retries.values().map(|(at, _)| *at).min();
            let timers = [wake, retry, self.wipe_at, self.status.next_count()];
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
            match self.pace.ready(now) {
                Ok(()) => {}
                Err(at) if self.schedule.has_ready() => return at,
                Err(_) => return self.schedule.next_at(),
            }
            let Some(name) = self.schedule.next(now) else { return self.schedule.next_at() };
            self.start_namespace(name, now);
        }
    }

    fn start_namespace(&mut self, name: Arc<str>, now: Instant) {
        let tasks = self.state.tasks(&name, now);
        let urgency = self.schedule.urgency(&name);
        for login in tasks.read {
            self.blocked.entry(login.clone()).or_default().insert(Arc::clone(&name), urgency);
            self.read_login(login);
        }
        if tasks.now.is_empty() {
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

    fn read_login(&mut self, name: LoginName) {
        if let Some(again) = self.reading.get_mut(&name) {
            *again = true;
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

    fn login_read(
        &mut self,
        name: LoginName,
        read: Result<Option<LoginRead>, CallError>,
        now: Instant,
    ) {
        let again = self.reading.remove(&name).unwrap_or_default();
        let changed = match read {
            Ok(read) => {
                self.reachable.send_replace(());
                self.retries.remove(&name);
                self.status.login_read(&name);
                self.state.set_login(&name, read)
            }
            Err(error) => {
                self.status.login_failed(&name, &error);
                if error.is_outage() {
                    self.pace.pause(error.retry_after().unwrap_or_default(), now);
                }
                let first = Backoff::new(OUTAGE_PAUSES.0, OUTAGE_PAUSES.1);
                let (at, backoff) = self.retries.entry(name).or_insert((now, first));
                *at = now + backoff.fail();
                return;
            }
        };
        if again {
            // It changed while it was read: what came may be older than the change.
            self.state.logins_mut().forget(&name);
            self.read_login(name);
        } else {
            for (namespace, urgency) in self.blocked.remove(&name).into_iter().flatten() {
                self.schedule.want(namespace, urgency, now);
            }
        }
        if changed {
            self.want_all(Urgency::Bulk, now);
        }
    }

    fn namespace_done(
        &mut self,
        name: &Arc<str>,
        tasks: Vec<(Task, Result<Done, CallError>)>,
        now: Instant,
    ) {
        let mut worked = Worked::Done;
        let mut answered = false;
        for (task, result) in tasks {
            let operation = Operation::of(&task.step);
            match result {
                Ok(done) => {
                    answered = true;
                    self.status.allowed(name, &task.secret);
                    match done {
                        Done::Is(seen) => {
                            let since = self.state.known_since(name);
                            if let (Step::Create, Some(since)) = (&task.step, since) {
                                self.status.created_after(now - since);
                            }
                            self.status.wrote(operation, Written::Success);
                            self.state.set_seen(name, &task.secret, seen, now);
                        }
                        Done::Conflict => {
                            self.status.wrote(operation, Written::Conflict);
                            self.state.set_seen(name, &task.secret, Some(Seen::Foreign), now);
                        }
                        Done::Stale => {
                            self.status.wrote(operation, Written::Conflict);
                            worked = Worked::Stale(STALE_PAUSE);
                        }
                        Done::NotNow => {}
                    }
                }
                Err(error) if self.is_left_behind(&task, &error) => {
                    answered = true;
                    let (namespace, secret) = (&**name, &*task.secret);
                    warn!(
                        namespace,
                        secret, "no rule names this copy, and it may not be deleted: it stays"
                    );
                    self.state.set_seen(name, &task.secret, None, now);
                }
                Err(error) => {
                    self.status.wrote(operation, Written::Failure);
                    let mut pause = Duration::ZERO;
                    if error.is_outage() {
                        self.pace.pause(error.retry_after().unwrap_or_default(), now);
                    } else {
                        answered = true;
                        self.status.refused(name, &task.secret, &error);
                        if error.reason().contains("exceeded quota") {
                            pause = QUOTA_PAUSE;
                        }
                    }
                    worked = Worked::Failed(pause);
                }
            }
        }
        self.pace.end(answered);
        if answered {
            self.reachable.send_replace(());
        }
        self.schedule.worked(name, worked, now);
        if worked == Worked::Done
            && let Some(later) = self.state.tasks(name, now).later
        {
            self.schedule.want_at(Arc::clone(name), Urgency::Bulk, later, now);
        }
    }

    /// Whether a copy stays because no rule names it any more, and with the rule the right to delete it has gone.
    fn is_left_behind(&self, task: &Task, error: &CallError) -> bool {
        matches!(task.step, Step::Collect(_))
            && error.outcome() == Outcome::Denied
            && !self.state.copies().secrets().any(|name| name.as_str() == &*task.secret)
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
