//! Logins of namespaces' own identities (`as`).

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::fetched::{MINTED, OWN, ROLE, mapping, server};
use crate::{
    running::{Running, copy_of, docker_config, password, writes},
    world::{Cloud, Fake},
};

fn copy_password(running: &Running, namespace: &str) -> Option<String> {
    running.server.object(&copy_of(namespace)).map(|it| password(&it))
}

#[tokio::test(start_paused = true)]
async fn a_namespace_gets_what_its_own_identity_is_given_and_nothing_else() {
    let world = Fake::new(Cloud::Trusts("token.shop-0."));
    let running = Running::start_in(server(3, &mapping(ROLE, OWN)), world.clone());
    sleep(Duration::from_secs(30)).await;
    let fetches = world.fetches.lock().unwrap().clone();
    let ours = |by: &str| {
        fetches
            .iter()
            .position(|(_, _, it)| it.starts_with(by))
            .map(|it| format!("minted-{}", it + 1))
    };
    assert_eq!(
        copy_password(&running, "shop-0"),
        ours("token.shop-0.pullcred-pull.sts.amazonaws.com")
    );
    assert!(copy_password(&running, "shop-0").is_some());
    for denied in ["shop-1", "shop-2", "other"] {
        assert_eq!(copy_password(&running, denied), None, "{denied}");
        let named = format!("ServiceAccount {denied}/pullcred-pull");
        assert_eq!(
            running.has_event("LoginRefreshFailed", &named),
            denied != "other",
            "{:?}",
            running.events()
        );
    }
    // Whose identity is refused is the namespace's affair: the controller is ready.
    assert_eq!(running.failures(), "");
    assert!(
        running.note("fetched logins").contains("ecr of namespace shop-2: "),
        "{}",
        running.note("fetched logins")
    );
    assert!(running.server.object(MINTED).is_none(), "nothing is kept for all");

    // Renewed in place; a trust that comes later works within five minutes.
    let uid = |running: &Running| {
        running.server.object(&copy_of("shop-0")).unwrap()["metadata"]["uid"].clone()
    };
    let before = uid(&running);
    let first = copy_password(&running, "shop-0");
    world.set(Cloud::Trusts("token.shop-"));
    sleep(Duration::from_secs(305)).await;
    for namespace in ["shop-1", "shop-2"] {
        assert!(copy_password(&running, namespace).is_some(), "{namespace}");
    }
    sleep(Duration::from_secs(33 * 60)).await;
    assert_ne!(copy_password(&running, "shop-0"), first);
    assert_eq!(uid(&running), before);
    let all: BTreeSet<_> =
        ["shop-0", "shop-1", "shop-2"].map(|it| copy_password(&running, it)).into();
    assert_eq!(all.len(), 3, "no namespace has the login of another");
}

#[tokio::test(start_paused = true)]
async fn a_login_of_a_namespace_goes_with_it_and_survives_a_restart() {
    let world = Fake::new(Cloud::Trusts("token.shop-"));
    let running = Running::start_in(server(3, &mapping(ROLE, OWN)), world.clone());
    sleep(Duration::from_secs(30)).await;
    assert_eq!(world.count(), 3);
    running.server.take_calls();
    let (server, ()) = (running.server.clone(), drop(running));
    server.break_watches();
    let running = Running::start_in(server, world.clone());
    sleep(Duration::from_secs(120)).await;
    assert_eq!((world.count(), writes(&running.server.take_calls()).len()), (3, 0));

    // Somebody edits one, and one namespace opts out.
    running.server.edit(&copy_of("shop-0"), |it| {
        it["data"] = docker_config(&json!({"auths": {}}))["data"].clone();
    });
    running.server.put("/api/v1/namespaces/shop-1", Some(crate::running::namespace(false)));
    sleep(Duration::from_secs(30)).await;
    assert_eq!(world.count(), 4);
    assert_eq!(copy_password(&running, "shop-0").as_deref(), Some("minted-4"));
    sleep(Duration::from_secs(620)).await;
    assert_eq!(copy_password(&running, "shop-1"), None, "collected after the grace");
    running.server.remove_namespace("shop-2");
    sleep(Duration::from_secs(3600)).await;
    let fetches = world.fetches.lock().unwrap();
    let late = |by: &str| fetches.iter().skip(4).filter(|(_, _, it)| it.starts_with(by)).count();
    assert_eq!((late("token.shop-0."), late("token.shop-1."), late("token.shop-2.")), (2, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_namespaces_fetch_for_themselves() {
    let world = Fake::new(Cloud::Trusts("token."));
    let began = Instant::now();
    let running = Running::start_in(server(1000, &mapping(ROLE, OWN)), world.clone());
    while running.copies("ready") < 1000 {
        sleep(Duration::from_millis(100)).await;
        assert!(began.elapsed() < Duration::from_secs(60), "{}", running.copies("ready"));
    }
    println!(
        "1000 namespaces of their own identity: {} fetches, all there after {:?}",
        world.count(),
        began.elapsed()
    );
    assert_eq!(world.count(), 1000);
}
