//! Limits on requests in hand, bodies and headers.

use std::time::{Duration, Instant};

use crate::server::{BODIES, NO_LIMITS, PATIENCE, Server, a_review, is_answered, request, rest};
use hyper::{StatusCode, header};
use pullcred::webhook::body::BodyLimits;
use tokio::{io::AsyncWriteExt, time::sleep};

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
async fn large_bodies_on_their_way_leave_budget_for_small_ones() {
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

    let mut waiting = server.connect().await;
    let whole = request(&large, "connection: close\r\n");
    let (most, last) = whole.as_bytes().split_at(whole.len() - 1);
    waiting.write_all(most).await.unwrap();
    waiting.flush().await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while client.review(large.clone()).await.unwrap().status != StatusCode::TOO_MANY_REQUESTS {
        assert!(Instant::now() < deadline, "80 kB are reserved, and 80 kB more fit into 100 kB");
    }
    assert!(is_answered(&mut client).await, "a small one is served");
    waiting.write_all(last).await.unwrap();
    assert!(rest(&mut waiting).await.starts_with("HTTP/1.1 200 OK"));
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
    // In one piece, so that the server may read as much of it at once as it will ever do.
    for kib in [16, 96, 1024] {
        let mut stream = server.connect().await;
        let padding = format!("x-padding: {}\r\n", "x".repeat(kib << 10));
        let _ = stream.write_all(request(&a_review("1"), &padding).as_bytes()).await;
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{kib} KiB: {answer}");
    }
    let mut stream = server.connect().await;
    let padding = format!("connection: close\r\nx-padding: {}\r\n", "x".repeat(12 << 10));
    stream.write_all(request(&a_review("1"), &padding).as_bytes()).await.unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 200 OK"), "more than anyone needs");
}
