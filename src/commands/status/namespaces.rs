//! What a `PullSecretReport` says, in short.

use std::cmp::Ordering;

use serde::Serialize;

use super::worst::{Level, Ranked, counted};
use crate::core::reports::{
    Discovery, PodOwner, PodSummary, PullSecretStatus, ReportedSecret, ReportedState,
};

/// The most Secrets of one of many namespaces that are kept.
const SECRETS: usize = 8;

/// A namespace.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Namespace {
    pub(super) name: String,
    pub(super) level: Level,
    /// Its Secrets, the worst first; of one of many namespaces, those that need attention.
    pub(super) secrets: Vec<Secret>,
    pub(super) more_secrets: u32,
    /// Its Pods; absent where they were not audited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pods: Option<PodCounts>,
    /// Whether pullcred may look for pull Secrets; absent where the mapping does not ask for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) discovery: Option<Discovery>,
}

/// A Secret.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Secret {
    pub(super) name: String,
    pub(super) level: Level,
    pub(super) state: ReportedState,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

/// The Pods of a namespace.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodCounts {
    pub(super) seen: u32,
    pub(super) without: u32,
    pub(super) failing: u32,
    pub(super) seen_at: String,
}

/// What made Pods that lack a Secret or wait for an image.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Owner {
    pub(super) namespace: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) without: u32,
    pub(super) failing: u32,
    pub(super) remedy: String,
}

// === impl Namespace ===

impl Namespace {
    /// Of a report: with `all` of its Secrets, or with those that need attention.
    pub(super) fn of(name: String, status: PullSecretStatus, all: bool) -> Self {
        let listed = counted(status.secrets.len());
        let mut secrets: Vec<Secret> = status.secrets.into_iter().map(Secret::from).collect();
        let worst = secrets.iter().map(|it| it.level).max().unwrap_or_default();
        if !all {
            secrets.retain(|it| it.level.is_finding());
        }
        secrets.sort_by(|a, b| b.level.cmp(&a.level).then_with(|| a.name.cmp(&b.name)));
        let most = if all { secrets.len() } else { SECRETS };
        // A report with very many Secrets counts more than it lists.
        let unlisted = status.summary.secrets.saturating_sub(listed);
        let more = counted(secrets.len().saturating_sub(most));
        let more_secrets = more.saturating_add(unlisted);
        let is_bad = status.summary.missing > 0 || status.summary.unhealthy > 0;
        let of_unlisted = if unlisted > 0 && is_bad { Level::Warning } else { Level::Ok };
        secrets.truncate(most);
        let pods = status.pods.as_ref();
        let needs_attention = pods.is_some_and(|it| it.without > 0 || it.failing > 0);
        let of_pods = if needs_attention { Level::Warning } else { Level::Ok };
        Self {
            name,
            level: worst.max(of_unlisted).max(of_pods),
            secrets,
            more_secrets,
            pods: pods.map(PodCounts::from),
            discovery: status.discovery,
        }
    }

    /// How many of its Pods need attention.
    fn pods_in_need(&self) -> u32 {
        self.pods.as_ref().map_or(0, |it| it.without.saturating_add(it.failing))
    }
}

impl Ranked for Namespace {
    fn level(&self) -> Level {
        self.level
    }

    /// Of those that are equally bad, the one with more Pods that need attention comes first.
    fn order(&self, other: &Self) -> Ordering {
        (other.level.cmp(&self.level))
            .then_with(|| other.pods_in_need().cmp(&self.pods_in_need()))
            .then_with(|| self.name.cmp(&other.name))
    }
}

// === impl Secret ===

impl Secret {
    /// What to do about it, in words; nothing where it is ready, or soon will be.
    pub(super) fn advice(&self) -> Option<&'static str> {
        match self.state {
            _ if self.level <= Level::Note => None,
            ReportedState::Pending => Some("pullcred cannot write it: see the reason"),
            ReportedState::Missing if self.reason.is_some() => {
                Some("its login cannot be used: ask who runs pullcred")
            }
            ReportedState::Missing => Some("make it: no login fills it"),
            ReportedState::Conflict => Some("pullcred did not make it: keep it, or delete it"),
            ReportedState::WrongType => {
                Some("make it again with the type kubernetes.io/dockerconfigjson")
            }
            ReportedState::Unreadable => {
                Some("it fails every pull of a Pod that lists it: correct it, or delete it")
            }
            ReportedState::Refused => Some("the registry refuses its login: renew the login"),
            ReportedState::Expired => Some("its login has ended: renew the login"),
            ReportedState::Ready | ReportedState::Unknown => None,
        }
    }
}

impl From<ReportedSecret> for Secret {
    fn from(secret: ReportedSecret) -> Self {
        let ReportedSecret { name, state, reason, .. } = secret;
        let level = match state {
            ReportedState::Ready => Level::Ok,
            // Without a reason it is on its way.
            ReportedState::Pending if reason.is_none() => Level::Note,
            ReportedState::Unknown => Level::Note,
            ReportedState::Conflict => Level::Warning,
            // No login fills it, so pullcred does not make it.
            ReportedState::Missing if reason.is_none() => Level::Warning,
            _ => Level::Error,
        };
        Self { name, level, state, reason }
    }
}

// === impl PodCounts ===

impl From<&PodSummary> for PodCounts {
    fn from(pods: &PodSummary) -> Self {
        let PodSummary { seen, without, failing, seen_at, .. } = pods;
        Self { seen: *seen, without: *without, failing: *failing, seen_at: seen_at.clone() }
    }
}

// === impl Owner ===

impl Owner {
    pub(super) fn of(namespace: &str, owner: PodOwner) -> Self {
        let PodOwner { kind, name, without, failing, remedy } = owner;
        Self { namespace: namespace.to_owned(), kind, name, without, failing, remedy }
    }
}

impl Ranked for Owner {
    fn level(&self) -> Level {
        Level::Warning
    }

    /// Those with the most Pods come first.
    fn order(&self, other: &Self) -> Ordering {
        let pods = |it: &Self| it.without.saturating_add(it.failing);
        (pods(other).cmp(&pods(self))).then_with(|| {
            let key = |it: &Self| (it.namespace.clone(), it.kind.clone(), it.name.clone());
            key(self).cmp(&key(other))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::reports::SecretSummary;

    fn secret(name: &str, state: ReportedState, reason: Option<&str>) -> ReportedSecret {
        ReportedSecret {
            name: name.to_owned(),
            state,
            reason: reason.map(str::to_owned),
            expired_at: None,
            keys: None,
        }
    }

    #[test]
    fn each_state_has_its_level_and_what_needs_attention_has_advice() {
        use ReportedState::{
            Conflict, Expired, Missing, Pending, Ready, Refused, Unknown, Unreadable, WrongType,
        };
        for (state, reason, level) in [
            (Ready, None, Level::Ok),
            (Pending, None, Level::Note),
            (Pending, Some("QuotaExceeded"), Level::Error),
            (Missing, None, Level::Warning),
            (Missing, Some("LoginMissing"), Level::Error),
            (Conflict, None, Level::Warning),
            (WrongType, None, Level::Error),
            (Unreadable, None, Level::Error),
            (Refused, None, Level::Error),
            (Expired, None, Level::Error),
            (Unknown, None, Level::Note),
        ] {
            let secret = Secret::from(secret("a", state, reason));
            assert_eq!(secret.level, level, "{state:?}");
            assert_eq!(secret.advice().is_some(), level.is_finding(), "{state:?}");
        }
    }

    #[test]
    fn of_many_namespaces_only_what_needs_attention_is_kept() {
        let mut secrets: Vec<_> =
            (0..20).map(|it| secret(&format!("s{it:02}"), ReportedState::Refused, None)).collect();
        secrets.insert(0, secret("ready", ReportedState::Ready, None));
        let mut status = PullSecretStatus { secrets, ..PullSecretStatus::default() };
        status.summary.secrets = 30;
        let one = Namespace::of("shop".to_owned(), status.clone(), true);
        assert_eq!((one.secrets.len(), one.more_secrets), (21, 9));
        assert_eq!(one.secrets.last().unwrap().name, "ready");
        let of_many = Namespace::of("shop".to_owned(), status, false);
        assert_eq!((of_many.secrets.len(), of_many.more_secrets), (8, 21));
        assert_eq!(of_many.level, Level::Error);
        let summary = SecretSummary { secrets: 3, missing: 1, unhealthy: 0 };
        let status = PullSecretStatus { summary, ..PullSecretStatus::default() };
        assert_eq!(Namespace::of("shop".to_owned(), status, false).level, Level::Warning);
    }
}
