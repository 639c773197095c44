//! What reports say of the end of logins.

use k8s_openapi::jiff::Timestamp;

use super::{LoginFacts, condition, health};
use crate::{
    controller::credentials::state::{Expiry, Failing},
    core::{expiry::Phase, reports::Condition},
    fetch::marks::EXPIRES,
};

/// The condition `Expiring`, where something is known of the end.
pub(super) fn expiring(facts: &LoginFacts<'_>) -> Option<Condition> {
    let expiry = facts.expiry.as_ref()?;
    let Some(until) = until(expiry) else {
        let message = format!(
            "the annotation {EXPIRES} of the login's Secret is no time: write one such as 2026-12-31T23:59:59Z"
        );
        return expiry
            .is_misread()
            .then(|| condition("Expiring", "Unknown", "AnnotationUnreadable", &message));
    };
    let (status, reason, message) = match expiry.phase() {
        Phase::Fresh => ("False", "EndsLater", format!("the login ends at {until}")),
        Phase::EndsSoon => ("True", "EndsSoon", format!("the login ends at {until}: renew it")),
        Phase::Ended => ("False", "Ended", format!("the login ended at {until}")),
    };
    Some(condition("Expiring", status, reason, &message))
}

/// The condition `Healthy`: a login that has ended is not.
pub(super) fn healthy(facts: &LoginFacts<'_>) -> Condition {
    if let Some(until) = ended_at(facts) {
        let message = format!("the login ended at {until}: registries refuse it");
        return condition("Healthy", "False", "Expired", &message);
    }
    health::healthy(facts.health.as_ref(), facts.secret)
}

/// Why a login that people keep is not as it should be.
pub(super) fn fault(facts: &LoginFacts<'_>) -> Option<Condition> {
    let message = format!(
        "the login ended at {}, and its copies stay: write a new one into its Secret",
        ended_at(facts)?
    );
    Some(condition("Ready", "False", Failing::Expired.as_str(), &message))
}

fn ended_at(facts: &LoginFacts<'_>) -> Option<String> {
    until(facts.expiry.as_ref().filter(|it| it.phase() == Phase::Ended)?)
}

/// A moment as reports have it.
pub(super) fn moment(seconds: i64) -> Option<String> {
    Timestamp::from_second(seconds).ok().map(|it| it.to_string())
}

/// The end, where it is known.
pub(super) fn until(expiry: &Expiry) -> Option<String> {
    expiry.life().map(|_| expiry.until())
}
