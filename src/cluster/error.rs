//! Why a request to the API server failed.

use std::time::Duration;

use kube::core::Status;

use crate::errors::with_causes;

/// The longest part of the API server's message that is kept, in characters.
const MESSAGE_MAX: usize = 1024;

/// A request to the API server that failed. Never contains the content of an object.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt}")]
pub struct CallError {
    attempt: Box<str>,
    #[source]
    cause: Cause,
}

/// The cause of a failed request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The answer cannot be parsed. Only the position is kept: the parser's message may quote the object.
    #[error("the API server's answer cannot be read (line {line}, column {column})")]
    Answer {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// The request cannot be built.
    #[error("the request cannot be built")]
    Request(#[source] Box<kube::Error>),
    /// The API server answered with an error.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        code: u16,
        /// The API server's `message`, or the status in words.
        message: Box<str>,
        /// What the API server asks to wait before the next request.
        retry_after: Option<Duration>,
        /// Where an expired list can go on (`metadata.continue` of a 410).
        next: Option<Box<str>>,
    },
    /// The answer took longer than this.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The answer is longer than this many bytes.
    #[error("the answer is longer than {0} bytes, or broke off")]
    TooLong(usize),
    /// No answer came.
    #[error(transparent)]
    Unreachable(Box<kube::Error>),
}

/// The class of a failure, which decides what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The object is not as it was read, or another manager owns a field (409).
    Conflict,
    /// No permission, or a quota (401, 403).
    Denied,
    /// The snapshot that a list or a watch goes on from is too old (410).
    Expired,
    /// There is no such object (404).
    Gone,
    /// The API server does not accept the request, and will not accept the same one later (other 4xx).
    Invalid,
    /// No answer, or one that says to come back later (429, 5xx).
    Unreachable,
    /// An answer that cannot be read.
    Unreadable,
}

// === impl CallError ===

impl CallError {
    pub(super) fn new(attempt: impl Into<Box<str>>, cause: Cause) -> Self {
        Self { attempt: attempt.into(), cause }
    }

    /// The class of the failure.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match &self.cause {
            Cause::Refused { code, .. } => Outcome::of_status(*code),
            Cause::Answer { .. } | Cause::TooLong(_) => Outcome::Unreadable,
            Cause::Request(_) => Outcome::Invalid,
            Cause::TimedOut(_) | Cause::Unreachable(_) => Outcome::Unreachable,
        }
    }

    /// Whether the API server itself answered.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self.cause, Cause::Refused { .. })
    }

    /// Whether other requests would fail likewise: no answer, or one that says to come back later. A 500 alone is none: it may
    /// come from an admission webhook that one namespace has.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        match &self.cause {
            Cause::TimedOut(_) | Cause::Unreachable(_) => true,
            Cause::Refused { code, retry_after, .. } => {
                retry_after.is_some() || matches!(code, 429 | 502..=504)
            }
            _ => false,
        }
    }

    /// The HTTP status of the answer; none where no answer came.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self.cause {
            Cause::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// What the API server asks to wait before the next request.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self.cause {
            Cause::Refused { retry_after, .. } => retry_after,
            _ => None,
        }
    }

    /// The cause without the attempt: the API server's message, if it answered.
    #[must_use]
    pub fn reason(&self) -> String {
        with_causes(&self.cause)
    }

    /// The same for a request that went through kube, such as a port-forward.
    #[must_use]
    pub fn reason_of(error: kube::Error) -> String {
        with_causes(&Cause::from(error))
    }

    /// Where an expired list can go on.
    pub(super) fn next_page(&self) -> Option<String> {
        match &self.cause {
            Cause::Refused { code: 410, next, .. } => next.as_deref().map(ToOwned::to_owned),
            _ => None,
        }
    }
}

// === impl Cause ===

impl Cause {
    /// Of an answer with an error status. `status` is its body, if that could be read; `header` its `Retry-After`.
    pub(super) fn refused(code: u16, status: Option<Status>, header: Option<Duration>) -> Self {
        let status = status.unwrap_or_default();
        let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
        let in_body = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
        let words: String = status.message.chars().take(MESSAGE_MAX).collect();
        let message = match (words.is_empty(), status.reason.as_str()) {
            (false, _) => words,
            (true, "") => format!("HTTP status {code}"),
            (true, reason) => format!("HTTP status {code} {reason}"),
        };
        let next = status.metadata.and_then(|list| list.continue_);
        Self::Refused {
            code,
            message: message.into(),
            retry_after: header.or(in_body),
            next: next.filter(|token| !token.is_empty()).map(Into::into),
        }
    }
}

impl From<kube::Error> for Cause {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::refused(status.code, Some(*status), None),
            // The parser's message may quote the object.
            kube::Error::SerdeError(error) => {
                Self::Answer { line: error.line(), column: error.column() }
            }
            error => Self::Unreachable(Box::new(error)),
        }
    }
}

// === impl Outcome ===

impl Outcome {
    fn of_status(code: u16) -> Self {
        match code {
            401 | 403 => Self::Denied,
            404 => Self::Gone,
            409 => Self::Conflict,
            410 => Self::Expired,
            408 | 429 | 500.. => Self::Unreachable,
            _ => Self::Invalid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_classified_as_kubernetes_does() {
        for (code, outcome) in [
            (400, Outcome::Invalid),
            (401, Outcome::Denied),
            (403, Outcome::Denied),
            (404, Outcome::Gone),
            (409, Outcome::Conflict),
            (410, Outcome::Expired),
            (422, Outcome::Invalid),
            (429, Outcome::Unreachable),
            (500, Outcome::Unreachable),
            (503, Outcome::Unreachable),
        ] {
            let error = CallError::new("read it", Cause::refused(code, None, None));
            assert_eq!(error.outcome(), outcome, "{code}");
            assert_eq!(with_causes(&error), format!("cannot read it: HTTP status {code}"));
        }
    }

    #[test]
    fn the_message_of_the_parser_is_left_out() {
        let error = serde_json::from_str::<u8>("\"hunter2\"").unwrap_err();
        assert!(error.to_string().contains("hunter2"), "the test shows nothing: {error}");
        let error = CallError::new("read it", kube::Error::SerdeError(error).into());
        assert!(!format!("{error:?} {}", with_causes(&error)).contains("hunter2"));
    }
}
