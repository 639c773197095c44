//! More connections than there are slots: who gives way, and who still gets in.

use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::server::{NO_LIMITS, PATIENCE, Server, a_review, is_answered, request, rest};
use crate::support::{
    client::{Connection, any_certificate, page, tls},
    process::{Webhook, command},
};
use hyper::StatusCode;
use pullcred::http::connections::ConnectionLimits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{sleep, timeout},
};

/// Twice as many as the webhook has slots.
const CROWD: usize = 2048;
/// What a caller waits for at most, however large the crowd.
const SOON: Duration = Duration::from_secs(1);

/// The real process, and the folder of its mapping.
fn webhook() -> (Webhook, tempfile::TempDir) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("mapping.yaml");
    fs::write(&config, "always: [pull]\n").unwrap();
    (Webhook::start(command(&config).arg("--tls-self-signed")), folder)
}

async fn is_served_soon(webhook: &Webhook) {
    let started = Instant::now();
    let mut caller = timeout(SOON, Connection::tls(webhook.address)).await.expect("a handshake");
    assert!(timeout(SOON, is_answered(&mut caller)).await.expect("an answer"));
    let answered = started.elapsed();
    let started = Instant::now();
    let live = timeout(SOON, page(webhook.admin, "/livez")).await.expect("a probe's answer");
    assert_eq!(live.0, StatusCode::OK);
    println!("a review after {answered:?}, /livez after {:?}", started.elapsed());
}

async fn evicted(webhook: &Webhook) -> usize {
    let (_, metrics) = page(webhook.admin, "/metrics").await;
    let name = "pullcred_connections_evicted_total ";
    metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap().parse().unwrap()
}

/// Opens connections a few at a time; with `ask`, each sends one request and reads its answer.
async fn crowd(address: SocketAddr, ask: bool) -> Vec<Connection> {
    let mut crowd = Vec::new();
    while crowd.len() < CROWD {
        let next = (0..16).map(|_| async move {
            let mut connection = Connection::tls(address).await;
            // It may have been closed by then, for the next ones.
            let _ = ask && is_answered(&mut connection).await;
            connection
        });
        crowd.extend(futures_util::future::join_all(next).await);
    }
    crowd
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_lock_nobody_out() {
    let (webhook, _folder) = webhook();
    let crowd = crowd(webhook.address, false).await;
    is_served_soon(&webhook).await;
    assert!(evicted(&webhook).await > CROWD / 20);
    drop(crowd);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_were_used_once_lock_nobody_out() {
    let (webhook, _folder) = webhook();
    let crowd = crowd(webhook.address, true).await;
    is_served_soon(&webhook).await;
    assert!(evicted(&webhook).await > CROWD / 20);
    drop(crowd);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_handshakes_and_half_headers_lock_nobody_out() {
    let (webhook, _folder) = webhook();
    let mut silent = Vec::new();
    for _ in 0..CROWD / 2 {
        let mut stream = TcpStream::connect(webhook.address).await.unwrap();
        stream.write_all(&[0x16, 3, 1]).await.unwrap();
        silent.push(stream);
    }
    let mut headers = Vec::new();
    for _ in 0..CROWD / 2 {
        let mut stream = tls(webhook.address, any_certificate()).await.unwrap();
        let _ = stream.write_all(b"POST /mutate HTTP/1.1\r\nx-padding: ").await;
        headers.push(stream);
    }
    is_served_soon(&webhook).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_are_answered_whatever_holds_the_admin_port() {
    let (webhook, _folder) = webhook();
    for first in [&b""[..], b"GET /livez HTTP/1.1\r\n", b"GET /livez HTTP/1.1\r\n\r\n"] {
        let mut crowd = Vec::new();
        for _ in 0..CROWD {
            let mut stream = TcpStream::connect(webhook.admin).await.unwrap();
            let _ = stream.write_all(first).await;
            crowd.push(stream);
        }
        is_served_soon(&webhook).await;
    }
}

#[tokio::test]
async fn an_idle_connection_gives_way_and_a_request_in_hand_does_not() {
    let server = Server::start(ConnectionLimits { connections: 2, ..NO_LIMITS }).await;
    let whole = request(&a_review("1"), "connection: close\r\n");
    let (most, last) = whole.as_bytes().split_at(whole.len() - 1);
    let mut in_hand = server.connect().await;
    in_hand.write_all(most).await.unwrap();
    while server.counts("pullcred_admission_in_flight ") == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    let mut idle = server.client().await;
    assert!(is_answered(&mut idle).await);
    let mut next = server.client().await;
    assert!(is_answered(&mut next).await);
    assert!(!is_answered(&mut idle).await, "it was closed");
    assert_eq!(server.counts("pullcred_connections_evicted_total "), 1);
    in_hand.write_all(last).await.unwrap();
    assert!(rest(&mut in_hand).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn while_every_slot_has_a_request_in_hand_the_next_one_waits_and_is_then_served() {
    let server = Server::start(ConnectionLimits { connections: 2, ..NO_LIMITS }).await;
    let whole = request(&a_review("1"), "connection: close\r\n");
    let (most, last) = whole.as_bytes().split_at(whole.len() - 1);
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    for stream in [&mut first, &mut second] {
        stream.write_all(most).await.unwrap();
    }
    while server.counts("pullcred_admission_in_flight ") < 2 {
        sleep(Duration::from_millis(5)).await;
    }
    let address = server.address;
    let waiting = tokio::spawn(async move { Connection::tls(address).await });
    sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished(), "both slots are taken");
    first.write_all(last).await.unwrap();
    assert!(rest(&mut first).await.starts_with("HTTP/1.1 200 OK"));
    let mut third = timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert!(is_answered(&mut third).await);
    second.write_all(last).await.unwrap();
    assert!(rest(&mut second).await.starts_with("HTTP/1.1 200 OK"));
}
