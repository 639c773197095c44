//! The loop of renewals: which login is due, and what came of each attempt.
//!
//! Moments are those of the wall clock, looked at every half minute at least, so that a machine that slept goes on at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, sleep};

use super::{
    super::{objects::Objects, writes::Place},
    job::{Context, Known, Renewed},
    orders::{Orders, Own, Waiting},
    report::{Fetched, Refreshed},
};
use crate::{
    cluster::Cluster,
    fetch::{
        Failure, Life, Spec, World,
        life::{RENEWAL_MIN, pause},
    },
};

/// How many renewals run at once.
const AT_ONCE: usize = 8;
/// Renewals that are overdue when the process starts are spread over so many seconds.
const SPREAD: i64 = 30;
/// How often a file is looked at, in seconds.
const FILE_PAUSE: i64 = 10;
/// The longest sleep: the wall clock may have been set, or the machine may have slept.
const SLEEP_MAX: i64 = 30;

/// The Secret of a login: its namespace and its name.
pub(crate) type Key = (Arc<str>, Arc<str>);

/// Keeps fetched logins fresh.
pub(crate) struct Renewals {
    context: Arc<Context>,
    orders: Arc<Orders>,
    entries: BTreeMap<Key, Entry>,
    work: FuturesUnordered<Pin<Box<dyn Future<Output = Ended> + Send>>>,
    report: Arc<Fetched>,
}

/// A login that is kept fresh.
struct Entry {
    spec: Arc<Spec>,
    known: Known,
    due: i64,
    /// When it was fetched last, if by this process.
    fetched: Option<i64>,
    failures: u32,
    running: bool,
    /// Whether to look again as soon as the attempt that runs has ended.
    again: bool,
}

/// An attempt that has ended.
struct Ended {
    key: Key,
    spec: Arc<Spec>,
    /// The life of what was stored before.
    stored: Option<Life>,
    result: Result<Renewed, Failure>,
    took: Duration,
}

// === impl Renewals ===

impl Renewals {
    pub(crate) fn new(
        cluster: Cluster,
        objects: Objects,
        namespace: &str,
        world: Arc<dyn World>,
        orders: Arc<Orders>,
        report: Arc<Fetched>,
    ) -> Self {
        let context = Arc::new(Context { cluster, objects, namespace: namespace.into(), world });
        let (entries, work) = (BTreeMap::new(), FuturesUnordered::new());
        Self { context, orders, entries, work, report }
    }

    /// Goes on for as long as the process lives.
    pub(crate) async fn run(mut self) {
        let mut shown = 0;
        loop {
            let now = self.context.world.now();
            self.start_due(now);
            let wake = self.wake(now);
            let sleep = async {
                match wake {
                    Some(at) => {
                        let seconds = at.saturating_sub(now).clamp(0, SLEEP_MAX);
                        sleep(Duration::from_secs(seconds.unsigned_abs())).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                waiting = self.orders.take() => self.take_in(waiting),
                Some(ended) = self.work.next(), if !self.work.is_empty() => self.finish(ended),
                () = sleep => {}
            }
            let now = self.context.world.now();
            if now != shown {
                shown = now;
                self.show_phases(now);
            }
        }
    }

    /// When there is something to do: a renewal, or a life that goes on to its next phase.
    fn wake(&self, now: i64) -> Option<i64> {
        let due = |entry: &Entry| {
            // One that has to wait for others to end is started when they do.
            let due = (!entry.running && self.work.len() < AT_ONCE).then_some(entry.due);
            let phase = entry.known.life.and_then(|life| life.next_phase(now));
            due.into_iter().chain(phase).min()
        };
        self.entries.values().filter_map(due).min()
    }

    /// Starts what is due, the longest first, as far as there is room.
    fn start_due(&mut self, now: i64) {
        let room = AT_ONCE - self.work.len().min(AT_ONCE);
        let mut due: Vec<(i64, Key)> = self
            .entries
            .iter()
            .filter(|(_, it)| room > 0 && !it.running && it.due <= now)
            .map(|(key, it)| (it.due, key.clone()))
            .collect();
        due.sort_unstable();
        for (_, key) in due.into_iter().take(room) {
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            (entry.running, entry.again) = (true, false);
            let (spec, known) = (Arc::clone(&entry.spec), entry.known);
            let context = Arc::clone(&self.context);
            self.work.push(Box::pin(async move {
                let started = Instant::now();
                let at = Place { namespace: &key.0, secret: &key.1 };
                let (stored, result) = context.renew(&spec, at, known).await;
                Ended { key, spec, stored, result, took: started.elapsed() }
            }));
        }
    }

    fn finish(&mut self, ended: Ended) {
        let Ended { key, spec, stored, result, took } = ended;
        let (now, draw) = (self.context.world.now(), self.context.world.draw());
        let Some(entry) = self.entries.get_mut(&key) else { return };
        entry.running = false;
        if entry.spec != spec {
            // It is another login now, which is due.
            return;
        }
        match &result {
            Ok(renewed) => {
                let first = entry.known.life.is_none() && entry.failures == 0;
                entry.failures = 0;
                if renewed.fetched {
                    entry.fetched = Some(now);
                }
                let renew_at = match renewed.life {
                    Some(life) if entry.known.life == Some(life) => entry.known.renew_at,
                    Some(life) => {
                        let at = life.renew_at(draw);
                        // What was due while no process ran is spread, but never beyond its end.
                        let is_overdue = first && !renewed.fetched && at <= now;
                        let most = (life.ends - now) / 2;
                        Some(if is_overdue { now + spread(draw).min(most) } else { at })
                    }
                    None => Some(now + FILE_PAUSE),
                };
                entry.known = Known { life: renewed.life, file: renewed.file, renew_at };
                entry.due = renew_at.unwrap_or(now);
                self.report.refreshed(&key, &spec, &Refreshed::Done(renewed), took);
            }
            Err(failure) => {
                entry.failures = entry.failures.saturating_add(1);
                let pause = pause(entry.failures, failure.outcome(), failure.retry_after(), draw);
                entry.due = now + pause;
                // What an earlier process has stored lives, or has expired.
                let stored = stored.filter(|_| entry.known.life.is_none());
                entry.known.life = entry.known.life.or(stored);
                let failed = Refreshed::Failed(failure, stored, now);
                self.report.refreshed(&key, &spec, &failed, took);
            }
        }
        if entry.again {
            entry.look_again(now);
        }
    }

    fn take_in(&mut self, Waiting { shared, changed, own }: Waiting) {
        let now = self.context.world.now();
        if let Some(specs) = shared {
            let home = Arc::clone(&self.context.namespace);
            let specs = specs.into_iter().map(|spec| {
                let secret: Arc<str> = spec.login.secret().as_str().into();
                Own { secret, spec: Arc::new(spec), intact: true }
            });
            self.set(&home, specs.collect(), now);
        }
        for (namespace, own) in own {
            self.set(&namespace, own, now);
        }
        for secret in changed {
            self.changed(&secret, now);
        }
    }

    /// From now on, these are the logins in a namespace.
    fn set(&mut self, namespace: &Arc<str>, wanted: Vec<Own>, now: i64) {
        let names: BTreeSet<&Arc<str>> = wanted.iter().map(|it| &it.secret).collect();
        let gone = |key: &Key| key.0 == *namespace && !names.contains(&key.1);
        let report = &self.report;
        self.entries.retain(|key, _| {
            let keep = !gone(key);
            if !keep {
                report.forget(key);
            }
            keep
        });
        for Own { secret, spec, intact } in wanted {
            let key = (Arc::clone(namespace), secret);
            match self.entries.get_mut(&key) {
                Some(entry) if entry.spec == spec => {
                    if !intact {
                        entry.look_again(now);
                    }
                }
                Some(entry) => {
                    // What another process or an earlier mapping has fetched is no longer wanted.
                    let again = entry.running;
                    *entry = Entry { running: again, again, ..Entry::new(spec, now) };
                }
                None => {
                    self.report.wanted(&key, &spec);
                    self.entries.insert(key, Entry::new(spec, now));
                }
            }
        }
    }

    /// A Secret of pullcred's namespace has changed: that of a login, or one with keys.
    fn changed(&mut self, secret: &str, now: i64) {
        let home = &self.context.namespace;
        for ((namespace, name), entry) in &mut self.entries {
            let is_its_own = namespace == home && **name == *secret;
            let has_keys = entry.spec.source().keys().is_some_and(|keys| keys.as_str() == secret);
            // A write of this process comes back as a change, too, and is looked at once.
            if is_its_own || (has_keys && entry.failures > 0) {
                entry.look_again(now);
            }
        }
    }

    /// Tells how far each life has gone.
    fn show_phases(&self, now: i64) {
        for (key, entry) in &self.entries {
            let phase = entry.known.life.map(|life| life.phase(now));
            self.report.phase(key, &entry.spec, phase, entry.failures > 0);
        }
    }
}

// === impl Entry ===

impl Entry {
    fn new(spec: Arc<Spec>, now: i64) -> Self {
        Self {
            spec,
            known: Known::default(),
            due: now,
            fetched: None,
            failures: 0,
            running: false,
            again: false,
        }
    }

    /// Looks at the Secret at once; soon, if it was fetched just now, since somebody may change it all the time.
    fn look_again(&mut self, now: i64) {
        self.again = self.running;
        let soonest = self.fetched.map_or(now, |at| now.max(at.saturating_add(RENEWAL_MIN)));
        self.due = self.due.min(soonest);
    }
}

/// A number of seconds within the spread.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "half a minute")]
fn spread(draw: f64) -> i64 {
    (SPREAD as f64 * draw) as i64
}
