//! What a `LoginReport` says, in short.

use std::cmp::Ordering;

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::{
    moments,
    worst::{Level, Ranked, counted},
};
use crate::core::reports::{
    Condition, FailingNamespace, HealthVerdict, LoginHealth, LoginStatus, NamespaceSummary,
};

/// The most registries of a login that are named.
const REGISTRIES: usize = 5;

/// A login.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Login {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) level: Level,
    pub(super) copies: Copies,
    /// What the registries say of it; absent where they were not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) health: Option<Health>,
    /// When it ends, as the report has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<String>,
    #[serde(skip)]
    pub(super) ends: Option<Timestamp>,
    /// The first of the registries of its rules.
    pub(super) registries: Vec<String>,
    pub(super) more_registries: u32,
    /// What there is to say, the worst first.
    pub(super) findings: Vec<Finding>,
    /// Of the namespaces that lack a copy, the first.
    pub(super) failing: Vec<FailingNamespace>,
}

/// How far the copies of a login are, in namespaces.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Copies {
    pub(super) wanted: u32,
    pub(super) ready: u32,
    pub(super) conflict: u32,
    pub(super) refused: u32,
}

/// What registries say of a login.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Health {
    /// The worst of what they say; absent before the first check has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verdict: Option<HealthVerdict>,
    pub(super) checked_at: String,
    /// The image that was asked for; absent where the login alone was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) image: Option<String>,
    pub(super) refusals: u32,
    /// Whether no copy is written from its content.
    pub(super) held: bool,
}

/// Something to say of a login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// As one word, as in the report's conditions.
    pub(super) reason: String,
    /// For people.
    pub(super) message: String,
}

// === impl Login ===

impl Login {
    /// Of a report that is read at `now`.
    pub(super) fn of(name: String, status: LoginStatus, now: Timestamp) -> Self {
        let LoginStatus { kind, namespaces, mut registries, expires_at, health, .. } = status;
        let ends = expires_at.as_deref().and_then(moments::parse);
        let mut findings: Vec<Finding> = Vec::new();
        let conditions = status.conditions.iter().filter_map(of_condition);
        let asked = health.as_deref().into_iter().flat_map(of_health);
        for finding in conditions.chain(asked).chain(ends.and_then(|it| of_end(it, now))) {
            if !findings.iter().any(|it| is_same(&it.reason, &finding.reason)) {
                findings.push(finding);
            }
        }
        findings.sort_by_key(|it| std::cmp::Reverse(it.level));
        let more_registries = counted(registries.len().saturating_sub(REGISTRIES));
        registries.truncate(REGISTRIES);
        Self {
            name,
            kind,
            level: findings.first().map_or(Level::Ok, |it| it.level),
            copies: Copies::from(namespaces),
            health: health.map(|it| Health::from(*it)),
            expires_at,
            ends,
            registries,
            more_registries,
            findings,
            failing: status.failing,
        }
    }

    /// What is known of it in two or three words.
    pub(super) fn verdict(&self) -> &'static str {
        let has = |reason: &str| self.findings.iter().any(|it| is_same(&it.reason, reason));
        if has("Expired") {
            return "expired";
        }
        if has("Refused") {
            return "refused";
        }
        match &self.health {
            Some(Health { held: true, .. }) => "held back",
            Some(Health { verdict: Some(HealthVerdict::Accepted), image: None, .. }) => {
                "login accepted"
            }
            Some(Health { verdict: Some(verdict), .. }) => words(*verdict),
            _ => "not checked",
        }
    }

    /// Whether it ends soon, by its report.
    pub(super) fn ends_soon(&self) -> bool {
        self.findings.iter().any(|it| it.reason == "EndsSoon")
    }
}

/// The verdict of a registry in words.
fn words(verdict: HealthVerdict) -> &'static str {
    match verdict {
        HealthVerdict::Accepted => "accepted",
        HealthVerdict::NotVisible => "image not visible",
        HealthVerdict::RateLimited => "rate limited",
        HealthVerdict::Unreachable => "unreachable",
        HealthVerdict::Forbidden => "forbidden",
        HealthVerdict::Refused => "refused",
        HealthVerdict::Unknown => "unknown",
    }
}

impl Ranked for Login {
    fn level(&self) -> Level {
        self.level
    }

    /// Of those that are equally bad, the first to end comes first.
    fn order(&self, other: &Self) -> Ordering {
        let end = |it: &Self| it.ends.unwrap_or(Timestamp::MAX);
        (other.level.cmp(&self.level))
            .then_with(|| end(self).cmp(&end(other)))
            .then_with(|| self.name.cmp(&other.name))
    }
}

impl From<NamespaceSummary> for Copies {
    fn from(summary: NamespaceSummary) -> Self {
        let NamespaceSummary { wanted, ready, conflict, refused, .. } = summary;
        Self { wanted, ready, conflict, refused }
    }
}

impl From<LoginHealth> for Health {
    fn from(health: LoginHealth) -> Self {
        let LoginHealth { verdict, checked_at, image, refusals, held, .. } = health;
        Self { verdict, checked_at, image, refusals, held }
    }
}

// === findings ===

/// What is to say of a condition; `None` where it is as it should be.
fn of_condition(condition: &Condition) -> Option<Finding> {
    let Condition { type_, status, reason, message, .. } = condition;
    let level = match (type_.as_str(), status.as_str(), reason.as_str()) {
        ("Ready", "True", _) | ("Healthy", "Unknown", "NotChecked") => return None,
        ("Ready" | "Progressing", _, "RollingOut") | ("Ready" | "Healthy", "Unknown", _) => {
            Level::Note
        }
        ("Ready", "False", "NameConflict")
        | ("Healthy", "False", "Forbidden")
        | ("Progressing", "False", "DeletionHeld")
        | ("Expiring", "True" | "Unknown", _) => Level::Warning,
        ("Ready" | "Healthy", "False", _) => Level::Error,
        _ => return None,
    };
    Some(Finding { level, reason: reason.clone(), message: message.clone() })
}

/// What is to say of a check that no condition has said.
fn of_health(health: &LoginHealth) -> Vec<Finding> {
    let (level, reason, message) = match health.verdict {
        Some(HealthVerdict::Refused) => (Level::Error, "Refused", "a registry refuses the login"),
        Some(HealthVerdict::Forbidden) => {
            (Level::Warning, "Forbidden", "the login is good, and may not pull the image")
        }
        Some(HealthVerdict::NotVisible) => {
            let message = "the login is good; the image does not exist, or is hidden from it";
            (Level::Note, "NotVisible", message)
        }
        Some(HealthVerdict::RateLimited) => {
            (Level::Note, "RateLimited", "the registry has had enough requests for now")
        }
        Some(HealthVerdict::Unreachable) => {
            (Level::Note, "Unreachable", "the registry does not answer")
        }
        Some(HealthVerdict::Accepted | HealthVerdict::Unknown) | None => (Level::Ok, "", ""),
    };
    let message = match &health.image {
        Some(image) => format!("{message} ({image})"),
        None => message.to_owned(),
    };
    let asked = Finding { level, reason: reason.to_owned(), message };
    let held = Finding {
        level: Level::Error,
        reason: "LoginHeldBack".to_owned(),
        message: "no copy is written from its content, since a registry refuses it".to_owned(),
    };
    // Of a refused login it goes without saying.
    let is_held = health.held && health.verdict != Some(HealthVerdict::Refused);
    let findings = [(level > Level::Ok).then_some(asked), is_held.then_some(held)];
    findings.into_iter().flatten().collect()
}

/// A login that has ended, where no condition says so yet.
fn of_end(ends: Timestamp, now: Timestamp) -> Option<Finding> {
    let message = format!("it ended {}", moments::relative(ends, now));
    (ends <= now).then(|| Finding { level: Level::Error, reason: "Expired".to_owned(), message })
}

/// Whether two reasons are about the same: `Ready` names some for what has gone wrong with the login.
fn is_same(reason: &str, other: &str) -> bool {
    let bare = |reason: &str| reason.strip_prefix("Login").map(str::to_owned);
    bare(reason).as_deref().unwrap_or(reason) == bare(other).as_deref().unwrap_or(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(text: &str) -> Condition {
        let mut words = text.splitn(4, ' ').map(str::to_owned);
        let mut next = || words.next().unwrap_or_default();
        Condition {
            type_: next(),
            status: next(),
            reason: next(),
            message: next(),
            last_transition_time: String::new(),
        }
    }

    fn login(conditions: &[&str], verdict: Option<HealthVerdict>, ends: Option<&str>) -> Login {
        let health =
            verdict.map(|verdict| LoginHealth { verdict: Some(verdict), ..LoginHealth::default() });
        let health = health.map(Box::new);
        let conditions = conditions.iter().map(|it| condition(it)).collect();
        let expires_at = ends.map(str::to_owned);
        let status = LoginStatus { conditions, health, expires_at, ..LoginStatus::default() };
        Login::of("acme".to_owned(), status, moments::parse("2026-11-26T00:00:00Z").unwrap())
    }

    #[test]
    fn each_condition_has_its_level() {
        for (conditions, level) in [
            (&["Ready True Copied", "Healthy Unknown NotChecked"][..], Level::Ok),
            (&["Ready True NothingToCopy", "Healthy True Accepted", "Expiring False"], Level::Ok),
            (&["Ready False RollingOut", "Progressing True RollingOut"], Level::Note),
            (&["Healthy Unknown Unreachable"], Level::Note),
            (&["Ready False NameConflict"], Level::Warning),
            (&["Progressing False DeletionHeld"], Level::Warning),
            (&["Expiring True EndsSoon"], Level::Warning),
            (&["Expiring Unknown AnnotationUnreadable"], Level::Warning),
            (&["Healthy False Forbidden"], Level::Warning),
            (&["Healthy False HeldBack"], Level::Error),
            (&["Ready False LoginMissing"], Level::Error),
            (&["Ready False Denied", "Expiring True EndsSoon"], Level::Error),
            (&["Healthy False Refused"], Level::Error),
            (&["Tomorrow True Whatever"], Level::Ok),
        ] {
            assert_eq!(login(conditions, None, None).level, level, "{conditions:?}");
        }
    }

    #[test]
    fn what_is_said_is_said_once() {
        let dead = login(&["Healthy False Refused"], Some(HealthVerdict::Refused), None);
        assert_eq!((dead.findings.len(), dead.verdict()), (1, "refused"));
        let ended = "2026-11-25T00:00:00Z";
        let dead = login(&["Ready False LoginExpired"], None, Some(ended));
        assert_eq!((dead.findings.len(), dead.verdict()), (1, "expired"));
        let dead = login(&["Ready True Copied"], Some(HealthVerdict::Accepted), Some(ended));
        assert_eq!((dead.level, dead.verdict()), (Level::Error, "expired"));
        assert_eq!(dead.findings[0].message, "it ended 24 h ago");
    }

    #[test]
    fn every_verdict_has_a_level_and_words() {
        for (verdict, level, words) in [
            (HealthVerdict::Accepted, Level::Ok, "login accepted"),
            (HealthVerdict::NotVisible, Level::Note, "image not visible"),
            (HealthVerdict::RateLimited, Level::Note, "rate limited"),
            (HealthVerdict::Unreachable, Level::Note, "unreachable"),
            (HealthVerdict::Forbidden, Level::Warning, "forbidden"),
            (HealthVerdict::Refused, Level::Error, "refused"),
            (HealthVerdict::Unknown, Level::Ok, "unknown"),
        ] {
            let login = login(&["Ready True Copied"], Some(verdict), None);
            assert_eq!((login.level, login.verdict()), (level, words));
        }
        assert_eq!(login(&[], None, None).verdict(), "not checked");
        let held = LoginHealth { held: true, ..LoginHealth::default() };
        let status = LoginStatus { health: Some(Box::new(held)), ..LoginStatus::default() };
        let held = Login::of("acme".to_owned(), status, Timestamp::UNIX_EPOCH);
        assert_eq!((held.level, held.verdict()), (Level::Error, "held back"));
    }
}
