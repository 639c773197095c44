//! An API server in this process: it stores, watches, refuses as configured, and counts.
//!
//! It is a `tower` service without a socket, so that tokio's paused time passes only in the pauses of the code under test:
//! ten minutes take milliseconds, and every timer is the real one. It behaves like kube-apiserver as far as the controllers
//! can tell: pages and watches with selectors, metadata without content, server-side apply with field managers, and
//! preconditions.
#![allow(dead_code, reason = "each target compiles all of it and uses a part")]

mod answer;
mod managers;
mod store;
mod watching;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::http::Request;
use http_body_util::BodyExt;
use hyper::body::Bytes;
use kube::client::Body;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use self::{
    answer::{Answer, date, silent, status},
    store::Store,
};

/// What is done with a request instead of answering it at once.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    /// An error status with a message, and seconds for `Retry-After`.
    Status(u16, &'static str, Option<u64>),
    /// No answer, until the client gives up as the real one does, whose connector has a time limit for each read.
    Hang,
    /// The request is carried out, but its answer gets lost.
    Lost,
    /// No connection.
    Unreachable,
    /// A watch that stands, but brings nothing.
    Silent,
    /// The answer comes after a while. What holds then is what counts.
    Late(Duration),
}

/// The client's time limit for a read.
const READ: Duration = Duration::from_secs(90);

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) at: Duration,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) watch: bool,
    /// Whether only the metadata of objects is asked for.
    pub(crate) metadata: bool,
    pub(crate) body: Bytes,
}

type Rule = Box<dyn Fn(&Call) -> Option<Refusal> + Send>;

struct State {
    store: Store,
    calls: Vec<Call>,
    rule: Rule,
    /// How far the clock is ahead of ours, in seconds.
    ahead: i64,
    started: Instant,
}

/// The server.
#[derive(Clone)]
pub(crate) struct Scripted(Arc<Mutex<State>>);

// === impl Call ===

impl Call {
    /// Whether it changes something.
    pub(crate) fn is_write(&self) -> bool {
        self.method != "GET"
    }

    /// Its body.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

// === impl Scripted ===

impl Scripted {
    /// A server with these objects, by their paths.
    pub(crate) fn new<P: Into<String>>(objects: impl IntoIterator<Item = (P, Value)>) -> Self {
        let mut store = Store::default();
        for (path, object) in objects {
            store.put(&path.into(), object, "somebody");
        }
        Self(Arc::new(Mutex::new(State {
            store,
            calls: Vec::new(),
            rule: Box::new(|_| None),
            ahead: 0,
            started: Instant::now(),
        })))
    }

    /// Refuses what the rule says from now on.
    pub(crate) fn refuse(&self, rule: impl Fn(&Call) -> Option<Refusal> + Send + 'static) {
        self.state().rule = Box::new(rule);
    }

    /// Replaces an object, or removes it.
    pub(crate) fn put(&self, path: &str, object: Option<Value>) {
        let mut state = self.state();
        match object {
            Some(object) => state.store.put(path, object, "somebody"),
            None => drop(state.store.remove(path)),
        }
    }

    /// Changes an object as somebody does.
    pub(crate) fn edit(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut state = self.state();
        let mut object = state.store.get(path).cloned().unwrap_or_else(|| panic!("no {path}"));
        change(&mut object);
        state.store.put(path, object, "somebody");
    }

    /// Removes a namespace and all that is in it.
    pub(crate) fn remove_namespace(&self, name: &str) {
        let mut state = self.state();
        let within = format!("/namespaces/{name}/");
        for path in state.store.paths(|path| path.contains(&within)) {
            state.store.remove(&path);
        }
        state.store.remove(&format!("/api/v1/namespaces/{name}"));
    }

    /// Forgets what was: a watch that goes on from before gets a 410.
    pub(crate) fn compact(&self) {
        self.state().store.compact();
    }

    /// Breaks the connections of all watches.
    pub(crate) fn break_watches(&self) {
        self.state().store.break_watches();
    }

    /// Lets all watches stand that there are now, but bring nothing more.
    pub(crate) fn silence_watches(&self) {
        self.state().store.silence_watches();
    }

    /// Sets the server's clock, in seconds ahead of ours.
    pub(crate) fn set_clock(&self, ahead: i64) {
        self.state().ahead = ahead;
    }

    pub(crate) fn object(&self, path: &str) -> Option<Value> {
        self.state().store.get(path).cloned()
    }

    /// Looks at all objects, by path.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&BTreeMap<String, Value>) -> T) -> T {
        look(self.state().store.objects())
    }

    /// The requests so far, which are forgotten.
    pub(crate) fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.state().calls)
    }

    pub(crate) fn client(&self) -> kube::Client {
        let server = self.clone();
        let service = tower::service_fn(move |request| {
            let server = server.clone();
            async move {
                let mut answer = server.answer(request).await?;
                let ahead = server.state().ahead;
                answer.headers_mut().insert("date", date(ahead).parse().unwrap());
                Ok::<_, std::io::Error>(answer)
            }
        });
        kube::Client::new(service, "default")
    }

    async fn answer(&self, request: Request<Body>) -> Result<Answer, std::io::Error> {
        let (parts, body) = request.into_parts();
        let header = |name: &str| {
            let value = parts.headers.get(name).and_then(|it| it.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let body = body.collect().await.unwrap().to_bytes();
        let (call, refusal) = {
            let mut state = self.state();
            let call = Call {
                at: state.started.elapsed(),
                method: parts.method.to_string(),
                path: parts.uri.path().to_owned(),
                watch: query.contains("watch=true"),
                metadata: header("accept").contains("as=PartialObjectMetadata"),
                query,
                body,
            };
            let refusal = (state.rule)(&call);
            state.calls.push(call.clone());
            (call, refusal)
        };
        match refusal {
            Some(Refusal::Hang) => {
                sleep(READ).await;
                Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer"))
            }
            Some(Refusal::Lost) => {
                drop(self.state().store.answer(&call, &header("content-type")));
                std::future::pending().await
            }
            Some(Refusal::Unreachable) => {
                Err(std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "refused"))
            }
            Some(Refusal::Status(code, message, seconds)) => Ok(status(code, message, seconds)),
            Some(Refusal::Silent) => Ok(silent()),
            Some(Refusal::Late(pause)) => {
                sleep(pause).await;
                Ok(self.state().store.answer(&call, &header("content-type")))
            }
            None => Ok(self.state().store.answer(&call, &header("content-type"))),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}
