//! `pullcred inject`

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::commands::{
    inject::{Options, Output},
    manifests::{Source, TemplatePath},
};

/// `pullcred inject`
#[derive(Debug, Args)]
#[command(
    after_help = "Formatting, order and comments of YAML stay; a document without a change stays byte for byte.
Standard output has the manifests, standard error what was found out about them.
Exit code: 0 fine, 1 if --check finds something or a manifest cannot be read, 2 usage or mapping.

Examples:
  Give the Pods of a rendered chart their pull Secrets on the way to the cluster:
    helm template shop ./shop | pullcred inject --config pullcred.yaml -f - | kubectl apply -f -
  See what would change, as a diff that `patch -p0` takes:
    pullcred inject --config pullcred.yaml -f deploy.yaml -o diff
  Fail a pipeline where a manifest lacks a Secret:
    pullcred inject --config pullcred.yaml -f deploy.yaml --check
  A custom kind with a Pod template:
    pullcred inject --config pullcred.yaml -f rollout.yaml --path Rollout=/spec/template"
)]
pub struct InjectArgs {
    /// The mapping of registries to Secrets
    #[arg(long, env = "PULLCRED_CONFIG", value_name = "FILE")]
    pub config: PathBuf,
    /// Manifests in YAML or JSON: a file, or `-` for standard input; may be repeated
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    pub filenames: Vec<Source>,
    /// What to write [default: yaml, and with --check a line for each finding]
    #[arg(short, long, value_name = "FORMAT", value_enum)]
    pub output: Option<InjectOutput>,
    /// The namespace of all objects [default: what each names, or `default`]
    #[arg(short, long, value_name = "NAMESPACE", value_parser = super::namespace)]
    pub namespace: Option<String>,
    /// Exit with 1 if something would change
    #[arg(long)]
    pub check: bool,
    /// Where objects of custom kinds have their Pod template, as a JSON Pointer in which `*` is every entry of a list; may
    /// be repeated
    #[arg(long = "path", value_name = "[KIND=]POINTER")]
    pub paths: Vec<TemplatePath>,
}

/// The forms in which `pullcred inject` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InjectOutput {
    /// The manifests as they are written, with what is missing added
    Yaml,
    /// The manifests as JSON, one document a line
    Json,
    /// A unified diff
    Diff,
}

// === impl InjectArgs ===

impl InjectArgs {
    /// What the command needs to know.
    #[must_use]
    pub fn into_options(self) -> Options {
        let Self { config, filenames, output, namespace, check, paths } = self;
        let output = match output {
            Some(InjectOutput::Json) => Output::Json,
            Some(InjectOutput::Diff) => Output::Diff,
            None if check => Output::Findings,
            Some(InjectOutput::Yaml) | None => Output::Yaml,
        };
        Options { config, sources: filenames, output, check, namespace, paths }
    }
}
