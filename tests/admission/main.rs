//! The router of the HTTPS port, asked directly: golden cases, one file each, and whatever else may arrive.

#![cfg(test)]

mod bounds;
mod server;
#[path = "../support/mod.rs"]
mod support;

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::Path,
};

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use serde::Deserialize;
use serde_json::{Value, json};

use self::{
    server::{Server, audit_annotations, post},
    support::{review, rfc6902},
};

/// The mapping of every case that brings none of its own.
const MAPPING: &str = include_str!("../testdata/mapping.yaml");

/// One case: a request, and all that must come of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What the case shows.
    about: String,
    #[serde(default = "shop")]
    namespace: String,
    /// Members of the review's `request` that differ from an ordinary creation.
    #[serde(default)]
    request: Value,
    pod: Value,
    mapping: Option<String>,
    /// The patch, operation by operation; `null` for none.
    patch: Option<Value>,
    #[serde(default)]
    warnings: Vec<String>,
    /// The audit annotations, without the digits that their keys end in, and without the uid.
    audit: BTreeMap<String, String>,
}

fn shop() -> String {
    "shop".to_owned()
}

#[tokio::test]
async fn every_case_gets_its_answer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testdata/admission");
    let mut cases = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let case: Case = serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        check(&name, case).await;
        cases += 1;
    }
    assert!(cases >= 30, "only {cases} cases were found");
}

async fn check(name: &str, case: Case) {
    let server = Server::new(case.mapping.as_deref().unwrap_or(MAPPING));
    let about = format!("{name}: {}", case.about);
    let review = review::create(&case.namespace, &case.pod, &case.request);
    let uid = review["request"]["uid"].as_str().unwrap().to_owned();
    let answer = server.review(&review).await;
    let patch = review::patch_of(&answer, &uid);
    assert_eq!(patch, case.patch, "{about}");
    let response = &answer["response"];
    let warnings = response.get("warnings").cloned().unwrap_or_else(|| json!([]));
    assert_eq!(warnings, json!(case.warnings), "{about}");
    let mut audit = audit_annotations(&answer);
    // The log has the same uid.
    assert_eq!(audit.remove("uid"), patch.is_some().then(|| uid.clone()), "{about}");
    assert_eq!(audit, case.audit, "{about}");

    // A second delivery, and a reinvocation: what was patched is patched no more.
    let Some(patch) = patch else { return };
    let mut pod = case.pod.clone();
    rfc6902::apply(&mut pod, &patch).unwrap_or_else(|error| panic!("{about}: {error}"));
    let again = server.review(&review::create(&case.namespace, &pod, &case.request)).await;
    assert_eq!(review::patch_of(&again, &uid), None, "{about}: a second pass");
    // The API server keeps what the first call said, and has that there was a second.
    let keys = |answer: &Value| -> HashSet<String> {
        answer["response"]["auditAnnotations"].as_object().unwrap().keys().cloned().collect()
    };
    assert!(keys(&answer).is_disjoint(&keys(&again)), "{about}: {answer} {again}");
    let again = audit_annotations(&again);
    let present: Vec<&str> = again["already-present"].split(',').collect();
    assert!(case.audit["injected"].split(',').all(|name| present.contains(&name)), "{about}");
    assert!(!again.contains_key("skipped-reason"), "{about}: {again:?}");
}

#[tokio::test]
async fn two_answers_about_one_pod_share_no_audit_annotation_that_differs() {
    // Two releases with Secrets of their own, and a sidecar that is added between two calls.
    let servers = ["one", "two"].map(|secret| {
        Server::new(&format!("rules: [{{registries: [a.io, b.io], secret: {secret}}}]"))
    });
    let mut pod = json!({ "spec": { "containers": [{ "name": "app", "image": "quay.io/app" }] } });
    let mut said: BTreeMap<String, Value> = BTreeMap::new();
    for image in ["quay.io/app", "a.io/sidecar", "b.io/sidecar"] {
        let containers = pod["spec"]["containers"].as_array_mut().unwrap();
        containers.push(json!({ "name": "more", "image": image }));
        for server in &servers {
            let answer = server.review(&review::create("shop", &pod, &Value::Null)).await;
            let uid = "705ab4f5-6393-11e8-b7cc-42010a800002";
            if let Some(patch) = review::patch_of(&answer, uid) {
                rfc6902::apply(&mut pod, &patch).unwrap();
            }
            for (key, value) in answer["response"]["auditAnnotations"].as_object().unwrap() {
                let before = said.insert(key.clone(), value.clone());
                assert!(before.is_none_or(|before| before == *value), "{key}: {value}");
            }
        }
    }
    let injected = said.iter().filter(|(key, _)| key.starts_with("injected-"));
    let injected: Vec<_> = injected.map(|(_, value)| value.as_str().unwrap()).collect();
    assert!(injected.contains(&"one") && injected.contains(&"two"), "{said:?}");
}

#[tokio::test]
async fn what_is_no_review_gets_400_and_a_reason() {
    let server = Server::new(MAPPING);
    let pod = json!({ "spec": { "containers": [] } });
    let valid = review::create("shop", &pod, &Value::Null);
    let without = |pointer: &str| {
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        let mut review = valid.clone();
        review.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(member);
        review.to_string().into_bytes()
    };
    let with = |pointer: &str, value: Value| {
        let mut review = valid.clone();
        *review.pointer_mut(pointer).unwrap() = value;
        review.to_string().into_bytes()
    };
    let whole = valid.to_string();
    let mut not_utf8 = whole.clone().into_bytes();
    let at = whole.find("admin").unwrap();
    not_utf8[at] = 0xff;
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("nothing", vec![], "not an AdmissionReview"),
        ("no JSON", b"pod".to_vec(), "not an AdmissionReview"),
        ("cut off", whole.as_bytes()[..whole.len() / 2].to_vec(), "not an AdmissionReview"),
        ("more than one document", format!("{whole}{whole}").into_bytes(), "not an AdmissionReview"),
        ("byte order mark", format!("\u{feff}{whole}").into_bytes(), "not an AdmissionReview"),
        ("NaN", whole.replace("false", "NaN").into_bytes(), "not an AdmissionReview"),
        ("not UTF-8", not_utf8, "not JSON"),
        ("an array", b"[]".to_vec(), "not an AdmissionReview"),
        ("no request", without("/request"), "no request"),
        ("an answer", br#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"1"}}"#.to_vec(), "no request"),
        ("no uid", without("/request/uid"), "no uid"),
        ("an empty uid", with("/request/uid", json!("")), "no uid"),
        ("a number as uid", with("/request/uid", json!(7)), "not an AdmissionReview"),
        ("v1beta1", with("/apiVersion", json!("admission.k8s.io/v1beta1")), "admission.k8s.io/v1"),
        ("no apiVersion", without("/apiVersion"), "admission.k8s.io/v1"),
        ("another kind", with("/kind", json!("Pod")), "AdmissionReview"),
        ("deep nesting", format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)).into_bytes(), "not an AdmissionReview"),
    ];
    for (about, body, expected) in cases {
        let (status, _, answer) = server.send(post(body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{about}");
        assert_eq!((&answer["kind"], &answer["code"]), (&json!("Status"), &json!(400)), "{about}");
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains(expected), "{about}: {message}");
    }
    let refused = r#"pullcred_admission_requests_total{result="refused",reason="not-a-review"}"#;
    assert_eq!(server.counts(refused), 17);
}

#[tokio::test]
async fn a_pod_that_cannot_be_read_is_let_through_with_a_warning() {
    let server = Server::new(MAPPING);
    let pods = [
        json!("pod"),
        json!({ "spec": { "containers": { "name": "app" } } }),
        json!({ "spec": { "containers": [{ "image": 7 }] } }),
        json!({ "spec": { "imagePullSecrets": "aliyun" } }),
        json!({ "metadata": { "labels": "none" } }),
        Value::Null,
    ];
    for pod in &pods {
        let answer = server.review(&review::create("shop", pod, &Value::Null)).await;
        assert_eq!(review::patch_of(&answer, "705ab4f5-6393-11e8-b7cc-42010a800002"), None);
        let response = &answer["response"];
        assert_eq!(audit_annotations(&answer)["skipped-reason"], "unreadable");
        let warning = response["warnings"][0].as_str().unwrap();
        assert!(warning.starts_with("no pull secret was looked up"), "{warning}");
        assert!(warning.chars().count() <= 120, "{warning}");
    }
    let unreadable = r#"pullcred_admission_requests_total{result="left",reason="unreadable"}"#;
    assert_eq!(server.counts(unreadable), pods.len() as u64);
}

#[tokio::test]
async fn an_unreadable_pod_is_not_quoted() {
    let server = Server::new(MAPPING);
    let pod = json!({ "spec": { "containers": "hunter2-hunter2" } });
    let answer = server.review(&review::create("shop", &pod, &Value::Null)).await;
    assert!(!answer.to_string().contains("hunter2"), "{answer}");
}

#[tokio::test]
async fn other_requests_get_what_http_has_for_them() {
    let server = Server::new(MAPPING);
    let request = |method: &str, path: &str, content_type: &str| {
        let builder = Request::builder().method(method).uri(path);
        builder.header(header::CONTENT_TYPE, content_type).body(Body::empty()).unwrap()
    };
    let json_type = "application/json";
    for (method, path, content_type, expected) in [
        ("GET", "/mutate", json_type, 405),
        ("PUT", "/mutate", json_type, 405),
        ("DELETE", "/mutate", json_type, 405),
        ("GET", "/", json_type, 404),
        ("POST", "/", json_type, 404),
        ("POST", "/mutate/", json_type, 404),
        ("POST", "/metrics", json_type, 404),
        ("POST", "/mutate", "text/plain", 415),
        ("POST", "/mutate", "application/jsonp", 415),
        ("POST", "/mutate", "application/json; charset=utf-8", 400),
        ("POST", "/mutate", "Application/JSON", 400),
    ] {
        let (status, headers, answer) = server.send(request(method, path, content_type)).await;
        assert_eq!(status, expected, "{method} {path} {content_type}");
        assert_eq!(answer["code"], expected, "{answer}");
        assert_eq!(headers.contains_key(header::ALLOW), expected == 405);
    }
    let bare = Request::post("/mutate").body(Body::empty()).unwrap();
    assert_eq!(server.send(bare).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn the_series_do_not_grow_with_the_pods() {
    let server = Server::new(MAPPING);
    let mut series = 0;
    for n in 0..10_000 {
        let image = format!("registry-{n}.example.com/team-{n}/app:{n}");
        let pod = json!({ "metadata": { "name": format!("pod-{n}") }, "spec": { "containers": [{ "name": "app", "image": image }] } });
        server
            .review(&review::create(&format!("ns-{n}"), &pod, &json!({ "uid": n.to_string() })))
            .await;
        if n == 0 {
            series = samples(&server);
        }
    }
    assert_eq!(samples(&server), series);
    assert!(series <= 200, "{series}");
}

fn samples(server: &Server) -> usize {
    server.metrics.encode().unwrap().lines().filter(|line| !line.starts_with('#')).count()
}
