//! What a namespace calls for.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    super::{plan::Step, seen::Seen},
    Content,
};
use crate::core::{copies::Recipe, rules::LoginName};

/// Something to do in a namespace.
#[derive(Debug, Clone)]
pub struct Task {
    /// The name of the Secret.
    pub secret: Arc<str>,
    /// What is to be done about it.
    pub step: Step,
    /// What to write, for a creation or an update.
    pub content: Option<Arc<Content>>,
}

/// What a namespace calls for now.
#[derive(Debug, Default)]
pub struct Tasks {
    /// To be done now.
    pub now: Vec<Task>,
    /// When there is more to do: a deletion, or a repair of what is changed again and again.
    pub later: Option<Instant>,
    /// Logins whose content must be read before anything can be written.
    pub read: Vec<LoginName>,
    /// The copies that the namespace's own identity fills.
    pub own: Vec<OwnCopy>,
}

/// A copy that the namespace's own identity fills.
#[derive(Debug, Clone)]
pub struct OwnCopy {
    /// The name of the Secret.
    pub secret: Arc<str>,
    /// What it is made of.
    pub recipe: Recipe,
    /// What is there.
    pub seen: Option<Seen>,
}

// === impl Tasks ===

impl Tasks {
    /// There is more to do at `at`, if not earlier.
    pub(super) fn look_again(&mut self, at: Instant) {
        self.later = Some(self.later.map_or(at, |it| it.min(at)));
    }
}
