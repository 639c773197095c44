//! Who takes long over a hand-shake, headers or a body, or says nothing at all.

use std::{io::Write, time::Duration};

use crate::server::{
    BODIES, NO_LIMITS, PATIENCE, SHORT, Server, a_review, drip, is_answered, request, rest,
};
use crate::support::client::Connection;
use pullcred::{http::connections::ConnectionLimits, webhook::body::BodyLimits};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

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
