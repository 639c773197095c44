//! A webhook that follows the reports of a scripted API server.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use axum::{Router, body::Body, http::Request};
use base64::{Engine, prelude::BASE64_STANDARD};
use http_body_util::BodyExt;
use prometheus_client::metrics::counter::Counter;
use pullcred::{
    cluster::Cluster,
    mapping,
    webhook::{
        admission::{self, Admission},
        body::BodyLimits,
        metrics::Metrics,
        reports::follow,
    },
};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::sleep};
use tower::ServiceExt;

use crate::scripted::Scripted;

/// The Lease of those who write reports.
pub(crate) const LEASE: &str =
    "/apis/coordination.k8s.io/v1/namespaces/pullcred/leases/pullcred-reports";
/// All reports.
pub(crate) const REPORTS: &str = "/apis/pullcred.dev/v1alpha1/pullsecretreports";

/// The mapping of these tests.
const MAPPING: &str = include_str!("../testdata/explain/reports/mapping.yaml");

/// A webhook, an API server, and a controller that renews its Lease.
pub(crate) struct Webhook {
    pub(crate) server: Scripted,
    router: Router,
    metrics: Arc<Metrics>,
    tasks: JoinSet<()>,
}

/// What came of a Pod: the names that were added, the warnings, and the annotations without their digits.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) added: Vec<String>,
    pub(crate) warnings: Vec<String>,
    pub(crate) annotations: Vec<String>,
    /// The keys of all annotations, with their digits.
    pub(crate) keys: BTreeSet<String>,
}

/// The place of a namespace's report.
pub(crate) fn place(namespace: &str) -> String {
    format!("/apis/pullcred.dev/v1alpha1/namespaces/{namespace}/pullsecretreports/pullcred")
}

/// A report with these Secrets.
pub(crate) fn report(secrets: &Value) -> Value {
    json!({
        "apiVersion": "pullcred.dev/v1alpha1", "kind": "PullSecretReport",
        "status": {"summary": {"secrets": 1}, "secrets": secrets},
    })
}

/// The report of a namespace that lacks `extra`, and has a Secret of its own.
pub(crate) fn usual() -> Value {
    report(&json!([
        {"name": "extra", "state": "Missing", "reason": "LoginMissing"},
        {"name": "own", "state": "Ready", "keys": ["own.io"]},
        {"name": "robot", "state": "Ready"},
    ]))
}

fn lease(second: u64) -> Value {
    let time = format!("2026-01-01T00:{:02}:{:02}.000000Z", second / 60 % 60, second % 60);
    json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {
        "holderIdentity": "one", "leaseDurationSeconds": 60, "renewTime": time,
    }})
}

// === impl Webhook ===

impl Webhook {
    /// A webhook that has not yet called the API server.
    pub(crate) fn new(server: &Scripted) -> Self {
        let mut metrics = Metrics::new(Counter::default());
        let of_reports = metrics.with_reports();
        let metrics = Arc::new(metrics);
        let mapping = mapping::parse(MAPPING).unwrap();
        let mapping = mapping.with_own_namespace(Some("pullcred".into()));
        let admission =
            Arc::new(Admission::new(mapping, Arc::clone(&metrics), BodyLimits::default(), 64));
        let router = admission::router(Arc::clone(&admission));
        let cluster = Cluster::new(server.client(), "pullcred".to_owned());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { follow(cluster, "pullcred", admission, of_reports).await });
        Self { server: server.clone(), router, metrics, tasks }
    }

    /// A webhook that knows this report of the namespace `shop`, and that it is fresh.
    pub(crate) async fn knowing(report: Value) -> Self {
        let mut webhook = Self::new(&Scripted::new([(place("shop"), report)]));
        webhook.renew();
        sleep(Duration::from_secs(15)).await;
        assert_eq!(webhook.metric("reports_fresh"), 1);
        webhook
    }

    /// From now on the Lease is renewed every ten seconds.
    pub(crate) fn renew(&mut self) {
        let server = self.server.clone();
        self.tasks.spawn(async move {
            for renewal in 0.. {
                server.put(LEASE, Some(lease(renewal * 10)));
                sleep(Duration::from_secs(10)).await;
            }
        });
    }

    /// Nobody renews the Lease any more.
    pub(crate) async fn stop_renewing(&mut self) {
        let server = self.server.clone();
        // The task that renews is the last one.
        server.put(LEASE, None);
        server.refuse(|call| {
            call.path
                .contains("/leases")
                .then_some(crate::scripted::Refusal::Status(404, "no Lease", None))
        });
        server.break_watches();
        sleep(Duration::from_secs(1)).await;
    }

    /// Asks about a Pod with one image in a namespace.
    pub(crate) async fn ask(&self, namespace: &str, image: &str) -> Answer {
        self.ask_of(namespace, image, &[]).await
    }

    /// The same about a Pod that lists these Secrets.
    pub(crate) async fn ask_of(&self, namespace: &str, image: &str, listed: &[String]) -> Answer {
        let listed: Vec<Value> = listed.iter().map(|name| json!({"name": name})).collect();
        let containers = json!([{"name": "app", "image": image}]);
        let pod = json!({"spec": {"containers": containers, "imagePullSecrets": listed}});
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "u", "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "namespace": namespace, "operation": "CREATE", "object": pod,
            },
        });
        let request = Request::post("/mutate")
            .header("content-type", "application/json")
            .body(Body::from(review.to_string()))
            .unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let answer = answer.into_body().collect().await.unwrap().to_bytes();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let response = &answer["response"];
        assert_eq!(response["allowed"], true, "{answer}");
        let patch = response["patch"].as_str().map(|it| BASE64_STANDARD.decode(it).unwrap());
        let patch: Value = patch.map_or(json!([]), |it| serde_json::from_slice(&it).unwrap());
        // The whole list, or one entry in each operation.
        let values = patch.as_array().into_iter().flatten().map(|it| &it["value"]);
        let names =
            values.flat_map(|it| it.as_array().cloned().unwrap_or_else(|| vec![it.clone()]));
        let texts = |list: &Value| -> Vec<String> {
            let list = list.as_array().into_iter().flatten();
            list.map(|it| it.as_str().unwrap().to_owned()).collect()
        };
        let written = response["auditAnnotations"].as_object().unwrap();
        let annotations = written.iter().filter_map(|(key, value)| {
            let key = key.rsplit_once('-')?.0;
            (key != "uid").then(|| format!("{key}={}", value.as_str().unwrap()))
        });
        Answer {
            added: names.map(|it| it["name"].as_str().unwrap().to_owned()).collect(),
            warnings: texts(&response["warnings"]),
            annotations: annotations.collect(),
            keys: written.keys().cloned().collect(),
        }
    }

    /// The names that a Pod with one image gets in the namespace `shop`.
    pub(crate) async fn added(&self, image: &str) -> Vec<String> {
        self.ask("shop", image).await.added
    }

    /// A metric without labels.
    pub(crate) fn metric(&self, name: &str) -> i64 {
        let text = self.metrics.encode().unwrap();
        let prefix = format!("pullcred_{name} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&prefix));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }
}
