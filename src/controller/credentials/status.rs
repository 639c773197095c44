//! What the credentials controller reports of itself: readiness, metrics, log lines and Events.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::mpsc, time::Instant};
use tracing::{info, warn};

use super::{
    ends::{self, Ends},
    events::Notice,
    health::report::HealthMetrics,
    metrics::{Metrics, Operation},
    mint::report::Fetched,
    reports::Shown,
    sources::Resource,
    state::{Conflict, Expiry, LoginProblem, Overview, State},
};
use crate::{
    cluster::{CallError, Schedule},
    controller::metrics::Written,
    core::rules::{LoginName, SecretName},
    errors::with_causes,
    http::admin::{Check, Report},
};

/// Copies are counted at most so often, and less often where there are many.
const COUNT_PAUSE: Duration = Duration::from_secs(1);
/// How many namespaces a text names.
const NAMED: usize = 10;

/// The state of copies, for readiness, metrics, the log and Events.
#[derive(Debug)]
pub struct Status {
    metrics: Metrics,
    notices: mpsc::Sender<Notice>,
    reported: Mutex<Reported>,
    fetched: Arc<Fetched>,
}

#[derive(Debug, Default)]
struct Reported {
    /// What is in force, or why nothing is.
    mapping: Option<String>,
    mapping_failure: Option<String>,
    /// Why a login fills nothing, by its name.
    logins: BTreeMap<String, String>,
    ends: Ends,
    /// Logins whose Secret could not be read at all.
    unread: BTreeMap<String, String>,
    watches: BTreeMap<Resource, String>,
    /// Writes that are refused, by namespace and Secret.
    refused: BTreeMap<(Arc<str>, Arc<str>), String>,
    conflicts: Vec<String>,
    copies: String,
    held: bool,
    counted: Option<Instant>,
    changed: bool,
    count_pause: Duration,
    /// `None` where none are written.
    reports: Option<Shown>,
}

// === impl Status ===

impl Status {
    /// Of a process that has read nothing yet. Notices become Events.
    #[must_use]
    pub fn new(metrics: Metrics, notices: mpsc::Sender<Notice>) -> Self {
        let failure = Some("not read yet".to_owned());
        let reported = Reported { mapping_failure: failure, ..Reported::default() };
        let fetched = Arc::new(Fetched::new(metrics.fetching().clone(), notices.clone()));
        Self { metrics, notices, reported: Mutex::new(reported), fetched }
    }

    /// The state of fetched logins.
    #[must_use]
    pub fn fetched(&self) -> &Arc<Fetched> {
        &self.fetched
    }

    /// The metrics of checks, and where what they find becomes Events.
    pub(super) fn for_checks(&self) -> (HealthMetrics, mpsc::Sender<Notice>) {
        (self.metrics.health().clone(), self.notices.clone())
    }

    /// Reports are written.
    pub(super) fn with_reports(self) -> Self {
        self.metrics.with_reports();
        self.reported().reports = Some(Shown::default());
        self
    }

    /// When copies are to be counted again; `None` where nothing has changed since.
    pub(super) fn next_count(&self) -> Option<Instant> {
        let reported = self.reported();
        reported.counted.filter(|_| reported.changed).map(|at| at + reported.count_pause)
    }

    /// Takes over how things are. Answers how far copies are, where they have been counted.
    pub(super) fn show(
        &self,
        state: &State,
        schedule: &Schedule<Arc<str>>,
        now: Instant,
    ) -> Option<Overview> {
        let held = state.is_collection_held();
        let mut reported = self.reported();
        reported.changed = true;
        if reported.held != held {
            reported.held = held;
            self.report_held(held, state.unwanted());
        }
        // All of the queue and of the state is looked at below.
        if reported.counted.is_some_and(|at| now < at + reported.count_pause) {
            return None;
        }
        reported.changed = !schedule.is_empty();
        reported.counted = Some(now);
        let started = Instant::now();
        let waited = schedule.oldest().map_or(0, |since| (now - since).as_secs());
        self.metrics.queue(schedule.len(), waited, held);
        let overview = state.overview();
        let counts = overview.total;
        self.metrics.count(counts, reported.refused.len());
        self.metrics.logins(&overview.logins);
        reported.copies = format!(
            "{} ready, {} pending, {} in conflict, {} without their login",
            counts.ready, counts.pending, counts.conflict, counts.waiting
        );
        self.show_logins(&mut reported, state);
        reported.ends.show(state.logins(), self.metrics.fetching());
        self.show_conflicts(&mut reported, state);
        // Counting takes a hundredth of the time at most.
        reported.count_pause = COUNT_PAUSE.max(started.elapsed() * 100);
        Some(overview)
    }

    fn show_logins(&self, reported: &mut Reported, state: &State) {
        let mut problems = BTreeMap::new();
        for (name, problem) in state.logins().problems() {
            let is_read = !reported.unread.contains_key(name.as_str());
            self.metrics.login(name.as_str(), is_read && problem.is_none());
            let Some(problem) = problem else { continue };
            if matches!(&problem, LoginProblem::Missing(it) if self.fetched.keeps(it.as_str())) {
                continue;
            }
            let text = with_causes(&problem);
            if reported.logins.get(name.as_str()) != Some(&text) {
                warn!(
                    login = name.as_str(),
                    error = text,
                    "the login fills nothing: its copies stay as they are"
                );
                self.notify(Notice::of_login(&problem, &text));
            }
            problems.insert(name.to_string(), text);
        }
        for name in reported.logins.keys().filter(|name| !problems.contains_key(*name)) {
            info!(login = name, "the login can be used again");
        }
        reported.logins = problems;
    }

    /// A login that people keep ends soon or has ended, or no longer does.
    pub(super) fn login_ends(&self, name: &LoginName, secret: &SecretName, expiry: &Expiry) {
        if let Some(notice) = ends::say(name, secret, expiry) {
            self.notify(notice);
        }
    }

    fn show_conflicts(&self, reported: &mut Reported, state: &State) {
        let conflicts = state.conflicts(NAMED);
        let place = |it: &Conflict| format!("{}/{}", it.namespace, it.secret);
        let names: Vec<_> = conflicts.iter().map(place).collect();
        if names == reported.conflicts {
            return;
        }
        if !names.is_empty() {
            let secrets = names.join(", ");
            warn!(secrets, "Secrets of somebody else have the name of a copy: they are left alone");
        }
        let mut by_login: BTreeMap<&SecretName, Vec<String>> = BTreeMap::new();
        for conflict in &conflicts {
            by_login.entry(&conflict.login).or_default().push(place(conflict));
        }
        for (login, names) in by_login {
            self.notify(Notice::conflict(login.as_str(), &names.join(", ")));
        }
        reported.conflicts = names;
    }

    fn report_held(&self, held: bool, unwanted: usize) {
        if held {
            warn!(
                unwanted,
                "deletions wait for a person: more than a fifth of all copies are no longer wanted"
            );
            self.notify(Notice::held(unwanted));
        } else {
            info!("deletions no longer wait");
        }
    }

    pub(super) fn mapping_in_force(&self, fingerprint: &str, logins: usize) {
        self.metrics.mapping(true);
        self.metrics.forget_logins();
        let mut reported = self.reported();
        let text = format!("{logins} logins, sha256 {fingerprint}");
        if reported.mapping.as_ref() != Some(&text) || reported.mapping_failure.is_some() {
            info!(logins, sha256 = fingerprint, "the mapping is in force");
        }
        reported.mapping = Some(text);
        reported.mapping_failure = None;
    }

    pub(super) fn mapping_failed(&self, failure: &str) {
        self.metrics.mapping(false);
        let mut reported = self.reported();
        if reported.mapping_failure.as_deref() != Some(failure) {
            warn!(error = failure, "the mapping cannot be used");
        }
        reported.mapping_failure = Some(failure.to_owned());
    }

    pub(super) fn login_failed(&self, name: &LoginName, error: &CallError) {
        let text = with_causes(error);
        let before = self.reported().unread.insert(name.to_string(), text.clone());
        if before.as_ref() != Some(&text) {
            warn!(login = name.as_str(), error = text, "the login cannot be read: trying again");
        }
    }

    pub(super) fn login_read(&self, name: &LoginName) {
        self.reported().unread.remove(name.as_str());
    }

    pub(super) fn refused(&self, namespace: &Arc<str>, secret: &Arc<str>, why: &str) {
        let key = (Arc::clone(namespace), Arc::clone(secret));
        let before = self.reported().refused.insert(key, why.to_owned());
        if before.as_deref() != Some(why) {
            warn!(
                namespace = &**namespace,
                secret = &**secret,
                error = why,
                "a copy cannot be written: trying again"
            );
            self.notify(Notice::refused(namespace, secret, why));
        }
    }

    /// A write of this copy was not refused.
    pub(super) fn allowed(&self, namespace: &Arc<str>, secret: &Arc<str>) {
        let mut reported = self.reported();
        if !reported.refused.is_empty() {
            reported.refused.remove(&(Arc::clone(namespace), Arc::clone(secret)));
        }
    }

    /// Nothing is to be done in a namespace, or it has gone: nothing of it is refused any more.
    pub(super) fn forget(&self, namespace: &str) {
        let mut reported = self.reported();
        if !reported.refused.is_empty() {
            reported.refused.retain(|(it, _), _| &**it != namespace);
        }
    }

    pub(super) fn wrote(&self, operation: Operation, written: Written) {
        self.metrics.wrote(operation, written);
    }

    pub(super) fn created_after(&self, time: Duration) {
        self.metrics.created_after(time.as_secs_f64());
    }

    pub(super) fn watch_connected(&self, resource: &Resource) {
        self.metrics.watch(resource, true);
        self.show_reports(|shown| shown.watched(resource));
        if self.reported().watches.remove(resource).is_some() {
            info!(?resource, "watching again");
        }
    }

    pub(super) fn watch_failed(&self, resource: &Resource, error: &CallError) {
        self.metrics.watch(resource, false);
        if resource.is_reports() {
            return self.show_reports(|shown| shown.unwatched(resource, error));
        }
        let text = with_causes(error);
        let before = self.reported().watches.insert(resource.clone(), text.clone());
        if before.is_none() {
            warn!(?resource, error = text, "a watch failed: trying again");
        }
    }

    /// There are so many reports of a kind.
    pub(super) fn reports(&self, kind: usize, count: usize) {
        self.metrics.reports(kind, count);
        self.show_reports(|shown| shown.counted(kind, count));
    }

    /// A report was written or deleted, or could not be.
    pub(super) fn report_written(&self, kind: usize, written: Written, error: Option<&CallError>) {
        self.metrics.report_written(kind, written);
        self.show_reports(|shown| shown.written(error));
    }

    /// The Lease of the reports was renewed, or could not be.
    pub(super) fn lease_renewed(&self, error: Option<&CallError>) {
        self.show_reports(|shown| shown.renewed(error));
    }

    fn show_reports(&self, change: impl FnOnce(&mut Shown)) {
        if let Some(shown) = &mut self.reported().reports {
            change(shown);
        }
    }

    fn notify(&self, notice: Notice) {
        // Where Events cannot be written as fast, the log and readiness have it all the same.
        let _ = self.notices.try_send(notice);
    }

    fn reported(&self) -> MutexGuard<'_, Reported> {
        // Nothing panics while it is locked, and even then the texts would be whole.
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Report for Status {
    fn checks(&self) -> Vec<Check> {
        let reported = self.reported();
        let first = |map: Vec<(String, &String)>| {
            let (shown, more) = (map.iter().take(NAMED), map.len().saturating_sub(NAMED));
            let mut text: Vec<_> = shown.map(|(name, why)| format!("{name}: {why}")).collect();
            if more > 0 {
                text.push(format!("and {more} more"));
            }
            (!text.is_empty()).then(|| text.join("; "))
        };
        let logins = reported.unread.iter().chain(&reported.logins);
        let logins = first(logins.map(|(name, why)| (name.clone(), why)).collect());
        let watches = reported.watches.iter();
        let watches = first(watches.map(|(it, why)| (format!("{it:?}"), why)).collect());
        let refused = reported.refused.iter();
        let refused =
            first(refused.map(|((ns, secret), why)| (format!("{ns}/{secret}"), why)).collect());
        let conflicts = (!reported.conflicts.is_empty()).then(|| {
            format!(
                "{} have the name of a copy and are somebody else's",
                reported.conflicts.join(", ")
            )
        });
        let held = reported.held.then(|| "deletions wait for a person".to_owned());
        let note = |note: Option<&String>| note.cloned().unwrap_or_default();
        let copies = [conflicts, held]
            .into_iter()
            .flatten()
            .fold(reported.copies.clone(), |text, more| format!("{text}; {more}"));
        let reports = reported.reports.as_ref().map(Shown::check);
        let checks = [
            Check {
                name: "mapping",
                failure: reported.mapping_failure.clone(),
                note: note(reported.mapping.as_ref()),
            },
            Check { name: "logins", failure: logins, note: String::new() },
            Check { name: "watches", failure: watches, note: String::new() },
            Check { name: "copies", failure: refused, note: copies },
        ];
        checks.into_iter().chain(self.fetched.check()).chain(reports).collect()
    }

    fn metrics(&self) -> Result<String, fmt::Error> {
        self.metrics.encode()
    }
}
