//! Reports that are absent, old, broken or hostile: decisions are what they are without.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::{
    scripted::{Refusal, Scripted},
    webhook::{REPORTS, Webhook, place, report, usual},
};

/// The names that Pods get without reports.
async fn assert_unknown(webhook: &Webhook, why: &str) {
    let answer = webhook.ask("shop", "skip.io/app").await;
    assert_eq!(answer.added, ["extra", "tools"], "{why}");
    assert!(answer.warnings.is_empty(), "{why}: {answer:?}");
    assert_eq!(webhook.metric("reports_fresh"), 0, "{why}");
}

async fn assert_known(webhook: &Webhook) {
    assert_eq!(webhook.added("skip.io/app").await, ["tools"]);
    assert_eq!(webhook.metric("reports_fresh"), 1);
}

#[tokio::test(start_paused = true)]
async fn without_reports_nothing_is_known_and_little_is_asked() {
    for refusal in [
        Refusal::Status(404, "the server could not find the requested resource", None),
        Refusal::Status(403, "pullsecretreports is forbidden", None),
        Refusal::Status(500, "broken", None),
        Refusal::Unreachable,
        Refusal::Hang,
    ] {
        let server = Scripted::new([(place("shop"), usual())]);
        let refused = refusal.clone();
        server.refuse(move |call| (call.path == REPORTS).then(|| refused.clone()));
        let mut webhook = Webhook::new(&server);
        webhook.renew();
        assert_unknown(&webhook, "at the start").await;
        sleep(Duration::from_secs(600)).await;
        assert_unknown(&webhook, &format!("{refusal:?}")).await;
        let calls = server.take_calls();
        let asked = calls.iter().filter(|call| call.path == REPORTS).count();
        assert!((4..=20).contains(&asked), "{refusal:?}: {asked} requests in ten minutes");
        let pages = calls.iter().filter(|call| call.path == REPORTS && !call.watch);
        for call in pages {
            assert!(call.query.contains("limit=500"), "{}", call.query);
        }

        // They come: what is there is known at the next attempt.
        server.refuse(|_| None);
        // A request that hangs takes a minute and a half to fail, and the pause after it a minute.
        sleep(Duration::from_secs(155)).await;
        assert_known(&webhook).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_left_over_is_no_sign_of_life() {
    let server = Scripted::new([(place("shop"), usual())]);
    let mut webhook = Webhook::new(&server);
    sleep(Duration::from_secs(300)).await;
    assert_unknown(&webhook, "no Lease").await;
    webhook.renew();
    sleep(Duration::from_secs(5)).await;
    assert_unknown(&webhook, "a first sight of the Lease").await;
    sleep(Duration::from_secs(10)).await;
    assert_known(&webhook).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_old_is_not_known_but_what_was_found_stays_in_use() {
    let mut webhook = Webhook::knowing(usual()).await;
    assert_known(&webhook).await;
    webhook.stop_renewing().await;
    sleep(Duration::from_secs(45)).await;
    assert_known(&webhook).await;
    sleep(Duration::from_secs(20)).await;
    assert_unknown(&webhook, "nobody renews the Lease").await;
    assert_eq!(webhook.added("own.io/app").await, ["tools", "own"]);
    webhook.server.refuse(|_| None);
    sleep(Duration::from_secs(80)).await;
    assert_known(&webhook).await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_stays_broken_makes_reports_old() {
    let webhook = Webhook::knowing(usual()).await;
    webhook.server.refuse(|call| (call.path == REPORTS).then_some(Refusal::Unreachable));
    webhook.server.break_watches();
    sleep(Duration::from_secs(50)).await;
    assert_known(&webhook).await;
    sleep(Duration::from_secs(15)).await;
    assert_unknown(&webhook, "the watch is broken").await;
    assert_eq!(webhook.added("own.io/app").await, ["tools", "own"]);
    webhook.server.refuse(|_| None);
    sleep(Duration::from_secs(70)).await;
    assert_known(&webhook).await;
}

#[tokio::test(start_paused = true)]
async fn what_changes_while_a_watch_is_broken_comes_with_the_next_list() {
    let webhook = Webhook::knowing(usual()).await;
    webhook.server.put(&place("gone"), Some(usual()));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(webhook.metric("reports_namespaces"), 2);
    webhook.server.compact();
    webhook.server.break_watches();
    webhook.server.put(&place("gone"), None);
    webhook.server.put(&place("shop"), Some(report(&json!([{"name": "extra", "state": "Ready"}]))));
    webhook.server.compact();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(webhook.metric("reports_namespaces"), 1);
    assert_eq!(webhook.added("skip.io/app").await, ["extra", "tools"]);
}

#[tokio::test(start_paused = true)]
async fn reports_that_are_deleted_with_their_definition_are_unknown() {
    let webhook = Webhook::knowing(usual()).await;
    webhook.server.refuse(|call| {
        (call.path == REPORTS).then_some(Refusal::Status(404, "404 page not found", None))
    });
    webhook.server.break_watches();
    sleep(Duration::from_secs(5)).await;
    assert_unknown(&webhook, "the definition is gone").await;
    assert_eq!(webhook.added("own.io/app").await, ["tools"]);
    assert_eq!(webhook.metric("reports_namespaces"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_report_that_says_nothing_leaves_its_namespace_unknown_and_no_other() {
    let webhook = Webhook::knowing(usual()).await;
    webhook.server.put(&place("other"), Some(usual()));
    let mut many: Vec<_> =
        (0..300).map(|n| json!({"name": format!("s{n}"), "state": "Ready"})).collect();
    many.push(json!({"name": "extra", "state": "Missing"}));
    for garbage in [
        json!({"status": null}),
        json!({"status": "text"}),
        json!({"status": {"secrets": {"extra": "Missing"}}}),
        json!({"status": {"secrets": [{"name": "extra", "state": {"is": "Missing"}}]}}),
        json!({"status": {"secrets": [{"name": "extra"}]}}),
        json!({"status": {"allOfTomorrow": []}}),
        report(&json!([{"name": "extra", "state": "FineButDifferent"}])),
        report(
            &json!([{"name": "extra", "state": "Missing"}, {"name": "extra", "state": "Ready"}]),
        ),
        report(&json!([{"name": "extra", "state": "Missing"}, {"name": "", "state": "Ready"}])),
        report(
            &json!([{"name": "extra", "state": "Missing"}, {"name": "own", "state": "Ready", "keys": ["k".repeat(600)]}]),
        ),
        report(&json!(many)),
    ] {
        webhook.server.put(&place("shop"), Some(usual()));
        sleep(Duration::from_secs(5)).await;
        assert_known(&webhook).await;
        webhook.server.put(&place("shop"), Some(garbage.clone()));
        for _ in 0..2 {
            sleep(Duration::from_secs(5)).await;
            assert_eq!(webhook.added("skip.io/app").await, ["extra", "tools"], "{garbage}");
            assert_eq!(webhook.ask("other", "skip.io/app").await.added, ["tools"]);
            assert_eq!(webhook.metric("reports_fresh"), 1);
            // The same in a list.
            webhook.server.compact();
            webhook.server.break_watches();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_namespaces_may_change_all_at_once() {
    let reports = (0..10_000).map(|n| (place(&format!("ns-{n}")), usual()));
    let server = Scripted::new(reports);
    let mut webhook = Webhook::new(&server);
    webhook.renew();
    sleep(Duration::from_secs(15)).await;
    assert_eq!(webhook.metric("reports_namespaces"), 10_000);
    let ready = report(&json!([{"name": "extra", "state": "Ready"}]));
    for n in 0..10_000 {
        server.put(&place(&format!("ns-{n}")), Some(ready.clone()));
    }
    sleep(Duration::from_secs(5)).await;
    for n in [0, 4_999, 9_999] {
        let added = webhook.ask(&format!("ns-{n}"), "skip.io/app").await.added;
        assert_eq!(added, ["extra", "tools"], "{n}");
    }
}
