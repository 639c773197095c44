//! Every answer of the upstream code in `tests/vectors`, asked again of `core`.

use std::{collections::BTreeMap, fmt::Debug};

use base64::{Engine, prelude::BASE64_STANDARD};
use pullcred_core::{
    image::ImageRef,
    keyring::{
        Keyring, RegistryKey,
        secret::{self, Contents, Entry, SecretError},
    },
};
use serde::{Deserialize, de::DeserializeOwned};

/// One line of `images.jsonl`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageVector {
    id: String,
    image: String,
    valid: bool,
    #[serde(default)]
    name: String,
    registry: String,
    repository: String,
    tag: String,
    digest: String,
    #[serde(default)]
    why: String,
    /// A reason for people: upstream's words are not ours.
    #[serde(default, rename = "error")]
    _error: String,
}

/// One line of `keyring.jsonl`.
#[derive(Debug, Deserialize)]
struct KeyringVector {
    id: String,
    image: String,
    auths_by_secret: Vec<SecretVector>,
    #[serde(flatten)]
    answer: Answer,
    #[serde(default)]
    why: String,
}

/// A Secret of a Pod.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretVector {
    name: String,
    #[serde(rename = "type")]
    type_: String,
    /// Null where the Secret has no data.
    #[serde(default)]
    data: Option<BTreeMap<String, String>>,
    #[serde(default)]
    data_base64: BTreeMap<String, String>,
    #[serde(default)]
    keys: Vec<String>,
    /// Whether the API server would take this Secret is not asked here.
    #[serde(default, rename = "api_rejects")]
    _api_rejects: bool,
}

/// All that a line of `keyring.jsonl` says about the outcome.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
struct Answer {
    error: bool,
    #[serde(default)]
    error_kind: String,
    matches: Vec<Match>,
    secrets: Vec<String>,
    #[serde(default)]
    bad_secrets: Vec<String>,
    #[serde(default)]
    secrets_without_bad: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Match {
    secret: String,
    key: String,
    username: String,
    rank: usize,
}

impl SecretVector {
    fn read(&self) -> Result<Vec<Entry>, SecretError> {
        let mut data: BTreeMap<_, _> = self
            .data
            .iter()
            .flatten()
            .map(|(key, text)| (key.as_str(), text.as_bytes().to_vec()))
            .collect();
        for (key, text) in &self.data_base64 {
            data.insert(key, BASE64_STANDARD.decode(text).unwrap_or_default());
        }
        match secret::read(&self.type_, |key| data.get(key).map(Vec::as_slice))? {
            Contents::Entries(entries) => Ok(entries),
            Contents::Ignored(_) => Ok(Vec::new()),
        }
    }
}

/// The names of all matches, each once, in the order of its first.
fn secrets(matches: &[Match]) -> Vec<String> {
    let mut secrets = Vec::new();
    for Match { secret, .. } in matches {
        if !secrets.contains(secret) {
            secrets.push(secret.clone());
        }
    }
    secrets
}

/// What the keyring of these Secrets offers for an image.
fn matches(image: &ImageRef<'_>, secrets: &[(&str, Vec<Entry>)]) -> Vec<Match> {
    let keys = |entries: &[Entry]| entries.iter().map(|entry| entry.key.clone()).collect();
    let keyring = Keyring::new(
        secrets.iter().map(|(name, entries)| -> (_, Vec<RegistryKey>) { (*name, keys(entries)) }),
    );
    let matches = keyring.lookup(image).into_iter().map(|offer| {
        let (name, entries) = &secrets[offer.position];
        assert_eq!(offer.secret, *name);
        let entry = entries.iter().find(|entry| entry.key == *offer.key);
        Match {
            secret: offer.secret.to_owned(),
            key: offer.key.as_str().to_owned(),
            username: entry.map(|entry| entry.login.username().into_owned()).unwrap_or_default(),
            rank: offer.rank,
        }
    });
    matches.collect()
}

fn answer(vector: &KeyringVector) -> Answer {
    let mut bad_secrets = Vec::new();
    let mut good = Vec::new();
    for secret in &vector.auths_by_secret {
        match secret.read() {
            Ok(entries) => good.push((secret.name.as_str(), entries)),
            // A Secret that is listed twice is named once.
            Err(_) if bad_secrets.contains(&secret.name) => {}
            Err(_) => bad_secrets.push(secret.name.clone()),
        }
    }
    let Ok(image) = ImageRef::parse(&vector.image) else {
        return Answer {
            error: true,
            error_kind: "image".to_owned(),
            bad_secrets,
            ..Answer::default()
        };
    };
    let matches = matches(&image, &good);
    let secrets = secrets(&matches);
    if bad_secrets.is_empty() {
        Answer { matches, secrets, ..Answer::default() }
    } else {
        Answer {
            error: true,
            error_kind: "secret".to_owned(),
            bad_secrets,
            secrets_without_bad: secrets,
            ..Answer::default()
        }
    }
}

/// Reads a file of vectors, one JSON object a line.
fn read<T: DeserializeOwned>(text: &str) -> serde_json::Result<Vec<T>> {
    text.lines().map(serde_json::from_str).collect()
}

/// The vectors whose answers differ from upstream's, for a person to read.
fn differences<T, A: PartialEq + Debug>(
    vectors: &[T],
    describe: fn(&T) -> String,
    answers: fn(&T) -> (A, A),
) -> Vec<String> {
    let difference = |vector| {
        let (ours, upstream) = answers(vector);
        (ours != upstream)
            .then(|| format!("{}: {ours:?}, but upstream {upstream:?}", describe(vector)))
    };
    vectors.iter().filter_map(difference).collect()
}

#[test]
fn images_mean_what_they_mean_to_the_kubelet() -> serde_json::Result<()> {
    let vectors: Vec<ImageVector> = read(include_str!("vectors/images.jsonl"))?;
    assert_eq!(vectors.len(), 1215, "the file is whole");
    let differences = differences(
        &vectors,
        |vector| format!("{} {:?} ({})", vector.id, vector.image, vector.why),
        |vector| {
            let ours = ImageRef::parse(&vector.image).ok().map(|image| {
                [
                    image.name(),
                    image.registry().to_owned(),
                    image.repository().into_owned(),
                    image.tag().unwrap_or_default().to_owned(),
                    image.digest().unwrap_or_default().to_owned(),
                ]
            });
            let upstream = vector.valid.then(|| {
                [&vector.name, &vector.registry, &vector.repository, &vector.tag, &vector.digest]
                    .map(Clone::clone)
            });
            (ours, upstream)
        },
    );
    assert_eq!(differences, Vec::<String>::new());
    Ok(())
}

#[test]
fn secrets_are_offered_as_the_kubelet_offers_them() -> serde_json::Result<()> {
    let vectors: Vec<KeyringVector> = read(include_str!("vectors/keyring.jsonl"))?;
    assert_eq!(vectors.len(), 1292, "the file is whole");
    let differences = differences(
        &vectors,
        |vector| format!("{} {:?} ({})", vector.id, vector.image, vector.why),
        |vector| (answer(vector), vector.answer.clone()),
    );
    assert_eq!(differences, Vec::<String>::new());
    Ok(())
}

#[test]
fn entries_have_the_keys_that_the_kubelet_reads() -> serde_json::Result<()> {
    let vectors: Vec<KeyringVector> = read(include_str!("vectors/keyring.jsonl"))?;
    let secrets: Vec<SecretVector> =
        vectors.into_iter().flat_map(|vector| vector.auths_by_secret).collect();
    assert_eq!(secrets.len(), 2492, "the file is whole");
    let differences = differences(
        &secrets,
        |secret| format!("{secret:?}"),
        |secret| {
            let entries = secret.read().unwrap_or_default();
            let keys = entries.iter().map(|entry| entry.key.as_str().to_owned()).collect();
            (keys, secret.keys.clone())
        },
    );
    assert_eq!(differences, Vec::<String>::new());
    Ok(())
}
