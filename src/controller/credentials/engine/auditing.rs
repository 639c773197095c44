//! What the engine knows, for the audit of Pods.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    super::reports::{Key, Wish, objects::Status},
    Engine,
    reporting::namespace,
};
use crate::core::{
    knowledge::{Knowledge, ReportedSecrets},
    reports::PodSummary,
};

impl Engine {
    /// The report of a namespace says this of its Pods.
    pub(super) fn pods_reported(&mut self, key: &Key, pods: Option<Box<PodSummary>>, now: Instant) {
        if let (Key::Namespace(name), Some(audit)) = (key, &mut self.audit) {
            audit.reported(name, pods, now);
        }
    }

    /// Starts to audit namespaces, as far as it is time. Answers when there is more.
    pub(super) fn start_audits(&mut self, now: Instant) -> Option<Instant> {
        let audit = self.audit.as_mut()?;
        // Where no report can be written, nothing need be found; and only reports say when Pods were looked at last.
        let reports = self.reports.as_mut().filter(|it| it.are_written())?;
        let known = (&self.state, self.discovery.as_ref(), self.discovers.as_deref());
        // A decision goes by what the report says, as the webhook's does.
        let known = |name: &Arc<str>| {
            let mut knowledge = Knowledge::default();
            if let Wish::Says(Status::Namespace(status)) = namespace(known, None, reports, name)
                && let Ok(secrets) = ReportedSecrets::of(name, &status)
            {
                knowledge.insert(secrets);
                knowledge.set_fresh(true);
            }
            knowledge
        };
        audit.start_work(known, now)
    }

    /// The Pods of a namespace were counted.
    pub(super) fn audited(&mut self, name: &Arc<str>) {
        if let Some(reports) = &mut self.reports {
            reports.audited(name);
        }
        self.want_report(name, Instant::now());
    }
}
