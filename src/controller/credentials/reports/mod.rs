//! The reports: written on change only, at a pace of their own, and deleted with what they are about.
//!
//! | module | what it does |
//! |---|---|
//! | [`statuses`] | what a report says, made of what is known (pure) |
//! | [`keys`] | the registry keys of a Secret that somebody else made |
//! | [`objects`] | the calls, and what is kept of a report that is seen |
//! | [`lease`] | the Lease that says that the reports are up to date |
//! | `known` | what is kept of a report, and when it may be written again |
//! | `foreign` | Secrets of somebody else's in the place of copies |
//! | `results` | what follows from the answers |
//! | [`events`] | Events on the report of a namespace |
//! | `shown` | what readiness and the log say of reports |
//!
//! Of each report no more is known than the hash of what the API server has, so a restart with all in order writes nothing,
//! and a change by somebody else shows. Copies never wait for a report.

pub(super) mod events;
mod foreign;
pub(super) mod keys;
mod known;
mod lease;
pub(super) mod objects;
mod results;
mod shown;
pub(super) mod statuses;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures_util::stream::FuturesUnordered;
use k8s_openapi::jiff::Timestamp;
use tokio::{sync::mpsc::Sender, time::Instant};

use self::{
    events::Notice,
    foreign::Foreign,
    keys::Contents,
    known::{Known, Wrote},
    lease::Renewal,
    objects::{Objects, SeenReport, Status as ReportStatus, Written, hash_of},
};
pub(super) use self::{known::Key, shown::Shown};
use super::status::Status;
use crate::cluster::{Backoff, CallError, Cluster, Outcome, Pace, Schedule, Urgency, Worked};

/// Writes a second, how many at once after a quiet time, and how many in flight: a quarter of what copies have.
const PACE: (f64, f64, usize) = (50.0, 50.0, 4);
/// While copies wait to be written, a report costs as much as so many.
const COST_BESIDE_COPIES: usize = 5;
/// A report is written at most so often.
const WRITE_PAUSE: Duration = Duration::from_secs(2);
/// What follows a change within this time is written with it.
const GATHER: Duration = Duration::from_millis(200);
/// Pauses of a report whose writes fail, of which the first may be a fifth shorter, and the longest of one that somebody else
/// changes again and again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(2500), Duration::from_secs(300));
/// Pauses of all reports while none can be written.
const OUTAGE_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// After so many failures in a row, all reports wait: the API server takes none.
const FAILURES: u32 = 4;
/// How many reports are made before the loop goes on.
const AT_ONCE: usize = 64;
/// Reports that have waited for so long are not up to date.
const LATE: Duration = Duration::from_secs(30);

/// What a report is to be.
#[derive(Debug)]
pub(super) enum Wish {
    /// This is what it is to say.
    Says(ReportStatus),
    /// There is to be none.
    Nothing,
    /// It stays as it is: something must be read first, or it goes with its namespace.
    Stays,
}

/// What is known of a kind of reports.
#[derive(Debug, Default)]
struct KindState {
    /// Whether the API server has it, and has listed what there is.
    listed: bool,
    /// How many reports it has.
    count: usize,
}

/// A namespace and a Secret in it.
type Place = (Arc<str>, Arc<str>);
/// What the reports of logins are to say, by their names; `None` where a report stays as it is.
pub(super) type LoginStatuses = BTreeMap<Arc<str>, Option<ReportStatus>>;
type Doing = Pin<Box<dyn Future<Output = Work> + Send>>;

/// The reports, and the work on them.
pub(super) struct Reports {
    objects: Arc<Objects>,
    status: Arc<Status>,
    notices: Sender<Notice>,
    known: BTreeMap<Key, Known>,
    schedule: Schedule<Key>,
    pace: Pace,
    failures: u32,
    work: FuturesUnordered<Doing>,
    /// Of logins, and of namespaces.
    kinds: [KindState; 2],
    foreign: BTreeMap<Place, Foreign>,
    readings: u64,
    /// Foreign Secrets that could not be read, and when to try again.
    read_again: VecDeque<(Instant, Place)>,
    /// Copies that were made since the last report of their namespace.
    copied: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    /// Namespaces whose Pods were counted since their last report.
    audited: BTreeSet<Arc<str>>,
    /// What the reports of logins are to say; `None` until that is known.
    logins: Option<LoginStatuses>,
    renewal: Renewal,
}

/// Work that has ended.
enum Work {
    Deleted(Key, Result<bool, CallError>),
    Read(Place, u64, Result<Option<Contents>, CallError>),
    Renewed(Result<(), CallError>),
    Wrote(Key, ReportStatus, Result<Written, CallError>),
}

// === impl Reports ===

impl Reports {
    pub(super) fn new(
        cluster: Cluster,
        own_namespace: &str,
        holder: String,
        status: Arc<Status>,
        notices: Sender<Notice>,
    ) -> Self {
        let now = Instant::now();
        let outage = Backoff::new(OUTAGE_PAUSES.0, OUTAGE_PAUSES.1);
        let (rate, burst, in_flight) = PACE;
        Self {
            objects: Arc::new(Objects::new(cluster, own_namespace, holder)),
            status,
            notices,
            known: BTreeMap::new(),
            schedule: Schedule::new(Backoff::new(PAUSES.0, PAUSES.1)),
            pace: Pace::new(rate, burst, in_flight, outage, now),
            failures: 0,
            work: FuturesUnordered::new(),
            kinds: Default::default(),
            foreign: BTreeMap::new(),
            readings: 0,
            read_again: VecDeque::new(),
            copied: BTreeMap::new(),
            audited: BTreeSet::new(),
            logins: None,
            renewal: Renewal::new(now),
        }
    }

    // --- what is known ---

    /// A report is like this; `None` where there is none.
    pub(super) fn saw(&mut self, key: Key, seen: Option<SeenReport>, now: Instant) {
        if self.set_seen(&key, seen) {
            self.want(key, now);
        }
    }

    /// Answers whether that changes anything.
    fn set_seen(&mut self, key: &Key, seen: Option<SeenReport>) -> bool {
        if seen.is_none() && !self.known.contains_key(key) {
            return false;
        }
        let known = self.known.entry(key.clone()).or_default();
        let before = std::mem::replace(&mut known.seen, seen);
        let kind = &mut self.kinds[key.kind()];
        kind.count = kind.count + usize::from(seen.is_some()) - usize::from(before.is_some());
        if seen.is_some() != before.is_some() {
            self.status.reports(key.kind(), kind.count);
        }
        before != seen
    }

    /// All reports of a kind have come: those that are known and are not among them have gone. Answers whether none could be
    /// written before.
    pub(super) fn set_listed(
        &mut self,
        kind: usize,
        is_there: impl Fn(&str) -> bool,
        now: Instant,
    ) -> bool {
        let known = self.known.iter().filter(|(key, it)| key.kind() == kind && it.seen.is_some());
        let gone = known.filter(|(key, _)| !is_there(key.name())).map(|(key, _)| key.clone());
        for key in gone.collect::<Vec<_>>() {
            self.saw(key, None, now);
        }
        !std::mem::replace(&mut self.kinds[kind].listed, true)
    }

    /// The watch of a kind has failed. Without the kind, or the right to list it, none is written.
    pub(super) fn watch_failed(&mut self, kind: usize, error: &CallError) {
        if matches!(error.outcome(), Outcome::Denied | Outcome::Gone) {
            self.kinds[kind].listed = false;
        }
    }

    /// Whether the reports of a kind have come, and can be watched.
    pub(super) fn is_listed(&self, kind: usize) -> bool {
        self.kinds[kind].listed
    }

    /// From now on, these are the reports of logins.
    pub(super) fn set_logins(&mut self, logins: LoginStatuses, now: Instant) {
        let Some(before) = &self.logins else {
            self.logins = Some(logins);
            return self.want_all(now);
        };
        let names = before.keys().chain(logins.keys());
        let changed = names.filter(|name| before.get(*name) != logins.get(*name));
        let changed: BTreeSet<_> = changed.cloned().collect();
        self.logins = Some(logins);
        for name in changed {
            self.want(Key::Login(name), now);
        }
    }

    /// What the report of a login is to say.
    pub(super) fn login(&self, name: &str) -> Wish {
        match &self.logins {
            None => Wish::Stays,
            Some(logins) => match logins.get(name) {
                None => Wish::Nothing,
                Some(None) => Wish::Stays,
                Some(Some(says)) => Wish::Says(says.clone()),
            },
        }
    }

    /// A copy was made.
    pub(super) fn copied(&mut self, namespace: &Arc<str>, secret: &Arc<str>) {
        let copied = self.copied.entry(Arc::clone(namespace)).or_default();
        if !copied.contains(secret) {
            copied.push(Arc::clone(secret));
        }
    }

    /// The Pods of a namespace were counted.
    pub(super) fn audited(&mut self, namespace: &Arc<str>) {
        self.audited.insert(Arc::clone(namespace));
    }

    // --- what is wanted ---

    /// A report may have to be written.
    pub(super) fn want(&mut self, key: Key, now: Instant) {
        let wrote = self.known.get(&key).and_then(|it| it.wrote);
        let at = wrote.map_or(now, |it| it.at + WRITE_PAUSE).max(now + GATHER);
        let urgency = self.urgency(&key);
        self.schedule.want_at(key, urgency, at, now);
    }

    /// All reports that are known may have to be written.
    pub(super) fn want_all(&mut self, now: Instant) {
        let logins = self.logins.iter().flatten().map(|(name, _)| Key::Login(Arc::clone(name)));
        for key in self.known.keys().cloned().chain(logins).collect::<Vec<_>>() {
            self.want(key, now);
        }
    }

    /// Wrong reports come before those that are not there: what is not there is only unknown.
    fn urgency(&self, key: &Key) -> Urgency {
        match (key, self.known.get(key).and_then(|it| it.seen)) {
            (Key::Login(_), _) => Urgency::New,
            (Key::Namespace(_), Some(_)) => Urgency::Changed,
            (Key::Namespace(_), None) => Urgency::Bulk,
        }
    }

    /// Starts what is due, as far as the pace allows: `wish` says what each report is to be. `beside_copies` says whether
    /// copies wait to be written. Answers when there is more.
    pub(super) fn start_work(
        &mut self,
        mut wish: impl FnMut(&mut Self, &Key) -> Wish,
        beside_copies: bool,
        now: Instant,
    ) -> Option<Instant> {
        self.read_what_is_due(now);
        let again = self.read_again.front().map(|(at, _)| *at);
        for _ in 0..AT_ONCE {
            if let Err(at) = self.pace.ready(now) {
                return at;
            }
            let Some(key) = self.schedule.next(now) else {
                return self.schedule.next_at().into_iter().chain(again).min();
            };
            let wish = if self.kinds[key.kind()].listed { wish(self, &key) } else { Wish::Stays };
            let Some(work) = self.work_for(&key, wish, now) else { continue };
            self.pace.start(if beside_copies { COST_BESIDE_COPIES } else { 1 });
            self.work.push(work);
        }
        Some(now)
    }

    /// What is to be done about a report now, as its key says; `None` where that is nothing.
    fn work_for(&mut self, key: &Key, wish: Wish, now: Instant) -> Option<Doing> {
        let known = self.known.get(key);
        let seen = known.and_then(|it| it.seen);
        let (content, status) = match wish {
            Wish::Says(mut status) => {
                let content = hash_of(&status);
                status.stamp(seen.as_ref(), Timestamp::now());
                if known.is_some_and(|it| it.is_right(content, hash_of(&status))) {
                    return self.nothing_to_do(key, now);
                }
                (content, Some(status))
            }
            Wish::Nothing if seen.is_some() => (0, None),
            Wish::Nothing => {
                self.known.remove(key);
                return self.nothing_to_do(key, now);
            }
            Wish::Stays => return self.nothing_to_do(key, now),
        };
        let is_repeated = known.and_then(|it| it.wrote).is_some_and(|it| it.content == content);
        let due = known.and_then(|it| Some(it.wrote?.at + it.pause(is_repeated)));
        if let Some(due) = due.filter(|due| *due > now) {
            self.schedule.worked(key, Worked::Done, now);
            self.schedule.want_at(key.clone(), self.urgency(key), due, now);
            return None;
        }
        let known = self.known.entry(key.clone()).or_default();
        let calm = known.wrote.is_none_or(|it| now > it.at + PAUSES.1 * 2);
        known.disturbed = match known.disturbed {
            _ if !is_repeated => 0,
            _ if calm => 1,
            before => before.saturating_add(1),
        };
        let stored = known.wrote.map_or(0, |it| it.stored);
        known.wrote = Some(Wrote { content, stored, at: now });
        let (objects, key) = (Arc::clone(&self.objects), key.clone());
        Some(match status {
            Some(status) => Box::pin(async move {
                let written = objects.write(&key, &status).await;
                Work::Wrote(key, status, written)
            }),
            None => Box::pin(async move {
                let deleted = objects.delete(&key).await;
                Work::Deleted(key, deleted)
            }),
        })
    }

    fn nothing_to_do(&mut self, key: &Key, now: Instant) -> Option<Doing> {
        self.copied.remove(key.name());
        self.audited.remove(key.name());
        self.schedule.worked(key, Worked::Done, now);
        None
    }

    /// Whether reports of namespaces can be written.
    pub(super) fn are_written(&self) -> bool {
        self.kinds[Key::NAMESPACES].listed
    }

    /// Whether what is written is what holds, but for what came within the last seconds.
    pub(super) fn is_up_to_date(&self, now: Instant) -> bool {
        let late = self.schedule.oldest_ready().is_some_and(|since| now > since + LATE);
        self.kinds[Key::NAMESPACES].listed && !late && !self.pace.is_failing()
    }
}
