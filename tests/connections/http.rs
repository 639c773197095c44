//! Requests after one another, half-closed connections, the ends of a replica, and panics.

use std::time::Duration;

use crate::server::{NO_LIMITS, Server, a_review, is_answered, metrics, request, rest};
use crate::support::review;
use axum::{Router, routing::post};
use hyper::{StatusCode, header};
use pullcred::http::connections::Phase;
use serde_json::Value;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::sleep};

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
    let uids: Vec<_> = answers.split(r#""uid":"uid-"#).skip(1).map(|rest| &rest[..1]).collect();
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
    // A client without a request since has not been asked to leave, so its connection stays open.
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
    assert!(TcpStream::connect(server.address).await.is_err(), "the port is closed");
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
