//! Where manifests come from.

use std::{
    convert::Infallible,
    ffi::OsString,
    fmt,
    fs::File,
    io::{BufRead, BufReader},
    path::PathBuf,
    str::FromStr,
};

use super::{Documents, ManifestError, Problem};

/// How much of a file is read at once, in bytes.
const BUFFER: usize = 64 * 1024;

/// A file, or standard input where it is written `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

// === impl Source ===

impl Source {
    /// Opens the source, reading `stdin` where it is standard input.
    ///
    /// # Errors
    ///
    /// [`Problem::Read`] where the file cannot be opened.
    pub fn open<'s>(
        &self,
        stdin: &'s mut dyn BufRead,
    ) -> Result<Documents<Box<dyn BufRead + 's>>, ManifestError> {
        let reader: Box<dyn BufRead + 's> = match self {
            Self::Stdin => Box::new(stdin),
            Self::File(path) => {
                let file =
                    File::open(path).map_err(|error| ManifestError::new(self, error.into()))?;
                // A folder opens like a file and fails only when it is read.
                if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
                    return Err(ManifestError::new(self, Problem::Folder));
                }
                Box::new(BufReader::with_capacity(BUFFER, file))
            }
        };
        Ok(Documents::new(self.clone(), reader))
    }

    /// Whether more than one of `sources` is standard input, which can be read only once.
    pub fn share_stdin<'a>(sources: impl IntoIterator<Item = &'a Self>) -> bool {
        sources.into_iter().filter(|source| **source == Self::Stdin).count() > 1
    }
}

impl From<OsString> for Source {
    fn from(name: OsString) -> Self {
        if name == "-" { Self::Stdin } else { Self::File(name.into()) }
    }
}

impl FromStr for Source {
    type Err = Infallible;

    fn from_str(name: &str) -> Result<Self, Infallible> {
        Ok(Self::from(OsString::from(name)))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Stdin => f.write_str("standard input"),
        }
    }
}
