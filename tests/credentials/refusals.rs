//! Every lasting refusal of every write: how often it is tried, what readiness and metrics say, and that no other namespace
//! waits for it.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    running::{
        GRACE, LOGIN, Running, SOON, cluster, copy_of, login, namespace, path_of, writes_in,
    },
    scripted::{Call, Refusal, Scripted},
};

const MINUTES: Duration = Duration::from_secs(600);

/// A namespace that is refused, among others.
const BAD: &str = "shop-bad";

struct Write {
    name: &'static str,
    /// What is in order before.
    before: fn(&Scripted),
    /// What calls for the write.
    cause: fn(&Scripted),
    /// How long it then takes until it is due.
    due: Duration,
    method: &'static str,
}

const WRITES: [Write; 5] = [
    Write {
        name: "create",
        before: |_| {},
        cause: |server| server.put(&path_of(BAD), Some(namespace(true))),
        due: Duration::ZERO,
        method: "PATCH",
    },
    Write {
        name: "update",
        before: |server| server.put(&path_of(BAD), Some(namespace(true))),
        cause: |server| server.put(LOGIN, Some(login("second"))),
        due: Duration::ZERO,
        method: "PATCH",
    },
    Write {
        name: "removal of a key",
        before: |server| server.put(&path_of(BAD), Some(namespace(true))),
        cause: |server| server.edit(&copy_of(BAD), |it| it["data"]["more"] = json!("eA==")),
        due: Duration::ZERO,
        method: "PATCH",
    },
    Write {
        name: "deletion",
        before: |server| server.put(&path_of(BAD), Some(namespace(true))),
        cause: |server| server.put(&path_of(BAD), Some(namespace(false))),
        due: GRACE,
        method: "DELETE",
    },
    Write {
        name: "replacement of what is immutable",
        before: |server| server.put(&path_of(BAD), Some(namespace(true))),
        cause: |server| {
            server.edit(&copy_of(BAD), |it| it["immutable"] = true.into());
            server.put(LOGIN, Some(login("second")));
        },
        due: Duration::ZERO,
        method: "DELETE",
    },
];

/// Each with what readiness says of it, and how long the API server lets all others wait.
const REFUSALS: [(&str, Refusal, &str); 9] = [
    ("403", Refusal::Status(403, "forbidden by RBAC", None), "forbidden by RBAC"),
    ("403 quota", Refusal::Status(403, "exceeded quota: secrets", None), "exceeded quota"),
    ("409 always", Refusal::Status(409, "conflict of a webhook", None), "conflict"),
    ("422 policy", Refusal::Status(422, "denied by a policy", None), "denied by a policy"),
    ("422 immutable", Refusal::Status(422, "field is immutable", None), "field is immutable"),
    ("429, Retry-After 30", Refusal::Status(429, "too many requests", Some(30)), "too many"),
    ("500", Refusal::Status(500, "failed calling webhook", None), "failed calling webhook"),
    ("hang", Refusal::Hang, "no answer within 10 s"),
    ("answer lost", Refusal::Lost, ""),
];

#[tokio::test(start_paused = true)]
async fn a_write_that_is_refused_for_good_backs_off_alone_and_shows() {
    let mut wrong = Vec::new();
    for write in &WRITES {
        for (name, refusal, says) in REFUSALS {
            wrong.extend(refused_for_good(write, name, refusal, says).await);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Answers what is not as it should be.
async fn refused_for_good(write: &Write, name: &str, refusal: Refusal, says: &str) -> Vec<String> {
    let what = format!("{}, {name}", write.name);
    let server = cluster(3);
    (write.before)(&server);
    let running = Running::in_order(server).await;
    let (method, path) = (write.method, copy_of(BAD));
    let asked = matches!(refusal, Refusal::Status(429, ..));
    let lost = matches!(refusal, Refusal::Lost);
    running.server.refuse(move |call: &Call| {
        (call.method == method && call.path == path).then(|| refusal.clone())
    });
    (write.cause)(&running.server);
    sleep(write.due).await;

    let slowest = others_come(&running).await;
    let calls = running.server.take_calls();
    let tries = writes_in(&calls, BAD).iter().filter(|it| it.method == write.method).count();
    let failure = running.failure("copies");
    let (refused, event) = (running.copies("refused"), running.has_event("CopyRefused", BAD));

    // And when it is over, all is well after the longest pause.
    running.server.refuse(|_| None);
    let took = running.in_order_after(Duration::from_secs(310)).await;
    sleep(Duration::from_secs(2)).await;
    println!("{what} | {tries} | {slowest:?} | {took:?} | {failure}");

    // What is carried out although its answer gets lost is seen by the watch.
    let tries_are_few = if lost { tries <= 2 } else { (2..=16).contains(&tries) };
    let limit = if asked { Duration::from_secs(31) } else { SOON };
    let checks = [
        (tries_are_few, format!("{tries} writes")),
        (lost || (failure.contains(BAD) && failure.contains(says)), format!("ready: {failure}")),
        (refused == i64::from(!lost), format!("{refused} refused")),
        (lost || event, format!("no Event among {:?}", running.events())),
        (slowest <= limit, format!("another namespace waited {slowest:?}")),
        (took.is_some(), format!("never in order: {:?}", running.disorder())),
        (running.copies("refused") == 0, "still counted as refused".to_owned()),
    ];
    let wrong = checks.into_iter().filter(|(right, _)| !right);
    wrong.map(|(_, wrong)| format!("{what}: {wrong}")).collect()
}

/// For ten minutes, other namespaces opt in. Answers how long the slowest waited for its copy.
async fn others_come(running: &Running) -> Duration {
    let (mut slowest, began) = (Duration::ZERO, Instant::now());
    for number in 0..20 {
        sleep(Duration::from_secs(27)).await;
        let other = format!("shop-other-{number}");
        running.server.put(&path_of(&other), Some(namespace(true)));
        let labeled = Instant::now();
        while running.server.object(&copy_of(&other)).is_none()
            && labeled.elapsed() < Duration::from_secs(120)
        {
            sleep(Duration::from_millis(10)).await;
        }
        slowest = slowest.max(labeled.elapsed());
    }
    sleep(MINUTES.saturating_sub(began.elapsed())).await;
    slowest
}
