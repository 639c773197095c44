//! What people see of logins and of their namespaces: the controller's own reports, its Events, and the webhook's warnings.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{
    house::{self, HOME, Reader},
    kubectl::Transcript,
};
use crate::{
    cluster::ReportsCluster,
    controller::Controller,
    fixtures::pod,
    namespace::Namespace,
    report::Report,
    scenarios::copies::{home::Home, login::DockerConfig},
    wait::{until, until_within},
};

/// Two logins, of which one does not exist; a mirror that some namespaces have; and discovery.
const MAPPING: &str = "
logins:
- {name: acme, secret: acme-robot}
- {name: base, secret: base-robot}
rules:
- {registries: [registry.example.com/acme], secret: acme, login: acme, namespaces: [shop, 'team-*']}
- {registries: [base.example.com], secret: base, login: base, namespaces: [shop]}
- {registries: [mirror.example.com], secret: mirror, whenMissing: skip}
discover: {namespaces: ['sandbox-*']}
";
const ACME: &str = "registry.example.com/acme/web:1";
/// The namespaces, and the Secrets of people in them.
const NAMESPACES: [&str; 8] =
    ["shop", "team-a", "team-b", "team-c", "team-d", "team-e", "sandbox-db", "sandbox-web"];
/// For so long nothing may be written.
const QUIET: Duration = Duration::from_secs(15);
/// A report is written at most every 2 seconds.
const SOON: Duration = Duration::from_secs(30);

/// Transcripts of `kubectl` in namespaces of every kind, and then what happens to reports that somebody changes, and to copies when the
/// definitions are deleted.
pub(crate) async fn story(cluster: Arc<ReportsCluster>) -> Result<Report> {
    let cluster = cluster.cluster();
    let api = cluster.api();
    house::install_definitions(api).await?;
    let names = ["acme", "base"];
    let logins = ["acme-robot", "base-robot"];
    let home = Home::with_reports(Arc::clone(&cluster), HOME, MAPPING, &names, &logins).await?;
    home.create_login("acme-robot", &[("registry.example.com", "canary-of-acme")]).await?;
    let namespaces = make_namespaces(&home).await?;
    let controller = home.spawn("0", "3s").await?;
    let reader = Reader::start(&cluster, "story", MAPPING).await?;
    reader.until_fresh(true).await?;
    reader.until_known(NAMESPACES.len() as u64).await?;
    let states = until_settled(&home).await?;

    let transcript = transcript(&home)?;
    insta::with_settings!({
        snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true,
    }, {
        insta::assert_snapshot!("story", transcript);
    });
    let mut report = Report::new().seen("states that the controller reports", states);
    report = report.seen("nothing changes", quiet(&controller).await?);
    report = report.seen("somebody changes a report", changed_by_others(&home).await?);
    report = report.seen("definitions deleted", without_definitions(&home, &namespaces).await?);
    report = report.seen("passwords", home.says_nothing(&[&controller]).await?);

    reader.end(api).await?;
    controller.kill();
    home.end().await?;
    house::delete_definitions(api).await?;
    house::clear(api, &[&NAMESPACES[..], &[HOME, "team-z"]].concat()).await?;
    Ok(report)
}

/// Labels come last, so that all is there when the controller sees a namespace.
async fn make_namespaces(home: &Home) -> Result<Vec<Namespace>> {
    let api = home.api();
    let mut namespaces = Vec::new();
    for name in NAMESPACES {
        let namespace = Namespace::create(api, name, &json!({})).await?;
        let secrets = match name {
            "team-b" => vec![DockerConfig::new(&[("quay.io", "canary-of-b")]).secret("acme")],
            "team-d" => vec![json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
                "metadata": {"name": "acme"}, "stringData": {"note": "canary-of-d"}})],
            "team-e" => vec![unreadable("acme")],
            "sandbox-db" => vec![DockerConfig::new(&[("quay.io", "canary-of-db")]).secret("own")],
            "sandbox-web" => vec![
                DockerConfig::new(&[("quay.io/web", "canary-of-web")]).secret("quay"),
                DockerConfig::new(&[("ghcr.io", "canary-of-ghcr")]).secret("ghcr"),
            ],
            _ => Vec::new(),
        };
        for secret in &secrets {
            namespace.create_object("/api/v1", "secrets", secret).await?;
        }
        match name {
            "team-c" => no_room(&namespace).await?,
            "sandbox-web" => permit(&namespace).await?,
            _ => {}
        }
        namespaces.push(namespace);
    }
    for canary in ["b", "d", "db", "web", "ghcr"] {
        home.hide(&format!("canary-of-{canary}"));
    }
    for namespace in &namespaces {
        namespace.label(crate::registration::INJECT, "enabled").await?;
    }
    Ok(namespaces)
}

/// A pull Secret that a kubelet cannot read: an `auth` without a colon.
fn unreadable(name: &str) -> Value {
    let config = json!({"auths": {"registry.example.com/acme": {"auth": "eA=="}}});
    let encoded = BASE64_STANDARD.encode(config.to_string());
    json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
           "metadata": {"name": name}, "data": {".dockerconfigjson": encoded}})
}

/// A quota that no Secret fits into, in force.
async fn no_room(namespace: &Namespace) -> Result<()> {
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"},
                       "spec": {"hard": {"count/secrets": "0"}}});
    namespace.create_object("/api/v1", "resourcequotas", &quota).await?;
    until("quota in force", async || {
        let quota = namespace.object("/api/v1", "resourcequotas/none").await?;
        Ok(quota["status"]["hard"]["count/secrets"] == "0")
    })
    .await
}

/// The consent of a namespace's administrator, as docs/reports.md has it.
pub(super) async fn permit(namespace: &Namespace) -> Result<()> {
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "pullcred-discover"},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}]});
    namespace.create_object(rbac, "roles", &role).await?;
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "pullcred-discover"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "pullcred-discover"},
        "subjects": [{"kind": "ServiceAccount", "name": "pullcred-credentials", "namespace": HOME}]});
    namespace.create_object(rbac, "rolebindings", &binding).await.map(drop)
}

/// Waits until every namespace is reported as it is.
async fn until_settled(home: &Home) -> Result<String> {
    let expected = [
        ("shop", json!(["acme Ready", "base Missing"])),
        ("team-a", json!(["acme Ready"])),
        ("team-b", json!(["acme Conflict"])),
        ("team-c", json!(["acme Pending"])),
        ("team-d", json!(["acme WrongType"])),
        ("team-e", json!(["acme Unreadable"])),
        ("sandbox-db", json!([])),
        ("sandbox-web", json!(["ghcr Ready", "mirror Missing", "quay Ready"])),
    ];
    let mut seen = Vec::new();
    for (namespace, expected) in expected {
        let mut found = Value::Null;
        let what = format!("report of {namespace} with {expected}");
        let settled = until_within(SOON, &what, async || {
            found = states(home, namespace).await?;
            Ok(found == expected)
        });
        settled.await.with_context(|| format!("{found}"))?;
        seen.push(format!("{namespace}: {found}"));
    }
    // Of the Secret without room the reason is known when the API server has refused it.
    until("reason in team-c", async || {
        let report = house::report(home.api(), "team-c").await?.unwrap_or_default();
        Ok(report["status"]["secrets"][0]["reason"] == "QuotaExceeded")
    })
    .await?;
    Ok(seen.join("; "))
}

/// The Secrets of a namespace's report, each with its state.
async fn states(home: &Home, namespace: &str) -> Result<Value> {
    let report = house::report(home.api(), namespace).await?;
    let Some(report) = report else { return Ok(Value::Null) };
    let secrets = report["status"]["secrets"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let states = secrets.iter().map(|it| format!("{} {}", text(&it["name"]), text(&it["state"])));
    Ok(states.collect())
}

/// What people see.
fn transcript(home: &Home) -> Result<String> {
    let mut transcript = Transcript::new(&home.cluster);
    transcript.about("Those who run pullcred");
    transcript.run("get loginreports")?;
    transcript.run("get psr --all-namespaces")?;
    transcript.run("describe loginreport acme")?;
    transcript.about("The people of a namespace");
    transcript.run("describe psr --namespace shop")?;
    transcript.run("wait --for=condition=Ready psr/pullcred --namespace team-a --timeout=60s")?;
    for namespace in NAMESPACES {
        transcript.run(&format!("get events --namespace {namespace} --field-selector involvedObject.kind=PullSecretReport"))?;
    }
    transcript.about("Those who create a Pod");
    for (namespace, images) in [
        ("shop", &[ACME, "base.example.com/tools:1"][..]),
        ("team-a", &[ACME]),
        ("team-b", &[ACME]),
        ("team-c", &[ACME]),
        ("team-d", &[ACME]),
        ("team-e", &[ACME]),
        (
            "sandbox-web",
            &["quay.io/web/app:1", "ghcr.io/acme/sidecar:1", "mirror.example.com/nginx:1"],
        ),
        ("sandbox-db", &["quay.io/db/app:1", "mirror.example.com/nginx:1"]),
    ] {
        let mut web = images.iter().fold(pod("web"), |pod, image| pod.image(image)).into_object();
        web["metadata"]["namespace"] = namespace.into();
        transcript.apply(&format!("{namespace}.json"), &web)?;
        let list = "--output jsonpath={.spec.imagePullSecrets[*].name}";
        transcript.run(&format!("get pod web --namespace {namespace} {list}"))?;
    }
    Ok(transcript.into_text())
}

/// While nothing changes, no report is written.
async fn quiet(controller: &Controller) -> Result<String> {
    let before = writes(controller).await?;
    tokio::time::sleep(QUIET).await;
    let after = writes(controller).await?;
    ensure!(before > 0 && after == before, "{before} writes, and then {after}");
    Ok(format!("no report written in {} s", QUIET.as_secs()))
}

/// How many reports were written, with any result.
async fn writes(controller: &Controller) -> Result<u64> {
    let metrics = crate::pullcred::get(controller.admin(), "/metrics").await?;
    let series = metrics.lines().filter(|line| line.starts_with("pullcred_report_writes_total{"));
    let values = series.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
    Ok(values.sum())
}

/// A report that somebody with the right to it changes or deletes is written again; one of a namespace that opts out goes.
async fn changed_by_others(home: &Home) -> Result<String> {
    let api = home.api();
    let lie = json!({"secrets": [{"name": "acme", "state": "Unreadable"}]});
    house::write_report_as(api, "team-a", &lie).await?;
    until("right report", async || Ok(states(home, "team-a").await? == json!(["acme Ready"])))
        .await?;
    api.delete(&house::report_path("team-a")).await?.ok()?;
    until("report again", async || Ok(states(home, "team-a").await? == json!(["acme Ready"])))
        .await?;
    let namespace = Namespace::existing(api, "sandbox-db");
    namespace.label(crate::registration::INJECT, None).await?;
    until("end of the report", async || Ok(house::report(api, "sandbox-db").await?.is_none()))
        .await?;
    Ok("written again, also after it was deleted; gone where the namespace opts out".to_owned())
}

/// The definitions and all reports are deleted: copies follow their login as before. They come back: so do the reports.
async fn without_definitions(home: &Home, namespaces: &[Namespace]) -> Result<String> {
    let api = home.api();
    house::delete_definitions(api).await?;
    let rotated = [("registry.example.com/acme", "canary-of-rotation")];
    home.rotate_login("acme-robot", &rotated).await?;
    home.copied(Instant::now(), &namespaces[1], "acme", &rotated).await?;
    let new = home.opted_in("team-z", &[]).await?;
    home.copied(Instant::now(), &new, "acme", &rotated).await?;
    let begin = Instant::now();
    house::install_definitions(api).await?;
    let limit = Duration::from_secs(120);
    until_within(limit, "report of a new namespace", async || {
        Ok(states(home, "team-z").await? == json!(["acme Ready"]))
    })
    .await?;
    let back = begin.elapsed().as_secs();
    Ok(format!("copies follow their login; installed again: reports after {back} s"))
}
