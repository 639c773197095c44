//! The objects, and what requests do to them.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::{
    Call,
    answer::{Answer, ok, status},
    managers::{applied, updated},
    watching::{Change, Watches},
};

/// The objects of a cluster, by path.
#[derive(Default)]
pub(super) struct Store {
    objects: BTreeMap<String, Value>,
    version: u64,
    made: u64,
    watches: Watches,
    /// Pages of lists that were begun, by their tokens.
    pages: HashMap<String, (u64, Vec<Value>)>,
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place<'p> {
    /// Group and version.
    group: &'p str,
    namespace: Option<&'p str>,
    resource: &'p str,
    name: Option<&'p str>,
}

/// Which objects a list or a watch is about.
#[derive(Debug, Clone, Default)]
pub(super) struct Selector {
    collection: String,
    name: Option<String>,
    /// The type of a Secret.
    type_: Option<String>,
    labels: Vec<(String, String)>,
}

/// What refuses a request: the status and a message.
type Refused = (u16, String);

/// The answer to a request for a token of a service account, which says whose it is, and for whom.
fn token(call: &Call) -> Value {
    let parts: Vec<&str> = call.path.split('/').collect();
    let (namespace, name) = (parts[4], parts[6]);
    let request = call.json();
    let audiences = request["spec"]["audiences"].as_array().unwrap();
    assert_eq!(audiences.len(), 1, "{request}");
    let audience = audiences[0].as_str().unwrap();
    assert!(!audience.is_empty(), "a token for the API server itself");
    json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": request["spec"],
        "status": {
            "token": format!("token.{namespace}.{name}.{audience}"),
            "expirationTimestamp": "2100-01-01T00:00:00Z",
        },
    })
}

// === impl Store ===

impl Store {
    pub(super) fn get(&self, path: &str) -> Option<&Value> {
        self.objects.get(path)
    }

    pub(super) fn objects(&self) -> &BTreeMap<String, Value> {
        &self.objects
    }

    pub(super) fn paths(&self, which: impl Fn(&str) -> bool) -> Vec<String> {
        self.objects.keys().filter(|path| which(path)).cloned().collect()
    }

    /// Stores an object as a manager updates it.
    pub(super) fn put(&mut self, path: &str, mut object: Value, manager: &str) {
        updated(self.objects.get(path), &mut object, manager);
        self.store(path, object);
    }

    pub(super) fn remove(&mut self, path: &str) -> Option<Value> {
        let before = self.objects.remove(path)?;
        self.version += 1;
        let mut last = before.clone();
        last["metadata"]["resourceVersion"] = self.version.to_string().into();
        let (version, path) = (self.version, path.to_owned());
        let gone = Change { version, path, before: Some(before.clone()), after: None, last };
        self.watches.changed(gone);
        Some(before)
    }

    pub(super) fn compact(&mut self) {
        self.watches.compact(self.version);
    }

    pub(super) fn break_watches(&mut self) {
        self.watches.break_all();
    }

    pub(super) fn silence_watches(&mut self) {
        self.watches.silence_all();
    }

    /// Carries out a request.
    pub(super) fn answer(&mut self, call: &Call, content_type: &str) -> Answer {
        let named = Place::of(&call.path).name.is_some();
        match (call.method.as_str(), named) {
            ("GET", false) if call.watch => {
                self.watches.start(Selector::of(call), call, self.version)
            }
            ("GET", false) => self.list(call),
            ("POST", _) if call.path.ends_with("/token") => ok(&token(call)),
            (method, _) => {
                let done = match method {
                    "GET" => self.found(&call.path),
                    "PATCH" => self.patch(call, content_type),
                    "DELETE" => self.delete(call),
                    "POST" => Ok(self.create(call)),
                    _ => Err((405, "not here".to_owned())),
                };
                match done {
                    Ok(object) => ok(&shown(object, call)),
                    Err((code, message)) => status(code, &message, None),
                }
            }
        }
    }

    fn found(&self, path: &str) -> Result<Value, Refused> {
        self.get(path).cloned().ok_or_else(|| (404, format!("{path} not found")))
    }

    fn list(&mut self, call: &Call) -> Answer {
        let token = call.parameter("continue");
        let (version, mut items) = match self.pages.remove(&token) {
            Some(rest) => rest,
            None if !token.is_empty() => return status(410, "the token has expired", None),
            None => {
                let selector = Selector::of(call);
                // What is in a namespace has a path below that of the list.
                let is_namespaced = Place::of(&call.path).namespace.is_some();
                let under = if is_namespaced { format!("{}/", call.path) } else { String::new() };
                let items = self.objects.range(under.clone()..);
                let items = items.take_while(|(path, _)| path.starts_with(&under));
                let items = items.filter(|(path, it)| selector.has(path, it));
                (self.version, items.map(|(_, it)| it.clone()).collect::<Vec<_>>())
            }
        };
        let limit = call.parameter("limit").parse().unwrap_or(usize::MAX);
        let mut metadata = json!({"resourceVersion": version.to_string()});
        if items.len() > limit {
            let rest = items.split_off(limit);
            let token = format!("page-{}-{}", version, rest.len());
            metadata["continue"] = token.clone().into();
            self.pages.insert(token, (version, rest));
        }
        let items: Vec<_> = items.into_iter().map(|it| shown(it, call)).collect();
        let kind = if call.metadata { "PartialObjectMetadataList" } else { "List" };
        let group = if call.metadata { "meta.k8s.io/v1" } else { "v1" };
        ok(&json!({"apiVersion": group, "kind": kind, "metadata": metadata, "items": items}))
    }

    fn patch(&mut self, call: &Call, content_type: &str) -> Result<Value, Refused> {
        let (at, patch) = (call.path.as_str(), call.json());
        let manager = call.parameter("fieldManager");
        let existing = self.objects.get(at);
        let object = match (content_type, existing) {
            ("application/apply-patch+yaml", existing) => {
                preconditions(existing, &patch["metadata"])?;
                if existing.is_none() {
                    self.room_for(at)?;
                }
                let force = call.parameter("force") == "true";
                applied(existing, &patch, &manager, force).map_err(|fields| {
                    (409, format!("Apply failed with conflicts: {}", fields.join(", ")))
                })?
            }
            (_, None) => return Err((404, format!("{at} not found"))),
            ("application/json-patch+json", Some(existing)) => {
                let mut object = existing.clone();
                let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
                json_patch::patch(&mut object, &patch).map_err(|error| {
                    (422, format!("the server rejected our request due to an error in our request: {error}"))
                })?;
                updated(Some(existing), &mut object, &manager);
                object
            }
            (_, Some(existing)) => {
                preconditions(Some(existing), &patch["metadata"])?;
                let mut object = existing.clone();
                json_patch::merge(&mut object, &patch);
                updated(Some(existing), &mut object, &manager);
                object
            }
        };
        if let Some(existing) = existing {
            immutable(existing, &object)?;
        }
        Ok(self.store(at, object))
    }

    fn delete(&mut self, call: &Call) -> Result<Value, Refused> {
        let object = self.found(&call.path)?;
        preconditions(Some(&object), &call.json()["preconditions"])?;
        self.remove(&call.path);
        Ok(object)
    }

    fn create(&mut self, call: &Call) -> Value {
        let mut object = call.json();
        let prefix = object["metadata"]["generateName"].as_str().unwrap_or_default();
        let name = format!("{prefix}{}", self.made + 1);
        object["metadata"]["name"] = name.clone().into();
        let path = format!("{}/{name}", call.path);
        self.store(&path, object)
    }

    /// Whether something can be made in the namespace of this path.
    fn room_for(&self, path: &str) -> Result<(), Refused> {
        let Some(namespace) = Place::of(path).namespace else { return Ok(()) };
        match self.objects.get(&format!("/api/v1/namespaces/{namespace}")) {
            None => Err((404, format!("namespaces \"{namespace}\" not found"))),
            Some(it) if !it["metadata"]["deletionTimestamp"].is_null() => Err((
                403,
                format!(
                    "unable to create new content in namespace {namespace} because it is being terminated"
                ),
            )),
            Some(_) => Ok(()),
        }
    }

    /// Stores an object as it is, unless that changes nothing.
    fn store(&mut self, path: &str, mut object: Value) -> Value {
        let before = self.objects.get(path).cloned();
        let place = Place::of(path);
        let metadata = &mut object["metadata"];
        metadata["name"] = place.name.unwrap_or_default().into();
        if let Some(namespace) = place.namespace {
            metadata["namespace"] = namespace.into();
        }
        metadata["uid"] = if let Some(before) = &before {
            before["metadata"]["uid"].clone()
        } else {
            self.made += 1;
            format!("uid-{}", self.made).into()
        };
        if let Some(before) = &before {
            metadata["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
            if *before == object {
                return object;
            }
        } else if let Some(namespace) = place.namespace {
            self.ensure_namespace(namespace);
        }
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.objects.insert(path.to_owned(), object.clone());
        let (version, path) = (self.version, path.to_owned());
        let (after, last) = (Some(object.clone()), object.clone());
        self.watches.changed(Change { version, path, before, after, last });
        object
    }

    fn ensure_namespace(&mut self, name: &str) {
        let path = format!("/api/v1/namespaces/{name}");
        if !self.objects.contains_key(&path) {
            let labels = json!({"kubernetes.io/metadata.name": name});
            let namespace =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"labels": labels}});
            self.store(&path, namespace);
        }
    }
}

/// Whether an object is the one that a request names, in the version that it names.
fn preconditions(existing: Option<&Value>, named: &Value) -> Result<(), Refused> {
    let Some(existing) = existing else {
        return match named["uid"].as_str() {
            Some(uid) => Err((
                409,
                format!(
                    "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                ),
            )),
            None => Ok(()),
        };
    };
    for field in ["uid", "resourceVersion"] {
        let (wanted, is) = (&named[field], &existing["metadata"][field]);
        if !wanted.is_null() && wanted != is {
            return Err((409, format!("the object has been modified: {field} {wanted}, not {is}")));
        }
    }
    Ok(())
}

/// Whether an object may become another.
fn immutable(before: &Value, after: &Value) -> Result<(), Refused> {
    if before["type"] != after["type"] {
        return Err((422, "type: Invalid value: field is immutable".to_owned()));
    }
    let fixed = before["immutable"] == true;
    if fixed && (before["data"] != after["data"] || after["immutable"] != true) {
        let message = "data: Forbidden: field is immutable when `immutable` is set";
        return Err((422, message.to_owned()));
    }
    Ok(())
}

/// An object as a request asks for it.
pub(super) fn shown(object: Value, call: &Call) -> Value {
    if call.metadata {
        json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
            "metadata": object["metadata"],
        })
    } else {
        object
    }
}

// === impl Place ===

impl<'p> Place<'p> {
    pub(super) fn of(path: &'p str) -> Self {
        let path = path.trim_start_matches('/');
        let version_at = if path.starts_with("apis/") { 3 } else { 2 };
        let cut = path.match_indices('/').nth(version_at - 1).map_or(path.len(), |(at, _)| at);
        let (group, rest) = path.split_at(cut);
        let parts: Vec<&str> = rest.split('/').skip(1).collect();
        match parts[..] {
            ["namespaces", namespace, resource, ref name @ ..] => {
                Self { group, namespace: Some(namespace), resource, name: name.first().copied() }
            }
            [resource, ref name @ ..] => {
                Self { group, namespace: None, resource, name: name.first().copied() }
            }
            [] => Self { group, namespace: None, resource: "", name: None },
        }
    }
}

// === impl Selector ===

impl Selector {
    fn of(call: &Call) -> Self {
        let labels = call.parameter("labelSelector");
        let labels = labels.split(',').filter_map(|it| it.split_once('='));
        let fields = call.parameter("fieldSelector");
        let field = |prefix: &str| fields.strip_prefix(prefix).map(ToOwned::to_owned);
        Self {
            collection: call.path.clone(),
            name: field("metadata.name="),
            type_: field("type="),
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        }
    }

    pub(super) fn has(&self, path: &str, object: &Value) -> bool {
        let (of, it) = (Place::of(&self.collection), Place::of(path));
        let among = (of.group, of.resource) == (it.group, it.resource)
            && (of.namespace.is_none() || of.namespace == it.namespace);
        among
            && self.name.as_deref().is_none_or(|name| it.name == Some(name))
            && self.type_.as_deref().is_none_or(|type_| object["type"] == type_)
            && self.labels.iter().all(|(key, value)| {
                object["metadata"]["labels"][key.as_str()].as_str() == Some(value)
            })
    }
}

impl Call {
    /// A parameter of the query, decoded; empty where there is none.
    pub(super) fn parameter(&self, name: &str) -> String {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        let value = pairs.find(|(key, _)| *key == name).map_or("", |(_, value)| value);
        let (mut text, mut rest) = (String::new(), value);
        while let Some((before, after)) = rest.split_once('%') {
            text.push_str(before);
            let byte = after.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
            text.push(char::from(byte.unwrap_or(b'?')));
            rest = after.get(2..).unwrap_or_default();
        }
        text + rest
    }
}
