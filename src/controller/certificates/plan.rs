//! What to do about the certificates next: pure, so that every order of events can be tried.
//!
//! All that must survive a crash is in two Secrets and the webhook configuration. A rotation is told apart from a quiet time by
//! what they hold, and its steps can be taken by any process that looks, in any number:
//!
//! | the CA Secret | the leaf is of | then |
//! |---|---|---|
//! | nothing | | make a CA; keep what callers trust now beside it |
//! | one CA | it | replace the CA when it is due: the new one comes in beside it |
//! | two CAs | the old one | trust both; when every API server has heard: a leaf of the new one |
//! | two CAs | the new one | when every replica serves it: drop the old CA |
//!
//! Two rules make this safe for processes that act at once, on views that may be old by any amount. First, each object is
//! written only if it is as it was read. Second, the webhook configuration and the leaf are read *before* the CA Secret: if a write
//! to them succeeds, then no other process has written them since, and so none has taken a later step of the rotation.

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fmt, iter,
    time::Duration,
};

pub use crate::pki::validity::Validity;

/// Seconds since the Unix epoch, by the wall clock: certificates live by it.
pub type Timestamp = i64;

/// The SHA-256 of a CA certificate's DER: which CA it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaId(pub [u8; 32]);

/// A CA of the CA Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Authority {
    /// Which one.
    pub id: CaId,
    /// When it is valid.
    pub validity: Validity,
    /// Whether its key is at hand. It is not where only the webhook configuration still knew of it.
    pub can_sign: bool,
}

/// What the CA Secret holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Authorities {
    /// The CA that leaves are, or soon will be, issued by. Its key is at hand.
    pub newest: Authority,
    /// During a rotation: what came before it, which replicas may still serve by. Usually one.
    pub previous: Vec<Authority>,
}

/// The leaf of the TLS Secret: one that goes with its key and has the names that the API server asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Leaf {
    /// Who issued it, where that CA is in the CA Secret or in the webhook configuration.
    pub issuer: Option<CaId>,
    /// When it is valid.
    pub validity: Validity,
}

/// What the API servers are told to trust: the CAs of each `caBundle` that is ours to write. None at all, where there is no
/// such bundles: nobody calls the webhook then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Bundles(pub Vec<BTreeMap<CaId, Validity>>);

/// What every caller trusts, as it is seen over time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Trust {
    /// There is no webhook configuration, so nobody calls.
    NoCaller,
    /// All callers trust these.
    In(BTreeSet<CaId>),
}

/// What the three objects hold. `None` stands for an object that is not there or cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Observed {
    /// The CA Secret.
    pub authorities: Option<Authorities>,
    /// The TLS Secret.
    pub leaf: Option<Leaf>,
    /// The webhook configuration.
    pub bundles: Bundles,
}

/// For how long this process has seen things as they are, without a break. Watching, not the clock in an object, tells
/// whether others have had time to hear: clocks differ, and while the API server is away nobody hears anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stable {
    /// What callers trust.
    pub trust: Duration,
    /// The issuer of the leaf.
    pub issuer: Duration,
}

/// One write. Each is to one object, and made only if that object is as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Put beside the CA the one that callers and replicas still use, so that it stays trusted for now.
    AdoptPrevious(CaId),
    /// Forget the old CA: no replica serves by it any more.
    DropPrevious,
    /// Write a new leaf.
    IssueLeaf(Issuer),
    /// Make a new CA, and keep these beside it, which are still in use.
    MakeAuthority {
        /// The CAs to keep.
        previous: Vec<CaId>,
    },
    /// Write the CAs of the CA Secret into the webhook configuration.
    Publish,
}

/// How many CAs to keep beside the newest: a rotation has one, and what a person wrote into the webhook configuration is bounded.
const MOST_PREVIOUS: usize = 8;

/// Which CA signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Issuer {
    /// The newest.
    Newest,
    /// This one, from before it, as long as callers may not trust the newest.
    Previous(CaId),
}

/// What to do now. `propagation` is how long a write to a Secret or to the webhook configuration may take to reach everyone.
///
/// The actions are independent of each other: one that fails is no reason to leave out the next.
#[must_use]
pub fn plan(
    observed: &Observed,
    stable: Stable,
    propagation: Duration,
    now: Timestamp,
) -> Vec<Action> {
    let Some(authorities) = &observed.authorities else {
        // The Secret is new, or someone deleted it: replicas may go on with what they have for as long as it is valid.
        return vec![Action::MakeAuthority { previous: observed.bundles.valid(now) }];
    };
    if let Some(issuer) = observed.orphaned_issuer(authorities, now) {
        // Before anything is published, or callers would no longer trust what replicas serve.
        return vec![Action::AdoptPrevious(issuer)];
    }
    let rotation = Rotation { authorities, observed, stable, propagation, now };
    let publish = !observed.bundles.trusts_exactly(authorities);
    [
        publish.then_some(Action::Publish),
        rotation.leaf().map(Action::IssueLeaf),
        rotation.authority(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The decisions where there is a CA.
struct Rotation<'a> {
    authorities: &'a Authorities,
    observed: &'a Observed,
    stable: Stable,
    propagation: Duration,
    now: Timestamp,
}

// === impl Rotation ===

impl Rotation<'_> {
    /// Who is to issue a leaf now, if anyone.
    fn leaf(&self) -> Option<Issuer> {
        let Authorities { newest, previous } = self.authorities;
        let issuer = self.observed.leaf.and_then(|leaf| leaf.issuer);
        if issuer == Some(newest.id) && (newest.validity.is_begun(self.now) || previous.is_empty())
        {
            return self.gains_by(newest).then_some(Issuer::Newest);
        }
        // Without another CA in force no replica serves anything that callers accept, so there is nothing to wait for.
        let in_force = |authority: &&Authority| authority.validity.is_in_force(self.now);
        if !previous.iter().any(|it| in_force(&it)) || self.all_trust_newest() {
            return Some(Issuer::Newest);
        }
        // The caBundle may stay as it is for long, where no process may write it: leaves go on by the old CA meanwhile.
        let goes_on = |authority: &&Authority| {
            let renews = Some(authority.id) == issuer && self.gains_by(authority);
            authority.can_sign && (renews || (in_force(authority) && self.brings_back(authority)))
        };
        previous.iter().find(goes_on).map(|authority| Issuer::Previous(authority.id))
    }

    /// Whether there is no leaf that callers could accept, and one of this old CA is what they would. Only after a while:
    /// until then a leaf of the newest CA may be on its way, and a write that brings a leaf back must never go backwards.
    fn brings_back(&self, authority: &Authority) -> bool {
        let trusted = match self.observed.bundles.trust() {
            Trust::NoCaller => true,
            Trust::In(trusted) => trusted.contains(&authority.id),
        };
        let useless = |leaf: Leaf| {
            let issued = leaf.issuer.and_then(|id| self.authorities.iter().find(|it| it.id == id));
            issued.is_none_or(|issuer| !issuer.validity.is_begun(self.now))
        };
        trusted
            && self.observed.leaf.is_none_or(useless)
            && self.stable.issuer >= self.propagation
            && self.stable.trust >= self.propagation
    }

    /// Whether the leaf is due and another of the same CA would be good for longer: none outlives its CA.
    fn gains_by(&self, issuer: &Authority) -> bool {
        let gains = |Leaf { validity, .. }| {
            let to_come = self.now < validity.not_before;
            to_come || (validity.is_due(self.now) && validity.not_after < issuer.validity.not_after)
        };
        self.observed.leaf.is_some_and(gains) && !issuer.validity.is_over(self.now)
    }

    /// What is to happen in the CA Secret.
    fn authority(&self) -> Option<Action> {
        let Authorities { newest, previous } = self.authorities;
        if !previous.is_empty() {
            let useless = previous.iter().all(|authority| authority.validity.is_over(self.now));
            return (useless || self.all_serve_newest()).then_some(Action::DropPrevious);
        }
        newest.validity.is_due(self.now).then(|| {
            let still_valid = !newest.validity.is_over(self.now);
            Action::MakeAuthority {
                previous: still_valid.then_some(newest.id).into_iter().collect(),
            }
        })
    }

    fn all_trust_newest(&self) -> bool {
        let newest = &self.authorities.newest;
        let trusted = match self.observed.bundles.trust() {
            Trust::NoCaller => true,
            Trust::In(trusted) => trusted.contains(&newest.id),
        };
        // A process whose clock is ahead may have made it: until it is valid no caller accepts a leaf of it.
        trusted && newest.validity.is_begun(self.now) && self.stable.trust >= self.propagation
    }

    fn all_serve_newest(&self) -> bool {
        let Authority { id, validity, .. } = self.authorities.newest;
        let issued = self.observed.leaf.is_some_and(|leaf| leaf.issuer == Some(id));
        // What replicas serve by a CA of the future no caller accepts yet.
        issued && validity.is_begun(self.now) && self.stable.issuer >= self.propagation
    }
}

// === impl Observed ===

impl Observed {
    /// The CA of a leaf that is in use, where callers trust it but the CA Secret does not know it: someone brought back an
    /// old copy of that Secret.
    fn orphaned_issuer(&self, authorities: &Authorities, now: Timestamp) -> Option<CaId> {
        let leaf = self.leaf.filter(|leaf| !leaf.validity.is_over(now))?;
        let issuer = leaf.issuer.filter(|&issuer| !authorities.has(issuer))?;
        self.bundles.valid(now).contains(&issuer).then_some(issuer)
    }
}

// === impl Authorities ===

impl Authorities {
    /// The CAs, the newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Authority> {
        iter::once(&self.newest).chain(&self.previous)
    }

    fn has(&self, id: CaId) -> bool {
        self.iter().any(|authority| authority.id == id)
    }
}

// === impl Bundles ===

impl Bundles {
    /// Whether every caller trusts this CA, also where there is no caller.
    #[must_use]
    pub fn all_trust(&self, id: CaId) -> bool {
        self.0.iter().all(|bundle| bundle.contains_key(&id))
    }

    /// What all callers trust.
    #[must_use]
    pub fn trust(&self) -> Trust {
        let mut bundles = self.0.iter().map(|bundle| bundle.keys().copied().collect());
        match bundles.next() {
            None => Trust::NoCaller,
            Some(first) => {
                Trust::In(bundles.fold(first, |all: BTreeSet<_>, bundle| &all & &bundle))
            }
        }
    }

    /// The CAs that some caller trusts and that are not over, the longest valid first and not more than fit in a Secret.
    fn valid(&self, now: Timestamp) -> Vec<CaId> {
        let all: BTreeMap<_, _> = self.0.iter().flatten().collect();
        let mut valid: Vec<_> =
            all.into_iter().filter(|(_, validity)| !validity.is_over(now)).collect();
        valid.sort_by_key(|(_, validity)| Reverse(validity.not_after));
        valid.into_iter().map(|(&id, _)| id).take(MOST_PREVIOUS).collect()
    }

    /// Whether each bundle holds the CAs of the CA Secret and no other.
    #[must_use]
    pub fn trusts_exactly(&self, authorities: &Authorities) -> bool {
        let wanted: BTreeSet<_> = authorities.iter().map(|authority| authority.id).collect();
        self.0.iter().all(|bundle| bundle.keys().copied().collect::<BTreeSet<_>>() == wanted)
    }
}

// === impl CaId ===

impl fmt::Display for CaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..6].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
