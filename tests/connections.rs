//! Connections of every kind: slow, silent, greedy, half-closed, many. Real sockets, and limits that are small enough to
//! be met within a test.

#![cfg(test)]

mod support;

use std::{
    io::Write,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, routing::post};
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
use serde_json::{Value, json};
use support::{
    client::{Connection, any_certificate, tls},
    review,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, client::TlsStream};

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);
/// A limit that a test waits for.
const SHORT: Duration = Duration::from_millis(600);
/// A limit that no test reaches.
const LONG: Duration = Duration::from_secs(3600);
/// Between two bytes of a client that drips: an hour would not be enough for its request, but it is never silent.
const DRIP: Duration = Duration::from_millis(50);

const NO_LIMITS: ConnectionLimits =
    ConnectionLimits { connections: 1000, handshake: LONG, headers: LONG, idle: LONG };
const BODIES: BodyLimits = BodyLimits { bytes: 1 << 20, time: LONG, small: 0, memory: 16 << 20 };

/// Connections and what is behind them, in this process.
struct Server {
    address: SocketAddr,
    metrics: Arc<Metrics>,
    phase: watch::Sender<Phase>,
}

impl Server {
    async fn start(limits: ConnectionLimits) -> Self {
        Self::with_bodies(limits, BODIES, 1000).await
    }

    async fn with_bodies(limits: ConnectionLimits, bodies: BodyLimits, in_flight: usize) -> Self {
        let mapping = mapping::parse("always: [pull]\n").unwrap();
        let known = Knowledge { mapping, own_namespace: None };
        let metrics = metrics();
        let admission = Admission::new(known, Arc::clone(&metrics), bodies, in_flight);
        Self::serving(limits, admission::router(Arc::new(admission)), metrics).await
    }

    async fn serving(limits: ConnectionLimits, router: Router, metrics: Arc<Metrics>) -> Self {
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
            metrics: Some(Arc::clone(&metrics)),
        };
        tokio::spawn(connections.serve(listener));
        Self { address, metrics, phase }
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        timeout(PATIENCE, tls(self.address, any_certificate())).await.unwrap().unwrap()
    }

    async fn client(&self) -> Connection {
        timeout(PATIENCE, Connection::tls(self.address)).await.unwrap()
    }

    fn counts(&self, sample: &str) -> u64 {
        let text = self.metrics.encode().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(sample));
        line.map_or(0, |value| value.trim().parse().unwrap())
    }

    async fn until_connections(&self, expected: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.counts("pullcred_connections ") != expected {
            assert!(Instant::now() < deadline, "not {expected} connections in time");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

fn metrics() -> Arc<Metrics> {
    let (log, _guard) = tracing_appender::non_blocking(std::io::sink());
    Arc::new(Metrics::new(log.error_counter()))
}

fn a_review(uid: &str) -> String {
    let pod = json!({ "spec": { "containers": [{ "name": "app", "image": "nginx" }] } });
    review::create("shop", &pod, &json!({ "uid": uid })).to_string()
}

/// The review as it goes over the wire; `more` are further headers.
fn request(body: &str, more: &str) -> String {
    format!(
        "POST /mutate?timeout=3s HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{more}\
         content-length: {}\r\n\r\n{body}",
        body.len(),
    )
}

async fn is_answered(client: &mut Connection) -> bool {
    client.review(a_review("1")).await.is_ok_and(|answer| answer.status == StatusCode::OK)
}

/// All that the other side still says, until it closes. It may reset the connection when what it was sent is unread.
async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut text)).await.expect("an end in time");
    String::from_utf8(text).unwrap()
}

/// Writes byte by byte until the other side has had enough, and how long it bore it.
async fn drip<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> Duration {
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

#[tokio::test]
async fn a_slow_hand_shake_is_cut_off() {
    let server = Server::start(ConnectionLimits { handshake: SHORT, ..NO_LIMITS }).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(rest(&mut silent).await, "");
    let mut dripping = TcpStream::connect(server.address).await.unwrap();
    let hello = [&[0x16, 3, 1, 1, 0, 1, 0, 0, 0xfc, 3, 3][..], &[0; 200]].concat();
    assert!(drip(&mut dripping, &hello).await >= SHORT);
    let timed_out = r#"pullcred_tls_handshake_failures_total{reason="timed-out"}"#;
    assert_eq!(server.counts(timed_out), 2);
    assert!(is_answered(&mut server.client().await).await);
}

#[tokio::test]
async fn slow_headers_are_cut_off() {
    let server = Server::start(ConnectionLimits { headers: SHORT, ..NO_LIMITS }).await;
    let slow = request(&a_review("1"), &format!("x-padding: {}\r\n", "x".repeat(1000)));
    let mut many = server.connect().await;
    assert!(drip(&mut many, slow.as_bytes()).await >= SHORT);

    // The bytes of a single record: the server's TLS can hand on none of it before the last has come.
    let (mut stream, mut session) = server.connect().await.into_inner();
    session.writer().write_all(slow.as_bytes()).unwrap();
    let mut record = Vec::new();
    session.write_tls(&mut record).unwrap();
    assert!(drip(&mut stream, &record).await >= SHORT);
    server.until_connections(0).await;
}

#[tokio::test]
async fn the_second_request_has_its_headers_timed_too() {
    let server = Server::start(ConnectionLimits { headers: SHORT, ..NO_LIMITS }).await;
    let mut stream = server.connect().await;
    stream.write_all(request(&a_review("1"), "").as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    stream.write_all(b"POST /mut").await.unwrap();
    rest(&mut stream).await;
}

#[tokio::test]
async fn a_slow_body_gets_408() {
    let bodies = BodyLimits { time: SHORT, ..BODIES };
    let server = Server::with_bodies(NO_LIMITS, bodies, 1000).await;
    let whole = request(&a_review("1"), "");
    let mut stream = server.connect().await;
    stream.write_all(&whole.as_bytes()[..whole.len() - 1]).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 408 ") && answer.contains("connection: close"),
        "{answer}"
    );
    let refused = r#"pullcred_admission_requests_total{result="refused",reason="body-timed-out"}"#;
    assert_eq!(server.counts(refused), 1);
}

#[tokio::test]
async fn an_idle_connection_outlives_the_limit_for_headers() {
    let limits = ConnectionLimits { headers: SHORT, idle: 4 * SHORT, ..NO_LIMITS };
    let server = Server::start(limits).await;
    let mut client = server.client().await;
    // From the hand-shake to the first request, and between two requests.
    for _ in 0..2 {
        sleep(2 * SHORT).await;
        assert!(is_answered(&mut client).await, "idle connections are the client's to close");
    }
    server.until_connections(0).await;
    assert!(!is_answered(&mut client).await);
}

#[tokio::test]
async fn connections_beyond_the_cap_wait_and_are_then_served() {
    let server = Server::start(ConnectionLimits { connections: 2, ..NO_LIMITS }).await;
    let (mut first, mut second) = (server.client().await, server.client().await);
    let address = server.address;
    let waiting = tokio::spawn(async move { Connection::tls(address).await });
    sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished(), "there is room for two");
    assert!(is_answered(&mut first).await && is_answered(&mut second).await);
    drop(first);
    let mut third = timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert!(is_answered(&mut third).await);
    server.until_connections(2).await;
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let server = Server::start(NO_LIMITS).await;
    let mut client = server.client().await;
    for n in 0..1000 {
        let answer = client.review(a_review(&n.to_string())).await.unwrap();
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(review::patch_of(&answer, &n.to_string()).is_some());
    }
    assert_eq!(server.counts("pullcred_connections "), 1);
    let injected = r#"pullcred_admission_requests_total{result="injected",reason=""}"#;
    assert_eq!(server.counts(injected), 1000);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let server = Server::start(NO_LIMITS).await;
    let mut stream = server.connect().await;
    let mut all = (0..9).map(|n| request(&a_review(&format!("uid-{n}")), "")).collect::<String>();
    all.push_str(&request(&a_review("uid-9"), "connection: close\r\n"));
    stream.write_all(all.as_bytes()).await.unwrap();
    let answers = rest(&mut stream).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 10, "{answers}");
    let uids: Vec<_> = answers.split("uid-").skip(1).map(|rest| &rest[..1]).collect();
    assert_eq!(uids.concat(), "0123456789");
}

#[tokio::test]
async fn who_has_said_all_and_closes_half_still_gets_the_answer() {
    let server = Server::start(NO_LIMITS).await;
    let mut stream = server.connect().await;
    stream.write_all(request(&a_review("1"), "").as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[tokio::test]
async fn who_closes_half_in_the_middle_of_a_request_is_not_waited_for() {
    let server = Server::start(NO_LIMITS).await;
    let whole = request(&a_review("1"), "");
    for cut in [10, whole.len() - 1] {
        let mut stream = server.connect().await;
        stream.write_all(&whole.as_bytes()[..cut]).await.unwrap();
        stream.shutdown().await.unwrap();
        rest(&mut stream).await;
    }
    server.until_connections(0).await;
    assert_eq!(server.counts("pullcred_admission_in_flight "), 0);
}

#[tokio::test]
async fn while_draining_each_answer_asks_to_leave_and_new_clients_are_still_served() {
    let server = Server::start(NO_LIMITS).await;
    let (mut idle, mut busy) = (server.client().await, server.client().await);
    assert!(is_answered(&mut idle).await && is_answered(&mut busy).await);
    server.phase.send_replace(Phase::Draining);
    let mut new = server.client().await;
    for client in [&mut busy, &mut new] {
        let answer = client.review(a_review("1")).await.unwrap();
        assert_eq!(
            (answer.status, &answer.headers[header::CONNECTION]),
            (StatusCode::OK, &"close".parse().unwrap())
        );
        assert!(!is_answered(client).await, "and the connection is closed");
    }
    // Whoever has not asked has not been told, so nothing is closed under it.
    server.until_connections(1).await;
    assert!(is_answered(&mut idle).await);
    server.until_connections(0).await;
}

#[tokio::test]
async fn when_stopping_requests_in_hand_are_finished_and_the_rest_is_closed() {
    let server = Server::start(NO_LIMITS).await;
    let mut idle = server.client().await;
    assert!(is_answered(&mut idle).await);
    let mut busy = server.connect().await;
    let whole = request(&a_review("1"), "");
    let (most, last) = whole.as_bytes().split_at(whole.len() - 1);
    busy.write_all(most).await.unwrap();
    server.until_connections(2).await;
    while server.counts("pullcred_admission_in_flight ") == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    server.phase.send_replace(Phase::Stopping);
    server.until_connections(1).await;
    assert!(!is_answered(&mut idle).await);
    busy.write_all(last).await.unwrap();
    let answer = rest(&mut busy).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.contains("connection: close"),
        "{answer}"
    );
    server.until_connections(0).await;
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_panic_costs_one_answer_and_not_the_connection() {
    async fn bug(body: String) -> String {
        assert_ne!(body, "bug", "this is the panic of this test");
        body
    }
    let metrics = metrics();
    let router = Router::new().route("/mutate", post(bug));
    let server = Server::serving(NO_LIMITS, router, metrics).await;
    let mut client = server.client().await;
    for _ in 0..3 {
        let answer = client.review("bug").await.unwrap();
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        let status: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(status["reason"], "InternalError", "{status}");
        assert!(!status.to_string().contains("this is the panic"), "{status}");
        let answer = client.review("no bug").await.unwrap();
        assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &b"no bug"[..]));
    }
    assert_eq!(server.counts("pullcred_panics_total"), 3);
    let refused = r#"pullcred_admission_requests_total{result="refused",reason="panic"}"#;
    assert_eq!(server.counts(refused), 3);
    assert_eq!(server.counts("pullcred_connections "), 1);
}

#[tokio::test]
async fn beyond_the_requests_in_hand_there_is_429_until_one_is_done() {
    let server = Server::with_bodies(NO_LIMITS, BODIES, 1).await;
    let whole = request(&a_review("1"), "connection: close\r\n");
    let (most, last) = whole.as_bytes().split_at(whole.len() - 1);
    let mut slow = server.connect().await;
    slow.write_all(most).await.unwrap();
    while server.counts("pullcred_admission_in_flight ") == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    let mut other = server.client().await;
    for _ in 0..3 {
        let answer = other.review(a_review("2")).await.unwrap();
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.headers[header::RETRY_AFTER], "1");
    }
    slow.write_all(last).await.unwrap();
    assert!(rest(&mut slow).await.starts_with("HTTP/1.1 200 OK"));
    assert!(is_answered(&mut other).await, "on the same connection");
    assert_eq!(server.counts("pullcred_admission_shed_total"), 3);
}

#[tokio::test]
async fn large_bodies_on_their_way_leave_room_for_small_ones() {
    let bodies = BodyLimits { small: 4096, memory: 100_000, ..BODIES };
    let server = Server::with_bodies(NO_LIMITS, bodies, 1000).await;
    let mut client = server.client().await;
    // Announced only: it takes nothing.
    let mut announced = Vec::new();
    for _ in 0..10 {
        let mut stream = server.connect().await;
        stream
            .write_all(request(&"x".repeat(90_000), "").split_at(200).0.as_bytes())
            .await
            .unwrap();
        announced.push(stream);
    }
    let large = format!("{}{}", a_review("1"), " ".repeat(80_000));
    assert_eq!(client.review(large.clone()).await.unwrap().status, StatusCode::OK);

    let mut held = server.connect().await;
    let whole = request(&large, "connection: close\r\n");
    let (most, last) = whole.as_bytes().split_at(whole.len() - 1);
    held.write_all(most).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while client.review(large.clone()).await.unwrap().status != StatusCode::TOO_MANY_REQUESTS {
        assert!(Instant::now() < deadline, "80 kB are held, and 80 kB more fit into 100 kB");
    }
    assert!(is_answered(&mut client).await, "a small one is served");
    held.write_all(last).await.unwrap();
    assert!(rest(&mut held).await.starts_with("HTTP/1.1 200 OK"));
    assert_eq!(client.review(large).await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_in_words_that_are_heard() {
    let server = Server::start(NO_LIMITS).await;
    for more in ["", "transfer-encoding: chunked\r\n"] {
        let mut stream = server.connect().await;
        let head = if more.is_empty() {
            request(&"x".repeat(2 << 20), "")
        } else {
            format!(
                "POST /mutate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{more}\r\n200000\r\n{}",
                "x".repeat(2 << 20)
            )
        };
        // The server may have heard enough before the end.
        let _ = stream.write_all(head.as_bytes()).await;
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{more}{answer}");
    }
}

#[tokio::test]
async fn headers_have_a_size_too() {
    let server = Server::start(NO_LIMITS).await;
    let mut stream = server.connect().await;
    let head =
        format!("POST /mutate HTTP/1.1\r\nhost: localhost\r\nx-padding: {}", "x".repeat(1 << 20));
    let _ = stream.write_all(head.as_bytes()).await;
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}
