//! When an object may be written again, after a success, a conflict or a refusal.

use std::time::Duration;

use crate::cluster::Backoff;

/// The minimum time between two successful writes: a rate limit for write conflicts with another controller.
const BETWEEN: Duration = Duration::from_secs(1);
/// The first pause after a refusal, and the longest.
const REFUSED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// The first pause after a conflict, and the longest.
const CONFLICT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// More conflicts in a row than this count as a refusal.
const CONFLICTS_MAX: u32 = 10;
/// A refused write is retried after a change of the object, but not sooner than this.
const CHANGED: Duration = Duration::from_secs(5);

/// The writes of one object. A refusal is a state: it lasts until a write succeeds or is no longer needed.
///
/// Times are durations since a fixed moment, by a monotonic clock.
#[derive(Debug)]
pub struct Attempts {
    refused: Backoff,
    conflicts: Backoff,
    last: Option<Duration>,
    next: Option<Duration>,
    failure: Option<String>,
    /// The resourceVersion that the last write expected.
    version: Option<String>,
}

// === impl Attempts ===

impl Default for Attempts {
    fn default() -> Self {
        Self {
            refused: Backoff::new(REFUSED.0, REFUSED.1),
            conflicts: Backoff::new(CONFLICT.0, CONFLICT.1),
            last: None,
            next: None,
            failure: None,
            version: None,
        }
    }
}

impl Attempts {
    /// How long a write of this version of the object must wait; `None` if it need not.
    #[must_use]
    pub fn wait(&self, version: &str, now: Duration) -> Option<Duration> {
        let mut next = self.next?;
        if self.failure.is_some() && self.version.as_deref() != Some(version) {
            next = next.min(self.last? + CHANGED);
        }
        next.checked_sub(now).filter(|wait| !wait.is_zero())
    }

    /// Why the last write was refused; `None` if it was not.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// The object was written, by this process or by another one with the same result.
    pub fn succeeded(&mut self, now: Duration) {
        *self = Self { next: Some(now + BETWEEN), ..Self::default() };
    }

    /// Another writer was first. Returns whether that can be a race: a second conflict about the same version is not.
    pub fn conflicted(&mut self, version: &str, now: Duration) -> bool {
        let again = self.version.as_deref() == Some(version);
        if again || self.conflicts.attempts() >= CONFLICTS_MAX {
            return false;
        }
        self.version = Some(version.to_owned());
        self.last = Some(now);
        self.next = Some(now + self.conflicts.fail());
        true
    }

    /// The write was refused, or the API server could not be reached. `retry_after` is what it asked to wait.
    pub fn refused(
        &mut self,
        version: &str,
        failure: String,
        retry_after: Option<Duration>,
        now: Duration,
    ) {
        let pause = self.refused.fail().max(retry_after.unwrap_or_default());
        self.version = Some(version.to_owned());
        self.last = Some(now);
        self.next = Some(now + pause);
        self.failure = Some(failure);
    }

    /// The object is in order, so no write is needed.
    pub fn not_needed(&mut self) {
        let next = self.next.filter(|_| self.failure.is_none());
        *self = Self { next, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_write_that_succeeded_is_not_repeated_within_a_second() {
        let mut attempts = Attempts::default();
        assert_eq!(attempts.wait("1", at(0)), None);
        attempts.succeeded(at(100));
        assert_eq!(attempts.wait("2", at(400)), Some(at(700)));
        assert_eq!(attempts.wait("2", at(1100)), None);
    }

    #[test]
    fn a_refusal_lasts_and_its_pauses_grow_to_a_minute() {
        let mut attempts = Attempts::default();
        let mut now = at(0);
        let mut tries = 0;
        while now < Duration::from_secs(600) {
            if attempts.wait("1", now).is_none() {
                attempts.refused("1", "no".to_owned(), None, now);
                tries += 1;
            }
            assert_eq!(attempts.failure(), Some("no"));
            now += at(500);
        }
        assert!((14..=20).contains(&tries), "{tries} tries in ten minutes");
        // A change shortens the pause, but a constant stream of changes does not remove it.
        attempts.refused("1", "no".to_owned(), None, now);
        assert!(attempts.wait("2", now).is_some_and(|wait| wait <= Duration::from_secs(5)));
        attempts.not_needed();
        assert_eq!((attempts.failure(), attempts.wait("2", now)), (None, None));
    }

    #[test]
    fn a_second_conflict_about_one_version_is_a_refusal() {
        let mut attempts = Attempts::default();
        assert!(attempts.conflicted("1", at(0)));
        assert!(!attempts.conflicted("1", at(100)));
        // So are races without end.
        let mut attempts = Attempts::default();
        let races = (0..50).filter(|it| attempts.conflicted(&it.to_string(), at(*it))).count();
        assert_eq!(races, 10);
    }

    #[test]
    fn retry_after_is_respected() {
        let mut attempts = Attempts::default();
        attempts.refused("1", "busy".to_owned(), Some(Duration::from_secs(30)), at(0));
        assert_eq!(attempts.wait("1", at(0)), Some(Duration::from_secs(30)));
    }
}
