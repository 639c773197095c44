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
    Request, Response,
    body::Incoming,
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::{Instant, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tracing::{debug, warn};

use super::{
    activity::{Activity, Watched},
    drain::Count,
    observer::{HandshakeFailure, Observer},
};

/// Where in its life the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// In service.
    Serving,
    /// Leaving: new connections and requests are still served, and each answer asks its client to connect elsewhere.
    Draining,
    /// Gone for new connections; requests in hand are finished.
    Stopping,
}

/// How many connections there may be, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// How many connections to hold at once. Further ones wait in the kernel's queue. An API server has 600 requests in
    /// hand at most, unless it is told otherwise (`--max-requests-inflight`, `--max-mutating-requests-inflight`).
    pub connections: usize,
    /// How long a TLS hand-shake may take.
    pub handshake: Duration,
    /// How long a request's headers may take, from their first byte on.
    pub headers: Duration,
    /// How long a connection may wait for its next request. The API server keeps idle connections for 90 s
    /// (apimachinery: util/net/http.go, `SetOldTransportDefaults`) and must be the one to close.
    pub idle: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 2048,
            handshake: Duration::from_secs(10),
            headers: Duration::from_secs(10),
            idle: Duration::from_secs(120),
        }
    }
}

/// Serves one listener until [`Phase::Stopping`].
pub struct Connections {
    /// The limits.
    pub limits: ConnectionLimits,
    /// TLS, or plain HTTP.
    pub tls: Option<TlsAcceptor>,
    /// What is served.
    pub router: Router,
    /// Where the process is in its life.
    pub phase: watch::Receiver<Phase>,
    /// Counts the connections.
    pub open: Arc<OpenConnections>,
    /// Hears what happens to the connections.
    pub observer: Arc<dyn Observer>,
}

/// The connections of a listener, counted.
#[derive(Debug, Default)]
pub struct OpenConnections {
    tasks: TaskTracker,
    ever: AtomicU64,
}

/// How long to leave the listener alone after it could not accept, and at most.
const BACK_OFF: Duration = Duration::from_millis(20);
const BACK_OFF_AT_MOST: Duration = Duration::from_secs(1);
/// The most that is kept of a request's headers, and read of its body at once, in bytes: what a connection can make us hold
/// before a request is counted. The API server's headers take a few hundred.
const BUFFER: usize = 64 << 10;

// === impl Connections ===

impl Connections {
    /// Accepts connections from `listener` until [`Phase::Stopping`]. Those that are open then go on until their request
    /// has its answer: [`Connections::open`] tells when the last is gone.
    pub async fn serve(self, listener: TcpListener) {
        let mut phase = self.phase.clone();
        let stopping = pin!(phase.wait_for(|&phase| phase == Phase::Stopping));
        tokio::select! {
            () = self.accept(listener) => {}
            _ = stopping => {}
        }
    }

    async fn accept(self, listener: TcpListener) {
        let room = Arc::new(Semaphore::new(self.limits.connections.min(Semaphore::MAX_PERMITS)));
        let this = Arc::new(self);
        let mut back_off = BackOff::default();
        loop {
            let Ok(place) = Arc::clone(&room).acquire_owned().await else {
                return;
            };
            let stream = match listener.accept().await {
                Ok((stream, _client)) => stream,
                Err(error) => {
                    drop(place);
                    this.observer.accept_failed();
                    back_off.wait(&error).await;
                    continue;
                }
            };
            back_off = BackOff::default();
            let connection = Arc::clone(&this);
            this.open.spawn(async move {
                let _counted = Open::count(&*connection.observer);
                connection.handle(stream).await;
                drop(place);
            });
        }
    }

    async fn handle(&self, stream: TcpStream) {
        // Answers are small and complete: waiting to fill a segment only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "cannot set TCP_NODELAY");
        }
        let activity = Arc::new(Activity::new());
        let stream = Watched::new(stream, Arc::clone(&activity));
        let Some(tls) = &self.tls else {
            return self.http(stream, &activity).await;
        };
        let failure = match timeout(self.limits.handshake, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                activity.request_ends();
                return self.http(stream, &activity).await;
            }
            Ok(Err(error)) => {
                debug!(%error, "TLS hand-shake failed");
                HandshakeFailure::Protocol
            }
            Err(_elapsed) => HandshakeFailure::TimedOut,
        };
        self.observer.handshake_failed(failure);
    }

    async fn http<S>(&self, stream: S, activity: &Activity)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let service = service_fn(|request| self.respond(request, activity));
        let mut http = http1::Builder::new();
        // Who has sent the whole request and closes its half of the connection still waits for the answer.
        http.half_close(true).max_buf_size(BUFFER);
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
        let mut phase = self.phase.clone();
        // One timer that goes off a few times a minute, whatever the connection does: no request touches it.
        let mut look = pin!(sleep(activity.look_again_in(&self.limits).unwrap_or_default()));
        let mut stopping = false;
        loop {
            tokio::select! {
                result = connection.as_mut() => {
                    if let Err(error) = result {
                        debug!(%error, "connection ended");
                    }
                    return;
                }
                () = look.as_mut() => match activity.look_again_in(&self.limits) {
                    Some(wait) => look.as_mut().reset(Instant::now() + wait),
                    None => return,
                },
                _ = phase.wait_for(|&phase| phase == Phase::Stopping), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
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
        // A bug of ours must cost one answer, not the connection and the requests behind it. Nothing is left half-done:
        // what requests share are counters and values that are swapped whole.
        let answer = AssertUnwindSafe(self.router.clone().oneshot(request)).catch_unwind().await;
        let mut response = match answer {
            Ok(response) => response?,
            Err(_panic) => self.observer.panicked(),
        };
        if *self.phase.borrow() != Phase::Serving {
            // The one way in HTTP/1.1 to take a connection out of its client's pool before it is closed.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        activity.request_ends();
        Ok(response)
    }
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

    /// Waits until none is left, when there will be no new ones.
    pub(crate) async fn gone(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Counts a connection as open.
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

/// Waits longer after each failure to accept, and logs the first: with no file descriptors left, trying again at once
/// would only burn the processor.
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
            return; // The client's doing; the next one is another.
        }
        if self.failures == 0 {
            warn!(%error, "cannot accept connections");
        }
        let delay = BACK_OFF.saturating_mul(1 << self.failures.min(6)).min(BACK_OFF_AT_MOST);
        self.failures = self.failures.saturating_add(1);
        sleep(delay).await;
    }
}
