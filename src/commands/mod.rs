//! The commands that a person or a pipeline runs: options in, data to standard output, an [`Exit`] back.
//!
//! A command never ends the process and opens no terminal of its own: it gets its [`Streams`].

use std::{
    error::Error,
    fmt,
    io::{self, BufRead, Write},
};

mod accounts;
pub mod check;
mod config;
mod constraints;
pub mod explain;
mod file_or_live;
pub mod inject;
mod keeper;
mod logins;
pub mod manifests;
mod paint;
pub mod policy;
mod printable;
mod reports;
mod scan;
pub mod secret;
pub mod shell;
pub mod status;

pub use config::{ConfigError, load_mapping};
pub use file_or_live::FileOrLive;
pub use printable::PrintableLines;

pub use crate::core::rules::{NamespaceLabel, NamespacePattern};
use crate::{
    cluster::{CallError, ClusterError},
    errors::with_causes,
};

/// The namespace of objects that name none, as `kubectl` has it.
const DEFAULT_NAMESPACE: &str = "default";

/// How a command ended that did its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Exit {
    /// Nothing to complain of: exit code 0.
    Fine,
    /// It was asked to find something, and did: exit code 1.
    Findings,
}

/// What a command reads from and writes to.
pub struct Streams<'s> {
    /// What `-` stands for.
    pub stdin: &'s mut dyn BufRead,
    /// Data.
    pub stdout: &'s mut dyn Write,
    /// Diagnostics: warnings, progress, summaries.
    pub stderr: &'s mut dyn Write,
    /// Whether text on `stdout` may have colours.
    pub colour: bool,
}

/// Why a command did not do its work.
///
/// Its text is for people: what is wrong, where, and what to write instead. It holds no credential.
#[derive(Debug)]
pub struct Failure {
    fault: Fault,
    cause: Box<dyn Error + Send + Sync>,
}

/// Who can fix a [`Failure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// No fix is needed: the reader closed our output.
    BrokenPipe,
    /// The owner of the file or server that failed.
    Trouble,
    /// The author of the command line or the mapping.
    Usage,
}

// === impl Streams ===

impl fmt::Debug for Streams<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams").field("colour", &self.colour).finish_non_exhaustive()
    }
}

// === impl Failure ===

impl Failure {
    /// The command line or the mapping cannot be followed: exit code 2.
    pub fn usage(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { fault: Fault::Usage, cause: cause.into() }
    }

    /// Something that was read, written or asked for is in the way: exit code 1.
    pub fn trouble(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { fault: Fault::Trouble, cause: cause.into() }
    }

    /// Whether the command line or the mapping is at fault.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        self.fault == Fault::Usage
    }

    /// Whether standard output was closed, as `head` does: no reason for a message.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        self.fault == Fault::BrokenPipe
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

/// Without a source: the text names every cause already.
impl Error for Failure {}

/// A failure to write: commands report one to read with the name of the file.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let broken_pipe = error.kind() == io::ErrorKind::BrokenPipe;
        let fault = if broken_pipe { Fault::BrokenPipe } else { Fault::Trouble };
        Self { fault, cause: format!("cannot write the output: {error}").into() }
    }
}

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Self {
        Self::trouble(with_causes(&error))
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::trouble(with_causes(&error))
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error)
    }
}

impl From<manifests::ManifestError> for Failure {
    fn from(error: manifests::ManifestError) -> Self {
        Self::trouble(error)
    }
}
