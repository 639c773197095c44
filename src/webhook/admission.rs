//! `POST /mutate`: the request handler, with its metrics and its log line.

use std::{panic, sync::Arc, time::Instant};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{self, Request},
    http::{HeaderMap, Response, header},
    routing::post,
};
use tokio::{sync::Semaphore, task::spawn_blocking};
use tracing::{debug, error, info};

use super::{
    body::{BodyLimits, BodyReader, BudgetedBody},
    metrics::Metrics,
    rejection::{Rejection, json},
    state::State,
};
use crate::core::{
    answer,
    decide::{Decision, decide},
    pod::Owner,
    review::{self, Request as ReviewRequest},
    rules::Mapping,
    shorten,
};

/// The admission handler. No request waits for anything outside of it.
#[derive(Debug)]
pub struct Admission {
    state: State,
    metrics: Arc<Metrics>,
    bodies: BodyReader,
    in_flight: Semaphore,
    /// The permit to parse a large body. There is one, which bounds the memory that parsing takes.
    large: Arc<Semaphore>,
}

/// The longest name in a log line, in characters: the longest that Kubernetes accepts. The API server validates names only
/// after admission.
const LOGGED_NAME: usize = 253;
/// The longest list of Secrets in a log line, in characters. The audit event has the whole list.
const LOGGED_LIST: usize = 512;

/// The routes of the HTTPS port.
pub fn router(admission: Arc<Admission>) -> Router {
    Router::new()
        .route(review::PATH, post(mutate).fallback(wrong_method))
        .fallback(wrong_path)
        .with_state(admission)
}

async fn mutate(
    extract::State(admission): extract::State<Arc<Admission>>,
    request: Request,
) -> Response<Body> {
    let _in_flight = InFlight::enter(&admission.metrics);
    match Arc::clone(&admission).answer(request).await {
        Ok(body) => json(body),
        Err(rejection) => admission.reject(rejection),
    }
}

async fn wrong_method(extract::State(admission): extract::State<Arc<Admission>>) -> Response<Body> {
    admission.reject(Rejection::Method)
}

async fn wrong_path(extract::State(admission): extract::State<Arc<Admission>>) -> Response<Body> {
    admission.reject(Rejection::NotFound)
}

// === impl Admission ===

impl Admission {
    /// An admission handler with at most `max_in_flight` requests in hand. While its [state](Self::state) has no mapping, it
    /// refuses each request, so that `failurePolicy` decides about the Pod.
    #[must_use]
    pub fn new(
        mapping: impl Into<Option<Mapping>>,
        metrics: Arc<Metrics>,
        limits: BodyLimits,
        max_in_flight: usize,
    ) -> Self {
        Self {
            state: State::new(mapping.into()),
            metrics,
            bodies: BodyReader::new(limits),
            in_flight: Semaphore::new(max_in_flight.min(Semaphore::MAX_PERMITS)),
            large: Arc::new(Semaphore::new(1)),
        }
    }

    /// The mapping and the known Secrets that decisions use.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    async fn answer(self: Arc<Self>, request: Request) -> Result<Bytes, Rejection> {
        let started = Instant::now();
        if !is_json(request.headers()) {
            return Err(Rejection::ContentType);
        }
        let Ok(_permit) = self.in_flight.try_acquire() else {
            self.bodies.discard(request.into_body()).await;
            return Err(Rejection::Overloaded);
        };
        let body = self.bodies.read(request.into_body()).await?;
        let bytes = body.bytes.len();
        let answer = if body.is_small() {
            self.decide(body, started)?
        } else {
            Arc::clone(&self).decide_large(body, started).await?
        };
        self.metrics.request_bytes.observe(size_as_f64(bytes));
        self.metrics.duration.observe(started.elapsed().as_secs_f64());
        Ok(answer)
    }

    /// Decides about a large body on a blocking thread, so that the workers can handle other requests. Large bodies are
    /// parsed one at a time; the budget for bodies bounds how many wait.
    async fn decide_large(
        self: Arc<Self>,
        body: BudgetedBody,
        started: Instant,
    ) -> Result<Bytes, Rejection> {
        let turn = Arc::clone(&self.large).acquire_owned().await;
        let decision = spawn_blocking(move || {
            let _turn = turn;
            self.decide(body, started)
        });
        match decision.await {
            Ok(result) => result,
            // Handled like a panic of a worker.
            Err(error) => match error.try_into_panic() {
                Ok(panic) => panic::resume_unwind(panic),
                Err(_cancelled) => Err(Rejection::Overloaded),
            },
        }
    }

    fn decide(&self, mut body: BudgetedBody, started: Instant) -> Result<Bytes, Rejection> {
        let bytes = body.bytes.clone();
        let request = review::parse(&bytes)?;
        let mapping = self.state.mapping();
        let mapping = mapping.as_deref().ok_or(Rejection::NoMapping)?;
        let known = self.state.known();
        let known = known.namespace(&request.namespace);
        let decision = decide(&request, mapping, known);
        let answer = answer::respond(&request.uid, &decision).map_err(Rejection::Answer)?;
        body.reserve_for(&answer)?;
        self.metrics.answered(decision.reason());
        log(&request, &decision, started);
        drop(bytes);
        body.answered_with(answer)
    }

    fn reject(&self, rejection: Rejection) -> Response<Body> {
        if let Rejection::Answer(error) = &rejection {
            error!(%error, "the answer cannot be serialized: this is a bug");
        }
        if let Rejection::Overloaded = rejection {
            self.metrics.shed.inc();
        }
        self.metrics.refused(rejection.reason());
        rejection.into_response()
    }
}

/// Logs one line: at level info if Secrets were added, otherwise at level debug. It identifies the Pod and has nothing of
/// its content. Each text is shortened, since the names are not validated yet.
fn log(request: &ReviewRequest<'_>, decision: &Decision<'_>, started: Instant) {
    let Ok(pod) = &request.object else {
        return;
    };
    // A Pod of a controller has no name yet (apiserver: registry/rest/create.go, BeforeCreate).
    let name = if pod.name().is_empty() { pod.generate_name() } else { pod.name() };
    let name = shorten(name, LOGGED_NAME);
    if let Some(reason) = decision.reason() {
        debug!(
            uid = &*request.uid,
            namespace = &*request.namespace,
            pod = &*name,
            owner = pod.owner().map(logged),
            reason = reason.as_str(),
            "no pull secrets added",
        );
        return;
    }
    info!(
        uid = &*request.uid,
        namespace = &*request.namespace,
        pod = &*name,
        owner = pod.owner().map(logged),
        secrets = &*shorten(&decision.injected().join(","), LOGGED_LIST),
        dry_run = request.dry_run,
        duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
        "pull secrets added",
    );
}

/// An owner as kubectl writes it.
fn logged(owner: Owner<'_>) -> String {
    format!("{}/{}", shorten(owner.kind, 63), shorten(owner.name, LOGGED_NAME))
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

/// Counts a request as in flight until it is dropped, also if its client disconnects.
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

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn an_answer_that_cannot_be_serialized_is_not_a_panic() {
        let metrics = Arc::new(Metrics::new(Counter::default()));
        let admission =
            Admission::new(Mapping::default(), Arc::clone(&metrics), BodyLimits::default(), 1);
        let error = serde_json::from_str::<()>("").unwrap_err();
        let response = admission.reject(Rejection::Answer(error));
        assert_eq!((response.status().as_u16(), metrics.panics.get()), (500, 0));
        let counted = r#"pullcred_admission_requests_total{result="refused",reason="answer"} 1"#;
        assert!(metrics.encode().unwrap().contains(counted));
    }
}
