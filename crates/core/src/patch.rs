//! The JSON Patch (RFC 6902) that adds pull Secrets to a Pod.
//!
//! `failurePolicy: Ignore` does not cover a patch that fails to apply: the API server then refuses the Pod
//! (apiserver: admission/plugin/webhook/mutating/dispatcher.go). So a patch has only `add`,
//! never `test`, and `/-` only where a list exists.

use json_patch::{AddOperation, Patch, PatchOperation, jsonptr::Pointer};
use serde::{Serialize, Serializer};
use serde_json::json;

/// The list itself, and the place after its last entry, as JSON Pointers (RFC 6901).
const LIST: &str = "/spec/imagePullSecrets";
const END_OF_LIST: &str = "/spec/imagePullSecrets/-";

/// The Secrets that a patch adds. It serializes as its [`patch`](Self::patch) does, without making one.
#[derive(Debug)]
pub struct Additions<'a> {
    names: Vec<&'a str>,
    /// Whether the Pod's list has entries.
    appends: bool,
}

/// Adds `names`, in order, to a Pod whose list has `existing` entries; no names give no patch.
///
/// `add` at the list itself would replace a list that has entries (RFC 6902, section 4.1), so those are appended to. An
/// absent, `null` or empty list is the same in the borrowed view; `add` sets the whole list, which is right for all three.
#[must_use]
pub fn plan(existing: usize, names: Vec<&str>) -> Option<Additions<'_>> {
    (!names.is_empty()).then_some(Additions { names, appends: existing > 0 })
}

// === impl Additions ===

impl<'a> Additions<'a> {
    /// The names of the Secrets, in order.
    #[must_use]
    pub fn names(&self) -> &[&'a str] {
        &self.names
    }

    /// The patch.
    #[must_use]
    pub fn patch(&self) -> Patch {
        let add = |path: &'static str, value| {
            PatchOperation::Add(AddOperation { path: Pointer::from_static(path).to_buf(), value })
        };
        let entries = self.names.iter().map(|name| json!({ "name": name }));
        Patch(if self.appends {
            entries.map(|entry| add(END_OF_LIST, entry)).collect()
        } else {
            vec![add(LIST, entries.collect())]
        })
    }
}

impl Serialize for Additions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// An operation of the patch.
        #[derive(Serialize)]
        struct Add<V> {
            op: &'static str,
            path: &'static str,
            value: V,
        }
        /// An entry of the list: a core/v1 `LocalObjectReference`.
        #[derive(Serialize)]
        struct Reference<'n> {
            name: &'n str,
        }
        let op = "add";
        let entries = self.names.iter().map(|name| Reference { name });
        if self.appends {
            serializer.collect_seq(entries.map(|value| Add { op, path: END_OF_LIST, value }))
        } else {
            [Add { op, path: LIST, value: entries.collect::<Vec<_>>() }].serialize(serializer)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additions_serialize_as_their_patch() {
        for existing in [0, 1] {
            for names in [vec!["one"], vec!["one", "two"]] {
                let additions = plan(existing, names).unwrap();
                let patch = serde_json::to_string(&additions.patch()).unwrap();
                assert_eq!(serde_json::to_string(&additions).unwrap(), patch);
            }
        }
    }
}
