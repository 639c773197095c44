//! A document to the operations that give its Pods what the webhook would.

use std::collections::BTreeSet;

use json_patch::{
    AddOperation, Patch, PatchOperation,
    jsonptr::{Pointer, PointerBuf},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::edit::{EditError, Refused};
use crate::{
    commands::{
        DEFAULT_NAMESPACE, Failure,
        accounts::Accounts,
        explain::rules_elsewhere,
        manifests::{
            Admitted, Document, ManifestError, Object, Places, PodError, PodTemplate, Problem,
            Source, TemplatePath, objects, paths, pod_templates, unknown_pods,
        },
        printable::Printable,
        reports::Reports,
    },
    core::{
        decide::{Decision, Reason, decide},
        image::ImageRef,
        pod::Pod,
        review::Request,
        rules::Mapping,
    },
};

/// The list of a Pod, and the place behind its last entry (RFC 6901).
const LIST: &str = "/spec/imagePullSecrets";
const END_OF_LIST: &str = "/spec/imagePullSecrets/-";

/// Decides for the Pods of manifests.
#[derive(Debug)]
pub(super) struct Planner<'o> {
    pub(super) mapping: &'o Mapping,
    /// The namespace of objects that name none.
    pub(super) namespace: Option<&'o str>,
    pub(super) paths: &'o [TemplatePath],
    /// Which of the paths led to a Pod template.
    pub(super) met: Vec<bool>,
    pub(super) accounts: Accounts,
    pub(super) reports: Reports,
    /// The `ServiceAccounts` that were warned of.
    pub(super) warned: Vec<(String, String)>,
    /// The lines of the rules that cover an image of an object without a namespace, but hold in other namespaces only.
    pub(super) elsewhere: BTreeSet<u32>,
}

/// What was found out about a document.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// How many Pods and Pod templates there are.
    pub(super) templates: usize,
    /// Those that lack a Secret.
    pub(super) changes: Vec<Change>,
    /// Objects that have images of which it is not known where their Pods are, with their lines.
    pub(super) unknown: Vec<(usize, String)>,
    /// What a person should know, with its line.
    pub(super) warnings: Vec<(usize, String)>,
}

/// A Pod or Pod template that lacks a Secret.
#[derive(Debug)]
pub(super) struct Change {
    /// The line of the object.
    pub(super) line: usize,
    /// The object, such as `Deployment team-a/web`.
    pub(super) object: String,
    /// The names that it lacks.
    pub(super) secrets: Vec<String>,
    /// What adds them, with paths from the root of the document.
    pub(super) adds: Vec<AddOperation>,
}

// === impl Planner ===

impl Planner<'_> {
    /// Decides for every Pod of a document, and gives its value, too.
    pub(super) fn plan(
        &mut self,
        source: &Source,
        document: &Document,
    ) -> Result<(Value, Findings), Failure> {
        let error = |problem| ManifestError::new(source, problem);
        let (value, repeated_keys) = document.value_and_repeated_keys().map_err(error)?;
        let mut findings = Findings::default();
        let mut places = None;
        let mut line_at =
            |at: &Pointer| places.get_or_insert_with(|| Places::new(document)).line_at(at);
        for line in repeated_keys {
            let text = "this key stands in its mapping a second time, and the last one counts: keep one of the two";
            findings.warnings.push((line, text.to_owned()));
        }
        for object in objects(&value, document.content_line()).map_err(error)? {
            for (path, met) in self.paths.iter().zip(&mut self.met) {
                *met = *met || path.meets(&object);
            }
            let templates = pod_templates(&object, self.paths);
            for template in &templates {
                findings.templates += 1;
                let line = if object.pointer().is_root() {
                    document.content_line()
                } else {
                    line_at(object.pointer())
                };
                let decided = self.decide(&object, template, line, &mut findings)?;
                decided.map_err(|fault| {
                    let mut at = template.pointer.clone();
                    at.append(fault.pointer());
                    let line = line_at(&at);
                    error(Problem::Template { line, object: object.to_string(), fault })
                })?;
            }
            let needs = self.unknown(&object, &templates)?;
            findings.unknown.extend(needs.map(|(at, text)| (line_at(&at), text)));
        }
        Ok((value, findings))
    }

    fn namespace<'n>(&'n self, object: &Object<'n>) -> &'n str {
        object.namespace().or(self.namespace).unwrap_or(DEFAULT_NAMESPACE)
    }

    fn decide(
        &mut self,
        object: &Object<'_>,
        template: &PodTemplate<'_>,
        line: usize,
        findings: &mut Findings,
    ) -> Result<Result<(), PodError>, Failure> {
        let namespace = self.namespace(object).to_owned();
        let Admitted { pod, copied, unknown } = self.accounts.admit(&namespace, template.value)?;
        let admitted = PodTemplate { pointer: template.pointer.clone(), value: &pod };
        let pod = match admitted.pod() {
            Ok(pod) => pod,
            Err(fault) => return Ok(Err(fault)),
        };
        let known = self.reports.knowledge(&namespace)?;
        let request = Request::create(&namespace, pod);
        let decision = decide(&request, self.mapping, known.namespace(&namespace));
        if let Ok(pod) = &request.object {
            self.note_elsewhere(object, pod, &decision);
        }
        let warnings = decision.warnings().iter();
        findings.warnings.extend(warnings.map(|warning| (line, format!("{object}: {warning}"))));
        let Some(patch) = decision.patch() else { return Ok(Ok(())) };
        findings.changes.push(Change {
            line,
            object: object.to_string(),
            secrets: decision.injected().iter().map(ToString::to_string).collect(),
            adds: below(&template.pointer, &patch, &copied),
        });
        if let Some(name) = unknown {
            let account = (namespace, name.to_owned());
            if !self.warned.contains(&account) {
                findings.warnings.push((line, may_lose(object, &account)));
                self.warned.push(account);
            }
        }
        Ok(Ok(()))
    }

    /// Notes the rules that would give the Pod a Secret if the object, which names no namespace, were in another one.
    fn note_elsewhere(&mut self, object: &Object<'_>, pod: &Pod<'_>, decision: &Decision<'_>) {
        let is_left = matches!(decision.reason(), Some(Reason::OptedOut | Reason::MirrorPod));
        if is_left || object.namespace().or(self.namespace).is_some() {
            return;
        }
        for image in pod.images().filter_map(|it| ImageRef::parse(it.reference).ok()) {
            for found in rules_elsewhere(self.mapping, &image, DEFAULT_NAMESPACE) {
                let secret = found.secret.as_str();
                let gets = decision.injected().contains(&secret);
                if !gets && !pod.pull_secrets().any(|it| it == secret) {
                    self.elsewhere.insert(found.rule.line);
                }
            }
        }
    }

    /// What to say of an object whose images need Secrets where its Pods are not known, with the first place.
    fn unknown(
        &mut self,
        object: &Object<'_>,
        templates: &[PodTemplate<'_>],
    ) -> Result<impl Iterator<Item = (PointerBuf, String)> + use<>, Failure> {
        let namespace = self.namespace(object).to_owned();
        let known = self.reports.knowledge(&namespace)?;
        let mut secrets: Vec<String> = Vec::new();
        let mut needy = Vec::new();
        for found in unknown_pods(object, templates) {
            let Admitted { pod, .. } = self.accounts.admit(&namespace, &found.pod)?;
            let Ok(pod) = Pod::deserialize(&*pod) else { continue };
            let request = Request::create(&namespace, pod);
            let decision = decide(&request, self.mapping, known.namespace(&namespace));
            if let Ok(pod) = &request.object {
                self.note_elsewhere(object, pod, &decision);
            }
            for secret in decision.injected() {
                if !secrets.iter().any(|it| it == secret) {
                    secrets.push((*secret).to_owned());
                }
            }
            if decision.patch().is_some() {
                needy.push((found.pointer, found.is_template));
            }
        }
        let first = needy.first().map(|(pointer, _)| pointer.clone());
        Ok(first.into_iter().map({
            let text = unknown_place(object, &secrets, &needy);
            move |first| (first, text.clone())
        }))
    }
}

// === impl Change ===

impl Change {
    /// The change cannot be made where it should, in a document with these places.
    pub(super) fn refused(&self, error: EditError) -> Refused {
        let at = self.adds.first().map(|add| add.path.clone()).unwrap_or_default();
        Refused { object: self.object.clone(), at, error }
    }
}

/// The operations of a Pod's patch, where the Pod is at `pointer` and its list was `copied` from its `ServiceAccount`. A
/// patch of [`decide`] has no others than `add`.
fn below(pointer: &PointerBuf, patch: &Patch, copied: &[String]) -> Vec<AddOperation> {
    let adds = patch.iter().filter_map(|operation| match operation {
        PatchOperation::Add(add) => Some(add),
        _ => None,
    });
    let mut list: Vec<Value> = copied.iter().map(|name| json!({ "name": name })).collect();
    let mut below = Vec::new();
    for AddOperation { path, value } in adds {
        if !copied.is_empty() && *path == Pointer::from_static(END_OF_LIST) {
            list.push(value.clone());
            continue;
        }
        let mut at = pointer.clone();
        at.append(path);
        below.push(AddOperation { path: at, value: value.clone() });
    }
    if !copied.is_empty() {
        let mut at = pointer.clone();
        at.append(Pointer::from_static(LIST));
        below.push(AddOperation { path: at, value: Value::Array(list) });
    }
    below
}

fn may_lose(object: &Object<'_>, (namespace, name): &(String, String)) -> String {
    let (namespace, name) = (Printable(namespace), Printable(name));
    format!(
        "{object} gets its first pull Secret, so its Pods no longer get those of the ServiceAccount {namespace}/{name}, \
         which is not at hand: give it with --service-accounts FILE, or live"
    )
}

fn unknown_place(object: &Object<'_>, secrets: &[String], needy: &[(PointerBuf, bool)]) -> String {
    let secrets = secrets.join(", ");
    let templates: Vec<_> =
        needy.iter().filter(|(_, is_template)| *is_template).map(|(pointer, _)| pointer).collect();
    let kind = object.kind();
    let can_paste = kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let paths = if can_paste { paths(object.pointer(), &templates) } else { Vec::new() };
    let advice = if paths.is_empty() {
        "check the spelling of its kind, or name the Secrets where this kind wants them".to_owned()
    } else {
        let paths: Vec<_> = paths.iter().map(|path| format!("--path '{kind}={path}'")).collect();
        format!("check the spelling of its kind, or add {}", paths.join(" "))
    };
    format!(
        "{object}: its images need {secrets}, but where this kind has its Pods is not known: {advice}"
    )
}
