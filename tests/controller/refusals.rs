//! Every lasting refusal of every write: how often it is tried, and what readiness and metrics say.

use std::{sync::Arc, time::Duration};

use k8s_openapi::ByteString;
use prometheus_client::metrics::counter::Counter;
use pullcred::{
    cluster::Cluster,
    controller::{
        Names, Publish,
        certificates::{
            self, certificate::CertificateAuthority, durations::Durations, metrics::Metrics,
            objects::Objects, publish::publish, status::Status,
        },
    },
    http::admin::Report,
    supervise::Supervisor,
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::scripted::{Call, Refusal, Scripted};

const CA: &str = "/api/v1/namespaces/system/secrets/pullcred-ca";
const TLS: &str = "/api/v1/namespaces/system/secrets/pullcred-tls";
const CONFIGURATION: &str =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/pullcred";
const MINUTES: Duration = Duration::from_secs(600);

/// A controller against a server, in paused time.
struct Running {
    server: Scripted,
    status: Arc<Status>,
    objects: Objects,
    _supervisor: Supervisor,
}

impl Running {
    fn start(server: Scripted, mode: Publish) -> Self {
        let names = Names {
            namespace: "system".to_owned(),
            service: "pullcred-webhook".to_owned(),
            configuration: "pullcred".to_owned(),
            webhook: None,
            ca_secret: "pullcred-ca".to_owned(),
            tls_secret: "pullcred-tls".to_owned(),
        };
        let status = Arc::new(Status::new(Metrics::new(Counter::default()), mode));
        let cluster = Cluster::new(server.client(), "default".to_owned());
        let objects = Objects::new(cluster, names, "test");
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        let durations = Durations::new(hours(8760), hours(720), Duration::from_secs(120)).unwrap();
        let mut supervisor = Supervisor::default();
        certificates::start(objects.clone(), durations, mode, &status, &mut supervisor);
        Self { server, status, objects, _supervisor: supervisor }
    }

    fn metric(&self, name: &str) -> i64 {
        let text = self.status.metrics().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    fn failures(&self) -> String {
        let failures = self.status.checks().into_iter().filter_map(|check| check.failure);
        failures.collect::<Vec<_>>().join("; ")
    }

    fn is_in_order(&self) -> bool {
        self.failures().is_empty() && self.metric("pullcred_last_reconcile_successful") == 1
    }
}

fn configuration(bundle: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "pullcred"},
        "webhooks": [{
            "name": "inject.pullcred.dev", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {
                "service": {"namespace": "system", "name": "pullcred-webhook"},
                "caBundle": ByteString(bundle.as_bytes().to_vec()),
            },
        }],
    })
}

fn secret(name: &str, owned: bool, data: &[(&str, &str)]) -> Value {
    let manager = if owned { "pullcred-controller" } else { "somebody" };
    let data: serde_json::Map<_, _> = data
        .iter()
        .map(|(key, text)| ((*key).to_owned(), json!(ByteString(text.as_bytes().to_vec()))))
        .collect();
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {
            "name": name, "namespace": "system", "labels": {"app.kubernetes.io/managed-by": manager},
        },
        "data": data,
    })
}

fn now() -> i64 {
    pullcred::pki::time::now()
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// A cluster in which everything is in order but the object at `path`.
fn all_but(path: &str, there: bool) -> Scripted {
    let authority = CertificateAuthority::make(now(), YEAR).unwrap();
    let names = [
        "pullcred-webhook.system.svc",
        "pullcred-webhook.system",
        "pullcred-webhook.system.svc.cluster.local",
    ];
    let leaf = authority.issue(&names.map(ToOwned::to_owned), now(), YEAR / 2).unwrap();
    let ca = authority.certificate().to_pem();
    let ca_secret =
        secret("pullcred-ca", true, &[("ca.crt", &ca), ("ca.key", &authority.key().to_pem())]);
    let tls_secret = secret(
        "pullcred-tls",
        true,
        &[("tls.crt", &leaf.to_pem()), ("tls.key", &leaf.key().to_pem()), ("ca.crt", &ca)],
    );
    let broken = |name| secret(name, true, &[]);
    let mut objects = vec![(CONFIGURATION, configuration(&ca)), (CA, ca_secret), (TLS, tls_secret)];
    match path {
        CONFIGURATION => objects[0].1 = configuration(""),
        CA => objects[1].1 = broken("pullcred-ca"),
        TLS => objects[2].1 = broken("pullcred-tls"),
        _ => {}
    }
    objects.retain(|(at, _)| *at != path || there);
    Scripted::new(objects)
}

const WRITES: [(&str, &str, bool); 5] = [
    ("CA Secret create", CA, false),
    ("CA Secret update", CA, true),
    ("TLS Secret create", TLS, false),
    ("TLS Secret update", TLS, true),
    ("webhook configuration patch", CONFIGURATION, true),
];

const REFUSALS: [(&str, Refusal); 9] = [
    ("403", Refusal::Status(403, "forbidden", None)),
    ("403 quota", Refusal::Status(403, "exceeded quota", None)),
    ("409 always", Refusal::Status(409, "conflict", None)),
    ("422 policy", Refusal::Status(422, "denied by a policy", None)),
    ("422 immutable", Refusal::Status(422, "field is immutable when `immutable` is set", None)),
    ("429, Retry-After 30", Refusal::Status(429, "too many requests", Some(30))),
    ("500", Refusal::Status(500, "internal error", None)),
    ("hang", Refusal::Hang),
    ("connection refused", Refusal::Unreachable),
];

#[tokio::test(start_paused = true)]
async fn a_write_that_is_refused_for_good_backs_off_and_shows() {
    for (write, path, there) in WRITES {
        for (name, refusal) in REFUSALS {
            let server = all_but(path, there);
            server.refuse(move |call| {
                (call.method == "PATCH" && call.path == path).then(|| refusal.clone())
            });
            let running = Running::start(server, Publish::Always);
            let before = running.metric("pullcred_reconcile_last_success_timestamp_seconds");
            sleep(MINUTES).await;

            let calls = running.server.take_calls();
            let writes: Vec<_> =
                calls.iter().filter(|it| it.method == "PATCH" && it.path == path).collect();
            let (reads, watches) = counts(&calls);
            let failures = running.failures();
            let errors = running.metric("pullcred_reconcile_errors_total");
            println!(
                "{write} | {name} | {} | {reads} | {watches} | {errors} | {failures}",
                writes.len()
            );
            assert!((8..=22).contains(&writes.len()), "{write}, {name}: {} writes", writes.len());
            let last = writes.windows(2).next_back().unwrap();
            assert!(
                last[1].at.saturating_sub(last[0].at) >= Duration::from_secs(29),
                "{write}, {name}: {last:?}"
            );
            assert!(reads <= 3 * 60, "{write}, {name}: {reads} reads");
            assert!(!failures.is_empty(), "{write}, {name}: ready");
            assert_eq!(running.metric("pullcred_last_reconcile_successful"), 0, "{write}, {name}");
            assert_eq!(running.metric("pullcred_reconcile_last_success_timestamp_seconds"), before);
            assert!(errors > 8, "{write}, {name}: {errors}");

            // And when it is over, all is well within a minute and a pause.
            running.server.refuse(|_| None);
            sleep(Duration::from_secs(75)).await;
            assert!(running.is_in_order(), "{write}, {name}: {}", running.failures());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_of_somebody_else_is_never_written_and_shows() {
    for (name, path) in [("pullcred-ca", CA), ("pullcred-tls", TLS)] {
        let server = all_but(path, true);
        server.put(path, Some(secret(name, false, &[("theirs", "x")])));
        let running = Running::start(server, Publish::Always);
        sleep(MINUTES).await;
        let calls = running.server.take_calls();
        let writes = calls.iter().filter(|it| it.method == "PATCH" && it.path == path).count();
        let (reads, watches) = counts(&calls);
        println!("{name} | foreign | {writes} | {reads} | {watches} | {}", running.failures());
        assert_eq!(writes, 0);
        assert!(
            running.failures().contains("it is not the controller's"),
            "{}",
            running.failures()
        );
        assert_eq!(running.metric("pullcred_last_reconcile_successful"), 0);
        running.server.put(path, None);
        sleep(Duration::from_secs(30)).await;
        assert!(running.is_in_order(), "{}", running.failures());
    }
}

#[tokio::test(start_paused = true)]
async fn after_ten_minutes_without_an_api_server_all_is_in_order_within_half_a_minute() {
    for refusal in [
        Refusal::Unreachable,
        Refusal::Hang,
        Refusal::Status(503, "unavailable", None),
        Refusal::Status(403, "forbidden", None),
    ] {
        let running = Running::start(all_but("", true), Publish::Always);
        sleep(Duration::from_secs(60)).await;
        assert!(running.is_in_order(), "{}", running.failures());
        let what = format!("{refusal:?}");
        running.server.refuse(move |_| Some(refusal.clone()));
        running.server.take_calls();
        sleep(MINUTES).await;
        let calls = running.server.take_calls();
        let end = calls.last().unwrap().at;
        let at_the_end =
            calls.iter().filter(|it| end.saturating_sub(it.at) <= Duration::from_secs(120)).count();
        println!("{what}: {} requests in ten minutes, {at_the_end} in the last two", calls.len());
        // Four watches and readers, one request in 30 s each.
        assert!(at_the_end <= 4 * 4, "{what}: {at_the_end} requests in the last two minutes");
        assert!(!running.failures().is_empty(), "{what}");

        running.server.refuse(|_| None);
        running.server.put(CONFIGURATION, Some(configuration("")));
        sleep(Duration::from_secs(30)).await;
        // A request that hangs is given up after 10 s.
        if what.contains("Hang") {
            sleep(Duration::from_secs(10)).await;
        }
        assert!(running.is_in_order(), "{what}: {}", running.failures());
        // A watch that hangs is given up after 90 s, and starts again after the longest pause.
        sleep(Duration::from_secs(120)).await;
        for resource in ["ca", "serving", "webhook-configuration"] {
            let connected = format!("pullcred_watch_connected{{resource=\"{resource}\"}}");
            assert_eq!(running.metric(&connected), 1, "{what}: {resource}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn watches_that_are_refused_back_off_alone() {
    for (name, refusal) in [
        ("410", Refusal::Status(410, "too old resource version", None)),
        ("403", Refusal::Status(403, "forbidden", None)),
        ("429", Refusal::Status(429, "busy", Some(45))),
        ("500", Refusal::Status(500, "internal error", None)),
    ] {
        let server = all_but("", true);
        server.refuse(move |call| call.watch.then(|| refusal.clone()));
        let running = Running::start(server, Publish::Always);
        sleep(MINUTES).await;
        let calls = running.server.take_calls();
        let (_, watches) = counts(&calls);
        println!("watch {name}: {watches} watch requests in ten minutes");
        assert!((3 * 8..=3 * 20).contains(&watches), "{name}: {watches} watches");
        // The objects are still read, so this is no failure of the certificates.
        assert!(running.is_in_order(), "{name}: {}", running.failures());
        assert_eq!(running.metric("pullcred_watch_connected{resource=\"ca\"}"), 0, "{name}");
        running.server.refuse(|_| None);
        sleep(Duration::from_secs(61)).await;
        assert_eq!(running.metric("pullcred_watch_connected{resource=\"ca\"}"), 1, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_far_from_the_api_servers_writes_nothing_and_shows() {
    for ahead in [-86_400, 86_400] {
        let server = all_but(TLS, false);
        server.set_clock(ahead);
        let running = Running::start(server, Publish::Always);
        sleep(MINUTES).await;
        let calls = running.server.take_calls();
        assert!(calls.iter().all(|it| it.method == "GET"), "{ahead}");
        let direction = if ahead < 0 { "1440 minutes ahead of" } else { "minutes behind" };
        assert!(running.failures().contains(direction), "{}", running.failures());
        assert_eq!(running.metric("pullcred_last_reconcile_successful"), 0);
        running.server.set_clock(0);
        sleep(Duration::from_secs(30)).await;
        assert!(running.is_in_order(), "{}", running.failures());
    }
}

#[tokio::test(start_paused = true)]
async fn a_leaf_that_is_lost_is_made_again_although_the_bundle_cannot_be_written() {
    let server = all_but("", true);
    let old = server.object(CA).unwrap()["data"].clone();
    let new = CertificateAuthority::make(now(), YEAR).unwrap();
    let mut rotating = secret(
        "pullcred-ca",
        true,
        &[("ca.crt", &new.certificate().to_pem()), ("ca.key", &new.key().to_pem())],
    );
    rotating["data"]["previous.crt"] = old["ca.crt"].clone();
    rotating["data"]["previous.key"] = old["ca.key"].clone();
    server.put(CA, Some(rotating));
    server.refuse(|call| {
        (call.method == "PATCH" && call.path == CONFIGURATION).then_some(Refusal::Status(
            403,
            "forbidden",
            None,
        ))
    });
    server.put(TLS, None);
    let running = Running::start(server, Publish::Always);
    sleep(Duration::from_secs(100)).await;
    assert!(running.server.object(TLS).is_none(), "before the newest could have come");
    sleep(Duration::from_secs(60)).await;
    let leaf = running.server.object(TLS).expect("no leaf was made");
    assert_eq!(leaf["data"]["ca.crt"], old["ca.crt"], "not of the CA that callers trust");
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_never_publishes_leaves_it_to_a_job() {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {}});
    let objects = [("/api/v1/namespaces/system", namespace), (CONFIGURATION, configuration(""))];
    let running = Running::start(Scripted::new(objects), Publish::Never);
    sleep(MINUTES).await;
    let patched =
        |calls: &[Call]| calls.iter().any(|it| it.method == "PATCH" && it.path == CONFIGURATION);
    assert!(!patched(&running.server.take_calls()), "it published");
    // Nothing is wrong with the controller, or an installation would wait for it for ever.
    assert!(running.is_in_order(), "{}", running.failures());
    assert_eq!(running.metric("pullcred_webhook_configuration_trusts_ca"), 0);

    publish(&running.objects, Duration::from_secs(30)).await.unwrap();
    sleep(Duration::from_secs(20)).await;
    assert!(patched(&running.server.take_calls()));
    assert_eq!(running.metric("pullcred_webhook_configuration_trusts_ca"), 1);

    // A refusal is the Job's failure.
    running
        .server
        .refuse(|call| (call.method == "PATCH").then_some(Refusal::Status(403, "forbidden", None)));
    running.server.put(CONFIGURATION, Some(configuration("")));
    let error = publish(&running.objects, Duration::from_secs(30)).await.unwrap_err();
    assert!(error.to_string().contains("forbidden"), "{error}");
}

/// Reads of one object, and requests that start a watch.
fn counts(calls: &[Call]) -> (usize, usize) {
    let reads = calls.iter().filter(|it| it.method == "GET");
    let reads = reads.filter(|it| [CA, TLS, CONFIGURATION].contains(&it.path.as_str())).count();
    (reads, calls.iter().filter(|it| it.watch).count())
}
