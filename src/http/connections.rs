//! Connections: accepted, bounded in number and time, and never closed under a request.
//!
//! Why not hyper's own timer or axum-server: hyper's `header_read_timeout` also ends an idle keep-alive connection, and
//! its graceful shutdown closes idle connections at once, under the request that the API server may just be sending.
//! `docs/decisions/003-own-connection-loop.md` has the measurements.

use std::{
    convert::Infallible,
    io,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body};
use futures_util::FutureExt;
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tracing::{debug, warn};

use super::{
    activity::{Activity, Doing, TimerAction, Watched},
    drain::Count,
    observer::{HandshakeFailure, Observer},
    slots::{Slot, Slots},
};

/// The phase of the shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// In service.
    Serving,
    /// Shutting down: new connections and requests are still served, and each answer asks its client to connect elsewhere.
    Draining,
    /// No new connections are accepted; requests in hand are finished.
    Stopping,
}

/// Limits on the number of connections and on their times.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// The most open connections. From nine tenths on, an idle one is closed for each new one. An API server has at most 600
    /// requests in flight by default (`--max-requests-inflight`, `--max-mutating-requests-inflight`).
    pub connections: usize,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long a request's headers may take, from their first byte on.
    pub headers: Duration,
    /// How long a client may take to read an answer.
    pub answer: Duration,
    /// How long a connection may wait for its next request. The API server keeps idle connections for 90 s
    /// (apimachinery: util/net/http.go, `SetOldTransportDefaults`) and must be the one to close.
    pub idle: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            handshake: Duration::from_secs(10),
            headers: Duration::from_secs(10),
            answer: Duration::from_secs(10),
            idle: Duration::from_secs(120),
        }
    }
}

impl ConnectionLimits {
    /// The limits of a plain port for probes and metrics. It has few clients, each of which sends its request in one piece. A
    /// client that keeps its connection sends GET, which it can repeat on another one.
    pub const ADMIN: Self = Self {
        connections: 64,
        handshake: Duration::from_secs(5),
        headers: Duration::from_secs(5),
        answer: Duration::from_secs(5),
        idle: Duration::from_secs(16),
    };
}

/// Serves one listener until [`Phase::Stopping`].
pub struct Connections {
    /// Limits on number and times.
    pub limits: ConnectionLimits,
    /// The TLS configuration; `None` for plain HTTP.
    pub tls: Option<TlsAcceptor>,
    /// Answers the requests.
    pub router: Router,
    /// The phase of the shutdown, set by the owner of the process.
    pub phase: watch::Receiver<Phase>,
    /// Counts the connections.
    pub open: Arc<OpenConnections>,
    /// Receives the events of the connections.
    pub observer: Arc<dyn Observer>,
}

/// The connections of a listener, counted.
#[derive(Debug, Default)]
pub struct OpenConnections {
    tasks: TaskTracker,
    ever: AtomicU64,
}

/// The first pause after a failed accept, and the longest.
const BACK_OFF: Duration = Duration::from_millis(20);
const BACK_OFF_AT_MOST: Duration = Duration::from_secs(1);
/// The largest request head, the largest read of a body, and the largest unread output, in bytes: the memory of a
/// connection besides its request. The API server's headers take a few hundred bytes, and a TLS record is not larger than
/// this (RFC 8446, section 5.1).
const BUFFER: usize = 16 << 10;

// === impl Connections ===

impl Connections {
    /// Accepts connections from `listener` until [`Phase::Stopping`]. Open connections then finish their request:
    /// [`Connections::open`] counts them.
    pub async fn serve(self, listener: TcpListener) {
        let mut phase = self.phase.clone();
        let stopping = pin!(phase.wait_for(|&phase| phase == Phase::Stopping));
        tokio::select! {
            () = self.accept(listener) => {}
            _ = stopping => {}
        }
    }

    async fn accept(self, listener: TcpListener) {
        let slots = Slots::new(self.limits.connections);
        let first = if self.tls.is_some() { Doing::Handshake } else { Doing::Nothing };
        let this = Arc::new(self);
        let mut back_off = BackOff::default();
        loop {
            let (stream, client) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    this.observer.accept_failed();
                    back_off.wait(&error).await;
                    continue;
                }
            };
            back_off = BackOff::default();
            let activity = Arc::new(Activity::new(first));
            let Some(slot) = slots.enter(client.ip(), &activity).await else {
                this.observer.accept_failed();
                continue;
            };
            let connection = Arc::clone(&this);
            this.open.spawn(async move {
                let _counted = Open::count(&*connection.observer);
                connection.handle(stream, &activity, &slot).await;
            });
        }
    }

    async fn handle(&self, stream: TcpStream, activity: &Arc<Activity>, slot: &Slot) {
        // Answers are small and complete: waiting to fill a segment only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "cannot set TCP_NODELAY");
        }
        let stream = Watched::new(stream, Arc::clone(activity), self.tls.is_some());
        let Some(tls) = &self.tls else {
            return self.http(stream, activity, slot).await;
        };
        let accept = tls.accept_with(stream, |session| session.set_buffer_limit(Some(BUFFER)));
        let handshake = tokio::select! {
            handshake = timeout(self.limits.handshake, accept) => handshake,
            () = slot.evicted() => return self.observer.evicted(),
        };
        let failure = match handshake {
            Ok(Ok(stream)) => {
                activity.handshake_ends();
                return self.http(stream, activity, slot).await;
            }
            Ok(Err(error)) => {
                debug!(%error, "TLS handshake failed");
                HandshakeFailure::Protocol
            }
            Err(_elapsed) => HandshakeFailure::TimedOut,
        };
        // Load balancers and scanners connect without a byte to check that the port is open.
        if activity.has_received() {
            self.observer.handshake_failed(failure);
        }
    }

    async fn http<S>(&self, stream: S, activity: &Activity, slot: &Slot)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let service = service_fn(|request| self.respond(request, activity));
        let mut http = http1::Builder::new();
        // A client that closed its half of the connection after the request still waits for the answer.
        http.half_close(true).max_buf_size(BUFFER);
        let mut connection = http.serve_connection(TokioIo::new(stream), service);
        let mut phase = self.phase.clone();
        // One timer, which fires a few times a minute. Requests never touch it.
        let mut timer = pin!(sleep(Duration::ZERO));
        let mut stopping = false;
        loop {
            tokio::select! {
                result = &mut connection => {
                    if let Err(error) = result {
                        debug!(%error, "connection ended");
                    }
                    return;
                }
                () = timer.as_mut() => match activity.on_timer(&self.limits) {
                    TimerAction::Rearm(wait) => timer.as_mut().reset(Instant::now() + wait),
                    TimerAction::Close => return,
                    TimerAction::CheckBuffers => {
                        let parts = connection.into_parts();
                        if stopping || activity.is_within_record() || !parts.read_buf.is_empty() {
                            return;
                        }
                        // Nothing is lost: no byte is on its way in either direction.
                        connection = http.serve_connection(parts.io, parts.service);
                        activity.buffers_are_empty();
                        timer.as_mut().reset(Instant::now());
                    }
                },
                () = slot.evicted() => {
                    if activity.gives_way().is_none() {
                        slot.stay();
                        continue;
                    }
                    self.observer.evicted();
                    Pin::new(&mut connection).graceful_shutdown();
                    // An idle connection sends its TLS close alert; the others are not waited for.
                    let _ = connection.now_or_never();
                    return;
                }
                _ = phase.wait_for(|&phase| phase == Phase::Stopping), if !stopping => {
                    stopping = true;
                    Pin::new(&mut connection).graceful_shutdown();
                }
            }
        }
    }

    async fn respond(
        &self,
        request: Request<Incoming>,
        activity: &Activity,
    ) -> Result<Response<Body>, Infallible> {
        activity.request_begins();
        // hyper checks the head against its buffer only while a part is missing: a head that arrives at once may be larger.
        if head_size(&request) > BUFFER {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            activity.request_ends();
            return Ok(response);
        }
        // A panic must cost one answer, not the connection and the requests behind it. Unwinding is safe: requests share
        // only counters and values that are replaced as a whole.
        let answer = AssertUnwindSafe(self.router.clone().oneshot(request)).catch_unwind().await;
        let mut response = match answer {
            Ok(response) => response?,
            Err(_panic) => self.observer.panicked(),
        };
        if *self.phase.borrow() != Phase::Serving {
            // The only way in HTTP/1.1 to remove a connection from its client's pool before it is closed.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        activity.request_ends();
        Ok(response)
    }
}

/// The approximate size of a request's head on the wire, in bytes.
fn head_size(request: &Request<Incoming>) -> usize {
    let fields = request.headers().iter();
    let fields: usize = fields.map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    fields + target
}

// === impl OpenConnections ===

impl OpenConnections {
    fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static) {
        self.ever.fetch_add(1, Ordering::Relaxed);
        self.tasks.spawn(connection);
    }

    pub(crate) fn count(&self) -> Count {
        Count { open: self.tasks.len(), ever: self.ever.load(Ordering::Relaxed) }
    }

    /// Waits until the last connection is closed. No new one may be added after this call.
    pub(crate) async fn gone(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Counts a connection as open until it is dropped.
struct Open<'o>(&'o dyn Observer);

impl<'o> Open<'o> {
    fn count(observer: &'o dyn Observer) -> Self {
        observer.opened();
        Self(observer)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.closed();
    }
}

/// A back-off after failed accepts that logs the first failure. Without file descriptors, retrying at once would only use
/// CPU time.
#[derive(Default)]
struct BackOff {
    failures: u32,
}

impl BackOff {
    async fn wait(&mut self, error: &io::Error) {
        let at_once = matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
        );
        if at_once {
            return; // The client closed the connection; the next one is not affected.
        }
        if self.failures == 0 {
            warn!(%error, "cannot accept connections");
        }
        let delay = BACK_OFF.saturating_mul(1 << self.failures.min(6)).min(BACK_OFF_AT_MOST);
        self.failures = self.failures.saturating_add(1);
        sleep(delay).await;
    }
}
