//! How long to stay after the orchestrator has said goodbye.
//!
//! The API server keeps connections in a pool and never sends a POST twice. So nothing is closed under it: each answer
//! asks it to leave, and the process stays for those that have not heard yet.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long a drain takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct DrainTimes {
    /// Leave when there has been no connection for so long: new ones come until every proxy has heard that we are leaving.
    pub(super) quiet: Duration,
    /// Leave after so long in any case. An idle connection is closed by the API server after 90 s.
    pub(super) at_most: Duration,
    /// How long requests in hand may take at the very end.
    pub(super) last_requests: Duration,
}

pub(super) const DRAIN: DrainTimes = DrainTimes {
    quiet: Duration::from_secs(5),
    at_most: Duration::from_secs(95),
    last_requests: Duration::from_secs(10),
};

/// How often to count connections.
const LOOK: Duration = Duration::from_millis(50);

/// Waits until it is safe to leave; `open` counts connections.
pub(super) async fn drain(open: impl Fn() -> usize, times: DrainTimes) {
    let started = Instant::now();
    let mut last_seen = started;
    while started.elapsed() < times.at_most && last_seen.elapsed() < times.quiet {
        if open() > 0 {
            last_seen = Instant::now();
        }
        sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn time_to_drain(open: impl Fn(Duration) -> usize) -> Duration {
        let started = Instant::now();
        drain(|| open(started.elapsed()), DRAIN).await;
        started.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn stays_until_nobody_has_been_connected_for_a_while() {
        let ten_seconds_of_clients = |now| usize::from(now < Duration::from_secs(10));
        let took = time_to_drain(ten_seconds_of_clients).await;
        assert!((14..=16).contains(&took.as_secs()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn stays_a_while_even_without_clients_since_new_ones_may_not_have_heard() {
        let took = time_to_drain(|_| 0).await;
        assert!((5..=6).contains(&took.as_secs()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn leaves_in_the_end_whoever_is_still_there() {
        let took = time_to_drain(|_| 1).await;
        assert!((95..=96).contains(&took.as_secs()), "{took:?}");
    }
}
