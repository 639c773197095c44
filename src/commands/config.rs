//! The mapping file of a command that runs once.

use std::{fs, io, path::Path, path::PathBuf, str::Utf8Error};

use crate::{
    core::rules::Mapping,
    mapping::{self, MappingError},
};

/// Why there is no mapping to go by.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file holds no mapping.
    #[error("{}: {source:#}", path.display())]
    Mapping {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: MappingError,
    },
    /// The file cannot be read.
    #[error("cannot read the mapping {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file is not UTF-8.
    #[error("{}: the mapping is not UTF-8 text, save the file as UTF-8: {source}", path.display())]
    Utf8 {
        /// The file.
        path: PathBuf,
        /// Where it is not.
        source: Utf8Error,
    },
}

/// Reads the mapping from `path`: a mapping file, or the values of the Helm chart with a mapping in them.
///
/// # Errors
///
/// [`ConfigError`], with the file's name, line and column.
pub fn load_mapping(path: &Path) -> Result<Mapping, ConfigError> {
    let bytes =
        fs::read(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let text = str::from_utf8(&bytes)
        .map_err(|source| ConfigError::Utf8 { path: path.to_owned(), source })?;
    mapping::parse_or_values(text)
        .map_err(|source| ConfigError::Mapping { path: path.to_owned(), source })
}
