//! The command line, as types. Nothing is read or opened here.
//!
//! The flags of what runs for long can also be set by environment, and so can the mapping of every command.

mod check;
mod controller;
mod credentials;
mod explain;
mod inject;
mod plugins;
mod policy;
mod secret;
mod shell;
mod status;
mod webhook;

use std::{
    ffi::{OsStr, OsString},
    net::SocketAddr,
    path::Path,
};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

pub use self::{
    check::CheckArgs,
    controller::{ControllerArgs, ProbeArgs, RunArgs, UnregisterArgs},
    credentials::CredentialsArgs,
    explain::{AskedArgs, ClusterArgs, ExplainArgs},
    inject::InjectArgs,
    plugins::PluginsArgs,
    policy::PolicyArgs,
    secret::{CopiesArgs, MakeSecretArgs, SecretAction, SecretArgs, ShowSecretArgs},
    shell::{CompletionsArgs, ManArgs},
    status::StatusArgs,
    webhook::{TlsArgs, WebhookArgs},
};
use crate::{commands::NamespacePattern, telemetry::LogFormat};

/// Gives every new Pod of an opted-in namespace the imagePullSecrets that its images need.
#[derive(Debug, Parser)]
#[command(name = "pullcred", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Examples:
  Why does this image need which Secret?
    pullcred explain --config pullcred.yaml ghcr.io/acme/web:1
  Give the Pods of a manifest what they need, without a webhook:
    pullcred inject --config pullcred.yaml -f deploy.yaml | kubectl apply -f -
  Also as `kubectl pullcred …`, where a link of that name is in the PATH:
    ln -s \"$(command -v pullcred)\" ~/.local/bin/kubectl-pullcred")]
pub struct Cli {
    /// How to log. Diagnostics go to standard error, data to standard output.
    #[command(flatten)]
    pub log: LogArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The file name by which kubectl finds a plugin called `pullcred`. A link of this name to the binary is enough.
const PLUGIN: &str = "kubectl-pullcred";
/// How a person then calls it.
const AS_PLUGIN: &str = "kubectl pullcred";

/// The roles of the one binary.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Find what is wrong with a mapping, or with pullcred in a cluster
    Check(CheckArgs),
    /// Write the completions for a shell
    Completions(CompletionsArgs),
    /// Keep the serving certificate and the webhook configuration's caBundle in order
    Controller(ControllerArgs),
    /// Keep the Secrets in opted-in namespaces that rules with a login name
    Credentials(CredentialsArgs),
    /// Say why a Pod gets which Secrets, and whether they open its images
    Explain(ExplainArgs),
    /// Add the pull Secrets that Pods need to their manifests
    Inject(InjectArgs),
    /// Write the manual pages
    Man(ManArgs),
    /// Run credential provider plugins for pullcred credentials
    Plugins(PluginsArgs),
    /// Write the mapping as a policy of the API server, in place of the webhook
    Policy(PolicyArgs),
    /// Make a pull Secret with the logins of some registries and no others
    Secret(SecretArgs),
    /// Show logins, their copies and what needs attention, from reports
    Status(StatusArgs),
    /// Serve admission over HTTPS
    Webhook(WebhookArgs),
}

/// The plain port of a process.
#[derive(Debug, Args)]
pub struct AdminArgs {
    /// Where to serve /livez, /readyz and /metrics over plain HTTP
    #[arg(
        long,
        env = "PULLCRED_ADMIN_LISTEN",
        value_name = "ADDRESS",
        default_value = "[::]:8080"
    )]
    admin_listen: SocketAddr,
}

/// Logging, for every command.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// What to log: off, error, warn, info, debug or trace, also by module, as in `info,pullcred::webhook=debug`
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

// === impl Cli ===

impl Cli {
    /// Reads the command line of a process, the name of the program included. As a plugin of kubectl it speaks of itself
    /// as `kubectl pullcred`.
    ///
    /// # Errors
    ///
    /// What Clap has to say instead, help and version included.
    pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let args: Vec<OsString> = args.into_iter().collect();
        let mut command = Self::command();
        if Self::program(args.first().map(OsString::as_os_str)) == AS_PLUGIN {
            command = command.bin_name(AS_PLUGIN);
        }
        Self::from_arg_matches(&command.try_get_matches_from(args)?)
    }

    /// How a person calls the program that was started by this name.
    #[must_use]
    pub fn program(name: Option<&OsStr>) -> &'static str {
        let is_plugin = name.is_some_and(|it| Path::new(it).file_stem() == Some(PLUGIN.as_ref()));
        if is_plugin { AS_PLUGIN } else { "pullcred" }
    }
}

/// Reads the name of one namespace.
fn namespace(text: &str) -> Result<String, &'static str> {
    let name = text.parse::<NamespacePattern>().ok().filter(|name| !name.is_glob());
    name.map(|name| name.to_string()).ok_or(
        "write the name of one namespace: lower-case letters, digits and `-`, with a letter or digit at each end",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_one() {
        assert_eq!(namespace("team-a"), Ok("team-a".to_owned()));
        for text in ["", "Team_A", "a.b", "batch-*", "a\nb", &"a".repeat(64)] {
            assert!(namespace(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
