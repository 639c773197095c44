//! What the API server tells watchers of the copies, with the time at which it arrives.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{WatchEvent, WatchParams},
    core::PartialObjectMeta,
};
use tokio::{sync::Notify, task::AbortHandle, time::timeout};

/// The longest wait for anything: thirty thousand copies take 150 seconds.
const LIMIT: Duration = Duration::from_secs(600);
/// The annotation that says which content a copy has.
const CONTENT: &str = "pullcred.dev/content";

/// A watch of all Secrets of one name.
pub(super) struct Observer {
    copies: Arc<Copies>,
    task: AbortHandle,
}

/// A copy as it was seen last.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Its fingerprint; `None` where it has been deleted.
    pub(super) content: Option<String>,
    /// When that arrived.
    pub(super) at: Instant,
    /// Changes so far.
    pub(super) events: usize,
}

#[derive(Default)]
struct Copies {
    seen: Mutex<BTreeMap<String, Seen>>,
    changed: Notify,
}

// === impl Observer ===

impl Observer {
    /// Begins before there is any copy.
    pub(super) fn start(client: Client, secret: &str) -> Self {
        let copies = Arc::new(Copies::default());
        let task = tokio::spawn(observe(client, secret.to_owned(), Arc::clone(&copies)));
        Self { copies, task: task.abort_handle() }
    }

    /// The copy in a namespace, if there ever was one.
    pub(super) fn seen(&self, namespace: &str) -> Option<Seen> {
        self.copies.lock().get(namespace).cloned()
    }

    /// The fingerprint of the copy in a namespace.
    pub(super) fn content(&self, namespace: &str) -> Option<String> {
        self.seen(namespace)?.content
    }

    /// When the last change in any of these namespaces arrived.
    pub(super) fn last_of(&self, namespaces: impl Iterator<Item = String>) -> Option<Instant> {
        let copies = self.copies.lock();
        namespaces.filter_map(|it| copies.get(&it)).map(|it| it.at).max()
    }

    /// How many copies there are, and when the last change arrived; those with the content `but` are left out.
    pub(super) fn count(&self, but: Option<&str>) -> (usize, Option<Instant>) {
        let copies = self.copies.lock();
        let counted = copies.values().filter(|it| it.content.is_some());
        let counted = counted.filter(|it| but.is_none() || it.content.as_deref() != but);
        let (mut count, mut last) = (0, None);
        for copy in counted {
            count += 1;
            last = last.max(Some(copy.at));
        }
        (count, last)
    }

    /// Waits until a copy in a namespace is as `is` wants it.
    pub(super) async fn until(&self, namespace: &str, is: impl Fn(&Seen) -> bool) -> Result<Seen> {
        let look = || self.seen(namespace).filter(|seen| is(seen));
        self.until_some(&format!("copy in {namespace}"), look).await
    }

    /// Waits until there are so many copies; those with the content `but` do not count. Answers when the last change came.
    pub(super) async fn until_count(&self, count: usize, but: Option<&str>) -> Result<Instant> {
        let look = || match self.count(but) {
            (found, at) if found >= count => at,
            _ => None,
        };
        self.until_some(&format!("{count} copies"), look).await
    }

    async fn until_some<T>(&self, what: &str, look: impl Fn() -> Option<T>) -> Result<T> {
        let wait = async {
            loop {
                let changed = self.copies.changed.notified();
                if let Some(found) = look() {
                    return found;
                }
                changed.await;
            }
        };
        match timeout(LIMIT, wait).await {
            Ok(found) => Ok(found),
            Err(_) => bail!("after {LIMIT:?} there is still no {what}: {:?}", self.count(None)),
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Copies ===

impl Copies {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, secret: &PartialObjectMeta<Secret>, there: bool) {
        let at = Instant::now();
        let metadata = &secret.metadata;
        let annotation = metadata.annotations.as_ref().and_then(|it| it.get(CONTENT)).cloned();
        let content = there.then(|| annotation.unwrap_or_default());
        let namespace = metadata.namespace.clone().unwrap_or_default();
        let mut seen = self.lock();
        let events = seen.get(&namespace).map_or(0, |it| it.events) + 1;
        seen.insert(namespace, Seen { content, at, events });
        drop(seen);
        self.changed.notify_waiters();
    }
}

/// Watches on and on; a watch that the API server ends goes on from where it was.
async fn observe(client: Client, secret: String, copies: Arc<Copies>) {
    let secrets: Api<Secret> = Api::all(client);
    let parameters = WatchParams::default().fields(&format!("metadata.name={secret}"));
    let mut version = "0".to_owned();
    loop {
        let Ok(events) = secrets.watch_metadata(&parameters, &version).await else { return };
        let mut events = std::pin::pin!(events);
        while let Some(Ok(event)) = events.next().await {
            let (object, there) = match event {
                WatchEvent::Added(it) | WatchEvent::Modified(it) => (it, true),
                WatchEvent::Deleted(it) => (it, false),
                WatchEvent::Bookmark(it) => {
                    version = it.metadata.resource_version;
                    continue;
                }
                // Whoever waits for something says that it does not come.
                WatchEvent::Error(_) => return,
            };
            copies.note(&object, there);
            version = object.metadata.resource_version.unwrap_or(version);
        }
    }
}
