//! Waiting for what a controller or a cache of the API server does in its own time.

use std::time::{Duration, Instant};

use anyhow::Result;

/// For controllers and caches: they take milliseconds, or seconds on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// How often to look again.
const POLL: Duration = Duration::from_millis(100);

/// What was waited for did not come. Whoever reports it adds the logs of the control plane.
#[derive(Debug, thiserror::Error)]
#[error("after {LIMIT:?} there is still no {0}")]
pub(crate) struct StillNone(String);

/// Looks until there is something to see. `what` completes the sentence "there is still no …".
pub(crate) async fn until_some<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(seen) = look().await? {
            return Ok(seen);
        }
        if Instant::now() >= deadline {
            return Err(StillNone(what.to_owned()).into());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Looks until a condition holds. `what` completes the sentence "there is still no …".
pub(crate) async fn until(what: &str, mut look: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    until_some(what, async || Ok(look().await?.then_some(()))).await
}
