//! Pods that lack a pull Secret: those from before the label, from before the rule, and from while the webhook was away,
//! whatever made them. The commands of the reports make new ones that have it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use pullcred::controller::credentials::Settings;
use serde_json::{Value, json};

use super::{
    day::{COPY, LOGIN, SECRET, SOON},
    hurried::Hurried,
};
use crate::{
    clouds::Authority,
    cluster::ReportsCluster,
    fixtures::{pod, workload},
    namespace::{Namespace, StoredPod},
    registration::INJECT,
    report::Report,
    scenarios::{
        copies::home::{Home, MAPPING},
        reports::{
            house::{self, HOME, Reader},
            kubectl::{Transcript, kubectl},
        },
    },
    wait::{time_until, until},
};

const APPS: &str = "/apis/apps/v1";
/// An image of the rule that there is from the beginning, and one of the rule that comes later.
const IMAGE: &str = "registry.example.com/acme/web:1";
const LATER: &str = "registry.example.com/tools/web:1";
/// Where a Deployment made a Pod too early, and where others did.
const BEFORE: [&str; 3] = ["team-label", "team-rule", "team-outage"];
const KINDS: &str = "team-kinds";
/// What makes Pods there, in the order of reports.
const MAKERS: [(&str, &str); 3] =
    [("ReplicaSet", "alone"), ("StatefulSet", "runs"), ("StatefulSet", "waits")];
/// Pods are looked for ten minutes after a start, and then every six hours, give or take a tenth.
const FIRST: Duration = Duration::from_secs(601);
const NEXT: Duration = Duration::from_secs(7 * 3600);

pub(crate) async fn audit(cluster: Arc<ReportsCluster>) -> Result<Report> {
    let cluster = cluster.cluster();
    let api = cluster.api();
    house::install_definitions(api).await?;
    let mapping = mapping("[registry.example.com/acme, registry.example.com/tools]");
    let authority = Authority::new();
    let home =
        Home::with_health(Arc::clone(&cluster), HOME, &mapping, &[COPY], &[SECRET], &authority);
    let home = home.await?;
    home.create_login(SECRET, &[("registry.example.com", "canary-of-the-audit")]).await?;
    let kinds = Namespace::create(api, KINDS, &json!({})).await?;
    makers(&kinds).await?;
    let (namespaces, reader) = pods_without(&home, &mapping).await?;
    kinds.label(INJECT, "enabled").await?;
    kinds.until_injected_for(IMAGE).await?;

    let kubeconfig = home.account.kubeconfig(home.account.server()?, "audit").await?;
    let settings = Settings {
        grace: Duration::from_secs(3),
        mapping: MAPPING.to_owned(),
        namespace: HOME.to_owned(),
        reports: Some("audit".to_owned()),
        health: false,
        audit: true,
    };
    let controller = Hurried::start(&kubeconfig, settings)?;
    for namespace in namespaces.iter().chain([&kinds]) {
        until("report of a copy", async || {
            let report = house::report(api, namespace.name()).await?.unwrap_or_default();
            Ok(report["status"]["secrets"][0]["state"] == "Ready")
        })
        .await?;
        ensure!(pods(&home, namespace).await?.is_null(), "looked for before the time");
    }
    let begin = Instant::now();
    controller.forward(FIRST)?;
    for namespace in &namespaces {
        until_counted(&home, namespace, begin, 1).await?;
    }
    until_counted(&home, &kinds, begin, MAKERS.len()).await?;
    let found = begin.elapsed();

    let mut transcript = Transcript::new(&cluster);
    transcript.about("Pods that lack a Secret");
    transcript.run("get psr --all-namespaces")?;
    for namespace in &namespaces {
        let event = "get events --field-selector reason=PodsWithoutSecret --namespace";
        transcript.run(&format!("{event} {}", namespace.name()))?;
        let owner = pods(&home, namespace).await?["owners"][0].take();
        ensure!(owner["kind"] == "Deployment" && owner["name"] == "web", "{owner}");
        transcript.run(command(&owner)?)?;
        until_all_have_it(namespace, 1).await?;
    }
    let owners = pods(&home, &kinds).await?["owners"].take();
    let owners: Vec<Value> = serde_json::from_value(owners)?;
    let found_makers = owners.iter().map(|it| (it["kind"].as_str(), it["name"].as_str()));
    ensure!(found_makers.eq(MAKERS.map(|(kind, name)| (Some(kind), Some(name)))), "{owners:?}");
    for owner in &owners {
        kubectl(&cluster, &command(owner)?.split_whitespace().collect::<Vec<_>>())?;
    }
    until_all_have_it(&kinds, MAKERS.len()).await?;
    let begin = Instant::now();
    controller.forward(NEXT)?;
    for namespace in namespaces.iter().chain([&kinds]) {
        until_counted(&home, namespace, begin, 0).await?;
    }
    transcript.run("get psr --all-namespaces")?;
    insta::with_settings!({
        snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true,
    }, {
        insta::assert_snapshot!("audit", transcript.into_text());
    });
    drop(controller);
    reader.end(api).await?;
    home.end().await?;
    house::delete_definitions(api).await?;
    house::clear(api, &[&BEFORE[..], &[KINDS, HOME]].concat()).await?;
    Ok(Report::new()
        .seen(
            "Pods from before the label, before the rule, and from an outage: found",
            format!("{:.1} s after the audit was due", found.as_secs_f64()),
        )
        .seen(
            "the commands of the reports for a Deployment, a ReplicaSet, a StatefulSet that runs and one that waits",
            "new Pods, all with the Secret; the next audit finds none without",
        ))
}

/// The mapping with a rule for these registries.
fn mapping(registries: &str) -> String {
    format!(
        "logins: [{{name: {LOGIN}, secret: {SECRET}}}]\n\
         rules:\n- {{registries: {registries}, secret: {COPY}, login: {LOGIN}, namespaces: ['team-*']}}\n"
    )
}

/// A Pod in each namespace that came too early or when there was no webhook; and a webhook that would give it its Secret now.
async fn pods_without(home: &Home, mapping_now: &str) -> Result<(Vec<Namespace>, Reader)> {
    let api = home.api();
    let [label, rule, outage] = BEFORE;
    let label = Namespace::create(api, label, &json!({})).await?;
    let rule = house::opted_in(api, rule).await?;
    let outage = house::opted_in(api, outage).await?;

    let before = mapping("[registry.example.com/acme]");
    let reader = Reader::start(&home.cluster, "audit-before", &before).await?;
    rule.until_injected_for(IMAGE).await?;
    deployed(&label, IMAGE).await?;
    deployed(&rule, LATER).await?;
    reader.end(api).await?;
    outage.until_left_alone(IMAGE).await?;
    deployed(&outage, IMAGE).await?;

    let reader = Reader::start(&home.cluster, "audit-now", mapping_now).await?;
    label.label(INJECT, "enabled").await?;
    label.until_injected_for(IMAGE).await?;
    rule.until_injected_for(LATER).await?;
    Ok((vec![label, rule, outage], reader))
}

/// A Deployment, whose Pod lists no Secret.
async fn deployed(namespace: &Namespace, image: &str) -> Result<()> {
    let mut web = workload("Deployment", pod("web").image(image));
    // No kubelet makes its new Pod ready, for which the old one would wait.
    web["spec"]["strategy"] = json!({"type": "Recreate"});
    made(namespace, "deployments", &web).await
}

/// Others that make Pods. None lists a Secret.
async fn makers(namespace: &Namespace) -> Result<()> {
    for (kind, name) in MAKERS {
        let plural = format!("{}s", kind.to_lowercase());
        made(namespace, &plural, &workload(kind, pod(name).image(IMAGE))).await?;
    }
    // A restart of a StatefulSet replaces Pods that are ready.
    let ready = json!({"status": {
        "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
    }});
    namespace.patch_pod("runs-0/status", &ready).await.map(drop)
}

async fn made(namespace: &Namespace, plural: &str, workload: &Value) -> Result<()> {
    namespace.create_object(APPS, plural, workload).await?;
    let name = workload["metadata"]["name"].as_str().unwrap_or_default();
    let made = namespace.pod_of(name).await?;
    ensure!(made.pull_secrets() == [], "{} has {:?}", namespace.name(), made.pull_secrets());
    Ok(())
}

/// The command that the report has for an owner, without `kubectl`.
fn command(owner: &Value) -> Result<&str> {
    let remedy = owner["remedy"].as_str().context("no remedy")?;
    let command = remedy.strip_prefix("New ones: kubectl ").context(remedy.to_owned())?;
    Ok(command.split_once(", ").map_or(command, |(command, _)| command))
}

/// Waits until there are so many Pods, all with the Secret.
async fn until_all_have_it(namespace: &Namespace, count: usize) -> Result<()> {
    until(&format!("{count} Pods in {}, all with the Secret", namespace.name()), async || {
        let list = namespace.object("/api/v1", "pods").await?;
        let items = list["items"].as_array().into_iter().flatten();
        let all: Vec<_> = items.map(|it| StoredPod::from(it.clone()).pull_secrets()).collect();
        Ok(all.len() == count && all.iter().all(|it| *it == [COPY]))
    })
    .await
}

/// What the report of a namespace says of Pods.
async fn pods(home: &Home, namespace: &Namespace) -> Result<Value> {
    let report = house::report(home.api(), namespace.name()).await?;
    Ok(report.unwrap_or_default()["status"]["pods"].take())
}

/// Waits until a report says that so many Pods lack a Secret.
async fn until_counted(
    home: &Home,
    namespace: &Namespace,
    begin: Instant,
    without: usize,
) -> Result<()> {
    let what = format!("report of {without} Pods without a Secret in {}", namespace.name());
    let look = async || Ok(pods(home, namespace).await?["without"] == without);
    time_until(begin, SOON, &what, look).await.map(drop)
}
