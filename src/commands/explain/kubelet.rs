//! What the kubelet does with a Pod's pull Secrets.

use serde::{Serialize, Serializer};

use crate::{
    commands::manifests::SecretManifest,
    core::{
        image::ImageRef,
        keyring::{
            Keyring, Missed, Offer, RegistryKey,
            secret::{Contents, Flaw, Ignored, SecretError},
        },
    },
};

/// The pull Secrets of a Pod, in the order of its list, as the kubelet reads them.
#[derive(Debug, Default)]
pub(super) struct PullSecrets {
    keyring: Keyring,
    /// All of their names.
    pub(super) names: Vec<String>,
    /// Each of these alone fails every pull of the Pod.
    pub(super) bad: Vec<(String, SecretError)>,
    /// These are passed over.
    pub(super) ignored: Vec<(String, Ignored)>,
    /// What in the others was most likely not meant.
    pub(super) flaws: Vec<(String, Flaw)>,
    /// The entries without a login, by the position of their Secret in the keyring.
    empty: Vec<(usize, RegistryKey)>,
}

/// What the kubelet does for an image, as JSON has it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct KubeletAnswer {
    /// Whether it pulls nothing: the image is no reference, or a Secret cannot be read.
    error: bool,
    bad_secrets: Vec<String>,
    matches: Vec<MatchedKey>,
    /// The Secrets of `matches`, each once, in the order of first use.
    secrets: Vec<String>,
}

/// An entry of a Secret that is tried.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct MatchedKey {
    secret: String,
    /// In JSON as it is written in the Secret; elsewhere without the login that may be in it.
    #[serde(serialize_with = "whole")]
    key: RegistryKey,
    /// When it is tried, from 1; the order among equal ranks is open.
    rank: usize,
}

// === impl PullSecrets ===

impl PullSecrets {
    /// Reads Secrets in the order in which a Pod lists them.
    pub(super) fn new<'s>(secrets: impl IntoIterator<Item = &'s SecretManifest>) -> Self {
        let mut good = Vec::new();
        let mut bad: Vec<(String, SecretError)> = Vec::new();
        let (mut ignored, mut flaws, mut empty) = (Vec::new(), Vec::new(), Vec::new());
        let mut names = Vec::new();
        for secret in secrets {
            let name = secret.name.as_str();
            names.push(name.to_owned());
            match secret.contents() {
                Ok(Contents::Entries(entries)) => {
                    let without = entries.iter().filter(|entry| entry.login.is_empty());
                    empty.extend(without.map(|entry| (good.len(), entry.key.clone())));
                    flaws.extend(secret.flaws().into_iter().map(|flaw| (name.to_owned(), flaw)));
                    good.push((name, entries));
                }
                Ok(Contents::Ignored(reason)) => ignored.push((name.to_owned(), reason)),
                // A Secret that is listed twice is named once.
                Err(_) if bad.iter().any(|(known, _)| known == name) => {}
                Err(error) => bad.push((name.to_owned(), error)),
            }
        }
        let keys = good
            .into_iter()
            .map(|(name, entries)| (name, entries.into_iter().map(|entry| entry.key)));
        Self { keyring: Keyring::new(keys), names, bad, ignored, flaws, empty }
    }

    /// What the kubelet would try for `image` if all Secrets could be read.
    pub(super) fn offers(&self, image: &ImageRef<'_>) -> Vec<Offer<'_>> {
        self.keyring.lookup(image)
    }

    /// Whether what is offered is no login: the registry is asked without one.
    pub(super) fn is_empty(&self, offer: &Offer<'_>) -> bool {
        self.empty.iter().any(|(position, key)| *position == offer.position && key == offer.key)
    }

    /// The entries that were probably meant for `image`.
    pub(super) fn near_misses(&self, image: &ImageRef<'_>) -> Vec<Missed<'_>> {
        self.keyring.near_misses(image)
    }

    /// What the kubelet does for `image`; none where that is no reference.
    pub(super) fn answer(&self, image: Option<&ImageRef<'_>>) -> KubeletAnswer {
        let image = image.filter(|_| self.bad.is_empty());
        let offers = image.map(|image| self.offers(image)).unwrap_or_default();
        let mut secrets: Vec<String> = Vec::new();
        for offer in &offers {
            if !secrets.iter().any(|name| name == offer.secret) {
                secrets.push(offer.secret.to_owned());
            }
        }
        KubeletAnswer {
            error: image.is_none(),
            bad_secrets: self.bad.iter().map(|(name, _)| name.clone()).collect(),
            matches: offers.into_iter().map(MatchedKey::from).collect(),
            secrets,
        }
    }
}

// === impl MatchedKey ===

impl From<Offer<'_>> for MatchedKey {
    fn from(Offer { secret, key, rank, .. }: Offer<'_>) -> Self {
        Self { secret: secret.to_owned(), key: key.clone(), rank }
    }
}

fn whole<S: Serializer>(key: &RegistryKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(key.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_whole_in_json_alone() {
        let key = RegistryKey::from("https://user:hunter2@quay.io");
        let matched = MatchedKey { secret: "s".to_owned(), key, rank: 1 };
        assert!(!format!("{matched:?}").contains("hunter2"));
        let json = r#"{"secret":"s","key":"https://user:hunter2@quay.io","rank":1}"#;
        assert_eq!(serde_json::to_string(&matched).unwrap(), json);
    }
}
