//! The writes of one copy, and what is read just before each.
//!
//! What happened to the object since it was seen is decided by the API server: an update and a deletion name the uid and
//! the version that were seen, and a creation takes nothing from another manager. `model.rs` runs this very code
//! against every interleaving with people and with other processes.

use super::seen::{Ours, Seen, is_shared};
use crate::cluster::Outcome;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The API server, as far as copies need it.
pub(super) trait Secrets {
    /// What is written.
    type Content: ?Sized;
    /// Why a call fails.
    type Error: Failure;

    /// The metadata of a namespace; `None` where there is none.
    async fn namespace(&self, name: &str) -> Result<Option<ObjectMeta>, Self::Error>;
    /// The metadata of a Secret; `None` where there is none.
    async fn metadata(&self, at: Place<'_>) -> Result<Option<ObjectMeta>, Self::Error>;
    /// Applies a copy without force; the metadata that is stored then.
    async fn create(
        &self,
        at: Place<'_>,
        content: &Self::Content,
    ) -> Result<ObjectMeta, Self::Error>;
    /// Applies a copy with force, if the object is still as it was seen; the metadata that is stored then.
    async fn update(
        &self,
        at: Place<'_>,
        seen: &Ours,
        content: &Self::Content,
    ) -> Result<ObjectMeta, Self::Error>;
    /// Removes keys from the data of an object that is still as it was seen; the metadata that is stored then.
    async fn strip(
        &self,
        at: Place<'_>,
        seen: &Ours,
        keys: &[Box<str>],
    ) -> Result<ObjectMeta, Self::Error>;
    /// Gives up all that we own of an object.
    async fn release(&self, at: Place<'_>, uid: &str) -> Result<(), Self::Error>;
    /// Deletes an object that is still as it was seen. Answers whether there was one.
    async fn delete(&self, at: Place<'_>, seen: &Ours) -> Result<bool, Self::Error>;
}

/// Why a call fails, as far as it decides what comes next.
pub(super) trait Failure {
    /// What the failure means.
    fn outcome(&self) -> Outcome;
}

/// Where a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place<'p> {
    /// The namespace.
    pub(super) namespace: &'p str,
    /// The name of the Secret.
    pub(super) secret: &'p str,
}

/// What came of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Done {
    /// The object is like this now; `None` where it is gone.
    Is(Option<Seen>),
    /// A Secret of somebody's has the name.
    Conflict,
    /// Things are not as they were seen: plan again with what the watches bring.
    Stale,
    /// A deletion must not happen, or is not needed: the namespace wants the copy, or is being deleted. The watches bring
    /// what comes of it.
    NotNow,
}

/// Makes a copy where none was seen.
///
/// An apply without force never changes a field of another manager, but it joins an object whose fields are equal. The
/// answer shows that, and then all that we own is given up again. Between the two calls another process takes the object
/// for a copy; it would change it only where the login is rotated within these milliseconds. The policy of the chart refuses
/// to join; this is for clusters without it, and for the moment before it is in force.
///
/// # Errors
///
/// Where a call fails for another reason than that a Secret has the name.
pub(super) async fn create<S: Secrets>(
    secrets: &S,
    at: Place<'_>,
    content: &S::Content,
) -> Result<Done, S::Error> {
    match secrets.create(at, content).await {
        Ok(metadata) if is_shared(&metadata) => {
            secrets.release(at, metadata.uid.as_deref().unwrap_or_default()).await?;
            Ok(Done::Conflict)
        }
        Ok(metadata) => Ok(Done::Is(Some(Seen::of(&metadata)))),
        // The policy of the chart lets no apply join a Secret of somebody's. And a webhook may refuse with any status.
        Err(error) if matches!(error.outcome(), Outcome::Conflict | Outcome::Denied) => {
            match secrets.metadata(at).await?.as_ref().map(Seen::of) {
                Some(Seen::Foreign) => Ok(Done::Conflict),
                Some(Seen::Ours(_)) if error.outcome() == Outcome::Conflict => Ok(Done::Stale),
                _ => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

/// Writes a copy again that was seen with other content, or changed by somebody.
///
/// # Errors
///
/// Where a call fails for another reason than that the object has changed.
pub(super) async fn update<S: Secrets>(
    secrets: &S,
    at: Place<'_>,
    seen: &Ours,
    content: &S::Content,
) -> Result<Done, S::Error> {
    let written = match strip(secrets, at, seen).await {
        Ok(Some(seen)) => secrets.update(at, &seen, content).await,
        Ok(None) => return Ok(Done::Stale),
        Err(error) => Err(error),
    };
    match written {
        Ok(metadata) => Ok(Done::Is(Some(Seen::of(&metadata)))),
        Err(error) if is_stale(&error) => Ok(Done::Stale),
        // The data of an immutable Secret cannot change, so it is made again.
        Err(error) if error.outcome() == Outcome::Invalid && seen.immutable => {
            match secrets.delete(at, seen).await {
                Ok(_) => create(secrets, at, content).await,
                Err(error) if is_stale(&error) => Ok(Done::Stale),
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

/// Removes the keys that somebody added, which an apply would leave; what is seen then. `None` where the object is no
/// longer ours.
async fn strip<S: Secrets>(
    secrets: &S,
    at: Place<'_>,
    seen: &Ours,
) -> Result<Option<Ours>, S::Error> {
    if seen.added.is_empty() {
        return Ok(Some(seen.clone()));
    }
    match Seen::of(&secrets.strip(at, seen, &seen.added).await?) {
        Seen::Ours(ours) => Ok(Some(ours)),
        Seen::Foreign => Ok(None),
    }
}

/// Deletes a copy that is no longer wanted, after another look at its namespace: `wanted` says whether a namespace with
/// this metadata is to have it after all. A namespace that is being deleted takes its copies along.
///
/// # Errors
///
/// Where a call fails for another reason than that the object has changed.
pub(super) async fn collect<S: Secrets>(
    secrets: &S,
    at: Place<'_>,
    wanted: impl Fn(&ObjectMeta) -> bool,
) -> Result<Done, S::Error> {
    let Some(namespace) = secrets.namespace(at.namespace).await? else { return Ok(Done::Is(None)) };
    if namespace.deletion_timestamp.is_some() || wanted(&namespace) {
        return Ok(Done::NotNow);
    }
    let seen = match secrets.metadata(at).await?.as_ref().map(Seen::of) {
        Some(Seen::Ours(ours)) => ours,
        Some(Seen::Foreign) => return Ok(Done::Conflict),
        None => return Ok(Done::Is(None)),
    };
    match secrets.delete(at, &seen).await {
        Ok(_) => Ok(Done::Is(None)),
        Err(error) if is_stale(&error) => Ok(Done::Stale),
        Err(error) => Err(error),
    }
}

/// Whether the object is not as it was seen: changed, made again, or gone.
fn is_stale(error: &impl Failure) -> bool {
    matches!(error.outcome(), Outcome::Conflict | Outcome::Gone)
}
