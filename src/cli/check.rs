//! `pullcred check`

use std::{path::PathBuf, time::Duration};

use clap::Args;
use k8s_openapi::jiff::SignedDuration;

use crate::{
    cluster::ClusterOptions,
    commands::{
        check::{Checked, Live, Offline, Options, Output},
        manifests::Source,
    },
};

/// `pullcred check`
#[derive(Debug, Args)]
#[command(
    after_help = "With --live it looks at the webhook's registration, Service, certificates and mapping,
at the labels of namespaces, and at the Pods and Secrets of those that have opted in.
Secrets are read by name, and no login is ever shown. What may not be read is a note.

With --wait it first waits until a mapping that has just changed is in force. --print-rights writes what
a user or a CronJob of its own needs for --live: Secrets are named one by one.

JSON is one object a line: {\"severity\", \"check\", \"where\", \"message\"}.
Exit code: 0 no error and no warning (notes are neither), 1 findings or no cluster, 2 usage or mapping.

Examples:
  Does the mapping say what is meant?
    pullcred check --config pullcred.yaml
  In a pipeline:
    pullcred check --config pullcred.yaml -o json
  Is all well with pullcred in this cluster?
    pullcred check --live
  After a change of the mapping, before Pods are created that need it:
    helm upgrade … && pullcred check --live --wait
  Do the logins fill what the rules name, and no more?
    kubectl get secret -n pullcred acme-robot -o yaml |
      pullcred check --config pullcred.yaml --from -
  Does the mapping in the chart's values say what is meant?
    pullcred check --config values.yaml
  Would a new mapping do for the namespace shop?
    pullcred check --live -n shop --config pullcred.yaml"
)]
pub struct CheckArgs {
    /// The mapping of registries to Secrets, or values of the chart [default with --live: that of the webhook's Pods]
    #[arg(long, env = "PULLCRED_CONFIG", value_name = "FILE", required_unless_present = "live")]
    pub config: Option<PathBuf>,
    /// Look at a cluster, too
    #[arg(long)]
    pub live: bool,
    /// First wait until the webhook's Pods are ready and decide by the mapping in their ConfigMap, so long at the most
    #[arg(
        long,
        value_name = "DURATION",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "5m",
        value_parser = duration,
        requires = "live"
    )]
    pub wait: Option<Duration>,
    /// Write the rights that --live needs for this mapping, as manifests, and look at nothing
    #[arg(long, group = "installed", conflicts_with = "live", requires = "config")]
    pub print_rights: bool,
    /// Manifests with the Secrets of the mapping's logins, in YAML or JSON, to look at, too: a file, or `-`; may be
    /// repeated
    #[arg(
        long = "from",
        value_name = "FILE",
        group = "installed",
        conflicts_with = "live",
        requires = "config"
    )]
    pub sources: Vec<Source>,
    /// The namespace that pullcred is installed in
    #[arg(
        long,
        value_name = "NAMESPACE",
        value_parser = super::namespace,
        default_value = "pullcred",
        requires = "installed"
    )]
    pub installed_in: String,
    /// The one namespace whose Pods and Secrets to look at [default: all]
    #[arg(short, long, value_name = "NAMESPACE", value_parser = super::namespace, requires = "live")]
    pub namespace: Option<String>,
    /// The MutatingWebhookConfiguration to look at [default: each that has the webhook inject.pullcred.dev]
    #[arg(long, value_name = "NAME", requires = "live")]
    pub webhook_config: Option<String>,
    /// The context of the kubeconfig [default: the current one]
    #[arg(long, value_name = "NAME", requires = "live")]
    pub context: Option<String>,
    /// The kubeconfig [default: KUBECONFIG, ~/.kube/config, or the Pod that this runs in]
    #[arg(long, value_name = "FILE", requires = "live")]
    pub kubeconfig: Option<PathBuf>,
    /// How to write what is found
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    pub output: Output,
}

/// Reads a time such as `90s`, `5m` or `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().ok().and_then(|it| Duration::try_from(it).ok());
    parsed.ok_or_else(|| "write a time such as 90s, 5m or 1h".to_owned())
}

// === impl CheckArgs ===

impl CheckArgs {
    /// What the command needs to know.
    #[must_use]
    pub fn into_options(self) -> Options {
        let Self {
            config,
            live,
            wait,
            print_rights,
            sources,
            installed_in,
            namespace,
            webhook_config,
            context,
            kubeconfig,
            output,
        } = self;
        let checked = match config {
            // Clap lets it be missing with --live only.
            Some(config) if print_rights => Checked::Rights(config, installed_in),
            Some(config) if !live => Checked::Mapping(Offline { config, sources, installed_in }),
            config => {
                let cluster = ClusterOptions { context, kubeconfig };
                let live = Live { cluster, namespace, registration: webhook_config, wait };
                Checked::Live(live, config)
            }
        };
        Options { checked, output }
    }
}
