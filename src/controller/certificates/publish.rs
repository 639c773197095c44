//! Publishes the CAs once, in a Job at install and upgrade: the long-running controller then needs no right to patch the
//! webhook configuration.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::info;

use super::{
    objects::{Objects, WriteError},
    plan::{Action, Stable, plan},
    snapshot::Snapshot,
};
use crate::{cluster::Backoff, errors::with_causes, pki::time};

/// The first pause between two attempts, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// The CAs could not be published in time.
#[derive(Debug, thiserror::Error)]
#[error("the webhook configuration does not hold the CA after {} s: {reason}", limit.as_secs())]
pub struct PublishError {
    limit: Duration,
    reason: String,
}

/// Writes the CAs of the CA Secret into the webhook configuration. Waits for the CA Secret if it does not exist yet. Succeeds
/// when every `caBundle` of ours has these CAs and no others. Writes no Secret.
///
/// # Errors
///
/// [`PublishError`] after `limit`, with the last reason.
pub async fn publish(objects: &Objects, limit: Duration) -> Result<(), PublishError> {
    let deadline = Instant::now() + limit;
    let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
    loop {
        let reason = match attempt(objects).await {
            Ok(None) => return Ok(()),
            Ok(Some(reason)) => reason.to_owned(),
            Err(error) => with_causes(&error),
        };
        let pause = backoff.fail();
        if Instant::now() + pause > deadline {
            return Err(PublishError { limit, reason });
        }
        sleep(pause).await;
    }
}

/// One attempt. Returns what is missing, or `None` on success.
async fn attempt(objects: &Objects) -> Result<Option<&'static str>, WriteError> {
    let snapshot = Snapshot::take(objects).await?;
    let observed = snapshot.observed();
    let Some(entries) = snapshot.entries.as_ref().filter(|entries| !entries.is_empty()) else {
        return Ok(Some(
            "there is no webhook configuration with a webhook that is ours to write to",
        ));
    };
    let Some(ca) = snapshot.ca.usable() else {
        return Ok(Some("there is no CA Secret yet, which the controller makes"));
    };
    // Uses the plan of the controller, which adopts a CA that replicas still serve by before it publishes.
    let actions = plan(&observed, Stable::default(), Duration::MAX, time::now());
    if actions.contains(&Action::Publish) {
        objects.patch_configuration(entries.patch(&ca.bundle())).await?;
        info!(configuration = objects.names().configuration, "caBundle written");
        return Ok(Some("the caBundle was written, but not read back yet"));
    }
    if ca_is_published(&observed) {
        return Ok(None);
    }
    Ok(Some("the controller has to put the CA Secret in order first: see its log"))
}

fn ca_is_published(observed: &super::plan::Observed) -> bool {
    let authorities = observed.authorities.as_ref();
    authorities.is_some_and(|authorities| observed.bundles.trusts_exactly(authorities))
}
