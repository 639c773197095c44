//! Copies that are no longer wanted.

use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use crate::{
    running::{
        CONFIG_MAP, GRACE, LOGIN, MAPPING, Running, SOON, cluster, config_map, copy_of, login,
        namespace, path_of, writes,
    },
    scripted::Scripted,
};

const SECOND: Duration = Duration::from_secs(1);
/// A second less than the grace.
const ALMOST: Duration = GRACE.saturating_sub(SECOND);

fn copies(server: &Scripted) -> usize {
    server.read(|objects| objects.keys().filter(|path| path.ends_with("/secrets/robot")).count())
}

/// Opts out of so many namespaces.
fn opt_out(server: &Scripted, count: usize) {
    for number in 0..count {
        server.put(&path_of(&format!("shop-{number}")), Some(namespace(false)));
    }
}

#[tokio::test(start_paused = true)]
async fn after_the_grace_a_copy_is_deleted_as_it_was_seen() {
    let running = Running::in_order(cluster(3)).await;
    let copy = running.server.object(&copy_of("shop-0")).unwrap();
    opt_out(&running.server, 1);
    sleep(ALMOST).await;
    assert_eq!(writes(&running.server.take_calls()).len(), 0, "within the grace");
    sleep(2 * SECOND).await;
    running.ready_within(SOON).await;
    let calls = running.server.take_calls();
    let deletion = calls.iter().position(|it| it.method == "DELETE").unwrap();
    let preconditions = &calls[deletion].json()["preconditions"];
    for field in ["uid", "resourceVersion"] {
        assert_eq!(preconditions[field], copy["metadata"][field], "{field}");
    }
    let looked = calls[..deletion].iter().any(|it| it.path == path_of("shop-0"));
    assert!(looked, "the namespace was not read before");
    assert_eq!(writes(&calls).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_label_that_comes_back_within_the_grace_keeps_the_copy() {
    let running = Running::in_order(cluster(3)).await;
    for _ in 0..3 {
        opt_out(&running.server, 1);
        sleep(ALMOST).await;
        running.server.put(&path_of("shop-0"), Some(namespace(true)));
        sleep(SECOND).await;
    }
    sleep(2 * GRACE).await;
    assert_eq!(writes(&running.server.take_calls()).len(), 0);
    running.ready_within(SOON).await;
}

#[tokio::test(start_paused = true)]
async fn the_grace_begins_again_with_each_process() {
    let running = Running::in_order(cluster(3)).await;
    opt_out(&running.server, 1);
    sleep(ALMOST).await;
    let running = running.restart();
    sleep(ALMOST).await;
    assert_eq!(writes(&running.server.take_calls()).len(), 0);
    sleep(2 * SECOND).await;
    running.ready_within(SOON).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_opted_out_while_no_process_ran_is_deleted_after_the_grace() {
    let running = Running::in_order(cluster(3)).await;
    opt_out(&running.server, 1);
    let running = running.restart();
    running.ready_within(GRACE + SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_leaves_the_audience_loses_its_copy() {
    let labels = "namespaceLabels: {tier: prod}";
    let mapping = MAPPING.replace("namespaces: ['shop-*']", labels);
    let server = cluster(3);
    let tier = |tier: &str| {
        let mut namespace = namespace(true);
        namespace["metadata"]["labels"]["tier"] = json!(tier);
        namespace
    };
    for number in 0..3 {
        server.put(&path_of(&format!("shop-{number}")), Some(tier("prod")));
    }
    server.put(CONFIG_MAP, Some(config_map(&mapping)));
    let running = Running::in_order(server).await;
    running.server.put(&path_of("shop-0"), Some(tier("test")));
    sleep(ALMOST).await;
    assert_eq!(copies(&running.server), 3);
    sleep(2 * SECOND).await;
    assert!(running.server.object(&copy_of("shop-0")).is_none());

    // The same by the mapping.
    running.server.put(CONFIG_MAP, Some(config_map(&MAPPING.replace("shop-*", "shop-1"))));
    sleep(ALMOST).await;
    assert_eq!(copies(&running.server), 2);
    sleep(2 * SECOND).await;
    assert_eq!(copies(&running.server), 1);
    assert_eq!(running.failures(), "");
}

#[tokio::test(start_paused = true)]
async fn a_label_that_no_watch_has_brought_keeps_the_copy() {
    let running = Running::in_order(cluster(3)).await;
    opt_out(&running.server, 1);
    sleep(ALMOST).await;
    running.server.silence_watches();
    running.server.put(&path_of("shop-0"), Some(namespace(true)));
    sleep(30 * SECOND).await;
    let calls = running.server.take_calls();
    let looks = calls.iter().filter(|it| it.path == path_of("shop-0")).count();
    assert!((1..=10).contains(&looks), "{looks} looks at the namespace");
    assert_eq!(writes(&calls).len(), 0);
    sleep(2 * GRACE).await;
    assert_eq!(writes(&running.server.take_calls()).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_mass_deletion_waits_for_a_person() {
    for (all, unwanted, held) in
        [(20, 10, false), (20, 11, true), (60, 12, false), (60, 13, true), (30, 30, true)]
    {
        let what = format!("{unwanted} of {all}");
        let running = Running::in_order(cluster(all)).await;
        opt_out(&running.server, unwanted);
        sleep(2 * GRACE).await;
        assert_eq!(running.metric("pullcred_copy_deletions_held"), i64::from(held), "{what}");
        if !held {
            assert_eq!(copies(&running.server), all - unwanted, "{what}");
            continue;
        }
        assert_eq!(copies(&running.server), all, "{what}");
        assert!(running.has_event("DeletionHeld", &unwanted.to_string()), "{what}");
        let note = running.note("copies");
        println!("{what}: {note}");
        assert!(note.contains("deletions wait for a person"), "{what}: {note}");

        // The rest goes on.
        running.server.put(&path_of("shop-new"), Some(namespace(true)));
        sleep(SOON).await;
        assert!(running.server.object(&copy_of("shop-new")).is_some(), "{what}");

        let note = running.note("mapping");
        let fingerprint = note.rsplit(' ').next().unwrap();
        assert_eq!(fingerprint.len(), 12, "{note}");
        let release = |value: &str| {
            running.server.edit(CONFIG_MAP, |it| {
                it["metadata"]["annotations"]["pullcred.dev/collect"] = json!(value);
            });
        };
        release("000000000000");
        sleep(GRACE).await;
        assert_eq!(copies(&running.server), all + 1, "{what}: released for another mapping");
        release(fingerprint);
        sleep(SECOND).await;
        assert_eq!(copies(&running.server), all - unwanted + 1, "{what}");
        sleep(SECOND).await;
        assert_eq!(running.metric("pullcred_copy_deletions_held"), 0, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn namespaces_that_come_back_release_a_mass_deletion() {
    let running = Running::in_order(cluster(20)).await;
    opt_out(&running.server, 15);
    sleep(2 * GRACE).await;
    assert_eq!(running.metric("pullcred_copy_deletions_held"), 1);
    for number in 0..15 {
        running.server.put(&path_of(&format!("shop-{number}")), Some(namespace(true)));
    }
    running.ready_within(SOON).await;
    sleep(2 * GRACE).await;
    assert_eq!(running.metric("pullcred_copy_deletions_held"), 0);
    assert_eq!(writes(&running.server.take_calls()).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn in_a_namespace_that_is_being_deleted_nothing_is_written() {
    let running = Running::in_order(cluster(4)).await;
    let ending = |running: &Running, name: &str, opted_in: bool| {
        let mut namespace = namespace(opted_in);
        namespace["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        running.server.put(&path_of(name), Some(namespace));
    };
    ending(&running, "shop-0", true);
    ending(&running, "shop-1", false);
    ending(&running, "shop-new", true);
    // Its contents go first.
    running.server.put(&copy_of("shop-0"), None);
    running.server.put(LOGIN, Some(login("second")));
    sleep(2 * GRACE).await;
    let calls = running.server.take_calls();
    let paths: Vec<_> = writes(&calls).iter().map(|it| it.path.clone()).collect();
    assert_eq!(paths, [copy_of("shop-2"), copy_of("shop-3")]);
    assert_eq!(running.failures(), "");
    for name in ["shop-0", "shop-1", "shop-new"] {
        running.server.remove_namespace(name);
    }
    sleep(2 * GRACE).await;
    assert_eq!(writes(&running.server.take_calls()).len(), 0);
    running.ready_within(SOON).await;

    // One of the same name is another one.
    running.server.put(&path_of("shop-0"), Some(namespace(true)));
    running.ready_within(SOON).await;
}

#[tokio::test(start_paused = true)]
async fn some_namespaces_never_get_a_copy() {
    let server = cluster(1);
    for name in ["kube-system", "kube-public", "kube-node-lease", "pullcred"] {
        server.put(&path_of(name), Some(namespace(true)));
    }
    server.put(CONFIG_MAP, Some(config_map(&MAPPING.replace("shop-*", "*"))));
    let running = Running::start(server);
    sleep(Duration::from_secs(60)).await;
    let calls = running.server.take_calls();
    let mut paths: Vec<_> = writes(&calls).iter().map(|it| it.path.clone()).collect();
    paths.sort();
    assert_eq!(paths, [copy_of("other"), copy_of("shop-0")]);
}
