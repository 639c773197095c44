//! What is written, how often, and in which order.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;
use tokio::time::sleep;

use crate::{
    running::{
        CONFIG_MAP, LOGIN, MAPPING, Running, SOON, cluster, config_map, copy_of, login, namespace,
        password, path_of, writes, writes_in,
    },
    scripted::Refusal,
};

#[tokio::test(start_paused = true)]
async fn a_label_brings_a_copy_by_one_write() {
    let running = Running::in_order(cluster(1)).await;
    running.server.put(&path_of("shop-new"), Some(namespace(false)));
    sleep(SOON).await;
    assert_eq!(writes(&running.server.take_calls()).len(), 0, "nobody asked for a copy");

    running.server.put(&path_of("shop-new"), Some(namespace(true)));
    let took = running.ready_within(SOON).await;
    let calls = running.server.take_calls();
    println!("label to copy: {took:?}, {} requests", calls.len());
    assert_eq!(writes(&calls).len(), 1, "{calls:?}");
    let copy = running.server.object(&copy_of("shop-new")).unwrap();
    assert_eq!(copy["type"], "kubernetes.io/dockerconfigjson");
    assert_eq!(copy["metadata"]["labels"], json!({"app.kubernetes.io/managed-by": "pullcred"}));
    assert_eq!(copy["metadata"]["annotations"]["pullcred.dev/login"], "acme");
    assert_eq!(copy["data"].as_object().unwrap().len(), 1);
    sleep(Duration::from_secs(120)).await;
    assert_eq!(writes(&running.server.take_calls()).len(), 0, "it is written once");
}

#[tokio::test(start_paused = true)]
async fn a_restart_with_all_in_order_writes_nothing() {
    let running = Running::in_order(cluster(1000)).await;
    let running = running.restart();
    let took = running.ready_within(SOON).await;
    sleep(Duration::from_secs(30)).await;
    let calls = running.server.take_calls();
    println!("restart: in order after {took:?}, {} requests", calls.len());
    assert_eq!(writes(&calls).len(), 0);
    assert!(calls.len() <= 12, "{} requests", calls.len());
    assert_eq!(running.copies("ready"), 1000);
    assert!(running.note("copies").starts_with("1000 ready"), "{}", running.note("copies"));
}

#[tokio::test(start_paused = true)]
async fn only_the_metadata_of_copies_is_listed_and_watched() {
    let running = Running::start(cluster(3));
    running.ready_within(SOON).await;
    let calls = running.server.take_calls();
    let lists: Vec<_> = calls.iter().filter(|it| it.method == "GET").collect();
    let of_secrets = lists.iter().filter(|it| it.path.ends_with("/secrets"));
    assert!(of_secrets.clone().count() >= 4, "{lists:?}");
    for call in of_secrets {
        assert!(call.metadata, "{call:?}");
        assert!(call.query.contains("fieldSelector=metadata.name%3D"), "{call:?}");
    }
    for call in calls.iter().filter(|it| it.method == "PATCH") {
        assert!(call.metadata, "the answer to a write brings its content back: {}", call.path);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rotation_is_one_write_per_copy() {
    let running = Running::in_order(cluster(1000)).await;
    running.server.put(LOGIN, Some(login("second")));
    let took = running.ready_within(Duration::from_secs(6)).await;
    sleep(Duration::from_secs(60)).await;
    let calls = running.server.take_calls();
    println!("rotation of 1,000: {took:?}");
    assert_eq!(writes(&calls).len(), 1000);
    let reads = calls.iter().filter(|it| it.path == LOGIN).count();
    assert!(reads <= 2, "the login was read {reads} times");
}

#[tokio::test(start_paused = true)]
async fn what_is_written_is_what_holds_when_it_is_written() {
    let running = Running::in_order(cluster(1000)).await;
    running.server.refuse(|call| {
        let pause = if call.is_write() { 30 } else { 3 };
        (!call.watch).then_some(Refusal::Late(Duration::from_millis(pause)))
    });
    running.server.put(LOGIN, Some(login("second")));
    sleep(Duration::from_millis(1500)).await;
    running.server.put(LOGIN, Some(login("third")));
    // The watch, the reading, and what was in flight.
    sleep(Duration::from_millis(60)).await;
    let before = running.server.take_calls();
    let took = running.ready_within(Duration::from_secs(8)).await;
    let after = running.server.take_calls();
    println!(
        "rotated twice: {} writes of the second login, {} after the third came; in order after {took:?}",
        writes(&before).len(),
        writes(&after).len()
    );
    let mut written: BTreeMap<&str, usize> = BTreeMap::new();
    for call in writes(&after) {
        assert_eq!(password(&call.json()), "third", "{}", call.path);
        *written.entry(&call.path).or_default() += 1;
    }
    assert!(written.values().all(|times| *times == 1), "a copy was written twice");
    assert!((200..600).contains(&writes(&before).len()), "{}", writes(&before).len());
}

#[tokio::test(start_paused = true)]
async fn a_rotation_reaches_all_although_one_is_looked_at_while_the_login_is_read() {
    for pause in [0, 5, 10, 15, 20] {
        let running = Running::in_order(cluster(3)).await;
        running.server.refuse(|_| Some(Refusal::Late(Duration::from_millis(10))));
        running.server.put(LOGIN, Some(login("second")));
        sleep(Duration::from_millis(pause)).await;
        running.server.edit(&copy_of("shop-1"), |it| it["data"][".dockerconfigjson"] = "".into());
        sleep(Duration::from_millis(pause)).await;
        running.server.put(LOGIN, Some(login("third")));
        running.ready_within(SOON).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_namespace_comes_before_a_rotation() {
    let running = Running::in_order(cluster(1000)).await;
    running.server.refuse(|call| (!call.watch).then_some(Refusal::Late(Duration::from_millis(10))));
    // Twice, so that namespaces in the queue meet a login that is being read.
    running.server.put(LOGIN, Some(login("first again")));
    sleep(Duration::from_secs(1)).await;
    running.server.put(LOGIN, Some(login("second")));
    sleep(Duration::from_millis(100)).await;
    let mut slowest = Duration::ZERO;
    for number in 0..20 {
        let name = format!("shop-new-{number}");
        running.server.put(&path_of(&name), Some(namespace(true)));
        let began = tokio::time::Instant::now();
        let copy = loop {
            if let Some(copy) = running.server.object(&copy_of(&name)) {
                break copy;
            }
            assert!(began.elapsed() < Duration::from_millis(400), "{name} waits");
            sleep(Duration::from_millis(1)).await;
        };
        assert_eq!(password(&copy), "second", "{name}");
        slowest = slowest.max(began.elapsed());
        sleep(Duration::from_millis(50)).await;
    }
    println!("a new namespace during a rotation: {slowest:?} at most");
    assert!(!running.disorder().is_empty(), "the rotation was over, so this shows nothing");
    running.ready_within(Duration::from_secs(8)).await;
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_waits_for_the_rotation_and_loses_its_copy_is_in_front_then() {
    let running = Running::in_order(cluster(1000)).await;
    running.server.put(LOGIN, Some(login("second")));
    sleep(Duration::from_secs(1)).await;
    let waiting = running.disorder().pop().unwrap();
    running.server.put(&copy_of(&waiting), None);
    sleep(Duration::from_millis(400)).await;
    let calls = running.server.take_calls();
    let written = writes_in(&calls, &waiting);
    assert_eq!(written.len(), 1, "{waiting}");
    assert_eq!(password(&written[0].json()), "second");
}

#[tokio::test(start_paused = true)]
async fn a_mapping_that_cannot_be_used_changes_nothing() {
    for (what, broken) in [
        ("not YAML", Some(config_map("rules: ["))),
        ("a mistake", Some(config_map(&MAPPING.replace("login: acme", "login: other")))),
        (
            "no such key",
            Some(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}, "data": {}})),
        ),
        ("deleted", None),
    ] {
        let running = Running::in_order(cluster(3)).await;
        running.server.put(CONFIG_MAP, broken);
        sleep(Duration::from_secs(1300)).await;
        assert!(!running.failure("mapping").is_empty(), "{what}: ready");
        assert_eq!(running.metric("pullcred_config_last_reload_successful"), 0, "{what}");
        assert_eq!(writes(&running.server.take_calls()).len(), 0, "{what}");
        println!("{what}: {}", running.failure("mapping"));

        // The old one stays in force.
        running.server.put(&path_of("shop-new"), Some(namespace(true)));
        running.server.put(LOGIN, Some(login("second")));
        sleep(SOON).await;
        let calls = running.server.take_calls();
        assert_eq!(writes(&calls).len(), 4, "{what}");
        let copy = running.server.object(&copy_of("shop-new")).unwrap();
        assert_eq!(password(&copy), "second", "{what}");

        running.server.put(CONFIG_MAP, Some(config_map(MAPPING)));
        running.ready_within(SOON).await;
        assert_eq!(running.metric("pullcred_config_last_reload_successful"), 1, "{what}");
    }
}
