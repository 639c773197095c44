//! Secrets of a namespace that people made.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::super::{
    super::discovery::{Found, FoundSecret},
    keys::Contents,
};
use crate::core::reports::{ReportedSecret, ReportedState};

/// Adds the Secrets that were found, and those that are named and were not.
pub(super) fn add(secrets: &mut Vec<ReportedSecret>, found: &Found, named: &[Arc<str>]) {
    let copies: BTreeSet<String> = secrets.iter().map(|it| it.name.clone()).collect();
    let mut others = BTreeMap::new();
    // Where not all were kept, one that is not among them may be there.
    for name in named.iter().filter(|_| !found.more) {
        others.insert(name.to_string(), (ReportedState::Missing, None));
    }
    for FoundSecret { name, contents, .. } in &found.secrets {
        let state = match contents {
            Contents::Keys(keys) => (ReportedState::Ready, Some(texts(keys))),
            Contents::Unreadable => (ReportedState::Unreadable, None),
            Contents::WrongType => (ReportedState::WrongType, None),
            // What is not known needs no entry.
            Contents::Unknown => continue,
        };
        others.insert(name.to_string(), state);
    }
    let others = others.into_iter().filter(|(name, _)| !copies.contains(name));
    secrets.extend(others.map(|(name, (state, keys))| ReportedSecret {
        name,
        state,
        reason: None,
        expired_at: None,
        keys,
    }));
}

pub(super) fn texts(keys: &[Box<str>]) -> Vec<String> {
    keys.iter().map(ToString::to_string).collect()
}
