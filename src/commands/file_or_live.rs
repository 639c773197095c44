//! What an option reads: manifests, or the cluster.

use std::{convert::Infallible, ffi::OsString, str::FromStr};

use super::manifests::Source;

/// The name that stands for the cluster, where a file could be named.
const LIVE: &str = "live";

/// Where an option's objects are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileOrLive {
    /// In the cluster.
    Live,
    /// In manifests.
    Manifests(Source),
}

// === impl FileOrLive ===

impl FileOrLive {
    /// The manifests, where it is not the cluster.
    #[must_use]
    pub fn manifests(&self) -> Option<&Source> {
        match self {
            Self::Live => None,
            Self::Manifests(source) => Some(source),
        }
    }
}

impl From<OsString> for FileOrLive {
    fn from(name: OsString) -> Self {
        if name == LIVE { Self::Live } else { Self::Manifests(name.into()) }
    }
}

impl FromStr for FileOrLive {
    type Err = Infallible;

    fn from_str(name: &str) -> Result<Self, Infallible> {
        Ok(Self::from(OsString::from(name)))
    }
}
