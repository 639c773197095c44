//! Detects changes of files by reading them again.
//!
//! It compares bytes and does not use inotify: the kubelet updates a mounted ConfigMap or Secret by replacing a symbolic
//! link, after which an inotify watch on the file gets no more events.

use std::{convert::Infallible, error::Error, fs, io, path::PathBuf};

pub use crate::fingerprint::Fingerprint;

use crate::errors::with_causes;

/// Files that are read together, and their content at the last check.
#[derive(Debug)]
pub struct Watch {
    paths: Vec<PathBuf>,
    seen: Seen,
}

/// Why files are not usable.
#[derive(Debug, thiserror::Error)]
pub enum LoadError<E> {
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The files were read, but their content is not usable.
    #[error("cannot load {}", path.display())]
    Content {
        /// The path of the first file.
        path: PathBuf,
        /// Why the content is not usable.
        source: E,
    },
}

/// The result of a check.
#[derive(Debug)]
pub enum Change<T, E> {
    /// The content, or the problem with it, is the same as before.
    Unchanged,
    /// New content.
    Usable(T, Fingerprint),
    /// A new problem: the files cannot be read, or their content is not usable.
    Unusable(LoadError<E>),
}

#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    Content(Fingerprint),
    Failure(String),
}

// === impl Watch ===

impl Watch {
    /// Reads the files for the first time and parses them.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if a file cannot be read or `parse` refuses the contents.
    pub fn start<T, E>(
        paths: Vec<PathBuf>,
        parse: impl FnOnce(&[Vec<u8>]) -> Result<T, E>,
    ) -> Result<(Self, T, Fingerprint), LoadError<E>> {
        let contents = read(&paths)?;
        let fingerprint = Fingerprint::of(&contents);
        let value = parse(&contents).map_err(|error| LoadError::content(&paths, error))?;
        Ok((Self { paths, seen: Seen::Content(fingerprint) }, value, fingerprint))
    }

    /// Files that the first [`Self::check`] reads for the first time.
    #[must_use]
    pub fn unread(paths: Vec<PathBuf>) -> Self {
        Self { paths, seen: Seen::Nothing }
    }

    /// Reads the files again and parses them if they changed.
    pub fn check<T, E: Error + 'static>(
        &mut self,
        parse: impl FnOnce(&[Vec<u8>]) -> Result<T, E>,
    ) -> Change<T, E> {
        let contents = match read(&self.paths) {
            Ok(contents) => contents,
            Err(error) => return self.fail(Seen::Failure(with_causes(&error)), error),
        };
        let fingerprint = Fingerprint::of(&contents);
        if self.seen == Seen::Content(fingerprint) || !self.still_holds(fingerprint) {
            return Change::Unchanged;
        }
        match parse(&contents) {
            Ok(value) => {
                self.seen = Seen::Content(fingerprint);
                Change::Usable(value, fingerprint)
            }
            // The content is parsed again at each check, since a certificate can become valid by time alone. The same error
            // for the same content is reported once.
            Err(error) => {
                let seen = Seen::Failure(format!("{fingerprint} {}", with_causes(&error)));
                self.fail(seen, LoadError::content(&self.paths, error))
            }
        }
    }

    /// Whether a second read returns the same. If not, the first one was in the middle of a change and may mix old and new
    /// files: the next check reads them again.
    fn still_holds(&self, fingerprint: Fingerprint) -> bool {
        read::<Infallible>(&self.paths).is_ok_and(|again| Fingerprint::of(&again) == fingerprint)
    }

    fn fail<T, E>(&mut self, seen: Seen, error: LoadError<E>) -> Change<T, E> {
        if self.seen == seen {
            return Change::Unchanged;
        }
        self.seen = seen;
        Change::Unusable(error)
    }
}

fn read<E>(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, LoadError<E>> {
    let read = |path: &PathBuf| {
        fs::read(path).map_err(|source| LoadError::Read { path: path.clone(), source })
    };
    paths.iter().map(read).collect()
}

// === impl LoadError ===

impl<E> LoadError<E> {
    fn content(paths: &[PathBuf], source: E) -> Self {
        Self::Content { path: paths.first().cloned().unwrap_or_default(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_change_while_they_are_read_are_left_for_the_next_check() {
        // The kernel returns another text at each read of this file.
        let changing = "/proc/sys/kernel/random/uuid".into();
        let (mut watch, ..) = Watch::start(vec![changing], |_| Ok::<_, Infallible>(())).unwrap();
        let change = watch.check::<(), Infallible>(|_| panic!("must not be parsed"));
        assert!(matches!(change, Change::Unchanged));
    }
}
