//! What a Secret's metadata says of it: whether it is a copy of ours, of what, and whether somebody changed it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use serde_json::Value;

use crate::core::copies::{CONTENT, LOGIN, MANAGER, MARK};

/// The key of a copy's data.
pub const DATA_KEY: &str = ".dockerconfigjson";

/// A Secret under the name of a copy, as its metadata shows it. Its content is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It does not have our mark: it belongs to somebody else.
    Foreign,
    /// A copy.
    Ours(Ours),
}

/// A copy, as its metadata shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ours {
    /// Tells it from one that was made under its name before or after.
    pub uid: Box<str>,
    /// Tells whether it has changed since.
    pub version: Box<str>,
    /// The fingerprint of what was written last.
    pub content: Option<Fingerprint>,
    /// Whether data and marks are still those that we wrote: a change by other means than a forced apply
    /// takes the field from us, and a key that is not ours is in `added`.
    pub intact: bool,
    /// Whether somebody has made it immutable.
    pub immutable: bool,
    /// Keys that somebody added to its data.
    pub added: Box<[Box<str>]>,
}

/// A fingerprint, as it stands in the annotation [`CONTENT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(u128);

// === impl Fingerprint ===

impl Fingerprint {
    /// Reads 32 hexadecimal digits; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| u128::from_str_radix(text, 16).ok()).flatten().map(Self)
    }
}

// === impl Seen ===

impl Seen {
    /// Reads the metadata of a Secret.
    #[must_use]
    pub fn of(metadata: &ObjectMeta) -> Self {
        let label = metadata.labels.as_ref().and_then(|labels| labels.get(MARK.0));
        if label.map(String::as_str) != Some(MARK.1) {
            return Self::Foreign;
        }
        let annotations = metadata.annotations.as_ref();
        let content = annotations.and_then(|it| it.get(CONTENT)).map(String::as_str);
        let managers = metadata.managed_fields.as_deref().unwrap_or_default();
        let ours = |entry: &&ManagedFieldsEntry| {
            entry.manager.as_deref() == Some(MANAGER) && entry.operation.as_deref() == Some("Apply")
        };
        let own = managers.iter().find(ours).is_some_and(owns_all);
        let others = managers.iter().filter(|entry| !ours(entry));
        let added = others.flat_map(|entry| members(entry, "f:data"));
        let added: Box<[Box<str>]> = added.filter(|key| &**key != DATA_KEY).collect();
        let immutable = managers.iter().any(|entry| field(entry, "f:immutable").is_some());
        Self::Ours(Ours {
            uid: metadata.uid.as_deref().unwrap_or_default().into(),
            version: metadata.resource_version.as_deref().unwrap_or_default().into(),
            content: content.and_then(Fingerprint::parse),
            intact: own && added.is_empty(),
            immutable,
            added,
        })
    }
}

/// Whether a Secret that we have just applied to has data of another manager: it was somebody's before.
#[must_use]
pub fn is_shared(metadata: &ObjectMeta) -> bool {
    let managers = metadata.managed_fields.iter().flatten();
    let others = managers.filter(|entry| entry.manager.as_deref() != Some(MANAGER));
    others
        .into_iter()
        .any(|entry| field(entry, "f:data").is_some() || field(entry, "f:type").is_some())
}

/// Whether a manager owns all that a copy has.
fn owns_all(entry: &ManagedFieldsEntry) -> bool {
    let has = |path: &[&str]| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        path.iter().try_fold(fields?, |fields, part| fields.get(part)).map(drop)
    };
    let data = format!("f:{DATA_KEY}");
    let (label, login, content) =
        (format!("f:{}", MARK.0), format!("f:{LOGIN}"), format!("f:{CONTENT}"));
    let paths: [&[&str]; 4] = [
        &["f:data", &data],
        &["f:metadata", "f:labels", &label],
        &["f:metadata", "f:annotations", &login],
        &["f:metadata", "f:annotations", &content],
    ];
    paths.into_iter().all(|path| has(path).is_some())
}

fn field<'e>(entry: &'e ManagedFieldsEntry, name: &str) -> Option<&'e Value> {
    entry.fields_v1.as_ref()?.0.get(name)
}

/// The names below a field that a manager owns.
fn members(entry: &ManagedFieldsEntry, name: &str) -> impl Iterator<Item = Box<str>> {
    let members = field(entry, name).and_then(Value::as_object).into_iter().flatten();
    members.filter_map(|(name, _)| name.strip_prefix("f:")).map(Into::into)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FINGERPRINT: &str = "0123456789abcdef0123456789abcdef";

    /// The metadata of a copy as the API server keeps it, changed by `change`.
    fn seen(change: impl FnOnce(&mut Value)) -> Seen {
        let mut metadata = json!({
            "name": "robot", "namespace": "shop", "uid": "u", "resourceVersion": "7",
            "labels": {(MARK.0): MARK.1},
            "annotations": {(LOGIN): "acme", (CONTENT): FINGERPRINT},
            "managedFields": [{
                "manager": MANAGER, "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
                "fieldsV1": {
                    "f:data": {"f:.dockerconfigjson": {}},
                    "f:metadata": {
                        "f:labels": {"f:app.kubernetes.io/managed-by": {}},
                        "f:annotations": {"f:pullcred.dev/login": {}, "f:pullcred.dev/content": {}},
                    },
                    "f:type": {},
                },
            }],
        });
        change(&mut metadata);
        Seen::of(&serde_json::from_value(metadata).unwrap())
    }

    fn other(fields: &Value) -> Value {
        json!({"manager": "kubectl-edit", "operation": "Update", "fieldsV1": fields})
    }

    #[test]
    fn a_copy_is_known_by_its_mark() {
        let Seen::Ours(ours) = seen(|_| {}) else { panic!("foreign") };
        assert!(ours.intact && !ours.immutable && ours.added.is_empty());
        assert_eq!((&*ours.uid, &*ours.version), ("u", "7"));
        assert_eq!(ours.content, Fingerprint::parse(FINGERPRINT));
        assert_eq!(seen(|it| it["labels"] = json!({})), Seen::Foreign);
        assert_eq!(seen(|it| it["labels"][MARK.0] = json!("helm")), Seen::Foreign);
    }

    #[test]
    fn every_change_by_others_shows_in_the_metadata() {
        type Change = fn(&mut Value);
        let changes: [(&str, Change); 6] = [
            ("value edited", |it| {
                it["managedFields"][0]["fieldsV1"]["f:data"] = json!({});
                let edit = other(&json!({"f:data": {"f:.dockerconfigjson": {}}}));
                it["managedFields"].as_array_mut().unwrap().push(edit);
            }),
            ("key added", |it| {
                let edit = other(&json!({"f:data": {"f:more": {}}}));
                it["managedFields"].as_array_mut().unwrap().push(edit);
            }),
            ("managedFields cleared", |it| it["managedFields"] = json!([])),
            ("annotation taken over", |it| {
                it["managedFields"][0]["fieldsV1"]["f:metadata"]["f:annotations"] = json!({});
            }),
            ("label taken over", |it| {
                it["managedFields"][0]["fieldsV1"]["f:metadata"]["f:labels"] = json!({});
            }),
            ("written by an update", |it| it["managedFields"][0]["operation"] = json!("Update")),
        ];
        for (what, change) in changes {
            let Seen::Ours(ours) = seen(change) else { panic!("foreign") };
            assert!(!ours.intact, "{what}");
        }
        let Seen::Ours(ours) = seen(changes[1].1) else { panic!("foreign") };
        assert_eq!(*ours.added, [Box::from("more")]);
        let Seen::Ours(ours) = seen(|it| {
            let edit = other(&json!({"f:immutable": {}}));
            it["managedFields"].as_array_mut().unwrap().push(edit);
        }) else {
            panic!("foreign")
        };
        assert!(ours.intact && ours.immutable);
    }

    #[test]
    fn a_foreign_annotation_changes_nothing() {
        let Seen::Ours(ours) = seen(|it| {
            it["annotations"]["example.com/note"] = json!("x");
            let edit = other(&json!({"f:metadata": {"f:annotations": {"f:example.com/note": {}}}}));
            it["managedFields"].as_array_mut().unwrap().push(edit);
        }) else {
            panic!("foreign")
        };
        assert!(ours.intact);
    }
}
