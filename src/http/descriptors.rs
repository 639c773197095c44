//! File descriptors: as many as the process may have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// What a webhook has open besides its connections: listeners, epoll, pipes, standard streams, files being read.
const OTHERS: u64 = 32;

/// Raises the limit on open files to the most that is allowed. Container runtimes commonly give 1024, for programs that use
/// select(2), and allow far more; connections beyond would not be accepted. Warns where not even that is enough for
/// `connections`.
pub(crate) fn raise_limit(connections: usize) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let limit = match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(_) => current,
    };
    let needed = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHERS);
    if let Some(limit) = limit.filter(|&limit| limit < needed) {
        warn!(
            limit,
            needed,
            "the limit on open files (ulimit -n) is too low for --max-connections: connections beyond it will wait"
        );
    }
}
