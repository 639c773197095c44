//! Watches: what has changed goes to each that asked for it.

use std::time::Duration;

use futures_util::{future::pending, stream};
use hyper::body::{Bytes, Frame};
use serde_json::{Value, json};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{Instant, sleep_until},
};

use super::{
    Call,
    answer::{Answer, failure, streamed},
    store::{Selector, shown},
};

/// All watches, and what was changed.
#[derive(Default)]
pub(super) struct Watches {
    history: Vec<Change>,
    /// What was before this version is forgotten.
    oldest: u64,
    open: Vec<Watch>,
}

/// A change of an object.
#[derive(Clone)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) path: String,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
    /// The object as a watch brings it.
    pub(super) last: Value,
}

struct Watch {
    selector: Selector,
    call: Call,
    sender: UnboundedSender<News>,
}

enum News {
    Line(Bytes),
    Broken,
    Silence,
}

// === impl Watches ===

impl Watches {
    pub(super) fn changed(&mut self, change: Change) {
        self.open.retain(|watch| watch.bring(&change));
        self.history.push(change);
    }

    pub(super) fn compact(&mut self, version: u64) {
        self.oldest = version;
        self.history.clear();
    }

    pub(super) fn break_all(&mut self) {
        for watch in self.open.drain(..) {
            let _ = watch.sender.send(News::Broken);
        }
    }

    pub(super) fn silence_all(&mut self) {
        for watch in self.open.drain(..) {
            let _ = watch.sender.send(News::Silence);
        }
    }

    /// Starts a watch from the version that it asks for. `version` is that of now.
    pub(super) fn start(&mut self, selector: Selector, call: &Call, version: u64) -> Answer {
        let (sender, receiver) = unbounded_channel();
        let from: u64 = call.parameter("resourceVersion").parse().unwrap_or(0);
        let watch = Watch { selector, call: call.clone(), sender };
        if from < self.oldest {
            let message = format!("too old resource version: {from} ({})", self.oldest);
            watch.send("ERROR", &failure(410, &message));
            drop(watch);
        } else {
            for change in self.history.iter().filter(|change| change.version > from) {
                watch.bring(change);
            }
            self.open.push(watch);
        }
        let seconds = call.parameter("timeoutSeconds").parse().unwrap_or(290);
        let end = Instant::now() + Duration::from_secs(seconds);
        lines(receiver, end, bookmark(call, version))
    }
}

impl Watch {
    /// Brings a change, if it is one of what is watched. Answers whether anybody still listens.
    fn bring(&self, change: &Change) -> bool {
        let has = |object: &Option<Value>| {
            object.as_ref().is_some_and(|object| self.selector.has(&change.path, object))
        };
        let type_ = match (has(&change.before), has(&change.after)) {
            (false, false) => return !self.sender.is_closed(),
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        self.send(type_, &shown(change.last.clone(), &self.call))
    }

    fn send(&self, type_: &str, object: &Value) -> bool {
        let line = format!("{}\n", json!({"type": type_, "object": object}));
        self.sender.send(News::Line(line.into())).is_ok()
    }
}

/// The version from which the next watch can go on, as the last that a watch brings in which nothing happened.
fn bookmark(call: &Call, version: u64) -> Bytes {
    let (group, kind) =
        if call.metadata { ("meta.k8s.io/v1", "PartialObjectMetadata") } else { ("v1", "Object") };
    let metadata = json!({"resourceVersion": version.to_string(), "annotations": {}});
    let object = json!({"apiVersion": group, "kind": kind, "metadata": metadata});
    format!("{}\n", json!({"type": "BOOKMARK", "object": object})).into()
}

fn lines(receiver: UnboundedReceiver<News>, end: Instant, bookmark: Bytes) -> Answer {
    // The bookmark is that of the start, so it is brought only where nothing came since.
    let state = (receiver, Some(bookmark), false);
    streamed(stream::unfold(state, move |(mut receiver, mut bookmark, over)| async move {
        if over {
            return None;
        }
        tokio::select! {
            biased;
            news = receiver.recv() => match news {
                Some(News::Line(line)) => {
                    Some((Ok(Frame::data(line)), (receiver, None, false)))
                }
                Some(News::Broken) => {
                    let error = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "reset");
                    Some((Err(error), (receiver, None, true)))
                }
                Some(News::Silence) => pending().await,
                None => None,
            },
            () = sleep_until(end) => {
                let bookmark = bookmark.take()?;
                Some((Ok(Frame::data(bookmark)), (receiver, None, true)))
            }
        }
    }))
}
