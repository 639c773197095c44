//! What the engine asks of those that fetch logins.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use tokio::time::Instant;

use super::{
    super::{
        mint::{Key, Orders, Own},
        seen::{Fingerprint, Seen},
        state::{Fetch, OwnCopy},
    },
    Engine,
};
use crate::core::{
    copies::Recipe,
    rules::{Login, LoginName, Mapping},
};
use crate::fetch::Spec;

/// The orders to those that fetch logins.
#[derive(Default)]
pub(super) struct Fetching {
    orders: Arc<Orders>,
    /// The fetched logins of the mapping.
    logins: BTreeMap<LoginName, Login>,
    /// What is fetched by namespaces' own identities, by what it fills.
    specs: HashMap<Recipe, Arc<Spec>>,
    /// Whether a mapping has had such logins since the process began. Without, there is nothing to say of a namespace.
    own: bool,
}

// === impl Fetching ===

impl Fetching {
    pub(super) fn new(orders: Arc<Orders>) -> Self {
        Self { orders, ..Self::default() }
    }

    pub(super) fn set_mapping(&mut self, mapping: &Mapping) {
        let fetched = mapping.logins().iter().filter(|login| login.is_fetched());
        self.logins = fetched.map(|login| (login.name.clone(), login.clone())).collect();
        self.specs.clear();
        let mut fills = mapping.rules().iter().filter_map(|rule| rule.fill.as_ref());
        self.own |= fills.any(|fill| fill.identity.is_some());
        self.orders.set_shared(Spec::shared(mapping));
    }

    /// A Secret of pullcred's namespace has changed.
    pub(super) fn changed(&self, secret: &Arc<str>) {
        self.orders.changed(secret);
    }
}

// === impl Engine ===

impl Engine {
    /// Says which logins a namespace's own identity fetches.
    pub(super) fn want_own(&mut self, namespace: &Arc<str>, copies: Vec<OwnCopy>) {
        if !self.fetching.own {
            return;
        }
        let own = copies.into_iter().filter_map(|copy| self.own(copy)).collect();
        self.fetching.orders.set_own(namespace, own);
    }

    /// Something else is known now of fetched logins.
    pub(super) fn take_in_fetched(&mut self, keys: BTreeSet<Key>) {
        let now = Instant::now();
        for key in keys {
            let state = self.status.fetched().state(&key.0, &key.1);
            let fetch = state.map_or(Fetch::Unknown, |it| it.fetch());
            let namespace = Arc::clone(&key.0);
            if !self.state.set_fetched(key, fetch) {
                continue;
            }
            if namespace == self.own_namespace {
                self.want_reports(now);
                let namespaces: Vec<_> = self.state.opted_in().cloned().collect();
                for name in namespaces {
                    self.want_report(&name, now);
                }
            } else {
                self.want_report(&namespace, now);
            }
        }
    }

    fn own(&mut self, OwnCopy { secret, recipe, seen }: OwnCopy) -> Option<Own> {
        let copies = self.state.copies();
        let Fetching { logins, specs, .. } = &mut self.fetching;
        let spec = if let Some(spec) = specs.get(&recipe) {
            Arc::clone(spec)
        } else {
            let login = logins.get(copies.login(&recipe)?)?;
            let identity = copies.identity(&recipe).cloned();
            let spec = Arc::new(Spec::of(login, identity, copies.filled(&recipe)));
            specs.insert(recipe, Arc::clone(&spec));
            spec
        };
        let wanted = Fingerprint::parse(&spec.digest);
        let intact = matches!(&seen, Some(Seen::Ours(it)) if it.intact && it.content == wanted);
        Some(Own { secret, spec, intact })
    }
}
