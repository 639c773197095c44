//! Every answer of the upstream code in `crates/core/tests/vectors`.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use pullcred::{
    cluster::ClusterOptions,
    commands::{
        Exit, Streams,
        explain::{self as command, Asked, Options, Output},
        manifests::Source,
    },
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{explain, values};

fn vectors<T: serde::de::DeserializeOwned>(file: &str) -> Vec<T> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/crates/core/tests/vectors/").to_owned() + file;
    let vectors = fs::read_to_string(path).unwrap();
    vectors.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// One line of `images.jsonl`.
#[derive(Deserialize)]
struct ImageVector {
    image: String,
    valid: bool,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[test]
fn every_image_is_read_as_the_kubelet_reads_it() {
    let mut vectors: Vec<ImageVector> = vectors("images.jsonl");
    assert!(vectors.len() > 1000);
    // What has a line break in it is no line of standard input.
    vectors
        .retain(|vector| !vector.image.contains(['\n', '\r']) && !vector.image.trim().is_empty());
    assert!(vectors.len() > 1000);
    let mut images = String::new();
    for vector in &vectors {
        writeln!(images, "{}", vector.image).unwrap();
    }
    let run = explain(&["-o", "json", "-"], &images);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let answers = values(&run.stdout);
    assert_eq!(answers.len(), vectors.len());
    for (answer, vector) in answers.iter().zip(&vectors) {
        assert_eq!(
            (&answer["image"], &answer["valid"]),
            (&json!(vector.image), &json!(vector.valid))
        );
        for field in ["name", "registry", "repository", "tag", "digest"] {
            let expected = vector.rest.get(field).cloned().unwrap_or_default();
            assert_eq!(
                answer[field].as_str(),
                expected.as_str().or(Some("")),
                "{field} of {}",
                vector.image
            );
        }
        assert_eq!(answer["error"] == "", vector.valid, "{}", vector.image);
    }
}

/// One line of `keyring.jsonl`.
#[derive(Deserialize)]
struct KeyringVector {
    id: String,
    image: String,
    auths_by_secret: Vec<SecretVector>,
    error: bool,
    matches: Vec<Value>,
    secrets: Vec<String>,
    #[serde(default)]
    bad_secrets: Vec<String>,
}

/// A Secret of a Pod.
#[derive(Deserialize)]
struct SecretVector {
    name: String,
    #[serde(rename = "type")]
    type_: String,
    data: Option<BTreeMap<String, String>>,
    data_base64: Option<BTreeMap<String, String>>,
}

impl KeyringVector {
    /// Its Secrets as a file of manifests.
    fn manifests(&self) -> String {
        let manifests = self.auths_by_secret.iter().map(|secret| {
            let manifest = json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret.name}, "type": secret.type_,
                "stringData": secret.data, "data": secret.data_base64,
            });
            format!("---\n{manifest}\n")
        });
        manifests.collect()
    }

    /// What must be said of it.
    fn answer(&self) -> Value {
        let Self { error, bad_secrets, secrets, .. } = self;
        let matches = self
            .matches
            .iter()
            .map(|it| json!({"secret": it["secret"], "key": it["key"], "rank": it["rank"]}));
        let matches: Vec<Value> = matches.collect();
        json!({"error": error, "bad_secrets": bad_secrets, "matches": matches, "secrets": secrets})
    }
}

#[test]
fn every_keyring_is_the_kubelet_s() {
    let vectors: Vec<KeyringVector> = vectors("keyring.jsonl");
    assert!(vectors.len() > 1000);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secrets.yaml");
    let mapping = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/testdata/mapping.yaml"));
    let mut bad = 0;
    for vector in &vectors {
        fs::write(&file, vector.manifests()).unwrap();
        let options = Options {
            config: Some(mapping.to_owned()),
            output: Output::Json,
            namespace: None,
            service_accounts: Vec::new(),
            reports: None,
            cluster: ClusterOptions::default(),
            secrets: vec![Source::File(file.clone())],
            paths: Vec::new(),
            asked: Asked::Images(vec![vector.image.clone()]),
        };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut streams = Streams {
            stdin: &mut std::io::empty(),
            stdout: &mut stdout,
            stderr: &mut stderr,
            colour: false,
        };
        let exit = command::run(&options, &mut streams).unwrap();
        assert_eq!(exit, Exit::Fine);
        let answer: Value = serde_json::from_slice(&stdout).unwrap();
        assert_eq!(answer["image"], vector.image, "{}", vector.id);
        assert_eq!(answer["kubelet"], vector.answer(), "{}", vector.id);
        bad += usize::from(!vector.bad_secrets.is_empty());
    }
    assert!(bad > 50, "only {bad} vectors have a bad Secret");
}
