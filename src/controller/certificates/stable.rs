//! For how long values have been observed without a change.

use std::time::Duration;

use super::plan::{CaId, Observed, Stable, Trust};

/// For how long trust and issuer have been stable, as observed by this process. A long pause between reads counts as a
/// change. Times are durations since a fixed moment, by a monotonic clock.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stability {
    longest_pause: Duration,
    trust: StableValue<Trust>,
    issuer: StableValue<Option<CaId>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct StableValue<T> {
    longest_pause: Duration,
    seen: Option<Seen<T>>,
}

/// A value and the times of its reads. A read takes time, so it shows the value at some moment between its begin and end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Seen<T> {
    value: T,
    /// When the first read of it ended.
    since: Duration,
    /// When the last read of it began.
    last: Duration,
}

// === impl Stability ===

impl Stability {
    /// Nothing observed yet. Reads that are further apart than `longest_pause` do not count as continuous.
    #[must_use]
    pub fn new(longest_pause: Duration) -> Self {
        let (trust, issuer) = (StableValue::new(longest_pause), StableValue::new(longest_pause));
        Self { longest_pause, trust, issuer }
    }

    /// Records what was read between `began` and `ended`. Returns the shortest time for which it has been so.
    pub fn sample(&mut self, observed: &Observed, began: Duration, ended: Duration) -> Stable {
        let issuer = observed.leaf.and_then(|leaf| leaf.issuer);
        Stable {
            trust: self.trust.see(observed.bundles.trust(), began, ended),
            issuer: self.issuer.see(issuer, began, ended),
        }
    }

    /// Resets the window: the values could not be observed.
    pub fn reset(&mut self) {
        self.trust.seen = None;
        self.issuer.seen = None;
    }

    /// Records what callers trusted at some moment, as reported by a watch.
    pub fn trust_was(&mut self, trust: &Trust) {
        if self.trust.seen.as_ref().is_some_and(|seen| seen.value != *trust) {
            self.trust.seen = None;
        }
    }

    /// Whether a decision from a read that began at `began` may still be written. A process that was stopped for long might
    /// otherwise repeat a step that others took long ago.
    #[must_use]
    pub fn is_current(&self, began: Duration, now: Duration) -> bool {
        now.saturating_sub(began) <= self.longest_pause
    }
}

#[cfg(test)]
impl Stability {
    /// Treats all values first seen before `horizon` as first seen then.
    pub(super) fn forget_before(&mut self, horizon: Duration) {
        if let Some(seen) = &mut self.trust.seen {
            seen.since = seen.since.max(horizon);
        }
        if let Some(seen) = &mut self.issuer.seen {
            seen.since = seen.since.max(horizon);
        }
    }

    pub(super) fn reset_trust(&mut self) {
        self.trust.seen = None;
    }
}

// === impl StableValue ===

impl<T: PartialEq> StableValue<T> {
    fn new(longest_pause: Duration) -> Self {
        Self { longest_pause, seen: None }
    }

    fn see(&mut self, value: T, began: Duration, ended: Duration) -> Duration {
        let longest_pause = self.longest_pause;
        let same = |seen: &&mut Seen<T>| {
            seen.value == value && ended.saturating_sub(seen.last) <= longest_pause
        };
        if let Some(seen) = self.seen.as_mut().filter(same) {
            seen.last = began;
            return began.saturating_sub(seen.since);
        }
        self.seen = Some(Seen { value, since: ended, last: began });
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn time_counts_from_the_first_sight_of_a_value() {
        let mut stable = StableValue::new(at(10));
        let mut see = |value, now| stable.see(value, at(now), at(now));
        assert_eq!(see('a', 100), at(0));
        assert_eq!(see('a', 107), at(7));
        assert_eq!(see('b', 110), at(0));
        assert_eq!(see('a', 111), at(0));
    }

    #[test]
    fn what_happened_in_a_pause_is_not_known() {
        let mut stable = StableValue::new(at(10));
        let mut see = |value, now| stable.see(value, at(now), at(now));
        see('a', 0);
        assert_eq!(see('a', 11), at(0));
        assert_eq!(see('a', 12), at(1));
    }

    #[test]
    fn the_time_that_reading_takes_does_not_count() {
        let mut stable = StableValue::new(at(10));
        // Read at some moment from 0 to 3, and again from 5 to 8: it was so for two seconds at least.
        stable.see('a', at(0), at(3));
        assert_eq!(stable.see('a', at(5), at(8)), at(2));
        // From 5 to 16 may be eleven seconds.
        assert_eq!(stable.see('a', at(9), at(16)), at(0));
    }
}
