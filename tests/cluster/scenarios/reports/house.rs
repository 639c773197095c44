//! What scenarios of reports need: the definitions of the chart, a webhook that reads reports, and reports by hand.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use pullcred::core::reports::{
    GROUP, LEASE, PULL_SECRET_REPORT, PULL_SECRET_REPORT_NAME, PullSecretStatus, VERSION,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    account::Account,
    api::Api,
    cluster::{Cluster, loopback},
    namespace::Namespace,
    pullcred::{Pullcred, Webhook},
    registration::{COLLECTION, INJECT, Registration},
    wait::until,
};

/// The chart with logins as Helm renders it: its own tests keep this file true.
const CHART: &str = include_str!("../../../chart/snapshots/credentials.snap");

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
/// pullcred's namespace.
pub(in super::super) const HOME: &str = "pullcred";

/// A webhook that reads reports, registered for every opted-in namespace.
pub(in super::super) struct Reader {
    pub(super) pullcred: Pullcred,
    /// Its ServiceAccount, with the rights that the chart gives it.
    pub(super) account: Account,
    name: String,
}

/// Keeps reports fresh, as a controller does, until it is dropped.
pub(super) struct Heartbeat(JoinHandle<()>);

// === impl Reader ===

impl Reader {
    /// Starts it in pullcred's namespace, which exists.
    pub(in super::super) async fn start(
        cluster: &Cluster,
        name: &str,
        mapping: &str,
    ) -> Result<Self> {
        let home = Namespace::existing(cluster.api(), HOME);
        let account = Account::create(cluster.control_plane(), &home, name).await?;
        for role in rendered("templates/webhook/rbac.yaml")? {
            let kind = role["kind"].as_str().unwrap_or_default();
            if !kind.ends_with("Binding") {
                account.bind(cluster.api(), kind, role["rules"].clone()).await?;
            }
        }
        let kubeconfig = account.kubeconfig(account.server()?, name).await?;
        let (listen, identity) = (loopback(), cluster.webhooks().server(&["127.0.0.1"])?);
        let kubeconfig = kubeconfig.to_str().context("a path that is not UTF-8")?;
        let webhook = Webhook {
            name,
            mapping,
            listen,
            identity: &identity,
            flags: &["--reports"],
            environment: &[("KUBECONFIG", kubeconfig), ("PULLCRED_OWN_NAMESPACE", HOME)],
        };
        let pullcred = webhook.start(cluster.control_plane().folder()).await?;
        Registration::url(name, listen, cluster.webhooks()).create(cluster.api()).await?;
        Ok(Self { pullcred, account, name: name.to_owned() })
    }

    /// Whether its reports are fresh.
    pub(super) async fn is_fresh(&self) -> Result<bool> {
        Ok(self.pullcred.metric("pullcred_reports_fresh").await? == 1)
    }

    /// Waits until its reports are fresh, or stale.
    pub(in super::super) async fn until_fresh(&self, fresh: bool) -> Result<()> {
        let what = if fresh { "fresh reports" } else { "stale reports" };
        crate::wait::until_within(Duration::from_secs(120), what, async || {
            Ok(self.is_fresh().await? == fresh)
        })
        .await
    }

    /// Waits until it knows the reports of so many namespaces.
    pub(in super::super) async fn until_known(&self, namespaces: u64) -> Result<()> {
        until(&format!("{namespaces} known namespaces"), async || {
            Ok(self.pullcred.metric("pullcred_reports_namespaces").await? == namespaces)
        })
        .await
    }

    /// Takes its registration away, and ends it.
    pub(in super::super) async fn end(self, api: &Api) -> Result<()> {
        api.delete(&format!("{COLLECTION}/{}", self.name)).await?.ok()?;
        self.pullcred.kill();
        Ok(())
    }
}

// === impl Heartbeat ===

impl Heartbeat {
    /// Renews the Lease every second.
    pub(super) fn start(cluster: &Arc<Cluster>) -> Self {
        let cluster = Arc::clone(cluster);
        Self(tokio::spawn(async move {
            for beat in 0_u64.. {
                // A refusal shows: the reports do not become fresh.
                drop(renew(cluster.api(), beat).await);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }))
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn renew(api: &Api, beat: u64) -> Result<()> {
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{HOME}/leases/{LEASE}");
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": LEASE},
        "spec": {
            "holderIdentity": "by-hand", "leaseDurationSeconds": 60,
            "renewTime": format!("2026-01-01T00:{:02}:{:02}.000000Z", beat / 60 % 60, beat % 60),
        },
    });
    api.apply(&path, "fieldManager=by-hand&force=true", &lease).await?.ok().map(drop)
}

// === definitions and reports ===

/// The objects of a template of the chart.
fn rendered(template: &str) -> Result<Vec<Value>> {
    let source = format!("# Source: pullcred/{template}");
    let documents = CHART.split("\n---\n").filter(|it| it.contains(&source));
    let objects: Result<Vec<Value>, _> = documents.map(serde_saphyr::from_str).collect();
    let objects = objects?;
    ensure!(!objects.is_empty(), "the chart has no {template}");
    Ok(objects)
}

/// The roles of the chart that the API server adds to its own.
pub(super) fn view_roles() -> Result<Vec<Value>> {
    rendered("templates/reports/rbac.yaml")
}

/// Installs the definitions of the chart, and waits until they are served.
pub(crate) async fn install_definitions(api: &Api) -> Result<()> {
    for definition in rendered("templates/reports/crds.yaml")? {
        api.post(DEFINITIONS, &definition).await?.ok()?;
    }
    for resource in ["loginreports", "pullsecretreports"] {
        until(&format!("{resource} in the API"), async || {
            let list = api.get(&format!("/apis/{GROUP}/{VERSION}/{resource}")).await?;
            Ok(list.status().is_success())
        })
        .await?;
    }
    Ok(())
}

/// Deletes the definitions with all their objects, and waits until they are gone.
pub(in super::super) async fn delete_definitions(api: &Api) -> Result<()> {
    for resource in ["loginreports", "pullsecretreports"] {
        let path = format!("{DEFINITIONS}/{resource}.{GROUP}");
        api.delete(&path).await?.ok()?;
        until(&format!("end of {resource}"), async || {
            let gone = api.get(&path).await?.found()?.is_none();
            let list = api.get(&format!("/apis/{GROUP}/{VERSION}/{resource}")).await?;
            Ok(gone && !list.status().is_success())
        })
        .await?;
    }
    Ok(())
}

/// Changes the definition of the namespaces' reports by `change`.
pub(super) async fn change_definition(api: &Api, change: impl Fn(&mut Value)) -> Result<()> {
    let path = format!("{DEFINITIONS}/pullsecretreports.{GROUP}");
    let mut definition = api.get(&path).await?.object()?;
    change(&mut definition);
    api.put(&path, &definition).await?.ok().map(drop)
}

/// The same, as a chart of before would have it: applied by Helm, so that Helm may change it back.
pub(super) async fn apply_older_definition(api: &Api, change: impl Fn(&mut Value)) -> Result<()> {
    let path = format!("{DEFINITIONS}/pullsecretreports.{GROUP}");
    let mut definition = api.get(&path).await?.object()?;
    change(&mut definition);
    let metadata = &definition["metadata"];
    let older = json!({
        "apiVersion": definition["apiVersion"], "kind": definition["kind"], "spec": definition["spec"],
        "metadata": {
            "name": metadata["name"], "labels": metadata["labels"], "annotations": metadata["annotations"],
        },
    });
    api.apply(&path, "fieldManager=helm&force=true", &older).await?.ok().map(drop)
}

/// The path of a namespace's report.
pub(in super::super) fn report_path(namespace: &str) -> String {
    format!(
        "/apis/{GROUP}/{VERSION}/namespaces/{namespace}/pullsecretreports/{PULL_SECRET_REPORT_NAME}"
    )
}

/// Writes a namespace's report by hand.
pub(super) async fn write_report(
    api: &Api,
    namespace: &str,
    status: &PullSecretStatus,
) -> Result<()> {
    write_report_as(api, namespace, &serde_json::to_value(status)?).await
}

/// The same with any status that the definition lets through.
pub(super) async fn write_report_as(api: &Api, namespace: &str, status: &Value) -> Result<()> {
    let report = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": PULL_SECRET_REPORT,
        "metadata": {"name": PULL_SECRET_REPORT_NAME}, "status": status,
    });
    let query = "fieldManager=by-hand&force=true";
    api.apply(&report_path(namespace), query, &report).await?.ok().map(drop)
}

/// A namespace's report, where there is one.
pub(in super::super) async fn report(api: &Api, namespace: &str) -> Result<Option<Value>> {
    api.get(&report_path(namespace)).await?.found()
}

/// A new opted-in namespace in which Pods can be created.
pub(in super::super) async fn opted_in(api: &Api, name: &str) -> Result<Namespace> {
    Namespace::create(api, name, &json!({INJECT: "enabled"})).await
}

/// Makes pullcred's namespace, unless a scenario before has.
pub(super) async fn make_home(api: &Api) -> Result<()> {
    if api.get(&format!("/api/v1/namespaces/{HOME}")).await?.found()?.is_none() {
        Namespace::create(api, HOME, &json!({})).await?;
    }
    Ok(())
}

/// Deletes namespaces, and waits until they are gone with what is in them: the next scenario has a cluster to itself.
pub(in super::super) async fn clear(api: &Api, namespaces: &[&str]) -> Result<()> {
    for name in namespaces {
        api.delete(&format!("/api/v1/namespaces/{name}")).await?.ok()?;
    }
    for name in namespaces {
        until(&format!("end of namespace {name}"), async || {
            Ok(api.get(&format!("/api/v1/namespaces/{name}")).await?.found()?.is_none())
        })
        .await?;
    }
    Ok(())
}
