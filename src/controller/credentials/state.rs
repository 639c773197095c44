//! What is known of the cluster, and what it calls for in a namespace. Pure: watches put it in, and the moment is given.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    plan::{Step, Wanted, plan},
    seen::{Fingerprint, Seen},
    wanted::{Copies, Recipe},
};
use crate::core::{
    credentials::{Credentials, CredentialsError},
    rules::{LoginName, Mapping, RegistryPattern, SecretName},
};

/// At most so many copies may become unwanted at a time whatever their share.
const COLLECT_FREELY: usize = 10;
/// Beyond that, at most one copy in so many.
const COLLECT_SHARE: usize = 5;

/// What is known.
#[derive(Debug, Default)]
pub struct State {
    copies: Arc<Copies>,
    logins: BTreeMap<LoginName, Login>,
    namespaces: BTreeMap<Arc<str>, Place>,
    /// Since when copies are unwanted, by namespace and Secret.
    unwanted: BTreeMap<(Arc<str>, Arc<str>), Instant>,
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
    seen: BTreeMap<Arc<str>, Seen>,
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

/// A login, and what has been made of it.
#[derive(Debug)]
struct Login {
    secret: SecretName,
    content: LoginContent,
}

/// What is known of a login's content.
#[derive(Debug, Default)]
enum LoginContent {
    /// Not read yet.
    #[default]
    Unknown,
    /// It cannot be used.
    Unusable(LoginProblem),
    /// It was read. The credentials themselves are kept only while they are being written.
    Known { uid: Box<str>, credentials: Option<Credentials>, made: HashMap<Recipe, Made> },
}

/// Why a login fills nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginProblem {
    /// There is no such Secret.
    #[error("there is no Secret {0}")]
    Missing(SecretName),
    /// It has no logins that a kubelet could use.
    #[error("Secret {secret} is no pull Secret: {why}")]
    Unreadable {
        /// The Secret.
        secret: SecretName,
        /// What is wrong with it.
        why: CredentialsError,
    },
    /// It has none for any registry of a rule.
    #[error("Secret {secret} has no login for {registry}")]
    NotFor {
        /// The Secret.
        secret: SecretName,
        /// The first registry of a rule that it does not serve.
        registry: RegistryPattern,
    },
}

/// What a recipe makes of a login.
#[derive(Debug, Clone)]
struct Made {
    /// `None` where the login has nothing for any registry of the recipe.
    fingerprint: Option<Fingerprint>,
    /// What is written; kept as long as the credentials.
    content: Option<Arc<Content>>,
    unserved: Vec<RegistryPattern>,
}

/// The content of a copy, wiped when the last write of it is over.
#[derive(Debug)]
pub struct Content {
    /// The name of the login.
    pub login: LoginName,
    /// The fingerprint, as it goes into the annotation.
    pub fingerprint: String,
    /// The Docker config. Its `Debug` shows nothing of it.
    pub config: Config,
}

/// A rendered Docker config.
pub struct Config(pub zeroize::Zeroizing<Vec<u8>>);

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
    /// When a deletion is due.
    pub later: Option<Instant>,
    /// Logins whose content must be read before anything can be written.
    pub read: Vec<LoginName>,
}

/// How many copies are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// As they should be.
    pub ready: usize,
    /// To be written.
    pub pending: usize,
    /// A foreign Secret has the name.
    pub conflict: usize,
    /// The login cannot be had.
    pub waiting: usize,
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
        let mut before = std::mem::take(&mut self.logins);
        for login in mapping.logins() {
            let known = before.remove(&login.name).filter(|it| it.secret == login.secret);
            let mut known = known
                .unwrap_or(Login { secret: login.secret.clone(), content: LoginContent::Unknown });
            // Recipes are numbered by the mapping.
            if let LoginContent::Known { credentials, made, .. } = &mut known.content {
                made.clear();
                if credentials.is_none() {
                    known.content = LoginContent::Unknown;
                }
            }
            self.logins.insert(login.name.clone(), known);
        }
        self.unwanted.clear();
        self.released = false;
    }

    /// The copies that are wanted somewhere.
    #[must_use]
    pub fn copies(&self) -> &Arc<Copies> {
        &self.copies
    }

    /// The logins, with their Secrets.
    pub fn logins(&self) -> impl Iterator<Item = (&LoginName, &SecretName)> {
        self.logins.iter().map(|(name, login)| (name, &login.secret))
    }

    /// The logins that are in this Secret.
    pub fn logins_in<'s>(&'s self, secret: &'s str) -> impl Iterator<Item = &'s LoginName> {
        let found = self.logins.iter().filter(move |(_, login)| login.secret.as_str() == secret);
        found.map(|(name, _)| name)
    }

    /// Notes what a login's Secret holds; `None` where there is no such Secret.
    pub fn set_login(
        &mut self,
        name: &LoginName,
        read: Option<(Box<str>, Result<Credentials, CredentialsError>)>,
    ) {
        let Some(login) = self.logins.get_mut(name) else { return };
        let secret = login.secret.clone();
        login.content = match read {
            None => LoginContent::Unusable(LoginProblem::Missing(secret)),
            Some((_, Err(why))) => LoginContent::Unusable(LoginProblem::Unreadable { secret, why }),
            Some((uid, Ok(credentials))) => {
                LoginContent::Known { uid, credentials: Some(credentials), made: HashMap::new() }
            }
        };
    }

    /// Notes that a login's Secret has changed, so that it must be read again.
    pub fn forget_login(&mut self, name: &LoginName) {
        if let Some(login) = self.logins.get_mut(name) {
            login.content = LoginContent::Unknown;
        }
    }

    /// Wipes credentials and contents: nothing is being written. Fingerprints stay.
    pub fn wipe(&mut self) {
        for login in self.logins.values_mut() {
            if let LoginContent::Known { credentials, made, .. } = &mut login.content {
                *credentials = None;
                made.values_mut().for_each(|made| made.content = None);
            }
        }
    }

    /// Whether a login has been read since it last changed.
    #[must_use]
    pub fn is_read(&self, name: &LoginName) -> bool {
        let login = self.logins.get(name);
        login.is_some_and(|login| !matches!(login.content, LoginContent::Unknown))
    }

    /// What is wrong with each login; nothing where it can be used, or was not read yet.
    pub fn problems(&self) -> impl Iterator<Item = (&LoginName, Option<LoginProblem>)> {
        self.logins.iter().map(|(name, login)| {
            let problem = match &login.content {
                LoginContent::Unknown => None,
                LoginContent::Unusable(problem) => Some(problem.clone()),
                LoginContent::Known { made, .. } => {
                    let unserved = made.values().flat_map(|made| &made.unserved).next();
                    unserved.map(|registry| LoginProblem::NotFor {
                        secret: login.secret.clone(),
                        registry: registry.clone(),
                    })
                }
            };
            (name, problem)
        })
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
                (known.labels, known.terminating) = (now.labels, now.terminating)
            }
            (known, now) => *known = now,
        }
        if place.opted_in.is_none() && place.seen.is_empty() {
            self.namespaces.remove(name);
        }
        !same
    }

    /// Notes a Secret under the name of a copy, or that there is none.
    pub fn set_seen(&mut self, namespace: &str, secret: &Arc<str>, seen: Option<Seen>) {
        let place = self.namespaces.entry(Arc::from(namespace)).or_default();
        let is_ours = matches!(seen, Some(Seen::Ours(_)));
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
        }
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
            if let Some(secret) = self.copies.secrets().nth(recipe.copy) {
                all.push((Arc::from(secret.as_str()), Some(recipe)));
            }
        }
        let wanted_names = all.len();
        for secret in place.seen.keys() {
            if !all.iter().take(wanted_names).any(|(it, _)| it == secret) {
                all.push((Arc::clone(secret), None));
            }
        }
        for (secret, recipe) in all {
            let made = match recipe.as_ref().map(|recipe| self.make(recipe)) {
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
            let Step::Collect(_) = step else {
                self.unwanted.remove(&key);
                let content = made.flatten().and_then(|made| made.content);
                match step {
                    Step::Create | Step::Update(_) if content.is_none() => {
                        // Its fingerprint is known, and the credentials are wiped.
                        let login = recipe.as_ref().and_then(|it| self.copies.login(it)).cloned();
                        tasks.read.extend(login);
                    }
                    Step::Create | Step::Update(_) => {
                        tasks.now.push(Task { secret, step, content });
                    }
                    _ => {}
                }
                continue;
            };
            let due = *self.unwanted.entry(key).or_insert(now) + self.grace;
            if due > now {
                tasks.later = Some(tasks.later.map_or(due, |it: Instant| it.min(due)));
            } else if !self.is_collection_held() {
                tasks.now.push(Task { secret, step, content: None });
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

    /// How many copies are in which state.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for (name, place) in &self.namespaces {
            for recipe in self.recipes(name, place) {
                let Some(secret) = self.copies.secrets().nth(recipe.copy) else { continue };
                let wanted = self.known(&recipe);
                match plan(wanted.unwrap_or(Wanted::Unavailable), place.seen.get(secret.as_str())) {
                    Step::Ready => counts.ready += 1,
                    Step::Conflict => counts.conflict += 1,
                    Step::Wait { .. } if wanted.is_some() => counts.waiting += 1,
                    _ => counts.pending += 1,
                }
            }
        }
        counts
    }

    /// The namespaces in which a foreign Secret has the name of a copy, with that name; at most so many.
    #[must_use]
    pub fn conflicts(&self, most: usize) -> Vec<(Arc<str>, Arc<str>)> {
        let of_place = |(name, place): (&Arc<str>, &Place)| {
            let recipes = self.recipes(name, place);
            let names = recipes.iter().filter_map(|it| self.copies.secrets().nth(it.copy));
            let foreign = names.filter_map(|secret| {
                let (secret, seen) = place.seen.get_key_value(secret.as_str())?;
                (*seen == Seen::Foreign).then(|| (Arc::clone(name), Arc::clone(secret)))
            });
            foreign.collect::<Vec<_>>()
        };
        self.namespaces.iter().flat_map(of_place).take(most).collect()
    }

    /// What an opted-in namespace is to have.
    fn recipes(&self, name: &str, place: &Place) -> Vec<Recipe> {
        let Some(namespace) = &place.opted_in else { return Vec::new() };
        self.copies.wanted(name, |key| {
            namespace.labels.iter().find(|(it, _)| **it == *key).map(|(_, value)| &**value)
        })
    }

    /// What is wanted by a recipe, as far as its login has been read.
    fn known(&self, recipe: &Recipe) -> Option<Wanted> {
        let login = self.logins.get(self.copies.login(recipe)?)?;
        match &login.content {
            LoginContent::Unknown => None,
            LoginContent::Unusable(_) => Some(Wanted::Unavailable),
            LoginContent::Known { made, .. } => Some(match made.get(recipe)?.fingerprint {
                Some(fingerprint) => Wanted::Content(fingerprint),
                None => Wanted::Unavailable,
            }),
        }
    }

    /// What a recipe makes of its login; `None` where the login cannot be used.
    ///
    /// # Errors
    ///
    /// The login, where it must be read first.
    fn make(&mut self, recipe: &Recipe) -> Result<Option<Made>, Option<LoginName>> {
        let Some(name) = self.copies.login(recipe).cloned() else { return Err(None) };
        let Some(login) = self.logins.get_mut(&name) else { return Err(None) };
        let (uid, credentials, made) = match &mut login.content {
            LoginContent::Unknown => return Err(Some(name)),
            LoginContent::Unusable(_) => return Ok(None),
            LoginContent::Known { uid, credentials, made } => (uid, credentials, made),
        };
        if let Some(known) = made.get(recipe)
            && (known.content.is_some() || credentials.is_none() || known.fingerprint.is_none())
        {
            return Ok(Some(known.clone()));
        }
        let Some(credentials) = credentials else { return Err(Some(name)) };
        let slice = self.copies.slice(recipe, credentials);
        let unserved = slice.unserved().to_vec();
        let content = (!slice.is_empty()).then(|| {
            let fingerprint = slice.fingerprint(uid.as_bytes());
            Arc::new(Content { login: name, fingerprint, config: Config(slice.render()) })
        });
        let fingerprint = content.as_ref().and_then(|it| Fingerprint::parse(&it.fingerprint));
        let new = Made { fingerprint, content, unserved };
        made.insert(recipe.clone(), new.clone());
        Ok(Some(new))
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Config")
    }
}
