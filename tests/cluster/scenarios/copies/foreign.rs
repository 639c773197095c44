//! Secrets of people under the name of a copy.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use axum::{Router, body::Bytes, http::header, routing::post};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    follow::ms,
    granted::ADMISSION,
    home::{Home, MANAGER, MARK, SOON, secret_path, shape},
    login::DockerConfig,
};
use crate::{
    api::Api,
    cluster::{Cluster, loopback},
    namespace::Namespace,
    registration::INJECT,
    report::Report,
    tls_server::TlsServer,
    wait::time_until,
};

/// The webhook of the second scenario.
const INTRUDER: &str = "copies-intruder";
const INTRUDERS: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";

/// How long an untouched Secret is watched.
const QUIET: Duration = Duration::from_millis(700);

/// Of another content, of another type, of equal content, or no longer marked: left as it is, and reported. When it is deleted,
/// the copy comes.
pub(crate) async fn foreign(cluster: Arc<Cluster>) -> Result<Report> {
    const MAPPING: &str = "
logins:
- {name: acme, secret: foreign-login}
rules:
- {registries: [ghcr.io/acme], secret: foreign-pull, login: acme, namespaces: ['copies-foreign-*']}
";
    const NAME: &str = "foreign-pull";
    let home = Home::new(cluster, "copies-foreign", MAPPING, &[NAME], &["foreign-login"]).await?;
    let ours = [("ghcr.io/acme", "canary-of-foreign")];
    home.create_login("foreign-login", &ours).await?;
    let controller = home.start("0", "1s").await?;

    let opaque = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": NAME}, "stringData": {"a": "b"},
    });
    let cases = [
        ("other-data", DockerConfig::new(&[("ghcr.io/acme", "of-the-user")]).secret(NAME)),
        ("other-type", opaque),
        ("equal-data", DockerConfig::new(&ours).secret(NAME)),
    ];
    let mut theirs = Vec::new();
    for (what, secret) in &cases {
        let namespace = home.labelled(&format!("copies-foreign-{what}"), &json!({})).await?;
        let stored = namespace.create_object("/api/v1", "secrets", secret).await?;
        namespace.label(INJECT, "enabled").await?;
        theirs.push((namespace, stored));
    }
    theirs.push(unmarked(&home, NAME, &ours).await?);
    for (namespace, _) in &theirs {
        home.reported(&controller, &format!("{}/{NAME}", namespace.name())).await?;
    }
    sleep(QUIET).await;
    for (namespace, stored) in &theirs {
        let now = home.secret(namespace, NAME).await?.context("deleted")?;
        ensure!(
            now == *stored,
            "{}: {} has become {}",
            namespace.name(),
            shape(stored),
            shape(&now)
        );
    }
    let conflicts = controller.metric("pullcred_copies{state=\"conflict\"}").await?;
    ensure!(conflicts == 4, "{conflicts} conflicts");
    let line = home.reported(&controller, "somebody else").await?;
    ensure!(!home.events("NameConflict").await?.is_empty(), "no Event");

    let mut slowest = Duration::ZERO;
    for (namespace, _) in &theirs {
        let begin = Instant::now();
        namespace.delete_object("/api/v1", &format!("secrets/{NAME}")).await?;
        let (_, took) = home.copied(begin, namespace, NAME, &ours).await?;
        slowest = slowest.max(took);
    }
    // A label that goes takes a copy along, and nothing of anybody else.
    let (namespace, _) = theirs.first().context("no case")?;
    let (stored, _) = home.copied(Instant::now(), namespace, NAME, &ours).await?;
    namespace.label(INJECT, None).await?;
    let (_, kept) = released(&home, namespace, &stored).await?;
    sleep(Duration::from_secs(1) + QUIET).await;
    ensure!(home.secret(namespace, NAME).await? == Some(kept), "collected from somebody");
    home.says_nothing(&[&controller]).await?;
    Ok(Report::new()
        .seen(
            "Secrets of people under the name of a copy, 4 kinds: stored as before; `/readyz`",
            line.trim(),
        )
        .seen("they are deleted: copies there after at most", ms(slowest)))
}

/// A copy from which somebody has taken the mark.
async fn unmarked(home: &Home, name: &str, ours: &[(&str, &str)]) -> Result<(Namespace, Value)> {
    let namespace = home.opted_in("copies-foreign-unmarked", &[]).await?;
    let (stored, _) = home.copied(Instant::now(), &namespace, name, ours).await?;
    released(home, &namespace, &stored).await
}

/// Takes the mark from a copy.
async fn released(
    home: &Home,
    namespace: &Namespace,
    stored: &Value,
) -> Result<(Namespace, Value)> {
    let change = json!({"metadata": {"labels": {MARK.0: null}}});
    let name = stored["metadata"]["name"].as_str().unwrap_or_default();
    let path = secret_path(namespace.name(), name);
    let stored = home.api().patch(&path, &change).await?.object()?;
    Ok((namespace.clone(), stored))
}

/// While the API server creates a copy, a user creates a Secret of that name. With other data the API server refuses the copy;
/// with equal data it would join the two, which the policy refuses; without the policy the controller gives the Secret back. The
/// user's data, labels and fields are as they were.
pub(crate) async fn joined(cluster: Arc<Cluster>) -> Result<Report> {
    const MAPPING: &str = "
logins:
- {name: acme, secret: joined-login}
rules:
- {registries: [ghcr.io/acme], secret: joined-pull, login: acme, namespaces: ['copies-joined-*']}
";
    const NAME: &str = "joined-pull";
    let home = Home::new(cluster, "copies-joined", MAPPING, &[NAME], &["joined-login"]).await?;
    let ours = [("ghcr.io/acme", "canary-of-joined")];
    home.create_login("joined-login", &ours).await?;
    let other = DockerConfig::new(&[("ghcr.io/acme", "of-the-user")]).secret(NAME);
    let cases = [
        ("copies-joined-other", Some(other)),
        ("copies-joined-equal", None),
        ("copies-joined-without-policy", None),
    ];
    let count = Arc::new(AtomicUsize::new(0));
    let _intruder = intrude(&home, &cases, Arc::clone(&count)).await?;
    let controller = home.start("0", "10m").await?;

    let mut report = Report::new();
    for (place, (name, other)) in (1..).zip(&cases) {
        let namespace = home.labelled(name, &json!({})).await?;
        let with_policy = place < cases.len();
        if !with_policy {
            let binding = format!("{ADMISSION}/validatingadmissionpolicybindings/copies-joined");
            home.api().delete(&binding).await?.ok()?;
        }
        home.until_policy(&namespace, NAME, with_policy).await?;
        namespace.label(INJECT, "enabled").await?;
        home.reported(&controller, &format!("{name}/{NAME}")).await?;
        ensure!(count.load(Ordering::SeqCst) == place, "the user was not there in time");
        let what = format!("the user's Secret alone in {name}");
        time_until(Instant::now(), SOON, &what, async || {
            let stored = home.secret(&namespace, NAME).await?.context("deleted")?;
            Ok(!managers(&stored).contains(&MANAGER))
        })
        .await?;
        sleep(QUIET).await;
        let stored = home.secret(&namespace, NAME).await?.context("deleted")?;
        check_given_back(&stored, other.as_ref(), &ours)?;
        report = report.seen(
            format!("user's Secret made while a copy is created, {name}"),
            format!("left as it is; managers: {}", managers(&stored).join(", ")),
        );
    }
    home.api().delete(&format!("{INTRUDERS}/{INTRUDER}")).await?.ok()?;
    let namespace = Namespace::existing(home.api(), "copies-joined-without-policy");
    let begin = Instant::now();
    namespace.delete_object("/api/v1", &format!("secrets/{NAME}")).await?;
    home.copied(begin, &namespace, NAME, &ours).await?;
    home.says_nothing(&[&controller]).await?;
    Ok(report)
}

/// The Secret is the user's, as it was created.
fn check_given_back(stored: &Value, other: Option<&Value>, ours: &[(&str, &str)]) -> Result<()> {
    let metadata = &stored["metadata"];
    ensure!(metadata["labels"] == json!({"owner": "user"}), "{}", shape(stored));
    ensure!(metadata["annotations"].is_null(), "{}", shape(stored));
    ensure!(managers(stored) == ["user"], "{}", shape(stored));
    let fields = &metadata["managedFields"][0]["fieldsV1"];
    let owned = json!({
        "f:data": {".": {}, "f:.dockerconfigjson": {}},
        "f:metadata": {"f:labels": {".": {}, "f:owner": {}}},
        "f:type": {},
    });
    ensure!(*fields == owned, "{fields}");
    let expected = match other {
        Some(other) => DockerConfig::of(other)?,
        None => DockerConfig::new(ours),
    };
    ensure!(DockerConfig::of(stored)? == expected, "other data: {}", shape(stored));
    Ok(())
}

/// The field managers of an object.
fn managers(stored: &Value) -> Vec<&str> {
    let entries = stored["metadata"]["managedFields"].as_array().into_iter().flatten();
    entries.filter_map(|entry| entry["manager"].as_str()).collect()
}

/// A webhook that lets everything through, but creates a Secret of a user when a controller creates a copy: with the data of
/// the case, or with those of the copy. It counts them.
async fn intrude(
    home: &Home,
    cases: &[(&'static str, Option<Value>)],
    count: Arc<AtomicUsize>,
) -> Result<TlsServer> {
    let (api, cases) = (home.api().clone(), Arc::new(cases.to_vec()));
    let answer = move |review: Bytes| {
        let (api, cases, count) = (api.clone(), Arc::clone(&cases), Arc::clone(&count));
        async move {
            let review: Value = serde_json::from_slice(&review).unwrap_or_default();
            let request = &review["request"];
            if create_before(&api, request, &cases).await.is_ok() {
                count.fetch_add(1, Ordering::SeqCst);
            }
            let response = json!({
                "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                "response": {"uid": request["uid"], "allowed": true},
            });
            ([(header::CONTENT_TYPE, "application/json")], response.to_string())
        }
    };
    let (address, webhooks) = (loopback(), home.cluster.webhooks());
    let identity = webhooks.server(&["127.0.0.1"])?;
    let router = Router::new().route("/", post(answer));
    let server = TlsServer::serve(address, &identity, router).await?;
    let is_controller = format!("request.userInfo.username == '{}'", home.account.user());
    let registration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": INTRUDER},
        "webhooks": [{
            "name": "intruder.cluster.test", "admissionReviewVersions": ["v1"],
            "sideEffects": "None", "failurePolicy": "Fail", "timeoutSeconds": 5,
            "clientConfig": {
                "url": format!("https://{address}/"),
                "caBundle": BASE64_STANDARD.encode(webhooks.certificate()),
            },
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                       "resources": ["secrets"], "scope": "Namespaced"}],
            "matchConditions": [{"name": "controller", "expression": is_controller}],
        }],
    });
    home.api().post(INTRUDERS, &registration).await?.ok()?;
    Ok(server)
}

/// Creates the user's Secret before the copy of a request is stored.
async fn create_before(
    api: &Api,
    request: &Value,
    cases: &[(&'static str, Option<Value>)],
) -> Result<()> {
    ensure!(request["dryRun"] != true, "nothing is created");
    let namespace = request["namespace"].as_str().unwrap_or_default();
    let (_, other) = cases.iter().find(|(name, _)| *name == namespace).context("no case")?;
    let mut secret = other.clone().unwrap_or_else(|| request["object"].clone());
    secret["apiVersion"] = "v1".into();
    secret["kind"] = "Secret".into();
    secret["metadata"] = json!({"name": request["name"], "labels": {"owner": "user"}});
    let path = format!("/api/v1/namespaces/{namespace}/secrets?fieldManager=user");
    api.post(&path, &secret).await?.ok().map(drop)
}
