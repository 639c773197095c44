//! What the engine knows, as reports.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::time::Instant;

use super::{
    super::{
        discovery::Discovery,
        health::Board,
        mint::report::{Fetched, State as FetchedLogin},
        reports::{
            Key, LoginStatuses, Reports, Wish,
            objects::{SeenReport, Status},
            statuses::{CopyFacts, LoginFacts, NamespaceFacts, login_status, namespace_status},
        },
        sources::Resource,
        state::{Fetch, Overview, Progress, State},
    },
    Engine,
};
use crate::{
    cluster::CallError,
    core::{
        reports::{PodSummary, PullSecretStatus},
        rules::{LoginName, Mapping, SecretName},
    },
};

impl Engine {
    /// A report is like this.
    pub(super) fn report_seen(&mut self, key: Key, seen: Option<SeenReport>, now: Instant) {
        let resource = match key {
            Key::Login(_) => Resource::LoginReports,
            Key::Namespace(_) => Resource::NamespaceReports,
        };
        self.sources.saw(&resource, key.name());
        if let Some(reports) = &mut self.reports {
            reports.saw(key, seen, now);
        }
    }

    /// All reports that a watch brings have come.
    pub(super) fn reports_listed(
        &mut self,
        resource: &Resource,
        listed: &BTreeSet<Box<str>>,
        now: Instant,
    ) {
        if *resource == Resource::LoginReports {
            self.records_listed(Some(listed));
        }
        let (Some(reports), Some(kind)) = (&mut self.reports, kind_of(resource)) else { return };
        if reports.set_listed(kind, |name| listed.contains(name), now) {
            let namespaces: Vec<_> = self.state.opted_in().cloned().collect();
            for name in namespaces {
                reports.want(Key::Namespace(name), now);
            }
            reports.want_all(now);
        }
    }

    /// The watch of a kind of reports has failed.
    pub(super) fn reports_failed(&mut self, resource: &Resource, error: &CallError) {
        let (Some(reports), Some(kind)) = (&mut self.reports, kind_of(resource)) else { return };
        reports.watch_failed(kind, error);
        if *resource == Resource::LoginReports && !reports.is_listed(kind) {
            self.records_listed(None);
        }
    }

    /// Something about a namespace has changed that its report may say.
    pub(super) fn want_report(&mut self, namespace: &Arc<str>, now: Instant) {
        if let Some(reports) = &mut self.reports {
            reports.want(Key::Namespace(Arc::clone(namespace)), now);
        }
    }

    /// All reports that there are may have to change.
    pub(super) fn want_reports(&mut self, now: Instant) {
        if let Some(reports) = &mut self.reports {
            reports.want_all(now);
        }
    }

    /// A copy was made.
    pub(super) fn copied(&mut self, namespace: &Arc<str>, secret: &Arc<str>) {
        if let Some(reports) = &mut self.reports {
            reports.copied(namespace, secret);
        }
    }

    /// Nothing of a namespace is refused any more.
    pub(super) fn forget_refused(&mut self, namespace: &str) {
        self.status.forget(namespace);
        self.state.forget_refused(namespace);
    }

    /// Starts to write reports, as far as it is time. Answers when there is more.
    pub(super) fn report(&mut self, overview: Option<Overview>, now: Instant) -> Option<Instant> {
        let mapping = self.mapping.as_deref()?;
        let reports = self.reports.as_mut()?;
        // What is not known yet would be reported as wrong.
        let retries = &self.retries;
        let is_known = self.sources.are_listed()
            && self.state.logins().are_known(|name| retries.contains_key(name));
        if !is_known {
            return None;
        }
        if let Some(overview) = overview {
            let tries = |name: &_| retries.get(name).map_or(0, |(_, backoff)| backoff.attempts());
            let unread = |name: &_| tries(name) >= UNREAD_SHOWN;
            let known = (&self.state, &**self.status.fetched(), &*self.own_namespace);
            let board = self.checks.as_deref();
            reports.set_logins(logins(known, board, mapping, &overview, unread), now);
        }
        let beside_copies = self.schedule.has_ready();
        let known = (&self.state, self.discovery.as_ref(), self.discovers.as_deref());
        let audit = self.audit.as_ref();
        let wish = |reports: &mut Reports, key: &Key| match key {
            Key::Login(name) => reports.login(name),
            Key::Namespace(name) => {
                let pods = audit.and_then(|it| it.found(name));
                namespace(known, pods, reports, name)
            }
        };
        let more = reports.start_work(wish, beside_copies, now);
        let is_settled = self.discovery.as_ref().is_none_or(Discovery::is_settled);
        let renewal = reports.renew(is_settled && self.sources.are_live(), now);
        more.into_iter().chain(renewal).min()
    }
}

/// A login that could not be read so often in a row is reported.
const UNREAD_SHOWN: u32 = 3;
/// How many names of Secrets rules may have for a namespace that are looked for.
const NAMED: usize = 64;

impl Engine {
    /// A namespace has changed: it is looked into, if it is to be, and no longer otherwise.
    pub(super) fn cover(&mut self, name: &str, now: Instant) {
        if let Some(audit) = &mut self.audit {
            let is_covered = self.state.is_opted_in(name) && !self.state.copies().excludes(name);
            audit.cover(&Arc::from(name), is_covered, now);
        }
        let Some(discovery) = &mut self.discovery else { return };
        let is_covered = self.discovers.as_ref().is_some_and(|mapping| mapping.discovers(name))
            && self.state.is_opted_in(name);
        discovery.cover(&Arc::from(name), is_covered, now);
    }

    /// The mapping has changed: so may have what is looked into.
    pub(super) fn cover_all(&mut self, now: Instant) {
        if self.discovery.is_some() {
            for name in self.state.namespaces().cloned().collect::<Vec<_>>() {
                self.cover(&name, now);
            }
        }
    }

    /// Starts to look into namespaces, as far as it is time. Answers when there is more.
    pub(super) fn discover(&mut self, now: Instant) -> Option<Instant> {
        let (discovery, mapping) = (self.discovery.as_mut()?, self.discovers.as_deref()?);
        // Where no report can be written, nothing need be found.
        self.reports.as_ref().filter(|it| it.are_written())?;
        discovery.start_work(|name| named(mapping, name), now)
    }
}

/// The names of Secrets that rules without a login, or `always`, have for a namespace.
fn named(mapping: &Mapping, namespace: &str) -> Vec<Arc<str>> {
    let rules = mapping.rules().iter();
    let rules = rules.filter(|rule| rule.fill.is_none() && rule.holds_in(namespace));
    let names = rules.map(|rule| &rule.secret).chain(mapping.always());
    let names: BTreeSet<&str> = names.map(SecretName::as_str).collect();
    names.into_iter().take(NAMED).map(Arc::from).collect()
}

/// The kind of the reports that a watch brings.
fn kind_of(resource: &Resource) -> Option<usize> {
    match resource {
        Resource::LoginReports => Some(Key::LOGINS),
        Resource::NamespaceReports => Some(Key::NAMESPACES),
        _ => None,
    }
}

/// What the reports of all logins are to say.
fn logins(
    (state, fetched, own_namespace): (&State, &Fetched, &str),
    board: Option<&Board>,
    mapping: &str,
    overview: &Overview,
    unread: impl Fn(&LoginName) -> bool,
) -> LoginStatuses {
    let held = if state.is_collection_held() { state.unwanted() } else { 0 };
    let problems: BTreeMap<_, _> = state.logins().problems().collect();
    let reports = state.kinds().filter_map(|(name, kind)| {
        let key = Arc::from(name.as_str());
        let fetched = if state.logins().is_fetched(name) {
            let secret = state.logins().secret(name)?;
            // Before the first attempt has ended, more is known of it by the report that is there.
            let Some(it) =
                fetched.state(own_namespace, secret.as_str()).filter(FetchedLogin::is_tried)
            else {
                return Some((key, None));
            };
            Some(it)
        } else {
            None
        };
        let mut registries: Vec<String> = Vec::new();
        for pattern in state.copies().registries(name) {
            if !registries.iter().any(|it| it == pattern.as_str()) {
                registries.push(pattern.as_str().to_owned());
            }
        }
        let facts = LoginFacts {
            kind,
            mapping,
            secret: state.logins().secret(name).map(|secret| (own_namespace, secret)),
            problem: problems.get(name).and_then(Option::as_ref),
            unread: unread(name),
            held,
            expiry: match &fetched {
                Some(fetched) => fetched.expiry(),
                None => state.logins().expiry(name).copied(),
            },
            fetched,
            health: board.and_then(|board| board.health(name)),
            registries,
            overview: overview.logins.get(name)?,
        };
        Some((key, Some(Status::Login(Box::new(login_status(facts))))))
    });
    reports.collect()
}

/// What the report of a namespace is to say.
pub(super) fn namespace(
    (state, discovery, mapping): (&State, Option<&Discovery>, Option<&Mapping>),
    pods: Option<&PodSummary>,
    reports: &mut Reports,
    name: &Arc<str>,
) -> Wish {
    if state.is_terminating(name) {
        return Wish::Stays;
    }
    let is_covered =
        (mapping.is_some() || state.copies().secrets().len() > 0) && !state.copies().excludes(name);
    let Some(copies) = state.copies_in(name).filter(|_| is_covered) else { return Wish::Nothing };
    let is_foreign = |progress: Progress| progress == Progress::Conflict;
    let foreign = copies.iter().filter(|it| is_foreign(it.progress));
    let foreign: Vec<&str> = foreign.map(|it| it.secret.as_str()).collect();
    reports.keep_foreign(name, &foreign);
    let mut facts = NamespaceFacts::default();
    if let Some(mapping) = mapping.filter(|mapping| mapping.discovers(name)) {
        facts.discovery = discovery.and_then(|it| it.found(name));
        facts.named = named(mapping, name);
        if facts.discovery.is_none() {
            return Wish::Stays;
        }
    }
    let mut is_read = true;
    for state in copies {
        // Before the first attempt to fetch has ended, more is known by the report that is there.
        is_read &= state.fetch != Fetch::Unknown;
        let contents = if is_foreign(state.progress) {
            let contents = reports.contents(name, state.secret.as_str()).cloned();
            is_read &= contents.is_some();
            contents
        } else {
            None
        };
        facts.copies.push(CopyFacts { state, foreign: contents });
    }
    if !is_read {
        return Wish::Stays;
    }
    let status = PullSecretStatus { pods: pods.cloned(), ..namespace_status(&facts) };
    Wish::Says(Status::Namespace(Box::new(status)))
}
