//! Checks of logins: what registries say is reported, a refused content is not copied, no account is locked, and a registry
//! that hangs holds nothing up.

use std::{sync::Arc, time::Duration};

use pullcred::{
    http::admin::Report,
    registry::{NoAnswer, Outcome, TokenServer},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    logged::Logged,
    registries::{Registries, Registry},
    reports::{GROUP, condition, first, report_of_login},
    running::{
        CONFIG_MAP, LOGIN, MINUTE, Running, cluster, config_map, copy_of, docker_config, login,
        namespace, password, path_of, writes,
    },
    scripted::{Refusal, Scripted},
};

const HOUR: Duration = Duration::from_secs(3600);
const ANSWER: Duration = Duration::from_millis(50);
const SETTLED: Duration = Duration::from_secs(8);

fn takes(passwords: &'static [&'static str]) -> Arc<Registries> {
    Registries::new([("ghcr.io", Registry::Takes(passwords))], ANSWER)
}

fn health(server: &Scripted) -> Value {
    server.object(&report_of_login("acme")).unwrap_or_default()["status"]["health"].clone()
}

fn healthy(server: &Scripted) -> String {
    condition(&server.object(&report_of_login("acme")).unwrap_or_default()["status"], "Healthy")
}

fn copied(server: &Scripted, namespace: &str) -> String {
    server.object(&copy_of(namespace)).map(|it| password(&it)).unwrap_or_default()
}

/// The versions of the copies in three namespaces.
fn versions(server: &Scripted) -> Vec<Value> {
    let version = |number| server.object(&copy_of(&format!("shop-{number}"))).unwrap();
    (0..3).map(|it| version(it)["metadata"]["resourceVersion"].clone()).collect()
}

fn verdict(running: &Running, verdict: &str) -> i64 {
    running.metric(&format!("pullcred_login_health{{login=\"acme\",verdict=\"{verdict}\"}}"))
}

fn held(running: &Running) -> i64 {
    running.metric("pullcred_login_held{login=\"acme\"}")
}

fn count(running: &Running, reason: &str) -> usize {
    running.events().iter().filter(|(it, _)| it == reason).count()
}

/// A controller whose login `first` is copied into three namespaces.
async fn in_order(world: &Arc<Registries>) -> Running {
    let running = Running::checking(cluster(3), world.clone());
    sleep(SETTLED).await;
    assert_eq!(copied(&running.server, "shop-0"), "first", "{}", running.failures());
    running
}

#[tokio::test(start_paused = true)]
async fn each_answer_is_reported_and_all_but_a_refusal_let_a_login_be_copied() {
    for (outcome, name, says) in [
        (Outcome::Opened, "Accepted", "True Accepted"),
        (Outcome::Public, "Accepted", "True Accepted"),
        (Outcome::Absent { with_login: true }, "NotVisible", "Unknown NotVisible"),
        (Outcome::Denied { status: 403 }, "Forbidden", "False Forbidden"),
        (Outcome::Status { status: 429 }, "RateLimited", "Unknown RateLimited"),
        (Outcome::Status { status: 503 }, "Unreachable", "Unknown Unreachable"),
        (Outcome::NoToken(TokenServer::NoToken), "Unreachable", "Unknown Unreachable"),
        (Outcome::NoAnswer(NoAnswer::Loop), "Unreachable", "Unknown Unreachable"),
    ] {
        let world = Registries::new([("ghcr.io", Registry::Says(outcome.clone(), None))], ANSWER);
        let running = in_order(&world).await;
        let server = &running.server;
        assert_eq!(healthy(server), says, "{outcome:?}: {}", health(server));
        assert_eq!(health(server)["verdict"], name, "{outcome:?}");
        assert_eq!((verdict(&running, name), held(&running)), (1, 0));
        assert_eq!(
            running.metric(&format!("pullcred_health_checks_total{{verdict=\"{name}\"}}")),
            1
        );
        assert_eq!(first(server, "shop-0"), "Ready");
        assert_eq!(world.questions().len(), 1);
        assert!(!world.questions()[0].named);
    }
}

#[tokio::test(start_paused = true)]
async fn the_image_of_verify_is_asked_for() {
    let world = takes(&["first"]);
    let server = cluster(1);
    let mapping = "logins: [{name: acme, secret: acme-login}]\n\
         rules: [{registries: [ghcr.io/acme], secret: robot, login: acme, namespaces: ['shop-*'], verify: ghcr.io/acme/web}]\n";
    server.put(CONFIG_MAP, Some(config_map(mapping)));
    let running = Running::checking(server, world.clone());
    sleep(SETTLED).await;
    assert!(world.questions()[0].named);
    assert_eq!(health(&running.server)["image"], "ghcr.io/acme/web");
}

#[tokio::test(start_paused = true)]
async fn a_typo_in_a_rotation_reaches_no_namespace() {
    let world = takes(&["first", "second"]);
    let running = in_order(&world).await;
    let server = running.server.clone();
    let before = versions(&server);
    server.put(LOGIN, Some(login("secnod")));
    sleep(Duration::from_secs(10)).await;
    assert_eq!(healthy(&server), "False HeldBack");
    assert_eq!((count(&running, "LoginHeldBack"), held(&running)), (1, 1));
    server.put(&path_of("shop-new"), Some(namespace(true)));
    sleep(2 * MINUTE).await;
    assert_eq!(healthy(&server), "False Refused");
    assert_eq!((count(&running, "LoginRefused"), verdict(&running, "Refused")), (1, 1));
    assert_eq!(versions(&server), before, "not one copy is changed");
    assert_eq!(copied(&server, "shop-new"), "");
    assert_eq!(first(&server, "shop-new"), "Missing LoginRefused");
    assert_eq!(first(&server, "shop-0"), "Ready", "it holds the login from before");

    let running = running.restart();
    sleep(2 * MINUTE).await;
    assert_eq!((versions(&server), copied(&server, "shop-new")), (before, String::new()));
    assert_eq!(held(&running), 1);

    server.put(LOGIN, Some(login("second")));
    sleep(Duration::from_secs(10)).await;
    for namespace in ["shop-0", "shop-1", "shop-2", "shop-new"] {
        assert_eq!(copied(&server, namespace), "second", "{namespace}: {}", health(&server));
    }
    assert_eq!((healthy(&server).as_str(), held(&running)), ("True Accepted", 0));
    assert_eq!(count(&running, "LoginAccepted"), 1);
}

#[tokio::test(start_paused = true)]
async fn one_refusal_that_was_a_glitch_ends_with_the_second_try() {
    let world = takes(&["first"]);
    let running = in_order(&world).await;
    running.server.put(LOGIN, Some(login("second")));
    sleep(Duration::from_secs(10)).await;
    assert_eq!(copied(&running.server, "shop-0"), "first");
    world.set("ghcr.io", Registry::Takes(&["second"]));
    sleep(90 * Duration::from_secs(1)).await;
    assert_eq!(copied(&running.server, "shop-0"), "second");
    assert_eq!((count(&running, "LoginRefused"), count(&running, "LoginAccepted")), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_person_can_let_a_refused_content_go_on() {
    let world = takes(&["first"]);
    let running = in_order(&world).await;
    let server = &running.server;
    server.put(LOGIN, Some(login("second")));
    sleep(2 * MINUTE).await;
    let content = health(server)["content"].as_str().unwrap().to_owned();
    assert_eq!(content.len(), 12);
    let accept = format!("annotate --overwrite secret acme-login pullcred.dev/accept={content}");
    assert!(running.has_event("LoginHeldBack", &accept), "{:?}", running.events());
    server.edit(LOGIN, |it| it["metadata"]["annotations"]["pullcred.dev/accept"] = "0".into());
    sleep(MINUTE).await;
    assert_eq!(copied(server, "shop-0"), "first", "the value is of another content");
    server.edit(LOGIN, |it| it["metadata"]["annotations"]["pullcred.dev/accept"] = content.into());
    sleep(Duration::from_secs(10)).await;
    assert_eq!((copied(server, "shop-0").as_str(), held(&running)), ("second", 0));
    assert_eq!(first(server, "shop-0"), "Refused", "the registry has not changed its mind");
    server.put(LOGIN, Some(login("third")));
    sleep(10 * MINUTE).await;
    assert_eq!(copied(server, "shop-0"), "second", "it holds for one content");
}

#[tokio::test(start_paused = true)]
async fn a_password_that_is_revoked_is_reported_and_nothing_is_deleted() {
    let world = takes(&["first"]);
    let running = in_order(&world).await;
    let server = &running.server;
    let before = versions(server);
    world.set("ghcr.io", Registry::Takes(&[]));
    sleep(40 * MINUTE).await;
    assert_eq!(healthy(server), "False Refused", "{}", health(server));
    assert_eq!((first(server, "shop-0").as_str(), held(&running)), ("Refused", 0));
    assert_eq!((count(&running, "LoginRefused"), count(&running, "LoginHeldBack")), (1, 0));
    server.put(&path_of("shop-new"), Some(namespace(true)));
    sleep(Duration::from_secs(5)).await;
    assert_eq!((versions(server), copied(server, "shop-new").as_str()), (before, "first"));
    world.set("ghcr.io", Registry::Takes(&["first"]));
    sleep(8 * HOUR).await;
    assert_eq!(
        (healthy(server).as_str(), first(server, "shop-0").as_str()),
        ("True Accepted", "Ready")
    );
    assert_eq!(count(&running, "LoginAccepted"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_locks_after_five_failures_is_never_locked() {
    for rotated in [false, true] {
        let world = takes(&["first"]);
        let mut running = in_order(&world).await;
        let second = Running::checking(running.server.clone(), world.clone());
        if rotated {
            running.server.put(LOGIN, Some(login("typo")));
        } else {
            world.set("ghcr.io", Registry::Takes(&[]));
        }
        for hour in 0..24 {
            // Somebody touches the Secret, which is no other content.
            running
                .server
                .edit(LOGIN, |it| it["metadata"]["labels"]["touched"] = json!(hour.to_string()));
            sleep(HOUR).await;
            running = running.restart();
        }
        let refusals = world.questions().iter().filter(|it| it.refused).count();
        let in_an_hour = world.most_refusals_within(3600);
        println!(
            "rotated {rotated}: {refusals} failures in a day, at most {in_an_hour} in an hour"
        );
        assert!(in_an_hour <= 4 && refusals <= 8, "{:?}", world.questions());
        assert_eq!(healthy(&running.server), "False Refused");
        drop(second);
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ends_in_each_try_counts_as_refusals() {
    let world = Registries::new([("ghcr.io", Registry::Hangs)], ANSWER);
    let mut running = Running::checking(cluster(1), world.clone());
    for _ in 0..240 {
        sleep(Duration::from_secs(5)).await;
        running = running.restart();
    }
    let tries: Vec<_> = world.questions().iter().map(|it| it.at).collect();
    println!("240 restarts in 20 minutes: tried at {tries:?} s");
    assert!((2..=4).contains(&tries.len()), "{tries:?}");
}

#[tokio::test(start_paused = true)]
async fn two_processes_ask_as_often_as_one() {
    let world = takes(&["first"]);
    let running = in_order(&world).await;
    let second = Running::checking(running.server.clone(), world.clone());
    sleep(8 * HOUR).await;
    let questions = world.questions().len();
    println!("two processes: {questions} questions in 8 hours");
    assert!((14..=21).contains(&questions), "{questions}");
    drop(second);
}

/// So many logins of one registry, each with a rule of its own, and the one of the tests.
fn many(logins: usize, host: &str) -> Scripted {
    let server = cluster(1);
    let mut logins_text = vec!["logins:\n- {name: acme, secret: acme-login}\n".to_owned()];
    let mut rules = vec!["rules:\n- {registries: [ghcr.io/acme], secret: robot, login: acme, namespaces: ['shop-*']}\n".to_owned()];
    for number in 0..logins {
        logins_text.push(format!("- {{name: l{number}, secret: l{number}}}\n"));
        rules.push(format!(
            "- {{registries: [{host}/p{number}], secret: s{number}, login: l{number}, namespaces: ['shop-*']}}\n"
        ));
        let auth = json!({"username": "robot", "password": "first"});
        let config = json!({"auths": {format!("{host}/p{number}"): auth}});
        let path = format!("/api/v1/namespaces/pullcred/secrets/l{number}");
        server.put(&path, Some(docker_config(&config)));
    }
    server.put(CONFIG_MAP, Some(config_map(&(logins_text.concat() + &rules.concat()))));
    server
}

#[tokio::test(start_paused = true)]
async fn one_question_begins_in_a_second_and_one_is_under_way_at_a_registry() {
    let slow = Duration::from_secs(3);
    let world = Registries::new(
        [("quay.io", Registry::Takes(&["first"])), ("ghcr.io", Registry::Takes(&["first"]))],
        slow,
    );
    let _running = Running::checking(many(12, "quay.io"), world.clone());
    sleep(MINUTE).await;
    let questions = world.questions();
    assert_eq!(questions.len(), 13);
    assert_eq!(questions.iter().filter(|it| it.host == "quay.io").count(), 12);
    // That a registry is asked one question at a time, it says itself.
    assert!(questions.windows(2).all(|it| it[1].at > it[0].at), "{questions:?}");
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_hangs_holds_nothing_up() {
    let world = Registries::new(
        [("quay.io", Registry::Hangs), ("ghcr.io", Registry::Takes(&["first", "second"]))],
        ANSWER,
    );
    let running = Running::checking(many(12, "quay.io"), world.clone());
    let server = &running.server;
    sleep(SETTLED).await;
    assert_eq!(
        (copied(server, "shop-0").as_str(), healthy(server).as_str()),
        ("first", "True Accepted")
    );
    // What cannot be tried is copied after a minute.
    sleep(MINUTE).await;
    let copies = (0..12)
        .filter(|it| server.object(&format!("/api/v1/namespaces/shop-0/secrets/s{it}")).is_some());
    assert_eq!(copies.count(), 12);
    server.put(&path_of("shop-new"), Some(namespace(true)));
    server.put(LOGIN, Some(login("second")));
    sleep(Duration::from_secs(5)).await;
    assert_eq!(
        (copied(server, "shop-0"), copied(server, "shop-new")),
        ("second".into(), "second".into())
    );
}

#[tokio::test(start_paused = true)]
async fn a_rotation_goes_on_after_ten_seconds_where_the_registry_hangs() {
    let world = takes(&["first"]);
    let running = in_order(&world).await;
    world.set("ghcr.io", Registry::Hangs);
    running.server.put(LOGIN, Some(login("second")));
    sleep(Duration::from_secs(9)).await;
    assert_eq!(copied(&running.server, "shop-0"), "first");
    sleep(Duration::from_secs(4)).await;
    assert_eq!(copied(&running.server, "shop-0"), "second");
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_asks_to_wait_is_left_alone() {
    let limited = Outcome::Status { status: 429 };
    let world = takes(&["first"]);
    let running = in_order(&world).await;
    world.set("ghcr.io", Registry::Says(limited, Some(4 * 3600)));
    sleep(HOUR).await;
    let asked = world.questions().len();
    assert_eq!((asked, healthy(&running.server).as_str()), (2, "True Accepted"));
    world.set("ghcr.io", Registry::Takes(&["second"]));
    running.server.put(LOGIN, Some(login("second")));
    sleep(2 * HOUR).await;
    assert_eq!(
        (world.questions().len(), copied(&running.server, "shop-0").as_str()),
        (asked, "second")
    );
    sleep(3 * HOUR).await;
    assert!(world.questions().len() > asked);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_recorded_is_not_tried_and_is_copied_after_a_minute() {
    let world = takes(&["first"]);
    let server = cluster(1);
    server.refuse(|call| {
        let is_record = call.method == "PATCH" && call.query.contains("pullcred-health");
        is_record.then_some(Refusal::Status(403, "no", None))
    });
    let running = Running::checking(server, world.clone());
    sleep(Duration::from_secs(50)).await;
    assert_eq!(copied(&running.server, "shop-0"), "");
    sleep(Duration::from_secs(20)).await;
    assert_eq!(copied(&running.server, "shop-0"), "first");
    sleep(HOUR).await;
    assert_eq!(world.questions().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn checks_write_nothing_but_their_record() {
    let world = takes(&["first"]);
    let running = in_order(&world).await;
    running.server.take_calls();
    sleep(6 * HOUR).await;
    let calls = running.server.take_calls();
    assert!(writes(&calls).is_empty());
    let patches = |part: &str| {
        let to = calls.iter().filter(|it| it.method == "PATCH" && it.query.contains(part));
        to.filter(|it| it.path.starts_with(GROUP)).count()
    };
    let (records, questions) = (patches("pullcred-health"), world.questions().len() - 1);
    println!("6 hours: {questions} questions, {records} writes of records");
    assert_eq!((records, patches("pullcred-credentials")), (2 * questions, 0));
}

#[tokio::test(start_paused = true)]
async fn without_the_switch_no_registry_is_asked() {
    let world = takes(&[]);
    let running = Running::reporting_in(cluster(3), world.clone());
    running.ready_within(MINUTE).await;
    running.server.put(LOGIN, Some(login("second")));
    sleep(6 * HOUR).await;
    running.ready_within(MINUTE).await;
    assert_eq!(world.questions().len(), 0);
    assert!(!running.status.metrics().unwrap().contains("pullcred_login_held{"));
    assert_eq!(health(&running.server), Value::Null);
}

#[tokio::test(start_paused = true)]
async fn checks_that_are_turned_off_leave_no_verdict() {
    let world = takes(&["first"]);
    let running = in_order(&world).await;
    assert_eq!(health(&running.server)["verdict"], "Accepted");
    let running = Running::reporting_in(running.end(), world.clone());
    sleep(SETTLED).await;
    let left = health(&running.server);
    assert_eq!((&left["verdict"], &left["image"]), (&Value::Null, &Value::Null), "{left}");
    // Until then checks that are turned on again have nothing to ask.
    assert!(left["nextCheckAt"].is_string(), "{left}");
    assert_eq!(healthy(&running.server), "Unknown NotChecked");
    assert!(!running.status_text().contains("pullcred_login_health{"));
    running.server.take_calls();
    sleep(HOUR).await;
    let calls = running.server.take_calls();
    assert!(calls.iter().all(|it| !it.query.contains("pullcred-health")), "{calls:?}");
    let running = running.restart();
    sleep(SETTLED).await;
    assert_eq!(health(&running.server), Value::Null);
    assert_eq!(world.questions().len(), 1);

    let running = Running::checking(running.end(), world.clone());
    sleep(SETTLED).await;
    assert_eq!(healthy(&running.server), "True Accepted");
}

#[tokio::test(start_paused = true)]
async fn a_verdict_that_cannot_be_removed_at_once_is_removed_later() {
    let world = takes(&["first"]);
    let server = in_order(&world).await.end();
    let refused_until = MINUTE * 2;
    let began = tokio::time::Instant::now();
    server.refuse(move |call| {
        let is_record = call.query.contains("pullcred-health");
        (is_record && began.elapsed() < refused_until)
            .then_some(Refusal::Status(409, "changed", None))
    });
    let running = Running::reporting_in(server, world.clone());
    sleep(MINUTE).await;
    assert_eq!(health(&running.server)["verdict"], "Accepted");
    sleep(2 * MINUTE).await;
    assert_eq!(health(&running.server)["verdict"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn checks_that_are_turned_off_and_on_all_day_lock_no_account() {
    let world = takes(&["first"]);
    let mut running = in_order(&world).await;
    world.set("ghcr.io", Registry::Takes(&[]));
    for _ in 0..24 * 6 {
        sleep(8 * MINUTE).await;
        let off = Running::reporting_in(running.end(), world.clone());
        sleep(2 * MINUTE).await;
        let left = health(&off.server);
        assert_eq!((&left["verdict"], &left["held"]), (&Value::Null, &Value::Null), "{left}");
        running = Running::checking(off.end(), world.clone());
    }
    let refusals = world.questions().iter().filter(|it| it.refused).count();
    let in_an_hour = world.most_refusals_within(3600);
    println!("{refusals} failures in a day, at most {in_an_hour} in an hour");
    assert!((2..=8).contains(&refusals) && in_an_hour <= 4, "{:?}", world.questions());
}

#[tokio::test(start_paused = true)]
async fn a_process_without_checks_makes_the_one_beside_it_ask_no_more_often() {
    let world = takes(&["first"]);
    let running = in_order(&world).await;
    let beside = Running::reporting_in(running.server.clone(), world.clone());
    sleep(8 * HOUR).await;
    let questions = world.questions().len();
    assert!((14..=21).contains(&questions), "{questions}");
    drop(beside);
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_login_shows() {
    const CANARIES: [&str; 2] = ["pH5tL8nR2sD6yG4j", "qM7cF1xV9bK3zT5w"];
    let log = Logged::start();
    let world = takes(&CANARIES[..1]);
    let server = cluster(1);
    server.put(LOGIN, Some(login(CANARIES[0])));
    let running = Running::checking(server, world.clone());
    sleep(SETTLED).await;
    running.server.put(LOGIN, Some(login(CANARIES[1])));
    sleep(2 * MINUTE).await;
    assert_eq!(healthy(&running.server), "False Refused");
    let report = running.server.object(&report_of_login("acme")).unwrap();
    let metrics = running.status.metrics().unwrap();
    let shown =
        format!("{}{report}{:?}{metrics}{:?}", log.text(), running.events(), running.status);
    assert!(shown.contains("TRACE") && shown.contains("LoginRefused"));
    let login = running.server.object(LOGIN).unwrap();
    let uid = login["metadata"]["uid"].as_str().unwrap();
    let coded = login["data"][".dockerconfigjson"].as_str().unwrap();
    for canary in [CANARIES[0], CANARIES[1], coded] {
        assert!(!shown.contains(canary), "{canary}");
    }
    // It is the key of fingerprints.
    assert!(!report["status"].to_string().contains(uid));
}
