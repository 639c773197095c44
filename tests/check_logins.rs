//! `pullcred check` where logins fill the Secrets, through the real binary. Every password has `canary` in it.

#![cfg(test)]

#[path = "support/api_server.rs"]
mod api_server;
#[path = "support/cli.rs"]
mod cli;
#[path = "support/snapshot.rs"]
mod snapshot;

use std::{collections::BTreeMap, fmt::Write, fs};

use api_server::ApiServer;
use base64::{Engine, prelude::BASE64_STANDARD};
use cli::run;
use pullcred::{
    core::{copies::Copies, credentials::Credentials},
    mapping,
};
use serde_json::{Value, json};

const CONFIG: &str = "check/logins/mapping.yaml";
const MAPPING: &str = include_str!("testdata/check/logins/mapping.yaml");
const TYPE: &str = "kubernetes.io/dockerconfigjson";
const UID: &str = "8f1c2f0e-5d0b-4c63-9a5e-0a3f7d1b2c4d";

fn snapshot(name: &str, shown: &str) {
    snapshot::snapshot("check/logins", name, shown);
}

fn has_no_canary(text: &str) {
    let encoded = ["Y2FuYX", "NhbmFye", "jYW5hcn"];
    assert!(!text.contains("canary") && !encoded.iter().any(|it| text.contains(it)), "{text}");
}

/// A Docker config with a login for each of these keys.
fn config(keys: &[&str]) -> String {
    let login = |key: &&str| ((*key).to_owned(), json!({"username": "a", "password": "canary"}));
    json!({"auths": keys.iter().map(login).collect::<serde_json::Map<_, _>>()}).to_string()
}

fn secret(name: &str, namespace: &str, type_: &str, config: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": type_,
        "metadata": {"name": name, "namespace": namespace, "uid": UID},
        "data": {".dockerconfigjson": BASE64_STANDARD.encode(config)},
    })
}

#[test]
fn logins_in_manifests_are_held_against_the_rules() {
    let base = || secret("base-robot", "pullcred", TYPE, &config(&["docker.io"]));
    let acme = |namespace, type_, config: &str| secret("acme-robot", namespace, type_, config);
    let exact = config(&["ghcr.io/acme", "quay.io/acme/"]);
    let mut shown = String::new();
    for (what, secrets, code) in [
        ("just right", vec![acme("pullcred", TYPE, &exact), base()], 0),
        (
            "more than the rules need",
            vec![
                acme(
                    "pullcred",
                    TYPE,
                    &config(&["ghcr.io", "quay.io/acme/", "gcr.io", "quay.io/b"]),
                ),
                base(),
            ],
            0,
        ),
        ("missing", vec![base()], 1),
        ("in another namespace", vec![acme("shop", TYPE, &exact), base()], 1),
        ("of another type", vec![acme("pullcred", "Opaque", &exact), base()], 1),
        ("malformed", vec![acme("pullcred", TYPE, "{\"auths\": {\"canary"), base()], 1),
        (
            "without a registry",
            vec![acme("pullcred", TYPE, &config(&["quay.io/acme/"])), base()],
            1,
        ),
        ("without any login", vec![acme("pullcred", TYPE, "{}"), base()], 1),
    ] {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": secrets}).to_string();
        let run = run(&["check", "--config", CONFIG, "--from", "-"], &list);
        assert_eq!(run.code, Some(code), "{what}: {}", run.shown());
        has_no_canary(&run.shown());
        write!(shown, "# {what}\n{}\n", run.shown()).unwrap();
    }
    snapshot("manifests", &shown);
    let home = secret("acme-robot", "home", TYPE, &exact);
    let list = json!({"kind": "List", "items": [home, secret("base-robot", "home", TYPE, &config(&["docker.io"]))]});
    let args = ["check", "--config", CONFIG, "--from", "-", "--installed-in", "home"];
    assert_eq!(run(&args, &list.to_string()).code, Some(0));
}

#[test]
fn without_manifests_only_the_mapping_is_judged() {
    let run = run(&["check", "--config", CONFIG, "-o", "json"], "");
    assert_eq!(run.code, Some(0), "{}", run.shown());
    assert_eq!(run.stdout.lines().count(), 1, "{}", run.stdout);
    assert!(
        run.stdout.contains(r#""note","check":"path-prefix","where":"line 7""#),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("write ghcr.io/acme/ where"), "{}", run.stdout);
}

#[test]
fn mistakes_are_a_matter_of_usage() {
    for args in [
        &["--from", "-"][..],
        &["--config", CONFIG, "--from", "-", "--from", "-"],
        &["--config", CONFIG, "--from", "-", "--live"],
        &["--config", CONFIG, "--from", "-", "--print-rights"],
        &["--config", CONFIG, "--installed-in", "home"],
    ] {
        let run = run(&[&["check"][..], args].concat(), "");
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{args:?}: {}", run.shown());
    }
}

/// The rights that logins add: their Secrets by name, in pullcred's own namespace, and nothing else.
#[test]
fn the_rights_for_logins_are_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mapping.yaml");
    let written = |mapping: &str| {
        fs::write(&path, mapping).unwrap();
        let run = run(&["check", "--print-rights", "--config", path.to_str().unwrap()], "");
        assert_eq!(run.code, Some(0), "{}", run.shown());
        run.stdout
    };
    let with = written(MAPPING);
    let mut without = MAPPING.split_once("rules:").unwrap().1.to_owned();
    for line in ["    login: acme\n", "    login: base\n", "    namespaceLabels: {tier: prod}\n"] {
        without = without.replace(line, "");
    }
    let without = written(&format!("rules:{without}"));
    let added = "- apiGroups:\n  - ''\n  resources:\n  - secrets\n  resourceNames:\n  - acme-robot\n  - base-robot\n  verbs:\n  - get\n";
    let added = added.replace("''", "\"\"");
    let reports =
        "- apiGroups:\n  - pullcred.dev\n  resources:\n  - pullsecretreports\n  verbs:\n  - list\n";
    let lease = "- apiGroups:\n  - coordination.k8s.io\n  resources:\n  - leases\n  resourceNames:\n  - pullcred-reports\n  verbs:\n  - get\n";
    let mut rest = with.clone();
    for rule in [&added, reports, lease] {
        assert!(rest.contains(rule), "{rest}");
        rest = rest.replacen(rule, "", 1);
    }
    assert_eq!(rest, without);
    let (_, role) = with.split_once("kind: Role\n").unwrap();
    let role = role.split("---").next().unwrap();
    assert!(role.contains(&added), "{role}");
}

/// The fingerprint of a copy that is made of this login now.
fn fingerprint(namespace: &str, login: &str) -> String {
    let mapping = mapping::parse(MAPPING).unwrap();
    let credentials = Credentials::read(TYPE, |_| Some(login.as_bytes())).unwrap();
    let copies = Copies::of(&mapping, "home");
    let recipe = &copies.wanted(namespace, |_| None)[0];
    copies.slice(recipe, &credentials).fingerprint(UID.as_bytes())
}

fn copy(namespace: &str, content: &str) -> Value {
    json!({
        "metadata": {
            "name": "acme-pull", "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": "pullcred"},
            "annotations": {"pullcred.dev/login": "acme", "pullcred.dev/content": content},
        },
    })
}

/// A copy with its content, for a reader that does not know the login.
fn whole(namespace: &str) -> (u16, Value) {
    let mut copy = copy(namespace, "");
    let data = BASE64_STANDARD.encode(config(&["ghcr.io/acme", "quay.io/acme/"]));
    copy["type"] = json!(TYPE);
    copy["data"] = json!({".dockerconfigjson": data});
    (200, copy)
}

fn pod(namespace: &str, image: &str) -> Value {
    json!({
        "metadata": {"namespace": namespace, "name": "web"},
        "spec": {
            "containers": [{"name": "app", "image": image}],
            "imagePullSecrets": [{"name": "acme-pull"}],
        },
    })
}

fn list(kind: &str, items: &[Value]) -> (u16, Value) {
    (200, json!({"kind": kind, "metadata": {}, "items": items}))
}

const LOGIN: &str = "/api/v1/namespaces/home/secrets/acme-robot";
const CONTROLLER: &str = "/api/v1/namespaces/home/pods?&labelSelector=app.kubernetes.io%2Fcomponent%3Dcredentials&limit=250";
const WEBHOOKS: &str =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations?&limit=250";

/// A cluster with five opted-in namespaces, in which all copies are as they should be. Of these there is the metadata
/// alone: a reader of more takes them for Secrets of another type.
fn cluster() -> BTreeMap<&'static str, (u16, Value)> {
    let webhook = json!({
        "name": "inject.pullcred.dev", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {"service": {"namespace": "home", "name": "pullcred"}},
        "namespaceSelector": {"matchLabels": {"pullcred.dev/inject": "enabled"}},
    });
    let configuration = json!({"metadata": {"name": "pullcred"}, "webhooks": [webhook]});
    let namespace = |name: &str| json!({"metadata": {"name": name, "labels": {"pullcred.dev/inject": "enabled"}}});
    let namespaces = ["team-a", "team-b", "team-c", "other", "home"].map(namespace);
    let login = config(&["ghcr.io/acme", "quay.io/acme/"]);
    let good = |namespace| (200, copy(namespace, &fingerprint(namespace, &login)));
    let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    let controller =
        json!({"metadata": {"name": "credentials-1", "namespace": "home"}, "status": ready});
    BTreeMap::from([
        (WEBHOOKS, list("MutatingWebhookConfigurationList", &[configuration])),
        ("/api/v1/namespaces?&limit=250", list("PartialObjectMetadataList", &namespaces)),
        ("/api/v1/pods?&limit=250", list("PodList", &[pod("team-a", "ghcr.io/acme/web")])),
        (CONTROLLER, list("PodList", &[controller])),
        (LOGIN, (200, secret("acme-robot", "home", TYPE, &login))),
        (
            "/api/v1/namespaces/home/secrets/base-robot",
            (200, secret("base-robot", "home", TYPE, &config(&["docker.io"]))),
        ),
        (TEAM_A, good("team-a")),
        (TEAM_B, good("team-b")),
        (TEAM_C, good("team-c")),
    ])
}

const TEAM_A: &str = "/api/v1/namespaces/team-a/secrets/acme-pull";
const TEAM_B: &str = "/api/v1/namespaces/team-b/secrets/acme-pull";
const TEAM_C: &str = "/api/v1/namespaces/team-c/secrets/acme-pull";

/// What `check --live` finds there of these checks.
fn found(answers: BTreeMap<&'static str, (u16, Value)>) -> String {
    const CHECKS: [&str; 10] = [
        "copy-missing",
        "copy-outdated",
        "credentials-controller",
        "login-",
        "missing-secret",
        "name-conflict",
        "no-login",
        "replicas",
        "secret-type",
        "unreadable-secret",
    ];
    let server = ApiServer::start(answers);
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    fs::write(&kubeconfig, server.kubeconfig()).unwrap();
    let kubeconfig = kubeconfig.to_str().unwrap();
    let args = ["check", "--live", "--kubeconfig", kubeconfig, "--config", CONFIG, "-o", "json"];
    let run = run(&args, "");
    has_no_canary(&run.shown());
    let of_interest = |line: &&str| {
        let finding: Value = serde_json::from_str(line).unwrap();
        let check = finding["check"].as_str().unwrap();
        let place = finding["where"].as_str().unwrap();
        CHECKS.iter().any(|it| check.starts_with(it))
            || check == "not-seen" && (place.contains("secret") || place.contains("login"))
    };
    run.stdout.lines().filter(of_interest).collect::<Vec<_>>().join("\n")
}

#[test]
fn logins_and_copies_of_a_cluster_are_judged() {
    let mut shown = String::new();
    let mut case = |what: &str, changes: &[(&'static str, (u16, Value))]| {
        let mut answers = cluster();
        answers.extend(changes.iter().cloned());
        let found = found(answers);
        writeln!(shown, "# {what}\n{found}\n").unwrap();
        found
    };
    let gone = || (404, json!({"message": "not found", "reason": "NotFound"}));
    let refused = || (403, json!({"message": "forbidden", "reason": "Forbidden"}));
    let own = |namespace| (200, secret("acme-pull", namespace, TYPE, &config(&["ghcr.io/other"])));
    let login = |type_, keys: &[&str]| (200, secret("acme-robot", "home", type_, &config(keys)));
    let narrow = config(&["ghcr.io/acme/api", "quay.io/acme/"]);
    let narrowed = |it| (200, copy(it, &fingerprint(it, &narrow)));

    assert_eq!(case("all is well", &[]), "");
    case("copies are missing", &[(TEAM_A, gone()), (TEAM_B, gone()), (TEAM_C, gone())]);
    let old = "00000000000000000000000000000000";
    case("a copy is old", &[(TEAM_B, (200, copy("team-b", old)))]);
    case("the names are taken", &[(TEAM_A, own("team-a")), (TEAM_B, own("team-b"))]);
    let read = |answer, team_a| {
        [(LOGIN, answer), (TEAM_A, team_a), (TEAM_B, whole("team-b")), (TEAM_C, whole("team-c"))]
    };
    case("the login is missing", &read(gone(), gone()));
    case("the login is of another type", &read(login("Opaque", &[]), whole("team-a")));
    case("the login lacks a registry", &[(LOGIN, login(TYPE, &["quay.io/acme/"]))]);
    case("the login may not be read", &read(refused(), whole("team-a")));
    case(
        "the login does not open an image",
        &[
            (LOGIN, login(TYPE, &["ghcr.io/acme/api", "quay.io/acme/"])),
            (TEAM_A, narrowed("team-a")),
            (TEAM_B, narrowed("team-b")),
            (TEAM_C, narrowed("team-c")),
        ],
    );
    case("there is no controller", &[(CONTROLLER, list("PodList", &[]))]);
    let pod = json!({"metadata": {"name": "credentials-1", "namespace": "home"}});
    case("the controller is not ready", &[(CONTROLLER, list("PodList", &[pod]))]);
    snapshot("live", &shown);
}

/// Without logins, nothing is asked for their sake, and nothing said.
#[test]
fn a_mapping_without_logins_is_judged_as_before() {
    let server = ApiServer::start(cluster());
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    fs::write(&kubeconfig, server.kubeconfig()).unwrap();
    let config = "check/clean.yaml";
    let kubeconfig = kubeconfig.to_str().unwrap();
    let args = ["check", "--live", "--kubeconfig", kubeconfig, "--config", config, "-o", "json"];
    let run = run(&args, "");
    let words = ["login-", "credentials", "copy-", "name-conflict", "path-prefix", "home/secrets"];
    assert!(!words.iter().any(|word| run.stdout.contains(word)), "{}", run.stdout);
}

const FETCHED: &str = "/api/v1/namespaces/home/secrets/pullcred-login-ecr";
const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

/// A mapping with a login that pullcred fetches, and one that namespaces fetch themselves.
fn fetched() -> (tempfile::TempDir, String) {
    let role = "arn:aws:iam::123456789012:role/pull";
    let mapping = json!({
        "logins": [{"name": "ecr", "aws": {"role": role}}, {"name": "own", "aws": {"role": role}}],
        "rules": [
            {"registries": [format!("{ECR}/acme/")], "secret": "ecr-pull", "login": "ecr", "namespaces": ["team-*"]},
            {"registries": [format!("{ECR}/own/")], "secret": "own-pull", "login": "own", "namespaces": ["shop"],
             "as": {"serviceAccount": "puller"}},
        ],
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mapping.yaml");
    fs::write(&path, mapping.to_string()).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn logins_that_pullcred_fetches_are_told_and_their_end_is_an_error() {
    let (folder, config) = fetched();
    let run = run(&["check", "--config", &config, "-o", "json"], "");
    assert_eq!(run.code, Some(0), "{}", run.shown());
    let mut shown = format!("# the mapping\n{}", run.stdout);
    let login = |ends: &str| {
        let mut login = secret("pullcred-login-ecr", "home", TYPE, &config_of_ecr());
        login["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "pullcred"});
        login["metadata"]["annotations"] = json!({"pullcred.dev/expires-at": ends});
        (200, login)
    };
    let gone = (404, json!({"message": "not found", "reason": "NotFound"}));
    for (what, answer) in [
        ("it lives", login("2199-01-01T00:00:00Z")),
        ("it has ended", login("2026-01-01T00:00:00Z")),
        ("it is missing", gone),
        ("it has no login", (200, secret("pullcred-login-ecr", "home", "Opaque", "{}"))),
    ] {
        let mut answers = cluster();
        answers.insert(FETCHED, answer);
        let server = ApiServer::start(answers);
        let kubeconfig = folder.path().join("kubeconfig");
        fs::write(&kubeconfig, server.kubeconfig()).unwrap();
        let kubeconfig = kubeconfig.to_str().unwrap();
        let args =
            ["check", "--live", "--kubeconfig", kubeconfig, "--config", &config, "-o", "json"];
        let run = cli::run(&args, "");
        has_no_canary(&run.shown());
        let of_logins = run.stdout.lines().filter(|it| it.contains("home/pullcred-login"));
        let of_logins: Vec<_> = of_logins.collect();
        assert_eq!(of_logins.len(), 1, "{}", run.shown());
        writeln!(shown, "# {what}\n{}", of_logins.join("\n")).unwrap();
    }
    snapshot("fetched", &shown);
}

fn config_of_ecr() -> String {
    config(&[&format!("{ECR}/acme/")])
}
