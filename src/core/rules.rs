//! The mapping of registries to Secret names, and how an image finds its rules.

use super::image::ImageRef;

/// Every rule of a mapping, indexed so that an image costs the same whether there are ten or ten thousand.
#[derive(Debug, Default)]
pub struct Mapping {
    always: Vec<SecretName>,
}

/// The name of a Secret: a DNS-1123 subdomain.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecretName(Box<str>);

/// A registry, a registry and a path, or a glob of registries, as a rule names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryPattern(Box<str>);

/// A rule's pattern that covers an image. Ordered by rank: the most specific pattern of the mapping first, then file order.
#[derive(Debug, Clone, Copy)]
pub struct Match<'m> {
    /// The pattern that covers the image.
    pub pattern: &'m RegistryPattern,
    /// The Secret that the rule names.
    pub secret: &'m SecretName,
    /// The pattern's place among all patterns of the mapping, the most specific first.
    pub rank: u32,
}

impl SecretName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Mapping {
    /// Appends to `found` every pattern that covers `image` in `namespace`, in no particular order.
    pub fn matches<'m>(&'m self, _image: &ImageRef<'_>, _namespace: &str, _found: &mut Vec<Match<'m>>) {}

    /// The Secrets of every opted-in Pod, whatever its images.
    #[must_use]
    pub fn always(&self) -> &[SecretName] {
        &self.always
    }
}
