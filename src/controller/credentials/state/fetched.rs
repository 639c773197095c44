//! What came of fetching the logins of the mapping. Pure: those that fetch them put it in.

use std::sync::Arc;

use super::State;
use crate::core::{
    copies::Recipe,
    rules::{LoginName, Mapping},
};

/// What came of fetching a login, and whether one that people keep has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fetch {
    /// No attempt has ended yet.
    #[default]
    Unknown,
    /// There is one that can be used, or people keep it.
    Usable,
    /// It cannot be had, and there is none from before.
    Failed,
    /// The one that there is has ended, at this second since the Unix epoch.
    Expired(i64),
}

// === impl State ===

impl State {
    /// The logins that fill a Secret by some rule, and what each is, by the mapping's key.
    pub fn kinds(&self) -> impl Iterator<Item = (&LoginName, &'static str)> {
        self.kinds.iter().map(|(name, kind)| (name, *kind))
    }

    pub(super) fn set_kinds(&mut self, mapping: &Mapping) {
        let logins = mapping.logins().iter();
        let filling = logins.filter(|login| !self.copies.registries(&login.name).is_empty());
        self.kinds = filling.map(|login| (login.name.clone(), login.source.kind())).collect();
    }

    /// Notes what came of fetching the login of a Secret. Returns whether that differs from what was known.
    pub fn set_fetched(&mut self, key: (Arc<str>, Arc<str>), fetch: Fetch) -> bool {
        let before = match fetch {
            Fetch::Unknown => self.fetched.remove(&key),
            _ => self.fetched.insert(key, fetch),
        };
        before.unwrap_or_default() != fetch
    }

    /// What came of fetching the login of a copy.
    pub(super) fn fetch(
        &self,
        namespace: &Arc<str>,
        secret: &str,
        recipe: &Recipe,
        login: &LoginName,
    ) -> Fetch {
        let key = if self.copies.identity(recipe).is_some() {
            (Arc::clone(namespace), Arc::from(secret))
        } else {
            let secret = self.logins.secret(login).filter(|_| self.logins.is_fetched(login));
            let Some(secret) = secret else {
                let ended = self.logins.ended_at(login);
                return ended.map_or(Fetch::Usable, Fetch::Expired);
            };
            (Arc::clone(&self.own_namespace), Arc::from(secret.as_str()))
        };
        self.fetched.get(&key).copied().unwrap_or_default()
    }
}
