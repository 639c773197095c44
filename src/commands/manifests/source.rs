//! Where manifests come from.

use std::{
    convert::Infallible,
    ffi::{OsStr, OsString},
    fmt,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Seek},
    path::{Path, PathBuf},
    str::FromStr,
};

use encoding_rs_io::DecodeReaderBytesBuilder;
use glob::MatchOptions;
use tempfile::SpooledTempFile;

use super::{Documents, ManifestError, Problem};

/// How much of a file is read at once, in bytes.
const BUFFER: usize = 64 * 1024;

/// How much of a stream that can be read only once is kept in memory, in bytes; more goes to a file.
const IN_MEMORY: usize = 4 * 1024 * 1024;

/// How the names of manifests in a folder end, as kubectl has it.
const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];

/// A file, or standard input where it is written `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

/// A source that can be read more than once.
#[derive(Debug)]
pub struct Input {
    source: Source,
    /// What was read, where the source itself cannot be read again: standard input and pipes.
    kept: Option<SpooledTempFile>,
}

/// The text of a source: UTF-16 with a mark is read as kubectl reads it, anything else as it is.
fn text<'r>(reader: impl Read + 'r) -> Box<dyn BufRead + 'r> {
    let reader = DecodeReaderBytesBuilder::new().utf8_passthru(true).build(reader);
    Box::new(BufReader::with_capacity(BUFFER, reader))
}

// === impl Input ===

impl Input {
    /// The source, with what `stdin` gives where it is standard input.
    ///
    /// # Errors
    ///
    /// [`Problem::Read`] where it cannot be read.
    pub fn new(source: Source, stdin: &mut dyn BufRead) -> Result<Self, ManifestError> {
        let mut once: Box<dyn Read> = match &source {
            Source::Stdin => Box::new(stdin),
            Source::File(path) => {
                let file = source.file(path)?;
                if file.metadata().is_ok_and(|metadata| metadata.is_file()) {
                    return Ok(Self { source, kept: None });
                }
                Box::new(file)
            }
        };
        let mut kept = SpooledTempFile::new(IN_MEMORY);
        match io::copy(&mut once, &mut kept) {
            Ok(_) => {}
            Err(error) => return Err(ManifestError::new(&source, error.into())),
        }
        drop(once);
        Ok(Self { source, kept: Some(kept) })
    }

    /// Where the documents come from.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Whether it is a file, and no pipe.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.kept.is_none()
    }

    /// The documents, from the first one on.
    ///
    /// # Errors
    ///
    /// [`Problem::Read`] where the source cannot be read.
    pub fn documents(&mut self) -> Result<Documents<Box<dyn BufRead + '_>>, ManifestError> {
        let reader: Box<dyn Read + '_> = match (&mut self.kept, &self.source) {
            (Some(kept), _) => {
                kept.rewind().map_err(|error| ManifestError::new(&self.source, error.into()))?;
                Box::new(kept)
            }
            (None, Source::File(path)) => Box::new(self.source.file(path)?),
            (None, Source::Stdin) => Box::new(io::empty()),
        };
        Ok(Documents::new(self.source.clone(), text(reader)))
    }
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
        let reader: Box<dyn Read + 's> = match self {
            Self::Stdin => Box::new(stdin),
            Self::File(path) => Box::new(self.file(path)?),
        };
        Ok(Documents::new(self.clone(), text(reader)))
    }

    fn file(&self, path: &Path) -> Result<File, ManifestError> {
        let file = File::open(path).map_err(|error| ManifestError::new(self, error.into()))?;
        // A folder opens like a file and fails only when it is read.
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Err(ManifestError::new(self, Problem::Folder));
        }
        Ok(file)
    }

    /// The files that `sources` stand for, as kubectl takes them: a folder stands for the manifests in it, and a
    /// pattern such as `deploy/*.yaml` for the files it matches, both in the order of their names.
    ///
    /// # Errors
    ///
    /// [`Problem::NoManifests`] where there are none, and [`Problem::Read`].
    pub fn expand(sources: &[Self]) -> Result<Vec<Self>, ManifestError> {
        let mut files = Vec::with_capacity(sources.len());
        for source in sources {
            match source {
                Self::File(path) if path.is_dir() => files.extend(source.folder(path)?),
                // The shell expands patterns, too, unless they are in quotes.
                Self::File(path) if !path.exists() => files.extend(source.matches(path)?),
                _ => files.push(source.clone()),
            }
        }
        Ok(files)
    }

    fn folder(&self, path: &Path) -> Result<Vec<Self>, ManifestError> {
        let error = |error: io::Error| ManifestError::new(self, error.into());
        let mut files = Vec::new();
        for entry in fs::read_dir(path).map_err(error)? {
            let file = entry.map_err(error)?.path();
            let extension = file.extension().and_then(OsStr::to_str);
            if extension.is_some_and(|it| EXTENSIONS.contains(&it)) && !file.is_dir() {
                files.push(file);
            }
        }
        files.sort_unstable();
        self.some(files)
    }

    fn matches(&self, pattern: &Path) -> Result<Vec<Self>, ManifestError> {
        let Some(text) = pattern.to_str().filter(|it| it.contains(['*', '?', '['])) else {
            // To be named as missing where it is opened.
            return Ok(vec![self.clone()]);
        };
        let options = MatchOptions { require_literal_separator: true, ..MatchOptions::new() };
        let found = glob::glob_with(text, options);
        let found = found.map_err(|_| ManifestError::new(self, Problem::NoManifests))?;
        let found = found.collect::<Result<Vec<_>, _>>();
        let files =
            found.map_err(|error| ManifestError::new(self, io::Error::from(error).into()))?;
        self.some(files.into_iter().filter(|file| !file.is_dir()).collect())
    }

    fn some(&self, files: Vec<PathBuf>) -> Result<Vec<Self>, ManifestError> {
        if files.is_empty() {
            return Err(ManifestError::new(self, Problem::NoManifests));
        }
        Ok(files.into_iter().map(Self::File).collect())
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
