//! Which namespace is due, and when.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use tokio::time::Instant;

use crate::cluster::Pace;

/// Namespaces by the moment at which each is due. One that is not in it is not due, or work on it is under way.
#[derive(Debug, Default)]
pub(super) struct Due {
    order: BTreeSet<(Instant, Arc<str>)>,
    moments: HashMap<Arc<str>, Instant>,
}

// === impl Due ===

impl Due {
    /// A namespace is due at this moment, and at no other.
    pub(super) fn set(&mut self, namespace: &Arc<str>, at: Instant) {
        if let Some(before) = self.moments.insert(Arc::clone(namespace), at) {
            self.order.remove(&(before, Arc::clone(namespace)));
        }
        self.order.insert((at, Arc::clone(namespace)));
    }

    /// A namespace is no longer due.
    pub(super) fn remove(&mut self, namespace: &Arc<str>) {
        if let Some(at) = self.moments.remove(namespace) {
            self.order.remove(&(at, Arc::clone(namespace)));
        }
    }

    /// Whether a namespace is due at some moment.
    pub(super) fn has(&self, namespace: &str) -> bool {
        self.moments.contains_key(namespace)
    }

    /// The namespaces that are due after this moment.
    pub(super) fn after(&self, moment: Instant) -> Vec<Arc<str>> {
        let later = self.order.iter().filter(|(at, _)| *at > moment);
        later.map(|(_, name)| Arc::clone(name)).collect()
    }

    /// Takes the first namespace that is due, as far as the pace allows.
    ///
    /// # Errors
    ///
    /// When there may be one; `None` where that is not known, since none is due or the pace waits for the end of other work.
    pub(super) fn next(
        &mut self,
        pace: &mut Pace,
        now: Instant,
    ) -> Result<Arc<str>, Option<Instant>> {
        let Some((at, namespace)) = self.order.first().cloned() else { return Err(None) };
        if at > now {
            return Err(Some(at));
        }
        pace.ready(now)?;
        self.remove(&namespace);
        Ok(namespace)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cluster::Backoff;

    #[test]
    fn a_namespace_is_due_at_the_last_moment_that_was_set() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(1.0, 10.0, 10, Backoff::new(second, second), now);
        let [a, b] = ["a", "b"].map(Arc::<str>::from);
        let mut due = Due::default();
        assert_eq!(due.next(&mut pace, now), Err(None));
        due.set(&a, now);
        due.set(&b, now + second);
        due.set(&a, now + second * 2);
        assert_eq!(due.after(now + second), [Arc::clone(&a)]);
        assert_eq!(due.next(&mut pace, now), Err(Some(now + second)));
        assert_eq!(due.next(&mut pace, now + second), Ok(Arc::clone(&b)));
        assert!(due.has("a") && !due.has("b"));
        due.remove(&a);
        assert_eq!(due.next(&mut pace, now + second * 3), Err(None));
    }

    #[test]
    fn what_the_pace_does_not_allow_stays_due() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(1.0, 1.0, 1, Backoff::new(second, second), now);
        pace.start(1);
        let a: Arc<str> = "a".into();
        let mut due = Due::default();
        due.set(&a, now);
        assert!(due.next(&mut pace, now).is_err());
        assert!(due.has("a"));
    }
}
