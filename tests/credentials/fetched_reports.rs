//! What reports and Events say of logins that pullcred fetches.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::time::sleep;

use crate::{
    fetched::{HOUR, MINTED, OWN, ROLE, mapping, server},
    reports::{GROUP, condition, first, report_of_login, report_writes, status},
    running::Running,
    scripted::Scripted,
    world::{Cloud, Fake},
};

const SETTLED: Duration = Duration::from_secs(30);

fn login_report(server: &Scripted) -> Value {
    server.object(&report_of_login("ecr")).unwrap_or_default()["status"].clone()
}

fn ready(server: &Scripted) -> String {
    condition(&login_report(server), "Ready")
}

/// The writes of namespaces' reports since the last look.
fn namespace_writes(server: &Scripted) -> usize {
    let calls = server.take_calls();
    report_writes(&calls).iter().filter(|it| it.path.contains("/namespaces/")).count()
}

/// The Events in a namespace, as `kind/name reason`.
fn events_in(server: &Scripted, namespace: &str) -> Vec<String> {
    let prefix = format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events/");
    server.read(|objects| {
        let events = objects.iter().filter(|(path, _)| path.starts_with(&prefix));
        let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
        let shown = events.map(|(_, it)| {
            let about = &it["regarding"];
            format!("{}/{} {}", text(&about["kind"]), text(&about["name"]), text(&it["reason"]))
        });
        shown.collect()
    })
}

#[tokio::test(start_paused = true)]
async fn a_renewal_changes_the_end_of_the_login_and_no_report_of_a_namespace() {
    let world = Fake::new(Cloud::Gives(HOUR));
    let running = Running::reporting_in(server(20, &mapping(ROLE, "")), world.clone());
    sleep(SETTLED).await;
    let server = &running.server;
    let report = login_report(server);
    assert_eq!((report["kind"].as_str(), ready(server).as_str()), (Some("aws"), "True Copied"));
    let stored = server.object(MINTED).unwrap();
    assert_eq!(report["expiresAt"], stored["metadata"]["annotations"]["pullcred.dev/expires-at"]);
    assert_eq!(report["namespaces"]["copied"], "20/20");
    assert_eq!(first(server, "shop-7"), "Ready");
    server.take_calls();

    sleep(Duration::from_secs(12 * 3600)).await;
    let calls = server.take_calls();
    let (ours, others): (Vec<_>, Vec<_>) =
        report_writes(&calls).into_iter().partition(|it| it.path == report_of_login("ecr"));
    println!("half a day, {} fetches: {} writes of the login's report", world.count(), ours.len());
    assert_eq!(others.len(), 0);
    // Of each renewal it has the end, and that copies are written and then are.
    assert!((world.count() - 2..=world.count() * 3).contains(&ours.len()), "{}", ours.len());
    assert_ne!(login_report(server)["expiresAt"], report["expiresAt"]);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_expires_is_reported_in_all_namespaces_and_so_is_its_return() {
    let world = Fake::new(Cloud::Gives(HOUR));
    let mut running = Running::reporting_in(server(3, &mapping(ROLE, "")), world.clone());
    sleep(SETTLED).await;
    let end = login_report(&running.server)["expiresAt"].clone();
    world.set(Cloud::Silent);
    sleep(Duration::from_secs(50 * 60)).await;
    assert_eq!(ready(&running.server), "False LoginRefreshFailed");
    assert_eq!(first(&running.server, "shop-0"), "Ready", "it still works");

    sleep(Duration::from_secs(11 * 60)).await;
    for _ in 0..2 {
        let server = running.server.clone();
        assert_eq!(ready(&server), "False LoginExpired");
        assert_eq!(login_report(&server)["expiresAt"], end);
        for namespace in ["shop-0", "shop-1", "shop-2"] {
            assert_eq!(first(&server, namespace), "Expired");
            let report = status(&server, namespace);
            assert_eq!(condition(&report, "Ready"), "False Expired");
            assert_eq!(report["summary"]["unhealthy"], 1);
        }
        // A restart changes none of it.
        server.take_calls();
        drop(running);
        server.break_watches();
        running = Running::reporting_in(server, world.clone());
        sleep(Duration::from_secs(300)).await;
        assert_eq!(namespace_writes(&running.server), 0);
    }

    world.set(Cloud::Gives(HOUR));
    sleep(Duration::from_secs(70)).await;
    assert_eq!(ready(&running.server), "True Copied");
    assert_eq!(first(&running.server, "shop-2"), "Ready");
    assert_ne!(login_report(&running.server)["expiresAt"], end);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_cannot_be_had_at_all_is_missing_with_the_reason() {
    let world = Fake::new(Cloud::Denies);
    let running = Running::reporting_in(server(3, &mapping(ROLE, "")), world.clone());
    sleep(SETTLED).await;
    let server = &running.server;
    assert_eq!(ready(server), "False LoginRefreshFailed");
    let report = login_report(server);
    let message = report["conditions"][0]["message"].as_str().unwrap();
    assert!(message.contains("step token at sts.example.com"), "{message}");
    assert_eq!(report["expiresAt"], Value::Null);
    assert_eq!(report["failing"][0]["reason"], "LoginRefreshFailed");
    assert_eq!(first(server, "shop-1"), "Missing LoginRefreshFailed");
    assert_eq!(condition(&status(server, "shop-1"), "Ready"), "False LoginRefreshFailed");
}

#[tokio::test(start_paused = true)]
async fn each_namespace_hears_of_its_own_login() {
    let world = Fake::new(Cloud::Trusts("token.shop-0."));
    let running = Running::reporting_in(server(3, &mapping(ROLE, OWN)), world.clone());
    sleep(SETTLED).await;
    let server = &running.server;
    let report = login_report(server);
    assert_eq!((report["kind"].as_str(), &report["expiresAt"]), (Some("aws"), &Value::Null));
    assert_eq!(ready(server), "False LoginRefreshFailed");
    assert_eq!(report["namespaces"]["copied"], "1/3");
    let failing = |server: &Scripted| {
        let failing = login_report(server)["failing"].as_array().cloned().unwrap_or_default();
        let text = |it: &Value| format!("{} {}", it["namespace"], it["reason"]).replace('"', "");
        failing.iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(failing(server), ["shop-1 LoginRefreshFailed", "shop-2 LoginRefreshFailed"]);
    assert_eq!(first(server, "shop-0"), "Ready");
    for denied in ["shop-1", "shop-2"] {
        assert_eq!(first(server, denied), "Missing LoginRefreshFailed");
        let event = "ServiceAccount/pullcred-pull LoginRefreshFailed".to_owned();
        assert!(events_in(server, denied).contains(&event), "{:?}", events_in(server, denied));
    }
    assert!(events_in(server, "pullcred").iter().all(|it| !it.contains("Login")));
    namespace_writes(server);

    // Renewals write no report; the end of one login only that of its namespace.
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(namespace_writes(server), 0);
    world.set(Cloud::Trusts("token.shop-1."));
    sleep(Duration::from_secs(3700)).await;
    assert_eq!(failing(server), ["shop-0 LoginExpired", "shop-2 LoginRefreshFailed"]);
    assert_eq!(ready(server), "False LoginExpired");
    let shown = ["shop-0", "shop-1", "shop-2"].map(|it| first(server, it));
    assert_eq!(shown, ["Expired", "Ready", "Missing LoginRefreshFailed"]);
    let event = "ServiceAccount/pullcred-pull LoginExpired".to_owned();
    assert!(events_in(server, "shop-0").contains(&event));
    assert_eq!(namespace_writes(server), 2);

    // The login goes from the mapping: so do the reports.
    let none = "rules: [{registries: [a.io], secret: a}]\n";
    server.put(crate::running::CONFIG_MAP, Some(crate::running::config_map(none)));
    sleep(SETTLED).await;
    let left = server.read(|it| it.keys().filter(|it| it.starts_with(GROUP)).count());
    assert_eq!(left, 0);
}

#[tokio::test(start_paused = true)]
async fn without_reports_each_namespace_is_heard_of_in_pullcreds() {
    let world = Fake::new(Cloud::Denies);
    let running = Running::start_in(server(3, &mapping(ROLE, OWN)), Arc::clone(&world) as Arc<_>);
    sleep(SETTLED).await;
    let heard = events_in(&running.server, "pullcred");
    assert_eq!(heard, vec!["ConfigMap/mapping LoginRefreshFailed"; 3]);
    for namespace in ["shop-0", "shop-1", "shop-2"] {
        let named = format!("ServiceAccount {namespace}/pullcred-pull");
        assert!(running.has_event("LoginRefreshFailed", &named));
        assert!(events_in(&running.server, namespace).is_empty());
    }
}
