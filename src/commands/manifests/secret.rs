//! Secrets in manifests.

use std::{collections::BTreeMap, fmt, io::BufRead};

use base64::{
    Engine, alphabet,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use serde_json::{Map, Value};

use super::{ManifestError, Object, Problem, Source, objects};
use crate::{
    core::{
        copies::MARK,
        keyring::secret::{self, Contents, Flaw, SecretError},
    },
    fetch::marks::EXPIRES,
};

/// The type of a Secret that names none.
const DEFAULT_TYPE: &str = "Opaque";

/// Base64 as the API server reads it (Go's `base64.StdEncoding`): padded, and unused bits are free.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// A Secret as the API server would store it, whatever its type.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretManifest {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`, where it is written.
    pub namespace: Option<String>,
    /// `type`; `Opaque` where it is not written.
    pub type_: String,
    /// `metadata.uid`, where it is written: an API server has given it one.
    pub uid: Option<String>,
    /// Whether it has the mark of the copies that pullcred makes.
    pub is_copy: bool,
    /// When its login ends, as an annotation of one that pullcred fetched says it.
    pub expires: Option<String>,
    data: BTreeMap<String, Vec<u8>>,
}

// === impl SecretManifest ===

impl SecretManifest {
    /// The Secret of this name, type and data.
    #[must_use]
    pub fn new(
        name: String,
        namespace: Option<String>,
        type_: Option<String>,
        data: BTreeMap<String, Vec<u8>>,
    ) -> Self {
        let type_ = type_.filter(|type_| !type_.is_empty());
        let type_ = type_.unwrap_or_else(|| DEFAULT_TYPE.to_owned());
        Self { name, namespace, type_, uid: None, is_copy: false, expires: None, data }
    }

    /// All Secrets of a source, in their order.
    ///
    /// # Errors
    ///
    /// [`ManifestError`] where the source cannot be read, or the API server would refuse one of them.
    pub fn all_of(source: &Source, stdin: &mut dyn BufRead) -> Result<Vec<Self>, ManifestError> {
        let mut secrets = Vec::new();
        for document in source.open(stdin)? {
            let document = document?;
            let line = document.content_line();
            let mut read = || {
                for object in objects(&document.value()?, line)? {
                    secrets.extend(Self::from_object(&object, line)?);
                }
                Ok(())
            };
            read().map_err(|problem| ManifestError::new(source, problem))?;
        }
        Ok(secrets)
    }

    /// Reads a manifest; none where the object is something other than a Secret.
    ///
    /// # Errors
    ///
    /// [`Problem::SecretName`] and [`Problem::SecretData`], where the API server would refuse it; `line` is where
    /// the document begins.
    pub fn from_object(object: &Object<'_>, line: usize) -> Result<Option<Self>, Problem> {
        if !object.group().is_empty() || object.kind() != "Secret" {
            return Ok(None);
        }
        let name = object.name();
        if name.is_empty() {
            return Err(Problem::SecretName { line });
        }
        let problem = |key: Option<&str>, fault| Problem::SecretData {
            line,
            secret: name.to_owned(),
            key: key.map(ToOwned::to_owned),
            fault,
        };
        let members =
            |field| members(object.value().get(field)).map_err(|fault| problem(None, fault));

        let mut data = BTreeMap::new();
        for (key, value) in members("data")?.into_iter().flatten() {
            let bytes = decoded(value).map_err(|fault| problem(Some(key), fault))?;
            data.insert(key.clone(), bytes);
        }
        // What is written as text replaces what is written as base64 (core/v1 `Secret.stringData`).
        for (key, value) in members("stringData")?.into_iter().flatten() {
            let text = text(value).map_err(|fault| problem(Some(key), fault))?;
            data.insert(key.clone(), text.as_bytes().to_vec());
        }
        let type_ = object.value().get("type").and_then(Value::as_str).map(ToOwned::to_owned);
        let namespace = object.namespace().map(ToOwned::to_owned);
        let uid = object.uid().map(ToOwned::to_owned);
        let is_copy = object.label(MARK.0) == Some(MARK.1);
        Ok(Some(Self { uid, is_copy, ..Self::new(name.to_owned(), namespace, type_, data) }))
    }

    /// A Secret that an API server has.
    #[must_use]
    pub fn from_api(namespace: &str, name: &str, secret: Secret) -> Self {
        let Secret { metadata, type_, data, .. } = secret;
        let data = data.unwrap_or_default();
        let data = data.into_iter().map(|(key, ByteString(bytes))| (key, bytes)).collect();
        let namespace = Some(namespace.to_owned());
        let is_copy = metadata
            .labels
            .is_some_and(|labels| labels.get(MARK.0).is_some_and(|value| value == MARK.1));
        let expires = metadata.annotations.and_then(|mut it| it.remove(EXPIRES));
        let new = Self::new(name.to_owned(), namespace, type_, data);
        Self { uid: metadata.uid, is_copy, expires, ..new }
    }

    /// The size of its data, as the API server counts it.
    #[must_use]
    pub fn size(&self) -> usize {
        self.data.values().map(Vec::len).sum()
    }

    /// The bytes under a key of its data.
    #[must_use]
    pub fn data(&self, key: &str) -> Option<&[u8]> {
        self.data.get(key).map(Vec::as_slice)
    }

    /// What the kubelet finds in it.
    ///
    /// # Errors
    ///
    /// [`SecretError`] where the kubelet cannot read it, and so pulls nothing at all.
    pub fn contents(&self) -> Result<Contents, SecretError> {
        secret::read(&self.type_, |key| self.data(key))
    }

    /// What the kubelet reads of it without a word, and what was most likely not meant. Nothing where it cannot be read.
    #[must_use]
    pub fn flaws(&self) -> Vec<Flaw> {
        let data = |key: &str| self.data(key);
        self.contents().map_or_else(|_| Vec::new(), |it| secret::flaws(&self.type_, data, &it))
    }
}

/// Nothing of the data.
impl fmt::Debug for SecretManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretManifest")
            .field("name", &self.name)
            .field("namespace", &self.namespace)
            .field("type", &self.type_)
            .field("keys", &self.data.len())
            .finish_non_exhaustive()
    }
}

fn members(value: Option<&Value>) -> Result<Option<&Map<String, Value>>, &'static str> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(members)) => Ok(Some(members)),
        Some(_) => Err("`data` and `stringData` must be objects"),
    }
}

fn text(value: &Value) -> Result<&str, &'static str> {
    match value {
        Value::Null => Ok(""),
        Value::String(text) => Ok(text),
        _ => Err("the value must be a string: write it in quotes"),
    }
}

fn decoded(value: &Value) -> Result<Vec<u8>, &'static str> {
    // Go's decoder skips line breaks, which block scalars have.
    let text = text(value)?.replace(['\r', '\n'], "");
    BASE64
        .decode(text)
        .map_err(|_| "the value is not base64: write it as text under `stringData`, or encode it")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::objects, *};

    fn read(document: &Value) -> Result<Option<SecretManifest>, Problem> {
        let objects = objects(document, 3)?;
        SecretManifest::from_object(&objects[0], 3)
    }

    #[test]
    fn data_and_string_data_are_one() {
        let secret = read(&json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "n"},
            "data": {"a": "aGk=\n", "b": "aGk=", "c": null, "d": "aGl="}, "stringData": {"b": "x"},
        }));
        let secret = secret.unwrap().unwrap();
        assert_eq!((secret.type_.as_str(), secret.namespace.as_deref()), ("Opaque", Some("n")));
        let data = ["a", "b", "c", "d", "e"].map(|key| secret.data(key));
        assert_eq!(data, [Some(&b"hi"[..]), Some(b"x"), Some(b""), Some(b"hi"), None]);
        assert!(read(&json!({"kind": "Pod"})).unwrap().is_none());
        assert!(read(&json!({"apiVersion": "x.io/v1", "kind": "Secret"})).unwrap().is_none());
    }

    #[test]
    fn what_the_api_server_refuses_is_refused_without_its_text() {
        let secret = |field: &str, value: Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, field: value});
        for (document, message) in [
            (
                secret("data", json!({"k": "hunter2"})),
                "line 3: Secret s, key \"k\": the value is not base64: write it as text under `stringData`, or encode it",
            ),
            (
                secret("stringData", json!({"k": 1234})),
                "line 3: Secret s, key \"k\": the value must be a string: write it in quotes",
            ),
            (
                secret("data", json!([])),
                "line 3: Secret s: `data` and `stringData` must be objects",
            ),
            (
                json!({"apiVersion": "v1", "kind": "Secret"}),
                "line 3: the Secret has no name: write it as `metadata.name`",
            ),
        ] {
            assert_eq!(read(&document).unwrap_err().to_string(), message);
        }
        let shown = format!("{:?}", read(&secret("stringData", json!({"k": "hunter2"}))).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
