//! Reports that cannot be written, or would be written too often; and the Lease, which says whether they are up to date.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::{Instant, sleep};

use super::reports::{GROUP, LEASE, REPORTED, first, renewals, report_of, report_writes, reported};
use crate::{
    running::{LOGIN, MINUTE, Running, SOON, cluster, copy_of, login, namespace, path_of, writes},
    scripted::{Call, Refusal},
};

/// Some requests.
type Which = fn(&Call) -> bool;

#[tokio::test(start_paused = true)]
async fn who_changes_a_report_again_and_again_does_not_have_it_written_as_often() {
    let running = reported(cluster(3)).await;
    for second in 0..600 {
        let path = report_of("shop-1");
        if second % 2 == 0 && running.server.object(&path).is_some() {
            running.server.edit(&path, |it| it["status"]["summary"]["secrets"] = second.into());
        } else {
            running.server.put(&path, None);
        }
        sleep(Duration::from_secs(1)).await;
    }
    let calls = running.server.take_calls();
    let written = report_writes(&calls).len();
    println!("a report changed 600 times in ten minutes: {written} writes");
    assert!((5..25).contains(&written), "{written} writes");
}

fn no_such_kind(call: &Call) -> Option<Refusal> {
    let message = "the server could not find the requested resource";
    call.path.starts_with(GROUP).then_some(Refusal::Status(404, message, None))
}

#[tokio::test(start_paused = true)]
async fn without_the_kinds_copies_go_on_and_reports_come_when_they_do() {
    let server = cluster(3);
    server.refuse(no_such_kind);
    let running = Running::reporting(server);
    running.ready_within(SOON).await;
    sleep(MINUTE * 60).await;
    let calls = running.server.take_calls();
    let asked = calls.iter().filter(|it| it.path.starts_with(GROUP)).count();
    println!("an hour without the kinds: {asked} requests");
    assert!(asked <= 150, "{asked}");
    assert_eq!((report_writes(&calls).len(), renewals(&calls)), (0, 0));
    assert_eq!(running.failures(), "");
    assert_eq!(running.metric("pullcred_watch_connected{resource=\"pullsecretreports\"}"), 0);
    assert!(running.note("reports").contains("could not find"), "{}", running.note("reports"));

    running.server.refuse(|_| None);
    sleep(MINUTE + REPORTED).await;
    assert_eq!(first(&running.server, "shop-0"), "Ready");
    assert_eq!(running.note("reports"), "4 of namespaces, 1 of logins");
    let calls = running.server.take_calls();
    assert!(renewals(&calls) > 0);

    // And they go while it runs, with all their objects.
    running.server.refuse(no_such_kind);
    for path in running.server.read(|it| it.keys().cloned().collect::<Vec<_>>()) {
        if path.starts_with(GROUP) {
            running.server.put(&path, None);
        }
    }
    running.server.break_watches();
    sleep(Duration::from_secs(5)).await;
    running.server.take_calls();
    sleep(MINUTE * 10).await;
    let calls = running.server.take_calls();
    assert_eq!((writes(&calls).len(), renewals(&calls)), (0, 0));
    assert!(report_writes(&calls).len() <= 5, "{:?}", report_writes(&calls));
    running.server.put(&path_of("shop-new"), Some(namespace(true)));
    running.ready_within(SOON).await;
}

#[tokio::test(start_paused = true)]
async fn a_report_that_is_refused_backs_off_and_delays_no_copy() {
    for (what, refusal) in [
        ("403", Refusal::Status(403, "forbidden by RBAC", None)),
        ("409", Refusal::Status(409, "conflict of a webhook", None)),
        ("422", Refusal::Status(422, "denied by a policy", None)),
        ("429, Retry-After 30", Refusal::Status(429, "too many requests", Some(30))),
        ("500", Refusal::Status(500, "failed calling webhook", None)),
        ("hang", Refusal::Hang),
    ] {
        let server = cluster(100);
        server.refuse(move |call| {
            (call.is_write() && call.path.starts_with(GROUP)).then(|| refusal.clone())
        });
        let running = Running::reporting(server);
        running.ready_within(Duration::from_secs(5)).await;
        let mut slowest = Duration::ZERO;
        for number in 0..20 {
            sleep(Duration::from_secs(27)).await;
            running.server.put(&path_of(&format!("shop-new-{number}")), Some(namespace(true)));
            slowest = slowest.max(running.ready_within(SOON).await);
        }
        let calls = running.server.take_calls();
        let tries = report_writes(&calls).len();
        running.server.refuse(|_| None);
        sleep(Duration::from_secs(360)).await;
        let right = running.server.read(|it| it.keys().filter(|it| it.starts_with(GROUP)).count());
        println!(
            "{what}: {tries} tries in nine minutes, a copy after {slowest:?}, {right} reports then"
        );
        // A conflict is of one report alone, so each has a back-off of its own.
        assert!(tries < if what == "409" { 1300 } else { 300 }, "{what}: {tries}");
        assert_eq!(right, 122, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn namespaces_that_flap_have_their_reports_written_once_in_two_seconds() {
    const NAMESPACES: usize = 500;
    let running = reported(cluster(NAMESPACES)).await;
    let began = Instant::now();
    let mut number = 0;
    while began.elapsed() < MINUTE {
        // The login comes and goes, and with the copies the reports change.
        running.server.put(LOGIN, (number % 2 == 1).then(|| login("first")));
        for name in 0..NAMESPACES {
            running.server.put(&copy_of(&format!("shop-{name}")), None);
        }
        number += 1;
        sleep(Duration::from_millis(700)).await;
    }
    running.server.put(LOGIN, Some(login("first")));
    running.ready_within(Duration::from_secs(400)).await;
    running.server.put(&path_of("shop-new"), Some(namespace(true)));
    running.ready_within(SOON).await;
    let calls = running.server.take_calls();
    let mut last: BTreeMap<&str, Duration> = BTreeMap::new();
    let mut closest = Duration::MAX;
    for call in report_writes(&calls) {
        if let Some(before) = last.insert(&call.path, call.at) {
            closest = closest.min(call.at.saturating_sub(before));
        }
    }
    let written = report_writes(&calls).len();
    println!("flapping: {written} writes of {} reports, {closest:?} apart at least", last.len());
    assert!(last.len() > NAMESPACES, "{}", last.len());
    assert!(closest >= Duration::from_secs(2), "{closest:?}");
}

#[tokio::test(start_paused = true)]
async fn the_lease_is_renewed_only_while_the_watches_stand_and_the_reports_are_written() {
    let running = reported(cluster(3)).await;
    let server = &running.server;
    sleep(MINUTE).await;
    let calls = server.take_calls();
    assert!((5..=7).contains(&renewals(&calls)), "{}", renewals(&calls));
    let lease = server.object(LEASE).unwrap();
    assert_eq!(lease["spec"]["holderIdentity"], "holder");
    assert_eq!(lease["spec"]["leaseDurationSeconds"], 60);
    let down: [(&str, Which); 4] = [
        ("namespaces", |it| it.path == "/api/v1/namespaces"),
        ("copies", |it| it.path == "/api/v1/secrets"),
        ("reports", |it| it.path.ends_with("/pullsecretreports")),
        ("mapping", |it| it.path.ends_with("/configmaps")),
    ];
    for (what, rule) in down {
        server.refuse(move |call| {
            let refused = call.method == "GET" && rule(call);
            refused.then_some(Refusal::Status(403, "forbidden", None))
        });
        server.break_watches();
        sleep(Duration::from_secs(1)).await;
        server.take_calls();
        sleep(MINUTE * 2).await;
        assert_eq!(renewals(&server.take_calls()), 0, "{what}");
        server.refuse(|_| None);
        sleep(MINUTE * 2).await;
        assert!(renewals(&server.take_calls()) >= 5, "{what}");
    }
    // Where no report can be written, what they say is old.
    server.refuse(|call| {
        let refused = call.is_write() && call.path.starts_with(GROUP);
        refused.then_some(Refusal::Status(403, "forbidden", None))
    });
    server.put(LOGIN, None);
    for name in ["shop-0", "shop-1", "shop-2"] {
        server.put(&copy_of(name), None);
    }
    sleep(Duration::from_secs(10)).await;
    server.take_calls();
    sleep(MINUTE * 2).await;
    assert_eq!(renewals(&server.take_calls()), 0);
}
