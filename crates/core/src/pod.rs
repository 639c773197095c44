//! A borrowed view of a Pod: the few fields that the decision reads.
//!
//! The Pod is never turned into a typed struct and back: fields we do not know are skipped where they stand, and they
//! survive because the answer is a patch.

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny},
};

use super::json::{Flag, List, Object, Text};

/// The label with which a namespace opts in (`enabled`) and a Pod opts out (`disabled`).
pub const INJECT_LABEL: &str = "pullcred.dev/inject";
/// The value of [`INJECT_LABEL`] with which a namespace opts in.
pub const OPTED_IN: &str = "enabled";
/// The value of [`INJECT_LABEL`] with which a Pod opts out.
pub const OPTED_OUT: &str = "disabled";
/// The annotation of the API server's mirror of a static Pod. Its presence counts, not its value
/// (kubernetes: `pkg/apis/core/annotation_key_constants.go`, `MirrorPodAnnotationKey`).
pub const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";

/// The fields of a Pod, or of a Pod template, that the decision reads.
#[derive(Debug, Clone, Default)]
pub struct Pod<'a>(Object<RawPod<'a>>);

#[derive(Debug, Clone, Default, Deserialize)]
struct RawPod<'a> {
    #[serde(borrow, default)]
    metadata: Object<Metadata<'a>>,
    #[serde(borrow, default)]
    spec: Object<Spec<'a>>,
}

/// What a Pod belongs to: the one of its `ownerReferences` with `controller: true`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner<'p> {
    /// Such as `ReplicaSet`.
    pub kind: &'p str,
    /// Such as `web-7d4b9c`.
    pub name: &'p str,
}

/// An image that a Pod names, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodImage<'p> {
    /// The field that names it.
    pub field: ImageField,
    /// The name of the container or volume.
    pub owner: &'p str,
    /// The image reference as written; may be empty.
    pub reference: &'p str,
}

/// The fields of a Pod's spec that name images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageField {
    /// `containers[].image`
    Container,
    /// `ephemeralContainers[].image`
    EphemeralContainer,
    /// `initContainers[].image`
    InitContainer,
    /// `volumes[].image.reference`
    Volume,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    generate_name: Text<'a>,
    #[serde(borrow, default)]
    labels: Object<Labels<'a>>,
    #[serde(default)]
    annotations: Object<Annotations>,
    #[serde(borrow, default)]
    owner_references: Controller<'a>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Labels<'a> {
    #[serde(borrow, rename = "pullcred.dev/inject")]
    inject: Option<Text<'a>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Annotations {
    // Serde takes no constant here: this is MIRROR_ANNOTATION.
    #[serde(rename = "kubernetes.io/config.mirror")]
    mirror: Option<IgnoredAny>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(borrow, default)]
    init_containers: List<Object<Container<'a>>>,
    #[serde(borrow, default)]
    containers: List<Object<Container<'a>>>,
    #[serde(borrow, default)]
    ephemeral_containers: List<Object<Container<'a>>>,
    #[serde(borrow, default)]
    volumes: List<Object<Volume<'a>>>,
    #[serde(borrow, default)]
    image_pull_secrets: List<Object<LocalObjectReference<'a>>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Container<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    image: Text<'a>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Volume<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow)]
    image: Option<Object<ImageVolumeSource<'a>>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct ImageVolumeSource<'a> {
    #[serde(borrow, default)]
    reference: Text<'a>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct LocalObjectReference<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct OwnerReference<'a> {
    #[serde(borrow, default)]
    kind: Text<'a>,
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(default)]
    controller: Flag,
}

/// Of a list of owners the one that controls the Pod. The others are not kept.
#[derive(Debug, Clone, Default)]
struct Controller<'a>(Option<OwnerReference<'a>>);

// === impl Pod ===

impl<'de: 'a, 'a> Deserialize<'de> for Pod<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Object::deserialize(deserializer).map(Self)
    }
}

impl<'a> Pod<'a> {
    fn metadata(&self) -> &Metadata<'a> {
        &self.0.0.metadata.0
    }

    fn spec(&self) -> &Spec<'a> {
        &self.0.0.spec.0
    }

    /// `metadata.name`; empty where the API server will make one from [`Pod::generate_name`].
    #[must_use]
    pub fn name(&self) -> &str {
        &self.metadata().name
    }

    /// `metadata.generateName`, such as `web-7d4b9c-`.
    #[must_use]
    pub fn generate_name(&self) -> &str {
        &self.metadata().generate_name
    }

    /// The value of the Pod's label [`INJECT_LABEL`].
    #[must_use]
    pub fn inject_label(&self) -> Option<&str> {
        self.metadata().labels.0.inject.as_deref()
    }

    /// Whether this is the API server's mirror of a static Pod. The kubelet deletes a mirror that was changed.
    #[must_use]
    pub fn is_mirror(&self) -> bool {
        self.metadata().annotations.0.mirror.is_some()
    }

    /// What the Pod belongs to; none where a person made it, or what made it did not say so.
    #[must_use]
    pub fn owner(&self) -> Option<Owner<'_>> {
        let owner = self.metadata().owner_references.0.as_ref()?;
        Some(Owner { kind: &owner.kind, name: &owner.name })
    }

    /// Every image that the Pod names, in the order in which the kubelet needs them.
    pub fn images(&self) -> impl Iterator<Item = PodImage<'_>> {
        let spec = self.spec();
        let volumes = spec.volumes.iter().filter_map(|Object(volume)| {
            let reference = &*volume.image.as_ref()?.0.reference;
            Some(PodImage { field: ImageField::Volume, owner: &volume.name, reference })
        });
        volumes
            .chain(container_images(ImageField::InitContainer, &spec.init_containers))
            .chain(container_images(ImageField::Container, &spec.containers))
            .chain(container_images(ImageField::EphemeralContainer, &spec.ephemeral_containers))
    }

    /// The names in `spec.imagePullSecrets`, in order; empty for an entry without a name.
    #[must_use]
    pub fn pull_secrets(&self) -> impl ExactSizeIterator<Item = &str> {
        self.spec().image_pull_secrets.iter().map(|Object(entry)| &*entry.name)
    }
}

fn container_images<'p>(
    field: ImageField,
    containers: &'p List<Object<Container<'_>>>,
) -> impl Iterator<Item = PodImage<'p>> {
    containers.iter().map(move |Object(container)| PodImage {
        field,
        owner: &container.name,
        reference: &container.image,
    })
}

// === impl Controller ===

impl<'de: 'a, 'a> Deserialize<'de> for Controller<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Controller<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a sequence")
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut controller = None;
                while let Some(Object::<OwnerReference<'de>>(owner)) = seq.next_element()? {
                    if owner.controller.0 {
                        controller.get_or_insert(owner);
                    }
                }
                Ok(Controller(controller))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Controller::default())
            }

            fn visit_str<E: de::Error>(self, _text: &str) -> Result<Self::Value, E> {
                Err(E::custom("expected a sequence"))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

// === impl ImageField ===

impl ImageField {
    /// What a person calls the owner of the image.
    #[must_use]
    pub fn owner_kind(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::EphemeralContainer => "ephemeral container",
            Self::InitContainer => "init container",
            Self::Volume => "volume",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_labels_and_annotations_that_are_read_are_those_that_are_named() {
        let read = json!({"metadata": {
            "labels": {INJECT_LABEL: OPTED_OUT}, "annotations": {MIRROR_ANNOTATION: ""},
        }});
        let pod = Pod::deserialize(&read).unwrap();
        assert_eq!((pod.inject_label(), pod.is_mirror()), (Some(OPTED_OUT), true));
    }
}
