//! The plain port: `/livez`, `/readyz` and `/metrics`. Nothing here changes anything.

use std::{
    fmt::{self, Write},
    sync::Arc,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header},
    routing::get,
};

use super::exposition::text_format;

/// The state of a process, as the plain port shows it.
pub trait Report: Send + Sync + 'static {
    /// The checks that readiness depends on.
    fn checks(&self) -> Vec<Check>;

    /// The metrics in the OpenMetrics text format.
    ///
    /// # Errors
    ///
    /// [`fmt::Error`] from the encoder.
    fn metrics(&self) -> Result<String, fmt::Error>;
}

/// One line of `/readyz?verbose`. The process is ready while no check has a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What is checked, as `/readyz?verbose` names it.
    pub name: &'static str,
    /// Why the process is not ready; `None` if the check passed.
    pub failure: Option<String>,
    /// The state in words, printed if the check passed.
    pub note: String,
}

/// The routes of the plain port.
pub fn router<R: Report>(process: Arc<R>) -> Router {
    Router::new()
        // Liveness only means the process responds; a restart cannot fix a certificate or a mapping.
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(readyz::<R>))
        .route("/metrics", get(metrics::<R>))
        .with_state(process)
}

async fn readyz<R: Report>(State(process): State<Arc<R>>, uri: Uri) -> Response<Body> {
    let checks = process.checks();
    let ready = checks.iter().all(|check| check.failure.is_none());
    let verbose = uri.query().is_some_and(|query| query.split('&').any(is_verbose));
    let body = match (ready, verbose) {
        (true, false) => "ok".to_owned(),
        _ => report(&checks, ready),
    };
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    text(status, "text/plain; charset=utf-8", body)
}

/// OpenMetrics for clients that accept it, such as Prometheus; the older text format for others.
async fn metrics<R: Report>(State(process): State<Arc<R>>, headers: HeaderMap) -> Response<Body> {
    const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
    match process.metrics() {
        Ok(body) if accepts_openmetrics(&headers) => text(StatusCode::OK, OPENMETRICS, body),
        Ok(body) => text(StatusCode::OK, TEXT, text_format(&body)),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", error.to_string()),
    }
}

fn accepts_openmetrics(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted
        .flat_map(|value| value.split(','))
        .any(|media| media.trim().starts_with("application/openmetrics-text"))
}

fn is_verbose(pair: &str) -> bool {
    matches!(pair, "verbose" | "verbose=" | "verbose=1" | "verbose=true")
}

/// The checks as the API server's own `/readyz?verbose` lists them.
fn report(checks: &[Check], ready: bool) -> String {
    let mut report = String::new();
    for Check { name, failure, note } in checks {
        // Writing to a String does not fail.
        let _ = match failure {
            None => writeln!(report, "[+]{name} ok: {note}"),
            Some(failure) => writeln!(report, "[-]{name} failed: {failure}"),
        };
    }
    report.push_str(if ready { "readyz check passed\n" } else { "readyz check failed\n" });
    report
}

fn text(status: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_sent_only_to_clients_that_accept_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5,*/*";
        for (accept, expected) in [
            (Some(prometheus), true),
            (Some("text/plain;version=0.0.4, application/openmetrics-text"), true),
            (Some("text/plain"), false),
            (Some("*/*"), false),
            (None, false),
        ] {
            let values = accept.map(|accept| (header::ACCEPT, HeaderValue::from_static(accept)));
            let headers: HeaderMap = values.into_iter().collect();
            assert_eq!(accepts_openmetrics(&headers), expected, "{accept:?}");
        }
    }
}
