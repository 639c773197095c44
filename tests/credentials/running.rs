//! A cluster with a mapping, a login and namespaces, and a controller that fills them, in paused time.

use std::{sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use prometheus_client::metrics::counter::Counter;
use pullcred::{
    cluster::Cluster,
    controller::credentials::{self, Settings, status::Status},
    fetch::{Outside, World},
    http::admin::Report,
    supervise::Supervisor,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    logged,
    scripted::{Call, Scripted},
};

pub(crate) const CONFIG_MAP: &str = "/api/v1/namespaces/pullcred/configmaps/mapping";
pub(crate) const LOGIN: &str = "/api/v1/namespaces/pullcred/secrets/acme-login";
pub(crate) const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/pullcred/events";
pub(crate) const GRACE: Duration = Duration::from_secs(600);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
/// What a step may take, in which no pause is due.
pub(crate) const SOON: Duration = Duration::from_millis(500);

/// One login, which one rule gives to the namespaces `shop-…`.
pub(crate) const MAPPING: &str = "\
logins:
- {name: acme, secret: acme-login}
rules:
- {registries: [ghcr.io/acme], secret: robot, login: acme, namespaces: ['shop-*']}
";

/// A controller against a server.
pub(crate) struct Running {
    pub(crate) server: Scripted,
    pub(crate) status: Arc<Status>,
    switches: Switches,
    world: Arc<dyn World>,
    supervisor: Supervisor,
}

/// What is turned on.
#[derive(Debug, Clone, Copy, Default)]
struct Switches {
    reports: bool,
    health: bool,
    audit: bool,
}

// === impl Running ===

impl Running {
    pub(crate) fn start(server: Scripted) -> Self {
        Self::start_with(server, Switches::default(), Arc::new(Outside::from_env(None)))
    }

    /// Starts one that writes reports.
    pub(crate) fn reporting(server: Scripted) -> Self {
        Self::reporting_in(server, Arc::new(Outside::from_env(None)))
    }

    /// Starts with another outside world, from which logins are fetched.
    pub(crate) fn start_in(server: Scripted, world: Arc<dyn World>) -> Self {
        Self::start_with(server, Switches::default(), world)
    }

    /// The same, and writes reports.
    pub(crate) fn reporting_in(server: Scripted, world: Arc<dyn World>) -> Self {
        Self::start_with(server, Switches { reports: true, ..Switches::default() }, world)
    }

    /// The same, and asks the registries of that world whether they take the logins.
    pub(crate) fn checking(server: Scripted, world: Arc<dyn World>) -> Self {
        Self::start_with(server, Switches { reports: true, health: true, audit: false }, world)
    }

    /// The same, and audits Pods.
    pub(crate) fn auditing_in(server: Scripted, world: Arc<dyn World>) -> Self {
        let switches = Switches { reports: true, audit: true, ..Switches::default() };
        Self::start_with(server, switches, world)
    }

    /// Ends it as a process ends. Answers its server.
    pub(crate) fn end(self) -> Scripted {
        let Self { server, status, supervisor, .. } = self;
        drop((status, supervisor));
        server.break_watches();
        server
    }

    fn start_with(server: Scripted, switches: Switches, world: Arc<dyn World>) -> Self {
        logged::install();
        let cluster = Cluster::new(server.client(), "default".to_owned());
        let mut supervisor = Supervisor::default();
        let settings = Settings {
            grace: GRACE,
            mapping: "mapping".to_owned(),
            namespace: "pullcred".to_owned(),
            reports: switches.reports.then(|| "holder".to_owned()),
            health: switches.health,
            audit: switches.audit,
        };
        let dropped = Counter::default();
        let status = credentials::start(cluster, settings, world.clone(), dropped, &mut supervisor);
        Self { server, status, switches, world, supervisor }
    }

    /// Starts, and waits until all copies are made; forgets the requests.
    pub(crate) async fn in_order(server: Scripted) -> Self {
        let running = Self::start(server);
        running.ready_within(Duration::from_secs(60)).await;
        running.server.take_calls();
        running
    }

    /// Ends it as a process ends, and starts another.
    pub(crate) fn restart(self) -> Self {
        let (switches, world) = (self.switches, Arc::clone(&self.world));
        Self::start_with(self.end(), switches, world)
    }

    /// All metrics, as they are scraped.
    pub(crate) fn status_text(&self) -> String {
        self.status.metrics().unwrap()
    }

    pub(crate) fn metric(&self, name: &str) -> i64 {
        let text = self.status.metrics().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    pub(crate) fn copies(&self, state: &str) -> i64 {
        self.metric(&format!("pullcred_copies{{state=\"{state}\"}}"))
    }

    /// What readiness says of a check that fails; empty where it does not.
    pub(crate) fn failure(&self, check: &str) -> String {
        let checks = self.status.checks();
        let check = checks.into_iter().find(|it| it.name == check).expect("no such check");
        check.failure.unwrap_or_default()
    }

    pub(crate) fn failures(&self) -> String {
        let failures =
            self.status.checks().into_iter().filter_map(|check| {
                check.failure.map(|failure| format!("{}: {failure}", check.name))
            });
        failures.collect::<Vec<_>>().join("; ")
    }

    /// What readiness notes of a check.
    pub(crate) fn note(&self, check: &str) -> String {
        let checks = self.status.checks();
        checks.into_iter().find(|it| it.name == check).expect("no such check").note
    }

    /// The reasons and notes of the Events so far.
    pub(crate) fn events(&self) -> Vec<(String, String)> {
        let text = |event: &Value, field: &str| event[field].as_str().unwrap().to_owned();
        self.server.read(|objects| {
            let events = objects.range(EVENTS.to_owned()..);
            let events = events.take_while(|(path, _)| path.starts_with(EVENTS));
            events.map(|(_, it)| (text(it, "reason"), text(it, "note"))).collect()
        })
    }

    pub(crate) fn has_event(&self, reason: &str, part: &str) -> bool {
        self.events().iter().any(|(it, note)| it == reason && note.contains(part))
    }

    /// Waits until nothing is wrong, each namespace that has opted in has its copy with the login as it is now, and no
    /// other has one. Answers how long that took.
    pub(crate) async fn ready_within(&self, limit: Duration) -> Duration {
        self.in_order_after(limit).await.unwrap_or_else(|| {
            panic!("after {limit:?}: {:?}; {}", self.disorder(), self.note("copies"))
        })
    }

    /// As [`Self::ready_within`]; `None` where it took longer.
    pub(crate) async fn in_order_after(&self, limit: Duration) -> Option<Duration> {
        let began = Instant::now();
        while !self.disorder().is_empty() {
            if began.elapsed() > limit {
                return None;
            }
            let early = began.elapsed() < Duration::from_secs(1);
            sleep(Duration::from_millis(if early { 10 } else { 50 })).await;
        }
        Some(began.elapsed())
    }

    /// What is not as it should be, at most a few.
    pub(crate) fn disorder(&self) -> Vec<String> {
        let failures = self.failures();
        if !failures.is_empty() {
            return vec![failures];
        }
        let mut wrong = Vec::new();
        self.server.read(|objects| {
            let login = objects.get(LOGIN).map(password).unwrap_or_default();
            // Most copies are equal, and reading one takes its time.
            let mut right = &Value::Null;
            for (path, namespace) in objects.range("/api/v1/namespaces/shop-".to_owned()..) {
                if namespace["kind"] != "Namespace" {
                    continue;
                }
                let opted_in = namespace["metadata"]["labels"]["pullcred.dev/inject"] == "enabled";
                let name = path.rsplit('/').next().unwrap();
                let is_right = match objects.get(&copy_of(name)) {
                    None => !opted_in,
                    Some(_) if !opted_in => false,
                    Some(copy) if copy["data"] == *right => true,
                    Some(copy) if password(copy) == login => {
                        right = &copy["data"];
                        true
                    }
                    Some(_) => false,
                };
                if !is_right && wrong.len() < 5 {
                    wrong.push(name.to_owned());
                }
            }
        });
        wrong
    }
}

// === objects ===

/// The path of the copy in a namespace.
pub(crate) fn copy_of(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/secrets/robot")
}

pub(crate) fn path_of(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}")
}

/// A cluster in which so many namespaces `shop-…` have opted in.
pub(crate) fn cluster(namespaces: usize) -> Scripted {
    logged::install();
    let opted = (0..namespaces).map(|number| {
        let name = format!("shop-{number}");
        (path_of(&name), namespace(true))
    });
    let objects = [
        (path_of("pullcred"), namespace(false)),
        (path_of("other"), namespace(true)),
        (CONFIG_MAP.to_owned(), config_map(MAPPING)),
        (LOGIN.to_owned(), login("first")),
    ];
    Scripted::new(objects.into_iter().chain(opted))
}

pub(crate) fn namespace(opted_in: bool) -> Value {
    let labels = if opted_in { json!({"pullcred.dev/inject": "enabled"}) } else { json!({}) };
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"labels": labels}})
}

pub(crate) fn config_map(mapping: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {}, "data": {"pullcred.yaml": mapping},
    })
}

/// A login with this password.
pub(crate) fn login(password: &str) -> Value {
    let auth = json!({"username": "robot", "password": password});
    docker_config(&json!({"auths": {"ghcr.io/acme": auth}}))
}

pub(crate) fn docker_config(config: &Value) -> Value {
    secret("kubernetes.io/dockerconfigjson", ".dockerconfigjson", config.to_string().as_bytes())
}

pub(crate) fn secret(type_: &str, key: &str, value: &[u8]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {}, "type": type_,
        "data": {key: BASE64_STANDARD.encode(value)},
    })
}

/// The password of the first login in a Secret; empty where there is none.
pub(crate) fn password(secret: &Value) -> String {
    let decode = |value: &Value| BASE64_STANDARD.decode(value.as_str()?).ok();
    let config = decode(&secret["data"][".dockerconfigjson"]).unwrap_or_default();
    let config: Value = serde_json::from_slice(&config).unwrap_or_default();
    let entry = config["auths"].as_object().and_then(|it| it.values().next()).cloned();
    let entry = entry.unwrap_or_default();
    let auth = decode(&entry["auth"]).and_then(|it| String::from_utf8(it).ok());
    let password = auth.as_deref().and_then(|it| it.split_once(':')).map(|(_, it)| it.to_owned());
    password.unwrap_or_else(|| entry["password"].as_str().unwrap_or_default().to_owned())
}

// === requests ===

/// The requests that change Secrets.
pub(crate) fn writes(calls: &[Call]) -> Vec<&Call> {
    calls.iter().filter(|it| it.is_write() && it.path.contains("/secrets/")).collect()
}

/// Those for one namespace.
pub(crate) fn writes_in<'c>(calls: &'c [Call], namespace: &str) -> Vec<&'c Call> {
    let path = copy_of(namespace);
    writes(calls).into_iter().filter(|it| it.path == path).collect()
}
