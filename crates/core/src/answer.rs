//! The response: an AdmissionReview v1 as bytes.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;

use super::{
    decide::{Decision, Reason},
    review::{API_VERSION, KIND},
};

/// The AdmissionReview that answers the request `uid`. It is always `allowed`.
///
/// # Errors
///
/// Those of [`serde_json::to_vec`]. No decision causes one: all map keys are strings.
pub fn respond(uid: &str, decision: &Decision<'_>) -> serde_json::Result<Vec<u8>> {
    // An answer with a `patchType` and no patch is invalid, and so is the reverse
    // (apiserver: admission/plugin/webhook/request/admissionreview.go, VerifyAdmissionResponse).
    let patch = decision.patch().map(serde_json::to_vec).transpose()?;
    serde_json::to_vec(&Answer {
        api_version: API_VERSION,
        kind: KIND,
        response: Response {
            uid,
            allowed: true,
            patch_type: patch.as_ref().map(|_| "JSONPatch"),
            patch: patch.map(|patch| BASE64_STANDARD.encode(patch)),
            audit_annotations: audit_annotations(uid, decision),
            warnings: decision.warnings(),
        },
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    audit_annotations: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [String],
}

/// The annotations for the API server's audit event. The API server puts the webhook's name and a slash before each key.
///
/// The API server writes each annotation key of an event once (apiserver: audit/context.go, `addAuditAnnotationLocked`), but
/// may call the webhook more than once for a Pod, as a second release of the webhook may. So the keys end in eight digits, a
/// hash of the content: different responses have different keys. The hash leaves the uid out, because a log store would
/// otherwise get new keys for every Pod.
fn audit_annotations(uid: &str, decision: &Decision<'_>) -> BTreeMap<String, String> {
    let registries = decision.matched_registries().join(",");
    let (key, value) = match decision.reason() {
        None => ("injected", decision.injected().join(",")),
        Some(Reason::AlreadyPresent) => ("already-present", decision.present().join(",")),
        Some(reason) => ("skipped-reason", reason.as_str().to_owned()),
    };
    let (withheld, discovered) = (decision.withheld().join(","), decision.discovered().join(","));
    // A response without these has the same keys as before they existed.
    let more = [("withheld", withheld), ("discovered", discovered)];
    let more = more.into_iter().filter(|(_, names)| !names.is_empty());
    let more: Vec<(&str, String)> = more.collect();
    let texts = more.iter().flat_map(|(key, names)| [*key, names]);
    let digits = digest([key, &value, &registries].into_iter().chain(texts));
    let mut annotations = BTreeMap::new();
    if decision.reason().is_none() {
        // The log has a line with this uid for every response that adds Secrets.
        annotations.insert(format!("uid-{digits:08x}"), uid.to_owned());
    }
    annotations.insert(format!("{key}-{digits:08x}"), value);
    if !registries.is_empty() {
        annotations.insert(format!("matched-registry-{digits:08x}"), registries);
    }
    annotations.extend(more.into_iter().map(|(key, names)| (format!("{key}-{digits:08x}"), names)));
    annotations
}

/// FNV-1a, 32 bits: the same in every version and on every machine. Each text is followed by 0xff, which UTF-8 never has.
fn digest<'t>(texts: impl Iterator<Item = &'t str>) -> u32 {
    let bytes = texts.flat_map(|text| text.bytes().chain([0xff]));
    bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
