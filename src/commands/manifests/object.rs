//! Kubernetes objects in a document, those in Lists included.

use std::fmt;

use json_patch::jsonptr::{PointerBuf, Token};
use serde_json::Value;

use super::Problem;
use crate::commands::printable::Printable;

/// The deepest List in a List. `kubectl` flattens any depth, but deeper nesting is never deliberate.
const NESTED_MAX: usize = 8;

/// A Kubernetes object of any kind, borrowed from the value of its document.
#[derive(Debug, Clone)]
pub struct Object<'v> {
    value: &'v Value,
    pointer: PointerBuf,
    api_version: &'v str,
    kind: &'v str,
}

/// The objects of a document: one, or those of a List, or none where the document is empty.
///
/// # Errors
///
/// [`Problem::NoObject`] where it has no `kind`; `line` is where the document begins.
pub fn objects(document: &Value, line: usize) -> Result<Vec<Object<'_>>, Problem> {
    let mut found = Vec::new();
    if !document.is_null() {
        let root = Object::read(document, PointerBuf::new(), None)
            .map_err(|found| Problem::NoObject { line, found })?;
        collect(root, NESTED_MAX, &mut found).map_err(|found| Problem::NoObject { line, found })?;
    }
    Ok(found)
}

fn collect<'v>(
    object: Object<'v>,
    depth: usize,
    found: &mut Vec<Object<'v>>,
) -> Result<(), &'static str> {
    let Some((items, item_kind)) = object.items() else {
        found.push(object);
        return Ok(());
    };
    let Some(depth) = depth.checked_sub(1) else {
        return Err("a List in a List in a List");
    };
    for (index, item) in items.iter().enumerate() {
        let mut pointer = object.pointer.clone();
        pointer.push_back(Token::new("items"));
        pointer.push_back(Token::from(index));
        let default = item_kind.map(|kind| (object.api_version, kind));
        collect(Object::read(item, pointer, default)?, depth, found)?;
    }
    Ok(())
}

// === impl Object ===

impl<'v> Object<'v> {
    /// Reads an object, or says what stands there instead. A typed list leaves the kind of its items to `default`.
    fn read(
        value: &'v Value,
        pointer: PointerBuf,
        default: Option<(&'v str, &'v str)>,
    ) -> Result<Self, &'static str> {
        let members = match value {
            Value::Object(members) => members,
            Value::Array(_) => return Err("a list"),
            Value::Null => return Err("nothing"),
            _ => return Err("plain text"),
        };
        let text = |name| members.get(name).and_then(Value::as_str);
        let (api_version, kind) = default.unzip();
        Ok(Self {
            value,
            pointer,
            api_version: text("apiVersion").or(api_version).unwrap_or_default(),
            kind: text("kind").or(kind).ok_or("an object without `kind`")?,
        })
    }

    /// The items of a List, and the kind of those that leave theirs out.
    fn items(&self) -> Option<(&'v [Value], Option<&'v str>)> {
        let item_kind = self.kind.strip_suffix("List")?;
        let items = self.value.get("items")?.as_array()?;
        Some((items, Some(item_kind).filter(|kind| !kind.is_empty())))
    }

    /// The object itself.
    #[must_use]
    pub fn value(&self) -> &'v Value {
        self.value
    }

    /// Where the object stands in the value of its document.
    #[must_use]
    pub fn pointer(&self) -> &PointerBuf {
        &self.pointer
    }

    /// The API group, without the version: empty for core types.
    #[must_use]
    pub fn group(&self) -> &'v str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// The kind, such as `Deployment`.
    #[must_use]
    pub fn kind(&self) -> &'v str {
        self.kind
    }

    /// `metadata.name`, or `metadata.generateName`; empty where there is neither.
    #[must_use]
    pub fn name(&self) -> &'v str {
        self.metadata("name").or_else(|| self.metadata("generateName")).unwrap_or_default()
    }

    /// `metadata.namespace`, where it is written and not empty.
    #[must_use]
    pub fn namespace(&self) -> Option<&'v str> {
        self.metadata("namespace")
    }

    /// `metadata.uid`, where it is written and not empty.
    #[must_use]
    pub fn uid(&self) -> Option<&'v str> {
        self.metadata("uid")
    }

    /// The value of a label.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&'v str> {
        self.value.get("metadata")?.get("labels")?.get(key)?.as_str()
    }

    fn metadata(&self, name: &str) -> Option<&'v str> {
        let text = self.value.get("metadata")?.get(name)?.as_str()?;
        Some(text).filter(|text| !text.is_empty())
    }
}

/// Kind, namespace where it is written, and name, all printable: `Deployment team-a/web`.
impl fmt::Display for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.name().is_empty() { "(no name)" } else { self.name() };
        match self.namespace() {
            Some(namespace) => {
                write!(f, "{} {}/{}", Printable(self.kind), Printable(namespace), Printable(name))
            }
            None => write!(f, "{} {}", Printable(self.kind), Printable(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(document: &Value) -> Vec<String> {
        let objects = objects(document, 1).unwrap();
        objects.iter().map(|object| format!("{} {object}", object.pointer())).collect()
    }

    #[test]
    fn lists_are_flattened() {
        let pod =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "n"}});
        assert_eq!(shown(&pod), [" Pod n/a"]);
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [pod, {"kind": "List", "items": [pod]}]});
        assert_eq!(shown(&list), ["/items/0 Pod n/a", "/items/1/items/0 Pod n/a"]);
        let typed = json!({"apiVersion": "apps/v1", "kind": "DeploymentList", "items": [{"metadata": {"generateName": "d-"}}]});
        assert_eq!(shown(&typed), ["/items/0 Deployment d-"]);
        let objects = objects(&typed, 1).unwrap();
        assert_eq!(objects[0].group(), "apps");
        // A kind that only sounds like a list.
        assert_eq!(shown(&json!({"kind": "AllowList", "items": 1})), [" AllowList (no name)"]);
        assert_eq!(shown(&Value::Null), [""; 0]);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for (document, found) in [
            (json!([]), "not a list"),
            (json!("x"), "not plain text"),
            (json!({"image": {"tag": "1"}}), "not an object without `kind`"),
            (json!({"kind": "List", "items": [null]}), "not nothing"),
        ] {
            let error = objects(&document, 7).unwrap_err().to_string();
            assert!(error.starts_with("line 7: ") && error.contains(found), "{error}");
        }
    }
}
