//! `POST /mutate`: bytes in, bytes out, and what is counted and logged about it.

use std::{sync::Arc, time::Instant};

use arc_swap::ArcSwapOption;
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Response, header},
    routing::post,
};
use tokio::sync::Semaphore;
use tracing::info;

use super::{
    body::{BodyLimits, BodyReader},
    metrics::Metrics,
    rejection::{Rejection, json},
};
use crate::core::{
    answer,
    decide::{Decision, Knowledge, decide},
    review::{self, Request as ReviewRequest},
};

/// All that the admission handler works with. No request waits for anything outside of it.
#[derive(Debug)]
pub struct Admission {
    known: ArcSwapOption<Knowledge>,
    metrics: Arc<Metrics>,
    bodies: BodyReader,
    room: Semaphore,
}

/// The routes of the HTTPS port.
pub fn router(admission: Arc<Admission>) -> Router {
    Router::new()
        .route(review::PATH, post(mutate).fallback(wrong_method))
        .fallback(wrong_path)
        .with_state(admission)
}

async fn mutate(State(admission): State<Arc<Admission>>, request: Request) -> Response<Body> {
    let _in_flight = InFlight::enter(&admission.metrics);
    match admission.answer(request).await {
        Ok(body) => json(body),
        Err(rejection) => admission.reject(rejection),
    }
}

async fn wrong_method(State(admission): State<Arc<Admission>>) -> Response<Body> {
    admission.reject(Rejection::Method)
}

async fn wrong_path(State(admission): State<Arc<Admission>>) -> Response<Body> {
    admission.reject(Rejection::NotFound)
}

// === impl Admission ===

impl Admission {
    /// An admission handler that has `max_in_flight` requests in hand at most. Without a mapping it refuses each one, so
    /// that `failurePolicy` decides about the Pod, until it [learns](Self::learn) one.
    #[must_use]
    pub fn new(
        known: impl Into<Option<Knowledge>>,
        metrics: Arc<Metrics>,
        limits: BodyLimits,
        max_in_flight: usize,
    ) -> Self {
        Self {
            known: ArcSwapOption::new(known.into().map(Arc::new)),
            metrics,
            bodies: BodyReader::new(limits),
            room: Semaphore::new(max_in_flight.min(Semaphore::MAX_PERMITS)),
        }
    }

    /// From now on, decides by `known`.
    pub fn learn(&self, known: Knowledge) {
        self.known.store(Some(Arc::new(known)));
    }

    /// What decisions are made by; `None` while there is no usable mapping yet.
    #[must_use]
    pub fn known(&self) -> Option<Arc<Knowledge>> {
        self.known.load_full()
    }

    async fn answer(&self, request: Request) -> Result<Vec<u8>, Rejection> {
        let started = Instant::now();
        if !is_json(request.headers()) {
            return Err(Rejection::ContentType);
        }
        let Ok(_room) = self.room.try_acquire() else {
            self.bodies.discard(request.into_body()).await;
            return Err(Rejection::Overloaded);
        };
        let body = self.bodies.read(request.into_body()).await?;
        let answer = self.decide(&body.bytes, started)?;
        self.metrics.request_bytes.observe(size_as_f64(body.bytes.len()));
        self.metrics.duration.observe(started.elapsed().as_secs_f64());
        Ok(answer)
    }

    fn decide(&self, body: &[u8], started: Instant) -> Result<Vec<u8>, Rejection> {
        let request = review::parse(body)?;
        let known = self.known.load();
        let known = known.as_deref().ok_or(Rejection::NoMapping)?;
        let decision = decide(&request, known);
        let answer = answer::respond(&request.uid, &decision).map_err(|_| Rejection::Panicked)?;
        self.metrics.answered(decision.reason());
        log(&request, &decision, started);
        Ok(answer)
    }

    fn reject(&self, rejection: Rejection) -> Response<Body> {
        match rejection {
            Rejection::Overloaded => self.metrics.shed.inc(),
            Rejection::Panicked => self.metrics.panics.inc(),
            _ => 0,
        };
        self.metrics.refused(rejection.reason());
        rejection.into_response()
    }
}

/// One line for an admission that changed something: enough to find the Pod, and nothing of what is in it.
fn log(request: &ReviewRequest<'_>, decision: &Decision<'_>, started: Instant) {
    let (Ok(pod), [_, ..]) = (&request.object, decision.injected()) else {
        return;
    };
    // A Pod that a controller makes has no name yet (apiserver: registry/rest/create.go, BeforeCreate).
    let name = if pod.name().is_empty() { pod.generate_name() } else { pod.name() };
    info!(
        uid = &*request.uid,
        namespace = &*request.namespace,
        pod = name,
        secrets = decision.injected().join(","),
        dry_run = request.dry_run,
        duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
        "pull secrets added",
    );
}

/// Whether the body is JSON by its content type, parameters aside (RFC 9110, section 8.3).
fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(value)) = headers.get(header::CONTENT_TYPE).map(|value| value.to_str()) else {
        return false;
    };
    let media_type = value.split_once(';').map_or(value, |(media_type, _)| media_type);
    media_type.trim().eq_ignore_ascii_case("application/json")
}

#[expect(clippy::cast_precision_loss, reason = "bodies are far smaller than 2^52 bytes")]
fn size_as_f64(bytes: usize) -> f64 {
    bytes as f64
}

/// Counts a request as in hand, also while its client goes away.
struct InFlight<'m>(&'m Metrics);

impl<'m> InFlight<'m> {
    fn enter(metrics: &'m Metrics) -> Self {
        metrics.in_flight.inc();
        Self(metrics)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}
