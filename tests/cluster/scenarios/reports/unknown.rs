//! Where nothing is known, the answer is that of a webhook without reports.

use std::{sync::Arc, time::Instant};

use anyhow::{Result, ensure};
use axum::http::StatusCode;
use pullcred::core::reports::{PullSecretStatus, ReportedSecret, ReportedState};
use serde_json::json;

use super::{
    house::{self, HOME, Heartbeat, Reader},
    rights,
    rows::{self, MAPPING, NAMES, ROWS, answer},
};
use crate::{
    api::Api, cluster::ReportsCluster, fixtures::pod, namespace::Namespace, report::Report,
    wait::until,
};

/// A namespace with discovery.
const FOUND: &str = "found-a";

/// Reports that are absent, stale, of another version, of an unknown shape, and deleted while the webhook runs: in each of these the
/// answer is today's, in every row of the table. Only what discovery has found stays in use while reports are stale.
pub(crate) async fn unknown(cluster: Arc<ReportsCluster>) -> Result<Report> {
    let cluster = cluster.cluster();
    let api = cluster.api();
    house::make_home(api).await?;
    let reader = Reader::start(&cluster, "unknown", MAPPING).await?;
    let probe = house::opted_in(api, "probe-unknown").await?;
    probe.until_injected_for("registry.example.com/probe:1").await?;
    let mut report = Report::new();
    ensure!(!reader.is_fresh().await?, "fresh without a definition");
    as_today(&probe).await?;
    report = report.seen("no definition of reports", "ready, and the answer by the mapping");

    house::install_definitions(api).await?;
    let heartbeat = Heartbeat::start(&cluster);
    let namespaces = rows::make(api).await?;
    let found = house::opted_in(api, FOUND).await?;
    let secret = ReportedSecret {
        name: "own".to_owned(),
        state: ReportedState::Ready,
        reason: None,
        expired_at: None,
        keys: Some(vec!["quay.io/team".to_owned()]),
    };
    let status = PullSecretStatus { secrets: vec![secret], ..PullSecretStatus::default() };
    house::write_report(api, FOUND, &status).await?;
    reader.until_fresh(true).await?;
    reader.until_known(ROWS.len() as u64).await?;
    by_reports(&namespaces).await?;
    discovered(&found).await?;
    report =
        report.seen("definitions installed while it runs", "fresh, and the answers of the table");

    drop(heartbeat);
    let begin = Instant::now();
    reader.until_fresh(false).await?;
    let took = begin.elapsed().as_secs();
    ensure!((50..90).contains(&took), "stale after {took} s");
    all_as_today(&namespaces).await?;
    discovered(&found).await?;
    report = report
        .seen(format!("no controller, {took} s later"), "today's answers; what was found stays");

    let heartbeat = Heartbeat::start(&cluster);
    reader.until_fresh(true).await?;
    by_reports(&namespaces).await?;
    report = report.seen("a controller again", "the answers of the table");

    let shapes = of_another_shape(api, &namespaces).await?;
    report = report.seen("reports with states and fields that this version does not know", shapes);

    rights::aggregate(api).await?;
    let refused = by_tenants(&cluster, &namespaces[1]).await?;
    report = report.seen("written by an account with `edit` and by one with `admin`", refused);

    another_version(api).await?;
    until("today's answer", async || Ok(answer(&namespaces[5]).await?.0 == NAMES)).await?;
    all_as_today(&namespaces).await?;
    report = report.seen("the API server serves another version alone", "today's answers");

    house::delete_definitions(api).await?;
    all_as_today(&namespaces).await?;
    report = report.seen("definitions deleted while it runs", "today's answers");

    drop(heartbeat);
    reader.end(api).await?;
    let names: Vec<&str> = namespaces.iter().map(Namespace::name).collect();
    house::clear(api, &[&names[..], &[HOME, FOUND, "probe-unknown"]].concat()).await?;
    Ok(report)
}

async fn as_today(namespace: &Namespace) -> Result<()> {
    let (names, warnings) = answer(namespace).await?;
    ensure!(names == NAMES, "{}: {names:?}", namespace.name());
    ensure!(warnings.is_empty(), "{}: {warnings:?}", namespace.name());
    Ok(())
}

async fn all_as_today(namespaces: &[Namespace]) -> Result<()> {
    for namespace in namespaces {
        as_today(namespace).await?;
    }
    Ok(())
}

/// The answers differ where the table says so, or the comparison with today's would prove nothing.
async fn by_reports(namespaces: &[Namespace]) -> Result<()> {
    let mut warned = 0;
    for (namespace, (_, listed)) in namespaces.iter().zip(ROWS) {
        let (names, warnings) = answer(namespace).await?;
        ensure!(names == listed, "{}: {names:?}", namespace.name());
        warned += usize::from(!warnings.is_empty());
    }
    ensure!(warned >= 8, "{warned} namespaces with warnings");
    Ok(())
}

async fn discovered(namespace: &Namespace) -> Result<()> {
    let answer = namespace.dry_run(pod("web").image("quay.io/team/web:1")).await?;
    let stored = crate::namespace::StoredPod::from(answer.object()?);
    assert_eq!(stored.pull_secrets(), ["tools", "own"]);
    Ok(())
}

/// A state and fields of a later version, and a list that is no list of Secrets: nothing is known of these.
async fn of_another_shape(api: &Api, namespaces: &[Namespace]) -> Result<String> {
    let namespace = &namespaces[5];
    let before = answer(namespace).await?;
    ensure!(before.0 != NAMES, "{before:?}");
    let secrets = NAMES.map(|name| json!({"name": name, "state": "Frozen"}));
    house::write_report_as(api, namespace.name(), &json!({"secrets": secrets})).await?;
    until("today's answer", async || Ok(answer(namespace).await?.0 == NAMES)).await?;
    as_today(namespace).await?;
    house::write_report_as(api, namespace.name(), &json!({"discovery": "Asked"})).await?;
    until("today's answer", async || Ok(answer(namespace).await?.0 == NAMES)).await?;
    as_today(namespace).await?;
    // As it was, for what follows.
    let missing = rows::status((ReportedState::Missing, None));
    house::write_report(api, namespace.name(), &missing).await?;
    until("the answer of the table", async || Ok(answer(namespace).await?.0 == before.0)).await?;
    Ok("today's answers, and the table's when they are as before".to_owned())
}

/// Has the API server serve the reports in another version, and no longer in this one.
async fn another_version(api: &Api) -> Result<()> {
    house::change_definition(api, |definition| {
        let versions = definition["spec"]["versions"].as_array_mut();
        if let Some(versions) = versions {
            let mut next = versions[0].clone();
            next["name"] = "v2".into();
            next["storage"] = false.into();
            versions[0]["served"] = false.into();
            versions.push(next);
        }
    })
    .await
}

/// Accounts with the cluster's own roles `edit` and `admin` in a namespace read its report, and write none.
async fn by_tenants(cluster: &crate::cluster::Cluster, namespace: &Namespace) -> Result<String> {
    let mut refused = 0;
    for role in ["edit", "admin"] {
        let api = rights::tenant(cluster, namespace, role).await?;
        let path = house::report_path(namespace.name());
        until("right to view", async || Ok(api.get(&path).await?.status().is_success())).await?;
        let collection = path.rsplit_once('/').map_or("", |(collection, _)| collection);
        let report = json!({"apiVersion": "pullcred.dev/v1alpha1", "kind": "PullSecretReport",
                            "metadata": {"name": "pullcred"}, "status": {}});
        let other = json!({"apiVersion": "pullcred.dev/v1alpha1", "kind": "PullSecretReport",
                           "metadata": {"name": "other"}, "status": {}});
        for (what, answer) in [
            ("apply", api.apply(&path, "fieldManager=a&force=true", &report).await?),
            ("replace", api.put(&path, &report).await?),
            ("create", api.post(collection, &other).await?),
            ("delete", api.delete(&path).await?),
            ("delete all", api.delete(collection).await?),
        ] {
            ensure!(
                answer.status() == StatusCode::FORBIDDEN,
                "{role}: {what}: {}",
                answer.status()
            );
            refused += 1;
        }
    }
    Ok(format!("403, {refused} requests"))
}
