//! Objects as watches bring them, without what nothing needs.
//!
//! A list comes in pages of hundreds of objects. Each is cut down as it is decoded: most of its metadata are the fields of its
//! managers, a tree of some kilobytes that is needed for a moment only.

use std::{borrow::Cow, collections::BTreeMap, marker::PhantomData};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Deserializer};

use super::seen::Seen;

/// An object of kind `K`, of which no more is kept than its name and a `T`. Its content is never asked for.
#[derive(Debug)]
pub(super) struct Lean<K, T> {
    metadata: ObjectMeta,
    kept: T,
    kind: PhantomData<fn() -> K>,
}

/// What counts of a namespace.
#[derive(Debug, Clone)]
pub(super) struct NamespaceSeen {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) terminating: bool,
}

/// The part of an answer that is read.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    metadata: ObjectMeta,
}

// === impl Lean ===

impl<K, T> Lean<K, T> {
    pub(super) fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    pub(super) fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    pub(super) fn into_kept(self) -> T {
        self.kept
    }
}

impl<K, T: Clone> Clone for Lean<K, T> {
    fn clone(&self) -> Self {
        Self { metadata: self.metadata.clone(), kept: self.kept.clone(), kind: PhantomData }
    }
}

impl<'de, K, T: for<'m> From<&'m ObjectMeta>> Deserialize<'de> for Lean<K, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Answer { metadata } = Answer::deserialize(deserializer)?;
        let kept = T::from(&metadata);
        let ObjectMeta { name, namespace, resource_version, .. } = metadata;
        let metadata = ObjectMeta { name, namespace, resource_version, ..ObjectMeta::default() };
        Ok(Self { metadata, kept, kind: PhantomData })
    }
}

impl<K: Resource, T> Resource for Lean<K, T> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    /// Has the API server send metadata alone.
    fn metadata_api() -> bool {
        true
    }

    fn kind(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dynamic)
    }

    fn group(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dynamic)
    }

    fn version(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dynamic)
    }

    fn plural(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dynamic)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

// === what is kept ===

impl From<&ObjectMeta> for Seen {
    fn from(metadata: &ObjectMeta) -> Self {
        Self::of(metadata)
    }
}

impl From<&ObjectMeta> for NamespaceSeen {
    fn from(metadata: &ObjectMeta) -> Self {
        let labels = metadata.labels.clone().unwrap_or_default();
        Self { labels, terminating: metadata.deletion_timestamp.is_some() }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Namespace, Secret};
    use serde_json::json;

    use super::*;

    #[test]
    fn of_an_object_no_more_is_kept_than_what_counts() {
        let secret = json!({
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": {"name": "robot", "namespace": "shop", "resourceVersion": "7", "uid": "u",
                         "labels": {"app.kubernetes.io/managed-by": "pullcred"}, "managedFields": []},
        });
        let lean: Lean<Secret, Seen> = serde_json::from_value(secret).unwrap();
        assert_eq!((lean.name(), lean.namespace()), ("robot", "shop"));
        assert_eq!(lean.meta().resource_version.as_deref(), Some("7"));
        assert!(lean.meta().labels.is_none() && lean.meta().managed_fields.is_none());
        let Seen::Ours(ours) = lean.into_kept() else { panic!("foreign") };
        assert_eq!((&*ours.uid, &*ours.version), ("u", "7"));
    }

    #[test]
    fn of_a_namespace_its_labels_count_and_whether_it_is_being_deleted() {
        let read = |metadata| -> NamespaceSeen {
            let lean: Lean<Namespace, _> =
                serde_json::from_value(json!({"metadata": metadata})).unwrap();
            assert_eq!(lean.name(), "shop");
            lean.into_kept()
        };
        let seen = read(json!({"name": "shop", "labels": {"tier": "prod"}}));
        assert_eq!((seen.labels["tier"].as_str(), seen.terminating), ("prod", false));
        let seen = read(json!({"name": "shop", "deletionTimestamp": "2026-01-01T00:00:00Z"}));
        assert!(seen.labels.is_empty() && seen.terminating);
    }

    #[test]
    fn no_content_is_asked_for() {
        assert!(Lean::<Secret, Seen>::metadata_api());
        assert!(Lean::<Namespace, NamespaceSeen>::metadata_api());
    }
}
