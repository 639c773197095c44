//! The response: an AdmissionReview v1 as bytes.

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Serialize, Serializer};

use super::{
    decide::{Decision, Reason},
    review::{API_VERSION, KIND},
};

/// Most answers have fewer bytes.
const USUAL: usize = 1024;

/// The AdmissionReview that answers the request `uid`. It is always `allowed`.
///
/// # Errors
///
/// Those of [`serde_json::to_writer`]. No decision causes one: all map keys are strings.
pub fn respond(uid: &str, decision: &Decision<'_>) -> serde_json::Result<Vec<u8>> {
    // An answer with a `patchType` and no patch is invalid, and so is the reverse
    // (apiserver: admission/plugin/webhook/request/admissionreview.go, VerifyAdmissionResponse).
    let patch = decision.additions().map(serde_json::to_vec).transpose()?;
    let mut answer = Vec::with_capacity(USUAL);
    serde_json::to_writer(
        &mut answer,
        &Answer {
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
        },
    )?;
    Ok(answer)
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
    #[serde(serialize_with = "as_object")]
    audit_annotations: Vec<(String, Cow<'a, str>)>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [String],
}

/// The annotations for the API server's audit event. The API server puts the webhook's name and a slash before each key.
///
/// The API server writes each annotation key of an event once (apiserver: audit/context.go, `addAuditAnnotationLocked`), but
/// may call the webhook more than once for a Pod, as a second release of the webhook may. So the keys end in eight digits, a
/// hash of the content: different responses have different keys. The hash leaves the uid out, because a log store would
/// otherwise get new keys for every Pod.
fn audit_annotations<'a>(uid: &'a str, decision: &Decision<'_>) -> Vec<(String, Cow<'a, str>)> {
    let joined = |names: &[&str]| Cow::from(names.join(","));
    let registries = joined(decision.matched_registries());
    let (key, value) = match decision.reason() {
        None => ("injected", joined(decision.injected())),
        Some(Reason::AlreadyPresent) => ("already-present", joined(&decision.present())),
        Some(reason) => ("skipped-reason", reason.as_str().into()),
    };
    let withheld = ("withheld", joined(&decision.withheld()));
    let discovered = ("discovered", joined(&decision.discovered()));
    // A response without these has the same keys as before they existed.
    let more = [&withheld, &discovered].into_iter().filter(|(_, names)| !names.is_empty());
    let more = more.flat_map(|(key, names)| [*key, names]);
    let digits = digest([key, &value, &registries].into_iter().chain(more));
    let digits = format!("-{digits:08x}");
    // The log has a line with this uid for every response that adds Secrets.
    let uid = ("uid", if decision.reason().is_none() { uid } else { "" }.into());
    let mut annotations =
        [(key, value), discovered, ("matched-registry", registries), uid, withheld];
    annotations.sort_unstable_by_key(|(key, _)| *key);
    let annotations = annotations.into_iter().filter(|(_, value)| !value.is_empty());
    annotations.map(|(key, value)| ([key, &digits].concat(), value)).collect()
}

fn as_object<S: Serializer>(
    annotations: &[(String, Cow<'_, str>)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(annotations.iter().map(|(key, value)| (key, value)))
}

/// FNV-1a, 32 bits: the same in every version and on every machine. Each text is followed by 0xff, which UTF-8 never has.
fn digest<'t>(texts: impl Iterator<Item = &'t str>) -> u32 {
    texts.fold(0x811c_9dc5, |hash, text| {
        let bytes = text.bytes().chain([0xff]);
        bytes.fold(hash, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    })
}
