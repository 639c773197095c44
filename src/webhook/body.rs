//! Reads bodies within limits of size, time and memory.
//!
//! One budget bounds the memory of all requests together. Each request has a `Permit`: for its body until the decision,
//! then for its answer, until the connection has taken the last byte.

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

/// Limits on bodies and answers.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// The largest body, in bytes. The API server accepts Pods of 3 MiB, which grow by its defaulting.
    pub bytes: usize,
    /// How long reading one body may take.
    pub time: Duration,
    /// Up to this size, in bytes, a body or an answer is small. This many bytes of each do not count towards `memory`, so
    /// that large bodies cannot use up the budget of ordinary ones. A small body also does not wait for large ones.
    pub small: usize,
    /// The most memory for all bodies and answers together, in bytes.
    pub memory: usize,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self { bytes: 16 << 20, time: Duration::from_secs(10), small: 16 << 10, memory: 32 << 20 }
    }
}

/// Reads bodies, and rejects a request that would exceed the memory budget.
#[derive(Debug)]
pub(super) struct BodyReader {
    limits: BodyLimits,
    reserved: Arc<AtomicUsize>,
}

/// A body with its permit.
pub(super) struct BudgetedBody {
    pub(super) bytes: Bytes,
    permit: Permit,
}

/// An answer that keeps its permit until it is written, or its connection ends.
struct BudgetedAnswer {
    bytes: Box<[u8]>,
    _permit: Permit,
}

/// A part of the memory budget, given back when it is dropped.
struct Permit {
    limits: BodyLimits,
    reserved: Arc<AtomicUsize>,
    /// The size in bytes, of which the first [`BodyLimits::small`] do not count.
    bytes: usize,
}

// === impl BodyReader ===

impl BodyReader {
    pub(super) fn new(limits: BodyLimits) -> Self {
        Self { limits, reserved: Arc::default() }
    }

    /// Reads `body` to its end, also if the budget does not allow it.
    pub(super) async fn read(&self, mut body: Body) -> Result<BudgetedBody, Rejection> {
        let read = timeout(self.limits.time, self.collect(&mut body)).await;
        let result = read
            .unwrap_or_else(|_elapsed| Err(Rejection::BodyTimedOut(self.limits.time.as_secs())));
        if let Err(Rejection::Overloaded) = result {
            self.discard(body).await;
        }
        result
    }

    /// Reads `body` to its end and drops it: a client that is still sending may not read the answer.
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
        // The client gets its answer also if the body does not arrive.
        let _ = timeout(self.limits.time, drain).await;
    }

    async fn collect(&self, body: &mut Body) -> Result<BudgetedBody, Rejection> {
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
                continue; // Trailers are not used.
            };
            let read = first.len() + whole.len() + data.len();
            if read > most {
                return Err(Rejection::BodyTooLarge(most));
            }
            if first.is_empty() && whole.is_empty() {
                // Most bodies arrive in one piece, which needs no copy.
                permit.resize(read)?;
                first = data;
                continue;
            }
            if read > whole.capacity() {
                // In proportion to what has arrived: a body that is only announced reserves nothing.
                let capacity = (2 * read).min(announced.max(read));
                permit.resize(capacity)?;
                whole.reserve_exact(capacity - whole.len());
                whole.extend_from_slice(&first);
                first = Bytes::new();
            }
            whole.extend_from_slice(&data);
        }
        let bytes = if whole.is_empty() { first } else { whole.into() };
        Ok(BudgetedBody { bytes, permit })
    }

    fn permit(&self) -> Permit {
        Permit { limits: self.limits, reserved: Arc::clone(&self.reserved), bytes: 0 }
    }
}

// === impl BudgetedBody ===

impl BudgetedBody {
    pub(super) fn is_small(&self) -> bool {
        self.bytes.len() <= self.permit.limits.small
    }

    /// Reserves memory for `answer` besides the body.
    pub(super) fn reserve_for(&mut self, answer: &Vec<u8>) -> Result<(), Rejection> {
        self.permit.resize(self.permit.bytes + answer.capacity())
    }

    /// Drops the body and keeps the permit for the answer, which is reserved already.
    pub(super) fn answered_with(self, answer: Vec<u8>) -> Result<Bytes, Rejection> {
        let Self { bytes, mut permit } = self;
        drop(bytes);
        let answer = answer.into_boxed_slice();
        permit.resize(answer.len())?;
        Ok(Bytes::from_owner(BudgetedAnswer { bytes: answer, _permit: permit }))
    }
}

// === impl BudgetedAnswer ===

impl AsRef<[u8]> for BudgetedAnswer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

// === impl Permit ===

impl Permit {
    /// Resizes the permit to `bytes`; fails if all permits together would exceed the budget.
    fn resize(&mut self, bytes: usize) -> Result<(), Rejection> {
        let before = self.counted();
        self.bytes = bytes;
        let Some(more) = self.counted().checked_sub(before) else {
            self.reserved.fetch_sub(before - self.counted(), Ordering::Relaxed);
            return Ok(());
        };
        let reserved = self.reserved.fetch_add(more, Ordering::Relaxed) + more;
        // On failure the caller drops the permit, which gives back these bytes as well.
        if more == 0 || reserved <= self.limits.memory {
            Ok(())
        } else {
            Err(Rejection::Overloaded)
        }
    }

    /// The bytes that count towards the budget.
    fn counted(&self) -> usize {
        self.bytes.saturating_sub(self.limits.small)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.reserved.fetch_sub(self.counted(), Ordering::Relaxed);
    }
}
