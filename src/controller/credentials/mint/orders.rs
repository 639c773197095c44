//! What the engine asks of the renewals. Bounded by the mapping and the namespaces: an order takes the place of an older one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::fetch::Spec;

/// Orders that wait to be taken.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    waiting: Mutex<Waiting>,
    there: Notify,
}

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// The logins to fetch by pullcred's own identity, all of them.
    pub(super) shared: Option<Vec<Spec>>,
    /// Secrets of pullcred's namespace that have changed.
    pub(super) changed: BTreeSet<Arc<str>>,
    /// The logins of namespaces' own identities, all of each namespace.
    pub(super) own: BTreeMap<Arc<str>, Vec<Own>>,
}

/// A login of a namespace's own identity.
#[derive(Debug, Clone)]
pub(crate) struct Own {
    /// The Secret that it fills.
    pub(crate) secret: Arc<str>,
    /// What is fetched.
    pub(crate) spec: Arc<Spec>,
    /// Whether the Secret is as it was written last.
    pub(crate) intact: bool,
}

// === impl Orders ===

impl Orders {
    /// From now on, these are the logins to fetch by pullcred's own identity.
    pub(crate) fn set_shared(&self, specs: Vec<Spec>) {
        self.waiting().shared = Some(specs);
        self.there.notify_one();
    }

    /// A Secret of pullcred's namespace has changed.
    pub(crate) fn changed(&self, secret: &Arc<str>) {
        self.waiting().changed.insert(Arc::clone(secret));
        self.there.notify_one();
    }

    /// From now on, these are the logins of a namespace's own identity.
    pub(crate) fn set_own(&self, namespace: &Arc<str>, own: Vec<Own>) {
        self.waiting().own.insert(Arc::clone(namespace), own);
        self.there.notify_one();
    }

    /// Waits until there is an order, and takes all that there are.
    pub(super) async fn take(&self) -> Waiting {
        self.there.notified().await;
        std::mem::take(&mut *self.waiting())
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while it is locked.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
