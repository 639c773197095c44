//! What the engine and the checks say to each other. Bounded by the mapping: what is newer takes the place of what is older.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::{plan::Plan, schedule::Trial};
use crate::core::{reports::LoginHealth, rules::LoginName};

/// Between the engine and the checks.
#[derive(Debug, Default)]
pub(crate) struct Board {
    said: Mutex<Said>,
    there: Notify,
    known: Mutex<Known>,
    changed: Notify,
}

/// What the engine has said since that was last taken.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// The logins to check, all of them.
    pub(super) plans: Option<Vec<Plan>>,
    /// What the Secrets of logins hold, of all that have been read.
    pub(super) contents: Option<BTreeMap<LoginName, Content>>,
    /// The records in reports; `None` where there is no report, or none in it.
    pub(super) records: BTreeMap<Arc<str>, Option<LoginHealth>>,
    /// Which reports there are, as they have come.
    pub(super) listed: Option<Listed>,
}

/// Which reports there are.
#[derive(Debug)]
pub(super) enum Listed {
    /// Those of these logins.
    Names(BTreeSet<Box<str>>),
    /// They can no longer be watched.
    Unknown,
}

/// What the Secret of a login holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    /// The first digits of its fingerprint.
    pub(crate) id: Box<str>,
    /// Whether a person lets it be copied although a registry refuses it.
    pub(crate) accepted: bool,
}

/// What is known of the logins.
#[derive(Debug, Default)]
struct Known {
    logins: BTreeMap<LoginName, Health>,
    changed: BTreeSet<LoginName>,
}

/// What is known of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Health {
    /// Of which content.
    pub(crate) content: Box<str>,
    /// Whether copies are written from it.
    pub(crate) trial: Trial,
    /// Whether a person lets them.
    pub(crate) accepted: bool,
    /// What was recorded; `None` where it was not tried yet.
    pub(crate) record: Option<LoginHealth>,
}

// === impl Board ===

impl Board {
    // --- the engine ---

    pub(crate) fn set_plans(&self, plans: Vec<Plan>) {
        self.said().plans = Some(plans);
        self.there.notify_one();
    }

    pub(crate) fn set_contents(&self, contents: BTreeMap<LoginName, Content>) {
        self.said().contents = Some(contents);
        self.there.notify_one();
    }

    pub(crate) fn saw(&self, login: &Arc<str>, record: Option<LoginHealth>) {
        self.said().records.insert(Arc::clone(login), record);
        self.there.notify_one();
    }

    pub(crate) fn set_listed(&self, names: Option<BTreeSet<Box<str>>>) {
        self.said().listed = Some(names.map_or(Listed::Unknown, Listed::Names));
        self.there.notify_one();
    }

    /// Waits until something else is known of logins; answers of which.
    pub(crate) async fn changed(&self) -> BTreeSet<LoginName> {
        self.changed.notified().await;
        std::mem::take(&mut self.known().changed)
    }

    /// What is known of a login.
    pub(crate) fn health(&self, login: &LoginName) -> Option<Health> {
        self.known().logins.get(login).cloned()
    }

    // --- the checks ---

    /// Waits until the engine has said something, and takes it.
    pub(super) async fn take(&self) -> Said {
        self.there.notified().await;
        std::mem::take(&mut *self.said())
    }

    /// This is known of a login. Answers whether that is something else than before.
    pub(super) fn know(&self, login: &LoginName, health: Option<Health>) -> bool {
        let mut known = self.known();
        if known.logins.get(login) == health.as_ref() {
            return false;
        }
        match health {
            Some(health) => drop(known.logins.insert(login.clone(), health)),
            None => drop(known.logins.remove(login)),
        }
        known.changed.insert(login.clone());
        self.changed.notify_one();
        true
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        // Nothing panics while it is locked.
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
