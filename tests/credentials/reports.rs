//! Reports: what they say, that they are written on change only, and that copies never depend on them.

use std::{collections::BTreeMap, time::Duration};

use pullcred::http::admin::Report;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    running::{
        CONFIG_MAP, LOGIN, MAPPING, MINUTE, Running, SOON, cluster, config_map, copy_of,
        docker_config, login, namespace, path_of, secret, writes,
    },
    scripted::{Call, Refusal, Scripted},
};

pub(crate) const GROUP: &str = "/apis/pullcred.dev/v1alpha1";
pub(crate) const LEASE: &str =
    "/apis/coordination.k8s.io/v1/namespaces/pullcred/leases/pullcred-reports";
/// What a change may take to be in a report.
pub(crate) const REPORTED: Duration = Duration::from_secs(3);

/// What somebody does to the object at a path.
type Change = fn(&Scripted, &str);

/// The path of the report of a namespace.
pub(crate) fn report_of(namespace: &str) -> String {
    format!("{GROUP}/namespaces/{namespace}/pullsecretreports/pullcred")
}

pub(crate) fn report_of_login(name: &str) -> String {
    format!("{GROUP}/loginreports/{name}")
}

/// What the report of a namespace says.
pub(crate) fn status(server: &Scripted, namespace: &str) -> Value {
    server.object(&report_of(namespace)).unwrap_or_default()["status"].clone()
}

/// The first Secret in the report of a namespace, as `state reason keys`.
pub(crate) fn first(server: &Scripted, namespace: &str) -> String {
    let secret = &status(server, namespace)["secrets"][0];
    let keys = secret["keys"].as_array().map(|it| Value::from(it.clone()).to_string());
    let words = [secret["state"].as_str(), secret["reason"].as_str(), keys.as_deref()];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// A condition of a report, as `status reason`.
pub(crate) fn condition(report: &Value, type_: &str) -> String {
    let conditions = report["conditions"].as_array().into_iter().flatten();
    let found = conditions.into_iter().find(|it| it["type"] == type_).unwrap_or(&Value::Null);
    format!(
        "{} {}",
        found["status"].as_str().unwrap_or_default(),
        found["reason"].as_str().unwrap_or_default()
    )
}

/// The requests that change reports.
pub(crate) fn report_writes(calls: &[Call]) -> Vec<&Call> {
    calls.iter().filter(|it| it.is_write() && it.path.starts_with(GROUP)).collect()
}

pub(crate) fn renewals(calls: &[Call]) -> usize {
    calls.iter().filter(|it| it.is_write() && it.path == LEASE).count()
}

/// Starts, and waits until all reports are written; forgets the requests.
pub(crate) async fn reported(server: Scripted) -> Running {
    let running = Running::reporting(server);
    let mut quiet = 0;
    while quiet < 5 {
        sleep(Duration::from_secs(1)).await;
        let calls = running.server.take_calls();
        quiet = if report_writes(&calls).is_empty() { quiet + 1 } else { 0 };
    }
    running
}

#[tokio::test(start_paused = true)]
async fn reports_say_what_is_known_and_are_written_once() {
    let running = Running::reporting(cluster(3));
    sleep(Duration::from_secs(10)).await;
    let server = &running.server;
    for name in ["shop-0", "shop-1", "shop-2"] {
        let report = status(server, name);
        assert_eq!(report["secrets"], json!([{"name": "robot", "state": "Ready"}]));
        assert_eq!(report["summary"], json!({"secrets": 1, "missing": 0, "unhealthy": 0}));
        assert_eq!(condition(&report, "Ready"), "True AllReady");
    }
    assert_eq!(condition(&status(server, "other"), "Ready"), "True NothingToCopy");
    assert_eq!(status(server, "pullcred"), Value::Null);
    let report = server.object(&report_of_login("acme")).unwrap()["status"].clone();
    assert_eq!(report["namespaces"]["copied"], "3/3");
    assert_eq!(report["registries"], json!(["ghcr.io/acme"]));
    let conditions = ["Ready", "Progressing", "Healthy"].map(|it| condition(&report, it));
    assert_eq!(conditions, ["True Copied", "False Copied", "Unknown NotChecked"]);
    assert_eq!(running.metric("pullcred_reports{kind=\"PullSecretReport\"}"), 4);
    assert_eq!(running.metric("pullcred_reports{kind=\"LoginReport\"}"), 1);
    assert_eq!(running.metric("pullcred_login_namespaces{login=\"acme\",state=\"ready\"}"), 3);
    assert_eq!(running.note("reports"), "4 of namespaces, 1 of logins");

    let calls = server.take_calls();
    let mut by_path: BTreeMap<&str, usize> = BTreeMap::new();
    for call in report_writes(&calls) {
        *by_path.entry(&call.path).or_default() += 1;
        assert!(call.query.contains("fieldManager=pullcred-credentials"), "{}", call.query);
    }
    assert!(
        by_path.iter().all(|(path, times)| *times == 1 || path.contains("login")),
        "{by_path:?}"
    );
    // A rotation is nothing that a namespace's report says.
    server.put(LOGIN, Some(login("second")));
    sleep(Duration::from_secs(120)).await;
    let calls = server.take_calls();
    assert_eq!(writes(&calls).len(), 3);
    assert!(report_writes(&calls).iter().all(|it| it.path.contains("login")), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn without_the_flag_nothing_of_reports_is_asked_for() {
    let running = Running::in_order(cluster(3)).await.restart();
    sleep(MINUTE).await;
    let calls = running.server.take_calls();
    let asked = calls.iter().find(|it| it.path.starts_with(GROUP) || it.path == LEASE);
    assert!(asked.is_none(), "{asked:?}");
    assert!(!running.status.checks().iter().any(|it| it.name == "reports"));
}

#[tokio::test(start_paused = true)]
async fn a_restart_with_all_reports_in_order_writes_none() {
    let running = reported(cluster(1000)).await.restart();
    running.ready_within(SOON).await;
    sleep(MINUTE).await;
    let calls = running.server.take_calls();
    let rest = calls.len() - renewals(&calls);
    println!(
        "restart with 1,000 reports: {rest} requests beside {} of the Lease",
        renewals(&calls)
    );
    let written: Vec<_> =
        report_writes(&calls).into_iter().map(|it| (&it.path, it.json())).collect();
    assert!(written.is_empty(), "{written:?}");
    assert_eq!(writes(&calls).len(), 0);
    assert!(rest <= 30, "{rest} requests");
    assert_eq!(running.metric("pullcred_reports{kind=\"PullSecretReport\"}"), 1001);
}

#[tokio::test(start_paused = true)]
async fn a_report_that_somebody_changes_or_deletes_is_repaired() {
    let changes: [(&str, Change); 4] = [
        ("state", |server, path| {
            server.edit(path, |it| it["status"]["secrets"][0]["state"] = "Missing".into());
        }),
        ("field added", |server, path| {
            server.edit(path, |it| it["status"]["discovery"] = "Permitted".into());
        }),
        ("status removed", |server, path| {
            server.edit(path, |it| drop(it.as_object_mut().unwrap().remove("status")));
        }),
        ("deleted", |server, path| server.put(path, None)),
    ];
    let running = reported(cluster(3)).await;
    let path = report_of("shop-1");
    for (what, change) in changes {
        let right = status(&running.server, "shop-1");
        change(&running.server, &path);
        assert_ne!(status(&running.server, "shop-1"), right, "{what}");
        sleep(Duration::from_secs(10)).await;
        let mut now = status(&running.server, "shop-1");
        // A condition that was gone holds from now on.
        now["conditions"][0]["lastTransitionTime"] =
            right["conditions"][0]["lastTransitionTime"].clone();
        assert_eq!(now, right, "{what}");
        let calls = running.server.take_calls();
        assert!(report_writes(&calls).iter().all(|it| it.path == path), "{what}: {calls:?}");
        sleep(Duration::from_secs(1200)).await;
        running.server.take_calls();
    }
}

#[tokio::test(start_paused = true)]
async fn reports_go_with_what_they_are_about() {
    let running = reported(cluster(3)).await;
    let server = &running.server;
    server.put(&path_of("shop-1"), Some(namespace(false)));
    sleep(REPORTED).await;
    assert!(server.object(&report_of("shop-1")).is_none());
    let calls = server.take_calls();
    let deletions: Vec<_> =
        report_writes(&calls).into_iter().filter(|it| it.method == "DELETE").collect();
    assert_eq!(deletions.len(), 1);
    let preconditions = &deletions[0].json()["preconditions"];
    assert!(preconditions["uid"].is_string() && preconditions["resourceVersion"].is_string());

    // Another login, and the old one has gone.
    let other =
        MAPPING.replace("name: acme,", "name: other,").replace("login: acme", "login: other");
    server.put(CONFIG_MAP, Some(config_map(&other)));
    sleep(REPORTED * 2).await;
    assert!(server.object(&report_of_login("acme")).is_none());
    assert!(server.object(&report_of_login("other")).is_some());
    let report = server.object(&report_of("shop-0")).unwrap();

    // While it is away, a namespace opts out.
    let running = {
        let server = running.server.clone();
        drop(running);
        server.break_watches();
        server.put(&path_of("shop-2"), Some(namespace(false)));
        reported(server).await
    };
    assert!(running.server.object(&report_of("shop-2")).is_none());
    assert_eq!(running.server.object(&report_of("shop-0")).unwrap(), report);

    // A mapping without logins has nothing to report.
    running.server.put(CONFIG_MAP, Some(config_map("rules:\n- {registries: [a.io], secret: a}\n")));
    sleep(REPORTED * 2).await;
    let left = running.server.read(|it| it.keys().filter(|it| it.starts_with(GROUP)).count());
    assert_eq!(left, 0);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_secret_is_reported_with_its_keys_and_read_again_when_it_changes() {
    let running = reported(cluster(3)).await;
    let server = &running.server;
    let config = |key: &str| docker_config(&json!({"auths": {key: {"auth": "dTpw"}}}));
    let broken = secret("kubernetes.io/dockerconfigjson", ".dockerconfigjson", b"{");
    for (foreign, says) in [
        (Some(config("quay.io/team")), "Conflict NameConflict [\"quay.io/team\"]"),
        (Some(config("ghcr.io")), "Conflict NameConflict [\"ghcr.io\"]"),
        (Some(broken), "Unreadable NameConflict"),
        (Some(secret("Opaque", "a", b"b")), "WrongType NameConflict"),
        (None, "Ready"),
    ] {
        // The type of a Secret cannot change.
        server.put(&copy_of("shop-1"), None);
        server.put(&copy_of("shop-1"), foreign);
        sleep(REPORTED * 2).await;
        assert_eq!(first(server, "shop-1"), says);
        let calls = server.take_calls();
        let reads = calls.iter().filter(|it| it.method == "GET" && it.path == copy_of("shop-1"));
        let content = reads.filter(|it| !it.metadata).count();
        assert!(content <= 2, "{says}: read {content} times");
    }
    let report = server.object(&report_of_login("acme")).unwrap()["status"].clone();
    assert_eq!(report["namespaces"]["copied"], "3/3");
}

#[tokio::test(start_paused = true)]
async fn a_login_that_fails_is_reported_where_it_is_missed() {
    let server = cluster(12);
    server.put(LOGIN, None);
    let running = Running::reporting(server);
    sleep(Duration::from_secs(5)).await;
    let server = &running.server;
    assert_eq!(first(server, "shop-1"), "Missing LoginMissing");
    let report = server.object(&report_of_login("acme")).unwrap()["status"].clone();
    assert_eq!(condition(&report, "Ready"), "False LoginMissing");
    let failing = report["failing"].as_array().unwrap();
    let names: Vec<_> = failing.iter().map(|it| it["namespace"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 10);
    assert!(names.is_sorted(), "{names:?}");
    assert_eq!(failing[0]["reason"], "LoginMissing");

    server.put(LOGIN, Some(login("first")));
    sleep(REPORTED * 2).await;
    assert_eq!(first(server, "shop-1"), "Ready");
    server.refuse(|call| {
        let refused = call.method == "PATCH" && call.path == copy_of("shop-1");
        refused.then_some(Refusal::Status(403, "exceeded quota: secrets", None))
    });
    server.put(&copy_of("shop-1"), None);
    sleep(REPORTED * 2).await;
    assert_eq!(first(server, "shop-1"), "Pending QuotaExceeded");
    let report = server.object(&report_of_login("acme")).unwrap()["status"].clone();
    assert_eq!(condition(&report, "Ready"), "False QuotaExceeded");
    assert_eq!(report["failing"], json!([{"namespace": "shop-1", "reason": "QuotaExceeded"}]));
}

/// The Events in a namespace, as `reason note`.
fn events_in(server: &Scripted, namespace: &str) -> Vec<String> {
    let under = format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events");
    server.read(|objects| {
        let events = objects.iter().filter(|(path, _)| path.starts_with(&under));
        events
            .map(|(_, it)| {
                assert_eq!(it["regarding"]["kind"], "PullSecretReport");
                assert!(it["regarding"]["uid"].as_str().unwrap().starts_with("uid-"));
                let text = |field: &str| it[field].as_str().unwrap().to_owned();
                format!("{} {}", text("reason"), text("note"))
            })
            .collect()
    })
}

#[tokio::test(start_paused = true)]
async fn people_in_a_namespace_hear_of_it_once_in_ten_minutes() {
    let running = reported(cluster(3)).await;
    let server = &running.server;
    assert_eq!(events_in(server, "shop-1"), ["SecretCopied robot was copied into the namespace"]);
    for _ in 0..20 {
        server.put(&copy_of("shop-1"), Some(secret("Opaque", "a", b"b")));
        sleep(Duration::from_secs(7)).await;
        server.put(&copy_of("shop-1"), None);
        sleep(Duration::from_secs(7)).await;
    }
    server.put(LOGIN, None);
    server.put(&copy_of("shop-2"), None);
    sleep(Duration::from_secs(7)).await;
    let events = events_in(server, "shop-1");
    for reason in ["SecretCopied", "NameConflict"] {
        let times = events.iter().filter(|it| it.starts_with(reason)).count();
        assert_eq!(times, 1, "{events:?}");
    }
    assert!(
        events_in(server, "shop-2").iter().any(|it| it.starts_with("LoginMissing robot ")),
        "{:?}",
        events_in(server, "shop-2")
    );
}
