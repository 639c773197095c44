//! What can be wrong with a manifest, for people.

use std::{fmt, io};

use super::{PodError, Source};
use crate::commands::printable::Printable;

/// What is wrong with a manifest, and where.
#[derive(Debug)]
pub struct ManifestError {
    source: Source,
    problem: Box<Problem>,
}

/// What is wrong with a manifest. Lines and columns count from 1, in the whole file.
///
/// No variant repeats text of the manifest other than names: it may hold credentials.
#[derive(Debug)]
#[non_exhaustive]
pub enum Problem {
    /// The source is a folder.
    Folder,
    /// A folder holds no manifest, or a pattern matches none.
    NoManifests,
    /// A document is no Kubernetes object.
    NoObject {
        /// Where the document begins.
        line: usize,
        /// What it is instead.
        found: &'static str,
    },
    /// A Secret's data is not what the API server would store.
    SecretData {
        /// Where the Secret's document begins.
        line: usize,
        /// The name of the Secret.
        secret: String,
        /// The key within `data` or `stringData`; none where that is no object itself.
        key: Option<String>,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// A Secret has no name.
    SecretName {
        /// Where the Secret's document begins.
        line: usize,
    },
    /// The source cannot be read.
    Read(io::Error),
    /// A Pod or Pod template has a field of the wrong type.
    Template {
        /// Where the object's document begins.
        line: usize,
        /// The object, such as `Deployment team-a/web`.
        object: String,
        /// Where in the Pod, and what belongs there.
        fault: PodError,
    },
    /// The text is not UTF-8.
    Utf8 {
        /// Where it is not.
        line: usize,
    },
    /// The text is not YAML.
    Yaml {
        /// Where.
        line: usize,
        /// In characters.
        column: usize,
        /// What the parser says, and what to do.
        fault: String,
    },
}

// === impl ManifestError ===

impl ManifestError {
    /// The error of a problem in `source`.
    #[must_use]
    pub fn new(source: &Source, problem: Problem) -> Self {
        Self { source: source.clone(), problem: Box::new(problem) }
    }

    /// What is wrong.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// What is wrong, without where.
    #[must_use]
    pub fn into_problem(self) -> Problem {
        *self.problem
    }
}

impl std::error::Error for ManifestError {}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, problem } = self;
        match &**problem {
            Problem::Read(error) => write!(f, "cannot read {source}: {error}"),
            Problem::Folder => {
                write!(f, "cannot read {source}: it is a folder, name the files in it")
            }
            Problem::NoManifests => write!(f, "cannot read {source}: {problem}"),
            _ => write!(f, "{source}: {problem}"),
        }
    }
}

// === impl Problem ===

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder => f.write_str("it is a folder"),
            Self::NoManifests => {
                f.write_str("no file there ends with .yaml, .yml or .json, or none matches")
            }
            Self::NoObject { line, found } => write!(
                f,
                "line {line}: a Kubernetes object with `apiVersion` and `kind` belongs here, not {found}: \
                 render charts and overlays first, as in `helm template …` or `kubectl kustomize …`"
            ),
            Self::Read(error) => error.fmt(f),
            Self::SecretData { line, secret, key: None, fault } => {
                write!(f, "line {line}: Secret {}: {fault}", Printable(secret))
            }
            Self::SecretData { line, secret, key: Some(key), fault } => {
                write!(f, "line {line}: Secret {}, key {key:?}: {fault}", Printable(secret))
            }
            Self::SecretName { line } => {
                write!(f, "line {line}: the Secret has no name: write it as `metadata.name`")
            }
            Self::Template { line, object, fault } => {
                write!(f, "line {line}: {object}: its Pod cannot be read: {fault}{}", fault.hint())
            }
            Self::Utf8 { line } => {
                write!(f, "line {line}: not UTF-8 text: save the file as UTF-8")
            }
            Self::Yaml { line, column, fault } => {
                write!(f, "line {line}, column {column}: {fault}")
            }
        }
    }
}
