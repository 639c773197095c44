//! The chart, applied by two who each think that it is theirs: Helm, and another tool.

use std::{fs, sync::Arc};

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::{
    namespace::Namespace,
    node::{HOME, NodeCluster, RELEASE, UNSCHEDULED_IMAGE, lines_of},
    registration::COLLECTION,
    report::Report,
};

/// As Argo CD names itself where it applies on the server's side.
const MANAGER: &str = "--field-manager=argocd-controller";

/// What one applied the other can apply, again and again: without a conflict, a difference, or a new generation.
pub(crate) async fn two_managers(cluster: Arc<NodeCluster>) -> Result<Report> {
    let namespace = cluster.covered("gitops", UNSCHEDULED_IMAGE).await?;
    let manifest = cluster.helm(&["get", "manifest", RELEASE]).await?;
    let file = cluster.folder().join("gitops.yaml");
    fs::write(&file, manifest)?;
    let file = file.display().to_string();
    let kubectl = async |arguments: &[&str]| cluster.control_plane().kubectl(arguments).await;

    let policies = cluster.existing(HOME);
    let before = generations(&policies).await?;
    let bundle = bundle(&cluster).await?;
    let server_side = ["--server-side", MANAGER, "--filename", &file];
    kubectl(&[["apply"].as_slice(), &server_side].concat()).await?;
    let upgraded = cluster.helm_upgrade(&[]).await?;
    kubectl(&[["apply"].as_slice(), &server_side].concat()).await?;
    // kubectl exits with 1 where there is a difference.
    let server_diff = kubectl(&[["diff"].as_slice(), &server_side].concat()).await?;
    let client_diff = kubectl(&["diff", "--filename", &file]).await?;
    ensure!(server_diff.is_empty() && client_diff.is_empty(), "{server_diff}{client_diff}");
    assert_eq!(generations(&policies).await?, before, "NetworkPolicies changed");
    assert_eq!(self::bundle(&cluster).await?, bundle, "the caBundle changed");
    namespace.until_injected_for(UNSCHEDULED_IMAGE).await?;
    Ok(Report::new()
        .seen(
            "`kubectl apply --server-side` as argocd-controller, then `helm upgrade`",
            lines_of(&upgraded, &["STATUS:", "DESCRIPTION:"]),
        )
        .seen("then `kubectl diff`, with and without `--server-side`", "empty")
        .seen("generations of NetworkPolicies, and the `caBundle`", "as before"))
}

/// Names and generations of the network policies in a namespace.
async fn generations(namespace: &Namespace) -> Result<Vec<(Value, Value)>> {
    let list = namespace.object("/apis/networking.k8s.io/v1", "networkpolicies").await?;
    let items = list["items"].as_array().into_iter().flatten();
    let of =
        |item: &Value| (item["metadata"]["name"].clone(), item["metadata"]["generation"].clone());
    Ok(items.map(of).collect())
}

async fn bundle(cluster: &NodeCluster) -> Result<Value> {
    let mut object = cluster.api().get(&format!("{COLLECTION}/{RELEASE}")).await?.object()?;
    Ok(object["webhooks"][0]["clientConfig"]["caBundle"].take())
}
