//! Connections on real sockets, with limits that are short enough to wait for.

#![cfg(test)]

mod support;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, routing::post};
use hyper::{StatusCode, header};
use pullcred::{
    core::decide::Knowledge,
    mapping,
    metrics::Metrics,
    server::{
        admission::{self, Admission},
        body::BodyLimits,
        connections::{ConnectionLimits, Connections, Phase},
        tls::{Certificate, ServedCertificate, server_config},
    },
};
use support::client::Connection;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

const LIMITS: ConnectionLimits = ConnectionLimits {
    connections: 100,
    handshake: Duration::from_millis(700),
    headers: Duration::from_millis(700),
    idle: Duration::from_secs(4),
};
/// Longer than a limit of 700 ms and the half second between two looks at a connection.
const OVERDUE: Duration = Duration::from_millis(1500);
const HEADERS: &str = "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";

struct Server {
    address: SocketAddr,
    phase: watch::Sender<Phase>,
    open: TaskTracker,
    metrics: Arc<Metrics>,
}

impl Server {
    async fn start(
        limits: ConnectionLimits,
        tls: bool,
        router: impl FnOnce(Arc<Metrics>) -> Router,
    ) -> Self {
        let (log, _guard) = tracing_appender::non_blocking(std::io::sink());
        let metrics = Arc::new(Metrics::new(log.error_counter()));
        let (phase, seen) = watch::channel(Phase::Serving);
        let open = TaskTracker::new();
        let certificate = ServedCertificate::new(Certificate::self_signed().unwrap());
        let acceptor = TlsAcceptor::from(Arc::new(server_config(Arc::new(certificate)).unwrap()));
        let connections = Connections {
            limits,
            tls: tls.then_some(acceptor),
            router: router(Arc::clone(&metrics)),
            phase: seen,
            open: open.clone(),
            metrics: Some(Arc::clone(&metrics)),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(connections.serve(listener));
        Self { address, phase, open, metrics }
    }

    /// In the clear, so that a test can write half a request.
    async fn plain() -> Self {
        Self::start(LIMITS, false, admission).await
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    fn counts(&self, sample: &str) -> bool {
        self.metrics.encode().unwrap().lines().any(|line| line == sample)
    }
}

fn admission(metrics: Arc<Metrics>) -> Router {
    let known =
        Knowledge { mapping: mapping::parse("always: [pull]").unwrap(), own_namespace: None };
    let limits = BodyLimits { time: Duration::from_millis(700), ..BodyLimits::default() };
    admission::router(Arc::new(Admission::new(known, metrics, limits, 10)))
}

/// What the server says until it closes the connection; fails if it does not close it in time.
async fn until_closed(stream: &mut TcpStream, within: Duration) -> String {
    let mut answer = Vec::new();
    // Closed with or without a reset.
    let _ =
        timeout(within, stream.read_to_end(&mut answer)).await.expect("the connection is closed");
    String::from_utf8(answer).unwrap()
}

/// Reads one answer to a request without a body that is no review.
async fn answer(stream: &mut TcpStream) -> String {
    let mut answer = vec![0; 4096];
    let read = timeout(OVERDUE, stream.read(&mut answer)).await.expect("an answer").unwrap();
    String::from_utf8(answer[..read].to_vec()).unwrap()
}

#[tokio::test]
async fn slow_headers_are_cut_off() {
    let server = Server::plain().await;
    let mut silent = server.connect().await;
    silent.write_all(b"POST /mut").await.unwrap();
    let mut dripping = server.connect().await;
    let drip = async {
        for byte in HEADERS.bytes().cycle() {
            if dripping.write_all(&[byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(OVERDUE * 2, drip).await.expect("dripping does not keep a connection open");
    assert_eq!(until_closed(&mut silent, OVERDUE).await, "");
}

#[tokio::test]
async fn a_slow_hand_shake_is_cut_off() {
    let server = Server::start(LIMITS, true, admission).await;
    let mut silent = server.connect().await;
    assert_eq!(until_closed(&mut silent, OVERDUE).await, "");
    assert!(server.counts(r#"pullcred_tls_handshake_failures_total{reason="timed-out"} 1"#));
}

#[tokio::test]
async fn a_slow_body_gets_408() {
    let server = Server::plain().await;
    let mut stream = server.connect().await;
    stream.write_all(format!("{HEADERS}Content-Length: 100\r\n\r\n{{").as_bytes()).await.unwrap();
    let answer = until_closed(&mut stream, OVERDUE * 2).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn an_idle_connection_outlives_the_limit_for_headers() {
    let server = Server::start(LIMITS, true, admission).await;
    let mut connection = Connection::tls(server.address).await;
    sleep(OVERDUE).await;
    for _ in 0..2 {
        let answer = connection.review("{}").await.unwrap();
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        sleep(OVERDUE).await;
    }
    let mut idle = server.connect().await;
    until_closed(&mut idle, LIMITS.idle + OVERDUE).await;
}

#[tokio::test]
async fn beyond_the_most_connections_the_rest_wait_for_their_turn() {
    let server =
        Server::start(ConnectionLimits { connections: 2, ..LIMITS }, false, admission).await;
    let request = format!("{HEADERS}Content-Length: 2\r\n\r\n{{}}");
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    for stream in [&mut first, &mut second] {
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(answer(stream).await.starts_with("HTTP/1.1 400"));
    }
    let mut third = server.connect().await;
    third.write_all(request.as_bytes()).await.unwrap();
    sleep(Duration::from_millis(300)).await;
    assert_eq!(server.open.len(), 2);
    drop(first);
    assert!(answer(&mut third).await.starts_with("HTTP/1.1 400"), "it waited, and is served");
}

#[tokio::test]
async fn requests_that_come_at_once_are_answered_in_turn() {
    let server = Server::plain().await;
    let mut stream = server.connect().await;
    let request = format!("{HEADERS}Content-Length: 2\r\n\r\n{{}}");
    let last = request.replacen("Host", "Connection: close\r\nHost", 1);
    stream.write_all(format!("{request}{request}{last}").as_bytes()).await.unwrap();
    let answers = until_closed(&mut stream, OVERDUE).await;
    assert_eq!(answers.matches("HTTP/1.1 400").count(), 3, "{answers}");
}

#[tokio::test]
async fn a_client_that_has_said_all_still_gets_its_answer() {
    let server = Server::plain().await;
    let mut stream = server.connect().await;
    stream.write_all(format!("{HEADERS}Content-Length: 2\r\n\r\n{{}}").as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let answer = until_closed(&mut stream, OVERDUE).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn while_draining_everybody_is_served_and_asked_to_leave() {
    let server = Server::start(LIMITS, true, admission).await;
    let mut pooled = Connection::tls(server.address).await;
    let answer = pooled.review("{}").await.unwrap();
    assert!(!answer.headers.contains_key(header::CONNECTION));
    server.phase.send_replace(Phase::Draining);
    for mut connection in [pooled, Connection::tls(server.address).await] {
        let answer = connection.review("{}").await.unwrap();
        assert_eq!(answer.headers[header::CONNECTION], "close");
    }
    server.open.close();
    timeout(OVERDUE, server.open.wait()).await.expect("nobody is connected any more");
}

#[tokio::test]
async fn stopping_finishes_what_is_in_hand_and_closes_what_is_idle() {
    let slow = |_| {
        let handler = async || {
            sleep(Duration::from_millis(500)).await;
            "done"
        };
        Router::new().route("/mutate", post(handler))
    };
    let server = Server::start(LIMITS, false, slow).await;
    let mut idle = server.connect().await;
    let mut busy = Connection::plain(server.address).await;
    let request = tokio::spawn(async move { busy.review(Body::empty()).await });
    sleep(Duration::from_millis(100)).await;
    server.phase.send_replace(Phase::Stopping);
    assert_eq!(until_closed(&mut idle, Duration::from_millis(300)).await, "");
    assert_eq!(request.await.unwrap().unwrap().body, "done");
    assert!(TcpStream::connect(server.address).await.is_err(), "the port is closed");
}

#[tokio::test]
async fn a_panic_ends_its_connection_and_no_other() {
    let panics =
        |_| Router::new().route("/mutate", post(async || panic!("of the test") as &'static str));
    let server = Server::start(LIMITS, false, panics).await;
    let mut other = Connection::plain(server.address).await;
    assert_eq!(other.get("/").await.status, StatusCode::NOT_FOUND);
    let mut hit = Connection::plain(server.address).await;
    assert!(hit.review("{}").await.is_err());
    assert_eq!(other.get("/").await.status, StatusCode::NOT_FOUND);
    assert_eq!(server.open.len(), 1);
}
