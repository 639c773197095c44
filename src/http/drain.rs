//! How long to stay after the orchestrator has said goodbye.
//!
//! The API server keeps connections in a pool and never sends a POST twice. So nothing is closed under it: each answer
//! asks it to leave, and the process stays for those that have not heard yet.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long a drain takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DrainTimes {
    /// Leave when nobody has connected for so long: new connections come until every proxy has heard that we are leaving.
    pub(crate) quiet: Duration,
    /// Leave after so long in any case. An idle connection is closed by the API server after 90 s.
    pub(crate) at_most: Duration,
    /// How long requests in hand may take at the very end.
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
    /// Those that are open.
    pub(crate) open: usize,
    /// Those that there have ever been: one that asks once and closes is gone between two looks.
    pub(crate) ever: u64,
}

/// How often to count connections.
const LOOK: Duration = Duration::from_millis(50);

/// Waits until it is safe to leave.
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
        sleep(LOOK).await;
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
    async fn stays_until_nobody_has_been_connected_for_a_while() {
        let one_client_for_ten_seconds =
            |now| Count { open: usize::from(now < Duration::from_secs(10)), ever: 1 };
        let took = time_to_drain(one_client_for_ten_seconds).await;
        assert!((14..=16).contains(&took.as_secs()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn sees_clients_that_are_gone_before_it_looks() {
        let one_a_second_for_ten_seconds =
            |now: Duration| Count { open: 0, ever: now.as_secs().min(10) };
        let took = time_to_drain(one_a_second_for_ten_seconds).await;
        assert!((14..=16).contains(&took.as_secs()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn stays_a_while_even_without_clients_since_new_ones_may_not_have_heard() {
        let took = time_to_drain(|_| Count { open: 0, ever: 7 }).await;
        assert!((5..=6).contains(&took.as_secs()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn leaves_in_the_end_whoever_is_still_there() {
        let took = time_to_drain(|_| Count { open: 1, ever: 1 }).await;
        assert!((95..=96).contains(&took.as_secs()), "{took:?}");
    }
}
