//! One check: what the Secret holds, the record that a try begins, the questions, and the record of the answers.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{
    plan::{Plan, Probe},
    record::{Recorded, Records},
    schedule::{Tried, begun, due, ended, in_force},
    verdict::Said,
};
use crate::{
    cluster::CallError,
    controller::credentials::{objects::Objects, state::content_id},
    core::{
        image::ImageRef,
        reports::{HealthVerdict, LoginHealth},
    },
    fetch::World,
    registry::Question,
};

/// How long one question may take.
const ANSWER: Duration = Duration::from_secs(10);
/// One question begins in this time, of all registries.
const PACE: Duration = Duration::from_secs(1);
/// How often the end of a try is written again that could not be, and the pause before.
const WRITES: (usize, Duration) = (3, Duration::from_secs(1));

/// With what a check is done.
pub(super) struct Context {
    pub(super) objects: Objects,
    pub(super) records: Records,
    pub(super) namespace: Arc<str>,
    pub(super) world: Arc<dyn World>,
    /// When the next question may begin.
    turn: tokio::sync::Mutex<Instant>,
    /// Until when hosts want no question, in seconds since the Unix epoch. At most one entry for each host of the mapping.
    waits: Mutex<BTreeMap<Box<str>, i64>>,
}

/// What a check knows of its login.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// What this process has recorded last, also where that was not written.
    pub(super) own: Option<LoginHealth>,
    /// The content that a person lets be copied, or that is copied because it could not be tried in time.
    pub(super) accepted: Option<Box<str>>,
}

/// What came of a check.
#[derive(Debug)]
pub(super) enum Checked {
    /// The login was tried.
    Tried(Box<Try>),
    /// It is not due: another process has tried it.
    NotDue(Option<LoginHealth>),
    /// There is no registry to ask about this content.
    Nothing(Box<str>),
    /// Its Secret does not exist, holds no login, or cannot be read: that is said elsewhere.
    Unread,
    /// Its report does not exist yet.
    NoReport,
    /// The kind of reports does not keep records.
    NotKept,
    /// No record can be written, so it was not tried.
    Unrecorded(CallError),
}

/// A try that has ended.
#[derive(Debug)]
pub(super) struct Try {
    /// The record from before it.
    pub(super) before: Option<LoginHealth>,
    pub(super) record: LoginHealth,
    /// What each host has said.
    pub(super) said: Vec<(Box<str>, HealthVerdict)>,
}

// === impl Context ===

impl Context {
    pub(super) fn new(
        objects: Objects,
        records: Records,
        namespace: &str,
        world: Arc<dyn World>,
    ) -> Self {
        Self {
            objects,
            records,
            namespace: namespace.into(),
            world,
            turn: tokio::sync::Mutex::new(Instant::now()),
            waits: Mutex::default(),
        }
    }

    /// Checks a login, if it is due by what is recorded.
    pub(super) async fn check(&self, plan: &Plan, known: &Known) -> Checked {
        let read = self.objects.login(&self.namespace, plan.secret.as_str()).await;
        let Ok(Some(read)) = read else { return Checked::Unread };
        let Ok(credentials) = &read.credentials else { return Checked::Unread };
        let content = content_id(&credentials.slice(&plan.patterns), &read.uid);
        let probes = plan.probes(credentials);
        let accepted = read.accept.as_deref() == Some(&*content)
            || known.accepted.as_deref() == Some(&*content);
        drop(read);
        if probes.is_empty() {
            return Checked::Nothing(content);
        }
        let tried = Tried { content: &content, accepted, image: plan.image() };
        let in_force =
            |record: Option<&LoginHealth>| in_force(record, known.own.as_ref(), &content).cloned();
        let begin = |record: Option<&LoginHealth>| {
            let (now, record) = (self.world.now(), in_force(record));
            let is_due = due(record.as_ref(), &content, now) <= now;
            is_due.then(|| begun(record.as_ref(), &tried, now))
        };
        let (there, claim) = match self.records.write(plan.login.as_str(), begin).await {
            Ok(Recorded::Done { before, record }) => (before, record),
            Ok(Recorded::Not(record)) => return Checked::NotDue(record),
            Ok(Recorded::NoReport) => return Checked::NoReport,
            Ok(Recorded::NotKept) => return Checked::NotKept,
            Err(error) => return Checked::Unrecorded(error),
        };
        let before = in_force(there.as_ref());
        let answers = self.ask(probes).await;
        let all = answers.iter().map(|(_, said)| *said).reduce(Said::and);
        let all = all.unwrap_or_else(Said::unreachable);
        let (now, draw) = (self.world.now(), self.world.draw());
        let record = ended(before.as_ref(), &tried, &all, now, draw);
        self.end(plan, &claim, &record).await;
        let said = answers.into_iter().map(|(host, said)| (host, said.verdict)).collect();
        Checked::Tried(Box::new(Try { before, record, said }))
    }

    /// Asks all hosts at once, and each host one question after the other.
    async fn ask(&self, probes: Vec<Probe>) -> Vec<(Box<str>, Said)> {
        let mut by_host: BTreeMap<Box<str>, Vec<Probe>> = BTreeMap::new();
        for probe in probes {
            by_host.entry(probe.host.clone()).or_default().push(probe);
        }
        let hosts = by_host.into_iter().map(|(host, probes)| async move {
            let mut answers = Vec::with_capacity(probes.len());
            for probe in probes {
                answers.push((host.clone(), self.ask_one(&host, &probe).await));
            }
            answers
        });
        join_all(hosts).await.into_iter().flatten().collect()
    }

    async fn ask_one(&self, host: &str, probe: &Probe) -> Said {
        let now = self.world.now();
        let wait = self.waits.lock().unwrap_or_else(PoisonError::into_inner).get(host).copied();
        if let Some(left) = wait.map(|until| until - now).filter(|left| *left > 0) {
            let retry_after = u32::try_from(left).ok();
            return Said { verdict: HealthVerdict::RateLimited, retry_after };
        }
        let Ok(image) = ImageRef::parse(&probe.target.image) else { return Said::unreachable() };
        self.turn().await;
        let question =
            if probe.target.named { Question::LoginByImage } else { Question::LoginAlone };
        let asked = self.world.probe(&image, question, &probe.login);
        let said = timeout(ANSWER, asked).await;
        let said = said.map_or_else(|_| Said::unreachable(), |probed| Said::of(&probed));
        if let (HealthVerdict::RateLimited, Some(seconds)) = (said.verdict, said.retry_after) {
            let until = self.world.now() + i64::from(seconds);
            let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
            waits.retain(|_, until| *until > now);
            waits.insert(host.into(), until);
        }
        said
    }

    /// Waits until a question may begin.
    async fn turn(&self) {
        let mut next = self.turn.lock().await;
        sleep_until(*next).await;
        *next = Instant::now() + PACE;
    }

    /// Records the end of a try. Where that cannot be written, others count it as a refusal.
    async fn end(&self, plan: &Plan, claim: &LoginHealth, record: &LoginHealth) {
        for _ in 0..WRITES.0 {
            let next = |there: Option<&LoginHealth>| (there == Some(claim)).then(|| record.clone());
            if self.records.write(plan.login.as_str(), next).await.is_ok() {
                return;
            }
            sleep(WRITES.1).await;
        }
    }
}
