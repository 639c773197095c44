//! The audit of Pods: what reports say of those that lack a Secret, how seldom it asks, and that it never changes one.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    reports::{REPORTED, report_of, report_writes, status},
    running::{CONFIG_MAP, MAPPING, MINUTE, Running, cluster, config_map, path_of},
    scripted::{Call, Refusal, Scripted},
    world::{Cloud, Fake},
};

const HOUR: Duration = Duration::from_secs(3600);
/// When all audits that follow a start are over.
const FIRST: Duration = Duration::from_secs(11 * 60);

/// Puts a Pod into a namespace that a Deployment made, or nothing did; it lists these Secrets, and waits for this reason.
fn put_pod(
    server: &Scripted,
    namespace: &str,
    name: &str,
    made_by: &str,
    listed: &[&str],
    waits: &str,
) {
    let listed: Vec<_> = listed.iter().map(|it| json!({"name": it})).collect();
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"labels": {"pod-template-hash": "6f9"}},
        "spec": {
            "containers": [{"name": "app", "image": "ghcr.io/acme/web:1"}],
            "imagePullSecrets": listed,
        },
        "status": {"phase": "Running"},
    });
    if !made_by.is_empty() {
        let set = format!("{made_by}-6f9");
        pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": set, "controller": true}]);
    }
    if !waits.is_empty() {
        let waiting = json!({"name": "app", "state": {"waiting": {"reason": waits}}});
        pod["status"] = json!({"phase": "Pending", "containerStatuses": [waiting]});
    }
    server.put(&format!("/api/v1/namespaces/{namespace}/pods/{name}"), Some(pod));
}

fn is_audit(call: &Call) -> bool {
    call.method == "GET" && call.path.ends_with("/pods")
}

fn audits(calls: &[Call]) -> Vec<&Call> {
    calls.iter().filter(|it| is_audit(it)).collect()
}

fn pods(server: &Scripted, namespace: &str) -> Value {
    status(server, namespace)["pods"].clone()
}

/// The Events `PodsWithoutSecret` of a namespace.
fn events(server: &Scripted, namespace: &str) -> Vec<String> {
    let under = format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events/");
    server.read(|objects| {
        let events =
            objects.range(under.clone()..).take_while(|(path, _)| path.starts_with(&under));
        let events = events.filter(|(_, it)| it["reason"] == "PodsWithoutSecret");
        events.map(|(_, it)| it["note"].as_str().unwrap().to_owned()).collect()
    })
}

fn start(server: Scripted) -> (Running, Arc<Fake>) {
    let world = Fake::new(Cloud::Silent);
    (Running::auditing_in(server, Arc::clone(&world) as _), world)
}

#[tokio::test(start_paused = true)]
async fn pods_that_lack_a_secret_are_counted_and_owners_are_named_with_their_remedy() {
    let server = cluster(2);
    put_pod(&server, "shop-0", "web-6f9-a", "web", &[], "");
    put_pod(&server, "shop-0", "web-6f9-b", "web", &["other"], "ErrImagePull");
    put_pod(&server, "shop-0", "web-6f9-c", "web", &["robot"], "");
    put_pod(&server, "shop-0", "alone", "", &["robot"], "ImagePullBackOff");
    put_pod(&server, "shop-1", "fine", "", &["robot"], "");
    let (running, _) = start(server);
    let server = &running.server;
    sleep(MINUTE * 9).await;
    assert!(audits(&server.take_calls()).is_empty(), "before the time");
    assert_eq!(pods(server, "shop-0"), Value::Null);
    sleep(FIRST.saturating_sub(MINUTE * 9)).await;
    let found = pods(server, "shop-0");
    assert!(found["seenAt"].as_str().unwrap().ends_with('Z'));
    let explain = "New ones would get the same list. To see why they wait: kubectl pullcred explain pod/alone -n shop-0";
    let restart = "New ones: kubectl rollout restart deployment/web -n shop-0";
    assert_eq!(
        found,
        json!({
            "seen": 4, "without": 2, "failing": 2, "seenAt": found["seenAt"],
            "owners": [
                {"kind": "Deployment", "name": "web", "without": 2, "failing": 1, "remedy": restart},
                {"kind": "Pod", "name": "alone", "without": 0, "failing": 1, "remedy": explain},
            ],
        })
    );
    assert_eq!(
        (&pods(server, "shop-1")["seen"], &pods(server, "shop-1")["without"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(running.metric("pullcred_pods_without_secret"), 2);
    assert_eq!(running.metric("pullcred_pods_image_failing"), 2);
    assert_eq!(running.metric("pullcred_audits_total{result=\"success\"}"), 3);
    let note = format!("2 of 4 Pods lack a Secret that a new Pod gets. Deployment web: {restart}");
    assert_eq!(events(server, "shop-0"), [note]);
    assert!(events(server, "shop-1").is_empty());
    let calls = server.take_calls();
    assert_eq!(audits(&calls).len(), 3);
    assert!(
        !calls.iter().any(|it| it.is_write() && it.path.contains("/pods")),
        "a Pod was changed"
    );

    // The next time is six hours later, give or take a tenth; and what has been done about it shows then.
    put_pod(server, "shop-0", "web-6f9-a", "web", &["robot"], "");
    put_pod(server, "shop-0", "web-6f9-b", "web", &["robot"], "");
    sleep(HOUR * 5).await;
    assert!(audits(&server.take_calls()).is_empty());
    sleep(HOUR * 2).await;
    assert_eq!(audits(&server.take_calls()).len(), 3);
    assert_eq!(
        (&pods(server, "shop-0")["without"], &pods(server, "shop-0")["failing"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(running.metric("pullcred_pods_without_secret"), 0);
    assert_eq!(events(server, "shop-0").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_with_many_pods_is_read_in_pages() {
    let server = cluster(1);
    for number in 0..1201 {
        put_pod(&server, "shop-0", &format!("web-6f9-{number}"), "web", &[], "");
    }
    let (running, _) = start(server);
    sleep(FIRST).await;
    let calls = running.server.take_calls();
    let pages: Vec<_> =
        audits(&calls).into_iter().filter(|it| it.path.contains("/shop-0/")).collect();
    assert_eq!(pages.len(), 3);
    for page in pages {
        assert!(page.query.contains("limit=500"), "{}", page.query);
        assert!(
            page.query
                .contains("fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed")
        );
    }
    let found = pods(&running.server, "shop-0");
    assert_eq!((&found["seen"], &found["without"]), (&json!(1201), &json!(1201)));
}

#[tokio::test(start_paused = true)]
async fn without_the_right_reports_stay_as_they_are_and_it_is_tried_quietly() {
    let server = cluster(3);
    put_pod(&server, "shop-0", "web-6f9-a", "web", &[], "");
    server.refuse(|call| is_audit(call).then_some(Refusal::Status(403, "pods is forbidden", None)));
    let (running, _) = start(server);
    sleep(FIRST).await;
    let server = &running.server;
    assert_eq!(audits(&server.take_calls()).len(), 4);
    assert_eq!((running.failures(), pods(server, "shop-0")), (String::new(), Value::Null));
    assert_eq!(status(server, "shop-0")["secrets"][0]["state"], "Ready");
    sleep(HOUR * 6).await;
    let calls = server.take_calls();
    assert!((20..=28).contains(&audits(&calls).len()), "{}", audits(&calls).len());
    assert!(report_writes(&calls).is_empty());
    assert_eq!(running.metric("pullcred_audits_total{result=\"success\"}"), 0);
    server.refuse(|_| None);
    sleep(HOUR + MINUTE).await;
    assert_eq!(pods(server, "shop-0")["without"], 1);
}

#[tokio::test(start_paused = true)]
async fn another_process_goes_on_from_the_reports() {
    let server = cluster(2);
    put_pod(&server, "shop-0", "web-6f9-a", "web", &[], "");
    let (running, world) = start(server);
    sleep(HOUR * 3).await;
    let found = pods(&running.server, "shop-0");
    assert_eq!(found["without"], 1);
    let running = Running::auditing_in(running.end(), Arc::clone(&world) as _);
    running.server.take_calls();
    sleep(HOUR * 2).await;
    let calls = running.server.take_calls();
    assert!(audits(&calls).is_empty());
    assert!(report_writes(&calls).is_empty(), "{:?}", report_writes(&calls));
    assert_eq!(pods(&running.server, "shop-0"), found);
    assert_eq!(running.metric("pullcred_pods_without_secret"), 1);
    sleep(HOUR * 2).await;
    assert_eq!(audits(&running.server.take_calls()).len(), 3);
    assert_ne!(pods(&running.server, "shop-0")["seenAt"], found["seenAt"]);

    // A time that has not come yet is ignored: it would put the next audit off for ever.
    running.server.edit(&report_of("shop-0"), |report| {
        report["status"]["pods"]["seenAt"] = json!("2999-01-01T00:00:00Z");
        report["status"]["pods"]["without"] = json!(0);
    });
    sleep(REPORTED * 2).await;
    assert_eq!(pods(&running.server, "shop-0")["without"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_rule_or_a_label_that_comes_later_is_found_soon() {
    let server = cluster(1);
    put_pod(&server, "shop-0", "web-6f9-a", "web", &["robot"], "");
    put_pod(&server, "late", "web-6f9-a", "web", &[], "");
    let (running, _) = start(server);
    sleep(FIRST).await;
    let server = &running.server;
    assert_eq!(pods(server, "shop-0")["without"], 0);
    let also = "- {registries: [ghcr.io], secret: second}\n";
    server.put(CONFIG_MAP, Some(config_map(&format!("{MAPPING}{also}"))));
    server.put(&path_of("late"), Some(crate::running::namespace(true)));
    sleep(FIRST).await;
    assert_eq!(pods(server, "shop-0")["without"], 1);
    assert_eq!(pods(server, "late")["without"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_goes_meanwhile_leaves_nothing_behind() {
    let server = cluster(2);
    for name in ["shop-0", "shop-1"] {
        put_pod(&server, name, "web-6f9-a", "web", &[], "");
    }
    server.refuse(|call| {
        (is_audit(call) && call.path.contains("/shop-0/"))
            .then_some(Refusal::Late(Duration::from_secs(5)))
    });
    let (running, _) = start(server);
    sleep(FIRST).await;
    assert_eq!(running.metric("pullcred_pods_without_secret"), 2);
    running.server.remove_namespace("shop-1");
    sleep(HOUR * 5 + MINUTE * 20).await;
    assert_eq!(running.metric("pullcred_pods_without_secret"), 1);
    // It goes while its Pods are listed.
    let before = running.server.take_calls();
    assert!(!before.is_empty());
    while audits(&running.server.take_calls()).iter().all(|it| !it.path.contains("/shop-0/")) {
        sleep(Duration::from_secs(1)).await;
    }
    running.server.remove_namespace("shop-0");
    sleep(MINUTE).await;
    assert_eq!(running.metric("pullcred_pods_without_secret"), 0);
    assert!(running.server.object(&report_of("shop-0")).is_none());
    assert_eq!(running.failures(), "");
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_waited_for_and_off_by_default_no_pod_is_asked_for() {
    let server = cluster(1);
    server.refuse(|call| is_audit(call).then_some(Refusal::Status(503, "busy", None)));
    let (running, _) = start(server);
    sleep(HOUR).await;
    let asked = audits(&running.server.take_calls()).len();
    assert!((2..=30).contains(&asked), "{asked}");
    let failures = running.metric("pullcred_audits_total{result=\"failure\"}");
    assert_eq!(failures, i64::try_from(asked).unwrap());
    assert_eq!(running.failures(), "");
    let running = Running::reporting_in(running.end(), Fake::new(Cloud::Silent));
    sleep(HOUR * 13).await;
    assert!(audits(&running.server.take_calls()).is_empty());
    assert_eq!(running.metric("pullcred_audits_total{result=\"failure\"}"), 0);
}

#[tokio::test(start_paused = true)]
async fn five_hundred_namespaces_are_looked_at_one_after_another_and_slowly() {
    let server = cluster(500);
    for number in 0..500 {
        for pod in 0..4 {
            let listed = if pod % 2 == 0 { &["robot"][..] } else { &[] };
            put_pod(
                &server,
                &format!("shop-{number}"),
                &format!("web-6f9-{pod}"),
                "web",
                listed,
                "",
            );
        }
    }
    // An answer takes a while: were two asked for at a time, they would overlap.
    server.refuse(|call| is_audit(call).then_some(Refusal::Late(Duration::from_millis(150))));
    let (running, _) = start(server);
    sleep(MINUTE * 15).await;
    assert_eq!(running.metric("pullcred_pods_without_secret"), 1000);
    let calls = running.server.take_calls();
    let audits = audits(&calls);
    assert_eq!(audits.len(), 501);
    let pauses = audits.windows(2).map(|two| two[1].at.abs_diff(two[0].at));
    assert!(pauses.min().unwrap() >= Duration::from_millis(150), "two at a time");
    let took = audits[500].at.abs_diff(audits[0].at);
    assert!((Duration::from_secs(98)..Duration::from_secs(110)).contains(&took), "{took:?}");
}
