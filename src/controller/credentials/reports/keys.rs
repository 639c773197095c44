//! What a Secret that somebody else made holds: the registry keys of its Docker config, and never a value of it.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use zeroize::Zeroizing;

use crate::core::keyring::{
    RegistryKey,
    secret::{self, Contents as Read, Form, Ignored},
};

/// How many keys of a Secret are kept. A Pod's images need a few.
pub(in super::super) const KEYS_MAX: usize = 64;
/// The longest key that is kept, in bytes. The longest host has 253.
const KEY_MAX: usize = 512;

/// What a Secret holds, as a kubelet reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Contents {
    /// Logins for these registry keys. There may be none.
    Keys(Box<[Box<str>]>),
    /// It could not be asked.
    Unknown,
    /// A kubelet cannot read it, and fails every pull.
    Unreadable,
    /// A kubelet passes over its type.
    WrongType,
}

/// A Secret that has been read, and of which no more is kept.
#[derive(Debug, Clone)]
pub(in super::super) struct PullSecret {
    /// What it holds.
    pub(in super::super) contents: Contents,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default, rename = "type")]
    type_: String,
    data: Option<Data>,
}

/// The values under the keys of the two types. Others are passed over as they come.
#[derive(Default)]
struct Data(Vec<(&'static str, Value)>);

/// A value, decoded from base64, which is wiped when dropped.
struct Value(Zeroizing<Vec<u8>>);

// === impl Contents ===

impl Contents {
    fn of(type_: &str, data: &Data) -> Self {
        let find =
            |key: &str| data.0.iter().find(|(it, _)| *it == key).map(|(_, it)| it.0.as_slice());
        match secret::read(type_, find) {
            Ok(Read::Entries(entries)) => {
                let with_login = entries.iter().filter(|entry| !entry.login.is_empty());
                let keys = with_login.filter_map(|entry| plain(&entry.key));
                Self::Keys(keys.take(KEYS_MAX).collect())
            }
            Ok(Read::Ignored(Ignored::Type(_))) => Self::WrongType,
            Ok(Read::Ignored(_)) => Self::Keys(Box::default()),
            Err(_) => Self::Unreadable,
        }
    }
}

/// A key without what may be secret in it, as far as the kubelet reads it the same way: a mistyped key may hold a password.
fn plain(key: &RegistryKey) -> Option<Box<str>> {
    let index = key.index_key()?;
    let raw = key.as_str();
    let plain = if raw.contains(['@', '?', '#']) {
        let rest = raw.split_once("://").map_or(raw, |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        // Behind the authority, an `@` may end a password that holds a slash.
        let is_clear = !rest.get(authority.len()..).unwrap_or_default().contains('@');
        let is_same = index.index_key().as_ref() == Some(&index);
        (is_clear && is_same).then(|| index.as_str())?
    } else {
        raw
    };
    (plain.len() <= KEY_MAX).then(|| plain.into())
}

// === reading ===

impl<'de> Deserialize<'de> for PullSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Answer { type_, data } = Answer::deserialize(deserializer)?;
        Ok(Self { contents: Contents::of(&type_, &data.unwrap_or_default()) })
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self::default())
    }
}

impl<'de> Visitor<'de> for Data {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the data of a Secret")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        let data_keys = [Form::DockerConfigJson, Form::DockerCfg].map(Form::data_key);
        while let Some(key) = map.next_key::<Box<str>>()? {
            match data_keys.into_iter().find(|it| **it == *key) {
                Some(known) => self.0.push((known, map.next_value()?)),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(self)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Self(Zeroizing::default()))
    }
}

impl Visitor<'_> for Value {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value in base64")
    }

    /// The API server stores nothing that is not base64; a value that is not counts as empty.
    fn visit_str<E>(self, text: &str) -> Result<Self, E> {
        Ok(Self(BASE64_STANDARD.decode(text).map(Zeroizing::new).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    const CONFIG: &str = ".dockerconfigjson";
    const TYPE: &str = "kubernetes.io/dockerconfigjson";

    fn read(type_: &str, data_key: &str, value: &str) -> PullSecret {
        let secret = json!({
            "metadata": {"name": "robot", "namespace": "shop"},
            "type": type_, "data": {data_key: BASE64_STANDARD.encode(value), "other": "b3RoZXI="},
        });
        serde_json::from_str(&secret.to_string()).unwrap()
    }

    fn keys(config: &str) -> Contents {
        read(TYPE, CONFIG, config).contents
    }

    fn keyed(keys: &[&str]) -> Contents {
        Contents::Keys(keys.iter().map(|&key| key.into()).collect())
    }

    #[test]
    fn the_keys_with_a_login_are_kept_and_nothing_else() {
        let config = r#"{"auths": {"quay.io/team": {"auth": "dTpw"}, "https://index.docker.io/v1/": {"username": "u"},
            "empty.io": {}, "reg[.io": {"auth": "dTpw"}}}"#;
        assert_eq!(keys(config), keyed(&["https://index.docker.io/v1/", "quay.io/team"]));
        let old = read("kubernetes.io/dockercfg", ".dockercfg", r#"{"quay.io": {"auth": "dTpw"}}"#);
        assert_eq!(old.contents, keyed(&["quay.io"]));
    }

    #[test]
    fn a_kubelets_reading_decides() {
        for (type_, data_key, value, expected) in [
            (TYPE, CONFIG, "{", Contents::Unreadable),
            (TYPE, CONFIG, r#"{"auths": {"a.io": {"auth": "eA=="}}}"#, Contents::Unreadable),
            (TYPE, CONFIG, "", keyed(&[])),
            (TYPE, ".dockercfg", "{", keyed(&[])),
            ("Opaque", CONFIG, "{", Contents::WrongType),
        ] {
            let secret = read(type_, data_key, value);
            assert_eq!(secret.contents, expected, "{type_} {data_key} {value}");
        }
        let bare: PullSecret = serde_json::from_str(r#"{"type": "Opaque"}"#).unwrap();
        assert_eq!(bare.contents, Contents::WrongType);
    }

    #[test]
    fn no_key_shows_a_password_that_was_written_into_it() {
        for (key, expected) in [
            ("https://user:hunter2@quay.io/x", Some("quay.io/x")),
            ("https://user:1234/56@quay.io", None),
            ("https://user:1234?56@quay.io", None),
            ("user:hunt/er2@quay.io", None),
            ("quay.io/x?token=hunter2", Some("quay.io/x")),
            ("https://u@quay.io/v1/v1/x", None),
        ] {
            let config = json!({"auths": {key: {"auth": "dTpw"}}}).to_string();
            let expected: Vec<_> = expected.into_iter().collect();
            assert_eq!(keys(&config), keyed(&expected), "{key}");
        }
        let long = "a".repeat(KEY_MAX + 1);
        assert_eq!(keys(&json!({"auths": {long: {"auth": "dTpw"}}}).to_string()), keyed(&[]));
    }

    #[test]
    fn there_are_no_more_keys_than_a_pod_can_need() {
        let auths: BTreeMap<_, _> =
            (0..1000).map(|it| (format!("r{it}.io"), json!({"auth": "dTpw"}))).collect();
        let Contents::Keys(keys) = keys(&json!({"auths": auths}).to_string()) else {
            panic!("unreadable")
        };
        assert_eq!(keys.len(), KEYS_MAX);
    }
}
