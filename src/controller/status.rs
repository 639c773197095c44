//! What a controller tells of itself: whether all is as it should be, and what is not.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tracing::{info, warn};

use super::{
    metrics::{Metrics, Object, Seen, Written},
    plan::{Authorities, Observed, Timestamp, Validity},
    registration::Entries,
    secrets::Found,
    snapshot::Snapshot,
};
use crate::{
    http::admin::{Check, Report},
    pki::time::date,
};

/// The state of things, for readiness, metrics and the log.
#[derive(Debug)]
pub struct Status {
    metrics: Metrics,
    told: Mutex<Told>,
}

#[derive(Debug)]
struct Told {
    checks: Vec<Check>,
    /// The last failure that was logged, so that one that lasts is logged once.
    failure: Option<String>,
    registration: Option<&'static str>,
}

// === impl Status ===

impl Status {
    /// Of a process that has not looked yet.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        let nothing_yet = Check {
            name: "cluster",
            failure: Some("not looked at yet".to_owned()),
            note: String::new(),
        };
        let told = Told { checks: vec![nothing_yet], failure: None, registration: None };
        Self { metrics, told: Mutex::new(told) }
    }

    /// Notes how things are.
    pub(super) fn looked(&self, snapshot: &Snapshot, observed: &Observed, now: Timestamp) {
        self.metrics.looked(now, &seen(observed));
        let registration = registration_note(snapshot);
        let mut told = self.told();
        told.checks = checks(snapshot, observed, now);
        if told.registration != Some(registration) {
            info!(registration);
            told.registration = Some(registration);
        }
    }

    /// Notes that a look failed, or a write that it called for.
    pub(super) fn failed(&self, failure: &str) {
        self.metrics.look_failed();
        let mut told = self.told();
        told.checks.retain(|check| check.name != "cluster");
        told.checks.push(Check {
            name: "cluster",
            failure: Some(failure.to_owned()),
            note: String::new(),
        });
        if told.failure.as_deref() != Some(failure) {
            warn!(error = failure, "certificates cannot be kept in order: trying again");
            told.failure = Some(failure.to_owned());
        }
    }

    /// Notes that a look found nothing to do, or could do it.
    pub(super) fn succeeded(&self) {
        if self.told().failure.take().is_some() {
            info!("certificates are kept in order again");
        }
    }

    pub(super) fn wrote(&self, object: Object, written: Written) {
        self.metrics.wrote(object, written);
    }

    pub(super) fn watch_restarted(&self, object: Object) {
        self.metrics.watch_restarted(object);
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        // Nothing can panic while it is held, and even then the texts would be whole.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Report for Status {
    fn checks(&self) -> Vec<Check> {
        self.told().checks.clone()
    }

    fn metrics(&self) -> Result<String, fmt::Error> {
        self.metrics.encode()
    }
}

// === what is told ===

fn seen(observed: &Observed) -> Seen {
    let authorities = observed.authorities.as_ref();
    Seen {
        ca: authorities.map(|authorities| authorities.newest.validity.not_after),
        leaf: observed.leaf.map(|leaf| leaf.validity.not_after),
        rotating: authorities.is_some_and(|authorities| !authorities.previous.is_empty()),
        registered: !observed.registration.0.is_empty(),
    }
}

fn checks(snapshot: &Snapshot, observed: &Observed, now: Timestamp) -> Vec<Check> {
    let authorities = observed.authorities.as_ref();
    let newest = authorities.map(|authorities| authorities.newest.validity);
    let leaf = observed.leaf.map(|leaf| leaf.validity);
    let registration = registration_note(snapshot);
    let nobodys = snapshot.entries.as_ref().is_some_and(Entries::is_empty);
    let trusted = authorities.is_some_and(|it| observed.registration.trusts_exactly(it));
    let untrusted = match (nobodys, trusted) {
        (true, _) => Some(registration.to_owned()),
        (false, true) => None,
        (false, false) => Some("the registration does not hold the CA".to_owned()),
    };
    vec![
        check("ca-secret", trouble(&snapshot.ca, newest, now), note(newest, authorities)),
        check("tls-secret", trouble(&snapshot.tls, leaf, now), note(leaf, None)),
        check("ca-bundle", untrusted, registration.to_owned()),
    ]
}

fn check(name: &'static str, failure: Option<String>, note: String) -> Check {
    Check { name, failure, note }
}

fn trouble<T>(found: &Found<T>, validity: Option<Validity>, now: Timestamp) -> Option<String> {
    match found {
        Found::Absent => Some("there is no such Secret".to_owned()),
        Found::Foreign => Some("the Secret is not the controller's".to_owned()),
        Found::Unusable { error, .. } => Some(error.to_string()),
        Found::Usable { .. } => {
            let over = validity.filter(|validity| validity.is_over(now));
            over.map(|validity| format!("expired on {}", date(validity.not_after)))
        }
    }
}

fn note(validity: Option<Validity>, authorities: Option<&Authorities>) -> String {
    let expires = validity.map_or_else(String::new, |it| format!("expires {}", date(it.not_after)));
    match authorities.map(|authorities| authorities.previous.len()) {
        None | Some(0) => expires,
        Some(previous) => format!("{expires}, rotating: {previous} older still trusted"),
    }
}

fn registration_note(snapshot: &Snapshot) -> &'static str {
    match &snapshot.entries {
        None => {
            "there is no registration to write to: waiting for one, since only people make or delete it"
        }
        Some(entries) if entries.is_empty() => {
            "the registration has no webhook that is ours to write to"
        }
        Some(_) => "the registration is there",
    }
}
