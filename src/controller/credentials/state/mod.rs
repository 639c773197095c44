//! What is known of the cluster, and what it calls for in a namespace. Pure: watches put it in, and the moment is given.

mod expiry;
mod fetched;
mod few;
mod logins;
mod overview;
mod tasks;
mod tried;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

pub use self::expiry::{Annotated, Expiry, Passed};
pub use self::fetched::Fetch;
pub use self::logins::{Config, Content, LoginProblem, LoginRead, Logins};
pub use self::overview::{
    CopyState, Counts, Failing, Fault, LoginOverview, Overview, Progress, Refusal,
};
pub use self::tasks::{OwnCopy, Task, Tasks};
pub use self::tried::content_id;
use self::{few::Few, logins::Made};
use super::{
    plan::{Step, Wanted, plan},
    seen::Seen,
};
use crate::core::{
    copies::{Copies, Recipe},
    rules::{LoginName, Mapping, SecretName},
};

/// At most so many copies may become unwanted at a time whatever their share.
const COLLECT_FREELY: usize = 10;
/// Beyond that, at most one copy in so many.
const COLLECT_SHARE: usize = 5;
/// How often a copy is repaired at once. More changes than that are not made by a person.
const REPAIRS_AT_ONCE: u32 = 10;
/// The pause before the next repair. It doubles each time.
const REPAIR_PAUSE: Duration = Duration::from_secs(1);
/// The longest such pause. A copy that was unchanged for as long is repaired at once again.
const REPAIR_PAUSE_MAX: Duration = Duration::from_secs(300);

/// What is known.
#[derive(Debug, Default)]
pub struct State {
    copies: Arc<Copies>,
    logins: Logins,
    namespaces: BTreeMap<Arc<str>, Place>,
    /// Since when copies are unwanted, by namespace and Secret.
    unwanted: BTreeMap<(Arc<str>, Arc<str>), Instant>,
    /// Copies that somebody changed or deleted lately, how often, and when last: another controller may want them otherwise.
    disturbed: HashMap<(Arc<str>, Arc<str>), (u32, Instant)>,
    /// Why the last write of a copy was refused.
    refused: BTreeMap<(Arc<str>, Arc<str>), Refusal>,
    /// What came of fetching logins, by the namespace and the Secret of each.
    fetched: BTreeMap<(Arc<str>, Arc<str>), Fetch>,
    /// The logins that rules name, and what each is, by the mapping's key.
    kinds: BTreeMap<LoginName, &'static str>,
    /// pullcred's namespace.
    own_namespace: Arc<str>,
    /// The names under which all Secrets have been listed. What is not known of another may be there.
    listed: BTreeSet<Arc<str>>,
    /// How many Secrets are copies of ours.
    ours: usize,
    grace: Duration,
    /// Whether a person lets a mass deletion go on.
    released: bool,
}

/// What is known of a namespace.
#[derive(Debug, Default)]
struct Place {
    opted_in: Option<Namespace>,
    seen: Few<Arc<str>, Seen>,
}

/// An opted-in namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Those of its labels that rules ask for.
    pub labels: Vec<(Box<str>, Box<str>)>,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Since when it has been known.
    pub since: Instant,
}

/// A foreign Secret that has the name of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Where it is.
    pub namespace: Arc<str>,
    /// Its name.
    pub secret: Arc<str>,
    /// The Secret of the login that would fill a copy there.
    pub login: SecretName,
}

// === impl State ===

impl State {
    /// Nothing is known yet. Copies that are no longer wanted stay for `grace`.
    #[must_use]
    pub fn new(grace: Duration) -> Self {
        Self { grace, ..Self::default() }
    }

    /// From now on, this mapping holds. What is known of logins and Secrets that it still names stays.
    pub fn set_mapping(&mut self, mapping: &Mapping, own_namespace: &str) {
        self.copies = Arc::new(Copies::of(mapping, own_namespace));
        self.logins.set_mapping(mapping, &self.copies);
        self.own_namespace = own_namespace.into();
        self.set_kinds(mapping);
        let copies = &self.copies;
        self.listed.retain(|name| copies.secrets().any(|it| it.as_str() == &**name));
        self.unwanted.clear();
        self.released = false;
    }

    /// Notes that all Secrets of this name are known.
    pub fn set_listed(&mut self, secret: &Arc<str>) {
        self.listed.insert(Arc::clone(secret));
    }

    /// The logins.
    #[must_use]
    pub fn logins(&self) -> &Logins {
        &self.logins
    }

    /// Notes what a login's Secret holds; `None` if there is no such Secret. Returns whether that differs from what was
    /// known.
    pub fn set_login(&mut self, name: &LoginName, read: Option<LoginRead>) -> bool {
        self.logins.set(&self.copies, name, read)
    }

    /// The logins, to note which must be read again, and to wipe them.
    pub fn logins_mut(&mut self) -> &mut Logins {
        &mut self.logins
    }

    /// The copies that are wanted somewhere.
    #[must_use]
    pub fn copies(&self) -> &Arc<Copies> {
        &self.copies
    }

    /// Notes an opted-in namespace, or that it no longer is one. Answers whether that changes anything.
    pub fn set_namespace(&mut self, name: &str, namespace: Option<Namespace>) -> bool {
        if namespace.is_none() && !self.namespaces.contains_key(name) {
            return false;
        }
        let place = self.namespaces.entry(Arc::from(name)).or_default();
        let same = match (&place.opted_in, &namespace) {
            (None, None) => true,
            (Some(a), Some(b)) => a.labels == b.labels && a.terminating == b.terminating,
            _ => false,
        };
        match (&mut place.opted_in, namespace) {
            (Some(known), Some(now)) => {
                (known.labels, known.terminating) = (now.labels, now.terminating);
            }
            (known, now) => *known = now,
        }
        if place.opted_in.is_none() && place.seen.is_empty() {
            self.namespaces.remove(name);
        }
        !same
    }

    /// Updates what is known of the Secret under the name of a copy; `None` if it does not exist.
    pub fn set_seen(
        &mut self,
        namespace: &str,
        secret: &Arc<str>,
        seen: Option<Seen>,
        now: Instant,
    ) {
        let place = self.namespaces.entry(Arc::from(namespace)).or_default();
        let is_ours = matches!(seen, Some(Seen::Ours(_)));
        let is_intact = |seen: Option<&Seen>| matches!(seen, Some(Seen::Ours(it)) if it.intact);
        let disturbed = is_intact(place.seen.get(secret)) && !is_intact(seen.as_ref());
        let before = match seen {
            Some(seen) => place.seen.insert(Arc::clone(secret), seen),
            None => place.seen.remove(secret),
        };
        self.ours -= usize::from(matches!(before, Some(Seen::Ours(_))));
        self.ours += usize::from(is_ours);
        if !is_ours && !self.unwanted.is_empty() {
            self.unwanted.remove(&(Arc::from(namespace), Arc::clone(secret)));
        }
        if place.opted_in.is_none() && place.seen.is_empty() {
            self.namespaces.remove(namespace);
        } else if disturbed {
            self.disturbed.retain(|_, (_, last)| now < *last + REPAIR_PAUSE_MAX);
            let key = (Arc::from(namespace), Arc::clone(secret));
            let (times, last) = self.disturbed.entry(key).or_insert((0, now));
            (*times, *last) = (times.saturating_add(1), now);
        }
    }

    /// When a copy may be written after it was disturbed.
    fn repair_at(&self, key: &(Arc<str>, Arc<str>)) -> Option<Instant> {
        let (times, last) = self.disturbed.get(key)?;
        let doublings = times.checked_sub(REPAIRS_AT_ONCE + 1)?;
        let pause = REPAIR_PAUSE.saturating_mul(1 << doublings.min(16));
        Some(*last + pause.min(REPAIR_PAUSE_MAX))
    }

    /// All Secrets that are known under a name, by namespace.
    pub fn namespaces_with<'s>(&'s self, secret: &'s str) -> impl Iterator<Item = &'s Arc<str>> {
        let places = self.namespaces.iter();
        places.filter(move |(_, place)| place.seen.contains_key(secret)).map(|(name, _)| name)
    }

    /// All namespaces that are known.
    pub fn namespaces(&self) -> impl Iterator<Item = &Arc<str>> {
        self.namespaces.keys()
    }

    /// All opted-in namespaces.
    pub fn opted_in(&self) -> impl Iterator<Item = &Arc<str>> {
        self.namespaces.iter().filter(|(_, it)| it.opted_in.is_some()).map(|(name, _)| name)
    }

    /// Since when an opted-in namespace has been known.
    #[must_use]
    pub fn known_since(&self, namespace: &str) -> Option<Instant> {
        Some(self.namespaces.get(namespace)?.opted_in.as_ref()?.since)
    }

    /// Whether Secrets of this name are wanted somewhere and have not all been listed yet. Then nothing is to be done about
    /// those that have.
    fn is_coming(&self, secret: &Arc<str>) -> bool {
        !self.listed.contains(secret) && self.copies.secrets().any(|it| it.as_str() == &**secret)
    }

    /// What is to be done in a namespace.
    pub fn tasks(&mut self, namespace: &str, now: Instant) -> Tasks {
        let mut tasks = Tasks::default();
        let Some((name, place)) = self.namespaces.get_key_value(namespace) else { return tasks };
        let name = Arc::clone(name);
        let recipes = self.recipes(&name, place);
        if place.opted_in.as_ref().is_some_and(|it| it.terminating) {
            // It takes its Secrets along, and takes no new ones.
            return tasks;
        }
        let mut all: Vec<(Arc<str>, Option<Recipe>)> = Vec::new();
        for recipe in recipes {
            if let Some(secret) = self.copies.secrets().nth(recipe.copy)
                && let Some(secret) = self.listed.get(secret.as_str())
            {
                all.push((Arc::clone(secret), Some(recipe)));
            }
        }
        let wanted_names = all.len();
        for secret in place.seen.keys() {
            let is_wanted = all.iter().take(wanted_names).any(|(it, _)| it == secret);
            if !is_wanted && !self.is_coming(secret) {
                all.push((Arc::clone(secret), None));
            }
        }
        for (secret, recipe) in all {
            if let Some(recipe) = recipe.as_ref().filter(|it| self.copies.identity(it).is_some()) {
                let seen = self.namespaces.get(&name).and_then(|place| place.seen.get(&secret));
                let key = (Arc::clone(&name), Arc::clone(&secret));
                self.unwanted.remove(&key);
                let own = OwnCopy { secret, recipe: recipe.clone(), seen: seen.cloned() };
                tasks.own.push(own);
                continue;
            }
            let made = match recipe.as_ref().map(|recipe| self.logins.make(&self.copies, recipe)) {
                None => None,
                Some(Ok(made)) => Some(made),
                Some(Err(login)) => {
                    if let Some(login) = login.filter(|it| !tasks.read.contains(it)) {
                        tasks.read.push(login);
                    }
                    continue;
                }
            };
            let wanted = match &made {
                None => Wanted::Nothing,
                Some(Some(Made { fingerprint: Some(it), .. })) => Wanted::Content(*it),
                Some(_) => Wanted::Unavailable,
            };
            let seen = self.namespaces.get(&name).and_then(|place| place.seen.get(&secret));
            let step = plan(wanted, seen);
            let key = (Arc::clone(&name), Arc::clone(&secret));
            if !matches!(step, Step::Collect(_)) {
                self.unwanted.remove(&key);
            }
            let content = made.flatten().and_then(|made| made.content);
            match step {
                Step::Collect(_) => {
                    let due = *self.unwanted.entry(key).or_insert(now) + self.grace;
                    if due > now {
                        tasks.look_again(due);
                    } else if !self.is_collection_held() {
                        tasks.now.push(Task { secret, step, content });
                    }
                }
                Step::Create | Step::Update(_)
                    if let Some(at) = self.repair_at(&key).filter(|at| *at > now) =>
                {
                    tasks.look_again(at);
                }
                Step::Create | Step::Update(_) if content.is_none() => {
                    // Its fingerprint is known, and the credentials are wiped.
                    let login = recipe.as_ref().and_then(|it| self.copies.login(it)).cloned();
                    tasks.read.extend(login);
                }
                Step::Create | Step::Update(_) => {
                    tasks.now.push(Task { secret, step, content });
                }
                Step::Ready | Step::Nothing | Step::Conflict | Step::Wait { .. } => {}
            }
        }
        tasks
    }

    /// Whether deletions wait for a person: more copies than a few, and more than a fifth of all, are unwanted. Then it is
    /// rather a mistake in a label or in the mapping.
    #[must_use]
    pub fn is_collection_held(&self) -> bool {
        let unwanted = self.unwanted.len();
        !self.released && unwanted > COLLECT_FREELY && unwanted * COLLECT_SHARE > self.ours
    }

    /// How many copies are unwanted.
    #[must_use]
    pub fn unwanted(&self) -> usize {
        self.unwanted.len()
    }

    /// A person lets deletions go on, until the mapping changes.
    pub fn release_collection(&mut self, released: bool) {
        self.released = released;
    }

    /// What an opted-in namespace is to have.
    fn recipes(&self, name: &str, place: &Place) -> Vec<Recipe> {
        let Some(namespace) = &place.opted_in else { return Vec::new() };
        self.copies.wanted(name, |key| {
            namespace.labels.iter().find(|(it, _)| **it == *key).map(|(_, value)| &**value)
        })
    }
}

#[cfg(test)]
mod tests;
