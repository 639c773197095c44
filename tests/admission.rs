//! The router of the HTTPS port, asked directly: golden cases, one file each, and whatever else may arrive.

#![cfg(test)]

mod support;

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
};
use http_body_util::BodyExt;
use pullcred::{
    core::decide::Knowledge,
    mapping,
    webhook::{
        admission::{self, Admission},
        body::BodyLimits,
        metrics::Metrics,
    },
};
use serde::Deserialize;
use serde_json::{Value, json};
use support::{review, rfc6902};
use tower::ServiceExt;

/// The mapping of every case that brings none of its own.
const MAPPING: &str = include_str!("testdata/mapping.yaml");

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
    audit: BTreeMap<String, String>,
}

fn shop() -> String {
    "shop".to_owned()
}

struct Server {
    router: Router,
    metrics: Arc<Metrics>,
}

impl Server {
    fn new(mapping: &str) -> Self {
        Self::with_limits(mapping, BodyLimits::default(), 64)
    }

    fn with_limits(mapping: &str, limits: BodyLimits, max_in_flight: usize) -> Self {
        let mapping = mapping::parse(mapping).unwrap();
        let known = Knowledge { mapping, own_namespace: Some("pullcred".into()) };
        let (log, _guard) = tracing_appender::non_blocking(std::io::sink());
        let metrics = Arc::new(Metrics::new(log.error_counter()));
        let admission = Admission::new(known, Arc::clone(&metrics), limits, max_in_flight);
        Self { router: admission::router(Arc::new(admission)), metrics }
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, header::HeaderMap, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        assert_eq!(parts.headers[header::CONTENT_TYPE], "application/json");
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status, parts.headers, serde_json::from_slice(&body).unwrap())
    }

    async fn review(&self, review: &Value) -> Value {
        let (status, _, answer) = self.send(post(review.to_string())).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    }

    fn counts(&self, sample: &str) -> u64 {
        let text = self.metrics.encode().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(sample));
        line.map_or(0, |value| value.trim().parse().unwrap())
    }
}

fn post(body: impl Into<Body>) -> Request<Body> {
    Request::post("/mutate?timeout=3s")
        .header(header::CONTENT_TYPE, "application/json")
        .body(body.into())
        .unwrap()
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
    assert_eq!(response["auditAnnotations"], json!(case.audit), "{about}");

    // A second delivery, and a reinvocation: what was patched is patched no more.
    let Some(patch) = patch else { return };
    let mut pod = case.pod.clone();
    rfc6902::apply(&mut pod, &patch).unwrap_or_else(|error| panic!("{about}: {error}"));
    let again = server.review(&review::create(&case.namespace, &pod, &case.request)).await;
    assert_eq!(review::patch_of(&again, &uid), None, "{about}: a second pass");
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
        assert_eq!(response["auditAnnotations"]["skipped-reason"], "unreadable");
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
async fn bodies_over_the_limit_get_413_announced_or_not() {
    let limits = BodyLimits { bytes: 1000, ..BodyLimits::default() };
    let server = Server::with_limits(MAPPING, limits, 64);
    let (status, ..) = server.send(post(vec![b' '; 1001])).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "by Content-Length");
    let chunks = (0..11).map(|_| Ok::<_, std::io::Error>(vec![b' '; 100]));
    let stream = Body::from_stream(futures_util::stream::iter(chunks));
    let (status, headers, _) = server.send(post(stream)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "by count");
    assert_eq!(headers[header::CONNECTION], "close");
}

#[tokio::test]
async fn without_room_a_request_is_asked_to_come_again() {
    let no_requests = Server::with_limits(MAPPING, BodyLimits::default(), 0);
    let limits = BodyLimits { small: 0, memory: 100, ..BodyLimits::default() };
    let no_memory = Server::with_limits(MAPPING, limits, 64);
    for server in [no_requests, no_memory] {
        let (status, headers, answer) = server.send(post(vec![b' '; 101])).await;
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{answer}");
        assert_eq!(
            headers[header::RETRY_AFTER],
            "1",
            "the API server retries only with this header"
        );
        assert_eq!(server.counts("pullcred_admission_shed_total"), 1);
    }
}

#[tokio::test]
async fn memory_for_bodies_is_given_back() {
    let limits = BodyLimits { small: 0, memory: 2000, ..BodyLimits::default() };
    let server = Server::with_limits(MAPPING, limits, 64);
    for _ in 0..10 {
        assert_eq!(server.send(post(vec![b' '; 1500])).await.0, StatusCode::BAD_REQUEST);
        assert_eq!(server.send(post(vec![b' '; 2500])).await.0, StatusCode::TOO_MANY_REQUESTS);
    }
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
