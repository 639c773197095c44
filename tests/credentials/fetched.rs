//! Short-lived logins: fetched once, renewed in place, kept when they end, and left alone where they are somebody else's.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use pullcred::registry::Outcome as Probing;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    running::{CONFIG_MAP, Running, cluster, config_map, copy_of, docker_config, password, writes},
    scripted::{Refusal, Scripted},
    world::{Cloud, Fake},
};

pub(crate) const MINTED: &str = "/api/v1/namespaces/pullcred/secrets/pullcred-login-ecr";
const KEYS: &str = "/api/v1/namespaces/pullcred/secrets/ecr-keys";
const HOST: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
pub(crate) const HOUR: i64 = 3600;

pub(crate) fn mapping(aws: &str, rule: &str) -> String {
    format!(
        "logins:\n- {{name: ecr, aws: {aws}}}\nrules:\n\
         - {{registries: [{HOST}/acme], secret: robot, login: ecr, namespaces: ['shop-*']{rule}}}\n"
    )
}

pub(crate) const ROLE: &str = "{role: 'arn:aws:iam::123456789012:role/pull'}";

/// A rule's key for the identity of each namespace.
pub(crate) const OWN: &str = ", as: {serviceAccount: pullcred-pull}";

pub(crate) fn server(namespaces: usize, mapping: &str) -> Scripted {
    let server = cluster(namespaces);
    server.put(CONFIG_MAP, Some(config_map(mapping)));
    server
}

/// Starts, and waits until the login is fetched and copied.
async fn running(namespaces: usize, world: &Arc<Fake>) -> Running {
    let running = Running::start_in(server(namespaces, &mapping(ROLE, "")), world.clone());
    let took = copied_within(&running, Duration::from_secs(60)).await;
    println!("{namespaces} namespaces: fetched and copied after {took:?}");
    running
}

/// Waits until all copies have the login that is stored.
async fn copied_within(running: &Running, limit: Duration) -> Duration {
    let began = Instant::now();
    loop {
        let stored = running.server.object(MINTED).map(|it| password(&it));
        if let Some(stored) = stored
            && wrong_copies(running, &stored) == 0
        {
            return began.elapsed();
        }
        assert!(began.elapsed() < limit, "after {limit:?}: {}", running.failures());
        sleep(Duration::from_millis(50)).await;
    }
}

fn wrong_copies(running: &Running, right: &str) -> usize {
    running.server.read(|objects| {
        let namespaces = objects.range("/api/v1/namespaces/shop-".to_owned()..);
        let namespaces = namespaces.filter(|(_, it)| it["kind"] == "Namespace");
        let is_wrong = |path: &str| {
            let copy = objects.get(&copy_of(path.rsplit('/').next().unwrap()));
            copy.is_none_or(|copy| password(copy) != right)
        };
        namespaces.filter(|(path, _)| is_wrong(path)).count()
    })
}

fn annotation(secret: &Value, key: &str) -> String {
    secret["metadata"]["annotations"][format!("pullcred.dev/{key}")]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn events(running: &Running, reason: &str) -> usize {
    running.events().iter().filter(|(it, _)| it == reason).count()
}

fn refreshes(running: &Running, outcome: &str) -> i64 {
    running.metric(&format!("pullcred_login_refresh_total{{login=\"ecr\",outcome=\"{outcome}\"}}"))
}

#[tokio::test(start_paused = true)]
async fn one_fetch_serves_a_thousand_namespaces() {
    let world = Fake::new(Cloud::Gives(HOUR));
    let running = running(1000, &world).await;
    assert_eq!(world.count(), 1);
    let (_, login, by) = world.fetches.lock().unwrap()[0].clone();
    assert_eq!(
        (login.as_str(), by.as_str()),
        ("ecr", "token.pullcred.pullcred-pull.sts.amazonaws.com")
    );

    let stored = running.server.object(MINTED).unwrap();
    assert_eq!(stored["type"], "kubernetes.io/dockerconfigjson");
    assert_eq!(stored["metadata"]["labels"]["app.kubernetes.io/managed-by"], "pullcred");
    assert!(annotation(&stored, "expires-at").ends_with('Z'), "{stored}");
    let uids = |running: &Running| -> BTreeSet<String> {
        running.server.read(|objects| {
            let secrets = objects
                .iter()
                .filter(|(path, _)| path.ends_with("/secrets/robot") || *path == MINTED);
            secrets.map(|(_, it)| it["metadata"]["uid"].as_str().unwrap().to_owned()).collect()
        })
    };
    let before = uids(&running);
    assert_eq!(before.len(), 1001);
    running.server.take_calls();

    sleep(Duration::from_secs(33 * 60 + 15)).await;
    assert_eq!(world.count(), 2);
    assert_eq!(wrong_copies(&running, "minted-2"), 0);
    assert_eq!(uids(&running), before, "renewed in place");
    let calls = running.server.take_calls();
    println!("a renewal: {} writes of Secrets for 1000 namespaces", writes(&calls).len());
    assert_eq!(writes(&calls).len(), 1001);
    assert_eq!((refreshes(&running, "ok"), running.failures().as_str()), (2, ""));
}

#[tokio::test(start_paused = true)]
async fn a_day_of_short_lives_has_no_second_without_a_login() {
    for (life, session) in [(240, 240), (HOUR, HOUR), (12 * HOUR, HOUR)] {
        let world = Fake::new(Cloud::Session(life, session));
        let running = running(3, &world).await;
        let mut oldest = 0;
        for _ in 0..24 * 60 {
            sleep(Duration::from_secs(60)).await;
            let fetched = world.fetches.lock().unwrap().last().unwrap().0;
            oldest = oldest.max(pullcred::fetch::World::now(&*world) - fetched);
            assert_eq!(running.failures(), "");
        }
        let fetches = world.count();
        println!(
            "life {life} s, session {session} s: {fetches} fetches in a day, the oldest login was {oldest} s old"
        );
        let half = usize::try_from(24 * HOUR * 2 / session).unwrap();
        assert!((half * 9 / 10..=half * 12 / 10).contains(&fetches), "{fetches}");
        assert!(oldest <= session * 55 / 100 + 61, "{oldest}");
        assert_eq!(events(&running, "LoginRefreshFailed") + events(&running, "LoginExpired"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_half_a_life_ends_no_login_and_one_that_is_longer_is_reported_once() {
    let world = Fake::new(Cloud::Gives(HOUR));
    let running = running(3, &world).await;
    let stored = running.server.object(MINTED).unwrap();
    world.set(Cloud::Silent);
    sleep(Duration::from_secs(50 * 60)).await;
    assert_eq!((events(&running, "LoginRefreshFailed"), events(&running, "LoginExpired")), (1, 0));
    assert_eq!(running.failures(), "", "the login still works");
    assert!(
        running.note("fetched logins").starts_with("ecr: "),
        "{}",
        running.note("fetched logins")
    );

    sleep(Duration::from_secs(6 * 3600)).await;
    let attempts = world.count();
    println!("an outage of 6 h 50: {attempts} attempts, {:?}", running.events());
    // One a minute at most, shortened at random: half of that in the mean.
    assert!((300..=1000).contains(&attempts), "{attempts}");
    assert_eq!((events(&running, "LoginRefreshFailed"), events(&running, "LoginExpired")), (1, 1));
    assert!(running.failure("fetched logins").contains("no answer"), "{}", running.failures());
    let kept = running.server.object(MINTED).unwrap();
    assert_eq!(kept, stored, "what has ended stays");
    assert_eq!(wrong_copies(&running, "minted-1"), 0);
    running.server.take_calls();

    world.set(Cloud::Gives(HOUR));
    sleep(Duration::from_secs(62)).await;
    assert_eq!(running.failures(), "");
    assert_eq!(events(&running, "LoginRefreshed"), 1);
    assert_eq!(wrong_copies(&running, &format!("minted-{}", world.count())), 0);
    assert_eq!(writes(&running.server.take_calls()).len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_tried_every_five_minutes_and_throttling_as_asked() {
    for (cloud, outcome, range) in
        [(Cloud::Denies, "denied", 12..=60), (Cloud::Throttles(600), "throttled", 6..=7)]
    {
        let world = Fake::new(cloud.clone());
        let running = Running::start_in(server(1, &mapping(ROLE, "")), world.clone());
        sleep(Duration::from_secs(3600)).await;
        println!("{cloud:?}: {} attempts in an hour; {}", world.count(), running.failures());
        assert!(range.contains(&world.count()), "{}", world.count());
        assert_eq!(refreshes(&running, outcome), i64::try_from(world.count()).unwrap());
        assert!(
            running
                .failure("fetched logins")
                .starts_with("ecr: login ecr: step token at sts.example.com")
        );
        // A change of the mapping is tried at once.
        world.set(Cloud::Gives(HOUR));
        let changed = mapping("{role: 'arn:aws:iam::123456789012:role/other'}", "");
        running.server.put(CONFIG_MAP, Some(config_map(&changed)));
        copied_within(&running, Duration::from_secs(2)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_fetches_and_writes_nothing() {
    let world = Fake::new(Cloud::Gives(HOUR));
    let mut now = running(3, &world).await;
    for _ in 0..5 {
        now.server.take_calls();
        let (server, ()) = (now.server.clone(), drop(now));
        server.break_watches();
        now = Running::start_in(server, world.clone());
        sleep(Duration::from_secs(180)).await;
        assert_eq!((world.count(), now.failures().as_str()), (1, ""));
        assert_eq!(writes(&now.server.take_calls()).len(), 0);
    }
    // The life that is stored counts on.
    sleep(Duration::from_secs(20 * 60)).await;
    assert_eq!(world.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn two_processes_share_one_login() {
    let world = Fake::new(Cloud::Gives(HOUR));
    let server = server(3, &mapping(ROLE, ""));
    let one = Running::start_in(server.clone(), world.clone());
    let two = Running::start_in(server, world.clone());
    sleep(Duration::from_secs(24 * 3600)).await;
    let fetches = world.count();
    let writes = writes(&one.server.take_calls()).iter().filter(|it| it.path == MINTED).count();
    println!("two processes for a day: {fetches} fetches, {writes} writes of the login");
    assert!((44..=58).contains(&fetches), "{fetches}");
    assert_eq!((one.failures().as_str(), two.failures().as_str()), ("", ""));
    assert_eq!(events(&one, "LoginRefreshFailed"), 0);
}

#[tokio::test(start_paused = true)]
async fn of_two_processes_that_fetch_at_once_the_slower_takes_what_the_faster_has_stored() {
    for own in [false, true] {
        let (path, rule) = if own { (copy_of("shop-0"), OWN) } else { (MINTED.to_owned(), "") };
        let server = server(1, &mapping(ROLE, rule));
        let mut processes = Vec::new();
        for (name, takes) in [("fast-", 2), ("slow-", 4)] {
            let world = Fake::new(Cloud::Gives(HOUR));
            *world.passwords.lock().unwrap() = name.to_owned();
            *world.takes.lock().unwrap() = Duration::from_secs(takes);
            processes.push((Running::start_in(server.clone(), world.clone()), world));
        }
        sleep(Duration::from_secs(20)).await;
        assert_eq!(processes.iter().map(|(_, world)| world.count()).sum::<usize>(), 2, "both ask");
        assert_eq!(password(&server.object(&path).unwrap()), "fast-1");
        let calls = server.take_calls();
        assert_eq!(writes(&calls).iter().filter(|it| it.path == path).count(), 1);
        assert!(processes.iter().all(|(running, _)| running.failures().is_empty()));

        // And where it is made again.
        sleep(Duration::from_secs(120)).await;
        server.put(&path, None);
        sleep(Duration::from_secs(20)).await;
        assert_eq!(password(&server.object(&path).unwrap()), "fast-2");
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_that_somebody_deletes_or_edits_is_fetched_again() {
    let world = Fake::new(Cloud::Gives(12 * HOUR));
    let running = running(3, &world).await;
    sleep(Duration::from_secs(600)).await;
    running.server.put(MINTED, None);
    sleep(Duration::from_secs(3)).await;
    assert_eq!(world.count(), 2);
    copied_within(&running, Duration::from_secs(3)).await;

    // Soon after that only after a minute, since somebody may do it all the time.
    running
        .server
        .edit(MINTED, |it| it["data"] = docker_config(&json!({"auths": {}}))["data"].clone());
    sleep(Duration::from_secs(30)).await;
    assert_eq!(world.count(), 2);
    sleep(Duration::from_secs(35)).await;
    assert_eq!(world.count(), 3);
    copied_within(&running, Duration::from_secs(3)).await;
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_secret_is_left_alone() {
    let world = Fake::new(Cloud::Gives(HOUR));
    let server = server(3, &mapping(ROLE, ""));
    let theirs =
        docker_config(&json!({"auths": {"quay.io": {"username": "u", "password": "theirs"}}}));
    server.put(MINTED, Some(theirs));
    let running = Running::start_in(server, world.clone());
    sleep(Duration::from_secs(600)).await;
    assert_eq!(password(&running.server.object(MINTED).unwrap()), "theirs");
    assert!(
        running.failure("fetched logins").contains("somebody else's"),
        "{}",
        running.failures()
    );
    running.server.put(MINTED, None);
    copied_within(&running, Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_login_is_given_out_only_if_the_registry_takes_it() {
    let world = Fake::new(Cloud::Gives(HOUR));
    *world.probing.lock().unwrap() = Probing::Denied { status: 403 };
    let verified = mapping(ROLE, &format!(", verify: '{HOST}/acme/base:1'"));
    let running = Running::start_in(server(3, &verified), world.clone());
    sleep(Duration::from_secs(600)).await;
    assert!(running.server.object(MINTED).is_none());
    let failure = running.failure("fetched logins");
    assert!(failure.contains("step registry") && failure.contains("403"), "{failure}");
    assert!(refreshes(&running, "unverified") > 0 && refreshes(&running, "ok") == 0);
    assert_eq!(events(&running, "LoginRefreshFailed"), 1);
    *world.probing.lock().unwrap() = Probing::Opened;
    copied_within(&running, Duration::from_secs(300)).await;

    // A new one that is refused does not take the place of the old one.
    *world.probing.lock().unwrap() = Probing::Refused { status: 401 };
    let stored = running.server.object(MINTED);
    sleep(Duration::from_secs(45 * 60)).await;
    assert_eq!(running.server.object(MINTED), stored);
}

#[tokio::test(start_paused = true)]
async fn what_ends_too_soon_is_not_given_out() {
    let world = Fake::new(Cloud::Gives(0));
    let running = Running::start_in(server(1, &mapping(ROLE, "")), world.clone());
    sleep(Duration::from_secs(60)).await;
    assert!(running.server.object(MINTED).is_none());
    assert!(refreshes(&running, "expired_on_arrival") > 0);
    assert!(
        running.failure("fetched logins").contains("lives for 0 s only"),
        "{}",
        running.failures()
    );
}

#[tokio::test(start_paused = true)]
async fn clocks_that_differ_do_not_end_a_login_early() {
    for skew in [-300, 300] {
        let world = Fake::new(Cloud::Gives(HOUR));
        world.skew.store(skew, Ordering::Relaxed);
        let first = server(3, &mapping(ROLE, ""));
        first.set_clock(skew);
        let running = Running::start_in(first, world.clone());
        copied_within(&running, Duration::from_secs(5)).await;
        assert_eq!(running.metric("pullcred_login_clock_skew_seconds{login=\"ecr\"}"), skew);
        // Another process reads the life that is stored.
        let (server, ()) = (running.server.clone(), drop(running));
        let running = Running::start_in(server, world.clone());
        sleep(Duration::from_secs(26 * 60)).await;
        assert_eq!(world.count(), 1, "{skew}");
        sleep(Duration::from_secs(8 * 60)).await;
        assert_eq!((world.count(), running.failures().as_str()), (2, ""), "{skew}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_renews_when_it_wakes() {
    let world = Fake::new(Cloud::Gives(HOUR));
    let running = running(3, &world).await;
    world.set_forward.store(2 * HOUR, Ordering::Relaxed);
    sleep(Duration::from_secs(33)).await;
    assert_eq!(world.count(), 2);
    copied_within(&running, Duration::from_secs(2)).await;
}

#[tokio::test(start_paused = true)]
async fn keys_that_appear_are_used_at_once() {
    let world = Fake::new(Cloud::Gives(HOUR));
    let running =
        Running::start_in(server(1, &mapping("{keys: {secret: ecr-keys}}", "")), world.clone());
    sleep(Duration::from_secs(3600)).await;
    assert!(
        running.failure("fetched logins").contains("no Secret ecr-keys"),
        "{}",
        running.failures()
    );
    assert_eq!(world.count(), 0, "nothing is asked without keys");
    running.server.put(KEYS, Some(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {}, "data": {"accessKeyId": "QQ=="}})));
    copied_within(&running, Duration::from_secs(2)).await;
    assert_eq!(world.fetches.lock().unwrap()[0].2, "Keys");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_may_not_be_had_is_reported_as_the_identity() {
    let world = Fake::new(Cloud::Gives(HOUR));
    let server = server(1, &mapping(ROLE, ""));
    server.refuse(|call| {
        call.path.ends_with("/token").then_some(Refusal::Status(403, "forbidden by RBAC", None))
    });
    let running = Running::start_in(server, world.clone());
    sleep(Duration::from_secs(60)).await;
    let failure = running.failure("fetched logins");
    assert!(
        failure.contains("step identity") && failure.contains("forbidden by RBAC"),
        "{failure}"
    );
    assert_eq!((world.count(), refreshes(&running, "denied") > 0), (0, true));
}

#[tokio::test(start_paused = true)]
async fn a_file_is_copied_when_it_changes() {
    let text = |password: &str| {
        json!({"auths": {"ghcr.io/acme": {"username": "u", "password": password}, "quay.io": {"auth": "eDp5"}}}).to_string()
    };
    let mapping = "logins: [{name: ecr, file: /run/logins/config.json}]\n\
                   rules: [{registries: [ghcr.io/acme], secret: robot, login: ecr, namespaces: ['shop-*']}]\n";
    let world = Fake::new(Cloud::Silent);
    let running = Running::start_in(server(3, mapping), world.clone());
    sleep(Duration::from_secs(60)).await;
    assert!(
        running.failure("fetched logins").contains("/run/logins/config.json cannot be read"),
        "{}",
        running.failures()
    );
    *world.files.lock().unwrap() = Some(text("one"));
    copied_within(&running, Duration::from_secs(62)).await;
    let stored = running.server.object(MINTED).unwrap();
    assert_eq!(
        (password(&stored).as_str(), annotation(&stored, "expires-at").as_str()),
        ("one", "")
    );
    running.server.take_calls();
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(writes(&running.server.take_calls()).len(), 0);

    *world.files.lock().unwrap() = Some(text("two"));
    sleep(Duration::from_secs(12)).await;
    assert_eq!(wrong_copies(&running, "two"), 0);
    // What cannot be read leaves the last one where it is.
    *world.files.lock().unwrap() = Some("{".to_owned());
    sleep(Duration::from_secs(120)).await;
    assert_eq!(wrong_copies(&running, "two"), 0);
    assert!(
        running.note("fetched logins").contains("no logins that can be used"),
        "{}",
        running.note("fetched logins")
    );
    *world.files.lock().unwrap() = Some(text("two"));
    running.server.take_calls();
    let (server, ()) = (running.server.clone(), drop(running));
    let running = Running::start_in(server, world.clone());
    sleep(Duration::from_secs(120)).await;
    assert_eq!(writes(&running.server.take_calls()).len(), 0, "a restart writes nothing");
}
