//! How long to keep serving after SIGTERM.
//!
//! The API server keeps connections in a pool and never sends a POST twice, so no connection is closed while it may use it.
//! Each answer asks it to connect elsewhere, and the process keeps serving until clients have done so.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// The time limits of a drain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DrainTimes {
    /// Stop when no client was connected for this long. New connections arrive until every proxy has removed this endpoint.
    pub(crate) quiet: Duration,
    /// Stop after this long in any case. The API server closes an idle connection after 90 s.
    pub(crate) at_most: Duration,
    /// How long requests in hand may take after that.
    pub(crate) last_requests: Duration,
}

pub(crate) const DRAIN: DrainTimes = DrainTimes {
    quiet: Duration::from_secs(5),
    at_most: Duration::from_secs(95),
    last_requests: Duration::from_secs(10),
};

/// The connections of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    /// Open connections.
    pub(crate) open: usize,
    /// All connections since the start: a short one may open and close between two polls.
    pub(crate) ever: u64,
}

/// How often to count connections.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Waits until it is safe to stop.
pub(crate) async fn drain(count: impl Fn() -> Count, times: DrainTimes) {
    let started = Instant::now();
    let mut last_seen = started;
    let mut before = count();
    while started.elapsed() < times.at_most && last_seen.elapsed() < times.quiet {
        let now = count();
        if now.open > 0 || now != before {
            last_seen = Instant::now();
        }
        before = now;
        sleep(POLL_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn time_to_drain(count: impl Fn(Duration) -> Count) -> Duration {
        let started = Instant::now();
        drain(|| count(started.elapsed()), DRAIN).await;
        started.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn waits_until_no_client_was_connected_for_a_while() {
        let one_client_for_ten_seconds =
            |now| Count { open: usize::from(now < Duration::from_secs(10)), ever: 1 };
        let took = time_to_drain(one_client_for_ten_seconds).await;
        assert!((14..=16).contains(&took.as_secs()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn counts_clients_that_close_between_two_polls() {
        let one_a_second_for_ten_seconds =
            |now: Duration| Count { open: 0, ever: now.as_secs().min(10) };
        let took = time_to_drain(one_a_second_for_ten_seconds).await;
        assert!((14..=16).contains(&took.as_secs()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn waits_a_while_without_clients_since_new_ones_may_come() {
        let took = time_to_drain(|_| Count { open: 0, ever: 7 }).await;
        assert!((5..=6).contains(&took.as_secs()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn stops_in_the_end_although_a_client_is_connected() {
        let took = time_to_drain(|_| Count { open: 1, ever: 1 }).await;
        assert!((95..=96).contains(&took.as_secs()), "{took:?}");
    }
}
