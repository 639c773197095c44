//! For how long something has been seen the same.

use std::time::Duration;

/// Sees a value again and again and tells for how long it has not changed, as far as was seen: a pause in looking counts
/// as a change. Times are since any fixed moment, by a clock that does not jump.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SteadyValue<T> {
    longest_pause: Duration,
    seen: Option<Seen<T>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Seen<T> {
    value: T,
    since: Duration,
    last: Duration,
}

impl<T: PartialEq> SteadyValue<T> {
    /// Nothing seen yet. Two looks that are further apart than `longest_pause` are not one time.
    #[must_use]
    pub fn new(longest_pause: Duration) -> Self {
        Self { longest_pause, seen: None }
    }

    /// Notes that `value` is there at `now`, and answers for how long it has been.
    pub fn see(&mut self, value: T, now: Duration) -> Duration {
        let longest_pause = self.longest_pause;
        let same = |seen: &&mut Seen<T>| {
            seen.value == value && now.saturating_sub(seen.last) <= longest_pause
        };
        if let Some(seen) = self.seen.as_mut().filter(same) {
            seen.last = now;
            return now.saturating_sub(seen.since);
        }
        self.seen = Some(Seen { value, since: now, last: now });
        Duration::ZERO
    }

    /// Notes that nothing could be seen.
    pub fn lose_sight(&mut self) {
        self.seen = None;
    }
}

#[cfg(test)]
impl<T> SteadyValue<T> {
    /// Takes no difference between values that were first seen before `horizon`.
    pub(super) fn forget_before(&mut self, horizon: Duration) {
        if let Some(seen) = &mut self.seen {
            seen.since = seen.since.max(horizon);
        }
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
        let mut steady = SteadyValue::new(at(10));
        assert_eq!(steady.see('a', at(100)), at(0));
        assert_eq!(steady.see('a', at(107)), at(7));
        assert_eq!(steady.see('b', at(110)), at(0));
        assert_eq!(steady.see('a', at(111)), at(0));
    }

    #[test]
    fn what_happened_in_a_pause_or_out_of_sight_is_not_known() {
        let mut steady = SteadyValue::new(at(10));
        steady.see('a', at(0));
        assert_eq!(steady.see('a', at(11)), at(0));
        assert_eq!(steady.see('a', at(12)), at(1));
        steady.lose_sight();
        assert_eq!(steady.see('a', at(13)), at(0));
    }
}
