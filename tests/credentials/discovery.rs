//! Discovery: the pull Secrets that exist in a namespace, where its administrator lets pullcred look.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    reports::{REPORTED, report_of, reported, status},
    running::{
        CONFIG_MAP, MAPPING, MINUTE, SOON, cluster, config_map, docker_config, namespace, path_of,
        secret, writes,
    },
    scripted::{Call, Refusal, Scripted},
};

/// No logins, and a rule whose Secret people make.
const DISCOVER: &str = "\
discover: {namespaces: ['sandbox-*']}
rules:
- {registries: [own.io], secret: own}
";

fn secret_of(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/secrets/{name}")
}

fn pull_secret(key: &str) -> Value {
    docker_config(&json!({"auths": {key: {"username": "u", "password": "p"}}}))
}

/// A cluster in which namespaces `sandbox-…` have opted in, each with a pull Secret of its own.
fn sandboxes(count: usize) -> Scripted {
    let server = Scripted::new([
        (path_of("pullcred"), namespace(false)),
        (CONFIG_MAP.to_owned(), config_map(DISCOVER)),
    ]);
    for number in 0..count {
        let name = format!("sandbox-{number}");
        server.put(&path_of(&name), Some(namespace(true)));
        server.put(&secret_of(&name, "team"), Some(pull_secret("quay.io/team")));
    }
    server
}

/// The Secrets in the report of a namespace, as `name state keys`.
fn secrets(server: &Scripted, namespace: &str) -> Vec<String> {
    let report = status(server, namespace);
    let secrets = report["secrets"].as_array().into_iter().flatten();
    let shown = secrets.map(|it| {
        let keys = it["keys"].as_array().into_iter().flatten();
        let keys = keys.map(|key| key.as_str().unwrap().to_owned());
        let words = ["name", "state"].map(|field| it[field].as_str().unwrap().to_owned());
        words.into_iter().chain(keys).collect::<Vec<_>>().join(" ")
    });
    shown.collect()
}

/// Refuses to let Secrets of a namespace be seen.
fn deny(server: &Scripted, namespace: &'static str) {
    server.refuse(move |call| {
        let refused = is_look(call) && call.path.contains(&format!("/{namespace}/"));
        refused.then_some(Refusal::Status(403, "secrets is forbidden", None))
    });
}

fn is_look(call: &Call) -> bool {
    call.method == "GET"
        && call.path.contains("/namespaces/sandbox-")
        && call.path.contains("/secrets")
}

#[tokio::test(start_paused = true)]
async fn pull_secrets_that_exist_are_found_with_their_keys_and_read_once() {
    let server = sandboxes(2);
    let put = |name: &str, secret: Value| server.put(&secret_of("sandbox-0", name), Some(secret));
    put("opaque", secret("Opaque", "password", b"hunter2"));
    put("broken", secret("kubernetes.io/dockerconfigjson", ".dockerconfigjson", b"{"));
    put("old", secret("kubernetes.io/dockercfg", ".dockercfg", br#"{"old.io": {"auth": "dTpw"}}"#));
    let mut openshift = pull_secret("image-registry.openshift-image-registry.svc:5000");
    openshift["metadata"]["annotations"] =
        json!({"openshift.io/internal-registry-auth-token.service-account": "default"});
    put("default-dockercfg", openshift);
    let mut ours = pull_secret("ghcr.io");
    ours["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "pullcred"});
    put("copy", ours);
    let running = reported(server).await;
    let server = &running.server;
    assert_eq!(
        secrets(server, "sandbox-0"),
        ["broken Unreadable", "old Ready old.io", "own Missing", "team Ready quay.io/team"]
    );
    let report = status(server, "sandbox-0");
    assert_eq!(report["discovery"], "Permitted");
    assert_eq!(report["conditions"][0]["reason"], "SecretUnreadable");
    assert_eq!(report["summary"], json!({"secrets": 4, "missing": 1, "unhealthy": 1}));

    server.take_calls();
    sleep(MINUTE * 10).await;
    let calls = server.take_calls();
    let looks: Vec<_> = calls.iter().filter(|it| is_look(it)).collect();
    assert!(looks.iter().all(|it| it.metadata), "content was read again");
    assert!((40..60).contains(&looks.len()), "{}", looks.len());
    assert!(!calls.iter().any(|it| it.is_write() && it.path.contains("pullcred.dev")));

    // What changes is seen within a minute.
    server.put(&secret_of("sandbox-0", "broken"), None);
    server.put(&secret_of("sandbox-0", "team"), Some(pull_secret("quay.io/other")));
    server.put(&secret_of("sandbox-0", "own"), Some(pull_secret("own.io")));
    sleep(MINUTE).await;
    assert_eq!(
        secrets(server, "sandbox-0"),
        ["old Ready old.io", "own Ready own.io", "team Ready quay.io/other"]
    );
    let reads = server.take_calls().into_iter().filter(|it| is_look(it) && !it.metadata).count();
    assert_eq!(reads, 2);

    // A Secret that a rule names and that is of another type.
    server.put(&secret_of("sandbox-0", "own"), None);
    server.put(&secret_of("sandbox-0", "own"), Some(secret("Opaque", "a", b"b")));
    sleep(MINUTE * 6).await;
    assert_eq!(secrets(server, "sandbox-0")[1], "own WrongType");
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_does_not_permit_it_is_asked_seldom_and_affects_no_other() {
    let server = sandboxes(3);
    deny(&server, "sandbox-1");
    let running = reported(server).await;
    let server = &running.server;
    assert_eq!(status(server, "sandbox-1")["discovery"], "NotPermitted");
    assert_eq!(secrets(server, "sandbox-1"), [""; 0]);
    assert_eq!(secrets(server, "sandbox-2"), ["own Missing", "team Ready quay.io/team"]);
    assert_eq!(running.failures(), "");
    server.take_calls();
    sleep(MINUTE * 30).await;
    let calls = server.take_calls();
    let asked = calls.iter().filter(|it| it.path.contains("/sandbox-1/secrets")).count();
    println!("30 minutes without permission: {asked} requests");
    assert!((4..=8).contains(&asked), "{asked}");

    // Granted at last.
    server.refuse(|_| None);
    sleep(MINUTE * 6 + REPORTED).await;
    assert_eq!(secrets(server, "sandbox-1"), ["own Missing", "team Ready quay.io/team"]);

    // And withdrawn.
    deny(server, "sandbox-1");
    sleep(MINUTE).await;
    assert_eq!(status(server, "sandbox-1")["discovery"], "NotPermitted");
    assert_eq!(secrets(server, "sandbox-1"), [""; 0]);
    assert_eq!(secrets(server, "sandbox-2"), ["own Missing", "team Ready quay.io/team"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_found_stays_while_nobody_answers_and_over_a_restart() {
    let running = reported(sandboxes(2)).await;
    let found = ["own Missing", "team Ready quay.io/team"];
    running
        .server
        .refuse(|call| is_look(call).then_some(Refusal::Status(500, "internal error", None)));
    sleep(MINUTE * 5).await;
    assert_eq!(secrets(&running.server, "sandbox-1"), found);
    running.server.take_calls();
    let running = running.restart();
    sleep(MINUTE * 5).await;
    assert_eq!(secrets(&running.server, "sandbox-1"), found);
    running.server.refuse(|_| None);
    sleep(MINUTE * 2).await;
    let calls = running.server.take_calls();
    assert!(!calls.iter().any(|it| it.is_write() && it.path == report_of("sandbox-1")));
    // Opted out, it is looked at no more.
    running.server.put(&path_of("sandbox-1"), Some(namespace(false)));
    sleep(REPORTED).await;
    assert!(running.server.object(&report_of("sandbox-1")).is_none());
    running.server.take_calls();
    sleep(MINUTE * 5).await;
    let calls = running.server.take_calls();
    assert!(!calls.iter().any(|it| it.path.contains("/sandbox-1/secrets")));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_namespaces_are_looked_at_once_a_minute() {
    let running = reported(sandboxes(1000)).await;
    let server = &running.server;
    server.take_calls();
    sleep(MINUTE * 3).await;
    let calls = server.take_calls();
    let mut last: BTreeMap<&str, Duration> = BTreeMap::new();
    let mut longest = Duration::ZERO;
    for call in calls.iter().filter(|it| is_look(it) && it.query.contains("dockerconfigjson")) {
        if let Some(before) = last.insert(&call.path, call.at) {
            longest = longest.max(call.at.saturating_sub(before));
        }
    }
    let a_minute = calls.iter().filter(|it| is_look(it)).count() / 3;
    println!("1,000 namespaces: {a_minute} short lists a minute, {longest:?} apart at most");
    assert_eq!(last.len(), 1000);
    assert!(longest <= MINUTE, "{longest:?}");
    assert!(a_minute <= 3000, "{a_minute}");
    assert!(calls.iter().filter(|it| is_look(it)).all(|it| it.metadata));
}

#[tokio::test(start_paused = true)]
async fn copies_and_discovery_go_together() {
    let server = cluster(2);
    let mapping = format!("{MAPPING}discover: {{namespaces: ['shop-*']}}\n");
    server.put(CONFIG_MAP, Some(config_map(&mapping)));
    server.put(&secret_of("shop-1", "team"), Some(pull_secret("quay.io/team")));
    let running = reported(server).await;
    running.ready_within(SOON).await;
    assert_eq!(secrets(&running.server, "shop-1"), ["robot Ready", "team Ready quay.io/team"]);
    // The mapping discovers no longer.
    running.server.take_calls();
    running.server.put(CONFIG_MAP, Some(config_map(MAPPING)));
    sleep(REPORTED).await;
    assert_eq!(secrets(&running.server, "shop-1"), ["robot Ready"]);
    let report = status(&running.server, "shop-1");
    assert_eq!(report["discovery"], Value::Null);
    assert_eq!(writes(&running.server.take_calls()).len(), 0);
}
