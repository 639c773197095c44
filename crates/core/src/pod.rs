//! A borrowed view of a Pod: the few fields that the decision reads.
//!
//! The Pod is never turned into a typed struct and back: fields we do not know are skipped where they stand, and they
//! survive because the answer is a patch.

use serde::{Deserialize, de::IgnoredAny};

use super::json::{Nullable, Text};

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
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(expecting = "an object")]
pub struct Pod<'a> {
    #[serde(borrow, default)]
    metadata: Nullable<Metadata<'a>>,
    #[serde(borrow, default)]
    spec: Nullable<Spec<'a>>,
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
#[serde(rename_all = "camelCase", expecting = "an object")]
struct Metadata<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    generate_name: Text<'a>,
    #[serde(borrow, default)]
    labels: Nullable<Labels<'a>>,
    #[serde(default)]
    annotations: Nullable<Annotations>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(expecting = "an object")]
struct Labels<'a> {
    #[serde(borrow, rename = "pullcred.dev/inject")]
    inject: Option<Text<'a>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(expecting = "an object")]
struct Annotations {
    // Serde takes no constant here: this is MIRROR_ANNOTATION.
    #[serde(rename = "kubernetes.io/config.mirror")]
    mirror: Option<IgnoredAny>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
struct Spec<'a> {
    #[serde(borrow, default)]
    init_containers: Nullable<Vec<Container<'a>>>,
    #[serde(borrow, default)]
    containers: Nullable<Vec<Container<'a>>>,
    #[serde(borrow, default)]
    ephemeral_containers: Nullable<Vec<Container<'a>>>,
    #[serde(borrow, default)]
    volumes: Nullable<Vec<Volume<'a>>>,
    #[serde(borrow, default)]
    image_pull_secrets: Nullable<Vec<LocalObjectReference<'a>>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(expecting = "an object")]
struct Container<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    image: Text<'a>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(expecting = "an object")]
struct Volume<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow)]
    image: Option<ImageVolumeSource<'a>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(expecting = "an object")]
struct ImageVolumeSource<'a> {
    #[serde(borrow, default)]
    reference: Text<'a>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(expecting = "an object")]
struct LocalObjectReference<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
}

// === impl Pod ===

impl Pod<'_> {
    /// `metadata.name`; empty where the API server will make one from [`Pod::generate_name`].
    #[must_use]
    pub fn name(&self) -> &str {
        &self.metadata.0.name
    }

    /// `metadata.generateName`, such as `web-7d4b9c-`.
    #[must_use]
    pub fn generate_name(&self) -> &str {
        &self.metadata.0.generate_name
    }

    /// The value of the Pod's label [`INJECT_LABEL`].
    #[must_use]
    pub fn inject_label(&self) -> Option<&str> {
        self.metadata.0.labels.0.inject.as_deref()
    }

    /// Whether this is the API server's mirror of a static Pod. The kubelet deletes a mirror that was changed.
    #[must_use]
    pub fn is_mirror(&self) -> bool {
        self.metadata.0.annotations.0.mirror.is_some()
    }

    /// Every image that the Pod names, in the order in which the kubelet needs them.
    pub fn images(&self) -> impl Iterator<Item = PodImage<'_>> {
        let spec = &self.spec.0;
        let volumes = spec.volumes.0.iter().filter_map(|volume| {
            let reference = &*volume.image.as_ref()?.reference;
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
        self.spec.0.image_pull_secrets.0.iter().map(|entry| &*entry.name)
    }
}

fn container_images<'p>(
    field: ImageField,
    containers: &'p Nullable<Vec<Container<'_>>>,
) -> impl Iterator<Item = PodImage<'p>> {
    containers.0.iter().map(move |container| PodImage {
        field,
        owner: &container.name,
        reference: &container.image,
    })
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
