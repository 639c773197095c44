//! Where an object keeps its Pods.

use std::{collections::HashSet, fmt, str::FromStr};

use json_patch::jsonptr::{Pointer, PointerBuf, Token};
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use super::Object;
use crate::core::{describe, pod::Pod};

/// The kinds of Kubernetes that hold a Pod or a Pod template: API group, kind, and where it is.
///
/// `extensions` is the former group of some, which old manifests still name.
const KINDS: [(&str, &str, &str); 13] = [
    ("", "Pod", ""),
    ("", "PodTemplate", "/template"),
    ("", "ReplicationController", "/spec/template"),
    ("apps", "DaemonSet", "/spec/template"),
    ("apps", "Deployment", "/spec/template"),
    ("apps", "ReplicaSet", "/spec/template"),
    ("apps", "StatefulSet", "/spec/template"),
    ("batch", "CronJob", "/spec/jobTemplate/spec/template"),
    ("batch", "Job", "/spec/template"),
    ("batch", "JobTemplate", "/template/spec/template"),
    ("extensions", "DaemonSet", "/spec/template"),
    ("extensions", "Deployment", "/spec/template"),
    ("extensions", "ReplicaSet", "/spec/template"),
];

/// A Pod, or the template of Pods, within an object.
#[derive(Debug, Clone)]
pub struct PodTemplate<'v> {
    /// Where it stands in the value of the document.
    pub pointer: PointerBuf,
    /// The template: an object with `metadata` and `spec`.
    pub value: &'v Value,
}

/// Where the objects of a custom kind keep their Pod template: `/spec/template`, or `Rollout=/spec/template`.
///
/// The place is a JSON Pointer (RFC 6901), in which `*` stands for every entry of a list and every member of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplatePath {
    kind: Option<Box<str>>,
    pointer: PointerBuf,
}

/// Why a text is no [`TemplatePath`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "write where the Pod template is as a JSON Pointer, such as `/spec/template`, or with a kind in front, \
     such as `Rollout=/spec/template`"
)]
pub struct TemplatePathError;

/// A field of a Pod has the wrong type. What stands there is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {fault}")]
pub struct PodError {
    field: String,
    pointer: PointerBuf,
    fault: String,
}

/// The Pods and Pod templates of an object: those of Kubernetes' own kinds, or else those that `paths` lead to.
#[must_use]
pub fn pod_templates<'v>(object: &Object<'v>, paths: &[TemplatePath]) -> Vec<PodTemplate<'v>> {
    let mut found = Vec::new();
    if let Some(pointer) = own(object) {
        resolve(object, pointer, &mut found);
        return found;
    }
    for path in paths.iter().filter(|path| path.is_for(object)) {
        resolve(object, &path.pointer, &mut found);
    }
    // Two paths may lead to one place.
    let mut seen = HashSet::new();
    found.retain(|template: &PodTemplate<'_>| seen.insert(template.pointer.clone()));
    found
}

/// A path within a value, as far as it is known.
fn pointer(path: &Path) -> PointerBuf {
    let mut pointer = PointerBuf::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_back(Token::from(*index)),
            Segment::Map { key } => pointer.push_back(Token::new(key.clone())),
            Segment::Enum { .. } | Segment::Unknown => break,
        }
    }
    pointer
}

/// Where Kubernetes' own kinds have their Pods; none for any other kind.
fn own(object: &Object<'_>) -> Option<&'static Pointer> {
    let own =
        KINDS.iter().find(|(group, kind, _)| *group == object.group() && *kind == object.kind());
    own.map(|(_, _, pointer)| Pointer::from_static(pointer))
}

/// Appends the objects that `path` leads to, from within `object`.
fn resolve<'v>(object: &Object<'v>, path: &Pointer, found: &mut Vec<PodTemplate<'v>>) {
    let mut reached = vec![(object.pointer().clone(), object.value())];
    for token in path.tokens() {
        reached = reached
            .into_iter()
            .flat_map(|(pointer, value)| step(&pointer, value, &token))
            .collect();
    }
    let templates = reached.into_iter().filter(|(_, value)| value.is_object());
    found.extend(templates.map(|(pointer, value)| PodTemplate { pointer, value }));
}

fn step<'v>(at: &PointerBuf, value: &'v Value, token: &Token<'_>) -> Vec<(PointerBuf, &'v Value)> {
    let below = |token: Token<'_>| {
        let mut pointer = at.clone();
        pointer.push_back(token);
        pointer
    };
    let name = token.decoded();
    match value {
        Value::Array(entries) if name == "*" => {
            entries.iter().enumerate().map(|(at, entry)| (below(at.into()), entry)).collect()
        }
        Value::Object(members) if name == "*" && !members.contains_key("*") => {
            members.iter().map(|(name, member)| (below(Token::new(name)), member)).collect()
        }
        Value::Array(entries) => {
            let entry = name.parse().ok().and_then(|at: usize| entries.get(at));
            entry.map(|entry| (below(token.clone()), entry)).into_iter().collect()
        }
        Value::Object(members) => {
            let member = members.get(&*name);
            member.map(|member| (below(token.clone()), member)).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

// === impl PodTemplate ===

impl<'v> PodTemplate<'v> {
    /// The Pod, as the decision reads it.
    ///
    /// # Errors
    ///
    /// Where a field that the decision reads has the wrong type.
    pub fn pod(&self) -> Result<Pod<'v>, PodError> {
        serde_path_to_error::deserialize(self.value).map_err(|error| PodError {
            field: error.path().to_string(),
            pointer: pointer(error.path()),
            fault: describe(error.inner()),
        })
    }
}

// === impl PodError ===

impl PodError {
    /// Where the field stands in the Pod.
    #[must_use]
    pub fn pointer(&self) -> &Pointer {
        &self.pointer
    }

    /// What to write, where it is one of the usual slips; begins with a colon, or is empty.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self.fault.as_str() {
            "expected a string" => ": write `y`, `on` and numbers that are text in quotes",
            "expected a sequence" => ": write a list, one entry a line behind `- `",
            "expected an object" => ": write keys with values, such as `name: …`",
            _ => "",
        }
    }
}

// === impl TemplatePath ===

impl TemplatePath {
    /// Whether it leads to a Pod template in this object, which has a `spec`.
    #[must_use]
    pub fn meets(&self, object: &Object<'_>) -> bool {
        let mut found = Vec::new();
        if own(object).is_none() && self.is_for(object) {
            resolve(object, &self.pointer, &mut found);
        }
        found.iter().any(|template| template.value.get("spec").is_some_and(Value::is_object))
    }

    fn is_for(&self, object: &Object<'_>) -> bool {
        self.kind.as_deref().is_none_or(|kind| kind == object.kind())
    }
}

impl FromStr for TemplatePath {
    type Err = TemplatePathError;

    fn from_str(text: &str) -> Result<Self, TemplatePathError> {
        let (kind, pointer) = match text.split_once('=') {
            Some((kind, pointer)) if !kind.starts_with('/') => (Some(kind), pointer),
            _ => (None, text),
        };
        if kind.is_some_and(|kind| !kind.bytes().all(|byte| byte.is_ascii_alphanumeric()))
            || kind == Some("")
            || !pointer.starts_with('/')
        {
            return Err(TemplatePathError);
        }
        let pointer = PointerBuf::parse(pointer).map_err(|_| TemplatePathError)?;
        Ok(Self { kind: kind.map(Into::into), pointer })
    }
}

impl fmt::Display for TemplatePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(kind) = &self.kind {
            write!(f, "{kind}=")?;
        }
        self.pointer.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::objects, *};

    fn pointers(document: &Value, paths: &[&str]) -> Vec<String> {
        let paths: Vec<_> = paths.iter().map(|path| path.parse().unwrap()).collect();
        let objects = objects(document, 1).unwrap();
        let templates = objects.iter().flat_map(|object| pod_templates(object, &paths));
        templates.map(|template| template.pointer.to_string()).collect()
    }

    #[test]
    fn every_workload_kind_has_its_place() {
        for (group, kind, pointer) in KINDS {
            let mut object = json!({});
            for token in
                Pointer::from_static(pointer).tokens().collect::<Vec<_>>().into_iter().rev()
            {
                object = json!({token.decoded(): object});
            }
            object["kind"] = json!(kind);
            object["apiVersion"] = json!([group, "v1"].join("/").trim_start_matches('/'));
            assert_eq!(pointers(&object, &["/spec"]), [pointer], "{object}");
        }
        let other =
            json!({"apiVersion": "batch.volcano.sh/v1", "kind": "Job", "spec": {"template": {}}});
        assert_eq!(pointers(&other, &[]), [""; 0]);
    }

    #[test]
    fn paths_lead_into_custom_kinds() {
        let rollout = json!({"apiVersion": "argoproj.io/v1", "kind": "Rollout", "spec": {"template": {}, "tasks": [{"t": {}}, {}, {"t": {}}]}});
        assert_eq!(pointers(&rollout, &["/spec/template"]), ["/spec/template"]);
        assert_eq!(
            pointers(&rollout, &["Rollout=/spec/template", "/spec/template"]),
            ["/spec/template"]
        );
        assert_eq!(pointers(&rollout, &["Task=/spec/template"]), [""; 0]);
        assert_eq!(
            pointers(&rollout, &["/spec/tasks/*/t"]),
            ["/spec/tasks/0/t", "/spec/tasks/2/t"]
        );
        assert_eq!(pointers(&rollout, &["/spec/tasks/2/t", "/spec/none"]), ["/spec/tasks/2/t"]);
        assert_eq!(pointers(&rollout, &["/kind"]), [""; 0]);
        let replicas = json!({"kind": "PyTorchJob", "spec": {"r": {"Master": {"t": {"spec": {}}}, "Wo/rker": {"t": {}}}}});
        assert_eq!(
            pointers(&replicas, &["/spec/r/*/t"]),
            ["/spec/r/Master/t", "/spec/r/Wo~1rker/t"]
        );
        let star = json!({"kind": "Odd", "spec": {"*": {"t": {}}, "a": {"t": {}}}});
        assert_eq!(pointers(&star, &["/spec/*/t"]), ["/spec/*/t"]);
        let objects = objects(&replicas, 1).unwrap();
        let meets = |path: &str| path.parse::<TemplatePath>().unwrap().meets(&objects[0]);
        let met =
            ["/spec/r/*/t", "/spec/r/Worker/t", "PyTorchjob=/spec/r/*/t", "/spec/r/*"].map(meets);
        assert_eq!(met, [true, false, false, false]);
    }

    #[test]
    fn a_path_is_a_pointer() {
        for text in ["", "spec", "spec.template", "=/spec", "a b=/spec", "Rollout=", "/~2"] {
            assert!(text.parse::<TemplatePath>().is_err(), "{text}");
        }
        for text in ["/spec/template", "Rollout=/spec/template", "/a=b/c"] {
            assert_eq!(text.parse::<TemplatePath>().unwrap().to_string(), text);
        }
    }
}
