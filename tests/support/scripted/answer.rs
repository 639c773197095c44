//! What the server answers with.

use std::time::{Duration, SystemTime};

use axum::http::{Response, StatusCode};
use futures_util::{Stream, stream};
use http_body_util::{Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame};
use serde_json::{Value, json};

pub(super) type Answer = Response<UnsyncBoxBody<Bytes, std::io::Error>>;

pub(super) fn ok(object: &Value) -> Answer {
    Response::new(full(object.to_string().into_bytes()))
}

pub(super) fn status(code: u16, message: &str, seconds: Option<u64>) -> Answer {
    let mut answer = Response::new(full(failure(code, message).to_string().into_bytes()));
    *answer.status_mut() = StatusCode::from_u16(code).unwrap();
    if let Some(seconds) = seconds {
        answer.headers_mut().insert("retry-after", seconds.into());
    }
    answer
}

/// An object that says what went wrong.
pub(super) fn failure(code: u16, message: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {},
        "status": "Failure", "code": code, "message": message, "reason": "",
    })
}

/// An answer of which nothing comes but its head.
pub(super) fn silent() -> Answer {
    streamed(stream::pending())
}

pub(super) fn streamed(
    frames: impl Stream<Item = Result<Frame<Bytes>, std::io::Error>> + Send + 'static,
) -> Answer {
    Response::new(UnsyncBoxBody::new(StreamBody::new(frames)))
}

pub(super) fn date(ahead: i64) -> String {
    let (now, by) = (SystemTime::now(), Duration::from_secs(ahead.unsigned_abs()));
    httpdate::fmt_http_date(if ahead < 0 { now - by } else { now + by })
}

fn full(bytes: Vec<u8>) -> UnsyncBoxBody<Bytes, std::io::Error> {
    use http_body_util::BodyExt;
    UnsyncBoxBody::new(Full::new(Bytes::from(bytes)).map_err(|never| match never {}))
}
