//! What a connection is doing, and since when: seen from the bytes it reads and the requests it hands on.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connections::ConnectionLimits;

const IDLE: u8 = 0;
const HEADERS: u8 = 1;
const REQUEST: u8 = 2;

/// What a connection is doing, and since when. Only its own task changes it.
#[derive(Debug)]
pub(super) struct Activity {
    opened: Instant,
    doing: AtomicU8,
    /// In milliseconds since `opened`.
    since: AtomicU64,
}

/// A stream that tells an [`Activity`] of the bytes that arrive.
pub(super) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

// === impl Activity ===

impl Activity {
    /// A connection that waits for its first request.
    pub(super) fn new() -> Self {
        Self { opened: Instant::now(), doing: AtomicU8::new(IDLE), since: AtomicU64::new(0) }
    }

    /// The headers of a request are there; its body has a limit of its own.
    pub(super) fn request_begins(&self) {
        self.doing.store(REQUEST, Ordering::Relaxed);
    }

    /// The request has its answer.
    pub(super) fn request_ends(&self) {
        self.now_doing(IDLE);
    }

    /// How long the connection may be left alone until it must be looked at again; none where it has taken longer over
    /// what it is doing than it may.
    pub(super) fn look_again_in(&self, limits: &ConnectionLimits) -> Option<Duration> {
        // What it does next begins now at the earliest, so no limit on it ends sooner than this.
        let soonest = limits.headers.min(limits.idle);
        let limit = match self.doing.load(Ordering::Relaxed) {
            IDLE => limits.idle,
            HEADERS => limits.headers,
            _ => return Some(soonest),
        };
        let since = Duration::from_millis(self.since.load(Ordering::Relaxed));
        let left = limit.saturating_sub(self.opened.elapsed().saturating_sub(since));
        (!left.is_zero()).then(|| left.min(soonest))
    }

    fn bytes_arrive(&self) {
        if self.doing.load(Ordering::Relaxed) == IDLE {
            self.now_doing(HEADERS);
        }
    }

    fn now_doing(&self, doing: u8) {
        let since = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.since.store(since, Ordering::Relaxed);
        self.doing.store(doing, Ordering::Relaxed);
    }
}

// === impl Watched ===

impl<S> Watched<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.activity.bytes_arrive();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
