//! `pullcred policy`: the mapping as a policy that the API server evaluates itself, where no webhook is wanted.

mod cel;
mod object;

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::ValueEnum;
use serde::Serialize;

use self::object::{binding, policy};
use super::{Exit, Failure, Streams, load_mapping};

pub use crate::core::rules::SecretName as ObjectName;
use crate::core::rules::{Mapping, WhenMissing};

/// What a policy does not do, and the webhook does.
const LOST: &str = "\
note: a policy does not warn of images that cannot be read, has no metrics and no audit annotations,
and a mapping that changes takes effect only when the new policy is applied";

/// What to make, and of what.
#[derive(Debug)]
pub struct Options {
    /// The mapping.
    pub config: PathBuf,
    /// The name of the policy and of its binding.
    pub name: ObjectName,
    /// How they are written.
    pub output: Output,
}

/// How objects are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Two documents
    #[default]
    Yaml,
    /// A List
    Json,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<P, B> {
    api_version: &'static str,
    kind: &'static str,
    items: (P, B),
}

/// Writes the policy and its binding.
///
/// # Errors
///
/// [`Failure`] where the mapping cannot be read, or has more rules than a policy can; nothing is written then.
pub fn run(options: &Options, streams: &mut Streams<'_>) -> Result<Exit, Failure> {
    let Options { config, name, output } = options;
    let mapping = load_mapping(config)?;
    if mapping.rules().is_empty() && mapping.always().is_empty() {
        let message =
            "the mapping has only `discover`, which takes reports, and a policy sees none";
        return Err(Failure::usage(format!("{}: {message}", config.display())));
    }
    let variables = cel::variables(&mapping)
        .map_err(|error| Failure::usage(format!("{}: {error}", config.display())))?;
    let name = name.as_str();
    let (policy, binding) = (policy(name, variables), binding(name));
    let text = match output {
        Output::Json => {
            let list = List { api_version: "v1", kind: "List", items: (policy, binding) };
            serde_json::to_string_pretty(&list).map_err(Failure::trouble)? + "\n"
        }
        Output::Yaml => {
            let policy = serde_saphyr::to_string(&policy).map_err(Failure::trouble)?;
            let binding = serde_saphyr::to_string(&binding).map_err(Failure::trouble)?;
            format!("{policy}---\n{binding}")
        }
    };
    streams.stdout.write_all(text.as_bytes())?;
    streams.stdout.flush()?;
    writeln!(streams.stderr, "{LOST}")?;
    without_reports(&mapping, streams.stderr)?;
    Ok(Exit::Fine)
}

/// Says which keys of the mapping the policy cannot follow, since it sees no reports.
fn without_reports(mapping: &Mapping, stderr: &mut dyn Write) -> io::Result<()> {
    let skips = mapping.rules().iter().filter(|rule| rule.when_missing == WhenMissing::Skip);
    let lines: Vec<String> = skips.map(|rule| rule.line.to_string()).collect();
    if !lines.is_empty() {
        let lines = lines.join(", ");
        writeln!(
            stderr,
            "warning: a policy sees no reports: it adds the Secrets of rules with `whenMissing: skip` (line {lines}) also where \
             they are missing"
        )?;
    }
    if !mapping.discover().is_empty() {
        writeln!(stderr, "warning: a policy sees no reports: `discover` does nothing")?;
    }
    Ok(())
}
