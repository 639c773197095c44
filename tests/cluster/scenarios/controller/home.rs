//! A namespace in which controllers live, with the rights that the chart gives them and no others.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::{
    account::Account,
    api::Api,
    cluster::Cluster,
    controller::Controller,
    namespace::Namespace,
    process::Process,
    pullcred::Pullcred,
    registration::{COLLECTION, Registration},
    wait::until,
};

/// The chart as Helm renders it by default: its own tests keep this file true.
const CHART: &str = include_str!("../../../chart/snapshots/default.snap");

pub(super) const SERVICE: &str = "pullcred-webhook";
pub(super) const CA_SECRET: &str = "pullcred-ca";
pub(super) const TLS_SECRET: &str = "pullcred-tls";

/// Where one set of controllers lives, and their registration.
pub(super) struct Home {
    pub(super) cluster: Arc<Cluster>,
    pub(super) namespace: Namespace,
    name: &'static str,
    controller: Account,
    unregister: Account,
}

/// How long certificates live, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) ca_duration: f64,
    pub(super) leaf_duration: f64,
    pub(super) propagation: f64,
}

/// As users have them.
pub(super) const USUAL: Times =
    Times { ca_duration: 31_536_000.0, leaf_duration: 2_592_000.0, propagation: 120.0 };

// === impl Home ===

impl Home {
    /// A namespace of that name, with the chart's rights; its registration has the same name and is yet to be made.
    pub(super) async fn new(cluster: Arc<Cluster>, name: &'static str) -> Result<Self> {
        let namespace = Namespace::create(cluster.api(), name, &json!({})).await?;
        let account = async |role: &str| {
            let account = Account::create(cluster.control_plane(), &namespace, role).await?;
            grant(cluster.api(), name, role, &account).await?;
            Ok::<_, anyhow::Error>(account)
        };
        let controller = account("pullcred-controller").await?;
        let unregister = account("pullcred-unregister").await?;
        Ok(Self { cluster, namespace, name, controller, unregister })
    }

    pub(super) fn api(&self) -> &Api {
        self.cluster.api()
    }

    /// The name of the registration.
    pub(super) fn registration(&self) -> &'static str {
        self.name
    }

    /// Registers the webhook behind the Service for these namespaces, without a `caBundle` and with `failurePolicy: Fail`.
    pub(super) async fn register(&self, covered: &[&str]) -> Result<()> {
        Registration::service(self.name, self.namespace.name(), SERVICE, self.cluster.webhooks())
            .without_ca_bundle()
            .fail_closed()
            .only_in(covered)
            .create(self.api())
            .await
    }

    /// Starts a controller and waits until it is ready.
    pub(super) async fn start(&self, name: &str, times: Times) -> Result<Controller> {
        let mut controller = self.spawn(name, times).await?;
        controller.ready().await?;
        Ok(controller)
    }

    /// Starts a controller and does not wait.
    pub(super) async fn spawn(&self, name: &str, times: Times) -> Result<Controller> {
        self.spawn_against(self.server()?, name, times).await
    }

    /// Starts a controller that reaches the API server at another address.
    pub(super) async fn spawn_against(
        &self,
        server: &str,
        name: &str,
        times: Times,
    ) -> Result<Controller> {
        let name = format!("{}-{name}", self.name);
        let kubeconfig = self.controller.kubeconfig(server, &name).await?;
        let arguments = [
            "controller",
            "--namespace",
            self.namespace.name(),
            "--webhook-config",
            self.name,
            "--service",
            SERVICE,
            "--ca-secret",
            CA_SECRET,
            "--tls-secret",
            TLS_SECRET,
            "--ca-duration",
            &format!("{}s", times.ca_duration),
            "--leaf-duration",
            &format!("{}s", times.leaf_duration),
            "--propagation",
            &format!("{}s", times.propagation),
        ];
        let logs = self.cluster.control_plane().folder();
        Controller::spawn(&name, &arguments, &kubeconfig, logs)
    }

    /// Runs `pullcred controller unregister` with the rights of the chart's hook.
    pub(super) async fn unregister(&self, name: &str) -> Result<()> {
        let name = format!("{}-{name}", self.name);
        let kubeconfig = self.unregister.kubeconfig(self.unregister.server()?, &name).await?;
        let mut command = Pullcred::command();
        command
            .args(["controller", "unregister", "--webhook-config", self.name])
            .env("KUBECONFIG", kubeconfig);
        let folder = self.cluster.control_plane().folder();
        let mut process = Process::start(&name, &mut command, folder)?;
        let status = process.ended(Duration::from_secs(30)).await?;
        ensure!(status.success(), "{status}\n{}", process.log_tail());
        Ok(())
    }

    /// The `ServiceAccount` of controllers.
    pub(super) fn account(&self) -> &Account {
        &self.controller
    }

    /// The API server's own address.
    pub(super) fn server(&self) -> Result<&str> {
        self.controller.server()
    }

    /// The registration, where there is one.
    pub(super) async fn registered(&self) -> Result<Option<Value>> {
        self.api().get(&format!("{COLLECTION}/{}", self.name)).await?.found()
    }

    /// The `caBundle` as PEM, empty where there is none.
    pub(super) async fn bundle(&self) -> Result<String> {
        let registration = self.registered().await?.context("there is no registration")?;
        decoded(&registration["webhooks"][0]["clientConfig"]["caBundle"])
    }

    /// Changes the webhook in the registration, as `kubectl patch` does.
    pub(super) async fn edit_webhook(&self, mut change: Value) -> Result<()> {
        change["name"] = crate::registration::WEBHOOK.into();
        let change = json!({"webhooks": [change]});
        self.api().patch(&format!("{COLLECTION}/{}", self.name), &change).await?.ok().map(drop)
    }

    pub(super) async fn empty_bundle(&self) -> Result<()> {
        self.edit_webhook(json!({"clientConfig": {"caBundle": null}})).await
    }

    /// A Secret, where there is one.
    pub(super) async fn secret(&self, name: &str) -> Result<Option<Value>> {
        self.api().get(&self.secret_path(name)).await?.found()
    }

    pub(super) async fn delete_secret(&self, name: &str) -> Result<()> {
        self.api().delete(&self.secret_path(name)).await?.ok().map(drop)
    }

    pub(super) fn secret_path(&self, name: &str) -> String {
        format!("/api/v1/namespaces/{}/secrets/{name}", self.namespace.name())
    }

    /// The newest CA as PEM.
    pub(super) async fn ca(&self) -> Result<String> {
        let secret = self.secret(CA_SECRET).await?.context("there is no CA Secret")?;
        decoded(&secret["data"]["ca.crt"])
    }

    /// Waits until every caBundle has the newest CA and no other.
    pub(super) async fn until_published(&self) -> Result<()> {
        until("caBundle with the CA", async || Ok(self.bundle().await? == self.ca().await?)).await
    }

    /// Writes that a controller made to the registration.
    pub(super) async fn bundle_writes(&self, controller: &Controller) -> Result<u64> {
        const SERIES: &str = "pullcred_certificate_writes_total{object=\"webhook-configuration\",result=\"success\"}";
        controller.metric(SERIES).await
    }
}

/// Gives an account the rights that the chart gives to the one of the name `role`. The release of the rendered chart has
/// the name that here the registration has.
async fn grant(api: &Api, registration: &str, role: &str, account: &Account) -> Result<()> {
    for rendered in CHART.split("\n---\n") {
        if !rendered.contains("Role\n") || !rendered.contains(&format!("name: {role}\n")) {
            continue;
        }
        let mut object: Value = serde_saphyr::from_str(rendered)?;
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        if !matches!(kind.as_str(), "ClusterRole" | "Role") {
            continue;
        }
        for name in object["rules"][0]["resourceNames"].as_array_mut().into_iter().flatten() {
            if name == "pullcred" {
                *name = registration.into();
            }
        }
        account.bind(api, &kind, object["rules"].take()).await?;
    }
    Ok(())
}

/// The text under base64, empty for null.
pub(super) fn decoded(value: &Value) -> Result<String> {
    let bytes = BASE64_STANDARD.decode(value.as_str().unwrap_or_default())?;
    Ok(String::from_utf8(bytes)?)
}
