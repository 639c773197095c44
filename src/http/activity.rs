//! What a connection is doing, and since when: seen from the bytes below TLS and the requests that it hands on.

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

/// What a client needs far less time for than this: a handshake and a request, headers, an answer.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// What a connection is doing. Only its own task changes it.
#[derive(Debug)]
pub(super) struct Activity {
    opened: Instant,
    doing: AtomicU8,
    /// In milliseconds since `opened`.
    since: AtomicU64,
    /// Whether a byte has ever come.
    heard: AtomicBool,
    /// Whether a request has ever come.
    asked: AtomicBool,
    /// Whether bytes of the next request may wait in a buffer above.
    unsure: AtomicBool,
    /// Whether the last bytes ended within a TLS record.
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

/// What to do with a connection now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Leave it alone, and look again after so long.
    Again(Duration),
    /// It takes longer than it may.
    Close,
    /// Nothing came for as long as headers may take: see whether a part of them has been in a buffer all the time.
    Buffers,
}

/// A stream that tells an [`Activity`] of the bytes that come and go.
pub(super) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    /// Where the bytes are in their TLS records; none where there is no TLS.
    records: Option<Records>,
}

// === impl Activity ===

impl Activity {
    /// A connection that begins with `doing`.
    pub(super) fn new(doing: Doing) -> Self {
        Self {
            opened: Instant::now(),
            doing: AtomicU8::new(doing as u8),
            since: AtomicU64::new(0),
            heard: AtomicBool::new(false),
            asked: AtomicBool::new(false),
            unsure: AtomicBool::new(false),
            within_record: AtomicBool::new(false),
        }
    }

    /// The TLS handshake is done. A request may have come with its last bytes.
    pub(super) fn handshake_ends(&self) {
        self.unsure.store(true, Ordering::Relaxed);
        self.now_doing(Doing::Nothing);
    }

    /// The headers of a request are there.
    pub(super) fn request_begins(&self) {
        self.asked.store(true, Ordering::Relaxed);
        self.now_doing(Doing::Request);
    }

    /// The request has its answer, which is yet to be written. The next request may have come already.
    pub(super) fn request_ends(&self) {
        self.unsure.store(true, Ordering::Relaxed);
        self.now_doing(Doing::Answer);
    }

    /// All that was to be written is written.
    pub(super) fn flushed(&self) {
        if self.doing() == Doing::Answer {
            self.now_doing(Doing::Nothing);
        }
    }

    /// The buffers above were looked at, and hold nothing.
    pub(super) fn buffers_are_empty(&self) {
        self.unsure.store(false, Ordering::Relaxed);
    }

    pub(super) fn is_within_record(&self) -> bool {
        self.within_record.load(Ordering::Relaxed)
    }

    /// Whether the client ever sent a byte.
    pub(super) fn is_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    /// Whether the connection can give way to another: whether it was ever used, and for how long it has done what it does.
    /// None where a request is in hand, or where headers or an answer are on their way for less than [`GRACE`].
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

    /// What to do with the connection now.
    pub(super) fn look(&self, limits: &ConnectionLimits) -> Look {
        // What it does next begins now at the earliest, so no limit on it ends sooner than this.
        let soonest = limits.headers.min(limits.idle).min(limits.answer);
        let left = |limit: Duration| limit.saturating_sub(self.lasts());
        let left = match self.doing() {
            Doing::Nothing if self.unsure.load(Ordering::Relaxed) => {
                let left = left(limits.headers);
                if left.is_zero() {
                    return Look::Buffers;
                }
                left
            }
            Doing::Nothing => left(limits.idle),
            Doing::Headers => left(limits.headers),
            Doing::Answer => left(limits.answer),
            // Both have limits of their own.
            Doing::Handshake | Doing::Request => soonest,
        };
        if left.is_zero() { Look::Close } else { Look::Again(left.min(soonest)) }
    }

    fn bytes_arrive(&self) {
        self.heard.store(true, Ordering::Relaxed);
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

    /// For how long it has done what it does.
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

    // Both hyper and TLS flush the stream below only after they have written all that they hold.
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
