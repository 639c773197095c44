//! What is known of each fetched login, and of which something else is known now.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::{
    super::state::{Expiry, Fetch},
    renewals::Key,
};
use crate::{core::expiry, fetch::Phase};

/// What is known of a fetched login.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is about something else")]
pub struct State {
    /// The name of the login.
    pub login: String,
    /// Whether it is one of a namespace's own identity.
    pub own: bool,
    /// When it ends; `None` where none was fetched, or where it is a file's.
    pub expires: Option<i64>,
    /// Whether a login is there, that has not ended.
    pub usable: bool,
    /// Why the last attempt failed.
    pub problem: Option<String>,
    pub(in super::super) phase: Option<Phase>,
    /// Whether people have heard that it fails.
    pub(in super::super) said: bool,
    pub(in super::super) skewed: bool,
}

/// The logins of which something else is known since that was last taken. At most all.
#[derive(Debug, Default)]
pub(super) struct Changes {
    keys: Mutex<BTreeSet<Key>>,
    there: Notify,
}

// === impl State ===

impl State {
    /// Whether an attempt has ended.
    pub(in super::super) fn is_tried(&self) -> bool {
        self.usable || self.problem.is_some() || self.expires.is_some()
    }

    /// Whether what is stored has expired.
    pub(in super::super) fn has_expired(&self) -> bool {
        !self.usable && self.expires.is_some()
    }

    /// When it ends, and how far it is.
    pub(in super::super) fn expiry(&self) -> Option<Expiry> {
        let phase = match self.phase {
            _ if self.has_expired() => expiry::Phase::Ended,
            Some(Phase::Urgent) => expiry::Phase::EndsSoon,
            _ => expiry::Phase::Fresh,
        };
        Some(Expiry::of_fetched(self.expires?, phase))
    }

    /// What the copies of the login hear of it.
    pub(in super::super) fn fetch(&self) -> Fetch {
        match self {
            _ if !self.is_tried() => Fetch::Unknown,
            _ if self.usable => Fetch::Usable,
            _ => self.expires.map_or(Fetch::Failed, Fetch::Expired),
        }
    }
}

// === impl Changes ===

impl Changes {
    pub(super) fn add(&self, key: &Key) {
        self.keys().insert(key.clone());
        self.there.notify_one();
    }

    /// Waits until there are some, and takes them.
    pub(super) async fn take(&self) -> BTreeSet<Key> {
        self.there.notified().await;
        std::mem::take(&mut *self.keys())
    }

    fn keys(&self) -> MutexGuard<'_, BTreeSet<Key>> {
        // Nothing panics while it is locked.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
