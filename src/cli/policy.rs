//! `pullcred policy`

use std::path::PathBuf;

use clap::Args;

use crate::commands::policy::{ObjectName, Options, Output};

/// `pullcred policy`
#[derive(Debug, Args)]
#[command(
    after_help = "The policy chooses the same Pods as the webhook and gives them the same list. It needs Kubernetes 1.36.
Use one or the other: both together do no harm, but the webhook finds nothing left to do.
Exit code: 0 written, 1 not, 2 usage, mapping, or more rules than a policy can have.

Examples:
  Inject without a webhook:
    pullcred policy --config pullcred.yaml | kubectl apply --server-side -f -
  Stop it:
    kubectl delete mutatingadmissionpolicybinding,mutatingadmissionpolicy pullcred"
)]
pub struct PolicyArgs {
    /// The mapping of registries to Secrets
    #[arg(long, env = "PULLCRED_CONFIG", value_name = "FILE")]
    pub config: PathBuf,
    /// The name of the policy and of its binding
    #[arg(long, value_name = "NAME", default_value = "pullcred", value_parser = object_name)]
    pub name: ObjectName,
    /// How to write them
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    pub output: Output,
}

/// A DNS-1123 subdomain, as the names of Secrets and policies are.
fn object_name(text: &str) -> Result<ObjectName, &'static str> {
    text.parse().map_err(|_| {
        "write lower-case letters, digits, `-` and `.`, with a letter or digit at each end and next to each `.`"
    })
}

// === impl PolicyArgs ===

impl PolicyArgs {
    /// What the command needs to know.
    #[must_use]
    pub fn into_options(self) -> Options {
        let Self { config, name, output } = self;
        Options { config, name, output }
    }
}
