//! Keys and logins in memory stay out of core dumps.

use rustix::{
    io,
    process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit},
};

/// Disables core dumps of this process and access of other processes of the same user to its memory.
///
/// A pipe in `core_pattern` ignores `RLIMIT_CORE`, so both are needed (core(5)). A debugger or profiler then needs
/// `CAP_SYS_PTRACE`.
///
/// # Errors
///
/// If the kernel refuses, for example because of a seccomp profile.
pub fn keep_memory_private() -> io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Core);
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_core_is_dumped() {
        keep_memory_private().unwrap();
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
    }
}
