//! The state of the certificate controller, for readiness, metrics and the log.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tracing::{info, warn};

use super::{
    metrics::{Metrics, Object, Seen},
    plan::{Authorities, Observed, Timestamp, Validity},
    secrets::Found,
    snapshot::Snapshot,
    webhook_configuration::Entries,
};
use crate::{
    controller::metrics::Written,
    http::admin::{Check, Report},
    pki::time::date,
};

/// Whether this process writes the `caBundle` of the webhook configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Publish {
    /// Whenever it differs from the CA Secret.
    #[default]
    Always,
    /// Never: `pullcred controller publish` does so at install and upgrade.
    Never,
}

/// The state of the certificates, for readiness, metrics and the log.
#[derive(Debug)]
pub struct Status {
    metrics: Metrics,
    publish: Publish,
    reported: Mutex<Reported>,
}

#[derive(Debug)]
struct Reported {
    checks: Vec<Check>,
    /// Why the last reconciliation failed; kept until one succeeds.
    failure: Option<String>,
    configuration: Option<&'static str>,
}

// === impl Status ===

impl Status {
    /// The status of a process that has read nothing yet.
    #[must_use]
    pub fn new(metrics: Metrics, publish: Publish) -> Self {
        let failure = Some("nothing read yet".to_owned());
        let unknown = Check { name: CLUSTER, failure, note: String::new() };
        let reported = Reported { checks: vec![unknown], failure: None, configuration: None };
        Self { metrics, publish, reported: Mutex::new(reported) }
    }

    /// Records what was read.
    pub(super) fn read(&self, snapshot: &Snapshot, observed: &Observed, now: Timestamp) {
        self.metrics.read(&seen(observed));
        let configuration = configuration_note(snapshot.entries.as_ref());
        let mut reported = self.reported();
        reported.checks = checks(snapshot, observed, self.publish, now);
        let failure = reported.failure.clone();
        reported.checks.extend(failure.map(|failure| cluster(Some(failure))));
        if reported.configuration != Some(configuration) {
            info!(configuration);
            reported.configuration = Some(configuration);
        }
    }

    /// Records that an object could not be read, or that a write was refused.
    pub(super) fn failed(&self, failure: &str) {
        self.metrics.failed();
        let mut reported = self.reported();
        reported.checks.retain(|check| check.name != CLUSTER);
        reported.checks.push(cluster(Some(failure.to_owned())));
        if reported.failure.as_deref() != Some(failure) {
            warn!(error = failure, "reconciliation failed: retrying");
            reported.failure = Some(failure.to_owned());
        }
    }

    /// Records that everything was read and is in order.
    pub(super) fn in_order(&self, now: Timestamp) {
        self.metrics.in_order(now);
        let mut reported = self.reported();
        reported.checks.retain(|check| check.name != CLUSTER);
        if reported.failure.take().is_some() {
            info!("certificates are in order again");
        }
    }

    pub(super) fn wrote(&self, object: Object, written: Written) {
        self.metrics.wrote(object, written);
    }

    pub(super) fn watch_failed(&self, object: Object) {
        self.metrics.watches().failed(object.as_str());
    }

    pub(super) fn watch_connected(&self, object: Object) {
        self.metrics.watches().connected(object.as_str());
    }

    fn reported(&self) -> MutexGuard<'_, Reported> {
        // Nothing panics while it is locked, and even then the texts would be complete.
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Report for Status {
    fn checks(&self) -> Vec<Check> {
        self.reported().checks.clone()
    }

    fn metrics(&self) -> Result<String, fmt::Error> {
        self.metrics.encode()
    }
}

// === what is reported ===

const CLUSTER: &str = "cluster";

fn cluster(failure: Option<String>) -> Check {
    Check { name: CLUSTER, failure, note: String::new() }
}

fn seen(observed: &Observed) -> Seen {
    let authorities = observed.authorities.as_ref();
    let present = !observed.bundles.0.is_empty();
    Seen {
        ca: authorities.map(|authorities| authorities.newest.validity),
        leaf: observed.leaf.map(|leaf| leaf.validity),
        rotating: authorities.is_some_and(|authorities| !authorities.previous.is_empty()),
        present,
        trusts_ca: present
            && authorities.is_some_and(|it| observed.bundles.all_trust(it.newest.id)),
    }
}

fn checks(
    snapshot: &Snapshot,
    observed: &Observed,
    publish: Publish,
    now: Timestamp,
) -> Vec<Check> {
    let authorities = observed.authorities.as_ref();
    let newest = authorities.map(|authorities| authorities.newest.validity);
    let leaf = observed.leaf.map(|leaf| leaf.validity);
    let mut note_of_bundle = configuration_note(snapshot.entries.as_ref()).to_owned();
    let none = snapshot.entries.as_ref().is_some_and(Entries::is_empty);
    let trusted = match publish {
        Publish::Always => authorities.is_some_and(|it| observed.bundles.trusts_exactly(it)),
        Publish::Never => authorities.is_some_and(|it| observed.bundles.all_trust(it.newest.id)),
    };
    let untrusted = match (none, trusted, publish) {
        (true, _, _) => Some(note_of_bundle.clone()),
        (false, true, _) => None,
        (false, false, Publish::Always) => {
            Some("the webhook configuration does not hold the CA".to_owned())
        }
        // The controller cannot change that, so it stays ready; a metric and its alert report it.
        (false, false, Publish::Never) => {
            "the webhook configuration does not hold the newest CA yet: run `pullcred controller publish`"
                .clone_into(&mut note_of_bundle);
            None
        }
    };
    vec![
        check("ca-secret", failure_of(&snapshot.ca, newest, now), note(newest, authorities)),
        check("tls-secret", failure_of(&snapshot.tls, leaf, now), note(leaf, None)),
        check("ca-bundle", untrusted, note_of_bundle),
    ]
}

fn check(name: &'static str, failure: Option<String>, note: String) -> Check {
    Check { name, failure, note }
}

fn failure_of<T>(found: &Found<T>, validity: Option<Validity>, now: Timestamp) -> Option<String> {
    match found {
        Found::Absent => Some("the Secret does not exist".to_owned()),
        Found::Foreign => Some("the Secret is not the controller's".to_owned()),
        Found::Unusable { error, .. } => Some(error.to_string()),
        Found::Usable { .. } => validity.and_then(|validity| {
            let Validity { not_before, not_after } = validity;
            match (validity.is_begun(now), validity.is_over(now)) {
                (_, true) => Some(format!("expired on {}", date(not_after))),
                (false, _) => Some(format!("not valid before {}", date(not_before))),
                (true, false) => None,
            }
        }),
    }
}

fn note(validity: Option<Validity>, authorities: Option<&Authorities>) -> String {
    let expires = validity.map_or_else(String::new, |it| format!("expires {}", date(it.not_after)));
    match authorities.map(|authorities| authorities.previous.len()) {
        None | Some(0) => expires,
        Some(previous) => format!("{expires}, rotating: {previous} older still trusted"),
    }
}

fn configuration_note(entries: Option<&Entries>) -> &'static str {
    match entries {
        None => {
            "there is no webhook configuration to write to: waiting for one, since only people make or delete it"
        }
        Some(entries) if entries.is_empty() => {
            "the webhook configuration has no webhook that is ours to write to"
        }
        Some(_) => "the webhook configuration is there",
    }
}
