//! An API server of three objects, in this process: it stores, refuses as configured, and counts.
//!
//! It is a `tower` service without a socket, so that tokio's paused time passes only in the pauses of the code under test:
//! ten minutes take milliseconds, and every timer is the real one.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use axum::http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// What is done with a request instead of answering it.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    /// An error status with a message, and seconds for `Retry-After`.
    Status(u16, &'static str, Option<u64>),
    /// No answer, ever.
    Hang,
    /// No connection.
    Unreachable,
}

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) at: Duration,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) watch: bool,
}

type Rule = Box<dyn Fn(&Call) -> Option<Refusal> + Send>;

struct State {
    objects: BTreeMap<String, Value>,
    version: u64,
    calls: Vec<Call>,
    rule: Rule,
    /// How far the clock is ahead of ours, in seconds.
    ahead: i64,
    started: Instant,
}

/// The server.
#[derive(Clone)]
pub(crate) struct Scripted(Arc<Mutex<State>>);

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

impl Scripted {
    /// A server with these objects, by their paths.
    pub(crate) fn new(objects: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        let mut state = State {
            objects: BTreeMap::new(),
            version: 0,
            calls: Vec::new(),
            rule: Box::new(|_| None),
            ahead: 0,
            started: Instant::now(),
        };
        for (path, object) in objects {
            state.store(path, object);
        }
        Self(Arc::new(Mutex::new(state)))
    }

    /// Refuses what the rule says from now on.
    pub(crate) fn refuse(&self, rule: impl Fn(&Call) -> Option<Refusal> + Send + 'static) {
        self.0.lock().unwrap().rule = Box::new(rule);
    }

    /// Replaces an object, or removes it.
    pub(crate) fn put(&self, path: &str, object: Option<Value>) {
        let mut state = self.0.lock().unwrap();
        match object {
            Some(object) => state.store(path, object),
            None => drop(state.objects.remove(path)),
        }
    }

    /// Sets the server's clock, in seconds ahead of ours.
    pub(crate) fn set_clock(&self, ahead: i64) {
        self.0.lock().unwrap().ahead = ahead;
    }

    pub(crate) fn object(&self, path: &str) -> Option<Value> {
        self.0.lock().unwrap().objects.get(path).cloned()
    }

    /// The requests so far, which are forgotten.
    pub(crate) fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.0.lock().unwrap().calls)
    }

    pub(crate) fn client(&self) -> kube::Client {
        let server = self.clone();
        let service = tower::service_fn(move |request| {
            let server = server.clone();
            async move {
                let ahead = server.0.lock().unwrap().ahead;
                let mut answer = server.answer(request).await?;
                answer.headers_mut().insert("date", date(ahead).parse().unwrap());
                Ok::<_, std::io::Error>(answer)
            }
        });
        kube::Client::new(service, "default")
    }

    async fn answer(&self, request: Request<Body>) -> Result<Answer, std::io::Error> {
        let (parts, body) = request.into_parts();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let path = parts.uri.path().to_owned();
        let watch = query.contains("watch=true");
        let content_type = parts.headers.get("content-type").and_then(|it| it.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let body = body.collect().await.unwrap().to_bytes();
        let refusal = {
            let mut state = self.0.lock().unwrap();
            let method = parts.method.to_string();
            let call = Call { at: state.started.elapsed(), method, path: path.clone(), watch };
            let refusal = (state.rule)(&call);
            state.calls.push(call);
            refusal
        };
        match refusal {
            Some(Refusal::Hang) => std::future::pending().await,
            Some(Refusal::Unreachable) => {
                return Err(std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "refused"));
            }
            Some(Refusal::Status(code, message, seconds)) => {
                return Ok(status(code, message, seconds));
            }
            None => {}
        }
        if watch {
            return Ok(quiet_watch());
        }
        let mut state = self.0.lock().unwrap();
        Ok(match parts.method.as_str() {
            "GET" if query.contains("fieldSelector") => state.list(&path, &query),
            "GET" => match state.objects.get(&path) {
                Some(object) => ok(object),
                None => status(404, "not found", None),
            },
            "PATCH" => state.patched(&path, &content_type, &body),
            _ => status(405, "not here", None),
        })
    }
}

impl State {
    fn store(&mut self, path: &str, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.objects.insert(path.to_owned(), object);
    }

    fn list(&self, path: &str, query: &str) -> Answer {
        let name = query.split("metadata.name%3D").nth(1).unwrap_or_default();
        let name = name.split('&').next().unwrap_or_default();
        let items: Vec<_> =
            self.objects.get(&format!("{path}/{name}")).cloned().into_iter().collect();
        ok(&json!({
            "apiVersion": "v1", "kind": "List",
            "metadata": {"resourceVersion": self.version.to_string()}, "items": items,
        }))
    }

    fn patched(&mut self, at: &str, content_type: &str, body: &[u8]) -> Answer {
        let patch: Value = serde_json::from_slice(body).unwrap();
        let mut object = self.objects.get(at).cloned();
        match (content_type, &mut object) {
            ("application/apply-patch+yaml", None) => object = Some(patch),
            ("application/apply-patch+yaml", Some(_)) => {
                return status(409, "another manager", None);
            }
            (_, None) => return status(404, "not found", None),
            ("application/json-patch+json", Some(object)) => {
                let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
                if json_patch::patch(object, &patch).is_err() {
                    return status(
                        422,
                        "the server rejected our request due to an error in our request",
                        None,
                    );
                }
            }
            (_, Some(object)) => {
                let wanted = &patch["metadata"]["resourceVersion"];
                if *wanted != object["metadata"]["resourceVersion"] {
                    return status(409, "the object has been modified", None);
                }
                json_patch::merge(object, &patch);
            }
        }
        let object = object.unwrap();
        self.store(at, object.clone());
        ok(&object)
    }
}

fn date(ahead: i64) -> String {
    let (now, by) = (SystemTime::now(), Duration::from_secs(ahead.unsigned_abs()));
    httpdate::fmt_http_date(if ahead < 0 { now - by } else { now + by })
}

fn full(bytes: Vec<u8>) -> UnsyncBoxBody<Bytes, Infallible> {
    UnsyncBoxBody::new(Full::new(Bytes::from(bytes)))
}

fn ok(object: &Value) -> Answer {
    Response::new(full(object.to_string().into_bytes()))
}

fn status(code: u16, message: &str, seconds: Option<u64>) -> Answer {
    let body = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "message": message,
    });
    let mut answer = Response::new(full(body.to_string().into_bytes()));
    *answer.status_mut() = StatusCode::from_u16(code).unwrap();
    if let Some(seconds) = seconds {
        answer.headers_mut().insert("retry-after", seconds.into());
    }
    answer
}

/// A watch in which nothing happens, and which the server ends after a minute, as it is asked to.
fn quiet_watch() -> Answer {
    let nothing: VecDeque<Frame<Bytes>> = VecDeque::new();
    let frames = futures_util::stream::unfold(nothing, |_| async {
        sleep(Duration::from_secs(60)).await;
        None::<(Result<Frame<Bytes>, Infallible>, VecDeque<Frame<Bytes>>)>
    });
    Response::new(UnsyncBoxBody::new(StreamBody::new(frames)))
}
