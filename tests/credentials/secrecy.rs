//! Nothing of a login shows anywhere: not in logs at the lowest level, metrics, readiness, Events, or `Debug`.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use pullcred::{
    controller::credentials::state::{Config, Content},
    core::credentials::Credentials,
    http::admin::Report,
    registry::Outcome,
};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    logged::Logged,
    reports::GROUP,
    running::{
        CONFIG_MAP, GRACE, LOGIN, MAPPING, Running, cluster, config_map, copy_of, docker_config,
        login, namespace, password, path_of, secret,
    },
    scripted::{Refusal, Scripted},
    world::{Cloud, Fake},
};

const USER: &str = "uZ3kQ9vX7wB1";
const PASSWORDS: [&str; 3] = ["pH5tL8nR2sD6yG4j", "qM7cF1xV9bK3zT5w", "aJ6gN4dS8hW2eP0r"];
/// How much of a secret is too much: what is shorter may be chance.
const PART: usize = 6;

fn with_password(password: &str) -> serde_json::Value {
    let auth = BASE64_STANDARD.encode(format!("{USER}:{password}"));
    docker_config(&json!({"auths": {"ghcr.io/acme": {"auth": auth}}}))
}

/// The secrets, and how they look in base64 wherever they begin.
fn canaries() -> Vec<String> {
    let mut found = vec![USER.to_owned()];
    found.extend(PASSWORDS.map(ToOwned::to_owned));
    let plain = found.clone();
    for password in PASSWORDS {
        found.push(BASE64_STANDARD.encode(format!("{USER}:{password}")));
        let rendered =
            format!("{{\"auths\":{{\"ghcr.io/acme\":{{\"auth\":\"{}\"", found.last().unwrap());
        found.push(
            BASE64_STANDARD.encode(rendered)["eyJhdXRocyI6eyJnaGNyLmlvL2FjbWUiOns".len()..]
                .to_owned(),
        );
    }
    for text in plain {
        for offset in 0..3 {
            let coded = BASE64_STANDARD.encode(format!("{}{text}", "\0".repeat(offset)));
            // The first and the last group hold other bytes too.
            found.push(coded[4..coded.len() - 4].to_owned());
        }
    }
    found
}

/// The parts of secrets in a text.
fn shown_in(text: &str) -> Vec<String> {
    let canaries = canaries();
    let parts = canaries.iter().flat_map(|it| {
        (0..=it.len().saturating_sub(PART)).filter_map(move |at| it.get(at..at + PART))
    });
    parts.filter(|part| text.contains(part)).map(ToOwned::to_owned).collect()
}

/// A cluster whose login is fetched: for all from one Secret, or by each namespace.
fn fetched(own: bool) -> Scripted {
    let rule = if own { ", as: {serviceAccount: pullcred-pull}" } else { "" };
    let server = cluster(3);
    let mapping = format!(
        "logins: [{{name: ecr, aws: {{role: 'arn:aws:iam::123456789012:role/pull'}}}}]\n\
         rules: [{{registries: [public.ecr.aws], secret: robot, login: ecr, namespaces: ['shop-*'], verify: public.ecr.aws/x{rule}}}]\n"
    );
    server.put(CONFIG_MAP, Some(config_map(&mapping)));
    server
}

#[tokio::test(start_paused = true)]
async fn no_byte_of_a_fetched_login_or_of_a_token_shows() {
    let log = Logged::start();
    let (mut shown, mut written) = (String::new(), Vec::new());
    for own in [false, true] {
        let server = fetched(own);
        let world = Fake::new(Cloud::Gives(3600));
        *world.passwords.lock().unwrap() = PASSWORDS[0].to_owned();
        let running = Running::start_in(server, world.clone());
        for cloud in
            [Cloud::Gives(3600), Cloud::Denies, Cloud::Silent, Cloud::Gives(0), Cloud::Gives(3600)]
        {
            world.set(cloud);
            sleep(Duration::from_secs(3600)).await;
            shown.push_str(&shown_of(&running));
        }
        *world.probing.lock().unwrap() = Outcome::Refused { status: 401 };
        sleep(Duration::from_secs(7200)).await;
        running.server.refuse(|call| call.is_write().then_some(Refusal::Status(500, "no", None)));
        sleep(Duration::from_secs(3600)).await;
        shown.push_str(&shown_of(&running));
        let copy = running.server.object(&copy_of("shop-0")).unwrap();
        assert!(password(&copy).starts_with(PASSWORDS[0]), "the login is there");
        // As the API server gets it: encoded once more.
        let data = copy["data"][".dockerconfigjson"].as_str().unwrap();
        written.push(data[data.len() - 30..].to_owned());
    }
    let logged = log.text();
    for expected in [
        "TRACE",
        "the login was fetched",
        "the login cannot be fetched",
        "LoginExpired",
        "does not take the password",
    ] {
        assert!(format!("{logged}{shown}").contains(expected), "nothing of {expected} was seen");
    }
    for text in [&shown, &logged] {
        // The user of such a login is no secret.
        let found: Vec<_> =
            shown_in(text).into_iter().filter(|it| !USER.contains(it.as_str())).collect();
        assert!(found.is_empty(), "{found:?}");
        let tokens = ["token.pullcred.pullcred-pull", "token.shop-0.pullcred-pull"];
        assert!(!tokens.iter().any(|token| text.contains(token)));
        assert!(!written.iter().any(|data| text.contains(data)));
    }
}

#[tokio::test(start_paused = true)]
async fn no_byte_of_a_login_shows() {
    let log = Logged::start();
    let server = cluster(20);
    server.put(LOGIN, Some(with_password(PASSWORDS[0])));
    let running = Running::reporting(server);
    running.ready_within(Duration::from_secs(1)).await;
    let mut shown = live(&running).await;
    shown.push_str(&with_foreign_secrets(&running).await);
    shown.push_str(&shown_of(&running));
    shown.push_str(&debug_of_types());

    let logged = log.text();
    for expected in [
        "TRACE",
        "a copy cannot be written",
        "the login fills nothing",
        "LoginUnreadable",
        "quay.io/team",
    ] {
        assert!(format!("{logged}{shown}").contains(expected), "nothing of {expected} was seen");
    }
    assert!(shown_in(&shown).is_empty(), "shown: {:?}", shown_in(&shown));
    assert!(shown_in(&logged).is_empty(), "logged: {:?}", shown_in(&logged));

    // The search finds what it looks for.
    let copy = running.server.object(&copy_of("shop-0")).unwrap().to_string();
    assert!(!shown_in(&copy).is_empty());
    assert!(!shown_in(&format!("x {} y", &PASSWORDS[1][3..10])).is_empty());
    tracing::trace!(password = PASSWORDS[1]);
    assert!(!shown_in(&log.text()).is_empty(), "what is logged is looked at");
}

/// Lives through everything that can happen to copies. Answers what was seen of it meanwhile.
async fn live(running: &Running) -> String {
    let mut shown = String::new();
    let server = &running.server;
    server.put(LOGIN, Some(with_password(PASSWORDS[1])));
    sleep(Duration::from_secs(2)).await;
    for refusal in [
        Refusal::Status(403, "forbidden", None),
        Refusal::Status(422, "denied by a policy", None),
        Refusal::Status(500, "internal error", None),
        Refusal::Hang,
        Refusal::Unreachable,
    ] {
        server.refuse(move |call| call.is_write().then(|| refusal.clone()));
        server.put(LOGIN, Some(with_password(PASSWORDS[2])));
        sleep(Duration::from_secs(30)).await;
        shown.push_str(&shown_of(running));
        server.refuse(|_| None);
        sleep(Duration::from_secs(310)).await;
        server.put(LOGIN, Some(with_password(PASSWORDS[1])));
        sleep(Duration::from_secs(2)).await;
    }
    let text = format!("{{\"auths\": {{\"ghcr.io/acme\": {{\"auth\": \"{}\", ", PASSWORDS[0]);
    for broken in [
        secret("kubernetes.io/dockerconfigjson", ".dockerconfigjson", text.as_bytes()),
        secret("kubernetes.io/dockercfg", ".dockercfg", format!("\"{USER}\"").as_bytes()),
        docker_config(&json!({"auths": {"ghcr.io/acme": {"auth": PASSWORDS[0]}}})),
        docker_config(&json!({"auths": {"ghcr.io/acme": {"username": [PASSWORDS[0]]}}})),
    ] {
        server.put(LOGIN, Some(broken));
        sleep(Duration::from_secs(2)).await;
        shown.push_str(&shown_of(running));
    }
    server.put(LOGIN, Some(with_password(PASSWORDS[1])));
    server.edit(&copy_of("shop-1"), |it| it["data"]["more"] = json!("eA=="));
    server.edit(&copy_of("shop-2"), |it| it["metadata"]["labels"] = json!({}));
    server.put(&path_of("shop-3"), Some(namespace(false)));
    server.put(CONFIG_MAP, Some(config_map("rules: [")));
    sleep(GRACE + Duration::from_secs(2)).await;
    shown.push_str(&shown_of(running));
    server.put(CONFIG_MAP, Some(config_map(MAPPING)));
    server.break_watches();
    sleep(Duration::from_secs(60)).await;
    shown
}

/// Somebody makes Secrets in the place of copies, of which the keys are reported. Answers what was seen of it.
async fn with_foreign_secrets(running: &Running) -> String {
    let mut shown = String::new();
    let mapping = format!("{MAPPING}discover: {{namespaces: ['shop-*']}}\n");
    running.server.put(CONFIG_MAP, Some(config_map(&mapping)));
    let auth = BASE64_STANDARD.encode(format!("{USER}:{}", PASSWORDS[0]));
    let keys = [
        "quay.io/team".to_owned(),
        format!("https://{USER}:{}@quay.io", PASSWORDS[1]),
        format!("https://{USER}:1/{}@quay.io", PASSWORDS[1]),
        format!("quay.io/x?{}", PASSWORDS[1]),
    ];
    let auths: serde_json::Map<_, _> =
        keys.into_iter().map(|key| (key, json!({"auth": auth}))).collect();
    let mut whole = docker_config(&json!({"auths": auths}));
    let annotation = "kubectl.kubernetes.io/last-applied-configuration";
    whole["metadata"]["annotations"] = json!({(annotation): whole.to_string()});
    let mut undecodable = whole.clone();
    undecodable["data"] = json!(PASSWORDS[0]);
    let broken = format!("{{\"auths\": {{\"ghcr.io\": {{\"auth\": \"{}\", ", PASSWORDS[0]);
    for foreign in [
        whole,
        undecodable,
        secret("kubernetes.io/dockerconfigjson", ".dockerconfigjson", broken.as_bytes()),
        secret("Opaque", "password", PASSWORDS[0].as_bytes()),
    ] {
        running.server.put("/api/v1/namespaces/shop-6/secrets/own", None);
        running.server.put("/api/v1/namespaces/shop-6/secrets/own", Some(foreign.clone()));
        running.server.put(&copy_of("shop-5"), None);
        running.server.put(&copy_of("shop-5"), Some(foreign));
        sleep(Duration::from_secs(70)).await;
        shown.push_str(&shown_of(running));
    }
    assert!(shown.contains("\"name\":\"own\""), "nothing was discovered");
    shown
}

/// What the outside sees now.
fn shown_of(running: &Running) -> String {
    let written = running.server.read(|objects| {
        let written = objects.iter().filter(|(path, _)| {
            path.starts_with(GROUP) || path.contains("/events/") || path.contains("/leases/")
        });
        written.map(|(_, it)| it.to_string()).collect::<String>()
    });
    format!(
        "{:?} {} {written} {:?}",
        running.status.checks(),
        running.status.metrics().unwrap(),
        running.status
    )
}

/// Types that hold something of a login.
fn debug_of_types() -> String {
    let config = login(PASSWORDS[0]);
    let data = config["data"][".dockerconfigjson"].as_str().unwrap();
    let data = BASE64_STANDARD.decode(data).unwrap();
    let credentials =
        Credentials::read("kubernetes.io/dockerconfigjson", |_| Some(data.as_slice())).unwrap();
    let slice = credentials.slice(&["ghcr.io/acme".parse().unwrap()]);
    let content = Content {
        marks: None,
        login: "acme".parse().unwrap(),
        fingerprint: slice.fingerprint(b"key"),
        config: Config(slice.render()),
    };
    format!("{credentials:?} {slice:?} {content:?} {:#?}", content.config)
}
