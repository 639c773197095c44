//! HTTP errors for requests that cannot be answered with an admission review. The body is a Kubernetes `Status`.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Response, StatusCode, header},
};
use serde::Serialize;

use crate::core::review::ReviewError;

/// Why a request gets an HTTP error. `failurePolicy` then decides about the Pod.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// The answer cannot be serialized: a bug.
    #[error("the answer could not be written: see the log")]
    Answer(#[source] serde_json::Error),
    /// The connection ended within the body.
    #[error("the body could not be read to its end")]
    BodyBroken,
    /// The body took longer than this many seconds.
    #[error("the body took longer than {0} seconds")]
    BodyTimedOut(u64),
    /// The body is larger than this many bytes.
    #[error("the body is larger than {0} bytes")]
    BodyTooLarge(usize),
    /// The content type is not JSON.
    #[error("send the AdmissionReview as content type application/json")]
    ContentType,
    /// The method is not POST.
    #[error("send the AdmissionReview by POST")]
    Method,
    /// The mapping was unusable at the start and still is.
    #[error("there is no usable mapping yet: /readyz?verbose says why")]
    NoMapping,
    /// The path is not `/mutate`.
    #[error("there is nothing at this path: POST an AdmissionReview to /mutate")]
    NotFound,
    /// More requests than the limit, or more bytes than the memory budget.
    #[error("too many requests in hand: send it again")]
    Overloaded,
    /// The handler panicked: a bug.
    #[error("the request could not be handled: see the log")]
    Panicked,
    /// The body is not an AdmissionReview that can be answered.
    #[error(transparent)]
    Review(#[from] ReviewError),
}

/// The fields of meta/v1 `Status` that an error needs.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the API machinery's own field name")]
#[serde(rename_all = "camelCase")]
struct Status {
    kind: &'static str,
    api_version: &'static str,
    metadata: Metadata,
    status: &'static str,
    message: String,
    reason: &'static str,
    code: u16,
}

#[derive(Serialize)]
struct Metadata {}

// === impl Rejection ===

impl Rejection {
    /// Every [`Rejection::reason`].
    pub const REASONS: [&str; 11] = [
        "answer",
        "body-broken",
        "body-timed-out",
        "body-too-large",
        "content-type",
        "method",
        "no-mapping",
        "not-found",
        "overloaded",
        "panic",
        "not-a-review",
    ];

    /// The reason as metrics write it.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Answer(_) => "answer",
            Self::BodyBroken => "body-broken",
            Self::BodyTimedOut(_) => "body-timed-out",
            Self::BodyTooLarge(_) => "body-too-large",
            Self::ContentType => "content-type",
            Self::Method => "method",
            Self::NoMapping => "no-mapping",
            Self::NotFound => "not-found",
            Self::Overloaded => "overloaded",
            Self::Panicked => "panic",
            Self::Review(_) => "not-a-review",
        }
    }

    /// The HTTP status, and its name as the API machinery has it (apimachinery: meta/v1/types.go, `StatusReason`).
    fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::BodyBroken | Self::Review(_) => (StatusCode::BAD_REQUEST, "BadRequest"),
            Self::BodyTimedOut(_) => (StatusCode::REQUEST_TIMEOUT, "Timeout"),
            Self::BodyTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge"),
            Self::ContentType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
            Self::NoMapping => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
            Self::NotFound => (StatusCode::NOT_FOUND, "NotFound"),
            Self::Overloaded => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests"),
            Self::Answer(_) | Self::Panicked => {
                (StatusCode::INTERNAL_SERVER_ERROR, "InternalError")
            }
        }
    }

    /// A header that helps the client to correct or repeat its request.
    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            // With this header the API server sends the request again until its own time-out
            // (client-go: rest/with_retry.go); without it, it gives up at once.
            Self::Overloaded => Some((header::RETRY_AFTER, HeaderValue::from_static("1"))),
            Self::Method => Some((header::ALLOW, HeaderValue::from_static("POST"))),
            // The rest of the body is not read.
            Self::BodyTooLarge(_) | Self::BodyTimedOut(_) => {
                Some((header::CONNECTION, HeaderValue::from_static("close")))
            }
            _ => None,
        }
    }

    /// The HTTP response, with a `Status` as its body.
    #[must_use]
    pub fn into_response(self) -> Response<Body> {
        let (code, reason) = self.status();
        let status = Status {
            kind: "Status",
            api_version: "v1",
            metadata: Metadata {},
            status: "Failure",
            message: self.to_string(),
            reason,
            code: code.as_u16(),
        };
        let mut response = json(serde_json::to_vec(&status).unwrap_or_default());
        *response.status_mut() = code;
        if let Some((name, value)) = self.header() {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// A response of 200 with a JSON body.
pub(super) fn json(body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
