//! The router of the HTTPS port, without a port.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
};
use http_body_util::BodyExt;
use prometheus_client::metrics::counter::Counter;
use pullcred::{
    mapping,
    webhook::{
        admission::{self, Admission},
        body::BodyLimits,
        metrics::Metrics,
    },
};
use serde_json::Value;
use tower::ServiceExt;

pub(crate) struct Server {
    pub(crate) router: Router,
    pub(crate) metrics: Arc<Metrics>,
}

impl Server {
    pub(crate) fn new(mapping: &str) -> Self {
        Self::with_limits(mapping, BodyLimits::default(), 64)
    }

    pub(crate) fn with_limits(mapping: &str, limits: BodyLimits, max_in_flight: usize) -> Self {
        let mapping = mapping::parse(mapping).unwrap();
        let mapping = mapping.with_own_namespace(Some("pullcred".into()));
        let metrics = Arc::new(Metrics::new(Counter::default()));
        let admission = Admission::new(mapping, Arc::clone(&metrics), limits, max_in_flight);
        Self { router: admission::router(Arc::new(admission)), metrics }
    }

    pub(crate) async fn send(
        &self,
        request: Request<Body>,
    ) -> (StatusCode, header::HeaderMap, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        assert_eq!(parts.headers[header::CONTENT_TYPE], "application/json");
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status, parts.headers, serde_json::from_slice(&body).unwrap())
    }

    pub(crate) async fn review(&self, review: &Value) -> Value {
        let (status, _, answer) = self.send(post(review.to_string())).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    }

    pub(crate) fn counts(&self, sample: &str) -> u64 {
        let text = self.metrics.encode().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(sample));
        line.map_or(0, |value| value.trim().parse().unwrap())
    }
}

pub(crate) fn post(body: impl Into<Body>) -> Request<Body> {
    Request::post("/mutate?timeout=3s")
        .header(header::CONTENT_TYPE, "application/json")
        .body(body.into())
        .unwrap()
}

/// The audit annotations of an answer, all of whose keys must be such as the API server takes and end in the same digits.
pub(crate) fn audit_annotations(answer: &Value) -> BTreeMap<String, String> {
    let annotations = answer["response"]["auditAnnotations"].as_object().unwrap();
    let mut endings = HashSet::new();
    let annotations = annotations.iter().map(|(key, value)| {
        let (name, digits) = key.rsplit_once('-').unwrap();
        assert!(digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
        assert!(key.len() <= 63, "{key}");
        endings.insert(digits);
        (name.to_owned(), value.as_str().unwrap().to_owned())
    });
    let annotations = annotations.collect();
    assert_eq!(endings.len(), 1, "{answer}");
    annotations
}
