//! The answer: an AdmissionReview v1 as bytes.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;

use super::{
    decide::{Decision, Reason},
    review::{API_VERSION, KIND},
};

/// The AdmissionReview that answers the request `uid`: always `allowed`, whatever the decision.
///
/// # Errors
///
/// None that a decision of ours can cause: those of [`serde_json::to_vec`].
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
            audit_annotations: AuditAnnotations {
                injected: decision.injected().join(","),
                matched_registry: decision.matched_registries().join(","),
                skipped_reason: decision.reason().map(Reason::as_str),
            },
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
    audit_annotations: AuditAnnotations,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [String],
}

/// The API server puts the webhook's name and a slash before each key.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct AuditAnnotations {
    #[serde(skip_serializing_if = "String::is_empty")]
    injected: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    matched_registry: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped_reason: Option<&'static str>,
}
