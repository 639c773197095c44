//! Memory that is freed goes back to the operating system.
//!
//! glibc's allocator keeps a freed block for the next one of its kind. Once blocks of 16 MiB have been freed, it no longer
//! maps such blocks one by one, and each thread's heap may keep 64 MiB (malloc/malloc.c, `mp_.mmap_threshold`, which grows
//! with what is freed unless it is set). What a process holds is then no longer bounded by what it has in use.
//! `docs/decisions/007-what-a-request-costs.md` has the measurements.

use std::{env, io, os::unix::process::CommandExt, process::Command};

/// glibc reads this variable once, before the program begins.
pub const VARIABLE: &str = "GLIBC_TUNABLES";
/// Blocks from 128 KiB on are mapped and unmapped one by one. That is what glibc begins with; set, it stays so. The image
/// has it in its environment.
pub const SETTING: &str = "glibc.malloc.mmap_threshold=131072";

/// The roles whose memory has a documented bound.
const BOUNDED: [&str; 2] = ["credentials", "webhook"];

/// Has the allocator give back what is freed, in a process that runs one of the roles with a bound. It can be told only by
/// the environment that a program starts with, so where that does not have the setting yet, this replaces the process by
/// itself, under the same process ID. An environment that sets the allocator in its own way is left alone.
///
/// To be called before anything else: what the process has done by then, it does twice. So the role is not parsed; another
/// command with such a word among its arguments is started again without need and without harm.
///
/// # Errors
///
/// Where the program cannot be started again. It then goes on as it is.
pub fn give_back_what_is_freed() -> io::Result<()> {
    let bounded = env::args_os().skip(1).any(|argument| BOUNDED.iter().any(|it| argument == *it));
    if !bounded || env::var_os(VARIABLE).is_some() {
        return Ok(());
    }
    let mut arguments = env::args_os();
    let mut again = Command::new(env::current_exe()?);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    Err(again.args(arguments).env(VARIABLE, SETTING).exec())
}
