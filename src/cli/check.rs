//! `pullcred check`

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::commands::check::{Options, Output};

/// `pullcred check`
#[derive(Debug, Args)]
#[command(
    after_help = "JSON is one object a line: {\"severity\", \"check\", \"where\", \"message\"}.
Exit code: 0 no error and no warning (notes are neither), 1 findings, 2 usage or mapping.

Examples:
  Does the mapping say what is meant?
    pullcred check --config pullcred.yaml
  In a pipeline:
    pullcred check --config pullcred.yaml -o json"
)]
pub struct CheckArgs {
    /// The mapping of registries to Secrets
    #[arg(long, env = "PULLCRED_CONFIG", value_name = "FILE")]
    pub config: PathBuf,
    /// How to write what is found
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    pub output: CheckOutput,
}

/// The forms in which `pullcred check` writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum CheckOutput {
    /// Columns for people, with colours on a terminal
    #[default]
    Table,
    /// One JSON object a line
    Json,
}

// === impl CheckArgs ===

impl CheckArgs {
    /// What the command needs to know.
    #[must_use]
    pub fn into_options(self) -> Options {
        let Self { config, output } = self;
        let output = match output {
            CheckOutput::Json => Output::Json,
            CheckOutput::Table => Output::Table,
        };
        Options { config, output }
    }
}
