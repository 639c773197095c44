//! What one request may take: of memory, of time, of the log.

use axum::{
    body::Body,
    http::{StatusCode, header},
};
use futures_util::StreamExt;
use http_body_util::BodyExt;
use pullcred::{
    core::{
        COPY_MAX, LIST_MAX,
        review::{NAMESPACE_MAX, UID_MAX},
    },
    webhook::body::BodyLimits,
};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{
    MAPPING,
    server::{Server, audit_annotations, post},
    support::review,
};

#[tokio::test]
async fn bodies_over_the_limit_get_413_announced_or_not() {
    let limits = BodyLimits { bytes: 1000, ..BodyLimits::default() };
    let server = Server::with_limits(MAPPING, limits, 64);
    let (status, ..) = server.send(post(vec![b' '; 1001])).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "by Content-Length");
    let chunks = (0..11).map(|_| Ok::<_, std::io::Error>(vec![b' '; 100]));
    let stream = Body::from_stream(futures_util::stream::iter(chunks));
    let (status, headers, _) = server.send(post(stream)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "by count");
    assert_eq!(headers[header::CONNECTION], "close");
}

#[tokio::test]
async fn without_room_a_request_is_asked_to_come_again() {
    let no_requests = Server::with_limits(MAPPING, BodyLimits::default(), 0);
    let limits = BodyLimits { small: 0, memory: 100, ..BodyLimits::default() };
    let no_memory = Server::with_limits(MAPPING, limits, 64);
    for server in [no_requests, no_memory] {
        let (status, headers, answer) = server.send(post(vec![b' '; 101])).await;
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{answer}");
        assert_eq!(
            headers[header::RETRY_AFTER],
            "1",
            "the API server retries only with this header"
        );
        assert_eq!(server.counts("pullcred_admission_shed_total"), 1);
    }
}

#[tokio::test]
async fn memory_for_bodies_is_given_back() {
    let limits = BodyLimits { small: 0, memory: 2000, ..BodyLimits::default() };
    let server = Server::with_limits(MAPPING, limits, 64);
    for _ in 0..10 {
        assert_eq!(server.send(post(vec![b' '; 1500])).await.0, StatusCode::BAD_REQUEST);
        assert_eq!(server.send(post(vec![b' '; 2500])).await.0, StatusCode::TOO_MANY_REQUESTS);
    }
}

#[tokio::test]
async fn an_answer_belongs_to_the_budget_until_it_is_written() {
    // Names whose answer is larger than the question.
    let names: Vec<String> = (0..100).map(|n| format!("robot-{n}")).collect();
    let mapping = format!("always: [{}]", names.join(", "));
    let limits = BodyLimits { small: 0, memory: 15_000, ..BodyLimits::default() };
    let server = Server::with_limits(&mapping, limits, 64);
    let pod = json!({ "spec": { "containers": [{ "name": "app", "image": "nginx" }] } });
    let review = review::create("shop", &pod, &Value::Null).to_string();
    let ask = || server.router.clone().oneshot(post(review.clone()));

    let mut unread = Vec::new();
    while unread.len() < 15 {
        let answer = ask().await.unwrap();
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
        unread.push(answer);
    }
    assert!((1..15).contains(&unread.len()), "{} answers", unread.len());
    // hyper lets go of the body when it has its bytes: they are not yet written, and count.
    let mut bytes = Vec::new();
    for answer in unread {
        bytes.push(answer.into_body().collect().await.unwrap().to_bytes());
    }
    assert_eq!(ask().await.unwrap().status(), StatusCode::TOO_MANY_REQUESTS);
    drop(bytes);
    assert_eq!(ask().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn without_budget_the_rest_of_a_body_that_stalls_is_not_waited_for_twice() {
    let limits = BodyLimits { small: 0, memory: 100, ..BodyLimits::default() };
    let server = Server::with_limits(MAPPING, limits, 64);
    // More than the budget after six of the ten seconds, and then no further byte.
    let begin = futures_util::stream::once(async {
        tokio::time::sleep(std::time::Duration::from_secs(6)).await;
        Ok::<_, std::io::Error>(vec![b' '; 101])
    });
    let body = Body::from_stream(begin.chain(futures_util::stream::pending()));
    let (status, headers, _) = server.send(post(body)).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(headers[header::RETRY_AFTER], "1");
    assert_eq!(server.counts("pullcred_admission_shed_total"), 1);
}

#[tokio::test]
async fn a_body_that_is_only_announced_takes_no_room() {
    let limits = BodyLimits { small: 0, memory: 10_000, ..BodyLimits::default() };
    let server = Server::with_limits(MAPPING, limits, 64);
    // In two frames, the second of which never comes.
    let begin = ["{", " "].map(Ok::<_, std::io::Error>);
    let stream = futures_util::stream::iter(begin).chain(futures_util::stream::pending());
    let stalled = Sized(Body::from_stream(stream));
    let stalled = tokio::spawn(server.router.clone().oneshot(post(Body::new(stalled))));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.send(post(vec![b' '; 9_900])).await.0, StatusCode::BAD_REQUEST);
    stalled.abort();
}

/// A body that announces 9,000 bytes.
struct Sized(Body);

impl hyper::body::Body for Sized {
    type Data = axum::body::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        std::pin::Pin::new(&mut self.0).poll_frame(context)
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        hyper::body::SizeHint::with_exact(9_000)
    }
}

#[tokio::test]
async fn lists_that_no_kubelet_can_run_are_not_read() {
    let server = Server::new(MAPPING);
    for (list, entry) in [
        ("containers", json!({ "image": "ghcr.io/acme/tools" })),
        ("initContainers", json!({})),
        ("ephemeralContainers", json!({})),
        ("volumes", json!({})),
        ("imagePullSecrets", json!({})),
    ] {
        for (count, reason) in [(LIST_MAX, None), (LIST_MAX + 1, Some("unreadable"))] {
            let mut pod = json!({ "spec": { "containers": [{ "image": "ghcr.io/acme/tools" }] } });
            pod["spec"][list] = json!(vec![&entry; count]);
            let answer = server.review(&review::create("shop", &pod, &Value::Null)).await;
            let audit = audit_annotations(&answer);
            assert_eq!(audit.get("skipped-reason").map(String::as_str), reason, "{count} {list}");
        }
    }
}

#[tokio::test]
async fn a_text_that_must_be_copied_has_a_longest_length() {
    let server = Server::new(MAPPING);
    for (length, reason) in [(COPY_MAX, "nothing-matches"), (COPY_MAX + 1, "unreadable")] {
        // The first character is written as an escape, and no image is valid at this length.
        let image = format!(r"\u0041{}", "a".repeat(length - 1));
        let pod = json!({ "spec": { "containers": [{ "name": "app", "image": "IMAGE" }] } });
        let review = review::create("shop", &pod, &Value::Null).to_string();
        let (status, _, answer) = server.send(post(review.replace("IMAGE", &image))).await;
        assert_eq!(status, StatusCode::OK, "{length}");
        assert_eq!(audit_annotations(&answer)["skipped-reason"], reason, "{length}");
    }
}

#[tokio::test]
async fn what_is_longer_than_any_api_server_sends_gets_400() {
    let server = Server::new(MAPPING);
    let pod = json!({ "spec": { "containers": [] } });
    for (field, most) in [("uid", UID_MAX), ("namespace", NAMESPACE_MAX)] {
        for (length, expected) in [(most, StatusCode::OK), (most + 1, StatusCode::BAD_REQUEST)] {
            let request = json!({ field: "u".repeat(length) });
            let review = review::create("shop", &pod, &request).to_string();
            let (status, _, answer) = server.send(post(review)).await;
            assert_eq!(status, expected, "{field} of {length}: {answer}");
        }
    }
}
