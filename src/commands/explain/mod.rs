//! `pullcred explain`: why a Pod gets which Secrets, and what the kubelet will do with them.
//!
//! Every answer is put together from what decides: [`decide`](crate::core::decide::decide) for what a Pod gets, and
//! [`keyring`](crate::core::keyring) for what the kubelet makes of it.

mod advice;
mod facts;
mod in_force;
mod kubelet;
mod live;
mod near_rules;
mod pods;
mod text_report;

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Write},
    path::PathBuf,
};

use clap::ValueEnum;

use self::{
    advice::advice,
    facts::ImageFacts,
    kubelet::PullSecrets,
    pods::{AtHand, SecretsAtHand, Subject},
    text_report::TextReport,
};
use super::{
    DEFAULT_NAMESPACE, Exit, Failure, FileOrLive, Streams,
    accounts::Accounts,
    keeper::Audience,
    load_mapping,
    manifests::{
        Admitted, Document, Input, ManifestError, Places, PodTemplate, Problem, SecretManifest,
        Source, TemplatePath, objects, pod_templates,
    },
    paint::Paint,
    printable::Printable,
    reports::Reports,
};
use crate::{
    cluster::ClusterOptions,
    core::{
        image::ImageRef,
        knowledge::NamespaceKnowledge,
        pod::{INJECT_LABEL, OPTED_IN},
        rules::Mapping,
    },
};

pub(super) use self::in_force::{InForce, home};
pub use self::live::Live;
pub(super) use self::near_rules::{near_rules, rules_elsewhere};

/// What to explain, and how.
#[derive(Debug)]
pub struct Options {
    /// The mapping; without one, that of the cluster's webhook.
    pub config: Option<PathBuf>,
    /// How to answer.
    pub output: Output,
    /// The namespace, where it is not said otherwise.
    pub namespace: Option<String>,
    /// Where `ServiceAccounts` are, besides those among the manifests.
    pub service_accounts: Vec<FileOrLive>,
    /// The cluster, where one of these is it.
    pub cluster: ClusterOptions,
    /// Where reports are, which say what is known of Secrets; without it, nothing is.
    pub reports: Option<FileOrLive>,
    /// The Secrets at hand, in this order.
    pub secrets: Vec<Source>,
    /// Where the objects of custom kinds keep their Pod templates.
    pub paths: Vec<TemplatePath>,
    /// What to explain.
    pub asked: Asked,
}

/// How answers are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people, with colours on a terminal
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// What to explain.
#[derive(Debug)]
pub enum Asked {
    /// Images; `-` stands for those on standard input, one a line.
    Images(Vec<String>),
    /// The Pods of a cluster.
    Live(Live),
    /// The Pods of manifests.
    Manifests(Vec<Source>),
}

/// Runs the command.
///
/// # Errors
///
/// [`Failure`] where the mapping, a manifest or the cluster cannot be read, or the output cannot be written.
pub fn run(options: &Options, streams: &mut Streams<'_>) -> Result<Exit, Failure> {
    let Options { config, secrets, asked, .. } = options;
    let mut sources: Vec<&Source> = secrets.iter().collect();
    sources.extend(options.service_accounts.iter().filter_map(FileOrLive::manifests));
    sources.extend(options.reports.iter().filter_map(FileOrLive::manifests));
    match asked {
        Asked::Images(images) => {
            sources.extend(images.iter().filter(|it| *it == "-").map(|_| &Source::Stdin));
        }
        Asked::Manifests(manifests) => sources.extend(manifests),
        Asked::Live(_) => {}
    }
    if Source::share_stdin(sources) {
        return Err(Failure::usage(
            "`-` stands there twice, but standard input can be read only once",
        ));
    }
    let mapping = config.as_deref().map(load_mapping).transpose()?;
    let paint = Paint(streams.colour);
    if let Asked::Live(live) = asked {
        live::run(live, options, mapping, paint, streams)?;
        streams.stdout.flush()?;
        return Ok(Exit::Fine);
    }
    let mapping = mapping.ok_or_else(|| {
        Failure::usage("name the mapping with --config FILE: only --live finds that of a cluster")
    })?;
    let secrets_at_hand = match secrets.as_slice() {
        [] => None,
        sources => Some(read_secrets(sources, streams.stdin)?),
    };
    if secrets_at_hand.as_ref().is_some_and(SecretsAtHand::is_empty) {
        writeln!(streams.stderr, "no Secret found in what --secrets names")?;
    }
    let explainer = Explainer { options, mapping: &mapping, paint };
    match asked {
        Asked::Images(images) => {
            explainer.images(images, secrets_at_hand.as_ref(), streams)?;
        }
        Asked::Live(_) => {}
        Asked::Manifests(manifests) => {
            explainer.manifests(manifests, secrets_at_hand.as_ref(), streams)?;
        }
    }
    streams.stdout.flush()?;
    Ok(Exit::Fine)
}

/// The Secrets in manifests.
fn read_secrets(sources: &[Source], stdin: &mut dyn BufRead) -> Result<SecretsAtHand, Failure> {
    let mut secrets_at_hand = SecretsAtHand::default();
    for source in sources {
        for secret in SecretManifest::all_of(source, stdin)? {
            secrets_at_hand.add(secret);
        }
    }
    Ok(secrets_at_hand)
}

/// What is known of the cluster around a Pod; `None` where it was not read.
#[derive(Debug, Clone, Copy, Default)]
struct PodContext<'c> {
    /// The labels of the namespace.
    labels: Option<&'c BTreeMap<String, String>>,
    /// Whether there is a webhook configuration of ours.
    webhook: Option<bool>,
    /// What reports say of the namespace's Secrets.
    known: Option<NamespaceKnowledge<'c>>,
}

// === impl PodContext ===

impl PodContext<'_> {
    /// Whether the namespace has opted in.
    fn opted_in(&self) -> Option<bool> {
        let label = self.labels?.get(INJECT_LABEL);
        Some(label.is_some_and(|value| value == OPTED_IN))
    }
}

/// What every answer is made from.
#[derive(Debug, Clone, Copy)]
struct Explainer<'o> {
    options: &'o Options,
    mapping: &'o Mapping,
    paint: Paint,
}

// === impl Explainer ===

impl Explainer<'_> {
    fn text_report<'s>(
        &'s self,
        out: &'s mut dyn Write,
        namespace: &'s str,
        context: PodContext<'s>,
    ) -> TextReport<'s> {
        let audience = Audience { mapping: self.mapping, namespace, labels: context.labels };
        TextReport { out, paint: self.paint, audience, by_hand: Vec::new(), margin: "  " }
    }

    fn is_text(&self) -> bool {
        self.options.output == Output::Text
    }

    /// Explains images by themselves. All Secrets at hand are taken for those of one Pod, but for those that are of
    /// another namespace than was asked for.
    fn images(
        &self,
        images: &[String],
        secrets_at_hand: Option<&SecretsAtHand>,
        Streams { stdin, stdout: out, stderr, .. }: &mut Streams<'_>,
    ) -> Result<(), Failure> {
        let out: &mut dyn Write = *out;
        let Options { reports, cluster, namespace, .. } = self.options;
        let namespace = namespace.as_deref();
        let mut reports = Reports::new(reports.as_ref(), cluster, namespace, *stdin, *stderr)?;
        let knowledge = reports.knowledge(namespace.unwrap_or(DEFAULT_NAMESPACE))?;
        let known = knowledge.namespace(namespace.unwrap_or(DEFAULT_NAMESPACE));
        let pull =
            secrets_at_hand.map(|secrets_at_hand| PullSecrets::new(secrets_at_hand.of(namespace)));
        if let Some(pull) = pull.as_ref().filter(|_| self.is_text()) {
            let namespace = namespace.unwrap_or(DEFAULT_NAMESPACE);
            self.text_report(out, namespace, PodContext::default()).at_hand(pull)?;
        }
        for image in images {
            if image != "-" {
                self.image(image, pull.as_ref(), known, out)?;
                continue;
            }
            let mut line = Vec::new();
            while stdin.read_until(b'\n', &mut line).map_err(unreadable)? > 0 {
                let image = line.strip_suffix(b"\n").unwrap_or(&line);
                let image = image.strip_suffix(b"\r").unwrap_or(image);
                // A blank line is no image, as at the end of what `tr` writes.
                if !image.trim_ascii().is_empty() {
                    self.image(&String::from_utf8_lossy(image), pull.as_ref(), known, out)?;
                }
                line.clear();
            }
        }
        Ok(())
    }

    fn image(
        &self,
        image: &str,
        pull: Option<&PullSecrets>,
        known: Option<NamespaceKnowledge<'_>>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let namespace = self.options.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
        let mut facts = ImageFacts::new(image, namespace, self.mapping, known);
        facts.kubelet = pull.map(|pull| pull.answer(ImageRef::parse(image).ok().as_ref()));
        if self.is_text() {
            return self.text_report(out, namespace, PodContext::default()).image(&facts, pull);
        }
        json(&facts, out)
    }

    /// Explains the Pods of manifests, as if they were new.
    fn manifests(
        &self,
        sources: &[Source],
        secrets_at_hand: Option<&SecretsAtHand>,
        Streams { stdin, stdout, stderr, .. }: &mut Streams<'_>,
    ) -> Result<(), Failure> {
        let Options { service_accounts, cluster, namespace, reports, .. } = self.options;
        let namespace = namespace.as_deref();
        let mut accounts = Accounts::new(service_accounts, cluster, namespace, *stdin)?;
        let mut reports = Reports::new(reports.as_ref(), cluster, namespace, *stdin, *stderr)?;
        let sources = Source::expand(sources)?.into_iter();
        let mut inputs =
            sources.map(|source| Input::new(source, *stdin)).collect::<Result<Vec<_>, _>>()?;
        accounts.scan(&mut inputs)?;
        let mut unknown: Vec<(String, String)> = Vec::new();
        let mut any = false;
        for mut input in inputs {
            let source = input.source().clone();
            for document in input.documents()? {
                let at_hand = (&mut accounts, &mut reports);
                for subject in self.subjects(&source, &document?, at_hand, &mut unknown)? {
                    any = true;
                    let at_hand = secrets_at_hand.map(|it| it.find_for(&subject));
                    let knowledge = reports.knowledge(&subject.namespace)?;
                    let known = knowledge.namespace(&subject.namespace);
                    let context = PodContext { known, ..PodContext::default() };
                    self.subject(&subject, at_hand.as_ref(), context, *stdout)?;
                }
            }
        }
        for (namespace, name) in unknown {
            let (namespace, name) = (Printable(namespace), Printable(name));
            writeln!(
                stderr,
                "warning: the ServiceAccount {namespace}/{name} is not at hand: Pods without a list get its pull Secrets, \
                 too: give it with --service-accounts FILE, or live"
            )?;
        }
        if !any {
            writeln!(stderr, "no Pod or Pod template found")?;
        }
        Ok(())
    }

    /// The Pods and Pod templates of a document, as the admission of `ServiceAccounts` leaves them. Those of which the
    /// `ServiceAccount` is not at hand go to `unknown`.
    fn subjects(
        &self,
        source: &Source,
        document: &Document,
        (accounts, reports): (&mut Accounts, &mut Reports),
        unknown_accounts: &mut Vec<(String, String)>,
    ) -> Result<Vec<Subject>, Failure> {
        let error = |problem| ManifestError::new(source, problem);
        let value = document.value().map_err(error)?;
        let mut subjects = Vec::new();
        for object in objects(&value, document.content_line()).map_err(error)? {
            for template in pod_templates(&object, &self.options.paths) {
                let namespace = object.namespace().or(self.options.namespace.as_deref());
                let namespace = namespace.unwrap_or(DEFAULT_NAMESPACE);
                let Admitted { pod, unknown, .. } = accounts.admit(namespace, template.value)?;
                if let Some(name) = unknown {
                    let account = (namespace.to_owned(), name.to_owned());
                    if !unknown_accounts.contains(&account) {
                        unknown_accounts.push(account);
                    }
                }
                let admitted = PodTemplate { pointer: template.pointer.clone(), value: &pod };
                let pod = admitted.pod().map_err(|fault| {
                    let mut at = template.pointer.clone();
                    at.append(fault.pointer());
                    let line = Places::new(document).line_at(&at);
                    error(Problem::Template { line, object: object.to_string(), fault })
                })?;
                let (kind, name) = (object.kind(), object.name());
                let knowledge = reports.knowledge(namespace)?;
                let known = knowledge.namespace(namespace);
                subjects.push(Subject::new(kind, namespace, name, pod, self.mapping, known));
            }
        }
        Ok(subjects)
    }

    /// Explains a Pod and its images, and what to do about it if it runs.
    fn subject(
        &self,
        subject: &Subject,
        at_hand: Option<&AtHand>,
        context: PodContext<'_>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let facts = subject.images.iter().map(|named| {
            let known = context.known;
            let mut facts = ImageFacts::new(&named.image, &subject.namespace, self.mapping, known);
            let reference = ImageRef::parse(&named.image).ok();
            facts.kubelet = at_hand.map(|it| it.pull.answer(reference.as_ref()));
            facts.pod = Some(subject.line(named, at_hand));
            facts
        });
        if !self.is_text() {
            return facts.into_iter().try_for_each(|facts| json(&facts, out));
        }
        let facts: Vec<_> = facts.collect();
        let mut text = self.text_report(out, &subject.namespace, context);
        let audience = text.audience;
        text.pod(subject, at_hand)?;
        for (named, facts) in subject.images.iter().zip(&facts) {
            text.image_of_pod(facts, &named.owners, at_hand)?;
        }
        let at_hand = at_hand.filter(|_| subject.runs);
        let advice = at_hand.map(|at_hand| advice(subject, &facts, at_hand, context, audience));
        text.advice(&advice.unwrap_or_default())
    }
}

fn json(facts: &ImageFacts<'_>, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, facts)?;
    out.write_all(b"\n")
}

fn unreadable(error: io::Error) -> ManifestError {
    ManifestError::new(&Source::Stdin, error.into())
}
