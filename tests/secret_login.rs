//! `pullcred secret --login` through the real binary: against a cloud that checks tokens and signatures, and an API server that
//! gives tokens and keeps Secrets.

#![cfg(test)]

#[path = "support/cli.rs"]
mod cli;
#[path = "support/clouds/mod.rs"]
mod clouds;
#[path = "support/snapshot.rs"]
mod snapshot;

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use cli::{Run, run};
use clouds::{
    Authority, Received, Reply, Server,
    aws::{Aws, ROLE},
    identity::{ISSUER, Key, SUBJECT, Trust},
};
use serde_json::{Value, json};
use tempfile::TempDir;

const HOST: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
const AUDIENCE: &str = "sts.amazonaws.com";
const TOKEN: &str = "/api/v1/namespaces/pullcred/serviceaccounts/pullcred-pull/token";
const SECRET: &str = "/api/v1/namespaces/pullcred/secrets/pullcred-login-ecr";

/// An API server that gives tokens for the one identity, and keeps Secrets as they are applied.
struct ApiServer {
    server: Server,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    subject: String,
    secrets: Mutex<BTreeMap<String, Value>>,
    /// The queries and bodies of writes.
    applied: Mutex<Vec<(String, Value)>>,
    /// The tokens that were given.
    tokens: Mutex<Vec<String>>,
}

/// All that a run needs.
struct World {
    cloud: Aws,
    api: ApiServer,
    folder: TempDir,
}

// === impl ApiServer ===

impl ApiServer {
    fn start(subject: &str) -> Self {
        let state = Arc::new(State { subject: subject.to_owned(), ..State::default() });
        let answering = Arc::clone(&state);
        let server = Server::start_plain(move |request| answering.answer(request));
        Self { server, state }
    }

    fn kubeconfig(&self) -> String {
        let server = format!("http://{}", self.server.address);
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": server}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        })
        .to_string()
    }
}

// === impl State ===

impl State {
    fn answer(&self, request: &Received) -> Reply {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let path = request.uri.path();
        match request.method.as_str() {
            "POST" if path == TOKEN => self.token(&body),
            "GET" => match self.secrets.lock().unwrap().get(path) {
                Some(secret) => Reply::json(200, secret),
                None => refused(404, "NotFound"),
            },
            "PATCH" => {
                let query = request.uri.query().unwrap_or_default().to_owned();
                self.applied.lock().unwrap().push((query, body.clone()));
                self.secrets.lock().unwrap().insert(path.to_owned(), body.clone());
                Reply::json(200, &body)
            }
            _ => refused(403, "Forbidden"),
        }
    }

    fn token(&self, body: &Value) -> Reply {
        let spec = &body["spec"];
        assert_eq!(spec["audiences"], json!([AUDIENCE]));
        assert_eq!(spec["expirationSeconds"], 3600);
        let now = k8s_openapi::jiff::Timestamp::now().as_second();
        let token = Key::read("issuer").service_account(AUDIENCE, &self.subject, now);
        self.tokens.lock().unwrap().push(token.clone());
        let ends = k8s_openapi::jiff::Timestamp::from_second(now + 3600).unwrap();
        let status = json!({"token": token, "expirationTimestamp": ends.to_string()});
        Reply::json(201, &json!({"spec": spec, "status": status}))
    }
}

fn refused(code: u16, reason: &str) -> Reply {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure",
        "code": code, "reason": reason, "message": "no",
    });
    Reply::json(code, &status)
}

// === impl World ===

impl World {
    fn new() -> Self {
        Self::of(SUBJECT)
    }

    /// Where the API server gives tokens to this subject.
    fn of(subject: &str) -> Self {
        let authority = Authority::new();
        let cloud = Aws::start(&authority, "eu-west-1", Trust::of(AUDIENCE));
        let api = ApiServer::start(subject);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("kubeconfig"), api.kubeconfig()).unwrap();
        let url = cloud.server.url();
        let mapping = json!({
            "logins": [
                {"name": "ecr", "aws": {
                    "role": ROLE, "endpoints": {"token": url, "api": url}, "caBundle": authority.pem,
                }},
                {"name": "own", "aws": {"role": ROLE}},
                {"name": "kept", "secret": "robot"},
            ],
            "rules": [
                {"registries": [format!("{HOST}/acme")], "secret": "a", "login": "ecr", "namespaces": ["shop"]},
                {"registries": [format!("{HOST}/own")], "secret": "b", "login": "own", "namespaces": ["shop"],
                 "as": {"serviceAccount": "puller"}},
                {"registries": ["quay.io"], "secret": "c", "login": "kept", "namespaces": ["shop"]},
            ],
        });
        fs::write(folder.path().join("mapping.yaml"), mapping.to_string()).unwrap();
        Self { cloud, api, folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn run(&self, login: &str, more: &[&str]) -> Run {
        let (config, kubeconfig) = (self.path("mapping.yaml"), self.path("kubeconfig"));
        let args = ["secret", "--login", login, "--config", &config, "--kubeconfig", &kubeconfig];
        let run = run(&[&args[..], more].concat(), "");
        self.tells_no_secret(&run.stderr);
        run
    }

    fn tells_no_secret(&self, text: &str) {
        let issued = self.cloud.ledger.issued().into_iter().map(|it| it.password);
        for secret in issued.chain(self.api.state.tokens.lock().unwrap().clone()) {
            assert!(!text.contains(&secret), "{text}");
            assert!(!text.contains(&BASE64_STANDARD.encode(&secret)), "{text}");
        }
    }

    /// What a run said, without what differs from run to run.
    fn shown(&self, run: &Run) -> String {
        let port = self.cloud.server.address.port().to_string();
        let words = run
            .stderr
            .replace(&port, "PORT")
            .replace(self.folder.path().to_str().unwrap(), "FOLDER");
        let words = words.split(' ').map(|word| {
            let (first, rest) = word.split_at(word.find('\n').unwrap_or(word.len()));
            let is_time =
                first.trim_end_matches(',').parse::<k8s_openapi::jiff::Timestamp>().is_ok();
            if is_time { format!("TIME{rest}") } else { word.to_owned() }
        });
        let words: Vec<String> = words.collect();
        format!("{}--- exit code\n{}\n", words.join(" "), run.code.unwrap())
    }
}

fn snapshot(name: &str, shown: &str) {
    snapshot::snapshot("secret/login", name, shown);
}

/// User and password for a key of the Docker config of a Secret.
fn login_of(secret: &Value, key: &str) -> String {
    let config = secret["data"][".dockerconfigjson"].as_str().unwrap();
    let config: Value = serde_json::from_slice(&BASE64_STANDARD.decode(config).unwrap()).unwrap();
    let auth = config["auths"][key]["auth"].as_str().unwrap_or_else(|| panic!("no {key}"));
    String::from_utf8(BASE64_STANDARD.decode(auth).unwrap()).unwrap()
}

/// Whether the cloud takes the login of a Secret.
fn is_taken(world: &World, secret: &Value) -> bool {
    let login = login_of(secret, &format!("{HOST}/acme"));
    let (user, password) = login.split_once(':').unwrap();
    world.cloud.ledger.admits(user, password)
}

#[test]
fn a_login_is_fetched_and_its_manifest_written() {
    let world = World::new();
    let run = world.run("ecr", &["-o", "json"]);
    snapshot("written", &world.shown(&run));
    let secret: Value = serde_json::from_str(&run.stdout).unwrap();
    assert!(is_taken(&world, &secret));
    assert_eq!(secret["metadata"]["name"], "pullcred-login-ecr");
    assert_eq!(secret["metadata"]["namespace"], "pullcred");
    let annotations = secret["metadata"]["annotations"].as_object().unwrap();
    let keys = ["content", "expires-at", "issued-at", "login", "renew-at"];
    assert!(annotations.keys().eq(keys.map(|key| format!("pullcred.dev/{key}")).iter()));
    assert!(world.api.state.applied.lock().unwrap().is_empty(), "nothing was written");
    assert!(run.stderr.contains(ISSUER) && run.stderr.contains(SUBJECT), "{}", run.stderr);
}

#[test]
fn applied_it_takes_the_place_of_the_one_before_and_of_no_other() {
    let world = World::new();
    let run = world.run("ecr", &["--apply"]);
    assert_eq!(run.stdout, "secret/pullcred-login-ecr applied in namespace pullcred\n");
    snapshot("applied", &world.shown(&run));
    let (query, body) = world.api.state.applied.lock().unwrap().pop().unwrap();
    assert!(
        query.contains("fieldManager=pullcred-credentials") && !query.contains("force"),
        "{query}"
    );
    assert!(is_taken(&world, &body) && body["metadata"].get("uid").is_none(), "{body}");

    // The fields that the controller applies, and takes a Secret over by.
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&body), ["apiVersion", "data", "kind", "metadata", "type"]);
    assert_eq!(keys(&body["metadata"]), ["annotations", "labels", "name", "namespace"]);
    assert_eq!(keys(&body["data"]), [".dockerconfigjson"]);
    assert_eq!(body["metadata"]["labels"], json!({"app.kubernetes.io/managed-by": "pullcred"}));

    // As the API server keeps it.
    let mut kept = body;
    kept["metadata"]["uid"] = json!("u-1");
    kept["metadata"]["resourceVersion"] = json!("7");
    world.api.state.secrets.lock().unwrap().insert(SECRET.to_owned(), kept.clone());
    assert_eq!(world.run("ecr", &["--apply"]).code, Some(0));
    let (query, body) = world.api.state.applied.lock().unwrap().pop().unwrap();
    assert!(query.contains("force=true"), "{query}");
    assert_eq!(
        (&body["metadata"]["uid"], &body["metadata"]["resourceVersion"]),
        (&json!("u-1"), &json!("7"))
    );

    kept["metadata"]["labels"] = json!({});
    world.api.state.secrets.lock().unwrap().insert(SECRET.to_owned(), kept);
    let run = world.run("ecr", &["--apply"]);
    assert!(world.api.state.applied.lock().unwrap().is_empty(), "somebody else's Secret");
    snapshot("foreign", &world.shown(&run));
}

#[test]
fn a_refusal_names_login_step_status_and_what_to_do() {
    // The role trusts another ServiceAccount.
    let world = World::of("system:serviceaccount:other:pullcred-pull");
    let run = world.run("ecr", &["--apply"]);
    assert_eq!(run.stdout, "");
    snapshot("distrusted", &world.shown(&run));

    let world = World::new();
    world.cloud.server.queue([Reply::new(503, "").with("retry-after", "5")]);
    let run = world.run("ecr", &[]);
    assert_eq!(run.stdout, "");
    snapshot("busy", &world.shown(&run));

    // The API server gives no token in another namespace.
    let run = world.run("ecr", &["--installed-in", "elsewhere"]);
    snapshot("no-token", &world.shown(&run));
}

#[test]
fn what_is_not_fetched_is_told_with_what_to_write() {
    let world = World::new();
    let mut shown = String::new();
    for login in ["kept", "missing", "own", "No Name"] {
        let run = world.run(login, &[]);
        assert_eq!(run.stdout, "");
        shown.push_str(&world.shown(&run));
    }
    for more in
        [&["--registry", "quay.io"][..], &["--name", "x"], &["-n", "shop"], &["--verify", "a/b"]]
    {
        let run = world.run("ecr", more);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{}", run.stderr);
    }
    let run = run(&["secret", "--login", "ecr"], "");
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("--config"), "{}", run.stderr);
    assert!(world.cloud.server.requests().is_empty(), "nobody was asked");
    snapshot("usage", &shown);
}

/// The login of a file is tried at a registry before it is written.
#[test]
fn what_a_registry_refuses_is_not_written() {
    let right = format!("Basic {}", BASE64_STANDARD.encode("robot:hunter2"));
    let registry = Server::start_plain(move |request| {
        let is_right = request.header("authorization") == right;
        let reply = Reply::new(if is_right { 200 } else { 401 }, "");
        reply.with("www-authenticate", "Basic realm=\"registry\"")
    });
    let world = World::new();
    let host = format!("localhost:{}", registry.address.port());
    let (path, image) = (world.path("config.json"), format!("{host}/acme/web:1"));
    let mapping = json!({
        "logins": [{"name": "vault", "file": path}],
        "rules": [{"registries": [host], "secret": "a", "login": "vault", "namespaces": ["shop"], "verify": image}],
    });
    fs::write(world.path("mapping.yaml"), mapping.to_string()).unwrap();
    let mut shown = String::new();
    for password in ["hunter2", "hunter3"] {
        let config = json!({"auths": {&host: {"username": "robot", "password": password}}});
        fs::write(&path, config.to_string()).unwrap();
        let run = world.run("vault", &["--output", "json"]);
        assert!(!run.stderr.contains("hunter"), "{}", run.stderr);
        match run.code {
            Some(0) => {
                let secret: Value = serde_json::from_str(&run.stdout).unwrap();
                assert_eq!(login_of(&secret, &host), "robot:hunter2");
            }
            _ => assert_eq!(run.stdout, ""),
        }
        shown.push_str(&world.shown(&run).replace(&registry.address.port().to_string(), "PORT"));
    }
    snapshot("verified", &shown);
}

#[test]
fn a_mapping_in_the_environment_changes_no_other_use() {
    let world = World::new();
    let mut command = cli::command(&[
        "secret",
        "--username",
        "u",
        "--password-stdin",
        "--registry",
        "quay.io",
        "--name",
        "x",
    ]);
    let run = cli::output(command.env("PULLCRED_CONFIG", world.path("mapping.yaml")), "hunter2\n");
    assert_eq!(run.code, Some(0), "{}", run.shown());
    let mut command = cli::command(&["secret", "show", "-"]);
    let run = cli::output(command.env("PULLCRED_CONFIG", world.path("mapping.yaml")), &run.stdout);
    assert_eq!(run.code, Some(0), "{}", run.shown());
}
