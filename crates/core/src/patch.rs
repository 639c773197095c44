//! The JSON Patch (RFC 6902) that adds pull Secrets to a Pod.
//!
//! `failurePolicy: Ignore` does not cover a patch that fails to apply: the API server then refuses the Pod
//! (apiserver: admission/plugin/webhook/mutating/dispatcher.go). So a patch has only `add`,
//! never `test`, and `/-` only where a list exists.

use json_patch::{AddOperation, Patch, PatchOperation, jsonptr::Pointer};
use serde_json::{Value, json};

/// The list itself, and the place after its last entry, as JSON Pointers (RFC 6901).
const LIST: &str = "/spec/imagePullSecrets";
const END_OF_LIST: &str = "/spec/imagePullSecrets/-";

/// Adds `names`, in order, to a Pod whose list has `existing` entries; no names give no patch.
///
/// `add` at the list itself would replace a list that has entries (RFC 6902, section 4.1), so those are appended to. An
/// absent, `null` or empty list is the same in the borrowed view; `add` sets the whole list, which is right for all three.
#[must_use]
pub fn plan(existing: usize, names: &[&str]) -> Option<Patch> {
    if names.is_empty() {
        return None;
    }
    if existing == 0 {
        let list = names.iter().map(|name| reference(name)).collect();
        return Some(Patch(vec![add(LIST, Value::Array(list))]));
    }
    Some(Patch(names.iter().map(|name| add(END_OF_LIST, reference(name))).collect()))
}

fn add(path: &'static str, value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation { path: Pointer::from_static(path).to_buf(), value })
}

/// An entry of the list: a core/v1 `LocalObjectReference`.
fn reference(name: &str) -> Value {
    json!({ "name": name })
}
