//! Connections and what is behind them, in this process, and what their clients say.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::support::{
    client::{Connection, any_certificate, tls},
    review,
};
use axum::Router;
use hyper::StatusCode;
use prometheus_client::metrics::counter::Counter;
use pullcred::{
    http::connections::{ConnectionLimits, Connections, Phase},
    mapping,
    pki::served::{Certificate, ServedCertificate, server_config},
    webhook::{
        admission::{self, Admission},
        body::BodyLimits,
        metrics::Metrics,
    },
};
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, client::TlsStream};

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// A limit that a test waits for.
pub(crate) const SHORT: Duration = Duration::from_millis(600);
/// A limit that no test reaches.
pub(crate) const LONG: Duration = Duration::from_secs(3600);
/// Between two bytes of a client that drips: an hour would not be enough for its request, but it is never silent.
pub(crate) const DRIP: Duration = Duration::from_millis(50);

pub(crate) const NO_LIMITS: ConnectionLimits = ConnectionLimits {
    connections: 1000,
    handshake: LONG,
    headers: LONG,
    answer: LONG,
    idle: LONG,
};
pub(crate) const BODIES: BodyLimits =
    BodyLimits { bytes: 1 << 20, time: LONG, small: 0, memory: 16 << 20 };

/// Connections and what is behind them, in this process.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) phase: watch::Sender<Phase>,
}

impl Server {
    pub(crate) async fn start(limits: ConnectionLimits) -> Self {
        Self::with_bodies(limits, BODIES, 1000).await
    }

    pub(crate) async fn with_bodies(
        limits: ConnectionLimits,
        bodies: BodyLimits,
        in_flight: usize,
    ) -> Self {
        let mapping = mapping::parse("always: [pull]\n").unwrap();
        let metrics = metrics();
        let admission = Admission::new(mapping, Arc::clone(&metrics), bodies, in_flight);
        Self::serving(limits, admission::router(Arc::new(admission)), metrics).await
    }

    pub(crate) async fn serving(
        limits: ConnectionLimits,
        router: Router,
        metrics: Arc<Metrics>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (phase, seen) = watch::channel(Phase::Serving);
        let served = Arc::new(ServedCertificate::new(Certificate::self_signed().unwrap()));
        let connections = Connections {
            limits,
            tls: Some(TlsAcceptor::from(Arc::new(server_config(served).unwrap()))),
            router,
            phase: seen,
            open: Arc::default(),
            observer: Arc::clone(&metrics) as _,
        };
        tokio::spawn(connections.serve(listener));
        Self { address, metrics, phase }
    }

    pub(crate) async fn connect(&self) -> TlsStream<TcpStream> {
        timeout(PATIENCE, tls(self.address, any_certificate())).await.unwrap().unwrap()
    }

    pub(crate) async fn client(&self) -> Connection {
        timeout(PATIENCE, Connection::tls(self.address)).await.unwrap()
    }

    pub(crate) fn counts(&self, sample: &str) -> u64 {
        let text = self.metrics.encode().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(sample));
        line.map_or(0, |value| value.trim().parse().unwrap())
    }

    pub(crate) async fn until_connections(&self, expected: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.counts("pullcred_connections ") != expected {
            assert!(Instant::now() < deadline, "not {expected} connections in time");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

pub(crate) fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new(Counter::default()))
}

pub(crate) fn a_review(uid: &str) -> String {
    let pod = json!({ "spec": { "containers": [{ "name": "app", "image": "nginx" }] } });
    review::create("shop", &pod, &json!({ "uid": uid })).to_string()
}

/// The review as it goes over the wire; `more` are further headers.
pub(crate) fn request(body: &str, more: &str) -> String {
    format!(
        "POST /mutate?timeout=3s HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{more}\
         content-length: {}\r\n\r\n{body}",
        body.len(),
    )
}

pub(crate) async fn is_answered(client: &mut Connection) -> bool {
    client.review(a_review("1")).await.is_ok_and(|answer| answer.status == StatusCode::OK)
}

/// All that the other side still says, until it closes. It may reset the connection when what it was sent is unread.
pub(crate) async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut text)).await.expect("an end in time");
    String::from_utf8(text).unwrap()
}

/// Writes byte by byte until the other side has had enough, and how long it bore it.
pub(crate) async fn drip<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    bytes: &[u8],
) -> Duration {
    let started = Instant::now();
    for byte in bytes {
        let gone = stream.write_all(&[*byte]).await.is_err() || stream.flush().await.is_err();
        if gone || timeout(DRIP, stream.read_u8()).await.is_ok() {
            return started.elapsed();
        }
        assert!(started.elapsed() < PATIENCE, "still borne after {PATIENCE:?}");
    }
    panic!("all {} bytes were borne", bytes.len());
}
