//! The pull Secrets that a Pod gets from its `ServiceAccount`, before any webhook sees it.
//!
//! The API server's admission (kubernetes: `plugin/pkg/admission/serviceaccount/admission.go`, `Admit`) copies the list
//! of the `ServiceAccount` into a Pod only if the Pod's own list is empty. A list that is written into a manifest
//! therefore has to repeat it.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::{Value, json};

use super::Object;
use crate::core::pod::MIRROR_ANNOTATION;

/// The `ServiceAccount` of a Pod that names none.
const DEFAULT_NAME: &str = "default";

/// The list of a Pod, and of a `ServiceAccount`.
const LIST: &str = "imagePullSecrets";

/// The pull Secrets of the `ServiceAccounts` at hand, by namespace and name.
#[derive(Debug, Default)]
pub struct ServiceAccounts {
    lists: BTreeMap<(String, String), Vec<String>>,
}

/// A Pod as the admission of `ServiceAccounts` leaves it.
#[derive(Debug)]
pub struct Admitted<'v> {
    /// The Pod, or Pod template.
    pub pod: Cow<'v, Value>,
    /// The names that its list has from the `ServiceAccount`.
    pub copied: Vec<String>,
    /// The name of the `ServiceAccount` whose list is not known, where it would be copied.
    pub unknown: Option<&'v str>,
}

// === impl ServiceAccounts ===

impl ServiceAccounts {
    /// Takes in an object of this namespace, if it is a `ServiceAccount`. One of the same name keeps what it lists, as
    /// with `kubectl apply`.
    pub fn add(&mut self, object: &Object<'_>, namespace: &str) {
        if object.group().is_empty() && object.kind() == "ServiceAccount" {
            let list = object.value().get(LIST).and_then(Value::as_array);
            let names = list.into_iter().flatten().filter_map(|entry| entry.get("name")?.as_str());
            self.insert(namespace, object.name(), names);
        }
    }

    /// Takes in the list of a `ServiceAccount`.
    pub fn insert<'n>(
        &mut self,
        namespace: &str,
        name: &str,
        names: impl IntoIterator<Item = &'n str>,
    ) {
        let list = self.lists.entry((namespace.to_owned(), name.to_owned())).or_default();
        for name in names {
            if !name.is_empty() && !list.iter().any(|it| it == name) {
                list.push(name.to_owned());
            }
        }
    }

    /// What the admission makes of a Pod or Pod template of `namespace`.
    #[must_use]
    pub fn admit<'v>(&self, namespace: &str, pod: &'v Value) -> Admitted<'v> {
        let mut admitted =
            Admitted { pod: without_null_entries(pod), copied: Vec::new(), unknown: None };
        let Some(name) = Self::wanted(pod) else { return admitted };
        match self.lists.get(&(namespace.to_owned(), name.to_owned())) {
            None => admitted.unknown = Some(name),
            Some(names) if names.is_empty() => {}
            Some(names) => {
                if let Some(Value::Object(spec)) = admitted.pod.to_mut().get_mut("spec") {
                    let list = names.iter().map(|name| json!({ "name": name })).collect();
                    spec.insert(LIST.to_owned(), Value::Array(list));
                }
                admitted.copied.clone_from(names);
            }
        }
        admitted
    }

    /// The name of the `ServiceAccount` whose list is copied into this Pod; none where none is.
    #[must_use]
    pub fn wanted(pod: &Value) -> Option<&str> {
        let spec = pod.get("spec")?.as_object()?;
        let has_list = spec.get(LIST).is_some_and(|list| match list {
            Value::Array(entries) => !entries.is_empty(),
            other => !other.is_null(),
        });
        let annotations = pod.get("metadata").and_then(|metadata| metadata.get("annotations"));
        if has_list || annotations.is_some_and(|it| it.get(MIRROR_ANNOTATION).is_some()) {
            return None;
        }
        // `serviceAccount` is the former name of the field.
        let text = |field| spec.get(field).and_then(Value::as_str).filter(|name| !name.is_empty());
        text("serviceAccountName").or_else(|| text("serviceAccount")).or(Some(DEFAULT_NAME))
    }
}

/// A Pod whose list has an empty entry for each `null` in it, as the API server reads it.
fn without_null_entries(pod: &Value) -> Cow<'_, Value> {
    let list = pod.get("spec").and_then(|spec| spec.get(LIST)).and_then(Value::as_array);
    let mut pod = Cow::Borrowed(pod);
    if list.is_some_and(|list| list.iter().any(Value::is_null)) {
        let list = pod.to_mut().get_mut("spec").and_then(|spec| spec.get_mut(LIST));
        let entries = list.and_then(Value::as_array_mut).into_iter().flatten();
        entries.filter(|entry| entry.is_null()).for_each(|entry| *entry = json!({}));
    }
    pod
}

#[cfg(test)]
mod tests {
    use super::{super::objects, *};

    #[test]
    fn the_list_is_copied_only_into_a_pod_without_one() {
        let mut accounts = ServiceAccounts::default();
        for (kind, name, list) in [
            ("ServiceAccount", "web", json!([{"name": "vendor"}, {"name": ""}, {}, {"name": "b"}])),
            ("ServiceAccount", "web", json!([{"name": "b"}, {"name": "c"}])),
            ("ServiceAccount", "default", json!(null)),
            ("Pod", "other", json!([{"name": "x"}])),
        ] {
            let document =
                json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, LIST: list});
            accounts.add(&objects(&document, 1).unwrap()[0], "shop");
        }

        let none = (vec![], None);
        let web = (vec!["vendor", "b", "c"], None);
        for (pod, expected) in [
            (json!({"spec": {"serviceAccountName": "web"}}), web.clone()),
            (json!({"spec": {"serviceAccount": "web", "serviceAccountName": ""}}), web.clone()),
            (json!({"spec": {"serviceAccount": "x", "serviceAccountName": "web", LIST: []}}), web),
            (json!({"spec": {"serviceAccountName": "web", LIST: [{}]}}), none.clone()),
            (json!({"spec": {"serviceAccountName": "web", LIST: "text"}}), none.clone()),
            (
                json!({"metadata": {"annotations": {MIRROR_ANNOTATION: ""}}, "spec": {}}),
                none.clone(),
            ),
            (json!({"spec": {}}), none.clone()),
            (json!({}), none),
            (json!({"spec": {"serviceAccountName": "other"}}), (vec![], Some("other"))),
        ] {
            let admitted = accounts.admit("shop", &pod);
            let copied: Vec<_> = admitted.copied.iter().map(String::as_str).collect();
            let listed: Vec<_> = admitted.copied.iter().map(|name| json!({"name": name})).collect();
            assert_eq!((copied, admitted.unknown), expected, "{pod}");
            assert!(listed.is_empty() || admitted.pod["spec"][LIST] == json!(listed), "{pod}");
        }
        let elsewhere = json!({"spec": {"serviceAccountName": "web"}});
        assert_eq!(accounts.admit("other", &elsewhere).unknown, Some("web"));
    }
}
