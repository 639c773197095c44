//! Logins of kubelet credential providers: the protocol `credentialprovider.kubelet.k8s.io/v1`, and [running](run()) one.
//!
//! A plugin is asked for one image of a rule's registry. Of its answer, the entry counts that the kubelet would use for that
//! image, and no other: what it says of other hosts is not wanted here.

mod problem;
mod run;

use std::{collections::BTreeMap, fmt};

use serde::Deserialize;
use zeroize::Zeroizing;

pub use self::{problem::PluginProblem, run::run};
use super::{
    minted::{Expiring, HostLogin, Minted, Renewal},
    secret_text::SecretText,
};
use crate::core::{
    expiry::Life,
    image::ImageRef,
    keyring::{Keyring, RegistryKey},
    rules::RegistryPattern,
};

const API_VERSION: &str = "credentialprovider.kubelet.k8s.io/v1";

/// The image for which a plugin is asked: one that the registry of a rule covers.
#[must_use]
pub fn image(registry: &RegistryPattern) -> String {
    registry.example_image()
}

/// The request that a plugin reads, for an image and perhaps with a ServiceAccount's token.
#[must_use]
pub fn request(image: &str, token: Option<&SecretText>) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::with_capacity(
        512 + 6 * image.len() + 6 * token.map_or(0, |token| token.len()),
    ));
    let mut push = |part: &[u8]| text.extend_from_slice(part);
    push(br#"{"kind":"CredentialProviderRequest","apiVersion":""#);
    push(API_VERSION.as_bytes());
    push(br#"","image":"#);
    push(serde_json::Value::from(image).to_string().as_bytes());
    if let Some(token) = token {
        // Characters of tokens need no escapes; others would not be a token.
        let plain =
            token.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
        push(br#","serviceAccountToken":""#);
        push(if plain { token.as_bytes() } else { b"" });
        push(b"\"");
    }
    push(b"}");
    text
}

/// Reads what a plugin answered at a time, for the image of [`image`] of a registry. `refresh` is the mapping's word for how
/// often to ask.
///
/// # Errors
///
/// [`PluginProblem`], which repeats nothing of the answer.
pub fn read(
    stdout: &[u8],
    registry: &RegistryPattern,
    refresh: Option<u32>,
    now: i64,
) -> Result<Minted, PluginProblem> {
    // A list would be read as the fields in their order.
    if !stdout.trim_ascii_start().starts_with(b"{") {
        return Err(PluginProblem::Answer("is not a JSON object"));
    }
    let response: Response = serde_json::from_slice(stdout).map_err(|error| {
        PluginProblem::Answer(if error.is_data() {
            "has a field that is missing or of another type"
        } else {
            "is not JSON"
        })
    })?;
    if response.kind != "CredentialProviderResponse" {
        return Err(PluginProblem::Answer("is not a CredentialProviderResponse"));
    }
    if response.api_version != API_VERSION {
        return Err(PluginProblem::Answer("is of another version"));
    }
    if !matches!(response.cache_key_type.as_str(), "Image" | "Registry" | "Global") {
        return Err(PluginProblem::Answer("has an unknown cacheKeyType"));
    }
    let cached = response.cache_duration.as_deref().map(duration).transpose()?;
    let Login { username, password } = chosen(response.auth.unwrap_or_default(), registry)?;
    let password = SecretText::from(password.0.as_str());
    let ends = Life::of_token(&password).map(|it| it.ends);
    let login = Expiring::new(username.0.as_str().into(), password, 0);
    let login = login
        .map_err(|_| PluginProblem::Login("it is too long, or has characters that no login has"))?;

    let refresh = refresh.map(i64::from);
    // A cache of no seconds says that the duration is not known.
    let cached = cached.filter(|seconds| *seconds > 0);
    let half = ends.map(|ends| ends.saturating_sub(now) / 2);
    if half.is_some_and(|half| half <= 0) {
        return Err(PluginProblem::Over(now.saturating_sub(ends.unwrap_or(now))));
    }
    let next =
        [half, cached, refresh].into_iter().flatten().min().ok_or(PluginProblem::NoDuration)?;
    // Where the login does not say when it ends, it counts as ended when it was not renewed for twice as long as planned.
    let expires_at = ends.unwrap_or_else(|| now.saturating_add(2 * next));
    let host = registry.host();
    Ok(Minted {
        logins: vec![HostLogin { host: host.into(), ..login.at(host) }],
        expires_at,
        life: expires_at.saturating_sub(now),
        renewal: Renewal::After(next),
        skew: None,
    })
}

/// The login that the kubelet would use for the registry. Entries without a user or a password are none: they are how some
/// plugins fail.
fn chosen(
    mut auth: BTreeMap<String, Login>,
    registry: &RegistryPattern,
) -> Result<Login, PluginProblem> {
    auth.retain(|_, login| !login.username.0.is_empty() && !login.password.0.is_empty());
    let keys = auth.keys().map(|key| RegistryKey::from(key.as_str()));
    let keyring = Keyring::new([("", keys.filter_map(|key| key.index_key()))]);
    let image = registry.example_image();
    let image = ImageRef::parse(&image).ok();
    let offers = image.as_ref().map(|image| keyring.lookup(image)).unwrap_or_default();
    let found = offers.first().and_then(|offer| {
        let is =
            |key: &String| RegistryKey::from(key.as_str()).index_key().as_ref() == Some(offer.key);
        auth.keys().find(|key| is(key)).cloned()
    });
    let none = || PluginProblem::NoLogin(registry.as_str().into());
    found.and_then(|key| auth.remove(&key)).ok_or_else(none)
}

/// A duration of Go's, such as `6h0m0s`, in whole seconds.
fn duration(text: &str) -> Result<i64, PluginProblem> {
    let wrong = || PluginProblem::Answer("has a cacheDuration that is no duration");
    let mut rest = text;
    let mut seconds = 0.0;
    if text == "0" {
        return Ok(0);
    }
    if text.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let value: f64 = rest[..number].parse().map_err(|_| wrong())?;
        rest = &rest[number..];
        let units = [
            ("ns", 1e-9),
            ("us", 1e-6),
            ("µs", 1e-6),
            ("ms", 1e-3),
            ("h", 3600.0),
            ("m", 60.0),
            ("s", 1.0),
        ];
        let (unit, factor) =
            units.iter().find(|(unit, _)| rest.starts_with(unit)).ok_or_else(wrong)?;
        seconds += value * factor;
        rest = &rest[unit.len()..];
    }
    super::minted::whole(seconds).ok_or_else(wrong)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    kind: String,
    api_version: String,
    cache_key_type: String,
    cache_duration: Option<String>,
    auth: Option<BTreeMap<String, Login>>,
}

/// A user and a password, which may be empty.
#[derive(Deserialize)]
struct Login {
    username: Text,
    password: Text,
}

/// A text that is overwritten when dropped, and may be empty.
#[derive(Default)]
struct Text(Zeroizing<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

#[cfg(test)]
mod tests;
