//! Which pull Secrets the kubelet offers for an image, and in which order.
//!
//! For each pull the kubelet reads the Pod's `imagePullSecrets` into a keyring and asks it for the image's
//! name (`pkg/credentialprovider` of `k8s.io/kubernetes`). What comes out is decided by Go's JSON decoder,
//! Go's URL parser and Go's file name globs, so their rules are followed here byte by byte.
//!
//! Two steps, of which only the first sees credentials:
//!
//! 1. [`secret::read`] takes the bytes of one Secret to its entries, or says why the kubelet passes it over,
//!    or why it would fail every pull of the Pod.
//! 2. [`Keyring`] is built from names and registry keys alone, and [`Keyring::lookup`] gives the [`Offer`]s
//!    for an image. Where a key was expected to match and does not, [`near_miss()`] knows the reason.

use std::{collections::BTreeMap, fmt};

use super::{docker_hub, image::ImageRef};

mod cloud;
mod go_glob;
mod go_json;
mod go_url;
mod key;
mod location;
mod near_miss;
pub mod secret;

pub use cloud::are_siblings;
pub use key::RegistryKey;
pub use near_miss::{NearMiss, near_miss};

use location::{Location, index_key};

/// The index key of [`docker_hub::LOGIN_KEY`], whose credentials are the fallback for Docker Hub.
const DOCKER_HUB_KEY: &[u8] = docker_hub::LEGACY_HOST.as_bytes();

/// The registry keys of a Pod's pull Secrets, in the order in which the kubelet tries them.
#[derive(Default)]
pub struct Keyring {
    /// The names of the Secrets, as the Pod lists them. One may stand there twice.
    secrets: Vec<Box<str>>,
    /// Descending by index key.
    slots: Vec<Slot>,
    /// Those that are no URL, and that the kubelet drops without a word.
    dropped: Vec<Key>,
}

/// All keys that come to the same index key.
struct Slot {
    index_key: Vec<u8>,
    /// What the index key covers; none where it is no URL, and so covers nothing.
    location: Option<Location>,
    /// In the order of the Secrets, and sorted within each.
    keys: Vec<Key>,
}

/// A key and where its Secret stands in the list.
struct Key {
    position: usize,
    key: RegistryKey,
}

/// One entry of a Secret that the kubelet tries for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer<'k> {
    /// The name of the Secret.
    pub secret: &'k str,
    /// Where the Secret stands in the list that the keyring was made of, from 0.
    pub position: usize,
    /// The key of the entry, as it is written in the Secret.
    pub key: &'k RegistryKey,
    /// When the entry is tried, from 1. Entries of one Secret may share a rank: their order is open, because
    /// the kubelet takes it from a Go map.
    pub rank: usize,
}

/// An entry that looks as if it was meant for an image, but is not tried for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed<'k> {
    /// The name of the Secret.
    pub secret: &'k str,
    /// Where the Secret stands in the list that the keyring was made of, from 0.
    pub position: usize,
    /// The key of the entry, as it is written in the Secret.
    pub key: &'k RegistryKey,
    /// Why it is not tried.
    pub reason: NearMiss,
}

// === impl Keyring ===

impl Keyring {
    /// Builds the keyring of a Pod from the names of its pull Secrets and the keys of their entries.
    ///
    /// The Secrets stand in the order of `imagePullSecrets`. Those that the kubelet passes over may be left
    /// out or have no keys. If [`secret::read`] fails for one of them, the kubelet has no keyring at all.
    pub fn new<'s, K>(secrets: impl IntoIterator<Item = (&'s str, K)>) -> Self
    where
        K: IntoIterator<Item = RegistryKey>,
    {
        let mut names = Vec::new();
        let mut index = BTreeMap::<Vec<u8>, Vec<Key>>::new();
        let mut dropped = Vec::new();
        for (position, (name, keys)) in secrets.into_iter().enumerate() {
            names.push(name.into());
            let mut keys: Vec<_> = keys.into_iter().collect();
            keys.sort_unstable();
            for key in keys {
                let keys = match index_key(key.as_str()) {
                    Some(index_key) => index.entry(index_key).or_default(),
                    None => &mut dropped,
                };
                keys.push(Key { position, key });
            }
        }
        let slots = index.into_iter().rev().map(|(index_key, keys)| {
            let location = Location::parse(&index_key);
            Slot { index_key, location, keys }
        });
        Self { secrets: names, slots: slots.collect(), dropped }
    }

    /// The entries that the kubelet tries for an image, in its order.
    #[must_use]
    pub fn lookup(&self, image: &ImageRef<'_>) -> Vec<Offer<'_>> {
        let name = image.name();
        let matching = self.matching(&name);
        if matching.is_empty() && is_on_docker_hub(&name) {
            return self.offers(self.docker_hub());
        }
        self.offers(matching)
    }

    /// The entries that look as if they were meant for an image, but are not tried for it.
    #[must_use]
    pub fn near_misses(&self, image: &ImageRef<'_>) -> Vec<Missed<'_>> {
        let name = image.name();
        let hub_is_hidden = is_on_docker_hub(&name) && !self.matching(&name).is_empty();
        let hidden = self.docker_hub().filter(|_| hub_is_hidden).map(|slot| slot.keys.as_slice());
        let hidden = hidden.unwrap_or_default().iter().map(|key| (key, NearMiss::DockerHubHidden));

        let keys = self.slots.iter().flat_map(|slot| &slot.keys).chain(&self.dropped);
        let missed = keys.filter_map(|key| Some((key, near_miss(&key.key, image)?)));
        let missed = hidden.chain(missed).filter_map(|(Key { position, key }, reason)| {
            Some(Missed { secret: self.secrets.get(*position)?, position: *position, key, reason })
        });
        missed.collect()
    }

    /// The slots whose location covers the image of this name.
    fn matching(&self, name: &str) -> Vec<&Slot> {
        let Some(image) = Location::parse(name.as_bytes()) else {
            return Vec::new();
        };
        let covers = |slot: &&Slot| {
            slot.location.as_ref().is_some_and(|location| location.compare(&image).is_match())
        };
        self.slots.iter().filter(covers).collect()
    }

    /// The slot of Docker Hub's own key, which is tried where nothing matches.
    fn docker_hub(&self) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.index_key == DOCKER_HUB_KEY)
    }

    fn offers<'k>(&'k self, slots: impl IntoIterator<Item = &'k Slot>) -> Vec<Offer<'k>> {
        let mut offers = Vec::new();
        let mut rank = 0;
        for slot in slots {
            for same_secret in slot.keys.chunk_by(|one, next| one.position == next.position) {
                rank += 1;
                offers.extend(same_secret.iter().filter_map(|Key { position, key }| {
                    let secret = self.secrets.get(*position)?;
                    Some(Offer { secret, position: *position, key, rank })
                }));
            }
        }
        offers
    }
}

/// Shows the keys as [`RegistryKey`] does, and not what was read from them: a mistyped key may have
/// credentials in its path.
impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.slots.iter().flat_map(|slot| &slot.keys).chain(&self.dropped);
        let keys: Vec<_> = keys.map(|Key { position, key }| (position, key)).collect();
        f.debug_struct("Keyring").field("secrets", &self.secrets).field("keys", &keys).finish()
    }
}

/// Whether the kubelet takes an image for one of Docker Hub.
///
/// It looks at the name alone and takes any host without a dot or colon for a user's name, so that
/// `localhost/app` gets Docker Hub's credentials too.
fn is_on_docker_hub(name: &str) -> bool {
    let first = name.split('/').next().unwrap_or(name);
    docker_hub::is_named_by(first) || !first.contains(['.', ':'])
}
