//! Which manager owns which field, and what an apply makes of that.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// The keys that lead to a field.
type Path = Vec<String>;

/// The fields of each manager, by its name and operation.
#[derive(Default)]
struct Managers(BTreeMap<(String, String), BTreeSet<Path>>);

/// What belongs to the server in an object's metadata, and to no manager.
const OF_THE_SERVER: [&str; 9] = [
    "creationTimestamp",
    "deletionTimestamp",
    "generateName",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "resourceVersion",
    "uid",
];

/// Applies a patch; otherwise the fields of others that it would change.
pub(super) fn applied(
    existing: Option<&Value>,
    patch: &Value,
    manager: &str,
    force: bool,
) -> Result<Value, Vec<String>> {
    let set = leaves(patch);
    let mut object = existing.cloned().unwrap_or_else(|| patch.clone());
    let mut managers = Managers::of(&object);
    if managers.0.is_empty() && existing.is_some() {
        managers.0.insert(("before-first-apply".into(), "Update".into()), leaves(&object));
    }
    let own = (manager.to_owned(), "Apply".to_owned());
    let mut conflicts = Vec::new();
    for ((other, operation), fields) in &mut managers.0 {
        if (other.as_str(), operation.as_str()) == (manager, "Apply") {
            continue;
        }
        let differ: Vec<Path> = fields
            .intersection(&set)
            .filter(|path| find(&object, path) != find(patch, path))
            .cloned()
            .collect();
        for path in differ {
            if force {
                fields.remove(&path);
            } else {
                conflicts.push(format!("conflict with \"{other}\": .{}", path.join(".")));
            }
        }
    }
    if !conflicts.is_empty() {
        return Err(conflicts);
    }
    let before = managers.0.remove(&own).unwrap_or_default();
    for path in before.difference(&set) {
        if !managers.0.values().any(|fields| fields.contains(path)) {
            remove(&mut object, path);
        }
    }
    for path in &set {
        let value = find(patch, path).cloned().unwrap_or_default();
        place(&mut object, path, value);
    }
    managers.0.insert(own, set);
    managers.write(&mut object);
    Ok(object)
}

/// Notes what a manager has changed by other means than an apply.
pub(super) fn updated(before: Option<&Value>, after: &mut Value, manager: &str) {
    let now = leaves(after);
    let nothing = Value::Null;
    let before = before.unwrap_or(&nothing);
    let changed: BTreeSet<Path> =
        now.iter().filter(|path| find(before, path) != find(after, path)).cloned().collect();
    // Somebody may clear the field itself.
    let mut managers = Managers::of(after);
    for fields in managers.0.values_mut() {
        fields.retain(|path| now.contains(path) && !changed.contains(path));
    }
    if !changed.is_empty() {
        managers.0.entry((manager.into(), "Update".into())).or_default().extend(changed);
    }
    managers.write(after);
}

impl Managers {
    fn of(object: &Value) -> Self {
        let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
        let entries = entries.map(|entry| {
            let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            let mut fields = BTreeSet::new();
            collect(&entry["fieldsV1"], &mut Vec::new(), &mut fields, &|key| {
                key.strip_prefix("f:").map(ToOwned::to_owned)
            });
            ((text("manager"), text("operation")), fields)
        });
        Self(entries.collect())
    }

    fn write(&self, object: &mut Value) {
        let entries = self.0.iter().filter(|(_, fields)| !fields.is_empty());
        let entries = entries.map(|((manager, operation), fields)| {
            let mut tree = json!({});
            for path in fields {
                let path: Path = path.iter().map(|key| format!("f:{key}")).collect();
                place(&mut tree, &path, json!({}));
            }
            json!({
                "manager": manager, "operation": operation, "apiVersion": "v1",
                "fieldsType": "FieldsV1", "fieldsV1": tree,
            })
        });
        object["metadata"]["managedFields"] = entries.collect();
    }
}

/// The fields of an object that somebody can own.
fn leaves(object: &Value) -> BTreeSet<Path> {
    let mut fields = BTreeSet::new();
    collect(object, &mut Vec::new(), &mut fields, &|key| Some(key.to_owned()));
    fields.retain(|path| match path.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["apiVersion" | "kind" | "metadata"] => false,
        ["metadata", key, ..] => !OF_THE_SERVER.contains(&key),
        _ => true,
    });
    fields
}

fn collect(
    value: &Value,
    at: &mut Path,
    fields: &mut BTreeSet<Path>,
    name: &impl Fn(&str) -> Option<String>,
) {
    let members = value.as_object().filter(|members| !members.is_empty());
    let Some(members) = members else {
        if !at.is_empty() {
            fields.insert(at.clone());
        }
        return;
    };
    for (key, value) in members {
        let Some(key) = name(key) else { continue };
        at.push(key);
        collect(value, at, fields, name);
        at.pop();
    }
}

fn find<'v>(object: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(object, |value, key| value.get(key))
}

fn place(object: &mut Value, path: &[String], value: Value) {
    let Some((key, rest)) = path.split_first() else {
        *object = value;
        return;
    };
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    place(&mut object[key.as_str()], rest, value);
}

fn remove(object: &mut Value, path: &[String]) {
    let Some((last, above)) = path.split_last() else { return };
    let above = above.iter().try_fold(object, |value, key| value.get_mut(key));
    if let Some(members) = above.and_then(Value::as_object_mut) {
        members.remove(last);
    }
}
