//! Why a plugin gave no login.

use std::{io::ErrorKind, process::ExitStatus};

/// Why a plugin gave no login. What a plugin writes is not repeated: it may hold credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PluginProblem {
    /// The program cannot be started.
    #[error(
        "the plugin {name} cannot be started ({why}): check that the image with the plugins has it, for this kind of machine"
    )]
    Start {
        /// Its name.
        name: Box<str>,
        /// The system's word for it.
        why: ErrorKind,
    },
    /// It ended with an error.
    #[error(
        "the plugin ended with {status} and {stderr} bytes of errors, which pullcred does not show: run it by hand with the same \
             arguments and environment"
    )]
    Failed {
        /// How it ended.
        status: ExitStatus,
        /// How many bytes it wrote to standard error.
        stderr: u64,
    },
    /// It did not end in time, and was killed.
    #[error(
        "the plugin did not end within {0} s and was killed: check whether it can reach its service"
    )]
    Slow(u64),
    /// Its answer is too long, and it was killed.
    #[error("the plugin wrote more than 1 MiB and was killed")]
    Flood,
    /// Its answer is not one of the protocol: what is wrong.
    #[error("the answer of the plugin {0}: it must speak credentialprovider.kubelet.k8s.io/v1")]
    Answer(&'static str),
    /// Its answer has no login for the registry.
    #[error(
        "the plugin gave no login for {0}: check its arguments, its environment and its identity"
    )]
    NoLogin(Box<str>),
    /// A login in its answer cannot be written into a Secret: why.
    #[error(
        "the login of the plugin cannot be used, because {0}: run it by hand with the same arguments and environment"
    )]
    Login(&'static str),
    /// Nothing says how long its login lives.
    #[error(
        "nothing says how long the plugin's login lives: write `refresh` for the login, such as 30m"
    )]
    NoDuration,
    /// The login has ended.
    #[error(
        "the login of the plugin ended {0} s before it arrived: check the clock of this node and the plugin's own cache"
    )]
    Over(i64),
}
