//! What triggers a reconciliation: changes of the three objects, as they are watched.

use std::{future::Future, sync::Arc};

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use tokio::sync::{mpsc, watch::Receiver};
use tracing::{debug, warn};

use super::{metrics::Object, objects::Objects, status::Status};
use crate::{
    cluster::watch::{News, watch},
    errors::with_causes,
};

/// How many triggers may wait: a watch then waits, too, and misses nothing.
pub(super) const TRIGGERS_MAX: usize = 64;

/// A reason to reconcile.
#[derive(Debug)]
pub(super) enum Trigger {
    /// The webhook configuration was like this at some moment, or gone.
    Configuration(Option<Box<MutatingWebhookConfiguration>>),
    /// Something else has changed.
    Change,
}

/// Watches the webhook configuration for as long as anyone listens.
pub(super) fn configuration(
    objects: &Objects,
    triggers: mpsc::Sender<Trigger>,
    status: Arc<Status>,
    reachable: Receiver<()>,
) -> impl Future<Output = ()> + use<> {
    let mut log = Log::new(Object::WebhookConfiguration, status);
    let name = objects.names().configuration.clone();
    watch(objects.configurations(), name, reachable, triggers, move |news| match news {
        News::Is(it) => Some(Trigger::Configuration(Some(Box::new(it)))),
        News::Gone(_) => Some(Trigger::Configuration(None)),
        other => log.other(&other),
    })
}

/// Watches a Secret for as long as anyone listens. Its metadata is enough to know that it has changed.
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
    watch(objects.secrets(), name.clone(), reachable, triggers, move |news| match news {
        News::Is(_) | News::Gone(_) => Some(Trigger::Change),
        other => log.other(&other),
    })
}

/// Reports the state of one watch: one line when it fails, and none for each attempt.
struct Log {
    object: Object,
    status: Arc<Status>,
    reported: bool,
}

impl Log {
    fn new(object: Object, status: Arc<Status>) -> Self {
        Self { object, status, reported: false }
    }

    fn other<K>(&mut self, news: &News<K>) -> Option<Trigger> {
        let resource = self.object.as_str();
        match news {
            News::Connected => {
                self.status.watch_connected(self.object);
                self.reported = false;
                Some(Trigger::Change)
            }
            News::Failed(error) => {
                self.status.watch_failed(self.object);
                let error = with_causes(error);
                // Without a watch the objects are still read every few seconds, so this is worth one line.
                if self.reported {
                    debug!(resource, error, "watch failed again");
                } else {
                    warn!(resource, error, "watch failed: starting it again");
                    self.reported = true;
                }
                None
            }
            News::Is(_) | News::Gone(_) => None,
        }
    }
}
