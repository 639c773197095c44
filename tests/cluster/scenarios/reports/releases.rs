//! Definitions and rights of reports as Helm keeps them: an older definition is brought up to date, and a second release writes no
//! reports.

use std::sync::Arc;

use anyhow::{Result, bail, ensure};

use super::house;
use crate::{
    node::{NodeCluster, VALUES},
    report::Report,
};

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/pullcred");

/// `helm upgrade` of a release whose definition lacks a field and a column, and `helm install` of another release.
pub(crate) async fn releases(cluster: Arc<NodeCluster>) -> Result<Report> {
    cluster.pullcred().await?;
    let api = cluster.api();
    house::apply_older_definition(api, |definition| {
        let version = &mut definition["spec"]["versions"][0];
        if let Some(columns) = version["additionalPrinterColumns"].as_array_mut() {
            columns.truncate(1);
        }
        let status = "/schema/openAPIV3Schema/properties/status/properties";
        let fields = version.pointer_mut(status).and_then(serde_json::Value::as_object_mut);
        if let Some(fields) = fields {
            fields.remove("discovery");
        }
    })
    .await?;
    ensure!(!columns(&cluster).await?.contains("MISSING"), "the definition is not an older one");
    cluster.helm_upgrade_with(&["--values", VALUES]).await?;
    let columns = columns(&cluster).await?;
    ensure!(columns.contains("MISSING"), "after `helm upgrade`: {columns}");
    let explained = ["explain", "psr.status.discovery"];
    cluster.control_plane().kubectl(&explained).await?;
    let report = Report::new().seen("`helm upgrade` of an older definition: columns", columns);

    let logins = r#"mapping={"logins":[{"name":"other","secret":"other-login"}],"rules":[{"registries":["ghcr.io"],"secret":"other","login":"other","namespaces":["other-*"]}]}"#;
    let install = ["install", "second", CHART, "--dry-run=server", "--set-json", logins];
    let more = ["--set", "webhook.enabled=false,image.registry=registry.example.com"];
    let second = [install.as_slice(), &more].concat();
    let Err(error) = cluster.helm(&second).await else {
        bail!("Helm installs a second release that writes reports")
    };
    let words = format!("{error:#}");
    let words = words.lines().find(|line| line.contains("writes reports already"));
    let Some(words) = words else { bail!("not refused for its reports: {error:#}") };
    let off = [second.as_slice(), &["--set", "reports.enabled=false"]].concat();
    cluster.helm(&off).await?;
    Ok(report
        .seen("`helm install` of a second release", words.trim())
        .seen("the same with `reports.enabled=false`", "goes ahead"))
}

/// The columns of `kubectl get psr`.
async fn columns(cluster: &NodeCluster) -> Result<String> {
    let get = ["get", "psr", "--all-namespaces"];
    let printed = cluster.control_plane().kubectl(&get).await?;
    let first = printed.lines().next().unwrap_or_default();
    Ok(first.split_whitespace().collect::<Vec<_>>().join(" "))
}
