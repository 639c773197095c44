//! The record of checks in the report of a login, with a field manager of its own: what reports say is written by others.

use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::super::reports::objects::StoredLogin;
use crate::{
    cluster::{CallError, Cluster, Collection, Outcome},
    core::reports::{GROUP, LOGIN_REPORT, LoginHealth, VERSION},
};

/// The field manager of records.
const MANAGER: &str = "pullcred-health";
/// How often a write is tried again that meets one of the report itself.
const CONFLICTS: usize = 5;

/// The records at the API server.
#[derive(Debug, Clone)]
pub(super) struct Records {
    cluster: Cluster,
}

/// What came of a write.
#[derive(Debug)]
pub(super) enum Recorded {
    /// It is written.
    Done {
        /// What was there.
        before: Option<LoginHealth>,
        /// What is there now.
        record: LoginHealth,
    },
    /// What is there is not to be written over.
    Not(Option<LoginHealth>),
    /// There is no report yet.
    NoReport,
    /// The API server does not keep it: the kind is older than this version.
    NotKept,
}

// === impl Records ===

impl Records {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }

    /// Writes what `next` makes of the record that is there, unless that is `None`. The report may change meanwhile, since
    /// others write to it: then it is read again.
    pub(super) async fn write(
        &self,
        login: &str,
        next: impl Fn(Option<&LoginHealth>) -> Option<LoginHealth>,
    ) -> Result<Recorded, CallError> {
        let mut conflicts = 0;
        loop {
            let Some(found) = self.find(login).await? else { return Ok(Recorded::NoReport) };
            let before = found.kept().health.as_deref().cloned();
            let Some(record) = next(before.as_ref()) else {
                return Ok(Recorded::Not(before));
            };
            match self.apply(login, &found, Some(&record)).await {
                Ok(stored) if stored.kept().health.as_deref() == Some(&record) => {
                    return Ok(Recorded::Done { before, record });
                }
                Ok(_) => return Ok(Recorded::NotKept),
                Err(error) if error.outcome() == Outcome::Conflict && conflicts < CONFLICTS => {
                    conflicts += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes what `rest` leaves of the record that is there, or removes the record where that is `None`. Answers whether
    /// anything was written.
    ///
    /// # Errors
    ///
    /// [`CallError`]: a conflict, too, where the report has changed meanwhile.
    pub(super) async fn reduce(
        &self,
        login: &str,
        rest: impl Fn(&LoginHealth) -> Option<LoginHealth>,
    ) -> Result<bool, CallError> {
        let Some(found) = self.find(login).await? else { return Ok(false) };
        let Some(record) = found.kept().health.as_deref() else { return Ok(false) };
        let rest = rest(record);
        if rest.as_ref() == Some(record) {
            return Ok(false);
        }
        self.apply(login, &found, rest.as_ref()).await.map(|_| true)
    }

    async fn find(&self, login: &str) -> Result<Option<StoredLogin>, CallError> {
        self.cluster.get(&Collection::of::<StoredLogin>(None), login).await
    }

    /// Writes a record into a report that is still as it was `found`; without one, removes the field.
    async fn apply(
        &self,
        login: &str,
        found: &StoredLogin,
        record: Option<&LoginHealth>,
    ) -> Result<StoredLogin, CallError> {
        let report = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"), "kind": LOGIN_REPORT,
            "metadata": {"name": login, "resourceVersion": found.metadata().resource_version},
            "status": {"health": record},
        });
        let parameters = PatchParams::apply(MANAGER);
        let (parameters, patch) = match record {
            Some(_) => (parameters.force(), Patch::Apply(report)),
            // An apply without the field may leave an empty one.
            None => (parameters, Patch::Merge(report)),
        };
        let reports = Collection::of::<StoredLogin>(None);
        self.cluster.patch_object("write", &reports, login, &parameters, &patch).await
    }
}
