//! Ends of namespaces, and restarts of controllers.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::time::sleep;

use super::{
    follow::ms,
    home::{Home, SOON, shape},
};
use crate::{
    audit::AuditEvent, cluster::Cluster, namespace::Namespace, report::Report, wait::time_until,
};

/// `kubectl delete namespace` ends with the controller and without it.
pub(crate) async fn namespace_deletion(cluster: Arc<Cluster>) -> Result<Report> {
    const MAPPING: &str = "
logins:
- {name: acme, secret: deletion-login}
rules:
- {registries: [ghcr.io/acme], secret: deletion-pull, login: acme, namespaces: ['copies-deletion-*']}
";
    const NAME: &str = "deletion-pull";
    let home = Home::new(cluster, "copies-deletion", MAPPING, &[NAME], &["deletion-login"]).await?;
    let content = [("ghcr.io/acme", "canary-of-deletion")];
    home.create_login("deletion-login", &content).await?;
    let controller = home.start("0", "10m").await?;
    let mut namespaces = Vec::new();
    for place in 0..6 {
        let namespace = home.opted_in(&format!("copies-deletion-{place}"), &[]).await?;
        home.copied(Instant::now(), &namespace, NAME, &content).await?;
        namespaces.push(namespace);
    }
    let (first, rest) = namespaces.split_at(3);
    let with = delete(&home, first).await?;
    // A copy of a namespace that goes is not made again: that would be refused, and tried again.
    home.reported(&controller, "3 ready, 0 pending").await?;
    let failures = home.written(&controller, "create", "failure").await?;
    home.says_nothing(&[&controller]).await?;
    controller.kill();
    let without = delete(&home, rest).await?;
    Ok(Report::new()
        .seen(
            "`kubectl delete namespace`, 3 at once, controller running",
            format!("gone after {}; {failures} creations refused", ms(with)),
        )
        .seen("the same, controller stopped", format!("gone after {}", ms(without))))
}

/// Deletes namespaces at once, and answers after which time the last was gone.
async fn delete(home: &Home, namespaces: &[Namespace]) -> Result<Duration> {
    let begin = Instant::now();
    let path = |namespace: &Namespace| format!("/api/v1/namespaces/{}", namespace.name());
    for namespace in namespaces {
        home.api().delete(&path(namespace)).await?.ok()?;
    }
    for namespace in namespaces {
        let what = format!("end of the namespace {}", namespace.name());
        time_until(begin, Duration::from_secs(30), &what, async || {
            Ok(home.api().get(&path(namespace)).await?.found()?.is_none())
        })
        .await?;
    }
    Ok(begin.elapsed())
}

/// A controller that starts where all is in order reads little and writes nothing; the content of no copy comes to it.
pub(crate) async fn restart(cluster: Arc<Cluster>) -> Result<Report> {
    const MAPPING: &str = "
logins:
- {name: acme, secret: restart-login}
rules:
- {registries: [ghcr.io/acme], secret: restart-pull, login: acme, namespaces: ['copies-restart-*']}
";
    const NAME: &str = "restart-pull";
    const COUNT: usize = 40;
    const REQUESTS: usize = 12;
    // The audit log has the requests of this account.
    let home = Home::new(cluster, "copies-restart", MAPPING, &[NAME], &["restart-login"]).await?;
    let content = [("ghcr.io/acme", "canary-of-restart")];
    home.create_login("restart-login", &content).await?;
    for place in 0..COUNT {
        home.opted_in(&format!("copies-restart-{place}"), &[]).await?;
    }
    let begin = Instant::now();
    let controller = home.start("0", "10m").await?;
    let filled =
        time_until(
            begin,
            SOON * 4,
            "all copies",
            async || Ok(home.all(NAME).await?.len() == COUNT),
        )
        .await?;
    let creations = home.writes(&controller, "create").await?;
    ensure!(creations == COUNT as u64, "{creations} creations");
    controller.kill();
    let before = versions(&home, NAME).await?;
    let past = home.cluster.audited_account()?.len();

    let begin = Instant::now();
    let controller = home.start("1", "10m").await?;
    time_until(begin, SOON, "count of the copies", async || {
        Ok(controller.metric("pullcred_copies{state=\"ready\"}").await? == COUNT as u64)
    })
    .await?;
    let settled = begin.elapsed();
    sleep(Duration::from_secs(1)).await;
    ensure!(versions(&home, NAME).await? == before, "copies were written");
    for operation in ["create", "update", "delete"] {
        ensure!(home.writes(&controller, operation).await? == 0, "it has written");
    }
    let events = home.cluster.audited_account()?;
    let requests: Vec<String> = events[past..].iter().map(AuditEvent::request).collect();
    ensure!(requests.len() >= 5, "the audit log has only {requests:?}");
    ensure!(requests.len() <= REQUESTS, "{} requests: {requests:#?}", requests.len());
    for event in events.iter().filter(|event| event.request().contains(NAME)) {
        let answered = event.answered();
        ensure!(
            !answered.to_string().contains(KEY_IN_DATA),
            "{}: {}",
            event.request(),
            shape(answered)
        );
    }
    ensure!(
        events.iter().any(|it| it.answered()["kind"] == "PartialObjectMetadataList"),
        "no list"
    );
    home.says_nothing(&[&controller]).await?;
    Ok(Report::new()
        .seen(format!("start with {COUNT} namespaces and no copy: all there after"), ms(filled))
        .seen(
            format!("restart with {COUNT} copies in order"),
            format!("0 writes, {} requests, all counted after {}", requests.len(), ms(settled)),
        ))
}

/// What stands before a Docker config in a Secret's data, but not in its fields.
const KEY_IN_DATA: &str = "\".dockerconfigjson\":\"";

/// The versions of all Secrets of a name, by namespace.
async fn versions(home: &Home, name: &str) -> Result<BTreeMap<String, String>> {
    let of = |secret: Value| {
        let text = |field: &str| secret["metadata"][field].as_str().map(str::to_owned);
        text("namespace").zip(text("resourceVersion")).context("no metadata")
    };
    home.all(name).await?.into_iter().map(of).collect()
}
