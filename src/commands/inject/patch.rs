//! A document to the operations that give its Pods what the webhook would.

use json_patch::{AddOperation, Patch, PatchOperation, jsonptr::PointerBuf};
use serde_json::Value;

use super::edit::{EditError, Refused};
use crate::{
    commands::{
        DEFAULT_NAMESPACE,
        manifests::{
            Document, Object, PodError, PodTemplate, Problem, TemplatePath, objects, pod_templates,
        },
    },
    core::{
        decide::{Knowledge, decide},
        review::Request,
    },
};

/// How objects are looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lens<'o> {
    pub(super) known: &'o Knowledge,
    pub(super) namespace: Option<&'o str>,
    pub(super) paths: &'o [TemplatePath],
}

/// What was found out about a document.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// How many Pods and Pod templates there are.
    pub(super) templates: usize,
    /// Those that lack a Secret.
    pub(super) changes: Vec<Change>,
    /// What a person should know, with the object in front.
    pub(super) warnings: Vec<String>,
}

/// A Pod or Pod template that lacks a Secret.
#[derive(Debug)]
pub(super) struct Change {
    /// The object, such as `Deployment team-a/web`.
    pub(super) object: String,
    /// The names that it lacks.
    pub(super) secrets: Vec<String>,
    /// What adds them, with paths from the root of the document.
    pub(super) adds: Vec<AddOperation>,
}

// === impl Lens ===

impl Lens<'_> {
    /// Decides for every Pod of a document, whose value is `value`.
    pub(super) fn look(&self, document: &Document, value: &Value) -> Result<Findings, Problem> {
        let mut findings = Findings::default();
        for object in objects(value, document.content_line())? {
            for template in pod_templates(&object, self.paths) {
                findings.templates += 1;
                self.decide(&object, &template, &mut findings).map_err(|fault| {
                    Problem::Template {
                        line: document.content_line(),
                        object: object.to_string(),
                        fault,
                    }
                })?;
            }
        }
        Ok(findings)
    }

    fn decide(
        &self,
        object: &Object<'_>,
        template: &PodTemplate<'_>,
        findings: &mut Findings,
    ) -> Result<(), PodError> {
        let namespace = self.namespace.or(object.namespace()).unwrap_or(DEFAULT_NAMESPACE);
        let request = Request::create(namespace, template.pod()?);
        let decision = decide(&request, self.known);
        let warnings = decision.warnings().iter();
        findings.warnings.extend(warnings.map(|warning| format!("{object}: {warning}")));
        if let Some(patch) = decision.patch() {
            findings.changes.push(Change {
                object: object.to_string(),
                secrets: decision.injected().iter().map(ToString::to_string).collect(),
                adds: below(&template.pointer, patch),
            });
        }
        Ok(())
    }
}

// === impl Change ===

impl Change {
    pub(super) fn refused(&self, error: EditError) -> Refused {
        Refused { object: self.object.clone(), error }
    }
}

/// The operations of a Pod's patch, where the Pod is at `pointer`. A patch of [`decide`] has no others than `add`.
fn below(pointer: &PointerBuf, patch: &Patch) -> Vec<AddOperation> {
    let adds = patch.iter().filter_map(|operation| match operation {
        PatchOperation::Add(add) => Some(add),
        _ => None,
    });
    let adds = adds.map(|AddOperation { path, value }| {
        let mut below = pointer.clone();
        below.append(path);
        AddOperation { path: below, value: value.clone() }
    });
    adds.collect()
}
