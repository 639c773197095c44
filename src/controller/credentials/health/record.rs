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
        let reports = Collection::of::<StoredLogin>(None);
        let mut conflicts = 0;
        loop {
            let found: Option<StoredLogin> = self.cluster.get(&reports, login).await?;
            let Some(found) = found else { return Ok(Recorded::NoReport) };
            let before = found.kept().health.as_deref().cloned();
            let Some(record) = next(before.as_ref()) else {
                return Ok(Recorded::Not(before));
            };
            let report = json!({
                "apiVersion": format!("{GROUP}/{VERSION}"), "kind": LOGIN_REPORT,
                "metadata": {"name": login, "resourceVersion": found.metadata().resource_version},
                "status": {"health": record},
            });
            let parameters = PatchParams::apply(MANAGER).force();
            let patch = Patch::Apply(report);
            let written: Result<StoredLogin, _> =
                self.cluster.patch_object("write", &reports, login, &parameters, &patch).await;
            match written {
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
}
