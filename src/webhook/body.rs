//! Bodies and answers: within limits of size, time and memory.
//!
//! One budget bounds what all requests hold at once. Each has a [`Permit`] from it: for its body while that is read and
//! decided about, then for its answer, until the last byte of it is handed to the connection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
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
    /// Up to this size, in bytes, a body or an answer is small. That much of each does not count towards `memory`: however
    /// many large ones are on their way, there is a budget for ordinary ones. A small body is also decided about at once,
    /// without waiting for large ones.
    pub small: usize,
    /// All bodies and answers in hand together, in bytes.
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
    held: Arc<AtomicUsize>,
}

/// A body, and its part of the budget.
pub(super) struct HeldBody {
    pub(super) bytes: Bytes,
    permit: Permit,
}

/// An answer that keeps its part of the budget until it is written, or its connection ends.
struct HeldAnswer {
    bytes: Box<[u8]>,
    _permit: Permit,
}

/// A part of the budget for bodies and answers.
struct Permit {
    limits: BodyLimits,
    held: Arc<AtomicUsize>,
    /// What it is for, of which the first [`BodyLimits::small`] do not count.
    bytes: usize,
}

// === impl BodyReader ===

impl BodyReader {
    pub(super) fn new(limits: BodyLimits) -> Self {
        Self { limits, held: Arc::default() }
    }

    /// Reads `body` to its end. Where there is no budget for it, reads it to its end all the same.
    pub(super) async fn read(&self, mut body: Body) -> Result<HeldBody, Rejection> {
        let read = timeout(self.limits.time, self.hold(&mut body)).await;
        let result = read
            .unwrap_or_else(|_elapsed| Err(Rejection::BodyTimedOut(self.limits.time.as_secs())));
        if let Err(Rejection::Overloaded) = result {
            self.discard(body).await;
        }
        result
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

    async fn hold(&self, body: &mut Body) -> Result<HeldBody, Rejection> {
        let BodyLimits { bytes: most, .. } = self.limits;
        let announced = body.size_hint().exact().unwrap_or(0);
        let announced = usize::try_from(announced).unwrap_or(usize::MAX);
        if announced > most {
            return Err(Rejection::BodyTooLarge(most));
        }
        let mut permit = self.permit();
        let mut first = Bytes::new();
        let mut whole: Vec<u8> = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Rejection::BodyBroken)?.into_data() else {
                continue; // Trailers say nothing to us.
            };
            let read = first.len() + whole.len() + data.len();
            if read > most {
                return Err(Rejection::BodyTooLarge(most));
            }
            if first.is_empty() && whole.is_empty() {
                // Most bodies come in one piece, which needs no copy.
                permit.resize(read)?;
                first = data;
                continue;
            }
            if read > whole.capacity() {
                // In proportion to what has arrived: a body that is only announced takes no memory from others.
                let capacity = (2 * read).min(announced.max(read));
                permit.resize(capacity)?;
                whole.reserve_exact(capacity - whole.len());
                whole.extend_from_slice(&first);
                first = Bytes::new();
            }
            whole.extend_from_slice(&data);
        }
        let bytes = if whole.is_empty() { first } else { whole.into() };
        Ok(HeldBody { bytes, permit })
    }

    fn permit(&self) -> Permit {
        Permit { limits: self.limits, held: Arc::clone(&self.held), bytes: 0 }
    }
}

// === impl HeldBody ===

impl HeldBody {
    pub(super) fn is_small(&self) -> bool {
        self.bytes.len() <= self.permit.limits.small
    }

    /// Makes room for `answer` beside the body.
    pub(super) fn make_room_for(&mut self, answer: &Vec<u8>) -> Result<(), Rejection> {
        self.permit.resize(self.permit.bytes + answer.capacity())
    }

    /// Gives the body up for its answer, for which there is room.
    pub(super) fn answered_with(self, answer: Vec<u8>) -> Result<Bytes, Rejection> {
        let Self { bytes, mut permit } = self;
        drop(bytes);
        let answer = answer.into_boxed_slice();
        permit.resize(answer.len())?;
        Ok(Bytes::from_owner(HeldAnswer { bytes: answer, _permit: permit }))
    }
}

// === impl HeldAnswer ===

impl AsRef<[u8]> for HeldAnswer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

// === impl Permit ===

impl Permit {
    /// Makes it a permit for `bytes`, unless all permits would then be for more than there is.
    fn resize(&mut self, bytes: usize) -> Result<(), Rejection> {
        let before = self.counted();
        self.bytes = bytes;
        let Some(more) = self.counted().checked_sub(before) else {
            self.held.fetch_sub(before - self.counted(), Ordering::Relaxed);
            return Ok(());
        };
        let held = self.held.fetch_add(more, Ordering::Relaxed) + more;
        // A refused permit is dropped with what it asked for, so what is held comes right by itself.
        if more == 0 || held <= self.limits.memory { Ok(()) } else { Err(Rejection::Overloaded) }
    }

    /// What of it counts towards the budget.
    fn counted(&self) -> usize {
        self.bytes.saturating_sub(self.limits.small)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.held.fetch_sub(self.counted(), Ordering::Relaxed);
    }
}
