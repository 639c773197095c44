//! An API server that is away, and watches that fail.

use std::time::Duration;

use tokio::time::sleep;

use crate::{
    running::{
        LOGIN, Running, SOON, cluster, copy_of, login, namespace, path_of, writes, writes_in,
    },
    scripted::{Call, Refusal},
};

const MINUTES: Duration = Duration::from_secs(600);
/// The mapping, namespaces, copies, and the login.
const WATCHES: usize = 4;

#[tokio::test(start_paused = true)]
async fn after_ten_minutes_without_an_api_server_all_is_in_order_within_a_minute() {
    for (name, refusal) in [
        ("no connection", Refusal::Unreachable),
        ("hang", Refusal::Hang),
        ("503", Refusal::Status(503, "unavailable", None)),
        ("500", Refusal::Status(500, "internal error", None)),
        ("401", Refusal::Status(401, "unauthorized", None)),
    ] {
        let running = Running::in_order(cluster(200)).await;
        // It goes away in the middle of a rotation.
        running.server.put(LOGIN, Some(login("second")));
        sleep(Duration::from_millis(200)).await;
        running.server.refuse(move |_| Some(refusal.clone()));
        running.server.break_watches();
        running.server.take_calls();
        sleep(MINUTES).await;
        let calls = running.server.take_calls();
        let end = calls.last().unwrap().at;
        let late = |it: &&Call| end.saturating_sub(it.at) <= Duration::from_secs(120);
        let (watches, others): (Vec<_>, Vec<_>) =
            calls.iter().filter(late).partition(|it| it.path != LOGIN && !it.is_write());
        println!(
            "{name}: {} requests in ten minutes; in the last two {} of watches, {} others",
            calls.len(),
            watches.len(),
            others.len()
        );
        assert!(watches.len() <= WATCHES * 4, "{name}: {}", watches.len());
        if name != "401" && name != "500" {
            assert!(others.len() <= 4, "{name}: {}", others.len());
        }
        assert!(!running.failure("watches").is_empty(), "{name}");

        // Meanwhile the world has changed.
        running.server.put(LOGIN, Some(login("third")));
        running.server.put(&path_of("shop-new"), Some(namespace(true)));
        running.server.remove_namespace("shop-0");
        running.server.put(&copy_of("shop-1"), None);
        running.server.compact();
        running.server.refuse(|_| None);
        // The longest pause. The first watch whose pause ends shortens those of all others, and a list that hangs is given
        // up after 90 s.
        let limit = Duration::from_secs(if name == "hang" { 151 } else { 61 });
        let took = running.ready_within(limit).await;
        println!("{name}: in order after {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_refused_deletes_nothing() {
    for (name, refusal) in [
        ("410", Refusal::Status(410, "too old resource version", None)),
        ("403", Refusal::Status(403, "forbidden", None)),
        ("429", Refusal::Status(429, "busy", Some(45))),
        ("500", Refusal::Status(500, "internal error", None)),
    ] {
        let server = cluster(20);
        server.refuse(move |call| call.watch.then(|| refusal.clone()));
        let running = Running::start(server);
        sleep(MINUTES).await;
        let calls = running.server.take_calls();
        let watches = calls.iter().filter(|it| it.watch).count();
        println!("watches refused with {name}: {} requests, {watches} watches", calls.len());
        assert!((WATCHES * 8..=WATCHES * 25).contains(&watches), "{name}: {watches}");
        assert_eq!(writes(&calls).len(), 20, "{name}: one write each");
        assert_eq!(running.metric("pullcred_watch_connected{resource=\"copies\"}"), 0, "{name}");
        assert!(!running.failure("watches").is_empty(), "{name}");
        // Lists bring what watches would have brought.
        running.server.put(LOGIN, Some(login("second")));
        running.server.put(&path_of("shop-new"), Some(namespace(true)));
        sleep(Duration::from_secs(61)).await;
        // Lists come one after the other: the new namespace may be seen before the new login, and a copy as it was before
        // it was written.
        let calls = running.server.take_calls();
        assert!((21..=30).contains(&writes(&calls).len()), "{name}: {}", writes(&calls).len());
        assert!(calls.iter().all(|it| it.method != "DELETE"), "{name}");
        running.server.refuse(|_| None);
        running.ready_within(Duration::from_secs(61)).await;
        assert_eq!(running.metric("pullcred_watch_connected{resource=\"copies\"}"), 1, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_whose_past_is_forgotten_lists_again() {
    let running = Running::in_order(cluster(20)).await;
    running.server.refuse(|_| Some(Refusal::Unreachable));
    running.server.break_watches();
    sleep(Duration::from_secs(1)).await;
    running.server.put(&path_of("shop-new"), Some(namespace(true)));
    running.server.put(&copy_of("shop-1"), None);
    running.server.compact();
    running.server.refuse(|_| None);
    let took = running.ready_within(Duration::from_secs(10)).await;
    println!("forgotten: in order after {took:?}");
    let calls = running.server.take_calls();
    assert_eq!(writes(&calls).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_brings_nothing_is_noticed() {
    let running = Running::in_order(cluster(20)).await;
    sleep(Duration::from_secs(1000)).await;
    running.server.silence_watches();
    running.server.put(&path_of("shop-new"), Some(namespace(true)));
    running.server.put(LOGIN, Some(login("second")));
    let took = running.ready_within(Duration::from_secs(70)).await;
    println!("silent watches: in order after {took:?}");
    sleep(MINUTES).await;
    let calls = running.server.take_calls();
    assert_eq!(writes(&calls).len(), 21);
    assert!(calls.iter().all(|it| it.method != "DELETE"));
}

#[tokio::test(start_paused = true)]
async fn half_a_list_deletes_nothing() {
    for (name, refusal) in
        [("410", Refusal::Status(410, "the token has expired", None)), ("hang", Refusal::Hang)]
    {
        // A page has 500.
        let running = Running::in_order(cluster(600)).await;
        running
            .server
            .refuse(move |call| call.query.contains("continue=").then(|| refusal.clone()));
        running.server.compact();
        running.server.break_watches();
        sleep(2 * MINUTES).await;
        let calls = running.server.take_calls();
        let pages = calls.iter().filter(|it| it.query.contains("continue=")).count();
        println!("half a list, {name}: {} requests, {pages} second pages", calls.len());
        assert!(pages >= 10, "{name}: {pages}");
        assert_eq!(writes(&calls).len(), 0, "{name}");
        assert!(!running.failure("watches").is_empty(), "{name}");

        // A process that starts now knows less, and deletes as little.
        let running = running.restart();
        sleep(2 * MINUTES).await;
        assert_eq!(writes(&running.server.take_calls()).len(), 0, "{name}");
        running.server.refuse(|_| None);
        // A request that hangs is given up after 90 s.
        let hangs = if name == "hang" { 90 } else { 0 };
        running.ready_within(Duration::from_secs(61 + hangs)).await;
        assert_eq!(writes(&running.server.take_calls()).len(), 0, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_namespace_whose_writes_hang_is_asked_about_alone() {
    let running = Running::in_order(cluster(20)).await;
    running.server.refuse(|call| {
        (call.is_write() && call.path == copy_of("shop-7")).then_some(Refusal::Hang)
    });
    running.server.put(LOGIN, Some(login("second")));
    sleep(SOON).await;
    let calls = running.server.take_calls();
    assert_eq!(writes_in(&calls, "shop-7").len(), 1);
    assert_eq!(running.disorder(), ["shop-7"]);
}
