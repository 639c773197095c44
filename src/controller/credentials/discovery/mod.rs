//! The pull Secrets that exist in namespaces which the mapping discovers: their names and registry keys, and never a value.
//!
//! | module | what it does |
//! |---|---|
//! | [`look`](mod@look) | the requests of one look into a namespace |
//! | [`marked`] | what the metadata of a Secret says |
//!
//! The namespace's administrator permits it, by a `RoleBinding`. Whether that is so is seen by trying: 403 is an answer and no
//! failure. A namespace is looked at again within a minute, so that a permission that is withdrawn is noticed by then. Which
//! Secret opens which image is decided by the webhook.

mod look;
mod marked;

use std::{collections::BTreeMap, pin::Pin, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::Instant;

use self::look::{Look, look};
use super::{due::Due, reports::keys::Contents};
use crate::cluster::{Backoff, CallError, Cluster, Outcome, Pace};

/// Requests a second, how many at once after a quiet time, and how many namespaces at a time: a thousand namespaces take two
/// thirds of it.
const PACE: (f64, f64, usize) = (60.0, 60.0, 2);
/// The lists of a look into a namespace in which nothing has changed.
const LISTS: usize = 2;
/// The longest pause between two looks into a namespace. It may be a fifth shorter.
const AGAIN: Duration = Duration::from_secs(55);
/// The longest pause where a look is not permitted, likewise.
const DENIED_AGAIN: Duration = Duration::from_secs(360);
/// How often a name that is not among the pull Secrets is looked for among all others.
const NAMED_AGAIN: Duration = Duration::from_secs(300);
/// Pauses of all looks while the API server does not answer.
const OUTAGE_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What was found in a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Discovered {
    /// pullcred may not look there.
    NotPermitted,
    /// It may.
    Permitted(Arc<Found>),
}

/// The pull Secrets of a namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The first by name.
    pub(super) secrets: Vec<FoundSecret>,
    /// Whether there are more.
    pub(super) more: bool,
}

/// A Secret that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FoundSecret {
    /// Its name.
    pub(super) name: Box<str>,
    /// What it holds.
    pub(super) contents: Contents,
    /// Tells whether it has changed since; 0 for one that is no pull Secret.
    pub(super) version: u64,
}

/// The namespaces that are looked into.
pub(super) struct Discovery {
    cluster: Cluster,
    places: BTreeMap<Arc<str>, Place>,
    due: Due,
    /// How many namespaces have not been looked into yet.
    untried: usize,
    pace: Pace,
    work: FuturesUnordered<Pin<Box<dyn Future<Output = Looked> + Send>>>,
}

/// A namespace that is looked into.
#[derive(Debug, Default)]
struct Place {
    /// `None` until it has been looked into.
    found: Option<Discovered>,
    /// Whether that has been tried.
    tried: bool,
    /// The names that were looked for among all Secrets, and when.
    named: Option<(Vec<Arc<str>>, Instant)>,
}

/// What came of a look.
struct Looked {
    namespace: Arc<str>,
    look: Result<Look, CallError>,
}

// === impl Discovery ===

impl Discovery {
    pub(super) fn new(cluster: Cluster) -> Self {
        let backoff = Backoff::new(OUTAGE_PAUSES.0, OUTAGE_PAUSES.1);
        let (rate, burst, in_flight) = PACE;
        Self {
            cluster,
            places: BTreeMap::new(),
            due: Due::default(),
            untried: 0,
            pace: Pace::new(rate, burst, in_flight, backoff, Instant::now()),
            work: FuturesUnordered::new(),
        }
    }

    /// A namespace is looked into from now on, or no longer.
    pub(super) fn cover(&mut self, namespace: &Arc<str>, is_covered: bool, now: Instant) {
        if !is_covered {
            let Some(place) = self.places.remove(namespace) else { return };
            self.untried -= usize::from(!place.tried);
            self.due.remove(namespace);
        } else if !self.places.contains_key(namespace) {
            self.places.insert(Arc::clone(namespace), Place::default());
            self.untried += 1;
            self.due.set(namespace, now);
        }
    }

    /// What was found in a namespace; `None` until it has been looked into.
    pub(super) fn found(&self, namespace: &str) -> Option<&Discovered> {
        self.places.get(namespace)?.found.as_ref()
    }

    /// Whether each namespace has been looked into, or that has been tried.
    pub(super) fn is_settled(&self) -> bool {
        self.untried == 0
    }

    /// Starts the looks that are due, as far as the pace allows; `named` says which names rules have for a namespace. Answers
    /// when there is more.
    pub(super) fn start_work(
        &mut self,
        named: impl Fn(&str) -> Vec<Arc<str>>,
        now: Instant,
    ) -> Option<Instant> {
        loop {
            let namespace = match self.due.next(&mut self.pace, now) {
                Ok(namespace) => namespace,
                Err(at) => return at,
            };
            let Some(place) = self.places.get_mut(&namespace) else { continue };
            let before = match &place.found {
                Some(Discovered::Permitted(found)) => Arc::clone(found),
                _ => Arc::default(),
            };
            let named = named(&namespace);
            let is_new = place.named.as_ref().is_none_or(|(names, at)| {
                now >= *at + NAMED_AGAIN || named.iter().any(|it| !names.contains(it))
            });
            if is_new {
                place.named = Some((named.clone(), now));
            }
            self.pace.start(LISTS);
            let cluster = self.cluster.clone();
            self.work.push(Box::pin(async move {
                let look = look(&cluster, &namespace, &before, &named, is_new).await;
                Looked { namespace, look }
            }));
        }
    }

    /// Waits until a look has ended; for ever where none is under way. Answers the namespace, if something else was found there
    /// than before.
    pub(super) async fn looked(&mut self) -> Option<Arc<str>> {
        let Some(Looked { namespace, look }) = self.work.next().await else {
            return std::future::pending().await;
        };
        self.take_in(&namespace, look, Instant::now()).then_some(namespace)
    }

    /// Answers whether something else was found than before.
    fn take_in(
        &mut self,
        namespace: &Arc<str>,
        look: Result<Look, CallError>,
        now: Instant,
    ) -> bool {
        let is_outage = look.as_ref().err().is_some_and(CallError::is_outage);
        self.pace.end(!is_outage);
        let pause = |most: Duration| now + Backoff::new(most, most).fail();
        let (found, again) = match look {
            Ok(Look { found, reads }) => {
                self.pace.charge(reads);
                (Some(Discovered::Permitted(Arc::new(found))), pause(AGAIN))
            }
            Err(error) if error.outcome() == Outcome::Denied => {
                (Some(Discovered::NotPermitted), pause(DENIED_AGAIN))
            }
            Err(error) => {
                if is_outage {
                    self.pace.pause(error.retry_after().unwrap_or_default(), now);
                }
                (None, pause(AGAIN))
            }
        };
        let Some(place) = self.places.get_mut(namespace) else { return false };
        let changed = !place.tried || (found.is_some() && place.found != found);
        self.untried -= usize::from(!place.tried);
        place.tried = true;
        if found.is_some() {
            place.found = found;
        }
        if place.found == Some(Discovered::NotPermitted) {
            place.named = None;
        }
        self.due.set(namespace, again);
        changed
    }
}

impl Discovered {
    /// What was found, where pullcred may look.
    pub(super) fn permitted(&self) -> Option<&Found> {
        match self {
            Self::NotPermitted => None,
            Self::Permitted(found) => Some(found),
        }
    }
}
