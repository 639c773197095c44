//! The data that decisions use: two values, each replaced by its own writer.
//!
//! A reload stores the mapping, a watch stores the Secrets of namespaces. With both in one value, each writer would have to
//! copy the other's part and could overwrite a newer one.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption, Guard};

use crate::core::{knowledge::Knowledge, rules::Mapping};

/// The mapping and the known Secrets that decisions use.
#[derive(Debug)]
pub struct State {
    mapping: ArcSwapOption<Mapping>,
    known: ArcSwap<Knowledge>,
}

// === impl State ===

impl State {
    /// A state with this mapping, if there is a usable one yet, and without known Secrets.
    #[must_use]
    pub fn new(mapping: Option<Mapping>) -> Self {
        let mapping = ArcSwapOption::new(mapping.map(Arc::new));
        Self { mapping, known: ArcSwap::default() }
    }

    /// Replaces the mapping.
    pub fn set_mapping(&self, mapping: Mapping) {
        self.mapping.store(Some(Arc::new(mapping)));
    }

    /// From now on, this is known of namespaces.
    pub fn set_known(&self, known: Knowledge) {
        self.known.store(Arc::new(known));
    }

    /// The mapping in force; `None` while there is no usable one yet.
    #[must_use]
    pub fn mapping(&self) -> Guard<Option<Arc<Mapping>>> {
        self.mapping.load()
    }

    /// What is known of namespaces.
    #[must_use]
    pub fn known(&self) -> Guard<Arc<Knowledge>> {
        self.known.load()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        core::{knowledge::ReportedSecrets, reports::PullSecretStatus},
        mapping,
    };

    #[test]
    fn a_reload_and_a_watch_do_not_overwrite_each_other() {
        let state = State::new(None);
        let known = || {
            let mut known = Knowledge::default();
            known.insert(ReportedSecrets::of("shop", &PullSecretStatus::default()).unwrap());
            known
        };
        let mapping = || mapping::parse("always: [robot]").unwrap();
        state.set_known(known());
        state.set_mapping(mapping());
        assert!(state.known().namespace("shop").is_some());
        state.set_known(known());
        assert!(state.mapping().is_some());
    }
}
