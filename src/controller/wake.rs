//! What calls for a look: changes of the three objects, as they are watched.

use std::{pin::pin, sync::Arc};

use futures_util::StreamExt;
use k8s_openapi::api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Secret};
use kube::{
    Api,
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt,
        watcher::{self, Config, Event, watcher},
    },
};
use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::{metrics::Object, objects::Objects, snapshot::Names, status::Status};
use crate::errors::with_causes;

/// How many calls may wait: a watch then waits too, and misses nothing.
const ROOM: usize = 64;

/// A reason to look.
#[derive(Debug)]
pub(super) enum Wake {
    /// The registration is like this now, or gone.
    Registration(Option<Box<MutatingWebhookConfiguration>>),
    /// Something else has changed.
    Something,
}

/// Watches the three objects, each by its name, for as long as anyone listens.
pub(super) fn watch(
    objects: &Objects,
    names: &Names,
    status: &Arc<Status>,
) -> mpsc::Receiver<Wake> {
    let (wakes, receiver) = mpsc::channel(ROOM);
    tokio::spawn(watch_registration(
        objects.registrations(),
        by_name(&names.registration),
        wakes.clone(),
        Arc::clone(status),
    ));
    for (name, object) in [(&names.ca_secret, Object::Ca), (&names.tls_secret, Object::Serving)] {
        let (wakes, status) = (wakes.clone(), Arc::clone(status));
        tokio::spawn(watch_secret(objects.secrets(), by_name(name), object, wakes, status));
    }
    receiver
}

/// By name, as rights that are scoped by name allow it.
fn by_name(name: &str) -> Config {
    Config::default().fields(&format!("metadata.name={name}"))
}

async fn watch_registration(
    api: Api<MutatingWebhookConfiguration>,
    config: Config,
    wakes: mpsc::Sender<Wake>,
    status: Arc<Status>,
) {
    let wake = |event| match event {
        Event::Apply(it) | Event::InitApply(it) => Wake::Registration(Some(Box::new(it))),
        Event::Delete(_) => Wake::Registration(None),
        Event::Init | Event::InitDone => Wake::Something,
    };
    let events = watcher(api, config).default_backoff();
    forward(events, Object::Registration, wake, wakes, status).await;
}

/// Of a Secret its metadata is enough to know that it has changed.
async fn watch_secret(
    api: Api<PartialObjectMeta<Secret>>,
    config: Config,
    object: Object,
    wakes: mpsc::Sender<Wake>,
    status: Arc<Status>,
) {
    let events = watcher(api, config).default_backoff();
    forward(events, object, |_| Wake::Something, wakes, status).await;
}

async fn forward<T>(
    events: impl StreamExt<Item = Result<Event<T>, watcher::Error>>,
    object: Object,
    wake: impl Fn(Event<T>) -> Wake,
    wakes: mpsc::Sender<Wake>,
    status: Arc<Status>,
) {
    let mut events = pin!(events);
    let mut told = false;
    while let Some(event) = events.next().await {
        let wake = match event {
            Ok(event) => {
                told = false;
                wake(event)
            }
            Err(error) => {
                status.watch_restarted(object);
                let error = with_causes(&error);
                // Without a watch we still look every few seconds, so this is worth one line.
                if told {
                    debug!(?object, error, "the watch broke again");
                } else {
                    warn!(?object, error, "the watch broke: starting it again");
                    told = true;
                }
                continue;
            }
        };
        if wakes.send(wake).await.is_err() {
            return;
        }
    }
}
