//! Why there is no new login: in words that name the step, and as what the next attempt depends on.

use std::time::Duration;

use crate::{
    cluster::{CallError, Outcome as Called},
    core::{
        credentials::CredentialsError,
        rules::{RegistryPattern, SecretName},
    },
    registry::{
        Verdict,
        tokens::{MintError, Outcome, Problem},
    },
};

/// Why there is no new login.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The cloud, the plugin or the registry gave none.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// The API server gave no token of a `ServiceAccount`.
    #[error(
        "step identity: the API server gives no token; check that the ServiceAccount is there, and the right to serviceaccounts/token by its name"
    )]
    Token(#[source] CallError),
    /// The Secret with the keys is missing.
    #[error("step identity: there is no Secret {0} with the keys: make it in pullcred's namespace")]
    NoKeys(SecretName),
    /// A file cannot be read.
    #[error("step identity: {path} cannot be read: check the volume")]
    File {
        /// Its path.
        path: Box<str>,
        /// Why not.
        #[source]
        why: std::io::Error,
    },
    /// A file has no token.
    #[error("step identity: {0} has no token: check what writes it")]
    NoToken(Box<str>),
    /// A file has no logins.
    #[error("step registry: {path} has no logins that can be used: {why}")]
    NoConfig {
        /// Its path.
        path: Box<str>,
        /// Why not.
        why: CredentialsError,
    },
    /// The login is not for a registry of a rule.
    #[error(
        "step registry: it has no login for {0}: check the login, or take the registry out of the rule"
    )]
    NotFor(RegistryPattern),
    /// The logins are longer than a Secret.
    #[error("step publish: the logins are longer than 1 MiB, which no Secret can hold")]
    TooLong,
    /// The login ends too soon.
    #[error("step registry: the login lives for {0} s only, and is not given out")]
    ShortLived(i64),
    /// The registry does not open an image with the new login.
    #[error(
        "step registry: {image} is not opened with the new login, so it is not given out: {verdict}"
    )]
    Unverified {
        /// The image.
        image: Box<str>,
        /// What the registry said.
        verdict: Box<Verdict>,
    },
    /// The image by which the login is to be tried has no login.
    #[error("step registry: there is no login for {0}, by which it is to be tried")]
    Untried(Box<str>),
    /// Somebody else's Secret is in the way.
    #[error(
        "step publish: Secret {0} is somebody else's and left alone: delete it, or give the login another name"
    )]
    Foreign(Box<str>),
    /// Another process, or a person, changes the Secret at the same time.
    #[error("step publish: somebody else changes the Secret at the same time")]
    Stale,
    /// The API server refuses a read or a write.
    #[error("step publish: the API server refuses")]
    Api(#[source] CallError),
}

// === impl Failure ===

impl Failure {
    /// How the attempt ended, for the next one and for metrics.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Mint(error) => error.outcome(),
            Self::Token(error) | Self::Api(error) if error.outcome() == Called::Unreachable => {
                Outcome::Unreachable
            }
            Self::ShortLived(_) => Outcome::ExpiredOnArrival,
            Self::Stale => Outcome::Unreachable,
            Self::NoConfig { .. } | Self::NotFor(_) | Self::TooLong | Self::NoToken(_) => {
                Outcome::Malformed
            }
            _ => Outcome::Denied,
        }
    }

    /// The value of the metric's label.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Unverified { .. } | Self::Untried(_) => "unverified",
            other => other.outcome().as_str(),
        }
    }

    /// How long the service asks to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Mint(MintError { problem: Problem::Busy { retry_after, .. }, .. }) => {
                retry_after.map(|seconds| Duration::from_secs(seconds.into()))
            }
            Self::Token(error) | Self::Api(error) => error.retry_after(),
            _ => None,
        }
    }
}
