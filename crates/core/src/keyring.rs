//! Which pull Secrets the kubelet offers for an image, and in which order.
//!
//! For each pull the kubelet reads the Pod's `imagePullSecrets` into a keyring and asks it for the image's
//! name (`pkg/credentialprovider` of `k8s.io/kubernetes`). The result depends on Go's JSON decoder,
//! Go's URL parser and Go's file name globs, so this module follows their rules byte by byte.
//!
//! There are two steps, and only the first handles credentials:
//!
//! 1. [`secret::read`] reads the bytes of one Secret into its entries, or explains why the kubelet ignores it,
//!    or why it fails every pull of the Pod.
//! 2. [`Keyring`] is built from names and registry keys alone, and [`Keyring::lookup`] gives the [`Offer`]s
//!    for an image. [`near_miss()`] explains why a key that seems to fit does not match.

use std::{collections::BTreeMap, fmt};

use super::{docker_hub, image::ImageRef};

mod cloud;
mod go_glob;
mod go_json;
mod go_url;
mod key;
mod location;
mod near_miss;
mod registries;
pub mod secret;

pub use cloud::are_siblings;
pub use key::RegistryKey;
pub use near_miss::{NearMiss, near_miss};
pub(crate) use registries::Registries;

use location::{Location, index_key};

/// The index key of [`docker_hub::LOGIN_KEY`], whose credentials are the fallback for Docker Hub.
const DOCKER_HUB_KEY: &[u8] = docker_hub::LEGACY_HOST.as_bytes();

/// The registry keys of a Pod's pull Secrets, in the order in which the kubelet tries them.
#[derive(Default)]
pub struct Keyring {
    /// The names of the Secrets, as the Pod lists them. A name may occur twice.
    secrets: Vec<Box<str>>,
    /// Descending by index key.
    slots: Vec<Slot>,
    /// Keys that are not URLs. The kubelet drops them without an error.
    dropped: Vec<Key>,
}

/// All keys with the same index key.
struct Slot {
    index_key: Vec<u8>,
    /// What the index key covers; `None` where it is not a URL and covers nothing.
    location: Option<Location>,
    /// In the order of the Secrets, and sorted within each.
    keys: Vec<Key>,
}

/// A key and the position of its Secret in the list.
struct Key {
    position: usize,
    key: RegistryKey,
}

/// One entry of a Secret that the kubelet tries for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer<'k> {
    /// The name of the Secret.
    pub secret: &'k str,
    /// The position of the Secret in the list that the keyring was built from, counted from 0.
    pub position: usize,
    /// The key of the entry, as it is written in the Secret.
    pub key: &'k RegistryKey,
    /// The turn in which the kubelet tries the entry, counted from 1. Entries of one Secret may have the same rank: their
    /// order is undefined, because the kubelet iterates over a Go map.
    pub rank: usize,
}

/// An entry that seems to fit an image, but that the kubelet does not try for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed<'k> {
    /// The name of the Secret.
    pub secret: &'k str,
    /// The position of the Secret in the list that the keyring was built from, counted from 0.
    pub position: usize,
    /// The key of the entry, as it is written in the Secret.
    pub key: &'k RegistryKey,
    /// Why the kubelet does not try it.
    pub reason: NearMiss,
}

// === impl Keyring ===

impl Keyring {
    /// Builds the keyring of a Pod from the names of its pull Secrets and the keys of their entries.
    ///
    /// The Secrets are in the order of `imagePullSecrets`. Secrets that the kubelet ignores may be left
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

    /// The entries that seem to fit an image, but that the kubelet does not try for it.
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

    /// The slot of Docker Hub's own key, which the kubelet tries where no other key matches.
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

/// Shows the keys as [`RegistryKey`] does, without their locations: a mistyped key may have credentials in
/// its path.
impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.slots.iter().flat_map(|slot| &slot.keys).chain(&self.dropped);
        let keys: Vec<_> = keys.map(|Key { position, key }| (position, key)).collect();
        f.debug_struct("Keyring").field("secrets", &self.secrets).field("keys", &keys).finish()
    }
}

/// Whether the kubelet treats an image as one on Docker Hub.
///
/// The kubelet checks the name only and reads any host without a dot or colon as a user name, so
/// `localhost/app` gets Docker Hub's credentials as well.
fn is_on_docker_hub(name: &str) -> bool {
    let first = name.split('/').next().unwrap_or(name);
    docker_hub::is_named_by(first) || !first.contains(['.', ':'])
}
