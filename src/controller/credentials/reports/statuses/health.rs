//! What reports say of the answers of registries.

use super::{
    super::super::{
        health::{Health, report::to_copy, schedule::Trial},
        state::{Fault, LoginProblem},
    },
    condition,
};
use crate::core::{
    copies::ACCEPT,
    reports::{Condition, HealthVerdict, LoginHealth},
    rules::SecretName,
};

/// The condition `Healthy` of a login, whose Secret in pullcred's namespace is `secret`.
pub(super) fn healthy(health: Option<&Health>, secret: Option<(&str, &SecretName)>) -> Condition {
    let Some((health, record)) = health.and_then(|it| Some((it, it.record.as_ref()?))) else {
        let message = "pullcred has not asked the registry";
        return condition("Healthy", "Unknown", "NotChecked", message);
    };
    let LoginHealth { verdict, image, content, held, .. } = record;
    let is_held = *held && !health.accepted;
    let to_copy = secret.filter(|_| is_held).map_or_else(String::new, |(namespace, secret)| {
        format!(". {}", to_copy(namespace, secret, content))
    });
    let next = record.next_check_at.as_deref().unwrap_or("once that try has ended");
    let instead = match (held, health.accepted) {
        (true, false) => ": copies stay as they are".to_owned(),
        (_, true) => format!(": it is copied by its annotation {ACCEPT}"),
        (false, false) => ": its copies stay".to_owned(),
    };
    if *held && *verdict != Some(HealthVerdict::Refused) {
        let message = format!(
            "a registry has refused the changed login once{instead}; it is tried again at {next}{to_copy}"
        );
        return condition("Healthy", "False", "HeldBack", &message);
    }
    let once = if record.refusals > 0 {
        format!("; it was refused since, and is tried again at {next}")
    } else {
        String::new()
    };
    let (status, reason, message) = match verdict {
        Some(HealthVerdict::Accepted) => (
            "True",
            "Accepted",
            match image {
                Some(image) => format!("the registries take the login, and open {image}{once}"),
                None => format!(
                    "the registries take the login; whether it opens an image was not asked{once}"
                ),
            },
        ),
        Some(HealthVerdict::NotVisible) => (
            "Unknown",
            "NotVisible",
            format!(
                "the registry takes the login, but has no such image, or hides it: {}{once}",
                image.as_deref().unwrap_or("/v2/")
            ),
        ),
        Some(HealthVerdict::RateLimited) => {
            ("Unknown", "RateLimited", format!("a registry has had enough requests for now{once}"))
        }
        Some(HealthVerdict::Unreachable) => (
            "Unknown",
            "Unreachable",
            format!("a registry does not answer as one that works{once}"),
        ),
        Some(HealthVerdict::Forbidden) => (
            "False",
            "Forbidden",
            format!(
                "the registry takes the login, which may not pull {}{once}",
                image.as_deref().unwrap_or("from it")
            ),
        ),
        Some(HealthVerdict::Refused) => {
            let message = format!(
                "a registry refuses the login{instead}; it is tried again at {next}{to_copy}"
            );
            ("False", "Refused", message)
        }
        Some(HealthVerdict::Unknown) | None => {
            ("Unknown", "NotChecked", format!("no registry has answered yet{once}"))
        }
    };
    condition("Healthy", status, reason, &message)
}

/// Why no copy is written from a login.
pub(super) fn held(health: Option<&Health>, problem: Option<&LoginProblem>) -> Option<Condition> {
    let is_held = health.is_some_and(|it| it.trial == Trial::Held) && problem.is_none();
    let message = "a registry refuses the changed login: copies that are there stay as they are, and no other is made";
    is_held.then(|| condition("Ready", "False", Fault::Refused.as_str(), message))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: &str = "0123456789ab";

    /// The status, the reason and the message of what a record says.
    fn said(trial: Trial, accepted: bool, record: LoginHealth) -> String {
        let content = CONTENT.to_owned();
        let record = Some(LoginHealth { content, ..record });
        let health = Health { content: CONTENT.into(), trial, accepted, record };
        let secret = "acme-robot".parse().unwrap();
        let Condition { status, reason, message, .. } =
            healthy(Some(&health), Some(("pullcred", &secret)));
        format!("{status} {reason}: {message}")
    }

    #[test]
    fn a_record_is_said_in_words() {
        let of = |verdict, refusals, held| LoginHealth {
            verdict,
            refusals,
            held,
            next_check_at: Some("T".to_owned()),
            ..LoginHealth::default()
        };
        let image = |verdict| LoginHealth {
            image: Some("a.io/b".to_owned()),
            ..of(Some(verdict), 0, false)
        };
        let refused = Some(HealthVerdict::Refused);
        for (trial, accepted, record, expected) in [
            (
                Trial::Held,
                false,
                of(None, 1, true),
                "False HeldBack: a registry has refused the changed login once: copies stay as they are; it is tried again \
                 at T. To copy it all the same: kubectl -n pullcred annotate --overwrite secret acme-robot \
                 pullcred.dev/accept=0123456789ab",
            ),
            (
                Trial::Held,
                false,
                of(refused, 2, true),
                "False Refused: a registry refuses the login: copies stay as they are; it is tried again at T. To copy it \
                 all the same: kubectl -n pullcred annotate --overwrite secret acme-robot \
                 pullcred.dev/accept=0123456789ab",
            ),
            (
                Trial::Passed,
                true,
                of(refused, 2, true),
                "False Refused: a registry refuses the login: it is copied by its annotation pullcred.dev/accept; it is tried \
                 again at T",
            ),
            (
                Trial::Passed,
                false,
                of(refused, 2, false),
                "False Refused: a registry refuses the login: its copies stay; it is tried again at T",
            ),
            (
                Trial::Passed,
                false,
                of(Some(HealthVerdict::Accepted), 1, false),
                "True Accepted: the registries take the login; whether it opens an image was not asked; it was refused \
                 since, and is tried again at T",
            ),
            (
                Trial::Passed,
                false,
                image(HealthVerdict::Accepted),
                "True Accepted: the registries take the login, and open a.io/b",
            ),
            (
                Trial::Passed,
                false,
                image(HealthVerdict::Forbidden),
                "False Forbidden: the registry takes the login, which may not pull a.io/b",
            ),
        ] {
            assert_eq!(said(trial, accepted, record), expected);
        }
        assert_eq!(healthy(None, None).reason, "NotChecked");
    }
}
