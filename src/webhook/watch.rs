//! Files that change under a running process: looked at every few seconds, and the last good content kept.
//!
//! The bytes are compared, not events awaited: the kubelet updates a mounted ConfigMap or Secret by swapping a symbolic
//! link, after which an inotify watch on the file itself never hears anything again.

use std::{convert::Infallible, error::Error, fs, io, path::PathBuf};

pub use crate::fingerprint::Fingerprint;

use crate::errors::with_causes;

/// Files that are read together, and how they were when they were last looked at.
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
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The files were read, but their content is not usable.
    #[error("cannot load {}", path.display())]
    Content {
        /// The first of the files.
        path: PathBuf,
        /// What is wrong with it.
        source: E,
    },
}

/// What a look at the files brought.
#[derive(Debug)]
pub enum Look<T, E> {
    /// Nothing that was not there before.
    Same,
    /// New content.
    New(T, Fingerprint),
    /// Content that is not usable, seen for the first time.
    Bad(LoadError<E>),
}

#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    Content(Fingerprint),
    Failure(String),
}

// === impl Watch ===

impl Watch {
    /// Reads the files for the first time and makes of them what `parse` does.
    ///
    /// # Errors
    ///
    /// [`LoadError`] where a file cannot be read or `parse` refuses the contents.
    pub fn start<T, E>(
        paths: Vec<PathBuf>,
        parse: impl FnOnce(&[Vec<u8>]) -> Result<T, E>,
    ) -> Result<(Self, T, Fingerprint), LoadError<E>> {
        let contents = read(&paths)?;
        let fingerprint = Fingerprint::of(&contents);
        let value = parse(&contents).map_err(|error| LoadError::content(&paths, error))?;
        Ok((Self { paths, seen: Seen::Content(fingerprint) }, value, fingerprint))
    }

    /// Files that the first [`Self::look`] reads for the first time.
    #[must_use]
    pub fn unread(paths: Vec<PathBuf>) -> Self {
        Self { paths, seen: Seen::Nothing }
    }

    /// Reads the files again and, unless they are as they were, hands their contents to `parse`.
    pub fn look<T, E: Error + 'static>(
        &mut self,
        parse: impl FnOnce(&[Vec<u8>]) -> Result<T, E>,
    ) -> Look<T, E> {
        let contents = match read(&self.paths) {
            Ok(contents) => contents,
            Err(error) => return self.fail(Seen::Failure(with_causes(&error)), error),
        };
        let fingerprint = Fingerprint::of(&contents);
        if self.seen == Seen::Content(fingerprint) || !self.still_holds(fingerprint) {
            return Look::Same;
        }
        match parse(&contents) {
            Ok(value) => {
                self.seen = Seen::Content(fingerprint);
                Look::New(value, fingerprint)
            }
            // The content is judged again at each look, since time alone can make a certificate valid; but one verdict on
            // one content is told once.
            Err(error) => {
                let seen = Seen::Failure(format!("{fingerprint} {}", with_causes(&error)));
                self.fail(seen, LoadError::content(&self.paths, error))
            }
        }
    }

    /// Whether the files hold the same a moment later. If not, they were read in the middle of a change, perhaps one from
    /// before and one from after it: the next look sees them as they are then.
    fn still_holds(&self, fingerprint: Fingerprint) -> bool {
        read::<Infallible>(&self.paths).is_ok_and(|again| Fingerprint::of(&again) == fingerprint)
    }

    fn fail<T, E>(&mut self, seen: Seen, error: LoadError<E>) -> Look<T, E> {
        if self.seen == seen {
            return Look::Same;
        }
        self.seen = seen;
        Look::Bad(error)
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
    fn what_changes_while_it_is_read_is_left_for_the_next_look() {
        // The kernel puts another text into this file for each reader.
        let changing = "/proc/sys/kernel/random/uuid".into();
        let (mut watch, ..) = Watch::start(vec![changing], |_| Ok::<_, Infallible>(())).unwrap();
        let look = watch.look::<(), Infallible>(|_| panic!("nobody wants to see this"));
        assert!(matches!(look, Look::Same));
    }
}
