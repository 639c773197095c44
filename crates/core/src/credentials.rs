//! The logins of a pull Secret, reduced to the registries of a rule.
//!
//! [`Credentials::read`] reads the logins from a Secret's data as the kubelet does; [`Credentials::slice`] keeps the logins
//! for a rule, under keys that are no wider than the rule; [`Slice::render`] writes them as a Docker config.
//! The result depends only on the logins and the patterns, so that all processes write the same bytes.
//!
//! User names and passwords are copied byte for byte. They are overwritten in memory when dropped, and no `Debug` shows them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    expiry::Life,
    image::ImageRef,
    keyring::{
        Keyring, RegistryKey,
        secret::{self, Credential, Ignored, SecretError},
    },
    rules::RegistryPattern,
};

/// The most data that a Secret can have, in bytes (`MaxSecretSize` of `k8s.io/api/core/v1`).
pub const SECRET_MAX: usize = 1 << 20;

/// The logins of a pull Secret, by the kubelet's index key: the registry key without scheme and API version.
#[derive(Default)]
pub struct Credentials {
    logins: BTreeMap<RegistryKey, Credential>,
}

/// Why no logins can be read from a Secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// The kubelet ignores the Secret.
    #[error("{0}")]
    Ignored(Ignored),
    /// The kubelet cannot read the Secret.
    #[error(transparent)]
    Unreadable(#[from] SecretError),
}

/// The logins of a Secret for the registries of a rule.
#[derive(Default)]
pub struct Slice {
    logins: BTreeMap<Box<str>, Credential>,
    unserved: Vec<RegistryPattern>,
}

// === impl Credentials ===

impl Credentials {
    /// Reads the logins of a Secret from its type and its data, which `data` finds by key. Entries without user and
    /// password are left out: the kubelet would offer them, but no registry accepts them.
    ///
    /// # Errors
    ///
    /// [`CredentialsError`], whose text contains no data of the Secret.
    pub fn read<'d>(
        type_: &str,
        data: impl Fn(&str) -> Option<&'d [u8]>,
    ) -> Result<Self, CredentialsError> {
        let entries = secret::entries(type_, data)?.map_err(CredentialsError::Ignored)?;
        let mut logins = BTreeMap::new();
        for (key, credential) in entries {
            let key = RegistryKey::from(key).index_key();
            if let Some(key) = key.filter(|_| !credential.is_empty()) {
                // Of two keys with the same index key, the kubelet tries the one that sorts first.
                logins.entry(key).or_insert(credential);
            }
        }
        Ok(Self { logins })
    }

    /// Logins for hosts: `(host, user, password)`.
    #[must_use]
    pub fn of_hosts<'h>(logins: impl IntoIterator<Item = (&'h str, &'h str, &'h str)>) -> Self {
        let secret = |text: &str| Zeroizing::new(text.as_bytes().to_vec());
        let logins = logins.into_iter().filter_map(|(host, user, password)| {
            let key = RegistryKey::from(host.to_owned()).index_key()?;
            Some((key, Credential { username: secret(user), password: secret(password) }))
        });
        Self { logins: logins.collect() }
    }

    /// User and password that the kubelet offers first for an image, if both are text.
    #[must_use]
    pub fn login_for(
        &self,
        image: &ImageRef<'_>,
    ) -> Option<(Zeroizing<String>, Zeroizing<String>)> {
        let keyring = Keyring::new([("", self.logins.keys().cloned())]);
        let offers = keyring.lookup(image);
        let Credential { username, password } = self.logins.get(offers.first()?.key)?;
        let text = |bytes: &[u8]| Some(Zeroizing::new(str::from_utf8(bytes).ok()?.to_owned()));
        Some((text(username)?, text(password)?))
    }

    /// The keys, in the form in which the kubelet compares them with images.
    pub fn keys(&self) -> impl Iterator<Item = &RegistryKey> {
        self.logins.keys()
    }

    /// The logins that serve `patterns`, each under a key that is no wider than one of them.
    ///
    /// | the login's key | result |
    /// |---|---|
    /// | covers the pattern, such as `ghcr.io` for `ghcr.io/acme` | the login under the pattern; of several logins, the one that the kubelet tries first |
    /// | is covered by the pattern | the login under its own key |
    /// | neither | no login |
    ///
    /// Paths are compared by whole segments, as in rules: a login for `ghcr.io/acme` does not serve `ghcr.io/acmeevil`,
    /// although the kubelet would offer it there.
    #[must_use]
    pub fn slice(&self, patterns: &[RegistryPattern]) -> Slice {
        let mut slice = Slice::default();
        let as_patterns: Vec<(&Credential, RegistryPattern)> = self
            .logins
            .iter()
            .filter_map(|(key, login)| Some((login, key.as_str().parse().ok()?)))
            .collect();
        for pattern in patterns {
            let whole = if pattern.is_glob() {
                widest_fit(&as_patterns, pattern)
            } else {
                self.first_offer(pattern)
            };
            let narrower = as_patterns.iter().filter(|(_, key)| pattern.includes(key));
            let mut served = whole.is_some();
            for (login, key) in narrower {
                served = true;
                slice.logins.entry(key_of(key)).or_insert_with(|| (*login).clone());
            }
            if let Some(login) = whole {
                slice.logins.insert(key_of(pattern), login.clone());
            }
            if !served {
                slice.unserved.push(pattern.clone());
            }
        }
        slice
    }

    /// The login that the kubelet tries first for what `pattern`, which is no glob, covers as a whole.
    fn first_offer(&self, pattern: &RegistryPattern) -> Option<&Credential> {
        let image = pattern.example_image();
        let image = ImageRef::parse(&image).ok()?;
        let keyring = Keyring::new([("", self.logins.keys().cloned())]);
        let offers = keyring.lookup(&image);
        let offer = offers.iter().find(|offer| {
            let path = offer.key.as_str().split_once('/').map_or("", |(_, path)| path);
            is_above(path, pattern.path())
        })?;
        self.logins.get(offer.key)
    }
}

/// The login for the narrowest key that covers all of a glob.
fn widest_fit<'c>(
    logins: &[(&'c Credential, RegistryPattern)],
    pattern: &RegistryPattern,
) -> Option<&'c Credential> {
    let covering = logins.iter().filter(|(_, key)| key.includes(pattern));
    let narrowest = covering.max_by_key(|(_, key)| (key.path().len(), key.host().len()));
    narrowest.map(|(login, _)| *login)
}

/// Whether everything below the path `narrow` is below the path `wide`, by whole segments.
fn is_above(wide: &str, narrow: &str) -> bool {
    narrow.strip_prefix(wide).is_some_and(|rest| {
        wide.is_empty() || wide.ends_with('/') || rest.is_empty() || rest.starts_with('/')
    })
}

/// A pattern in the form in which the kubelet compares keys.
fn key_of(pattern: &RegistryPattern) -> Box<str> {
    match pattern.path() {
        "" => pattern.host().into(),
        path => format!("{}/{path}", pattern.host()).into(),
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.logins.keys()).finish()
    }
}

// === impl Slice ===

impl Slice {
    /// The patterns that no login serves.
    #[must_use]
    pub fn unserved(&self) -> &[RegistryPattern] {
        &self.unserved
    }

    /// Whether the slice has no logins.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.logins.is_empty()
    }

    /// The life of the login that ends first, as far as passwords say it.
    #[must_use]
    pub fn life(&self) -> Option<Life> {
        let lives = self.logins.values().filter_map(|it| Life::of_password(&it.password));
        lives.min_by_key(|it| it.ends)
    }

    /// The keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.logins.keys().map(|key| &**key)
    }

    /// Adds the logins of `other`. Where both have a key, `self` keeps its own.
    pub fn merge(&mut self, other: Self) {
        for (key, login) in other.logins {
            self.logins.entry(key).or_insert(login);
        }
        let known: BTreeSet<&str> = self.unserved.iter().map(RegistryPattern::as_str).collect();
        let new: Vec<_> =
            other.unserved.into_iter().filter(|it| !known.contains(it.as_str())).collect();
        self.unserved.extend(new);
    }

    /// The Docker config of the data key `.dockerconfigjson`: `{"auths": {…}}`, sorted by key.
    ///
    /// A user name with a colon is written as `username`: in `auth`, the colon would end it.
    #[must_use]
    pub fn render(&self) -> Zeroizing<Vec<u8>> {
        // A byte takes at most six bytes in JSON. The buffer must not grow, since that would leave copies in memory.
        let length = |it: &Credential| it.username.len() + it.password.len();
        let sizes = self.logins.iter().map(|(key, login)| 6 * (key.len() + length(login)) + 64);
        let capacity = sizes.sum::<usize>() + 16;
        let mut text = Zeroizing::new(Vec::with_capacity(capacity));
        text.extend_from_slice(b"{\"auths\":{");
        for (at, (key, login)) in self.logins.iter().enumerate() {
            if at > 0 {
                text.push(b',');
            }
            push_string(&mut text, key);
            text.push(b':');
            login.render_into(&mut text);
        }
        text.extend_from_slice(b"}}");
        text
    }

    /// A fingerprint of [`Self::render`], in 32 hexadecimal digits. It is an HMAC: without `key`, the
    /// fingerprint cannot be used to guess passwords.
    #[must_use]
    pub fn fingerprint(&self, key: &[u8]) -> String {
        // HMAC accepts a key of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
        mac.update(&self.render());
        let digest = mac.finalize().into_bytes();
        let half = digest.first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes));
        format!("{half:032x}")
    }
}

impl fmt::Debug for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slice")
            .field("keys", &self.logins.keys().collect::<Vec<_>>())
            .field("unserved", &self.unserved)
            .finish()
    }
}

// === impl Credential ===

impl Credential {
    fn is_empty(&self) -> bool {
        self.username.is_empty() && self.password.is_empty()
    }

    fn render_into(&self, text: &mut Vec<u8>) {
        // Such a user comes from `username`, which is text.
        let as_text =
            || Some((str::from_utf8(&self.username).ok()?, str::from_utf8(&self.password).ok()?));
        if let Some((username, password)) = self.username.contains(&b':').then(as_text).flatten() {
            text.extend_from_slice(b"{\"username\":");
            push_string(text, username);
            text.extend_from_slice(b",\"password\":");
            push_string(text, password);
            text.push(b'}');
            return;
        }
        let pair = Zeroizing::new([&self.username[..], b":", &self.password[..]].concat());
        let auth = Zeroizing::new(BASE64_STANDARD.encode(&*pair));
        text.extend_from_slice(b"{\"auth\":\"");
        text.extend_from_slice(auth.as_bytes());
        text.extend_from_slice(b"\"}");
    }
}

/// Appends a JSON string.
fn push_string(text: &mut Vec<u8>, string: &str) {
    // Writing a string to a Vec does not fail.
    let _ = serde_json::to_writer(text, string);
}

#[cfg(test)]
mod tests;
