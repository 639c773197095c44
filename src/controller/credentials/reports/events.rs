//! Events of Kubernetes on the report of a namespace, so that they are seen in it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use k8s_openapi::api::{core::v1::ObjectReference, events::v1::Event};
use tokio::{
    sync::mpsc::Receiver,
    time::{Instant, sleep_until},
};
use tracing::debug;

use super::super::events::event;
use crate::{
    cluster::{Backoff, Cluster, Collection, Pace},
    core::reports::{
        GROUP, PULL_SECRET_REPORT, PULL_SECRET_REPORT_NAME, PodSummary, PullSecretStatus,
        ReportedState, VERSION,
    },
    errors::with_causes,
};

/// How many notices may wait to become Events. Where there are more, the reports have it all the same.
pub(in super::super) const NOTICES: usize = 256;
/// The same is said of a namespace at most so often.
const QUIET: Duration = Duration::from_secs(600);
/// The longest note with the remedy of an owner, in characters: what follows it fits into a note, too.
const ONE_MAX: usize = 800;
/// How many that were written are remembered. Where there are more, no further ones are written.
const REMEMBERED: usize = 4096;
/// Events a second, how many at once after a quiet time, and how many in flight.
const PACE: (f64, f64, usize) = (10.0, 50.0, 1);
/// Pauses while the API server takes none.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Something that people in a namespace should hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Notice {
    namespace: Arc<str>,
    /// The uid of the report.
    uid: Box<str>,
    reason: &'static str,
    is_warning: bool,
    note: String,
}

// === impl Notice ===

impl Notice {
    /// What a report gives rise to, with the copies that were made since the one before.
    pub(super) fn of_report(
        namespace: &Arc<str>,
        uid: &str,
        status: &PullSecretStatus,
        copied: &[Arc<str>],
    ) -> Vec<Self> {
        let names = |which: &dyn Fn(ReportedState, &str) -> bool| {
            let secrets = status.secrets.iter();
            let secrets = secrets.filter(|it| which(it.state, it.reason.as_deref().unwrap_or("")));
            secrets.map(|it| it.name.as_str()).collect::<Vec<_>>()
        };
        let is_copied = |it: &&str| copied.iter().any(|copied| **copied == **it);
        let mut made = names(&|state, _| state == ReportedState::Ready);
        made.retain(is_copied);
        // A foreign Secret stays one whatever it holds.
        let conflict = names(&|_, reason| reason == "NameConflict");
        let refused = names(&|state, reason| state == ReportedState::Pending && !reason.is_empty());
        let login =
            |fault: &str| names(&|state, it| state == ReportedState::Missing && it == fault);
        let notices = [
            ("SecretCopied", made, "was copied into the namespace"),
            (
                "NameConflict",
                conflict,
                "is somebody else's: pullcred leaves it alone; delete or rename it to get pullcred's",
            ),
            ("CopyRefused", refused, "cannot be made: the API server refuses it"),
            (
                "LoginExpired",
                names(&|state, _| state == ReportedState::Expired),
                "holds a login that has expired: pulls fail until those who run pullcred renew it",
            ),
            ("LoginMissing", login("LoginMissing"), "cannot be made: its login does not exist"),
            (
                "LoginUnreadable",
                login("LoginUnreadable"),
                "cannot be made: its login cannot be read",
            ),
            (
                "NoLoginForRegistry",
                login("NoLoginForRegistry"),
                "cannot be made: its login has nothing for the registry",
            ),
            (
                "LoginRefused",
                names(&|state, _| state == ReportedState::Refused),
                "holds a login that the registry refuses: ask those who run pullcred",
            ),
            (
                "LoginRefused",
                login("LoginRefused"),
                "cannot be made: the registry refuses its login, ask those who run pullcred",
            ),
        ];
        let notices = notices.into_iter().filter(|(_, names, _)| !names.is_empty());
        let notice = |(reason, names, says): (&'static str, Vec<&str>, &str)| Self {
            namespace: Arc::clone(namespace),
            uid: uid.into(),
            reason,
            is_warning: reason != "SecretCopied",
            note: format!("{} {says}", names.join(", ")),
        };
        notices.map(notice).collect()
    }

    /// What an audit gives rise to.
    pub(super) fn of_pods(namespace: &Arc<str>, uid: &str, pods: &PodSummary) -> Option<Self> {
        let PodSummary { seen, without, owners, .. } = pods;
        if *without == 0 {
            return None;
        }
        let lack = if *without == 1 { "lacks" } else { "lack" };
        let mut note = format!("{without} of {seen} Pods {lack} a Secret that a new Pod gets");
        let lacking: Vec<_> = owners.iter().filter(|it| it.without > 0).collect();
        if let Some(first) = lacking.first() {
            let one = format!(". {} {}: {}", first.kind, first.name, first.remedy);
            // Half a command is none.
            if note.chars().count() + one.chars().count() <= ONE_MAX {
                note += &one;
            }
        }
        if lacking.len() > 1 {
            note += "; the PullSecretReport has the others";
        }
        Some(Self {
            namespace: Arc::clone(namespace),
            uid: uid.into(),
            reason: "PodsWithoutSecret",
            is_warning: true,
            note,
        })
    }

    fn into_event(self) -> Event {
        let report = ObjectReference {
            api_version: Some(format!("{GROUP}/{VERSION}")),
            kind: Some(PULL_SECRET_REPORT.to_owned()),
            name: Some(PULL_SECRET_REPORT_NAME.to_owned()),
            namespace: Some(self.namespace.to_string()),
            uid: Some(self.uid.into()),
            ..ObjectReference::default()
        };
        let type_ = if self.is_warning { "Warning" } else { "Normal" };
        event(&self.namespace, report, type_, self.reason, &self.note)
    }
}

/// Writes notices as Events for as long as there are any. One that cannot be written is only logged.
pub(in super::super) async fn write(cluster: Cluster, mut notices: Receiver<Notice>) {
    let mut written: HashMap<(Arc<str>, &'static str), Instant> = HashMap::new();
    let (rate, burst, in_flight) = PACE;
    let pauses = Backoff::new(PAUSES.0, PAUSES.1);
    let mut pace = Pace::new(rate, burst, in_flight, pauses, Instant::now());
    while let Some(notice) = notices.recv().await {
        let now = Instant::now();
        let key = (Arc::clone(&notice.namespace), notice.reason);
        if written.len() >= REMEMBERED {
            written.retain(|_, at| now < *at + QUIET);
        }
        let is_known = written.get(&key).is_some_and(|at| now < *at + QUIET);
        if is_known || written.len() >= REMEMBERED {
            continue;
        }
        written.insert(key, now);
        while let Err(Some(at)) = pace.ready(Instant::now()) {
            sleep_until(at).await;
        }
        pace.start(1);
        let events = Collection::of::<Event>(Some(&notice.namespace));
        let created = cluster.create(&events, &notice.into_event()).await;
        let answered = created.as_ref().err().is_none_or(|error| !error.is_outage());
        pace.end(answered);
        if let Err(error) = created {
            if !answered {
                pace.pause(error.retry_after().unwrap_or_default(), Instant::now());
            }
            debug!(error = with_causes(&error), "an Event could not be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::reports::ReportedSecret;

    fn secret(name: &str, state: ReportedState, reason: Option<&str>) -> ReportedSecret {
        let reason = reason.map(ToOwned::to_owned);
        ReportedSecret { name: name.to_owned(), state, reason, expired_at: None, keys: None }
    }

    #[test]
    fn each_reason_is_one_event_and_only_new_copies_are_named() {
        let status = PullSecretStatus {
            secrets: vec![
                secret("old", ReportedState::Ready, None),
                secret("new", ReportedState::Ready, None),
                secret("a", ReportedState::Conflict, Some("NameConflict")),
                secret("b", ReportedState::Unreadable, Some("NameConflict")),
                secret("c", ReportedState::Pending, Some("QuotaExceeded")),
                secret("d", ReportedState::Pending, None),
                secret("e", ReportedState::Missing, Some("NoLoginForRegistry")),
            ],
            ..PullSecretStatus::default()
        };
        let notices = Notice::of_report(&Arc::from("shop"), "uid", &status, &[Arc::from("new")]);
        let said: Vec<_> = notices.iter().map(|it| format!("{} {}", it.reason, it.note)).collect();
        assert_eq!(
            said,
            [
                "SecretCopied new was copied into the namespace",
                "NameConflict a, b is somebody else's: pullcred leaves it alone; delete or rename it to get pullcred's",
                "CopyRefused c cannot be made: the API server refuses it",
                "NoLoginForRegistry e cannot be made: its login has nothing for the registry",
            ]
        );
        let event = notices[1].clone().into_event();
        assert_eq!(event.type_.as_deref(), Some("Warning"));
        assert_eq!(event.regarding.unwrap().uid.as_deref(), Some("uid"));
    }
}
