//! The command line, as types. Every flag can also be set by environment; nothing is read or opened here.

mod explain;
mod inject;
mod webhook;

use std::time::Duration;

use clap::{Args, Parser, Subcommand};

pub use self::{
    explain::{AskedArgs, ClusterArgs, ExplainArgs, ExplainOutput},
    inject::{InjectArgs, InjectOutput},
    webhook::{TlsArgs, WebhookArgs},
};
use crate::telemetry::LogFormat;

/// Gives every new Pod of an opted-in namespace the imagePullSecrets that its images need.
#[derive(Debug, Parser)]
#[command(name = "pullcred", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// How to log. Diagnostics go to standard error, data to standard output.
    #[command(flatten)]
    pub log: LogArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The roles of the one binary.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say why a Pod gets which Secrets, and whether they open its images
    Explain(ExplainArgs),
    /// Add the pull Secrets that Pods need to their manifests
    Inject(InjectArgs),
    /// Serve admission over HTTPS
    Webhook(WebhookArgs),
}

/// Logging, for every command.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// What to log: off, error, warn, info, debug or trace, also by module, as in `info,pullcred::server=debug`
    #[arg(
        long,
        global = true,
        env = "PULLCRED_LOG",
        value_name = "FILTER",
        default_value = "info"
    )]
    pub log: String,
    /// The shape of log lines
    #[arg(long, global = true, env = "PULLCRED_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// Reads a positive number of seconds, such as `10` or `0.5`.
fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "write a positive number of seconds, such as 10".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
