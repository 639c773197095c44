//! Image references, read exactly as the kubelet reads them.
//!
//! The kubelet hands the text of `image` to `ParseNormalizedNamed` of `github.com/distribution/reference`.
//! Its grammar is matched here in one walk over the bytes, without a regular expression and without
//! allocating: every image of every new Pod comes through.

use std::{borrow::Cow, fmt};

mod error;
pub(super) mod grammar;

use super::docker_hub::{HOST as DOCKER_HUB, LEGACY_HOST, OFFICIAL};
pub use error::ImageError;
use grammar::{scan_digest, scan_path, scan_registry, scan_tag};

/// The tag of an image that names neither tag nor digest.
const DEFAULT_TAG: &str = "latest";
/// The longest path of a repository in bytes, `library/` included and the registry not.
const MAX_REPOSITORY: usize = 255;
/// The length of a bare image ID, which is reserved and so never a name.
const IMAGE_ID: usize = 64;

/// An image reference, borrowed from the text that stands in the Pod.
///
/// Two values are equal where they mean the same: `nginx` equals `docker.io/library/nginx:latest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImageRef<'a> {
    registry: &'a str,
    path: &'a str,
    official: bool,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

// === impl ImageRef ===

impl<'a> ImageRef<'a> {
    /// Reads an image reference.
    ///
    /// # Errors
    ///
    /// [`ImageError`] where the kubelet would report `InvalidImageName`.
    pub fn parse(image: &'a str) -> Result<Self, ImageError> {
        if image.is_empty() {
            return Err(ImageError::Empty);
        }
        Self::read(image).map_err(|err| err.or_clearer(image))
    }

    fn read(image: &'a str) -> Result<Self, ImageError> {
        let (registry, rest) = split_registry(image)?;
        let (mut path, rest) = scan_path(rest)?;

        // Taking a written `library/` off again gives each image one form only.
        let mut official = false;
        if registry == DOCKER_HUB {
            let bare = path.strip_prefix(OFFICIAL).unwrap_or(path);
            official = !bare.contains('/');
            if official {
                path = bare;
            }
        }
        let added = if official { OFFICIAL.len() } else { 0 };
        if path.len() + added > MAX_REPOSITORY {
            return Err(ImageError::PathTooLong { length: path.len() + added });
        }

        let (tag, rest) = scan_tag(rest)?;
        let digest = scan_digest(rest)?;
        let tag = if digest.is_none() { tag.or(Some(DEFAULT_TAG)) } else { tag };
        Ok(Self { registry, path, official, tag, digest })
    }

    /// Host and port, such as `docker.io`; empty for the few references whose first component is no host.
    #[must_use]
    pub fn registry(&self) -> &'a str {
        self.registry
    }

    /// The path without the registry, `library/` added where Docker Hub's short names need it.
    #[must_use]
    pub fn repository(&self) -> Cow<'a, str> {
        if self.official {
            Cow::Owned([OFFICIAL, self.path].concat())
        } else {
            Cow::Borrowed(self.path)
        }
    }

    /// The path without the registry and without the `library/` of an official image: `nginx`, `team/app`.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.path
    }

    /// Whether this is one of Docker Hub's own images, which live below `library/`.
    #[must_use]
    pub fn is_official(&self) -> bool {
        self.official
    }

    /// The tag; `latest` where the text has neither tag nor digest.
    #[must_use]
    pub fn tag(&self) -> Option<&'a str> {
        self.tag
    }

    /// The digest, such as `sha256:…`.
    #[must_use]
    pub fn digest(&self) -> Option<&'a str> {
        self.digest
    }

    /// Registry and repository, such as `docker.io/library/nginx`: what the kubelet asks its keyring for.
    #[must_use]
    pub fn name(&self) -> String {
        let slash = if self.registry.is_empty() { "" } else { "/" };
        let library = if self.official { OFFICIAL } else { "" };
        [self.registry, slash, library, self.path].concat()
    }
}

/// The reference in full, as `registry/repository:tag@digest`. Reading it again gives the same value.
impl fmt::Display for ImageRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())?;
        if let Some(tag) = self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Splits the registry off, as `splitDockerDomain` does, and leaves path, tag and digest.
fn split_registry(image: &str) -> Result<(&str, &str), ImageError> {
    let Some((first, rest)) = image.split_once('/') else {
        // Without a slash a colon starts a tag: `host:5000` is an image on Docker Hub.
        return if is_image_id(image) { Err(ImageError::ImageId) } else { Ok((DOCKER_HUB, image)) };
    };
    if first == LEGACY_HOST {
        return Ok((DOCKER_HUB, rest));
    }
    let is_host =
        first == "localhost" || first.bytes().any(|byte| matches!(byte, b'.' | b':' | b'A'..=b'Z'));
    if !is_host {
        return Ok((DOCKER_HUB, image));
    }
    match scan_registry(first) {
        Ok(()) => Ok((first, rest)),
        // The grammar makes the registry optional, so a first component that is no host name may still
        // begin a path: `my_host.io/app` is a reference, with an empty registry.
        Err(_) if scan_path(first).is_ok_and(|(_, behind)| behind.is_empty()) => Ok(("", image)),
        Err(err) => Err(err),
    }
}

fn is_image_id(image: &str) -> bool {
    image.len() == IMAGE_ID && image.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
