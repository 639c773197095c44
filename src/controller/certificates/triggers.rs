//! The triggers of a reconciliation: changes of the three objects, seen by watches.

use std::{future::Future, sync::Arc};

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use tokio::sync::{mpsc, watch::Receiver};
use tracing::{debug, warn};

use super::{metrics::Object, objects::Objects, status::Status};
use crate::{
    cluster::watch::{Selection, WatchEvent, watch},
    errors::with_causes,
};

/// How many triggers may wait. When the queue is full, the watches wait as well and miss nothing.
pub(super) const TRIGGERS_MAX: usize = 64;

/// A reason to reconcile.
#[derive(Debug)]
pub(super) enum Trigger {
    /// The webhook configuration had this state at some moment; `None` if it was absent.
    Configuration(Option<Box<MutatingWebhookConfiguration>>),
    /// A Secret changed, or a watch was established.
    Change,
}

/// Watches the webhook configuration until the receiver is dropped.
pub(super) fn configuration(
    objects: &Objects,
    triggers: mpsc::Sender<Trigger>,
    status: Arc<Status>,
    reachable: Receiver<()>,
) -> impl Future<Output = ()> + use<> {
    let mut log = Log::new(Object::WebhookConfiguration, status);
    let selection = Selection::name(&objects.names().configuration);
    watch(objects.configurations(), selection, reachable, triggers, move |event| match event {
        WatchEvent::Is(it) => Some(Trigger::Configuration(Some(Box::new(it)))),
        WatchEvent::Gone(_) => Some(Trigger::Configuration(None)),
        other => log.other(&other),
    })
}

/// Watches a Secret until the receiver is dropped. Metadata is enough to detect a change.
pub(super) fn secret(
    objects: &Objects,
    object: Object,
    triggers: mpsc::Sender<Trigger>,
    status: Arc<Status>,
    reachable: Receiver<()>,
) -> impl Future<Output = ()> + use<> {
    let names = objects.names();
    let name = if object == Object::Ca { &names.ca_secret } else { &names.tls_secret };
    let mut log = Log::new(object, status);
    watch(objects.secrets(), Selection::name(name), reachable, triggers, move |event| match event {
        WatchEvent::Is(_) | WatchEvent::Gone(_) => Some(Trigger::Change),
        other => log.other(&other),
    })
}

/// Logs the state of one watch: one warning when it fails, not one for each attempt.
struct Log {
    object: Object,
    status: Arc<Status>,
    reported: bool,
}

impl Log {
    fn new(object: Object, status: Arc<Status>) -> Self {
        Self { object, status, reported: false }
    }

    fn other<K>(&mut self, event: &WatchEvent<K>) -> Option<Trigger> {
        let resource = self.object.as_str();
        match event {
            WatchEvent::Connected => {
                self.status.watch_connected(self.object);
                self.reported = false;
                Some(Trigger::Change)
            }
            WatchEvent::Failed(error) => {
                self.status.watch_failed(self.object);
                let error = with_causes(error);
                // The objects are also read every few seconds, so one warning is enough.
                if self.reported {
                    debug!(resource, error, "watch failed again");
                } else {
                    warn!(resource, error, "watch failed: starting it again");
                    self.reported = true;
                }
                None
            }
            WatchEvent::Is(_) | WatchEvent::Gone(_) | WatchEvent::Listing => None,
        }
    }
}
