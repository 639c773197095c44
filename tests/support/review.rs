//! AdmissionReviews as an API server sends them, and answers as it reads them.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

/// A review that asks to create `pod` in `namespace`; members of `request` replace its members.
pub(crate) fn create(namespace: &str, pod: &Value, request: &Value) -> Value {
    let mut review = json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": { "group": "", "version": "v1", "kind": "Pod" },
            "resource": { "group": "", "version": "v1", "resource": "pods" },
            "requestKind": { "group": "", "version": "v1", "kind": "Pod" },
            "requestResource": { "group": "", "version": "v1", "resource": "pods" },
            "namespace": namespace,
            "operation": "CREATE",
            "userInfo": { "username": "admin", "groups": ["system:masters", "system:authenticated"] },
            "object": pod,
            "oldObject": null,
            "dryRun": false,
            "options": { "kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1" },
        },
    });
    for (name, value) in request.as_object().into_iter().flatten() {
        review["request"][name] = value.clone();
    }
    review
}

/// The patch of an answer; none where there is none. Checks what the API server checks of every answer
/// (apiserver: admission/plugin/webhook/request/admissionreview.go).
pub(crate) fn patch_of(answer: &Value, uid: &str) -> Option<Value> {
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["kind"], "AdmissionReview");
    let response = &answer["response"];
    assert_eq!(response["uid"], uid);
    assert_eq!(response["allowed"], true);
    match (response.get("patch"), response.get("patchType")) {
        (None, None) => None,
        (Some(patch), Some(kind)) => {
            assert_eq!(kind, "JSONPatch");
            let patch = BASE64_STANDARD.decode(patch.as_str().unwrap()).unwrap();
            let patch: Value = serde_json::from_slice(&patch).unwrap();
            assert_ne!(patch, json!([]), "a patch that does nothing must be left out");
            Some(patch)
        }
        _ => panic!("patch and patchType come together or not at all: {response}"),
    }
}
