//! Waiting for what a controller or a cache of the API server does in its own time.

use std::time::{Duration, Instant};

use anyhow::Result;

/// For controllers and caches: they take milliseconds, or seconds on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// How often to look again.
const POLL: Duration = Duration::from_millis(100);

/// What was waited for did not come. Whoever reports it adds the logs of the control plane.
#[derive(Debug, thiserror::Error)]
#[error("after {limit:?} there is still no {what}")]
pub(crate) struct StillNone {
    what: String,
    limit: Duration,
}

/// Looks until there is something to see. `what` completes the sentence "there is still no …".
pub(crate) async fn until_some<T>(
    what: &str,
    look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    until_some_within(LIMIT, what, look).await
}

/// Looks until a condition holds. `what` completes the sentence "there is still no …".
pub(crate) async fn until(what: &str, look: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    until_within(LIMIT, what, look).await
}

/// The same for what may take longer.
pub(crate) async fn until_within(
    limit: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    until_some_within(limit, what, async || Ok(look().await?.then_some(()))).await
}

async fn until_some_within<T>(
    limit: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(seen) = look().await? {
            return Ok(seen);
        }
        if Instant::now() >= deadline {
            let what = what.to_owned();
            return Err(StillNone { what, limit }.into());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// How often to look again where the time is measured.
const FINE_POLL: Duration = Duration::from_millis(5);

/// Looks until a condition holds, and answers how long that took since `begin`.
pub(crate) async fn time_until(
    begin: Instant,
    limit: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<bool>,
) -> Result<Duration> {
    loop {
        if look().await? {
            return Ok(begin.elapsed());
        }
        if begin.elapsed() >= limit {
            return Err(StillNone { what: what.to_owned(), limit }.into());
        }
        tokio::time::sleep(FINE_POLL).await;
    }
}
