//! `pullcred inject`: what the webhook would do to the Pods of a manifest, done to the manifest.
//!
//! The decision is that of [`decide`](crate::core::decide::decide), and so is the patch. What is added here is only
//! where in a document the Pods are, and how a patch gets into a text that people keep.

mod edit;
mod lines;
mod output;
mod patch;
mod render;
mod strict;

use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::PathBuf,
};

use serde_json::Value;

use self::{
    edit::Refused,
    output::Writer,
    patch::{Findings, Planner},
};
use super::{
    DEFAULT_NAMESPACE, Exit, Failure, FileOrLive, Streams,
    accounts::Accounts,
    load_mapping,
    manifests::{Document, Input, Places, Source, TemplatePath},
    reports::Reports,
};
use crate::cluster::ClusterOptions;

pub use self::{edit::EditError, output::Output};

/// What to do.
#[derive(Debug)]
pub struct Options {
    /// The mapping.
    pub config: PathBuf,
    /// The manifests, in this order. A folder stands for the manifests in it, a pattern for the files it matches.
    pub sources: Vec<Source>,
    /// What to write.
    pub output: Output,
    /// Whether a change, an object whose Pods are not found, and a path that leads nowhere are findings.
    pub check: bool,
    /// The namespace of the objects that name none; `default` where it is not given.
    pub namespace: Option<String>,
    /// Where the objects of custom kinds keep their Pod templates.
    pub paths: Vec<TemplatePath>,
    /// Where `ServiceAccounts` are, besides those among the manifests.
    pub service_accounts: Vec<FileOrLive>,
    /// Where reports are, which say what is known of Secrets; without it, nothing is.
    pub reports: Option<FileOrLive>,
    /// The cluster, where one of these is it.
    pub cluster: ClusterOptions,
}

/// A document that cannot be changed as it should.
#[derive(Debug, thiserror::Error)]
#[error("{place}: cannot add `imagePullSecrets` to {object}: {source}")]
pub struct InjectError {
    place: String,
    object: String,
    source: EditError,
}

/// What was seen, for the last lines.
#[derive(Debug, Default)]
struct Tally {
    templates: usize,
    changed: usize,
    /// Objects of which it is not known where they have their Pods.
    unknown: usize,
    /// Paths that led nowhere.
    unmet: Vec<String>,
    /// The lines of the rules that the missing namespace of an object keeps from its images.
    elsewhere: BTreeSet<u32>,
}

/// Runs the command.
///
/// Manifests are read twice, since a `ServiceAccount` may stand behind the Pods that use it. Nothing is written before
/// all of them are read.
///
/// # Errors
///
/// [`Failure`] where the mapping, a manifest or an option is wrong, or the output cannot be written.
pub fn run(options: &Options, streams: &mut Streams<'_>) -> Result<Exit, Failure> {
    let Options { output, namespace, paths, .. } = options;
    let accounts = options.service_accounts.iter().filter_map(FileOrLive::manifests);
    let reports = options.reports.iter().filter_map(FileOrLive::manifests);
    if Source::share_stdin(options.sources.iter().chain(accounts).chain(reports)) {
        return Err(Failure::usage(
            "`-` stands there twice, but standard input can be read only once",
        ));
    }
    let mapping = load_mapping(&options.config)?;
    let mut accounts = Accounts::new(
        &options.service_accounts,
        &options.cluster,
        namespace.as_deref(),
        streams.stdin,
    )?;
    let reports = Reports::new(
        options.reports.as_ref(),
        &options.cluster,
        namespace.as_deref(),
        streams.stdin,
        streams.stderr,
    )?;
    let sources = Source::expand(&options.sources)?.into_iter();
    let mut inputs =
        sources.map(|source| Input::new(source, streams.stdin)).collect::<Result<Vec<_>, _>>()?;
    if let Some(input) = inputs.iter().find(|it| *output == Output::InPlace && !it.is_file()) {
        return Err(Failure::usage(format!(
            "--in-place needs files that can be replaced, and {} is none",
            input.source()
        )));
    }
    accounts.scan(&mut inputs)?;
    let mut planner = Planner {
        mapping: &mapping,
        namespace: namespace.as_deref(),
        paths,
        met: vec![false; paths.len()],
        accounts,
        reports,
        warned: Vec::new(),
        elsewhere: BTreeSet::new(),
    };
    let mut writer = Writer::new(*output);
    let mut tally = Tally::default();
    for mut input in inputs {
        let source = input.source().clone();
        for document in input.documents()? {
            let document = document?;
            let (value, findings) = planner.plan(&source, &document)?;
            tally.add(&findings);
            report(*output, &mut writer, &source, &findings, streams.stderr)?;
            write(*output, &mut writer, &source, (&document, value), &findings)?;
        }
        writer.end(&source)?;
    }
    tally.elsewhere = planner.elsewhere;
    let unmet = paths.iter().zip(planner.met).filter(|(_, met)| !met);
    tally.unmet = unmet.map(|(path, _)| path.to_string()).collect();
    writer.finish(streams.stdout)?;
    tally.report(*output, streams.stderr)?;
    Ok(if options.check && tally.has_findings() { Exit::Findings } else { Exit::Fine })
}

/// Says what was found out about a document.
fn report(
    output: Output,
    writer: &mut Writer,
    source: &Source,
    Findings { changes, unknown, warnings, .. }: &Findings,
    stderr: &mut dyn Write,
) -> io::Result<()> {
    for (line, warning) in warnings {
        writeln!(stderr, "warning: {source}: line {line}: {warning}")?;
    }
    if output != Output::Findings {
        for (line, text) in unknown {
            writeln!(stderr, "warning: {source}: line {line}: {text}")?;
        }
        return Ok(());
    }
    for change in changes {
        let (line, object, secrets) = (change.line, &change.object, change.secrets.join(", "));
        writer.finding(&format!("{source}: line {line}: {object} lacks {secrets}"))?;
    }
    for (line, text) in unknown {
        writer.finding(&format!("{source}: line {line}: {text}"))?;
    }
    Ok(())
}

/// Takes one document and what becomes of it.
fn write(
    output: Output,
    writer: &mut Writer,
    source: &Source,
    (document, value): (&Document, Value),
    Findings { changes, .. }: &Findings,
) -> Result<(), Failure> {
    let refused = |Refused { object, at, error }| {
        let place = format!("{source}: line {}", Places::new(document).line_at(&at));
        Failure::trouble(InjectError { place, object, source: error })
    };
    match output {
        Output::Findings => {}
        Output::Json => writer.json(edit::patched(value, changes).map_err(refused)?)?,
        Output::Diff | Output::InPlace | Output::Yaml if changes.is_empty() => {
            writer.text(document, document.text())?;
        }
        Output::Diff | Output::InPlace | Output::Yaml => {
            let text = edit::edited(document.text(), value, changes).map_err(refused)?;
            writer.text(document, &text)?;
        }
    }
    Ok(())
}

// === impl Tally ===

impl Tally {
    fn add(&mut self, findings: &Findings) {
        self.templates += findings.templates;
        self.changed += findings.changes.len();
        self.unknown += findings.unknown.len();
    }

    fn has_findings(&self) -> bool {
        self.changed + self.unknown + self.unmet.len() > 0
    }

    /// Says what was seen, so that silence is not taken for success.
    fn report(&self, output: Output, stderr: &mut dyn Write) -> io::Result<()> {
        let Self { templates, changed, unmet, elsewhere, .. } = self;
        for path in unmet {
            writeln!(
                stderr,
                "warning: --path {path} leads to no Pod template: it must lead to an object with a `spec`"
            )?;
        }
        if !elsewhere.is_empty() {
            let lines: Vec<_> = elsewhere.iter().map(ToString::to_string).collect();
            let (rules, verb) = if lines.len() == 1 {
                ("the rule in line", "holds")
            } else {
                ("the rules in lines", "hold")
            };
            writeln!(
                stderr,
                "note: {rules} {} {verb} only in other namespaces than `{DEFAULT_NAMESPACE}`: name the namespace with -n",
                lines.join(", ")
            )?;
        }
        if *templates == 0 {
            return writeln!(
                stderr,
                "no Pod or Pod template found: name those of custom kinds with --path, such as --path /spec/template"
            );
        }
        let what = format!("{changed} of {templates} Pods and Pod templates");
        match output {
            Output::Diff | Output::Findings => writeln!(stderr, "{what} lack Secrets"),
            Output::InPlace | Output::Json | Output::Yaml => {
                writeln!(stderr, "added Secrets to {what}")
            }
        }
    }
}
