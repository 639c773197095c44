//! What a connection is doing, and since when, judged by the bytes below TLS and by its requests.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::{connections::ConnectionLimits, records::Records};

/// A healthy client needs far less time than this for a handshake and a request, for headers, or to read an answer.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// What a connection is doing. Only its own task changes it.
#[derive(Debug)]
pub(super) struct Activity {
    opened: Instant,
    doing: AtomicU8,
    /// In milliseconds since `opened`.
    since: AtomicU64,
    /// Whether any byte has arrived.
    received: AtomicBool,
    /// Whether any request has arrived.
    asked: AtomicBool,
    /// Whether a buffer above may hold bytes of the next request.
    unsure: AtomicBool,
    /// Whether the last bytes ended inside a TLS record.
    within_record: AtomicBool,
}

/// What a connection can be doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Doing {
    /// A TLS handshake.
    Handshake,
    /// Nothing: the client may send a request or not.
    Nothing,
    /// The client sends the headers of a request.
    Headers,
    /// A request is in hand; its body has a limit of its own.
    Request,
    /// The client reads an answer.
    Answer,
}

/// What to do with a connection when its timer fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimerAction {
    /// Nothing. Set the timer to this duration.
    Rearm(Duration),
    /// Close the connection: it is over one of its time limits.
    Close,
    /// No byte arrived within the limit for headers. Check whether the buffers above hold a part of them.
    CheckBuffers,
}

/// A stream that records in an [`Activity`] when bytes arrive and when all output is flushed.
pub(super) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    /// The position in the TLS records; `None` for plain HTTP.
    records: Option<Records>,
}

// === impl Activity ===

impl Activity {
    /// A connection that starts with `doing`.
    pub(super) fn new(doing: Doing) -> Self {
        Self {
            opened: Instant::now(),
            doing: AtomicU8::new(doing as u8),
            since: AtomicU64::new(0),
            received: AtomicBool::new(false),
            asked: AtomicBool::new(false),
            unsure: AtomicBool::new(false),
            within_record: AtomicBool::new(false),
        }
    }

    /// The TLS handshake is complete. Its last bytes may hold a request.
    pub(super) fn handshake_ends(&self) {
        self.unsure.store(true, Ordering::Relaxed);
        self.now_doing(Doing::Nothing);
    }

    /// The headers of a request are complete.
    pub(super) fn request_begins(&self) {
        self.asked.store(true, Ordering::Relaxed);
        self.now_doing(Doing::Request);
    }

    /// The answer is ready but not written yet. The next request may have arrived already.
    pub(super) fn request_ends(&self) {
        self.unsure.store(true, Ordering::Relaxed);
        self.now_doing(Doing::Answer);
    }

    /// All output is written.
    pub(super) fn flushed(&self) {
        if self.doing() == Doing::Answer {
            self.now_doing(Doing::Nothing);
        }
    }

    /// The buffers above were checked and are empty.
    pub(super) fn buffers_are_empty(&self) {
        self.unsure.store(false, Ordering::Relaxed);
    }

    pub(super) fn is_within_record(&self) -> bool {
        self.within_record.load(Ordering::Relaxed)
    }

    /// Whether the client has sent any byte.
    pub(super) fn has_received(&self) -> bool {
        self.received.load(Ordering::Relaxed)
    }

    /// Whether the connection may be closed in favour of another: whether it ever had a request, and how long its present
    /// state lasts. `None` while a request is in hand, or for [`GRACE`] while headers or an answer are on their way.
    pub(super) fn gives_way(&self) -> Option<(bool, Duration)> {
        if !self.asked.load(Ordering::Relaxed) {
            return Some((false, self.opened.elapsed()));
        }
        let lasts = self.lasts();
        match self.doing() {
            Doing::Handshake | Doing::Nothing => Some((true, lasts)),
            Doing::Headers | Doing::Answer => (lasts >= GRACE).then_some((true, lasts)),
            Doing::Request => None,
        }
    }

    /// What to do with the connection when its timer fires.
    pub(super) fn on_timer(&self, limits: &ConnectionLimits) -> TimerAction {
        // A new state starts now at the earliest, so none of its limits ends sooner than this.
        let soonest = limits.headers.min(limits.idle).min(limits.answer);
        let left = |limit: Duration| limit.saturating_sub(self.lasts());
        let left = match self.doing() {
            Doing::Nothing if self.unsure.load(Ordering::Relaxed) => {
                let left = left(limits.headers);
                if left.is_zero() {
                    return TimerAction::CheckBuffers;
                }
                left
            }
            Doing::Nothing => left(limits.idle),
            Doing::Headers => left(limits.headers),
            Doing::Answer => left(limits.answer),
            // Other code limits both.
            Doing::Handshake | Doing::Request => soonest,
        };
        if left.is_zero() { TimerAction::Close } else { TimerAction::Rearm(left.min(soonest)) }
    }

    fn bytes_arrive(&self) {
        self.received.store(true, Ordering::Relaxed);
        if self.doing() == Doing::Nothing {
            self.now_doing(Doing::Headers);
        }
    }

    fn doing(&self) -> Doing {
        match self.doing.load(Ordering::Relaxed) {
            0 => Doing::Handshake,
            1 => Doing::Nothing,
            2 => Doing::Headers,
            3 => Doing::Request,
            _ => Doing::Answer,
        }
    }

    /// How long the present state lasts.
    fn lasts(&self) -> Duration {
        let since = Duration::from_millis(self.since.load(Ordering::Relaxed));
        self.opened.elapsed().saturating_sub(since)
    }

    fn now_doing(&self, doing: Doing) {
        let since = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.since.store(since, Ordering::Relaxed);
        self.doing.store(doing as u8, Ordering::Relaxed);
    }
}

// === impl Watched ===

impl<S> Watched<S> {
    /// Watches a stream that carries TLS, or plain HTTP.
    pub(super) fn new(stream: S, activity: Arc<Activity>, is_tls: bool) -> Self {
        Self { stream, activity, records: is_tls.then(Records::default) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        let arrived = &buffer.filled()[before..];
        if !arrived.is_empty() {
            if let Some(records) = &mut this.records {
                records.advance(arrived);
                this.activity.within_record.store(records.is_within(), Ordering::Relaxed);
            }
            this.activity.bytes_arrive();
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

    // Both hyper and TLS flush the stream below only after they have written all of their output.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.activity.flushed();
        Poll::Ready(Ok(()))
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
