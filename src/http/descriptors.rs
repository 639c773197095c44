//! The limit on open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// File descriptors of a webhook besides its connections: listeners, epoll, pipes, standard streams, files being read.
const OTHERS: u64 = 32;

/// Raises the soft limit on open files to the hard limit. Container runtimes commonly set a soft limit of 1024, for programs
/// that use select(2), and a far higher hard limit. Warns if the hard limit is too low for `connections`.
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
