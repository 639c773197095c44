//! What readiness and the log say of reports. Copies do not depend on them, so nothing of it is a failure.

use std::collections::BTreeMap;

use tracing::{info, warn};

use super::{super::sources::Resource, Key};
use crate::{cluster::CallError, errors::with_causes, http::admin::Check};

/// How reports are.
#[derive(Debug, Default)]
pub(in super::super) struct Shown {
    /// How many there are of each kind.
    counts: [usize; 2],
    /// Why a kind is not watched.
    unwatched: BTreeMap<Resource, String>,
    /// Why the last write failed.
    refused: Option<String>,
    /// Why the Lease is not renewed.
    lease: Option<String>,
}

// === impl Shown ===

impl Shown {
    /// A kind is watched.
    pub(in super::super) fn watched(&mut self, resource: &Resource) {
        if self.unwatched.remove(resource).is_some() {
            info!(?resource, "reports are watched again");
        }
    }

    /// The watch of a kind has failed.
    pub(in super::super) fn unwatched(&mut self, resource: &Resource, error: &CallError) {
        let error = with_causes(error);
        if !self.unwatched.contains_key(resource) {
            warn!(
                ?resource,
                error, "reports cannot be watched, which copies do not need: trying again"
            );
        }
        self.unwatched.insert(resource.clone(), error);
    }

    /// There are so many reports of a kind.
    pub(in super::super) fn counted(&mut self, kind: usize, count: usize) {
        self.counts[kind] = count;
    }

    /// A report was written or deleted, or could not be.
    pub(in super::super) fn written(&mut self, error: Option<&CallError>) {
        let error = error.map(|it| with_causes(it));
        if let (None, Some(error)) = (&self.refused, &error) {
            warn!(error, "a report cannot be written: trying again");
        }
        self.refused = error;
    }

    /// The Lease was renewed, or could not be.
    pub(in super::super) fn renewed(&mut self, error: Option<&CallError>) {
        let error = error.map(|it| with_causes(it));
        if let (None, Some(error)) = (&self.lease, &error) {
            warn!(error, "the Lease of the reports cannot be renewed: trying again");
        }
        self.lease = error;
    }

    /// What readiness shows.
    pub(in super::super) fn check(&self) -> Check {
        let (logins, namespaces) = (self.counts[Key::LOGINS], self.counts[Key::NAMESPACES]);
        let counts = format!("{namespaces} of namespaces, {logins} of logins");
        let faults = self.unwatched.values().chain(&self.refused).chain(&self.lease);
        let note = faults.fold(counts, |note, fault| format!("{note}; {fault}"));
        Check { name: "reports", failure: None, note }
    }
}
