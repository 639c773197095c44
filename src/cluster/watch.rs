//! Watches that start again.

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

/// How long one watch lasts. The API server ends it then, and a new one goes on where it ended; a connection that has died
/// without a word is noticed a few seconds later. kube's own 290 s would leave us blind for that long.
pub(super) const LENGTH: u32 = 60;
/// The first pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// What the API server may ask to wait at most.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// Something about a watch that matters to whoever listens.
#[derive(Debug)]
pub enum News<K> {
    /// The object is like this.
    Is(K),
    /// The object has gone.
    Gone(K),
    /// The watch stands: all that there is has been listed.
    Connected,
    /// The watch has failed, and starts again after a pause.
    Failed(CallError),
}

/// Watches the object of this name for as long as somebody receives. `translate` makes what is sent of the news, or nothing. A change of `reachable` ends the pause
/// after a failure: somebody else has reached the API server.
///
/// kube's `default_backoff` is not used: it starts from its first pause again with each event, and a list that fails
/// comes after an event that says it begins. So its pauses never grow while the API server is away. kube also goes on
/// for ever with a version that the API server no longer knows (410), so each failure starts the watch from nothing.
pub async fn watch<K, T>(
    api: Api<K>,
    name: String,
    mut reachable: Receiver<()>,
    sender: Sender<T>,
    mut translate: impl FnMut(News<K>) -> Option<T> + Send,
) where
    K: kube::Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    T: Send,
{
    // By name, as rights that are scoped by name allow it.
    let config = Config::default().fields(&format!("metadata.name={name}")).timeout(LENGTH);
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    let mut connected: Option<Instant> = None;
    loop {
        let error = {
            let mut events = pin!(watcher(api.clone(), config.clone()));
            loop {
                let news = match events.next().await {
                    Some(Ok(Event::Init)) => continue,
                    Some(Ok(Event::InitDone)) => {
                        connected = Some(Instant::now());
                        News::Connected
                    }
                    Some(Ok(Event::InitApply(object))) => News::Is(object),
                    Some(Ok(Event::Apply(object))) => {
                        backoff.succeed();
                        News::Is(object)
                    }
                    Some(Ok(Event::Delete(object))) => {
                        backoff.succeed();
                        News::Gone(object)
                    }
                    Some(Err(error)) => break Some(error),
                    None => break None,
                };
                if let Some(news) = translate(news)
                    && sender.send(news).await.is_err()
                {
                    return;
                }
            }
        };
        // A watch that stood for a while was a success, although nothing happened.
        let stood = connected.take().map_or(Duration::ZERO, |since| since.elapsed());
        if stood > LONGEST_PAUSE {
            backoff.succeed();
        }
        let error = failure(&name, error);
        let asked = error.retry_after().unwrap_or_default().min(RETRY_AFTER_MAX);
        let news = translate(News::Failed(error));
        let gone = match news {
            Some(news) => sender.send(news).await.is_err(),
            None => sender.is_closed(),
        };
        if gone {
            return;
        }
        reachable.mark_unchanged();
        let pause = backoff.fail().max(asked);
        // Where the API server asks to wait, it is no help that somebody else got through.
        if asked.is_zero() {
            let _ = timeout(pause, reachable.changed()).await;
        } else {
            tokio::time::sleep(pause).await;
        }
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
