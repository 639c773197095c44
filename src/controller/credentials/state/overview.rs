//! How far the copies are: of one namespace, and of each login over all of them. Pure.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    super::{
        plan::{Step, Wanted, plan},
        seen::Seen,
    },
    Conflict, Fetch, LoginProblem, Place, State,
};
use crate::core::{
    copies::Recipe,
    reports::{LOGIN_REFUSED, QUOTA_EXCEEDED},
    rules::{LoginName, SecretName},
};

/// How many namespaces of a login are named that lack its copy.
const NAMED: usize = 10;

/// How far one copy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyState<'s> {
    /// The name of its Secret.
    pub secret: &'s SecretName,
    /// The login that fills it.
    pub login: &'s LoginName,
    /// What is there.
    pub progress: Progress,
    /// Why the last write of it was refused.
    pub refusal: Option<Refusal>,
    /// What came of fetching its login.
    pub fetch: Fetch,
    /// Whether a registry refuses its login.
    pub login_refused: bool,
}

/// What there is of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It is as it should be.
    Ready,
    /// It is there, and is to be written again.
    Outdated,
    /// It is there, and stays as it is because its login cannot be had.
    Kept,
    /// It is to be made.
    Pending,
    /// A foreign Secret has its name.
    Conflict,
    /// It is not there, and its login cannot be had.
    Missing(Fault),
}

/// Why a login fills no Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The login's Secret does not exist.
    Missing,
    /// Nothing can be read from it.
    Unreadable,
    /// It has nothing for the registries of the rule.
    NoLoginForRegistry,
    /// A registry refuses what it holds now.
    Refused,
}

/// Why a write of a copy is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A quota of the namespace is used up.
    QuotaExceeded,
    /// A right is missing, or a policy does not allow it.
    Denied,
    /// The API server, or a webhook that it asks, fails.
    WriteFailed,
}

/// How far the copies of all namespaces are.
#[derive(Debug, Default)]
pub struct Overview {
    /// Of all logins together.
    pub total: Counts,
    /// Of each login.
    pub logins: BTreeMap<LoginName, LoginOverview>,
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

/// How far the copies of a login are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoginOverview {
    /// In how many namespaces there is to be one.
    pub wanted: u32,
    /// In how many there is one, and nothing is to be done about it.
    pub ready: u32,
    /// In how many there is one that is to be written again.
    pub outdated: u32,
    /// In how many it is to be made.
    pub pending: u32,
    /// In how many a foreign Secret has its name.
    pub conflict: u32,
    /// In how many the last write of it was refused: these are among `outdated` and `pending`.
    pub refused: u32,
    /// In how many its login cannot be fetched, and there is none from before.
    pub unfetched: u32,
    /// In how many its login has expired.
    pub expired: u32,
    /// The first namespaces by name in which the copy cannot be written, and why.
    pub failing: Vec<(Arc<str>, Failing)>,
}

/// Why a namespace lacks a copy, or has an old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failing {
    /// A foreign Secret has its name.
    NameConflict,
    /// The write is refused.
    Refused(Refusal),
    /// The login cannot be had.
    Login(Fault),
    /// The login cannot be fetched.
    Unfetched,
    /// The login has expired.
    Expired,
    /// A registry refuses the login, which was copied before.
    LoginRefused,
}

// === impl State ===

impl State {
    /// The copies that an opted-in namespace is to have; `None` where it has not opted in, or is being deleted.
    #[must_use]
    pub fn copies_in(&self, namespace: &str) -> Option<Vec<CopyState<'_>>> {
        let (name, place) = self.namespaces.get_key_value(namespace)?;
        place.opted_in.as_ref().filter(|it| !it.terminating)?;
        Some(self.copy_states(name, place))
    }

    /// Whether a namespace has opted in, and is not being deleted.
    #[must_use]
    pub fn is_opted_in(&self, namespace: &str) -> bool {
        let place = self.namespaces.get(namespace);
        place.and_then(|it| it.opted_in.as_ref()).is_some_and(|it| !it.terminating)
    }

    /// Whether an opted-in namespace is being deleted.
    #[must_use]
    pub fn is_terminating(&self, namespace: &str) -> bool {
        let place = self.namespaces.get(namespace);
        place.and_then(|it| it.opted_in.as_ref()).is_some_and(|it| it.terminating)
    }

    /// Notes why the write of a copy was refused; `None` if it was not.
    pub fn set_refused(&mut self, namespace: &Arc<str>, secret: &Arc<str>, why: Option<Refusal>) {
        if why.is_none() && self.refused.is_empty() {
            return;
        }
        let key = (Arc::clone(namespace), Arc::clone(secret));
        match why {
            Some(why) => drop(self.refused.insert(key, why)),
            None => drop(self.refused.remove(&key)),
        }
    }

    /// Nothing of a namespace is refused any more.
    pub fn forget_refused(&mut self, namespace: &str) {
        if !self.refused.is_empty() {
            self.refused.retain(|(it, _), _| &**it != namespace);
        }
    }

    /// How far the copies of all namespaces are.
    #[must_use]
    pub fn overview(&self) -> Overview {
        let mut overview = Overview::default();
        for (name, _) in self.kinds() {
            overview.logins.insert(name.clone(), LoginOverview::default());
        }
        for (name, place) in &self.namespaces {
            for copy in self.copy_states(name, place) {
                overview.total.add(copy.progress);
                if let Some(login) = overview.logins.get_mut(copy.login) {
                    login.add(name, &copy);
                }
            }
        }
        overview
    }

    /// The foreign Secrets that have the name of a copy, with the Secret of the copy's login; at most so many.
    #[must_use]
    pub fn conflicts(&self, most: usize) -> Vec<Conflict> {
        let of_place = |(name, place): (&Arc<str>, &Place)| {
            let recipes = self.recipes(name, place);
            let foreign = recipes.iter().filter_map(|recipe| {
                let secret = self.copies.secrets().nth(recipe.copy)?;
                let (secret, seen) = place.seen.get_key_value(secret.as_str())?;
                let login = self.logins.secret(self.copies.login(recipe)?)?;
                (*seen == Seen::Foreign).then(|| Conflict {
                    namespace: Arc::clone(name),
                    secret: Arc::clone(secret),
                    login: login.clone(),
                })
            });
            foreign.collect::<Vec<_>>()
        };
        self.namespaces.iter().flat_map(of_place).take(most).collect()
    }

    fn copy_states(&self, name: &Arc<str>, place: &Place) -> Vec<CopyState<'_>> {
        let recipes = self.recipes(name, place);
        let state = |recipe: &Recipe| {
            let secret = self.copies.secrets().nth(recipe.copy)?;
            let login = self.copies.login(recipe)?;
            let progress = self.progress(recipe, login, place.seen.get(secret.as_str()));
            let refusal = self.refused_write(name, secret);
            let fetch = self.fetch(name, secret.as_str(), recipe, login);
            let copied = self.copies.identity(recipe).is_none();
            let login_refused = copied && self.is_refused(login);
            Some(CopyState { secret, login, progress, refusal, fetch, login_refused })
        };
        recipes.iter().filter_map(state).collect()
    }

    fn refused_write(&self, name: &Arc<str>, secret: &SecretName) -> Option<Refusal> {
        if self.refused.is_empty() {
            return None;
        }
        self.refused.get(&(Arc::clone(name), Arc::from(secret.as_str()))).copied()
    }

    fn progress(&self, recipe: &Recipe, login: &LoginName, seen: Option<&Seen>) -> Progress {
        if self.copies.identity(recipe).is_some() {
            // What is in it, only the namespace's own identity has seen.
            return match seen {
                None => Progress::Pending,
                Some(Seen::Foreign) => Progress::Conflict,
                Some(Seen::Ours(it)) if it.intact => Progress::Ready,
                Some(Seen::Ours(_)) => Progress::Outdated,
            };
        }
        let wanted = self.logins.known(&self.copies, recipe);
        match plan(wanted.unwrap_or(Wanted::Unavailable), seen) {
            Step::Ready => Progress::Ready,
            Step::Conflict => Progress::Conflict,
            Step::Wait { copy: true } if wanted.is_some() => Progress::Kept,
            Step::Wait { copy: false } if wanted.is_some() => {
                Progress::Missing(self.logins.fault(login))
            }
            Step::Update(_) | Step::Wait { copy: true } => Progress::Outdated,
            _ => Progress::Pending,
        }
    }
}

// === impl Counts ===

impl Counts {
    fn add(&mut self, progress: Progress) {
        *match progress {
            Progress::Ready => &mut self.ready,
            Progress::Outdated | Progress::Pending => &mut self.pending,
            Progress::Conflict => &mut self.conflict,
            Progress::Kept | Progress::Missing(_) => &mut self.waiting,
        } += 1;
    }
}

// === impl LoginOverview ===

impl LoginOverview {
    fn add(&mut self, namespace: &Arc<str>, copy: &CopyState<'_>) {
        self.wanted += 1;
        match copy.progress {
            Progress::Ready | Progress::Kept => self.ready += 1,
            Progress::Outdated => self.outdated += 1,
            Progress::Pending => self.pending += 1,
            Progress::Conflict => self.conflict += 1,
            Progress::Missing(_) => {}
        }
        let failing = copy.failing();
        self.refused += u32::from(matches!(failing, Some(Failing::Refused(_))));
        self.unfetched += u32::from(failing == Some(Failing::Unfetched));
        self.expired += u32::from(failing == Some(Failing::Expired));
        // Namespaces come by name.
        if let Some(failing) = failing
            && self.failing.len() < NAMED
            && self.failing.last().is_none_or(|(last, _)| last != namespace)
        {
            self.failing.push((Arc::clone(namespace), failing));
        }
    }
}

// === impl CopyState ===

impl CopyState<'_> {
    /// Why the namespace lacks this copy, or has an old one; `None` where it is right, or about to be.
    #[must_use]
    pub fn failing(&self) -> Option<Failing> {
        match self.progress {
            Progress::Conflict => Some(Failing::NameConflict),
            Progress::Pending | Progress::Missing(_) if self.fetch == Fetch::Failed => {
                Some(Failing::Unfetched)
            }
            Progress::Ready | Progress::Kept | Progress::Outdated
                if matches!(self.fetch, Fetch::Expired(_)) =>
            {
                Some(Failing::Expired)
            }
            Progress::Ready | Progress::Kept if self.login_refused => Some(Failing::LoginRefused),
            Progress::Ready | Progress::Kept => None,
            Progress::Missing(fault) => Some(Failing::Login(fault)),
            Progress::Outdated | Progress::Pending => self.refusal.map(Failing::Refused),
        }
    }
}

// === impl Failing ===

impl Failing {
    /// The reason, as it stands in reports and Events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NameConflict => "NameConflict",
            Self::Refused(Refusal::QuotaExceeded) => QUOTA_EXCEEDED,
            Self::Refused(Refusal::Denied) => "Denied",
            Self::Refused(Refusal::WriteFailed) => "WriteFailed",
            Self::Login(fault) => fault.as_str(),
            Self::Unfetched => "LoginRefreshFailed",
            Self::Expired => "LoginExpired",
            Self::LoginRefused => Fault::Refused.as_str(),
        }
    }
}

// === impl Fault ===

impl Fault {
    /// The fault that a problem with a login is.
    #[must_use]
    pub fn of(problem: &LoginProblem) -> Self {
        match problem {
            LoginProblem::Missing(_) => Self::Missing,
            LoginProblem::Unreadable { .. } | LoginProblem::TooLong(_) => Self::Unreadable,
            LoginProblem::NotFor { .. } => Self::NoLoginForRegistry,
        }
    }

    /// The reason, as it stands in reports and Events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "LoginMissing",
            Self::Unreadable => "LoginUnreadable",
            Self::NoLoginForRegistry => "NoLoginForRegistry",
            Self::Refused => LOGIN_REFUSED,
        }
    }
}
