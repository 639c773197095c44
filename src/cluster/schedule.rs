//! Which key is worked on next: a queue by key, with urgency and a back-off of each key's own.
//!
//! Pure: the moment is given. A key is in the queue at most once, and never worked on twice at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use super::backoff::Backoff;

/// How soon a key is wanted, the soonest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Somebody waits for it.
    New,
    /// Something about it has changed.
    Changed,
    /// One of many that are worked on in their turn.
    Bulk,
}

/// What came of work on a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worked {
    /// Nothing can be done before something else is. Wanting the key brings it back, as urgent as it was, and what it has
    /// failed before still counts.
    Blocked,
    /// Nothing is left to do, until something changes.
    Done,
    /// It has changed meanwhile: again after this pause, and after the key's back-off if that repeats. Wanting the key ends
    /// the pause.
    Stale(Duration),
    /// It failed: again after the key's back-off, or after this pause if that is longer.
    Failed(Duration),
}

/// A queue by key.
#[derive(Debug)]
pub struct Schedule<K> {
    keys: BTreeMap<K, Entry>,
    ready: BTreeSet<(Urgency, u64, K)>,
    waiting: BTreeSet<(Instant, K)>,
    backoff: Backoff,
    added: u64,
}

#[derive(Debug)]
struct Entry {
    state: State,
    urgency: Urgency,
    backoff: Backoff,
    /// Since when it has been wanted without a break.
    since: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready {
        order: u64,
    },
    /// `failed` says that it waits for its back-off, which nothing shortens.
    Waiting {
        until: Instant,
        failed: bool,
    },
    /// It waits to be wanted again.
    Blocked,
    /// `again` says that it was wanted once more meanwhile.
    Working {
        again: bool,
    },
}

// === impl Schedule ===

impl<K: Ord + Clone> Schedule<K> {
    /// An empty queue whose keys have pauses like those of `backoff` after failures.
    #[must_use]
    pub fn new(backoff: Backoff) -> Self {
        Self {
            keys: BTreeMap::new(),
            ready: BTreeSet::new(),
            waiting: BTreeSet::new(),
            backoff,
            added: 0,
        }
    }

    /// Wants a key to be worked on. One that is in the queue already becomes at least as urgent as this.
    pub fn want(&mut self, key: K, urgency: Urgency, now: Instant) {
        let Some(entry) = self.keys.get_mut(&key) else {
            let backoff = self.backoff.clone();
            let state = State::Waiting { until: now, failed: false };
            self.keys.insert(key.clone(), Entry { state, urgency, backoff, since: now });
            self.make_ready(key);
            return;
        };
        let before = entry.urgency;
        entry.urgency = before.min(urgency);
        match entry.state {
            State::Ready { order } if urgency < before => {
                self.ready.remove(&(before, order, key.clone()));
                self.make_ready(key);
            }
            State::Ready { .. } | State::Waiting { failed: true, .. } => {}
            State::Waiting { until, failed: false } => {
                self.waiting.remove(&(until, key.clone()));
                self.make_ready(key);
            }
            State::Blocked => self.make_ready(key),
            State::Working { .. } => entry.state = State::Working { again: true },
        }
    }

    /// Wants a key at a later moment, unless it is wanted sooner. One that is being worked on is wanted again right after that.
    pub fn want_at(&mut self, key: K, urgency: Urgency, at: Instant, now: Instant) {
        if let Some(entry) = self.keys.get_mut(&key) {
            if let State::Working { .. } = entry.state {
                entry.state = State::Working { again: true };
            }
            return;
        }
        let state = State::Waiting { until: at, failed: false };
        let backoff = self.backoff.clone();
        self.keys.insert(key.clone(), Entry { state, urgency, backoff, since: now });
        self.waiting.insert((at, key));
    }

    /// The most urgent key that is ready, to be worked on now; [`Self::worked`] must follow.
    pub fn next(&mut self, now: Instant) -> Option<K> {
        while let Some((until, key)) = self.waiting.first().cloned() {
            if until > now {
                break;
            }
            self.waiting.remove(&(until, key.clone()));
            self.make_ready(key);
        }
        let (_, _, key) = self.ready.pop_first()?;
        if let Some(entry) = self.keys.get_mut(&key) {
            entry.state = State::Working { again: false };
        }
        Some(key)
    }

    /// How often the work on a key has failed without a success.
    #[must_use]
    pub fn failures(&self, key: &K) -> u32 {
        self.keys.get(key).map_or(0, |entry| entry.backoff.attempts())
    }

    /// Ends the back-off of a key: what it failed for is over.
    pub fn release(&mut self, key: &K) {
        if let Some(Entry { state: State::Waiting { until, .. }, .. }) = self.keys.get(key) {
            self.waiting.remove(&(*until, key.clone()));
            self.make_ready(key.clone());
        }
    }

    /// Notes what came of the work on a key.
    pub fn worked(&mut self, key: &K, worked: Worked, now: Instant) {
        let Some(entry) = self.keys.get_mut(key) else { return };
        let State::Working { again } = entry.state else { return };
        let (pause, failed) = match worked {
            Worked::Failed(least) => (entry.backoff.fail().max(least), true),
            Worked::Done | Worked::Stale(_) | Worked::Blocked if again => (Duration::ZERO, false),
            Worked::Blocked => {
                entry.state = State::Blocked;
                return;
            }
            Worked::Stale(first) => {
                let is_first = entry.backoff.attempts() == 0;
                let pause = entry.backoff.fail();
                (if is_first { first } else { pause }, false)
            }
            Worked::Done => {
                self.keys.remove(key);
                return;
            }
        };
        if worked == Worked::Done {
            entry.backoff.succeed();
        }
        if pause.is_zero() {
            entry.since = now;
            self.make_ready(key.clone());
        } else {
            let until = now + pause;
            entry.state = State::Waiting { until, failed };
            self.waiting.insert((until, key.clone()));
        }
    }

    /// When the next key that waits becomes ready; `None` where none waits.
    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        self.waiting.first().map(|(until, _)| *until)
    }

    /// Whether a key is ready.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// How many keys are ready or being worked on, or wait for their back-off.
    #[must_use]
    pub fn len(&self) -> usize {
        let later = |entry: &&Entry| !matches!(entry.state, State::Waiting { failed: false, .. });
        self.keys.values().filter(later).count()
    }

    /// Whether nothing is to be done now.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Since when the key that has been wanted the longest has been.
    #[must_use]
    pub fn oldest(&self) -> Option<Instant> {
        let wanted = |entry: &&Entry| !matches!(entry.state, State::Waiting { failed: false, .. });
        self.keys.values().filter(wanted).map(|entry| entry.since).min()
    }

    /// Since when the key has been wanted that is ready and has been wanted the longest.
    #[must_use]
    pub fn oldest_ready(&self) -> Option<Instant> {
        let ready = self.ready.iter().filter_map(|(_, _, key)| self.keys.get(key));
        ready.map(|entry| entry.since).min()
    }

    fn make_ready(&mut self, key: K) {
        let Some(entry) = self.keys.get_mut(&key) else { return };
        self.added += 1;
        entry.state = State::Ready { order: self.added };
        self.ready.insert((entry.urgency, self.added, key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule() -> Schedule<&'static str> {
        Schedule::new(Backoff::new(Duration::from_secs(8), Duration::from_secs(60)))
    }

    fn all(schedule: &mut Schedule<&'static str>, now: Instant) -> Vec<&'static str> {
        std::iter::from_fn(|| schedule.next(now)).collect()
    }

    #[test]
    fn the_most_urgent_come_first_in_their_order() {
        let now = Instant::now();
        let mut schedule = schedule();
        for key in ["a", "b", "c"] {
            schedule.want(key, Urgency::Bulk, now);
        }
        schedule.want("d", Urgency::New, now);
        schedule.want("c", Urgency::New, now);
        schedule.want("a", Urgency::Bulk, now);
        assert_eq!(all(&mut schedule, now), ["d", "c", "a", "b"]);
    }

    #[test]
    fn a_key_is_worked_on_once_at_a_time_and_again_if_wanted_meanwhile() {
        let now = Instant::now();
        let mut schedule = schedule();
        schedule.want("a", Urgency::New, now);
        assert_eq!(schedule.next(now), Some("a"));
        schedule.want("a", Urgency::Bulk, now);
        assert_eq!(schedule.next(now), None);
        schedule.worked(&"a", Worked::Done, now);
        assert_eq!(schedule.next(now), Some("a"));
        schedule.worked(&"a", Worked::Done, now);
        assert_eq!((schedule.next(now), schedule.len()), (None, 0));
    }

    #[test]
    fn a_failure_delays_its_own_key_alone() {
        let mut now = Instant::now();
        let mut schedule = schedule();
        schedule.want("bad", Urgency::New, now);
        let mut times = 0;
        for second in 0..600 {
            schedule.want("bad", Urgency::New, now);
            schedule.want("good", Urgency::Bulk, now);
            while let Some(key) = schedule.next(now) {
                let failed = Worked::Failed(Duration::ZERO);
                schedule.worked(&key, if key == "bad" { failed } else { Worked::Done }, now);
                times += u32::from(key == "bad");
                assert!(key == "bad" || second < 600);
            }
            assert!(schedule.len() <= 1);
            now += Duration::from_secs(1);
        }
        assert!((10..20).contains(&times), "{times} attempts in ten minutes");
    }

    #[test]
    fn a_key_that_is_blocked_keeps_its_urgency_and_its_failures() {
        let mut now = Instant::now();
        let mut schedule = schedule();
        schedule.want("a", Urgency::New, now);
        assert_eq!(schedule.next(now), Some("a"));
        schedule.worked(&"a", Worked::Failed(Duration::ZERO), now);
        now += Duration::from_secs(8);
        assert_eq!(schedule.next(now), Some("a"));
        schedule.worked(&"a", Worked::Blocked, now);
        assert_eq!((schedule.next(now), schedule.len()), (None, 1));
        schedule.want("b", Urgency::Changed, now);
        schedule.want("a", Urgency::Bulk, now);
        assert_eq!(all(&mut schedule, now), ["a", "b"]);
        schedule.worked(&"a", Worked::Failed(Duration::ZERO), now);
        assert_eq!(schedule.failures(&"a"), 2);
        assert_eq!(schedule.next(now + Duration::from_secs(12)), None);
        schedule.release(&"a");
        assert_eq!(schedule.next(now), Some("a"));
    }

    #[test]
    fn what_is_wanted_later_waits_and_what_is_wanted_now_does_not() {
        let now = Instant::now();
        let mut schedule = schedule();
        schedule.want_at("a", Urgency::Bulk, now + Duration::from_secs(600), now);
        assert_eq!((schedule.next(now), schedule.len()), (None, 0));
        assert_eq!(schedule.next_at(), Some(now + Duration::from_secs(600)));
        schedule.want("a", Urgency::Changed, now);
        assert_eq!(schedule.next(now), Some("a"));
        schedule.worked(&"a", Worked::Stale(Duration::from_millis(100)), now);
        assert_eq!(schedule.next(now), None);
        let now = now + Duration::from_millis(100);
        assert_eq!(schedule.next(now), Some("a"));
        schedule.worked(&"a", Worked::Stale(Duration::from_millis(100)), now);
        assert_eq!(schedule.next(now + Duration::from_secs(1)), None);
        schedule.want("a", Urgency::Changed, now);
        assert_eq!(schedule.next(now), Some("a"));
    }
}
