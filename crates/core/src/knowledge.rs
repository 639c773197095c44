//! The state of the Secrets in namespaces, as far as reports say it.

mod packed;

use std::sync::Arc;

pub use self::packed::{Keys, KnownSecret, Obstacle, ReportedSecrets, Unusable};

/// Into how many parts the namespaces are divided. A change copies the part that it is in, if a reader may have it: 40 of
/// 10,000 namespaces.
const PARTS: usize = 256;
/// How much all reports may hold in sum, in bytes. Ten thousand namespaces with several Secrets have a tenth of that.
const BYTES_MAX: usize = 16 << 20;

/// What is known of all namespaces. A clone is cheap and shares what neither side changes.
///
/// It is *fresh* while those who write reports are known to be at work. Otherwise no state is known, since it may have
/// changed; but the keys that were found in Secrets stay in use for discovery: a name too many costs nothing, and a name left
/// out costs the Pod.
#[derive(Debug, Clone)]
pub struct Knowledge {
    parts: Box<[Part]>,
    namespaces: usize,
    bytes: usize,
    fresh: bool,
}

/// The namespaces of a part, by hash and then by name: see [`hash`].
type Part = Arc<Vec<(u64, ReportedSecrets)>>;

/// What is known of the Secrets in one namespace. A Secret without a state is treated as if its state were fine: the
/// decision adds its name.
///
/// The list of a stored Pod cannot change. So the decision adds a name that an image needs in any state, unless the rule says
/// otherwise: a name without a Secret delays the Pod until the Secret exists, but a Pod without the name never starts.
#[derive(Debug, Clone, Copy)]
pub struct NamespaceKnowledge<'k> {
    secrets: &'k ReportedSecrets,
    fresh: bool,
}

// === impl Knowledge ===

impl Knowledge {
    /// Replaces what is known of a namespace. Returns whether it could: all reports together hold at most 16 MiB, and what
    /// does not fit is not known.
    pub fn insert(&mut self, secrets: ReportedSecrets) -> bool {
        let hash = hash(secrets.namespace());
        let size = secrets.size();
        self.remove_hashed(hash, secrets.namespace());
        if self.bytes + size > BYTES_MAX {
            return false;
        }
        let Some(part) = self.parts.get_mut(part_of(hash)).map(Arc::make_mut) else { return false };
        let (Ok(place) | Err(place)) = place_of(part, hash, secrets.namespace());
        part.insert(place, (hash, secrets));
        self.namespaces += 1;
        self.bytes += size;
        true
    }

    /// From now on nothing is known of a namespace.
    pub fn remove(&mut self, namespace: &str) {
        self.remove_hashed(hash(namespace), namespace);
    }

    fn remove_hashed(&mut self, hash: u64, namespace: &str) {
        let Some(part) = self.parts.get_mut(part_of(hash)) else { return };
        if let Ok(place) = place_of(part, hash, namespace) {
            let (_, secrets) = Arc::make_mut(part).remove(place);
            self.namespaces -= 1;
            self.bytes -= secrets.size();
        }
    }

    /// What is known of a namespace; `None` where it has no report.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<NamespaceKnowledge<'_>> {
        if self.namespaces == 0 {
            return None;
        }
        let hash = hash(name);
        let part = self.parts.get(part_of(hash))?;
        let (_, secrets) = part.get(place_of(part, hash, name).ok()?)?;
        Some(NamespaceKnowledge { secrets, fresh: self.fresh })
    }

    /// How many namespaces have a report.
    #[must_use]
    pub fn namespaces(&self) -> usize {
        self.namespaces
    }

    /// Whether states count: those who write reports are at work.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Sets whether states count.
    pub fn set_fresh(&mut self, fresh: bool) {
        self.fresh = fresh;
    }
}

/// Nothing, which is not fresh.
impl Default for Knowledge {
    fn default() -> Self {
        Self { parts: vec![Part::default(); PARTS].into(), namespaces: 0, bytes: 0, fresh: false }
    }
}

/// A quick hash of a name. It has no key, and those who may make namespaces can choose names with the same hash. So a part is
/// searched in logarithmic time whatever the hashes are, and such names cost only larger copies when they change.
fn hash(name: &str) -> u64 {
    /// An odd number without a pattern: 2^64 divided by the golden ratio.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| {
        let hash = (hash ^ word).wrapping_mul(FACTOR);
        hash ^ (hash >> 32)
    };
    let (words, rest) = name.as_bytes().as_chunks();
    let hash = words.iter().fold(0, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    mix(hash, rest.iter().fold(0, |word, &byte| (word << 8) | u64::from(byte)))
}

/// The part of a hash: by other bits than those that order the part.
fn part_of(hash: u64) -> usize {
    usize::try_from(hash % PARTS as u64).unwrap_or_default()
}

/// Where a namespace is in its part, or else where it would be.
fn place_of(part: &[(u64, ReportedSecrets)], hash: u64, namespace: &str) -> Result<usize, usize> {
    part.binary_search_by(|(it, secrets)| it.cmp(&hash).then_with(|| secrets.compare(namespace)))
}

// === impl NamespaceKnowledge ===

impl<'k> NamespaceKnowledge<'k> {
    /// What is known of the Secret of this name; `None` where nothing is, or it may no longer hold.
    #[must_use]
    pub fn secret(&self, name: &'k str) -> Option<KnownSecret<'k>> {
        if self.fresh { self.secrets.find(name) } else { None }
    }

    /// The Secrets whose registry keys are known and that a kubelet can read, by name: also if it may no longer hold.
    pub fn readable(&self) -> impl Iterator<Item = KnownSecret<'k>> + use<'k> {
        self.secrets.iter().filter(KnownSecret::is_readable)
    }
}

#[cfg(test)]
mod tests;
