//! A namespace in which controllers live, with the rights that the chart gives them and no others.

use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::{
    api::{Answer, Api},
    cluster::Cluster,
    namespace::Namespace,
    pki::User,
    process::Process,
    pullcred::{Pullcred, get},
    registration::{COLLECTION, Registration},
    sandbox::next_port,
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
    server: Value,
}

/// A running controller.
pub(super) struct Controller {
    process: Process,
    log: PathBuf,
    admin: SocketAddr,
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
        let template = cluster.control_plane().kubeconfig(User::named(name))?;
        let template: Value = serde_json::from_str(&fs::read_to_string(template)?)?;
        let server = template["clusters"][0]["cluster"].clone();
        let home = Self { cluster, namespace, name, server };
        for account in ["pullcred-controller", "pullcred-unregister"] {
            home.grant(account).await?;
        }
        Ok(home)
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
        let server = self.server["server"].as_str().context("no server")?;
        self.spawn_against(server, name, times).await
    }

    /// Starts a controller that reaches the API server at another address.
    pub(super) async fn spawn_against(
        &self,
        server: &str,
        name: &str,
        times: Times,
    ) -> Result<Controller> {
        let admin = SocketAddr::from(([127, 0, 0, 1], next_port()));
        let name = format!("{}-{name}", self.name);
        let kubeconfig = self.kubeconfig("pullcred-controller", server, &name).await?;
        let mut command = Pullcred::command();
        command
            .arg("controller")
            .args(["--namespace", self.namespace.name()])
            .args(["--webhook-config", self.name])
            .args(["--service", SERVICE])
            .args(["--ca-secret", CA_SECRET])
            .args(["--tls-secret", TLS_SECRET])
            .args(["--admin-listen", &admin.to_string()])
            .args(["--ca-duration", &format!("{}s", times.ca_duration)])
            .args(["--leaf-duration", &format!("{}s", times.leaf_duration)])
            .args(["--propagation", &format!("{}s", times.propagation)])
            .env("KUBECONFIG", kubeconfig)
            // As much as it can be made to say: no key may be part of it.
            .env("PULLCRED_LOG", "trace");
        let logs = self.cluster.control_plane().folder();
        let process = Process::start(&name, &mut command, logs)?;
        Ok(Controller { process, log: logs.join(format!("{name}.log")), admin })
    }

    /// Runs `pullcred controller unregister` with the rights of the chart's hook.
    pub(super) async fn unregister(&self, name: &str) -> Result<()> {
        let server = self.server["server"].as_str().context("no server")?;
        let name = format!("{}-{name}", self.name);
        let kubeconfig = self.kubeconfig("pullcred-unregister", server, &name).await?;
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

    /// A kubeconfig with a token of a ServiceAccount of this namespace.
    pub(super) async fn kubeconfig(
        &self,
        account: &str,
        server: &str,
        file: &str,
    ) -> Result<PathBuf> {
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600},
        });
        let path = format!("serviceaccounts/{account}/token");
        let token = self.namespace.create_object("/api/v1", &path, &request).await?;
        let mut cluster = self.server.clone();
        cluster["server"] = server.into();
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": account}}],
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": account, "user": {"token": token["status"]["token"]}}],
        });
        let path = self.cluster.control_plane().folder().join(format!("{file}.kubeconfig"));
        fs::write(&path, config.to_string())?;
        Ok(path)
    }

    /// The API server's own address.
    pub(super) fn server(&self) -> Result<&str> {
        self.server["server"].as_str().context("no server")
    }

    /// The registration, where there is one.
    pub(super) async fn registered(&self) -> Result<Option<Value>> {
        found(self.api().get(&format!("{COLLECTION}/{}", self.name)).await?)
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
        found(self.api().get(&self.secret_path(name)).await?)
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

    /// Creates a ServiceAccount with the rights that the chart gives to the one of this name.
    async fn grant(&self, account: &str) -> Result<()> {
        let object = json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account},
        });
        self.namespace.create_object("/api/v1", "serviceaccounts", &object).await?;
        for rendered in CHART.split("\n---\n") {
            if !rendered.contains("Role\n") || !rendered.contains(&format!("name: {account}\n")) {
                continue;
            }
            let mut role: Value = serde_saphyr::from_str(rendered)?;
            let kind = role["kind"].as_str().unwrap_or_default().to_owned();
            if !matches!(kind.as_str(), "ClusterRole" | "Role") {
                continue;
            }
            for name in role["rules"][0]["resourceNames"].as_array_mut().into_iter().flatten() {
                // The release of the rendered chart has the name that here the registration has.
                if name == "pullcred" {
                    *name = self.name.into();
                }
            }
            self.bind(account, &kind, role["rules"].take()).await?;
        }
        Ok(())
    }

    async fn bind(&self, account: &str, kind: &str, rules: Value) -> Result<()> {
        const GROUP: &str = "rbac.authorization.k8s.io";
        let name = format!("{}-{account}", self.name);
        let collection = match kind {
            "Role" => {
                format!("/apis/{GROUP}/v1/namespaces/{}/role", self.namespace.name())
            }
            _ => format!("/apis/{GROUP}/v1/clusterrole"),
        };
        let role = json!({
            "apiVersion": format!("{GROUP}/v1"), "kind": kind,
            "metadata": {"name": name}, "rules": rules,
        });
        self.api().post(&format!("{collection}s"), &role).await?.ok()?;
        let subject = json!({
            "kind": "ServiceAccount", "name": account, "namespace": self.namespace.name(),
        });
        let binding = json!({
            "apiVersion": format!("{GROUP}/v1"), "kind": format!("{kind}Binding"),
            "metadata": {"name": name}, "subjects": [subject],
            "roleRef": {"apiGroup": GROUP, "kind": kind, "name": name},
        });
        self.api().post(&format!("{collection}bindings"), &binding).await?.ok().map(drop)
    }
}

// === impl Controller ===

impl Controller {
    /// Waits until it says that all is in order.
    pub(super) async fn ready(&mut self) -> Result<()> {
        let admin = self.admin;
        let limit = Duration::from_secs(30);
        self.process.ready(limit, async || get(admin, "/readyz").await.map(drop)).await
    }

    /// Where it serves `/metrics`.
    pub(super) fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// What it says about itself.
    pub(super) async fn readyz(&self) -> Result<String> {
        get(self.admin, "/readyz?verbose").await
    }

    /// The value of a counter with these labels, 0 where it has none yet.
    pub(super) async fn metric(&self, series: &str) -> Result<u64> {
        let metrics = get(self.admin, "/metrics").await?;
        let line = metrics.lines().find_map(|line| line.strip_prefix(series));
        Ok(line.map_or(Ok(0), |value| value.trim().parse())?)
    }

    /// Writes that it made to the registration.
    pub(super) async fn bundle_writes(&self) -> Result<u64> {
        self.metric("pullcred_certificate_writes_total{object=\"webhook-configuration\",result=\"success\"}")
            .await
    }

    /// Everything that it has logged.
    pub(super) fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.log)?)
    }

    /// Ends it at once.
    pub(super) fn kill(self) {
        self.process.kill();
    }
}

/// The object of an answer, where there is one.
fn found(answer: Answer) -> Result<Option<Value>> {
    if answer.status().as_u16() == 404 { Ok(None) } else { answer.object().map(Some) }
}

/// The text under base64, empty for null.
pub(super) fn decoded(value: &Value) -> Result<String> {
    let bytes = BASE64_STANDARD.decode(value.as_str().unwrap_or_default())?;
    Ok(String::from_utf8(bytes)?)
}
