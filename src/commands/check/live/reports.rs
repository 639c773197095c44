//! Whether there are reports for a mapping that decides by them, and whether they count.

use super::LiveCheck;
use crate::{
    cluster::{Collection, Outcome},
    commands::{
        check::{
            Check,
            finding::{Report, first_of},
        },
        reports::{self, Age},
    },
    core::{
        reports::Discovery,
        rules::{Mapping, WhenMissing},
    },
    reports::NamespaceReport,
};

/// The most namespaces in one message.
const MAX_REPORTED: usize = 5;

/// What is wrong is repaired there.
const CONTROLLER: &str = "Look at the log of the credentials controller";

impl LiveCheck<'_> {
    /// Checks the reports, if the mapping decides by any or the cluster has some.
    pub(super) async fn reports(&self, mapping: &Mapping, report: &mut Report) {
        let skips = mapping.rules().iter().any(|it| it.when_missing == WhenMissing::Skip);
        let decides_by_them = skips || !mapping.discover().is_empty();
        if !decides_by_them && mapping.logins().is_empty() {
            return;
        }
        let collection = Collection::of::<NamespaceReport>(self.live.namespace.as_deref());
        let found: Vec<NamespaceReport> = match self.cluster.list(collection, None).all().await {
            Ok(found) => found,
            Err(error) if error.outcome() == Outcome::Gone => {
                if decides_by_them {
                    let message = "there are no reports in this cluster, so `discover` and `whenMissing: skip` do nothing: \
                                   install the chart with reports.enabled";
                    report.warning(Check::Reports, "reports", message);
                }
                return;
            }
            Err(error) => {
                report.not_seen("reports", &error.reason());
                return;
            }
        };
        let unknown = "Until then the webhook takes Secrets for present";
        match reports::age(&self.cluster, mapping.own_namespace()).await {
            Age::Fresh => {}
            Age::Stale(Some(age)) => {
                let message = format!(
                    "the reports are stale, last renewed {age} s ago. {unknown}. {CONTROLLER}"
                );
                report.warning(Check::Reports, "reports", message);
            }
            Age::Stale(None) => {
                let message =
                    format!("no controller has renewed the reports yet. {unknown}. {CONTROLLER}");
                report.warning(Check::Reports, "reports", message);
            }
            Age::NotSeen(why) => report.not_seen("reports", &why),
        }
        discovery(&found, mapping, report);
    }
}

/// The namespaces in which Secrets are to be discovered, and may not be.
fn discovery(found: &[NamespaceReport], mapping: &Mapping, report: &mut Report) {
    let not_permitted = found.iter().filter_map(|it| {
        let state = it.kept().as_ref()?.discovery?;
        let is_missed = state == Discovery::NotPermitted && mapping.discovers(it.namespace());
        is_missed.then(|| it.namespace())
    });
    let mut namespaces: Vec<&str> = not_permitted.collect();
    namespaces.sort_unstable();
    let Some(first) = namespaces.first() else { return };
    let message = format!(
        "pullcred may not list the pull Secrets of {}, so `discover` finds none there: bind the ClusterRole whose name ends in \
         -discover to its ServiceAccount, by a RoleBinding in each, such as {first}",
        first_of(&namespaces, MAX_REPORTED)
    );
    report.warning(Check::Discovery, "discover", message);
}
