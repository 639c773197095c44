//! The serving certificate and the webhook configuration's `caBundle`, managed in a cluster.
//!
//! ```text
//! triggers --> Reconciler: Snapshot::take --observed--> plan::plan --actions--> Objects: one write each
//!                                           (pure)
//! ```
//!
//! All state is in two Secrets and the webhook configuration, so that a process may be killed at any point and any number may
//! run: `docs/decisions/030-certificates-without-a-leader.md` says why that is safe.

pub mod attempts;
pub mod certificate;
pub mod durations;
pub mod metrics;
pub mod objects;
pub mod plan;
pub mod publish;
mod reconcile;
pub mod secrets;
pub mod snapshot;
pub mod stable;
pub mod status;
mod triggers;
pub mod webhook_configuration;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use self::{
    durations::Durations,
    metrics::Object,
    objects::Objects,
    reconcile::Reconciler,
    status::{Publish, Status},
};
use crate::supervise::Supervisor;

/// Starts the reconcile loop and the watches that trigger it, as tasks of `supervisor`.
pub fn start(
    objects: Objects,
    durations: Durations,
    publish: Publish,
    status: &Arc<Status>,
    supervisor: &mut Supervisor,
) {
    let (triggers, receiver) = mpsc::channel(triggers::TRIGGERS_MAX);
    let (reachable, became_reachable) = watch::channel(());
    let (sender, listener) = (triggers.clone(), became_reachable.clone());
    supervisor.spawn(
        "watch of the webhook configuration",
        triggers::configuration(&objects, sender, Arc::clone(status), listener),
    );
    for (name, object) in
        [("watch of the CA Secret", Object::Ca), ("watch of the TLS Secret", Object::Serving)]
    {
        let (sender, listener) = (triggers.clone(), became_reachable.clone());
        let watch = triggers::secret(&objects, object, sender, Arc::clone(status), listener);
        supervisor.spawn(name, watch);
    }
    let reconciler = Reconciler::new(objects, durations, publish, Arc::clone(status), reachable);
    supervisor.spawn("reconcile loop", reconciler.run(receiver));
}
