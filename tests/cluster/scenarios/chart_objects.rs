//! What the chart renders, as this version of the API server reads it: every field known, every expression compiled.

use std::{collections::BTreeMap, fs, sync::Arc};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{cluster::Cluster, namespace::Namespace, report::Report, wait::until_some};

/// The chart as Helm renders it for each file of values: its own tests keep these files true.
const RENDERED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chart/snapshots");

/// Where the objects of this scenario are.
const NAMESPACE: &str = "chart-objects";

const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";

/// Every object is applied strictly, as a dry run: the API server checks each field, and compiles the expressions in
/// `matchConditions`, policies and definitions. Whether a policy's expressions fit the types is in its status.
pub(crate) async fn accepted_without_a_warning(cluster: Arc<Cluster>) -> Result<Report> {
    Namespace::create(cluster.api(), NAMESPACE, &json!({})).await?;
    let objects = objects()?;
    // A Pod is refused where its account is missing, which a dry run does not make.
    let accounts = objects.iter().filter(|it| it["kind"] == "ServiceAccount").cloned().collect();
    apply(&cluster, "accounts", accounts, &[]).await?;
    let count = objects.len();
    let policies: BTreeMap<String, Value> = objects
        .iter()
        .filter(|it| it["kind"] == "ValidatingAdmissionPolicy")
        .map(|it| (it["spec"].to_string(), it.clone()))
        .collect();
    let applied = apply(&cluster, "everything", objects, &["--dry-run=server"]).await?;
    assert_eq!(applied.lines().count(), count, "{applied}");

    for (number, mut policy) in policies.values().cloned().enumerate() {
        // Without a binding it does nothing.
        policy["metadata"] = json!({"name": format!("{NAMESPACE}-{number}")});
        checked(&cluster, &policy).await?;
    }
    Ok(Report::new()
        .seen("objects of the chart, applied as a dry run, strictly", format!("{count} accepted"))
        .seen("its policies, checked against the types", format!("{} sound", policies.len())))
}

/// The objects of all renderings, without those of other projects.
fn objects() -> Result<Vec<Value>> {
    let mut objects = Vec::new();
    for file in fs::read_dir(RENDERED)? {
        let text = fs::read_to_string(file?.path())?;
        // The first part is the snapshot's own.
        for document in text.split("\n---\n").skip(1) {
            let mut object: Value = serde_saphyr::from_str(document)?;
            let version = object["apiVersion"].as_str().context("no apiVersion")?;
            if ["cert-manager.io/", "monitoring.coreos.com/"]
                .iter()
                .any(|it| version.starts_with(it))
            {
                continue;
            }
            if object["metadata"]["namespace"].is_string() {
                object["metadata"]["namespace"] = NAMESPACE.into();
            } else if object["kind"] != "CustomResourceDefinition" {
                // Other scenarios have objects of the chart's names.
                let name = object["metadata"]["name"].as_str().context("no name")?;
                object["metadata"]["name"] = format!("{NAMESPACE}-{name}").into();
            }
            objects.push(object);
        }
    }
    ensure!(objects.len() > 100, "only {} objects", objects.len());
    Ok(objects)
}

/// Has kubectl apply these, where a warning is an error, and answers what it printed.
async fn apply(
    cluster: &Cluster,
    name: &str,
    objects: Vec<Value>,
    further: &[&str],
) -> Result<String> {
    let control_plane = cluster.control_plane();
    let file = control_plane.folder().join(format!("{NAMESPACE}-{name}.json"));
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    fs::write(&file, list.to_string())?;
    let file = file.to_str().context("a path that is not UTF-8")?;
    let apply = ["apply", "--server-side", "--validate=strict", "--warnings-as-errors"];
    let arguments = [&apply, further, &["--filename", file]].concat();
    control_plane.kubectl(&arguments).await
}

/// Creates a policy, and waits until kube-controller-manager has checked its expressions against the types.
async fn checked(cluster: &Cluster, policy: &Value) -> Result<()> {
    let created = cluster.api().post(POLICIES, policy).await?.object()?;
    let path = format!("{POLICIES}/{}", created["metadata"]["name"].as_str().context("no name")?);
    let status = until_some("type check", async || {
        let status = cluster.api().get(&path).await?.object()?["status"].take();
        Ok(status["typeChecking"].is_object().then_some(status))
    });
    let warnings = &status.await?["typeChecking"]["expressionWarnings"];
    ensure!(warnings.is_null(), "{}: {warnings}", policy["metadata"]);
    cluster.api().delete(&path).await?.ok()?;
    Ok(())
}
