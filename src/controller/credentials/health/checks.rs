//! The loop of checks: which login is due, what came of each check, and what follows for its copies.
//!
//! Moments are those of the wall clock, looked at every half minute at least, so that a machine that slept goes on at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    board::{Board, Content, Health, Listed, Said},
    job::{Checked, Context, Known},
    plan::Plan,
    record::Records,
    report::{self, HealthMetrics, Report},
    schedule::{Trial, due, in_force, trial},
};
use crate::{
    cluster::Cluster,
    controller::credentials::{events::Notice, objects::Objects},
    core::{reports::LoginHealth, rules::LoginName},
    fetch::World,
};

/// How many checks run at once.
const AT_ONCE: usize = 8;
/// For how long a new content waits to be tried. Then it is copied all the same.
const TRIAL_MAX: Duration = Duration::from_secs(60);
/// The longest sleep: the wall clock may have been set, or the machine may have slept.
const SLEEP_MAX: Duration = Duration::from_secs(30);
/// Until a check is tried again that could not be made: for want of its report, of news from its watch, of the Secret or the
/// right to write, and of a definition that keeps records, in seconds.
const AGAIN: (i64, i64, i64) = (2, 30, 600);

type Doing = Pin<Box<dyn Future<Output = (Arc<Plan>, Checked)> + Send>>;

/// Checks logins.
pub(in super::super) struct Checks {
    context: Arc<Context>,
    board: Arc<Board>,
    report: Report,
    entries: BTreeMap<LoginName, Entry>,
    contents: BTreeMap<LoginName, Content>,
    /// The records in reports.
    records: BTreeMap<Arc<str>, LoginHealth>,
    /// Whether all of them have come.
    listed: bool,
    /// Hosts that are asked now.
    busy: BTreeSet<Box<str>>,
    work: FuturesUnordered<Doing>,
}

/// A login that is checked.
struct Entry {
    plan: Arc<Plan>,
    /// What its Secret holds, and since when that is known.
    content: Option<(Content, Instant)>,
    known: Known,
    /// Not before this moment.
    not_before: i64,
    running: bool,
}

// === impl Checks ===

impl Checks {
    pub(in super::super) fn new(
        cluster: Cluster,
        objects: Objects,
        namespace: &str,
        world: Arc<dyn World>,
        board: Arc<Board>,
        (metrics, notices): (HealthMetrics, mpsc::Sender<Notice>),
    ) -> Self {
        let context = Context::new(objects, Records::new(cluster), namespace, world);
        let report = Report::new(metrics, notices, namespace.into());
        Self {
            context: Arc::new(context),
            board,
            report,
            entries: BTreeMap::new(),
            contents: BTreeMap::new(),
            records: BTreeMap::new(),
            listed: false,
            busy: BTreeSet::new(),
            work: FuturesUnordered::new(),
        }
    }

    /// Goes on for as long as the process lives.
    pub(in super::super) async fn run(mut self) {
        let board = Arc::clone(&self.board);
        loop {
            let wake = self.start_due();
            tokio::select! {
                said = board.take() => self.take_in(said),
                Some((plan, checked)) = self.work.next(), if !self.work.is_empty() => {
                    self.finish(&plan, checked);
                }
                () = sleep_until(wake) => {}
            }
            self.show();
        }
    }

    /// Starts what is due, contents that wait first. Answers when to look again.
    fn start_due(&mut self) -> Instant {
        let (now, instant) = (self.context.world.now(), Instant::now());
        let mut wake = instant + SLEEP_MAX;
        let mut ready = Vec::new();
        for (name, entry) in &self.entries {
            let Some((content, since)) = &entry.content else { continue };
            let record = entry.record(&self.records);
            let waits = entry.trial(record) == Trial::Waiting;
            if waits {
                wake = wake.min(*since + TRIAL_MAX);
            }
            if entry.running || !self.listed || entry.plan.targets.is_empty() {
                continue;
            }
            let at = due(record, &content.id, now).max(entry.not_before);
            if at <= now {
                ready.push((!waits, at, name.clone()));
            } else {
                let left = Duration::from_secs((at - now).unsigned_abs());
                wake = wake.min(instant + left);
            }
        }
        ready.sort_unstable();
        for (_, _, name) in ready {
            let Some(entry) = self.entries.get_mut(&name) else { continue };
            let hosts = entry.plan.hosts();
            // What has to wait for others to end is started when they do.
            if self.work.len() >= AT_ONCE || !self.busy.is_disjoint(&hosts) {
                continue;
            }
            self.busy.extend(hosts);
            entry.running = true;
            let (context, plan) = (Arc::clone(&self.context), Arc::clone(&entry.plan));
            let known = entry.known.clone();
            self.work.push(Box::pin(async move {
                let checked = context.check(&plan, &known).await;
                (plan, checked)
            }));
        }
        wake
    }

    fn finish(&mut self, plan: &Plan, checked: Checked) {
        let now = self.context.world.now();
        for host in plan.hosts() {
            self.busy.remove(&host);
        }
        let Some(entry) = self.entries.get_mut(&plan.login) else { return };
        entry.running = false;
        let again = |seconds: i64| now + seconds;
        let name = plan.login.as_str();
        match checked {
            Checked::Tried(tried) => {
                self.report.tried(plan, &tried);
                self.records.insert(name.into(), tried.record.clone());
                entry.known.own = Some(tried.record);
                // The watch may bring what was there before.
                entry.not_before = again(AGAIN.0);
            }
            Checked::NotDue(record) => {
                self.saw(&name.into(), record);
                if let Some(entry) = self.entries.get_mut(&plan.login) {
                    entry.not_before = again(AGAIN.0);
                }
            }
            Checked::Nothing(content) => {
                entry.known.accepted = Some(content);
                entry.not_before = again(AGAIN.2);
            }
            Checked::NoReport => entry.not_before = again(AGAIN.0),
            Checked::Unread => entry.not_before = again(AGAIN.1),
            Checked::NotKept => {
                entry.not_before = again(AGAIN.2);
                report::unrecorded(&plan.login, None);
            }
            Checked::Unrecorded(error) => {
                entry.not_before = again(AGAIN.1);
                report::unrecorded(&plan.login, Some(&error));
            }
        }
    }

    fn take_in(&mut self, Said { plans, contents, records, listed }: Said) {
        if let Some(names) = listed {
            self.listed = matches!(names, Listed::Names(_));
            self.records.retain(|login, _| match &names {
                Listed::Names(names) => names.contains(&**login),
                Listed::Unknown => false,
            });
        }
        for (login, record) in records {
            self.saw(&login, record);
        }
        if let Some(contents) = contents {
            self.contents = contents;
        }
        if let Some(plans) = plans {
            let mut before = std::mem::take(&mut self.entries);
            for plan in plans {
                let entry = match before.remove(&plan.login) {
                    Some(entry) => Entry { plan: Arc::new(plan.clone()), ..entry },
                    None => Entry::new(plan.clone()),
                };
                self.entries.insert(plan.login, entry);
            }
            for login in before.into_keys() {
                self.board.know(&login, None);
                self.report.show(&login, None);
            }
        }
        for (login, entry) in &mut self.entries {
            let content = self.contents.get(login);
            let known = entry.content.as_ref().map(|(content, _)| content);
            if content.map(|it| &it.id) != known.map(|it| &it.id) {
                entry.not_before = 0;
                entry.known.accepted = None;
            }
            if content != known {
                let same = content.map(|it| &it.id) == known.map(|it| &it.id);
                let since = entry.content.as_ref().filter(|_| same).map(|(_, since)| *since);
                let since = since.unwrap_or_else(Instant::now);
                entry.content = content.map(|it| (it.clone(), since));
            }
        }
    }

    fn saw(&mut self, login: &Arc<str>, record: Option<LoginHealth>) {
        match record {
            Some(record) => drop(self.records.insert(Arc::clone(login), record)),
            None => drop(self.records.remove(login)),
        }
    }

    /// Says what is known of each login, and lets contents go on that have waited for too long.
    fn show(&mut self) {
        let now = Instant::now();
        for (login, entry) in &mut self.entries {
            let record = entry.record(&self.records).cloned();
            let mut trial = entry.trial(record.as_ref());
            let Some((content, since)) = &entry.content else {
                if self.board.know(login, None) {
                    self.report.show(login, None);
                }
                continue;
            };
            if trial == Trial::Waiting && now >= *since + TRIAL_MAX {
                report::untried(login);
                entry.known.accepted = Some(content.id.clone());
                trial = Trial::Passed;
            }
            let record = record.filter(|it| it.content == *content.id);
            let (content, accepted) = (content.id.clone(), content.accepted);
            let health = Health { content, trial, accepted, record };
            if self.board.know(login, Some(health.clone())) {
                self.report.show(login, Some(&health));
            }
        }
    }
}

// === impl Entry ===

impl Entry {
    fn new(plan: Plan) -> Self {
        let plan = Arc::new(plan);
        Self { plan, content: None, known: Known::default(), not_before: 0, running: false }
    }

    /// What is recorded of its content.
    fn record<'r>(
        &'r self,
        records: &'r BTreeMap<Arc<str>, LoginHealth>,
    ) -> Option<&'r LoginHealth> {
        let (content, _) = self.content.as_ref()?;
        let record = records.get(self.plan.login.as_str());
        in_force(record, self.known.own.as_ref(), &content.id)
    }

    /// Whether copies are written from its content.
    fn trial(&self, record: Option<&LoginHealth>) -> Trial {
        let Some((content, _)) = &self.content else { return Trial::Waiting };
        let passes = content.accepted || self.known.accepted.as_deref() == Some(&*content.id);
        if self.plan.targets.is_empty() {
            return Trial::Passed;
        }
        trial(record, &content.id, passes)
    }
}
