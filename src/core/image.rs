//! Image references, read exactly as the kubelet reads them.

use std::borrow::Cow;

/// An image reference, borrowed from the text that stands in the Pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageRef<'a> {
    registry: &'a str,
}

/// Why a text is no image reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The text is empty.
    #[error("the image is empty")]
    Empty,
}

impl<'a> ImageRef<'a> {
    /// Reads an image reference.
    ///
    /// # Errors
    ///
    /// [`ImageError`] where the kubelet would report `InvalidImageName`.
    pub fn parse(_image: &'a str) -> Result<Self, ImageError> {
        Err(ImageError::Empty)
    }

    /// Host and port, such as `docker.io`; empty for the few references whose first component is no host.
    #[must_use]
    pub fn registry(&self) -> &'a str {
        self.registry
    }

    /// The path without the registry, `library/` added where Docker Hub's short names need it.
    #[must_use]
    pub fn repository(&self) -> Cow<'a, str> {
        Cow::Borrowed("")
    }

    /// The tag; `latest` where the text has neither tag nor digest.
    #[must_use]
    pub fn tag(&self) -> Option<&'a str> {
        None
    }

    /// The digest, such as `sha256:…`.
    #[must_use]
    pub fn digest(&self) -> Option<&'a str> {
        None
    }
}
