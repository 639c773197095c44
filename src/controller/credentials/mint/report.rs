//! What the outside sees of fetched logins: metrics, readiness, log lines and Events. Nothing of a token is in any of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use k8s_openapi::jiff::Timestamp;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use tokio::sync::mpsc;
use tracing::{info, warn};

pub use super::known::State;
use super::{
    super::{
        events::Notice,
        metrics::{LoginLabel, durations},
    },
    job::Renewed,
    known::Changes,
    renewals::Key,
};
use crate::{
    errors::with_causes,
    fetch::{Failure, Life, Phase, Spec},
    http::admin::Check,
};

/// By how much clocks may differ, in seconds, before a person hears of it.
const SKEW_SHOWN: i64 = 60;
/// How many logins a text names.
const NAMED: usize = 10;

/// The state of fetched logins.
#[derive(Debug)]
pub struct Fetched {
    metrics: FetchMetrics,
    notices: mpsc::Sender<Notice>,
    logins: Mutex<BTreeMap<Key, State>>,
    changes: Changes,
}

/// How an attempt ended.
pub(super) enum Refreshed<'r> {
    Done(&'r Renewed),
    /// With the life of what is stored, where that was not known, and the moment.
    Failed(&'r Failure, Option<Life>, i64),
}

/// The metrics of fetched logins.
#[derive(Debug, Clone)]
pub struct FetchMetrics {
    expires: Family<LoginLabel, Gauge>,
    refreshes: Family<RefreshLabels, Counter>,
    seconds: Histogram,
    skew: Family<LoginLabel, Gauge>,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RefreshLabels {
    login: String,
    outcome: &'static str,
}

/// The outcomes of attempts. Each series exists from the start, so that an alert sees the first event.
const OUTCOMES: [&str; 7] =
    ["ok", "denied", "throttled", "unreachable", "malformed", "expired_on_arrival", "unverified"];

// === impl Fetched ===

impl Fetched {
    /// Of a process that fetches nothing yet. Notices become Events.
    #[must_use]
    pub fn new(metrics: FetchMetrics, notices: mpsc::Sender<Notice>) -> Self {
        Self { metrics, notices, logins: Mutex::default(), changes: Changes::default() }
    }

    /// What is known of the login in a Secret of pullcred's namespace, or of a namespace's own.
    #[must_use]
    pub fn state(&self, namespace: &str, secret: &str) -> Option<State> {
        self.logins().get(&(Arc::from(namespace), Arc::from(secret))).cloned()
    }

    /// Whether a login's Secret is one in which pullcred keeps what it fetched: that it is missing is said elsewhere.
    #[must_use]
    pub fn keeps(&self, secret: &str) -> bool {
        self.logins().iter().any(|((_, name), state)| !state.own && **name == *secret)
    }

    /// Waits until something else is known of logins; answers of which.
    pub(in super::super) async fn changed(&self) -> BTreeSet<Key> {
        self.changes.take().await
    }

    pub(super) fn wanted(&self, key: &Key, spec: &Spec) {
        let (login, own) = (spec.login.name.to_string(), spec.identity.is_some());
        self.metrics.start(&login);
        self.logins().insert(key.clone(), State { login, own, ..State::default() });
        self.changes.add(key);
    }

    pub(super) fn forget(&self, key: &Key) {
        let mut logins = self.logins();
        let Some(state) = logins.remove(key) else { return };
        self.changes.add(key);
        if !logins.values().any(|it| it.login == state.login) {
            self.metrics.end(&state.login);
        }
    }

    pub(super) fn refreshed(
        &self,
        key: &Key,
        spec: &Spec,
        refreshed: &Refreshed<'_>,
        took: Duration,
    ) {
        let login = spec.login.name.to_string();
        let mut logins = self.logins();
        let state = logins.entry(key.clone()).or_default();
        self.changes.add(key);
        match refreshed {
            Refreshed::Done(renewed) => {
                state.expires = renewed.life.map(|life| life.ends);
                state.usable = true;
                if renewed.fetched {
                    self.metrics.count(&login, "ok");
                    self.metrics.seconds.observe(took.as_secs_f64());
                    info!(login, until = until(state.expires), "the login was fetched");
                }
                if state.problem.take().is_some() || state.said {
                    state.said = false;
                    info!(login, until = until(state.expires), "the login is fresh again");
                    self.notify(Notice::refreshed(key, spec, &until(state.expires)));
                }
                if let Some(skew) = renewed.skew {
                    self.metrics.skew(&login, skew);
                    let skewed = skew.abs() > SKEW_SHOWN;
                    if skewed && !state.skewed {
                        warn!(
                            login,
                            seconds = skew,
                            "the clock of the login's service differs from this node's"
                        );
                    }
                    state.skewed = skewed;
                }
                if let Some(expires) =
                    logins.values().filter(|it| it.login == login).filter_map(|it| it.expires).min()
                {
                    self.metrics.ends(&login, expires);
                }
            }
            Refreshed::Failed(failure, stored, now) => {
                self.metrics.count(&login, failure.label());
                let why = with_causes(*failure);
                if state.problem.as_ref() != Some(&why) {
                    warn!(
                        login,
                        namespace = &*key.0,
                        error = why,
                        "the login cannot be fetched: trying again"
                    );
                }
                if !state.said {
                    state.said = true;
                    self.notify(Notice::refresh_failed(key, spec, &why));
                }
                state.problem = Some(why);
                if let Some(life) = stored {
                    state.expires = Some(life.ends);
                    state.usable = life.phase(*now) != Phase::Ended;
                }
            }
        }
    }

    /// Notes how far the life of a login has gone, and whether its renewal fails.
    pub(super) fn phase(&self, key: &Key, spec: &Spec, phase: Option<Phase>, fails: bool) {
        let mut logins = self.logins();
        let Some(state) = logins.get_mut(key) else { return };
        let before = std::mem::replace(&mut state.phase, phase);
        if before == phase {
            return;
        }
        self.changes.add(key);
        let login = spec.login.name.as_str();
        match phase {
            Some(Phase::Ended) => {
                state.usable = false;
                state.said = true;
                warn!(
                    login,
                    namespace = &*key.0,
                    "the login has ended: its Secrets stay, and pulls fail"
                );
                self.notify(Notice::expired(key, spec, state.problem.as_deref()));
            }
            Some(Phase::Urgent) if fails => {
                let until = until(state.expires);
                warn!(
                    login,
                    namespace = &*key.0,
                    until,
                    "the login ends soon, and cannot be renewed"
                );
            }
            _ => {}
        }
    }

    /// What readiness says; nothing where no login is fetched.
    #[must_use]
    pub fn check(&self) -> Option<Check> {
        let logins = self.logins();
        let shown = |states: Vec<(&Key, &State)>| {
            let text = states.iter().take(NAMED).map(|((namespace, _), state)| {
                let of =
                    if state.own { format!(" of namespace {namespace}") } else { String::new() };
                let why = state.problem.as_deref().unwrap_or("not fetched yet");
                format!("{}{of}: {why}", state.login)
            });
            text.collect::<Vec<_>>().join("; ")
        };
        // A login of a namespace's own identity is that namespace's affair.
        let (broken, failing): (Vec<_>, Vec<_>) = logins
            .iter()
            .filter(|(_, it)| !it.usable || it.problem.is_some())
            .partition(|(_, it)| !it.usable && !it.own);
        let failure = (!broken.is_empty()).then(|| shown(broken));
        (!logins.is_empty()).then(|| Check {
            name: "fetched logins",
            failure,
            note: shown(failing),
        })
    }

    fn notify(&self, notice: Notice) {
        // Where Events cannot be written as fast, the log and readiness have it all the same.
        let _ = self.notices.try_send(notice);
    }

    fn logins(&self) -> MutexGuard<'_, BTreeMap<Key, State>> {
        // Nothing panics while it is locked.
        self.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A moment as people read it.
fn until(expires: Option<i64>) -> String {
    let at = expires.and_then(|at| Timestamp::from_second(at).ok());
    at.map_or_else(|| "its file changes".to_owned(), |at| at.to_string())
}

// === impl FetchMetrics ===

impl FetchMetrics {
    /// Makes them, and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            expires: Family::default(),
            refreshes: Family::default(),
            seconds: durations(),
            skew: Family::default(),
        };
        registry.register_with_unit(
            "login_expires_timestamp",
            "When a login ends, where that is known; of several namespaces' own, the first",
            Unit::Seconds,
            metrics.expires.clone(),
        );
        registry.register(
            "login_refresh",
            "Attempts to fetch a login, by outcome",
            metrics.refreshes.clone(),
        );
        registry.register_with_unit(
            "login_refresh",
            "How long it took to fetch a login and to store it",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        registry.register_with_unit(
            "login_clock_skew",
            "By how much the clock of a login's service is ahead of this node's",
            Unit::Seconds,
            metrics.skew.clone(),
        );
        metrics
    }

    /// Counts the attempts of a login from now on.
    pub fn start(&self, login: &str) {
        for outcome in OUTCOMES {
            drop(self.refreshes.get_or_create(&RefreshLabels { login: login.to_owned(), outcome }));
        }
    }

    fn end(&self, login: &str) {
        let label = LoginLabel::new(login);
        self.expires.remove(&label);
        self.skew.remove(&label);
        for outcome in OUTCOMES {
            self.refreshes.remove(&RefreshLabels { login: login.to_owned(), outcome });
        }
    }

    /// When a login ends, in seconds since the Unix epoch.
    pub fn ends(&self, login: &str, at: i64) {
        self.expires.get_or_create(&LoginLabel::new(login)).set(at);
    }

    /// It is no longer known when a login ends.
    pub fn has_no_end(&self, login: &str) {
        self.expires.remove(&LoginLabel::new(login));
    }

    /// By how many seconds the clock of a login's service is ahead.
    pub fn skew(&self, login: &str, seconds: i64) {
        self.skew.get_or_create(&LoginLabel::new(login)).set(seconds);
    }

    fn count(&self, login: &str, outcome: &'static str) {
        self.refreshes.get_or_create(&RefreshLabels { login: login.to_owned(), outcome }).inc();
    }
}
