//! Bodies: read whole, within limits of size, time and memory.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::time::timeout;

use super::rejection::Rejection;

/// How much of a body we read, and how long and in how much memory in all.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// The largest body, in bytes. A Pod of 3 MiB, which is what the API server takes, grows by its defaulting.
    pub bytes: usize,
    /// How long one body may take.
    pub time: Duration,
    /// How much of each body does not count towards `memory`, in bytes: however many large ones are on their way, there
    /// is room for ordinary ones.
    pub small: usize,
    /// All bodies in hand together, in bytes.
    pub memory: usize,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self { bytes: 16 << 20, time: Duration::from_secs(10), small: 16 << 10, memory: 32 << 20 }
    }
}

/// Reads bodies, and turns requests away before they take more memory than there is.
#[derive(Debug)]
pub(super) struct BodyReader {
    limits: BodyLimits,
    held: AtomicUsize,
}

/// A body, and its share of the memory for bodies.
pub(super) struct HeldBody<'r> {
    pub(super) bytes: Bytes,
    _share: Share<'r>,
}

struct Share<'r> {
    held: &'r AtomicUsize,
    bytes: usize,
}

// === impl BodyReader ===

impl BodyReader {
    pub(super) fn new(limits: BodyLimits) -> Self {
        Self { limits, held: AtomicUsize::new(0) }
    }

    /// Reads `body` to its end.
    pub(super) async fn read(&self, body: Body) -> Result<HeldBody<'_>, Rejection> {
        match timeout(self.limits.time, self.collect(body)).await {
            Ok(result) => result,
            Err(_elapsed) => Err(Rejection::BodyTimedOut(self.limits.time.as_secs())),
        }
    }

    /// Reads `body` to its end and forgets it, so that the client hears the answer before it breaks off.
    pub(super) async fn discard(&self, mut body: Body) {
        let drain = async {
            let mut left = self.limits.bytes;
            while let Some(Ok(frame)) = body.frame().await {
                let read = frame.data_ref().map_or(0, Bytes::len);
                match left.checked_sub(read) {
                    Some(rest) => left = rest,
                    None => return,
                }
            }
        };
        // A body that does not come is the client's affair: it gets its answer all the same.
        let _ = timeout(self.limits.time, drain).await;
    }

    async fn collect(&self, mut body: Body) -> Result<HeldBody<'_>, Rejection> {
        match self.hold(&mut body).await {
            Err(Rejection::Overloaded) => {
                self.discard(body).await;
                Err(Rejection::Overloaded)
            }
            result => result,
        }
    }

    async fn hold(&self, body: &mut Body) -> Result<HeldBody<'_>, Rejection> {
        let announced = body.size_hint().exact().unwrap_or(0);
        let announced = usize::try_from(announced).unwrap_or(usize::MAX);
        if announced > self.limits.bytes {
            return Err(Rejection::BodyTooLarge(self.limits.bytes));
        }
        // What counts is what has arrived: whoever only announces a large body takes no room from others.
        let mut share = Share { held: &self.held, bytes: 0 };
        let mut first = Bytes::new();
        let mut whole: Vec<u8> = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Rejection::BodyBroken)?.into_data() else {
                continue; // Trailers say nothing to us.
            };
            let read = first.len() + whole.len() + data.len();
            if read > self.limits.bytes {
                return Err(Rejection::BodyTooLarge(self.limits.bytes));
            }
            if !share.grow_to(read.saturating_sub(self.limits.small), self.limits.memory) {
                return Err(Rejection::Overloaded);
            }
            if first.is_empty() && whole.is_empty() {
                // Most bodies come in one piece, which needs no copy.
                first = data;
                continue;
            }
            if whole.is_empty() {
                whole.reserve(announced.max(read));
                whole.extend_from_slice(&first);
                first.clear();
            }
            whole.extend_from_slice(&data);
        }
        let bytes = if whole.is_empty() { first } else { whole.into() };
        Ok(HeldBody { bytes, _share: share })
    }
}

// === impl Share ===

impl Share<'_> {
    /// Makes the share at least `bytes` large, unless all shares would then be more than `memory`.
    fn grow_to(&mut self, bytes: usize, memory: usize) -> bool {
        let Some(more) = bytes.checked_sub(self.bytes).filter(|&more| more > 0) else {
            return true;
        };
        let before = self.held.fetch_add(more, Ordering::Relaxed);
        self.bytes = bytes;
        // A refused share is dropped with what it asked for, so what is held comes right by itself.
        before + more <= memory
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
