//! How fast the API server is written to: a rate with a burst, and one pause for all after an overload or an outage.
//!
//! Pure: the moment is given.

use std::time::Duration;

use tokio::time::Instant;

use super::backoff::Backoff;

/// The shortest wait for the rate: timers are no finer.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// A rate with a burst, a bound on what is in flight, and a common pause.
#[derive(Debug)]
pub struct Pace {
    /// Per second.
    rate: f64,
    burst: f64,
    in_flight_max: usize,
    tokens: f64,
    filled: Instant,
    paused_until: Instant,
    backoff: Backoff,
    in_flight: usize,
}

// === impl Pace ===

impl Pace {
    /// So many writes a second, with a burst, and so many in flight.
    #[must_use]
    pub fn new(
        rate: f64,
        burst: f64,
        in_flight_max: usize,
        backoff: Backoff,
        now: Instant,
    ) -> Self {
        Self {
            rate,
            burst,
            in_flight_max,
            tokens: burst,
            filled: now,
            paused_until: now,
            backoff,
            in_flight: 0,
        }
    }

    /// Whether work may start now; otherwise from when, or `None` where something must end first.
    ///
    /// After an outage one goes ahead, and the others follow when it has succeeded.
    ///
    /// # Errors
    ///
    /// When to ask again.
    pub fn ready(&mut self, now: Instant) -> Result<(), Option<Instant>> {
        self.fill(now);
        let in_flight_max = if self.backoff.attempts() > 0 { 1 } else { self.in_flight_max };
        if self.in_flight >= in_flight_max {
            return Err(None);
        }
        if self.paused_until > now {
            return Err(Some(self.paused_until));
        }
        if self.tokens < 1.0 {
            let missing = Duration::from_secs_f64((1.0 - self.tokens) / self.rate);
            // A pause that rounds to zero would not be waited for.
            return Err(Some(now + missing.max(SHORTEST_WAIT)));
        }
        Ok(())
    }

    /// Notes that work with so many writes starts. More than the burst are a debt, which later work waits for.
    #[expect(clippy::cast_precision_loss, reason = "there are few writes in one piece of work")]
    pub fn start(&mut self, writes: usize) {
        self.in_flight += 1;
        self.tokens -= writes as f64;
    }

    /// Notes that work took so many requests more than it was started with.
    #[expect(clippy::cast_precision_loss, reason = "there are few requests in one piece of work")]
    pub fn charge(&mut self, requests: usize) {
        self.tokens -= requests as f64;
    }

    /// Notes that work has ended, and whether the API server answered.
    pub fn end(&mut self, answered: bool) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if answered {
            self.backoff.succeed();
        }
    }

    /// The API server does not answer, or asks to wait: nothing starts for a pause that grows, and that is at least
    /// `asked`.
    pub fn pause(&mut self, asked: Duration, now: Instant) {
        // What was in flight together fails together, and counts once.
        if self.paused_until <= now {
            self.paused_until = now + self.backoff.fail();
        }
        self.paused_until = self.paused_until.max(now + asked);
    }

    /// The API server asks to wait.
    pub fn wait(&mut self, asked: Duration, now: Instant) {
        self.paused_until = self.paused_until.max(now + asked);
    }

    /// Somebody else has reached the API server: the pause ends.
    pub fn resume(&mut self, now: Instant) {
        self.paused_until = now;
    }

    /// Whether the last work got no answer.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.backoff.attempts() > 0
    }

    fn fill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + seconds * self.rate).min(self.burst);
        self.filled = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(now: Instant) -> Pace {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        Pace::new(200.0, 100.0, 16, backoff, now)
    }

    /// How many writes start in so many seconds, each done at once.
    fn writes(pace: &mut Pace, from: Instant, seconds: u64) -> usize {
        let (mut now, mut count) = (from, 0);
        while now < from + Duration::from_secs(seconds) {
            match pace.ready(now) {
                Ok(()) => {
                    pace.start(1);
                    pace.end(true);
                    count += 1;
                }
                Err(at) => now = at.unwrap().max(now + Duration::from_micros(1)),
            }
        }
        count
    }

    #[test]
    fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let now = Instant::now();
        let count = writes(&mut pace(now), now, 5);
        assert!((1_095..=1_105).contains(&count), "{count}");
    }

    #[test]
    fn no_more_are_in_flight_than_may_be() {
        let now = Instant::now();
        let mut pace = pace(now);
        let mut started = 0;
        while pace.ready(now).is_ok() {
            pace.start(1);
            started += 1;
        }
        assert_eq!((started, pace.ready(now)), (16, Err(None)));
    }

    #[test]
    fn an_outage_is_asked_about_once_a_minute_at_the_end() {
        let mut now = Instant::now();
        let (end, mut pace, mut asked) = (now + Duration::from_secs(600), pace(now), Vec::new());
        while now < end {
            match pace.ready(now) {
                Ok(()) => {
                    pace.start(1);
                    pace.end(false);
                    pace.pause(Duration::ZERO, now);
                    asked.push(now);
                }
                Err(at) => now = at.unwrap().max(now + Duration::from_micros(1)),
            }
        }
        assert!(asked.len() < 20, "{}", asked.len());
        let last = asked[asked.len() - 1] - asked[asked.len() - 2];
        assert!(last >= Duration::from_secs(45), "{last:?}");
        pace.resume(now);
        assert_eq!(pace.ready(now), Ok(()));
        pace.start(1);
        assert_eq!(pace.ready(now), Err(None));
        pace.end(true);
        assert_eq!(pace.ready(now), Ok(()));
    }

    #[test]
    fn what_the_api_server_asks_for_is_waited() {
        let now = Instant::now();
        let mut pace = pace(now);
        pace.pause(Duration::from_secs(30), now);
        assert_eq!(pace.ready(now), Err(Some(now + Duration::from_secs(30))));
    }
}
