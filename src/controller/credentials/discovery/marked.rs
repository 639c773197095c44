//! What the metadata of a Secret says: its name, its version, and whether a controller made it for itself.

use std::{
    collections::BTreeMap,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

use crate::core::copies::MARK;

/// What the labels and annotations of a Secret begin with that `OpenShift` makes for its own registry.
const OPENSHIFT: [&str; 2] = ["openshift.io/internal-registry-", "openshift.io/token-secret."];

/// A Secret, of whose metadata no more is kept.
#[derive(Debug, Clone)]
pub(super) struct Marked {
    /// Its name.
    pub(super) name: Box<str>,
    /// Tells it from what it was before, and from another one of that name. Never 0.
    pub(super) version: u64,
    /// Whether it is a copy of ours, or `OpenShift`'s for its own registry.
    pub(super) is_made_by_a_controller: bool,
}

#[derive(Deserialize)]
struct Answer {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Box<str>,
    #[serde(default)]
    uid: Box<str>,
    #[serde(default)]
    resource_version: Box<str>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<Annotations>,
}

/// Whether `OpenShift` has annotated it. No value is kept: `kubectl apply` writes the whole Secret into one.
#[derive(Default)]
struct Annotations {
    openshift: bool,
}

fn is_of_openshift(key: &str) -> bool {
    OPENSHIFT.iter().any(|it| key.starts_with(it))
}

impl<'de> Deserialize<'de> for Marked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Answer { metadata } = Answer::deserialize(deserializer)?;
        let Metadata { name, uid, resource_version, labels, annotations } = metadata;
        let labels = labels.unwrap_or_default();
        let openshift = annotations.unwrap_or_default().openshift
            || labels.keys().any(|key| is_of_openshift(key));
        let ours = labels.get(MARK.0).is_some_and(|value| value == MARK.1);
        let mut hasher = DefaultHasher::new();
        (uid, resource_version).hash(&mut hasher);
        let version = hasher.finish().max(1);
        Ok(Self { name, version, is_made_by_a_controller: ours || openshift })
    }
}

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self::default())
    }
}

impl<'de> Visitor<'de> for Annotations {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("annotations")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some((key, IgnoredAny)) = map.next_entry::<Box<str>, IgnoredAny>()? {
            self.openshift |= is_of_openshift(&key);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(metadata: &Value) -> Marked {
        serde_json::from_value(json!({"metadata": metadata})).unwrap()
    }

    #[test]
    fn what_controllers_make_is_known_by_its_marks() {
        let made = |marks: &Value| {
            let mut metadata = json!({"name": "robot"});
            metadata.as_object_mut().unwrap().append(&mut marks.as_object().unwrap().clone());
            read(&metadata).is_made_by_a_controller
        };
        assert!(made(&json!({"labels": {(MARK.0): MARK.1}})));
        assert!(!made(&json!({"labels": {(MARK.0): "helm"}, "annotations": null})));
        let service_account = "openshift.io/internal-registry-auth-token.service-account";
        assert!(made(&json!({"annotations": {service_account: "default"}})));
        assert!(made(&json!({"annotations": {"openshift.io/token-secret.name": "default"}})));
    }

    #[test]
    fn another_version_and_another_object_differ() {
        let version = |uid: &str, version: &str| {
            read(&json!({"name": "robot", "uid": uid, "resourceVersion": version})).version
        };
        assert_eq!(version("u", "1"), version("u", "1"));
        assert_ne!(version("u", "1"), version("u", "2"));
        assert_ne!(version("u", "1"), version("v", "1"));
    }
}
