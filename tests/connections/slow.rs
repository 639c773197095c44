//! Who takes long over a handshake, headers or a body, or says nothing at all.

use std::{io::Write, sync::Arc};

use crate::server::{
    BODIES, NO_LIMITS, PATIENCE, SHORT, Server, a_review, drip, is_answered, metrics, request, rest,
};
use crate::support::client::any_certificate;
use axum::{Router, routing::get};
use pullcred::{http::connections::ConnectionLimits, webhook::body::BodyLimits};
use rustls::{ClientConnection, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

#[tokio::test]
async fn a_slow_handshake_is_cut_off() {
    let server = Server::start(ConnectionLimits { handshake: SHORT, ..NO_LIMITS }).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(rest(&mut silent).await, "");
    // A TCP health check, which is no fault of anybody.
    drop(TcpStream::connect(server.address).await.unwrap());
    let mut dripping = TcpStream::connect(server.address).await.unwrap();
    let hello = [&[0x16, 3, 1, 1, 0, 1, 0, 0, 0xfc, 3, 3][..], &[0; 200]].concat();
    assert!(drip(&mut dripping, &hello).await >= SHORT);
    let timed_out = r#"pullcred_tls_handshake_failures_total{reason="timed-out"}"#;
    assert_eq!(server.counts(timed_out), 1, "what never sent a byte does not count");
    server.until_connections(0).await;
    let broken = r#"pullcred_tls_handshake_failures_total{reason="protocol"}"#;
    assert_eq!(server.counts(broken), 0);
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

/// Finishes the handshake as a client whose last bytes of it carry `more` too, in one segment.
async fn handshake_with(server: &Server, more: impl FnOnce(Vec<u8>) -> Vec<u8>) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut session = ClientConnection::new(Arc::new(any_certificate()), name).unwrap();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    stream.write_all(&hello).await.unwrap();
    while session.is_handshaking() {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).await.unwrap();
        session.read_tls(&mut &bytes[..read]).unwrap();
        session.process_new_packets().unwrap();
    }
    session.writer().write_all(b"POST /mutate HTTP/1.1\r\nx-padding: ").unwrap();
    let mut finished = Vec::new();
    session.write_tls(&mut finished).unwrap();
    stream.write_all(&more(finished)).await.unwrap();
    stream
}

#[tokio::test]
async fn headers_that_come_with_the_end_of_the_handshake_are_timed_too() {
    let server = Server::start(ConnectionLimits { headers: SHORT, ..NO_LIMITS }).await;
    let mut whole = handshake_with(&server, |finished| finished).await;
    rest_of_bytes(&mut whole).await;
    // The last byte of the record that holds the headers is missing: TLS keeps it all to itself.
    let mut cut = handshake_with(&server, |finished| finished[..finished.len() - 1].to_vec()).await;
    rest_of_bytes(&mut cut).await;
    server.until_connections(0).await;
}

async fn rest_of_bytes(stream: &mut TcpStream) {
    let _ = timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await.expect("an end in time");
}

#[tokio::test]
async fn half_a_pipelined_request_has_its_headers_timed_too() {
    let server = Server::start(ConnectionLimits { headers: SHORT, ..NO_LIMITS }).await;
    for half in ["P", "POST /mutate HTTP/1.1\r\nx-padding: "] {
        let mut stream = server.connect().await;
        let both = request(&a_review("1"), "") + half;
        stream.write_all(both.as_bytes()).await.unwrap();
        assert!(rest(&mut stream).await.starts_with("HTTP/1.1 200 OK"));
    }
    server.until_connections(0).await;
}

#[tokio::test]
async fn an_answer_that_is_not_read_is_given_up() {
    let large = Router::new().route("/", get(|| async { vec![b'x'; 32 << 20] }));
    let limits = ConnectionLimits { answer: SHORT, ..NO_LIMITS };
    let server = Server::serving(limits, large, metrics()).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
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
    // From the handshake to the first request, and between two requests.
    for _ in 0..2 {
        sleep(2 * SHORT).await;
        assert!(is_answered(&mut client).await, "idle connections are the client's to close");
    }
    server.until_connections(0).await;
    assert!(!is_answered(&mut client).await);
}
