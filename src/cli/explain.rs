//! `pullcred explain`

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use crate::{
    cluster::ClusterOptions,
    commands::{
        FileOrLive,
        explain::{Asked, Live, Options, Output},
        manifests::{Source, TemplatePath},
    },
};

/// `pullcred explain`
#[derive(Debug, Args)]
#[command(
    // What reaches the cluster: all of these may stand together.
    group(ArgGroup::new("reaches").multiple(true)),
    after_help = "JSON is one object a line and image. It names the keys of Secrets as they are written there.
Exit code: 0 answered, 1 unreadable manifest or cluster, 2 usage or mapping.

Examples:
  Which Secrets would a Pod with this image get, and by which rules?
    pullcred explain --config pullcred.yaml ghcr.io/acme/web:1
  Would the kubelet take them for it?
    kubectl get secret -n shop -o yaml |
      pullcred explain --config pullcred.yaml --secrets - ghcr.io/acme/web:1
  All images of a list, as JSON:
    pullcred explain --config pullcred.yaml -o json - < images.txt
  The Pods of a manifest:
    pullcred explain --config pullcred.yaml -f deploy.yaml
  Why does my Pod not start?
    pullcred explain --live -n shop"
)]
pub struct ExplainArgs {
    /// The mapping of registries to Secrets [default with --live: that of the webhook's Pods]
    #[arg(long, env = "PULLCRED_CONFIG", value_name = "FILE", required_unless_present = "live")]
    pub config: Option<PathBuf>,
    /// How to answer
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    pub output: Output,
    /// The namespace [default: what a manifest names, the context's with --live, or `default`]
    #[arg(short, long, value_name = "NAMESPACE", value_parser = super::namespace)]
    pub namespace: Option<String>,
    /// Manifests of the Secrets that a Pod lists, in this order: a file, or `-`; may be repeated
    #[arg(long, value_name = "FILE", conflicts_with = "live")]
    pub secrets: Vec<Source>,
    /// Manifests of the service accounts that Pods of manifests use, besides those among the manifests: a file, a folder,
    /// a pattern, `-`, or `live` for those of the cluster; may be repeated
    #[arg(long, value_name = "FILE|live", group = "reaches", requires = "filenames", conflicts_with_all = ["images", "live"])]
    pub service_accounts: Vec<FileOrLive>,
    /// The reports of the cluster, which the webhook may follow: the output of `kubectl get psr -A -o yaml`, or `live`
    #[arg(long, value_name = "FILE|live", group = "reaches")]
    pub reports: Option<FileOrLive>,
    /// What to explain.
    #[command(flatten)]
    pub asked: AskedArgs,
    /// Which cluster, with --live.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Where objects of custom kinds have their Pod template, as a JSON Pointer in which `*` is every entry of a list; may
    /// be repeated
    #[arg(long = "path", value_name = "[KIND=]POINTER", requires = "filenames", conflicts_with_all = ["images", "live"])]
    pub paths: Vec<TemplatePath>,
}

/// What to explain.
#[derive(Debug, Args)]
#[group(id = "asked", required = true, multiple = false)]
pub struct AskedArgs {
    /// Images, as they stand in a Pod; `-` reads them from standard input, one a line
    #[arg(value_name = "IMAGE")]
    pub images: Vec<String>,
    /// The Pods of manifests in YAML or JSON: a file, a folder, a pattern such as `deploy/*.yaml`, or `-`; may be repeated
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    pub filenames: Vec<Source>,
    /// The Pods of a cluster, with their Secrets
    #[arg(long, group = "reaches")]
    pub live: bool,
}

/// Which cluster. Each flag names what it does not go with, too: Clap lets a required flag be missing where another is
/// in its way.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// The Pods of all namespaces
    #[arg(short = 'A', long, requires = "live", conflicts_with_all = ["filenames", "images", "namespace"])]
    pub all_namespaces: bool,
    /// The context of the kubeconfig [default: the current one]
    #[arg(long, value_name = "NAME", requires = "reaches")]
    pub context: Option<String>,
    /// The kubeconfig [default: KUBECONFIG, ~/.kube/config, or the Pod that this runs in]
    #[arg(long, value_name = "FILE", requires = "reaches")]
    pub kubeconfig: Option<PathBuf>,
}

// === impl ExplainArgs ===

impl ExplainArgs {
    /// What the command needs to know.
    #[must_use]
    pub fn into_options(self) -> Options {
        let Self { config, output, namespace, secrets, asked, cluster, .. } = self;
        let Self { paths, service_accounts, reports, .. } = self;
        let AskedArgs { images, filenames, live } = asked;
        let ClusterArgs { all_namespaces, context, kubeconfig } = cluster;
        // Clap lets just one of the three through.
        let cluster = ClusterOptions { context, kubeconfig };
        let asked = if live {
            Asked::Live(Live { cluster: cluster.clone(), all_namespaces })
        } else if filenames.is_empty() {
            Asked::Images(images)
        } else {
            Asked::Manifests(filenames)
        };
        Options {
            config,
            output,
            namespace,
            service_accounts,
            cluster,
            reports,
            secrets,
            paths,
            asked,
        }
    }
}
