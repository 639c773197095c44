//! Why there is no login: as data for those who try again, and in words that say what to do.

use std::fmt;

use super::{plugin::PluginProblem, wire::Answer};
use crate::{
    core::rules::{HostMismatch, LoginName},
    registry::client::NoAnswer,
};

/// Why a login cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("login {login}: step {step}{}", At(.host.as_deref()))]
pub struct MintError {
    /// The login.
    pub login: LoginName,
    /// What was being done.
    pub step: Step,
    /// Who was asked, where somebody was.
    pub host: Option<Box<str>>,
    /// What came of it.
    #[source]
    pub problem: Problem,
}

/// The steps on the way to a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Reading the mapping's words, and who asks: a ServiceAccount's token, a key, the machine's identity.
    Identity,
    /// The cloud's first token, for the identity.
    Token,
    /// The token that the registry or another account takes, for the first.
    Exchange,
    /// The registry's login.
    Registry,
    /// A kubelet credential provider.
    Plugin,
}

/// What came of a step. The texts hold nothing of a token, and of an answer no more than a short code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The service refuses the request.
    #[error("{status}{}: {advice}", Coded(.code.as_ref()))]
    Denied {
        /// The status.
        status: u16,
        /// The service's own word for the reason.
        code: Option<Code>,
        /// What to do.
        advice: &'static str,
        /// Whether a wrong date may be the reason.
        perhaps_clock: bool,
    },
    /// The service is in trouble, or has had enough requests.
    #[error("{status}{}: the service does not answer requests now; pullcred tries again by itself", Coded(.code.as_ref()))]
    Busy {
        /// The status.
        status: u16,
        /// The service's own word for the reason.
        code: Option<Code>,
        /// How many seconds to wait, if the service says so.
        retry_after: Option<u32>,
    },
    /// A redirection. It is not followed.
    #[error("{status}: it redirects{}, and a token does not follow: write the address of the service itself as the endpoint", To(.host.as_deref()))]
    Redirected {
        /// The status.
        status: u16,
        /// Where to.
        host: Option<String>,
    },
    /// The answer is not what this service answers.
    #[error("{status}: {what}")]
    Malformed {
        /// The status.
        status: u16,
        /// What is wrong.
        what: Malformed,
    },
    /// The login or the credentials for it end too soon, or never.
    #[error("{status}: {what}")]
    Lifetime {
        /// The status.
        status: u16,
        /// What is wrong.
        what: Lifetime,
    },
    /// There is no answer.
    #[error("no answer; check the network policy, the proxy and the address of the endpoint")]
    NoAnswer(#[source] NoAnswer),
    /// The login is not for this host, or not in this way.
    #[error("{host}: {why}")]
    Host {
        /// The host.
        host: Box<str>,
        /// Why not.
        why: HostMismatch,
    },
    /// A plugin gave no login.
    #[error(transparent)]
    Plugin(#[from] PluginProblem),
    /// What the step needs is not there: what, and what to do.
    #[error("{0}")]
    Unusable(String),
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A page for people.
    #[error(
        "the answer is an HTML page, as a proxy or a login page sends: check the proxy and the address of the endpoint"
    )]
    Html,
    /// Not JSON.
    #[error("the answer is not JSON: check the address of the endpoint")]
    NotJson,
    /// JSON, but no object.
    #[error("the answer is JSON, but no object: check the address of the endpoint")]
    NotAnObject,
    /// Not the XML that the service sends: why.
    #[error("the answer is not the XML of this service ({0}): check the address of the endpoint")]
    NotXml(&'static str),
    /// A field is missing: which.
    #[error("the answer has no {0}: check the address of the endpoint")]
    Missing(String),
    /// A field is of another type, or empty: which.
    #[error(
        "{0} in the answer is not what this service sends there: check the address of the endpoint"
    )]
    WrongType(String),
    /// A login that cannot be written into a Secret: why.
    #[error(
        "the login in the answer cannot be used, because {0}: check the address of the endpoint"
    )]
    Login(&'static str),
}

/// What is wrong with the life of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lifetime {
    /// It is over.
    #[error(
        "the login ended {0} s before it arrived: check the clock of this node, and that the service is the real one"
    )]
    Over(i64),
    /// It is almost over.
    #[error(
        "the login lives for {0} s only, which is too short to be used: check how long the identity's token lives"
    )]
    Short(i64),
    /// It is longer than any that the service gives.
    #[error(
        "the login would live for {0} s, which is not believed: check that the service is the real one"
    )]
    Long(i64),
}

/// A service's own word for a reason, such as `AccessDenied`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code(Box<str>);

/// How an attempt ended, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Refused for good.
    Denied,
    /// Refused for now.
    Throttled,
    /// Not reached.
    Unreachable,
    /// Answered by what is no login.
    Malformed,
    /// Answered by a login that has ended.
    ExpiredOnArrival,
}

// === impl MintError ===

impl MintError {
    /// How the attempt ended.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match &self.problem {
            Problem::Denied { .. } | Problem::Host { .. } | Problem::Unusable(_) => Outcome::Denied,
            Problem::Busy { .. } => Outcome::Throttled,
            Problem::NoAnswer(_) | Problem::Plugin(PluginProblem::Slow(_)) => Outcome::Unreachable,
            Problem::Plugin(PluginProblem::Failed { .. } | PluginProblem::NoLogin(_)) => {
                Outcome::Denied
            }
            Problem::Plugin(PluginProblem::Over(_)) => Outcome::ExpiredOnArrival,
            Problem::Lifetime { what: Lifetime::Over(_) | Lifetime::Short(_), .. } => {
                Outcome::ExpiredOnArrival
            }
            Problem::Plugin(_)
            | Problem::Redirected { .. }
            | Problem::Malformed { .. }
            | Problem::Lifetime { .. } => Outcome::Malformed,
        }
    }

    /// The status of the answer, where there is one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self.problem {
            Problem::Denied { status, .. }
            | Problem::Busy { status, .. }
            | Problem::Redirected { status, .. }
            | Problem::Malformed { status, .. }
            | Problem::Lifetime { status, .. } => Some(status),
            Problem::NoAnswer(_)
            | Problem::Host { .. }
            | Problem::Plugin(_)
            | Problem::Unusable(_) => None,
        }
    }

    /// How many seconds to wait before the next attempt, if the service says so.
    #[must_use]
    pub fn retry_after(&self) -> Option<u32> {
        match self.problem {
            Problem::Busy { retry_after, .. } => retry_after,
            _ => None,
        }
    }
}

// === impl Problem ===

/// What a service's word for a reason means.
pub(super) enum Meaning {
    /// The request is refused: what to do.
    Denied(&'static str),
    /// The request is refused, perhaps because of its date: what to do if not.
    PerhapsClock(&'static str),
    /// The service is in trouble, or has had enough requests.
    Busy,
}

impl Problem {
    /// What an answer that is no success means, by the reason in it and those that are known of the service. A known reason
    /// also stands for those below it, such as `Throttling` for `Throttling.User`.
    pub(super) fn refused(
        answer: &Answer,
        reason: Option<&str>,
        known: &[(&str, Meaning)],
        otherwise: &'static str,
    ) -> Self {
        let is = |name: &str| {
            let rest = reason.and_then(|reason| reason.strip_prefix(name));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let code = reason.and_then(Code::new);
        let (status, retry_after) = (answer.status, answer.retry_after);
        let meaning = match known.iter().find(|(name, _)| is(name)) {
            Some((_, meaning)) => meaning,
            None if matches!(status, 408 | 429 | 500..) => {
                return Self::Busy { status, code, retry_after };
            }
            None => &Meaning::Denied(otherwise),
        };
        match Self::refused_as(answer, meaning) {
            Self::Denied { advice, perhaps_clock, .. } => {
                Self::Denied { status, code, advice, perhaps_clock }
            }
            Self::Busy { .. } => Self::Busy { status, code, retry_after },
            other => other,
        }
    }

    /// What an answer that is no success means, where that is known.
    pub(super) fn refused_as(answer: &Answer, meaning: &Meaning) -> Self {
        let (status, code) = (answer.status, None);
        let (advice, perhaps_clock) = match meaning {
            Meaning::Busy => return Self::Busy { status, code, retry_after: answer.retry_after },
            _ if answer.is_html() => return answer.malformed(Malformed::Html),
            Meaning::Denied(advice) => (*advice, false),
            Meaning::PerhapsClock(advice) => (*advice, true),
        };
        Self::Denied { status, code, advice, perhaps_clock }
    }
}

// === impl Step ===

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identity => "identity",
            Self::Token => "token",
            Self::Exchange => "exchange",
            Self::Registry => "registry",
            Self::Plugin => "plugin",
        })
    }
}

// === impl Outcome ===

impl Outcome {
    /// The value of a metric's label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Throttled => "throttled",
            Self::Unreachable => "unreachable",
            Self::Malformed => "malformed",
            Self::ExpiredOnArrival => "expired_on_arrival",
        }
    }
}

// === impl Code ===

impl Code {
    /// The longest code that is shown. Every token is longer.
    const MAX: usize = 64;

    /// A code, if the text can be one: a word without anything that a log would show in another way.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let is_word = !text.is_empty() && text.len() <= Self::MAX && text.chars().all(fits);
        is_word.then(|| Self(text.into()))
    }

    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// === words ===

struct At<'a>(Option<&'a str>);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |host| write!(f, " at {host}"))
    }
}

struct To<'a>(Option<&'a str>);

impl fmt::Display for To<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |host| write!(f, " to {host}"))
    }
}

struct Coded<'a>(Option<&'a Code>);

impl fmt::Display for Coded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |code| write!(f, " {}", code.0))
    }
}
