//! Watches that restart after failures.

use std::{fmt::Debug, pin::pin, time::Duration};

use futures_util::StreamExt;
use kube::{
    Api,
    runtime::watcher::{self, Config, Event, watcher},
};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{mpsc::Sender, watch::Receiver},
    time::{Instant, timeout},
};

use super::{
    backoff::Backoff,
    error::{CallError, Cause},
};

/// The length of one watch, in seconds. The API server then ends it, and the next one continues from there. A connection that
/// was lost silently is noticed a few seconds later; with kube's own 290 s it would take that long.
pub(super) const LENGTH: u32 = 60;
/// The first pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The longest `Retry-After` that is respected.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// Which objects are watched.
#[derive(Debug, Clone)]
pub struct Selection {
    what: String,
    config: Config,
}

/// An event of a watch.
#[derive(Debug)]
pub enum WatchEvent<K> {
    /// The object exists in this state.
    Is(K),
    /// The object was deleted.
    Gone(K),
    /// A list begins: what was known before and does not follow up to [`Self::Connected`] has been deleted.
    Listing,
    /// The watch is established, and the initial list is complete.
    Connected,
    /// The watch failed, and restarts after a pause.
    Failed(CallError),
}

/// Watches the object of this name until the receiver is dropped. `translate` maps an event to what is sent, or to `None`. A
/// change of `reachable` ends the pause after a failure: another task has reached the API server.
///
/// kube's `default_backoff` is not used: each event resets it, and an event precedes every list, also one that fails. So its
/// pauses never grow while the API server is away. kube also retries for ever with a version that the API server no longer
/// knows (410), so each failure restarts the watch from the beginning.
pub async fn watch<K, T>(
    api: Api<K>,
    selection: Selection,
    mut reachable: Receiver<()>,
    sender: Sender<T>,
    mut translate: impl FnMut(WatchEvent<K>) -> Option<T> + Send,
) where
    K: kube::Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    T: Send,
{
    let Selection { what, config } = selection;
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    let mut connected: Option<Instant> = None;
    loop {
        let error = {
            let mut events = pin!(watcher(api.clone(), config.clone()));
            loop {
                let event = match events.next().await {
                    Some(Ok(Event::Init)) => WatchEvent::Listing,
                    Some(Ok(Event::InitDone)) => {
                        connected = Some(Instant::now());
                        WatchEvent::Connected
                    }
                    Some(Ok(Event::InitApply(object))) => WatchEvent::Is(object),
                    Some(Ok(Event::Apply(object))) => {
                        backoff.succeed();
                        WatchEvent::Is(object)
                    }
                    Some(Ok(Event::Delete(object))) => {
                        backoff.succeed();
                        WatchEvent::Gone(object)
                    }
                    Some(Err(error)) => break Some(error),
                    None => break None,
                };
                if let Some(news) = translate(event)
                    && sender.send(news).await.is_err()
                {
                    return;
                }
            }
        };
        // A watch that lasted for a while was a success, also without events.
        let lasted = connected.take().map_or(Duration::ZERO, |since| since.elapsed());
        if lasted > LONGEST_PAUSE {
            backoff.succeed();
        }
        let error = failure(&what, error);
        let asked = error.retry_after().unwrap_or_default().min(RETRY_AFTER_MAX);
        let news = translate(WatchEvent::Failed(error));
        let gone = match news {
            Some(news) => sender.send(news).await.is_err(),
            None => sender.is_closed(),
        };
        if gone {
            return;
        }
        reachable.mark_unchanged();
        let pause = backoff.fail().max(asked);
        // If the API server asks to wait, the success of another task does not shorten the pause.
        if asked.is_zero() {
            let _ = timeout(pause, reachable.changed()).await;
        } else {
            tokio::time::sleep(pause).await;
        }
    }
}

// === impl Selection ===

impl Selection {
    /// Those of this name, as rights that are scoped by name allow it.
    #[must_use]
    pub fn name(name: &str) -> Self {
        Self::all(name).and_name(name)
    }

    /// Of those, the ones of this name.
    #[must_use]
    pub fn and_name(self, name: &str) -> Self {
        Self { config: self.config.fields(&format!("metadata.name={name}")), ..self }
    }

    /// All of them; `what` names them in errors.
    #[must_use]
    pub fn all(what: &str) -> Self {
        Self { what: what.to_owned(), config: Config::default().timeout(LENGTH) }
    }

    /// Those with these labels.
    #[must_use]
    pub fn labels(labels: &str) -> Self {
        let config = Config::default().labels(labels);
        Self { what: labels.to_owned(), config: config.timeout(LENGTH) }
    }
}

fn failure(name: &str, error: Option<watcher::Error>) -> CallError {
    let cause = match error {
        Some(
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error),
        ) => Cause::from(error),
        Some(watcher::Error::WatchError(status)) => {
            Cause::refused(status.code, Some(*status), None)
        }
        Some(watcher::Error::NoResourceVersion) | None => Cause::refused(500, None, None),
    };
    CallError::new(format!("watch {name}"), cause)
}
