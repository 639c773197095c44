//! `pullcred inject`: what the webhook would do to the Pods of a manifest, done to the manifest.
//!
//! The decision is that of [`decide`](crate::core::decide::decide), and so is the patch. What is added here is only
//! where in a document the Pods are, and how a patch gets into a text that people keep.

mod diff;
mod edit;
mod lines;
mod output;
mod patch;
mod render;
mod tree;

use std::{
    borrow::Cow,
    io::{self, Write},
    path::PathBuf,
};

use serde_json::Value;

use self::{
    edit::Refused,
    output::Writer,
    patch::{Change, Findings, Lens},
};
use super::{
    Exit, Failure, Streams, load_mapping,
    manifests::{Document, ManifestError, Source, TemplatePath},
};
use crate::core::decide::Knowledge;

pub use self::{edit::EditError, output::Output};

/// What to do.
#[derive(Debug)]
pub struct Options {
    /// The mapping.
    pub config: PathBuf,
    /// The manifests, in this order.
    pub sources: Vec<Source>,
    /// What to write.
    pub output: Output,
    /// Whether a change is a finding.
    pub check: bool,
    /// The namespace of every object, whatever it says itself.
    pub namespace: Option<String>,
    /// Where the objects of custom kinds keep their Pod templates.
    pub paths: Vec<TemplatePath>,
}

/// A document that cannot be changed as it should.
#[derive(Debug, thiserror::Error)]
#[error("{place}: cannot add `imagePullSecrets` to {object}: {source}")]
pub struct InjectError {
    place: String,
    object: String,
    source: EditError,
}

/// What was seen, for the last line.
#[derive(Debug, Default)]
struct Tally {
    templates: usize,
    changed: usize,
}

/// Runs the command.
///
/// # Errors
///
/// [`Failure`] where the mapping, a manifest or an option is wrong, or the output cannot be written.
pub fn run(options: &Options, streams: &mut Streams<'_>) -> Result<Exit, Failure> {
    if Source::share_stdin(&options.sources) {
        return Err(Failure::usage(
            "`-f -` stands there twice, but standard input can be read only once",
        ));
    }
    let known = Knowledge { mapping: load_mapping(&options.config)?, own_namespace: None };
    let lens =
        Lens { known: &known, namespace: options.namespace.as_deref(), paths: &options.paths };
    let mut writer = Writer::new(streams.stdout);
    let mut tally = Tally::default();
    for source in &options.sources {
        writer.begin(source)?;
        for document in source.open(streams.stdin)? {
            let document = document?;
            let error = |problem| ManifestError::new(source, problem);
            let value = document.value().map_err(error)?;
            let findings = lens.look(&document, &value).map_err(error)?;
            let place = format!("{source}: line {}", document.content_line());
            for warning in &findings.warnings {
                writeln!(streams.stderr, "warning: {place}: {warning}")?;
            }
            tally.add(&findings);
            write(options.output, &mut writer, (&document, value), &findings.changes, &place)?;
        }
    }
    writer.finish()?;
    tally.tell(options.output, streams.stderr)?;
    Ok(if options.check && tally.changed > 0 { Exit::Findings } else { Exit::Fine })
}

/// Writes one document and what becomes of it.
fn write(
    output: Output,
    writer: &mut Writer<'_>,
    (document, value): (&Document, Value),
    changes: &[Change],
    place: &str,
) -> Result<(), Failure> {
    let refused = |Refused { object, error }| {
        Failure::trouble(InjectError { place: place.to_owned(), object, source: error })
    };
    match output {
        Output::Findings => {
            changes.iter().try_for_each(|change| writer.finding(place, change))?;
        }
        Output::Json => writer.json(edit::patched(value, changes).map_err(refused)?)?,
        Output::Diff | Output::Yaml => {
            let text = match changes {
                [] => Cow::Borrowed(document.text()),
                _ => Cow::Owned(edit::edited(document.text(), value, changes).map_err(refused)?),
            };
            if output == Output::Diff {
                writer.diff(document, &text)?;
            } else {
                writer.manifest(&text)?;
            }
        }
    }
    Ok(())
}

// === impl Tally ===

impl Tally {
    fn add(&mut self, findings: &Findings) {
        self.templates += findings.templates;
        self.changed += findings.changes.len();
    }

    /// Says what was seen, so that nobody takes silence for success.
    fn tell(&self, output: Output, stderr: &mut dyn Write) -> io::Result<()> {
        let Self { templates, changed } = self;
        if *templates == 0 {
            return writeln!(
                stderr,
                "no Pod or Pod template found: name those of custom kinds with --path, such as --path /spec/template"
            );
        }
        let what = format!("{changed} of {templates} Pods and Pod templates");
        match output {
            Output::Diff | Output::Findings => writeln!(stderr, "{what} lack Secrets"),
            Output::Json | Output::Yaml => writeln!(stderr, "added Secrets to {what}"),
        }
    }
}
