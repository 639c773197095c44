//! Decides what to write next. Pure, so that tests can try every order of events.
//!
//! All state that must survive a crash is in two Secrets and the webhook configuration. Their content shows whether a rotation
//! is in progress, and any number of processes may take its steps:
//!
//! | the CA Secret | the leaf is of | then |
//! |---|---|---|
//! | nothing | | make a CA; keep what callers trust now beside it |
//! | one CA | it | replace the CA when it is due: the new one comes in beside it |
//! | two CAs | the old one | trust both; when every API server does: a leaf of the new one |
//! | two CAs | the new one | when every replica serves it: drop the old CA |
//!
//! Two rules make this safe for processes that act at the same time, on views of any age. First, each object is written only
//! if it is unchanged since it was read. Second, the webhook configuration and the leaf are read *before* the CA Secret: if a
//! write to them succeeds, no other process has written them since, and so none has taken a later step of the rotation.

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

/// Seconds since the Unix epoch, by the wall clock.
pub type Timestamp = i64;

/// The SHA-256 of a CA certificate's DER. It identifies the CA.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaId(pub [u8; 32]);

/// A CA of the CA Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Authority {
    /// The digest of its certificate.
    pub id: CaId,
    /// The validity that its certificate states.
    pub validity: Validity,
    /// Whether the Secret has its key. It has not if the CA was adopted from the webhook configuration.
    pub can_sign: bool,
}

/// The content of the CA Secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Authorities {
    /// The CA that issues leaves, or soon will. The Secret has its key.
    pub newest: Authority,
    /// During a rotation: older CAs, whose leaves replicas may still serve. Usually one.
    pub previous: Vec<Authority>,
}

/// The leaf of the TLS Secret. It matches its key and has the names that the API server asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Leaf {
    /// Its issuer, if that CA is in the CA Secret or in the webhook configuration.
    pub issuer: Option<CaId>,
    /// The validity that its certificate states.
    pub validity: Validity,
}

/// The CAs that the API servers trust: those of each `caBundle` of ours. Empty if the API server calls no webhook of ours.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Bundles(pub Vec<BTreeMap<CaId, Validity>>);

/// The CAs that every caller trusts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Trust {
    /// There is no webhook configuration, so there are no callers.
    NoCaller,
    /// All callers trust these.
    In(BTreeSet<CaId>),
}

/// The content of the three objects. `None` stands for an object that is absent or not usable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Observed {
    /// The CA Secret.
    pub authorities: Option<Authorities>,
    /// The TLS Secret.
    pub leaf: Option<Leaf>,
    /// The webhook configuration.
    pub bundles: Bundles,
}

/// For how long this process has observed the present state without a break. Timestamps in objects would not show whether a
/// write has reached everyone: clocks differ, and while the API server is unreachable nothing propagates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stable {
    /// For how long callers have trusted the same CAs.
    pub trust: Duration,
    /// For how long the leaf has had the same issuer.
    pub issuer: Duration,
}

/// One write to one object, made only if that object is unchanged since it was read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Add a CA that callers and replicas still use to the CA Secret, so that it stays trusted for now.
    AdoptPrevious(CaId),
    /// Remove the old CAs: no replica serves a leaf of theirs any more.
    DropPrevious,
    /// Write a new leaf.
    IssueLeaf(Issuer),
    /// Make a new CA, and keep the CAs that are still in use.
    MakeAuthority {
        /// The CAs to keep.
        previous: Vec<CaId>,
    },
    /// Write the CAs of the CA Secret into the webhook configuration.
    Publish,
}

/// The most CAs to keep besides the newest. A rotation has one; this bounds what a person wrote into the webhook configuration.
const MOST_PREVIOUS: usize = 8;

/// Which CA issues a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Issuer {
    /// The newest.
    Newest,
    /// This older one, while callers may not trust the newest yet.
    Previous(CaId),
}

/// The next writes. `propagation` is how long a write to a Secret or to the webhook configuration may take to reach every API
/// server and replica.
///
/// The actions are independent: if one fails, the next can still be taken.
#[must_use]
pub fn plan(
    observed: &Observed,
    stable: Stable,
    propagation: Duration,
    now: Timestamp,
) -> Vec<Action> {
    let Some(authorities) = &observed.authorities else {
        // The first start, or the Secret was deleted: replicas may use their leaf as long as it is valid.
        return vec![Action::MakeAuthority { previous: observed.bundles.valid(now) }];
    };
    if let Some(issuer) = observed.orphaned_issuer(authorities, now) {
        // This comes before publishing, or callers would no longer trust what replicas serve.
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

/// The decisions if there is a CA.
struct Rotation<'a> {
    authorities: &'a Authorities,
    observed: &'a Observed,
    stable: Stable,
    propagation: Duration,
    now: Timestamp,
}

// === impl Rotation ===

impl Rotation<'_> {
    /// The CA that must issue a leaf now, if one must.
    fn leaf(&self) -> Option<Issuer> {
        let Authorities { newest, previous } = self.authorities;
        let issuer = self.observed.leaf.and_then(|leaf| leaf.issuer);
        if issuer == Some(newest.id) && (newest.validity.is_begun(self.now) || previous.is_empty())
        {
            return self.gains_by(newest).then_some(Issuer::Newest);
        }
        // Without an older CA in force, no replica serves a leaf that callers accept, so there is nothing to wait for.
        let in_force = |authority: &&Authority| authority.validity.is_in_force(self.now);
        if !previous.iter().any(|it| in_force(&it)) || self.all_trust_newest() {
            return Some(Issuer::Newest);
        }
        // If no process may write the caBundle, it may stay the same for long: the old CA issues leaves meanwhile.
        let can_issue = |authority: &&Authority| {
            let renews = Some(authority.id) == issuer && self.gains_by(authority);
            authority.can_sign && (renews || (in_force(authority) && self.restores_leaf(authority)))
        };
        previous.iter().find(can_issue).map(|authority| Issuer::Previous(authority.id))
    }

    /// Whether callers would accept a leaf of this old CA, but no present one. True only after a while: until then a leaf of the
    /// newest CA may be on its way, and a restored leaf must never replace a newer one.
    fn restores_leaf(&self, authority: &Authority) -> bool {
        let trusted = match self.observed.bundles.trust() {
            Trust::NoCaller => true,
            Trust::In(trusted) => trusted.contains(&authority.id),
        };
        let not_accepted = |leaf: Leaf| {
            let issued = leaf.issuer.and_then(|id| self.authorities.iter().find(|it| it.id == id));
            issued.is_none_or(|issuer| !issuer.validity.is_begun(self.now))
        };
        trusted
            && self.observed.leaf.is_none_or(not_accepted)
            && self.stable.issuer >= self.propagation
            && self.stable.trust >= self.propagation
    }

    /// Whether the leaf is due and a new one of the same CA would be valid for longer. No leaf outlives its CA.
    fn gains_by(&self, issuer: &Authority) -> bool {
        let gains = |Leaf { validity, .. }| {
            let to_come = self.now < validity.not_before;
            to_come || (validity.is_due(self.now) && validity.not_after < issuer.validity.not_after)
        };
        self.observed.leaf.is_some_and(gains) && !issuer.validity.is_over(self.now)
    }

    /// The next write to the CA Secret.
    fn authority(&self) -> Option<Action> {
        let Authorities { newest, previous } = self.authorities;
        if !previous.is_empty() {
            let all_over = previous.iter().all(|authority| authority.validity.is_over(self.now));
            return (all_over || self.all_serve_newest()).then_some(Action::DropPrevious);
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
        // A process whose clock is ahead may have made it. Until it is valid, no caller accepts its leaves.
        trusted && newest.validity.is_begun(self.now) && self.stable.trust >= self.propagation
    }

    fn all_serve_newest(&self) -> bool {
        let Authority { id, validity, .. } = self.authorities.newest;
        let issued = self.observed.leaf.is_some_and(|leaf| leaf.issuer == Some(id));
        // Until the CA is valid, no caller accepts its leaves.
        issued && validity.is_begun(self.now) && self.stable.issuer >= self.propagation
    }
}

// === impl Observed ===

impl Observed {
    /// The issuer of the leaf, if callers trust it but the CA Secret does not have it: an old copy of the Secret was restored.
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
    /// Whether every caller trusts this CA. True without callers.
    #[must_use]
    pub fn all_trust(&self, id: CaId) -> bool {
        self.0.iter().all(|bundle| bundle.contains_key(&id))
    }

    /// The CAs that all callers trust.
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

    /// The CAs that some caller trusts and that have not expired, the longest valid first, at most [`MOST_PREVIOUS`].
    fn valid(&self, now: Timestamp) -> Vec<CaId> {
        let all: BTreeMap<_, _> = self.0.iter().flatten().collect();
        let mut valid: Vec<_> =
            all.into_iter().filter(|(_, validity)| !validity.is_over(now)).collect();
        valid.sort_by_key(|(_, validity)| Reverse(validity.not_after));
        valid.into_iter().map(|(&id, _)| id).take(MOST_PREVIOUS).collect()
    }

    /// Whether each bundle has the CAs of the CA Secret and no others.
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
