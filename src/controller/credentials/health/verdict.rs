//! What an answer of a registry says of a login. Pure.

use crate::{
    core::reports::HealthVerdict,
    registry::{Outcome, Probed},
};

/// What the registries of a login say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// The worst of it.
    pub verdict: HealthVerdict,
    /// For how many seconds a registry asks to wait.
    pub retry_after: Option<u32>,
}

// === impl Said ===

impl Said {
    /// What one answer says. A refusal is [`HealthVerdict::Refused`] here, whether or not it is the first.
    #[must_use]
    pub fn of(probed: &Probed) -> Self {
        let verdict = match &probed.outcome {
            Outcome::Opened | Outcome::Public => HealthVerdict::Accepted,
            Outcome::Absent { .. } => HealthVerdict::NotVisible,
            Outcome::Denied { .. } => HealthVerdict::Forbidden,
            Outcome::Refused { .. } => HealthVerdict::Refused,
            Outcome::Status { status: 429 } => HealthVerdict::RateLimited,
            Outcome::Status { .. }
            | Outcome::Redirected { .. }
            | Outcome::UnknownScheme
            | Outcome::NoToken(_)
            | Outcome::Unsendable
            | Outcome::NoAnswer(_) => HealthVerdict::Unreachable,
        };
        Self { verdict, retry_after: probed.retry_after }
    }

    /// What two registries say together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            verdict: self.verdict.max(other.verdict),
            retry_after: self.retry_after.max(other.retry_after),
        }
    }

    /// No registry has answered.
    #[must_use]
    pub fn unreachable() -> Self {
        Self { verdict: HealthVerdict::Unreachable, retry_after: None }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::registry::{NoAnswer, TokenServer};

    #[test]
    fn each_answer_has_its_verdict_and_no_trouble_is_a_refusal() {
        use HealthVerdict::{Accepted, Forbidden, NotVisible, RateLimited, Refused, Unreachable};
        for (outcome, verdict) in [
            (Outcome::Opened, Accepted),
            (Outcome::Public, Accepted),
            (Outcome::Absent { with_login: true }, NotVisible),
            (Outcome::Denied { status: 403 }, Forbidden),
            (Outcome::Denied { status: 401 }, Forbidden),
            (Outcome::Refused { status: 401 }, Refused),
            (Outcome::Status { status: 429 }, RateLimited),
            (Outcome::Status { status: 500 }, Unreachable),
            (Outcome::Status { status: 400 }, Unreachable),
            (Outcome::Redirected { host: "a.io".to_owned() }, Unreachable),
            (Outcome::UnknownScheme, Unreachable),
            (Outcome::NoToken(TokenServer::NoToken), Unreachable),
            (Outcome::NoToken(TokenServer::Insecure), Unreachable),
            (Outcome::Unsendable, Unreachable),
            (Outcome::NoAnswer(NoAnswer::Slow(Duration::from_secs(10))), Unreachable),
            (Outcome::NoAnswer(NoAnswer::Tls("bad".to_owned())), Unreachable),
        ] {
            assert_eq!(Said::of(&outcome.clone().into()).verdict, verdict, "{outcome:?}");
        }
    }

    #[test]
    fn of_several_registries_the_worst_counts() {
        let said = |verdict, retry_after| Said { verdict, retry_after };
        let limited = said(HealthVerdict::RateLimited, Some(30));
        let both = limited.and(said(HealthVerdict::Accepted, None));
        assert_eq!(both, limited);
        let refused = limited.and(said(HealthVerdict::Refused, None));
        assert_eq!(refused, said(HealthVerdict::Refused, Some(30)));
        assert_eq!(
            Said::unreachable().and(said(HealthVerdict::Accepted, None)),
            Said::unreachable()
        );
    }
}
