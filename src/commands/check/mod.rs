//! `pullcred check`: lints a mapping, and checks a cluster that uses it.
//!
//! Findings are errors, warnings and notes. Only the first two make the command fail; what could not be read is a note.

mod finding;
mod live;
mod logins;
mod mapping;
mod name;
mod reports;
mod rights;

use std::path::PathBuf;

use clap::ValueEnum;

use self::finding::Report;
use super::{
    Exit, Failure, Streams, load_mapping,
    manifests::{SecretManifest, Source},
};

pub use self::{live::Live, name::Check};

pub(super) use self::finding::first_of;
pub(super) use self::live::{GivenText, NotGiven, WEBHOOK, selected};

/// What to check, and how to report it.
#[derive(Debug)]
pub struct Options {
    /// What to check.
    pub checked: Checked,
    /// How findings are written.
    pub output: Output,
}

/// What to check.
#[derive(Debug)]
pub enum Checked {
    /// A cluster, by this mapping or by its own.
    Live(Live, Option<PathBuf>),
    /// A mapping, and the logins in manifests.
    Mapping(Offline),
    /// Nothing: the rights to check a cluster by this mapping are written, with pullcred in this namespace.
    Rights(PathBuf, String),
}

/// A mapping without a cluster.
#[derive(Debug)]
pub struct Offline {
    /// The mapping.
    pub config: PathBuf,
    /// Manifests with the Secrets of the logins; where there are none, logins are not looked at.
    pub sources: Vec<Source>,
    /// The namespace of pullcred, with the Secrets of the logins.
    pub installed_in: String,
}

/// How findings are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Columns for people, with colours on a terminal
    #[default]
    Table,
    /// One JSON object a line
    Json,
}

/// Runs the command.
///
/// # Errors
///
/// [`Failure`] where the mapping cannot be read, the cluster cannot be found, or the output cannot be written.
pub fn run(options: &Options, streams: &mut Streams<'_>) -> Result<Exit, Failure> {
    let mut report = Report::default();
    match &options.checked {
        Checked::Live(cluster, config) => {
            let mapping = config.as_deref().map(load_mapping).transpose()?;
            live::check(cluster, mapping, &mut report, streams.stderr)?;
            report.sort();
        }
        Checked::Mapping(offline) => offline.check(&mut report, streams)?,
        Checked::Rights(config, namespace) => {
            return rights::write(&load_mapping(config)?, namespace, streams);
        }
    }
    match options.output {
        Output::Json => report.write_json(streams.stdout)?,
        Output::Table => report.write_table(streams.stdout, streams.colour)?,
    }
    streams.stdout.flush()?;
    writeln!(streams.stderr, "{}", report.summary())?;
    Ok(if report.has_findings() { Exit::Findings } else { Exit::Fine })
}

// === impl Offline ===

impl Offline {
    fn check(&self, report: &mut Report, streams: &mut Streams<'_>) -> Result<(), Failure> {
        let Self { config, sources, installed_in } = self;
        if Source::share_stdin(sources) {
            let message = "`-` stands there twice, but standard input can be read only once";
            return Err(Failure::usage(message));
        }
        let mapping = load_mapping(config)?;
        mapping::check(&mapping, report);
        if sources.is_empty() {
            return Ok(());
        }
        let mut secrets = Vec::new();
        for source in sources {
            secrets.extend(SecretManifest::all_of(source, streams.stdin)?);
        }
        let sources = sources.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        logins::of_manifests(&mapping, &secrets, &sources, installed_in, report);
        report.sort();
        Ok(())
    }
}
