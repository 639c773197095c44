//! Pods in objects of which it is not known where they keep them: custom kinds without a path, and kinds that are
//! misspelt.

use json_patch::jsonptr::{PointerBuf, Token};
use serde_json::{Map, Value, json};

use super::{Object, PodTemplate};

/// Fields with which an object names a Secret for its image itself.
const OWN_SECRETS: [&str; 4] = ["imagePullSecret", "pullSecret", "pullSecrets", "secretRef"];

/// Something that resembles a Pod, or at least like its image.
#[derive(Debug)]
pub(in crate::commands) struct UnknownPod {
    /// Where it stands in the value of the document.
    pub(in crate::commands) pointer: PointerBuf,
    /// It, as a Pod.
    pub(in crate::commands) pod: Value,
    /// Whether it has the form of a Pod template, so that a path can lead to it.
    pub(in crate::commands) is_template: bool,
}

/// What resembles a Pod in `object`, besides its `known` templates.
pub(in crate::commands) fn unknown_pods(
    object: &Object<'_>,
    known: &[PodTemplate<'_>],
) -> Vec<UnknownPod> {
    let mut found = Vec::new();
    Walk { known, found: &mut found }.visit(object.pointer(), object.value());
    found
}

struct Walk<'w> {
    known: &'w [PodTemplate<'w>],
    found: &'w mut Vec<UnknownPod>,
}

// === impl Walk ===

impl Walk<'_> {
    /// Nested no deeper than a document may be.
    fn visit(&mut self, pointer: &PointerBuf, value: &Value) {
        let below = |token: Token<'_>| {
            let mut below = pointer.clone();
            below.push_back(token);
            below
        };
        match value {
            Value::Array(entries) => {
                for (at, entry) in entries.iter().enumerate() {
                    self.visit(&below(at.into()), entry);
                }
            }
            Value::Object(members) if !self.known.iter().any(|it| it.pointer == *pointer) => {
                if self.record(pointer, members, value) {
                    return;
                }
                for (name, member) in
                    members.iter().filter(|(_, it)| it.is_array() || it.is_object())
                {
                    self.visit(&below(Token::new(name)), member);
                }
            }
            _ => {}
        }
    }

    /// Records an object that resembles a template, a Pod's spec or something with an image; says whether nothing below
    /// it remains to be looked at.
    fn record(
        &mut self,
        pointer: &PointerBuf,
        members: &Map<String, Value>,
        value: &Value,
    ) -> bool {
        let (pod, is_template, is_whole) = if members.get("spec").is_some_and(has_containers) {
            (value.clone(), true, true)
        } else if has_containers(value) {
            (json!({ "spec": value }), false, true)
        } else if let Some(Value::String(image)) = members.get("image") {
            if OWN_SECRETS.iter().any(|field| members.get(*field).is_some_and(|it| !it.is_null())) {
                return false;
            }
            let list = members.get("imagePullSecrets").and_then(Value::as_array);
            let names =
                list.into_iter().flatten().filter_map(|it| it.get("name").unwrap_or(it).as_str());
            let list: Vec<Value> = names.map(|name| json!({ "name": name })).collect();
            let spec = json!({"containers": [{ "image": image }], "imagePullSecrets": list});
            (json!({ "spec": spec }), false, false)
        } else {
            return false;
        };
        self.found.push(UnknownPod { pointer: pointer.clone(), pod, is_template });
        is_whole
    }
}

/// Whether a value has containers with images, as the spec of a Pod does.
fn has_containers(value: &Value) -> bool {
    let containers = value.get("containers").and_then(Value::as_array);
    containers.is_some_and(|it| it.iter().any(|it| it.get("image").is_some_and(Value::is_string)))
}

/// The paths that lead to all of `pointers` within an object at `root`: `*` stands for entries of lists, and for
/// members in which alone two of them differ. Empty where a command could not show one.
pub(in crate::commands) fn paths(root: &PointerBuf, pointers: &[&PointerBuf]) -> Vec<String> {
    let mut paths: Vec<Vec<String>> = Vec::new();
    for pointer in pointers {
        let tokens = pointer.tokens().skip(root.count());
        let tokens = tokens.map(|token| match token.decoded().parse::<usize>() {
            Ok(_) => "*".to_owned(),
            Err(_) => token.encoded().to_owned(),
        });
        let path: Vec<_> = tokens.collect();
        let differ = |other: &&mut Vec<String>| {
            let pairs = other.iter().zip(&path);
            other.len() == path.len()
                && pairs.filter(|(one, other)| *one != "*" && one != other).count() <= 1
        };
        match paths.iter_mut().find(differ) {
            Some(other) => {
                for (one, token) in other.iter_mut().zip(&path) {
                    if one != token {
                        "*".clone_into(one);
                    }
                }
            }
            None => paths.push(path),
        }
    }
    let is_plain = |token: &String| {
        token == "*" || token.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_.~".contains(&it))
    };
    paths.retain(|path| !path.is_empty() && path.iter().all(is_plain));
    paths.into_iter().map(|path| format!("/{}", path.join("/"))).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::objects, *};

    fn found(object: &Value) -> Vec<(String, bool)> {
        let objects = objects(object, 1).unwrap();
        let found = unknown_pods(&objects[0], &[]);
        found.into_iter().map(|it| (it.pointer.to_string(), it.is_template)).collect()
    }

    #[test]
    fn what_looks_like_a_pod_is_found() {
        let pod = json!({"containers": [{"name": "a", "image": "b"}]});
        let object = json!({"kind": "X", "spec": {
            "tasks": [{"template": {"spec": pod}}], "podSpec": pod, "image": "c",
        }});
        let expected =
            [("/spec", false), ("/spec/podSpec", false), ("/spec/tasks/0/template", true)];
        assert_eq!(found(&object), expected.map(|(at, it)| (at.to_owned(), it)));
        let object = json!({"kind": "X", "spec": {
            "tasks": [{"template": {"spec": pod}}], "podSpec": pod,
            "own": {"image": "c", "secretRef": {"name": "d"}}, "image": {"repository": "e"},
        }});
        assert_eq!(
            found(&object),
            [("/spec/podSpec".to_owned(), false), ("/spec/tasks/0/template".to_owned(), true)]
        );
        assert_eq!(found(&json!({"kind": "X", "spec": pod})), [(String::new(), true)]);
        assert_eq!(found(&json!({"kind": "X", "data": {"containers": "image: a"}})), []);
    }

    #[test]
    fn paths_lead_to_what_was_found() {
        let path = |root: &str, pointers: &[&str]| {
            let pointers: Vec<_> =
                pointers.iter().map(|it| PointerBuf::parse(*it).unwrap()).collect();
            paths(&PointerBuf::parse(root).unwrap(), &pointers.iter().collect::<Vec<_>>())
        };
        assert_eq!(
            path("", &["/spec/r/Master/t", "/spec/r/Worker/t", "/spec/r/Ps/t"]),
            ["/spec/r/*/t"]
        );
        assert_eq!(
            path("/items/0", &["/items/0/spec/tasks/0/t", "/items/0/spec/tasks/1/t"]),
            ["/spec/tasks/*/t"]
        );
        assert_eq!(path("", &["/a/b/c", "/d/e/c"]), ["/a/b/c", "/d/e/c"]);
        assert_eq!(path("", &["/a;rm/b", ""]), [""; 0]);
    }
}
