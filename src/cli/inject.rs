//! `pullcred inject`

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use crate::{
    cluster::ClusterOptions,
    commands::{
        FileOrLive,
        inject::{Options, Output},
        manifests::{Source, TemplatePath},
    },
};

/// `pullcred inject`
#[derive(Debug, Args)]
#[command(
    // What reaches the cluster: all of these may stand together.
    group(ArgGroup::new("reaches").multiple(true)),
    after_help = "Formatting, order and comments of YAML stay; a document without a change stays as it is. UTF-16 comes out as UTF-8.
Standard output has the manifests once all of them are read, or nothing; standard error has what was found out about
them. A shell empties the file of `pullcred inject -f x > x` before it starts pullcred: use --in-place.

The API server copies the pull Secrets of a ServiceAccount only into Pods that list none. A list in a manifest repeats
them: those of the ServiceAccounts among the manifests, and of those that --service-accounts names.

Exit code: 0 fine, 1 if --check finds something or a manifest cannot be read, 2 usage or mapping. --check also finds
unknown kinds whose images need Secrets, and a --path that leads to no Pod template.

Examples:
  Give the Pods of a rendered chart their pull Secrets on the way to the cluster:
    helm template shop ./shop | pullcred inject --config pullcred.yaml -f - | kubectl apply -f -
  See what would change, as a diff that `patch -p0` takes:
    pullcred inject --config pullcred.yaml -f deploy.yaml -o diff
  Fail a pipeline where a manifest lacks a Secret:
    pullcred inject --config pullcred.yaml -f deploy.yaml --check
  Change the manifests of a folder where they are:
    pullcred inject --config pullcred.yaml -f deploy/ --in-place
  Keep what the ServiceAccounts of the cluster give:
    pullcred inject --config pullcred.yaml -f deploy.yaml -n shop --service-accounts live
  Custom kinds with Pod templates:
    pullcred inject --config pullcred.yaml -f rollout.yaml --path Rollout=/spec/template
    pullcred inject --config pullcred.yaml -f job.yaml --path 'PyTorchJob=/spec/pytorchReplicaSpecs/*/template'"
)]
pub struct InjectArgs {
    /// The mapping of registries to Secrets
    #[arg(long, env = "PULLCRED_CONFIG", value_name = "FILE")]
    pub config: PathBuf,
    /// Manifests in YAML or JSON: a file, a folder, a pattern such as `deploy/*.yaml`, or `-` for standard input; may
    /// be repeated
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    pub filenames: Vec<Source>,
    /// What to write [default: yaml, and with --check a line for each finding]
    #[arg(short, long, value_name = "FORMAT", value_enum)]
    pub output: Option<Output>,
    /// Write each changed manifest to the file it comes from, all of them or none
    #[arg(long, conflicts_with_all = ["check", "output"])]
    pub in_place: bool,
    /// The namespace of objects that name none, as in the output of `helm template` [default: `default`]
    #[arg(short, long, value_name = "NAMESPACE", value_parser = super::namespace)]
    pub namespace: Option<String>,
    /// Exit with 1 if something would change, or cannot be found
    #[arg(long)]
    pub check: bool,
    /// Where objects of custom kinds have their Pod template, as a JSON Pointer in which `*` is every entry of a list or
    /// member of an object; may be repeated
    #[arg(long = "path", value_name = "[KIND=]POINTER")]
    pub paths: Vec<TemplatePath>,
    /// Manifests of the service accounts that the Pods use, besides those among the manifests: a file, a folder, a
    /// pattern, `-`, or `live` for those of the cluster; may be repeated
    #[arg(long, value_name = "FILE|live", group = "reaches")]
    pub service_accounts: Vec<FileOrLive>,
    /// The reports of the cluster, which the webhook may follow: the output of `kubectl get psr -A -o yaml`, or `live`
    #[arg(long, value_name = "FILE|live", group = "reaches")]
    pub reports: Option<FileOrLive>,
    /// The context of the kubeconfig, with --service-accounts live or --reports live [default: the current one]
    #[arg(long, value_name = "NAME", requires = "reaches")]
    pub context: Option<String>,
    /// The kubeconfig, with one of these [default: KUBECONFIG, ~/.kube/config, or the Pod that this runs in]
    #[arg(long, value_name = "FILE", requires = "reaches")]
    pub kubeconfig: Option<PathBuf>,
}

// === impl InjectArgs ===

impl InjectArgs {
    /// What the command needs to know.
    #[must_use]
    pub fn into_options(self) -> Options {
        let Self { config, filenames, output, in_place, namespace, check, paths, .. } = self;
        let output = match output {
            _ if in_place => Output::InPlace,
            Some(output) => output,
            None if check => Output::Findings,
            None => Output::Yaml,
        };
        let Self { service_accounts, reports, context, kubeconfig, .. } = self;
        let cluster = ClusterOptions { context, kubeconfig };
        let sources = filenames;
        Options {
            config,
            sources,
            output,
            check,
            namespace,
            paths,
            service_accounts,
            reports,
            cluster,
        }
    }
}
