//! `pullcred status`

use std::path::PathBuf;

use clap::Args;

use crate::{
    cluster::ClusterOptions,
    commands::{
        FileOrLive,
        status::{Options, Output},
    },
};

/// `pullcred status`
#[derive(Debug, Args)]
#[command(
    after_help = "It reads LoginReports, PullSecretReports and the Lease of those who write them, and nothing else. In one
namespace, the ClusterRole `view` is enough.
Exit code: 0 all is well, 1 something needs attention, or the reports cannot be read, 2 usage.

Examples:
  Is anything wrong with the logins, the Secrets or the Pods of this cluster?
    pullcred status
  What is wrong in my namespace, and what do I do?
    pullcred status --namespace shop
  A page for a mail or for the artefacts of a pipeline:
    pullcred status -o html > status.html
  Without a cluster, from reports that somebody has saved:
    kubectl get loginreports,pullsecretreports,leases --all-namespaces --output yaml > reports.yaml
    pullcred status --reports reports.yaml"
)]
pub struct StatusArgs {
    /// The one namespace to look at [default: all]
    #[arg(short, long, value_name = "NAMESPACE", value_parser = super::namespace)]
    pub namespace: Option<String>,
    /// How to show it
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    pub output: Output,
    /// The reports: `live` for those of the cluster, or manifests: a file, a folder, a pattern or `-`
    #[arg(long, value_name = "FILE|live", default_value = "live")]
    pub reports: FileOrLive,
    /// The namespace that pullcred is installed in [default: that of the webhook's Service]
    #[arg(long, value_name = "NAMESPACE", value_parser = super::namespace)]
    pub installed_in: Option<String>,
    /// The context of the kubeconfig [default: the current one]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// The kubeconfig [default: KUBECONFIG, ~/.kube/config, or the Pod that this runs in]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

// === impl StatusArgs ===

impl StatusArgs {
    /// What the command needs to know.
    #[must_use]
    pub fn into_options(self) -> Options {
        let Self { namespace, output, reports, installed_in, context, kubeconfig } = self;
        let cluster = ClusterOptions { context, kubeconfig };
        Options { reports, cluster, namespace, installed_in, output }
    }
}
