//! Secrets of other people, and copies that other people change.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    running::{LOGIN, Running, SOON, cluster, copy_of, login, namespace, path_of, secret, writes},
    scripted::{Refusal, Scripted},
};

const THEIRS: &str = "shop-theirs";

/// A Secret of somebody's, which is not equal to a copy.
fn foreign() -> Value {
    secret("kubernetes.io/dockerconfigjson", ".dockerconfigjson", b"{\"auths\":{}}")
}

fn content(object: &Value) -> (Value, Value, Value, Value) {
    let metadata = &object["metadata"];
    let field = |name: &str| metadata[name].clone();
    (object["data"].clone(), object["type"].clone(), field("labels"), field("annotations"))
}

/// The Secret in [`THEIRS`] is as it was, and all hear of it; when it goes, a copy comes.
async fn is_left_alone(running: &Running, what: &str, before: &Value) {
    sleep(Duration::from_secs(2)).await;
    running.server.put(LOGIN, Some(login("second")));
    sleep(Duration::from_secs(1300)).await;
    let after = running.server.object(&copy_of(THEIRS)).unwrap();
    assert_eq!(content(&after), content(before), "{what}");
    let note = running.note("copies");
    println!("{what}: {note}");
    assert!(note.contains("shop-theirs/robot"), "{what}: {note}");
    assert_eq!(running.failures(), "", "{what}: it is no failure of ours");
    assert_eq!(running.copies("conflict"), 1, "{what}");
    assert!(running.has_event("NameConflict", "shop-theirs/robot"), "{what}");

    running.server.put(&copy_of(THEIRS), None);
    running.ready_within(SOON).await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(running.copies("conflict"), 0, "{what}");
}

#[tokio::test(start_paused = true)]
async fn a_secret_of_somebody_else_is_never_written() {
    let managed = |by: &str| {
        let mut object = foreign();
        object["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": by});
        object
    };
    for (what, object) in [
        ("a pull Secret", foreign()),
        ("of another type", secret("Opaque", "key", b"value")),
        ("of another controller", managed("helm")),
    ] {
        let server = cluster(3);
        server.put(&path_of(THEIRS), Some(namespace(true)));
        server.put(&copy_of(THEIRS), Some(object));
        let before = server.object(&copy_of(THEIRS)).unwrap();
        let running = Running::start(server);
        sleep(Duration::from_secs(2)).await;
        let calls = running.server.take_calls();
        assert_eq!(writes(&calls).len(), 3, "{what}: only copies");
        is_left_alone(&running, what, &before).await;
    }
}

/// Lets somebody make a Secret while ours is on its way. Answers the Secret, and how many writes there were.
async fn raced(running: &Running, object: Value) -> (Value, usize) {
    running.server.refuse(|call| {
        let first = call.method == "PATCH" && call.path == copy_of(THEIRS);
        first.then_some(Refusal::Late(Duration::from_millis(50)))
    });
    running.server.put(&path_of(THEIRS), Some(namespace(true)));
    sleep(Duration::from_millis(20)).await;
    running.server.put(&copy_of(THEIRS), Some(object));
    let before = running.server.object(&copy_of(THEIRS)).unwrap();
    sleep(Duration::from_secs(2)).await;
    running.server.refuse(|_| None);
    let calls = running.server.take_calls();
    (before, writes(&calls).len())
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_somebody_makes_at_the_same_moment_is_left_alone() {
    let running = Running::in_order(cluster(3)).await;
    let (before, count) = raced(&running, foreign()).await;
    assert_eq!(count, 1, "one attempt, which the API server refuses");
    is_left_alone(&running, "at the same moment", &before).await;
}

#[tokio::test(start_paused = true)]
async fn an_equal_secret_that_somebody_makes_at_the_same_moment_is_given_back() {
    let running = Running::in_order(cluster(3)).await;
    let mut equal = foreign();
    equal["data"] = running.server.object(&copy_of("shop-0")).unwrap()["data"].clone();
    let (before, count) = raced(&running, equal).await;
    assert_eq!(count, 2, "the API server joins both, and the answer shows it");
    let after = running.server.object(&copy_of(THEIRS)).unwrap();
    assert_eq!((&after["data"], &after["type"]), (&before["data"], &before["type"]));
    let managers = after["metadata"]["managedFields"].to_string();
    assert!(!managers.contains("pullcred-credentials"), "{managers}");
    let theirs = after.clone();
    is_left_alone(&running, "equal, at the same moment", &theirs).await;
}

type Change = fn(&Scripted, &str);

const DRIFTS: [(&str, usize, Change); 8] = [
    ("deleted", 1, |server, path| server.put(path, None)),
    ("edited", 1, |server, path| {
        server.edit(path, |it| it["data"][".dockerconfigjson"] = json!("e30="));
    }),
    ("a key added", 2, |server, path| {
        server.edit(path, |it| it["data"]["more"] = json!("eA=="));
    }),
    ("the key removed", 1, |server, path| server.edit(path, |it| it["data"] = json!({}))),
    ("another login noted", 1, |server, path| {
        server.edit(path, |it| it["metadata"]["annotations"]["pullcred.dev/login"] = json!("x"));
    }),
    ("annotations removed", 1, |server, path| {
        server.edit(path, |it| it["metadata"]["annotations"] = json!({}));
    }),
    ("managers forgotten", 1, |server, path| {
        server.edit(path, |it| it["metadata"]["managedFields"] = json!([]));
    }),
    ("edited and made immutable", 4, |server, path| {
        server.edit(path, |it| {
            it["data"][".dockerconfigjson"] = json!("e30=");
            it["immutable"] = json!(true);
        });
    }),
];

#[tokio::test(start_paused = true)]
async fn a_copy_that_somebody_changes_is_repaired() {
    for (what, most, drift) in DRIFTS {
        let running = Running::in_order(cluster(3)).await;
        let right = running.server.object(&copy_of("shop-1")).unwrap();
        drift(&running.server, &copy_of("shop-1"));
        sleep(SOON).await;
        let now = running.server.object(&copy_of("shop-1")).expect(what);
        assert_eq!(content(&now), content(&right), "{what}");
        sleep(Duration::from_secs(1300)).await;
        let calls = running.server.take_calls();
        let count = writes(&calls).len();
        println!("{what}: {count} writes");
        assert!((1..=most).contains(&count), "{what}: {count} writes");
        assert_eq!(running.failures(), "", "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_others_may_add_stays() {
    let running = Running::in_order(cluster(3)).await;
    running.server.edit(&copy_of("shop-1"), |it| {
        it["metadata"]["annotations"]["example.com/note"] = json!("x");
        it["metadata"]["labels"]["example.com/team"] = json!("y");
        it["metadata"]["finalizers"] = json!(["example.com/slow"]);
        it["immutable"] = json!(true);
    });
    sleep(Duration::from_secs(1300)).await;
    assert_eq!(writes(&running.server.take_calls()).len(), 0);

    // With the next login, the immutable one is replaced.
    running.server.put(LOGIN, Some(login("second")));
    running.ready_within(SOON).await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_without_its_mark_is_somebody_elses() {
    let running = Running::in_order(cluster(3)).await;
    running.server.put(&path_of(THEIRS), Some(namespace(true)));
    running.ready_within(SOON).await;
    running.server.edit(&copy_of(THEIRS), |it| it["metadata"]["labels"] = json!({}));
    let before = running.server.object(&copy_of(THEIRS)).unwrap();
    is_left_alone(&running, "mark taken off", &before).await;
}

#[tokio::test(start_paused = true)]
async fn somebody_who_always_changes_a_copy_is_not_fought_for_ever() {
    let changes: [(&str, Change); 2] = [DRIFTS[0], DRIFTS[1]].map(|(name, _, it)| (name, it));
    for (what, change) in changes {
        let running = Running::in_order(cluster(3)).await;
        for _ in 0..600 {
            if running.server.object(&copy_of("shop-1")).is_some() {
                change(&running.server, &copy_of("shop-1"));
            }
            sleep(Duration::from_secs(1)).await;
        }
        let calls = running.server.take_calls();
        println!("{what} each second: {} writes in ten minutes", writes(&calls).len());
        assert!(writes(&calls).len() <= 20, "{what}: {}", writes(&calls).len());
        running.ready_within(Duration::from_secs(301)).await;
    }
}
