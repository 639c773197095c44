//! The ends of logins that people keep: what passwords and the annotation say, without a request.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use pullcred::fetch::World;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    reports::{REPORTED, condition, report_of_login, report_writes, status},
    running::{LOGIN, Running, cluster, login, writes},
    world::{Cloud, Fake},
};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// A token that says when it was issued and when it ends.
fn token(issued: i64, ends: i64) -> String {
    let claims = json!({"iss": "Azure Container Registry", "iat": issued, "exp": ends}).to_string();
    format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims))
}

fn annotated(password: &str, expires_at: &str) -> Value {
    let mut login = login(password);
    login["metadata"] = json!({"annotations": {"pullcred.dev/expires-at": expires_at}});
    login
}

fn report(running: &Running) -> Value {
    running.server.object(&report_of_login("acme")).unwrap_or_default()["status"].clone()
}

/// The conditions `Ready`, `Healthy` and `Expiring`.
fn conditions(running: &Running) -> [String; 3] {
    let report = report(running);
    ["Ready", "Healthy", "Expiring"].map(|it| condition(&report, it))
}

fn state(running: &Running) -> Value {
    status(&running.server, "shop-0")["secrets"][0]["state"].clone()
}

async fn seconds(seconds: i64) {
    sleep(Duration::from_secs(u64::try_from(seconds).unwrap())).await;
}

#[tokio::test(start_paused = true)]
async fn a_login_that_ends_is_reported_at_that_moment_and_renewed_it_is_ready_again() {
    let (server, world) = (cluster(2), Fake::new(Cloud::Silent));
    let now = world.now();
    server.put(LOGIN, Some(login(&token(now, now + 10 * HOUR))));
    let running = Running::reporting_in(server, world);
    seconds(10).await;
    let metric = "pullcred_login_expires_timestamp_seconds{login=\"acme\"}";
    assert_eq!(running.metric(metric), now + 10 * HOUR);
    assert!(report(&running)["expiresAt"].as_str().unwrap().ends_with('Z'));
    let fresh = ["True Copied", "Unknown NotChecked", "False EndsLater"].map(str::to_owned);
    assert_eq!((conditions(&running), state(&running)), (fresh.clone(), json!("Ready")));
    running.server.take_calls();

    seconds(8 * HOUR).await;
    let soon = ["True Copied", "Unknown NotChecked", "True EndsSoon"];
    assert_eq!(conditions(&running), soon);
    assert!(running.has_event("LoginExpiring", "login acme ends at 20"), "{:?}", running.events());
    // Nothing of a namespace changes before the end, and until then nothing is asked.
    seconds(2 * HOUR - 20).await;
    assert_eq!(state(&running), "Ready");
    let calls = running.server.take_calls();
    assert_eq!(writes(&calls).len(), 0);
    assert_eq!(report_writes(&calls).len(), 1);
    let about_secrets = calls.iter().filter(|it| it.path.contains("/secrets/"));
    assert_eq!(about_secrets.count(), 0);

    seconds(10).await;
    sleep(REPORTED).await;
    let ended = ["False LoginExpired", "False Expired", "False Ended"];
    assert_eq!(
        (conditions(&running), state(&running)),
        (ended.map(str::to_owned), json!("Expired"))
    );
    let secret = || status(&running.server, "shop-0")["secrets"][0].clone();
    assert_eq!(secret()["expiredAt"], report(&running)["expiresAt"]);
    assert!(running.has_event("LoginExpired", "pulls fail until a new one is in this Secret"));
    let calls = running.server.take_calls();
    assert_eq!(writes(&calls).len(), 0, "{calls:?}");
    assert_eq!(report_writes(&calls).len(), 3, "{calls:?}");

    let later = now + 30 * HOUR;
    running.server.put(LOGIN, Some(login(&token(now + 10 * HOUR, later))));
    sleep(REPORTED * 2).await;
    assert_eq!((conditions(&running), state(&running)), (fresh, json!("Ready")));
    assert_eq!(secret()["expiredAt"], Value::Null);
    assert_eq!(running.metric(metric), later);
}

#[tokio::test(start_paused = true)]
async fn the_annotation_says_when_an_opaque_password_ends_and_the_first_end_counts() {
    let (server, world) = (cluster(1), Fake::new(Cloud::Silent));
    let now = world.now();
    let running = Running::reporting_in(server, world);
    seconds(10).await;
    // An opaque password says nothing.
    assert_eq!(report(&running)["expiresAt"], Value::Null);
    assert_eq!(conditions(&running)[2], " ");
    running.server.put(LOGIN, Some(annotated("first", "2999-01-01T00:00:00Z")));
    sleep(REPORTED).await;
    assert_eq!(report(&running)["expiresAt"], "2999-01-01T00:00:00Z");
    assert_eq!(conditions(&running)[2], "False EndsLater");
    running.server.put(LOGIN, Some(annotated(&token(now, now + 40 * DAY), "2999-01-01T00:00:00Z")));
    sleep(REPORTED).await;
    assert_ne!(report(&running)["expiresAt"], "2999-01-01T00:00:00Z");
    running.server.put(LOGIN, Some(annotated(&token(now, now + 40 * DAY), "2001-01-01T00:00:00Z")));
    sleep(REPORTED).await;
    assert_eq!(conditions(&running), ["False LoginExpired", "False Expired", "False Ended"]);
    assert_eq!(state(&running), "Expired");
    running.server.put(LOGIN, Some(annotated("first", "next Friday")));
    sleep(REPORTED).await;
    assert_eq!(conditions(&running)[2], "Unknown AnnotationUnreadable");
    assert_eq!((&report(&running)["expiresAt"], state(&running)), (&Value::Null, json!("Ready")));
    let metrics = running.status_text();
    assert!(!metrics.contains("pullcred_login_expires_timestamp_seconds{"), "{metrics}");
}
