//! Logins that cannot be used: their copies stay, everybody hears of it, and other logins go on.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    running::{
        CONFIG_MAP, LOGIN, Running, SOON, cluster, config_map, copy_of, docker_config, login,
        namespace, password, path_of, secret, writes,
    },
    scripted::{Refusal, Scripted},
};

const BASE: &str = "/api/v1/namespaces/pullcred/secrets/base-login";

/// Another login beside the first.
const TWO: &str = "\
logins:
- {name: acme, secret: acme-login}
- {name: base, secret: base-login}
rules:
- {registries: [ghcr.io/acme], secret: robot, login: acme, namespaces: ['shop-*']}
- {registries: [quay.io], secret: base-robot, login: base, namespaces: ['shop-*']}
";

fn base(password: &str) -> Value {
    docker_config(&json!({"auths": {"quay.io": {"username": "base", "password": password}}}))
}

fn base_of(server: &Scripted, namespace: &str) -> String {
    let path = format!("/api/v1/namespaces/{namespace}/secrets/base-robot");
    server.object(&path).map(|it| password(&it)).unwrap_or_default()
}

/// A cluster with both logins, in order.
async fn two(namespaces: usize) -> Running {
    let server = cluster(namespaces);
    server.put(BASE, Some(base("first")));
    server.put(CONFIG_MAP, Some(config_map(TWO)));
    Running::in_order(server).await
}

/// What becomes of the login's Secret, and the reason that is reported.
fn broken() -> Vec<(&'static str, Option<Value>, &'static str)> {
    let config =
        |text: &str| secret("kubernetes.io/dockerconfigjson", ".dockerconfigjson", text.as_bytes());
    let long = "x".repeat(1 << 20);
    vec![
        ("missing", None, "LoginMissing"),
        ("of another type", Some(secret("Opaque", ".dockerconfigjson", b"{}")), "LoginUnreadable"),
        (
            "of the other pull type, with the first one's key",
            Some(secret("kubernetes.io/dockercfg", ".dockerconfigjson", b"{}")),
            "LoginUnreadable",
        ),
        ("not JSON", Some(config("{\"auths\": {")), "LoginUnreadable"),
        ("no object", Some(config("[]")), "LoginUnreadable"),
        (
            "auth is no base64",
            Some(config("{\"auths\": {\"ghcr.io/acme\": {\"auth\": \"%\"}}}")),
            "LoginUnreadable",
        ),
        ("empty", Some(config("")), "LoginUnreadable"),
        ("without logins", Some(config("{\"auths\": {}}")), "NoLoginForRegistry"),
        (
            "with an empty login",
            Some(config("{\"auths\": {\"ghcr.io/acme\": {\"auth\": \"\"}}}")),
            "NoLoginForRegistry",
        ),
        (
            "for another registry",
            Some(docker_config(&json!({"auths": {"quay.io": {"username": "u", "password": "p"}}}))),
            "NoLoginForRegistry",
        ),
        ("of more than a mebibyte", Some(login(&long)), "LoginUnreadable"),
    ]
}

#[tokio::test(start_paused = true)]
async fn copies_of_a_login_that_cannot_be_used_stay_and_others_go_on() {
    for (what, broken, reason) in broken() {
        let running = two(3).await;
        running.server.put(LOGIN, broken);
        sleep(Duration::from_secs(2)).await;
        check_unusable(&running, what, reason, 3);

        // Others go on.
        running.server.put(BASE, Some(base("second")));
        running.server.put(&path_of("shop-new"), Some(namespace(true)));
        sleep(SOON).await;
        for name in ["shop-0", "shop-1", "shop-2", "shop-new"] {
            assert_eq!(base_of(&running.server, name), "second", "{what}: {name}");
        }
        sleep(Duration::from_secs(1300)).await;
        check_unusable(&running, what, reason, 3);
        let calls = running.server.take_calls();
        assert_eq!(writes(&calls).len(), 4, "{what}: only those of the other login");

        // Another process finds the same.
        let running = running.restart();
        sleep(Duration::from_secs(1300)).await;
        check_unusable(&running, what, reason, 3);
        assert_eq!(writes(&running.server.take_calls()).len(), 0, "{what}");
        assert!(running.server.object(&copy_of("shop-new")).is_none(), "{what}");

        running.server.put(LOGIN, Some(login("second")));
        running.ready_within(Duration::from_millis(1100)).await;
        assert_eq!(running.metric("pullcred_login_usable{login=\"acme\"}"), 1, "{what}");
    }
}

fn check_unusable(running: &Running, what: &str, reason: &str, copies: usize) {
    let failure = running.failure("logins");
    println!("{what}: {failure}");
    assert!(failure.starts_with("acme: ") && !failure.contains("base: "), "{what}: {failure}");
    assert_eq!(running.metric("pullcred_login_usable{login=\"acme\"}"), 0, "{what}");
    assert_eq!(running.metric("pullcred_login_usable{login=\"base\"}"), 1, "{what}");
    assert!(running.has_event(reason, "acme-login"), "{what}: {:?}", running.events());
    for number in 0..copies {
        let copy = running.server.object(&copy_of(&format!("shop-{number}")));
        assert_eq!(copy.map(|it| password(&it)).as_deref(), Some("first"), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_that_was_deleted_while_nobody_watched_is_missing() {
    let running = two(3).await;
    running.server.refuse(|_| Some(Refusal::Unreachable));
    running.server.break_watches();
    sleep(Duration::from_secs(30)).await;
    running.server.put(LOGIN, None);
    running.server.compact();
    running.server.refuse(|_| None);
    sleep(Duration::from_secs(40)).await;
    check_unusable(&running, "deleted in an outage", "LoginMissing", 3);
    assert_eq!(writes(&running.server.take_calls()).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_may_not_be_read_is_asked_for_ever_less_often() {
    for refusal in [
        Refusal::Status(403, "forbidden by RBAC", None),
        Refusal::Status(500, "internal error", None),
        Refusal::Hang,
    ] {
        let what = format!("{refusal:?}");
        let server = cluster(3);
        server.refuse(move |call| (call.path == LOGIN).then(|| refusal.clone()));
        let running = Running::start(server);
        sleep(Duration::from_secs(600)).await;
        let calls = running.server.take_calls();
        let reads = calls.iter().filter(|it| it.path == LOGIN).count();
        println!("{what}: {reads} reads, {}", running.failure("logins"));
        assert!((8..=20).contains(&reads), "{what}: {reads}");
        assert!(running.failure("logins").starts_with("acme: "), "{what}");
        assert_eq!(running.metric("pullcred_login_usable{login=\"acme\"}"), 0, "{what}");
        running.server.refuse(|_| None);
        let took = running.ready_within(Duration::from_secs(71)).await;
        println!("{what}: in order after {took:?}");
    }
}
