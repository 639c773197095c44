//! What is known of a report, and when it may be written again.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{PAUSES, WRITE_PAUSE, objects::SeenReport};

/// How often a report that somebody else changes is written again without a longer pause.
const REPAIRS: u8 = 3;

/// What a report is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Key {
    /// The login of this name.
    Login(Arc<str>),
    /// The namespace of this name.
    Namespace(Arc<str>),
}

/// What is known of a report.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// What the API server has.
    pub(super) seen: Option<SeenReport>,
    /// What was written last.
    pub(super) wrote: Option<Wrote>,
    /// How often somebody else has changed it back to back.
    pub(super) disturbed: u8,
}

/// A write of a report.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wrote {
    /// The content, without the times of conditions.
    pub(super) content: u64,
    /// What the API server had then: it drops a field that its kind does not know.
    pub(super) stored: u64,
    pub(super) at: Instant,
}

// === impl Known ===

impl Known {
    /// Whether the API server has this content: `whole` with its times, or what it made of it when it was written.
    pub(super) fn is_right(&self, content: u64, whole: u64) -> bool {
        let Some(seen) = &self.seen else { return false };
        let stored = self.wrote.filter(|it| it.content == content).map(|it| it.stored);
        seen.hash() == whole || stored == Some(seen.hash())
    }

    /// How long after the last write the next one may come.
    pub(super) fn pause(&self, is_repeated: bool) -> Duration {
        match self.disturbed.checked_sub(REPAIRS) {
            Some(more) if is_repeated => {
                WRITE_PAUSE.saturating_mul(2 << more.min(16)).min(PAUSES.1)
            }
            _ => WRITE_PAUSE,
        }
    }
}

// === impl Key ===

impl Key {
    /// The kind of reports of logins.
    pub(in super::super) const LOGINS: usize = 0;
    /// The kind of reports of namespaces.
    pub(in super::super) const NAMESPACES: usize = 1;

    /// Of which kind it is.
    pub(in super::super) fn kind(&self) -> usize {
        match self {
            Self::Login(_) => Self::LOGINS,
            Self::Namespace(_) => Self::NAMESPACES,
        }
    }

    /// The name of the login or the namespace.
    pub(in super::super) fn name(&self) -> &str {
        let (Self::Login(name) | Self::Namespace(name)) = self;
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_takes_about_a_hundred_bytes() {
        let bytes = size_of::<Key>() + size_of::<Known>();
        assert!(bytes <= 128, "{bytes}");
    }
}
