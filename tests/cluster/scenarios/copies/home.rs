//! A namespace in which credentials controllers live, with logins and a mapping.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use serde_json::{Value, json};

use super::{
    granted::{WITH_HEALTH, WITH_REPORTS, WITHOUT_REPORTS, grant, revoke},
    login::{DockerConfig, KEY, TYPE, auth},
};
use crate::{
    account::{Account, api_with},
    api::Api,
    clouds::Authority,
    cluster::Cluster,
    controller::Controller,
    namespace::Namespace,
    pullcred::get,
    registration::INJECT,
    wait::{time_until, until},
};

/// The ServiceAccount of controllers.
pub(in super::super) const ACCOUNT: &str = "pullcred-credentials";
/// The ConfigMap with the mapping.
pub(in super::super) const MAPPING: &str = "pullcred-mapping";
/// The field manager of copies.
pub(in super::super) const MANAGER: &str = "pullcred-credentials";
/// The label of copies, and its value.
pub(super) const MARK: (&str, &str) = ("app.kubernetes.io/managed-by", "pullcred");
/// For what takes milliseconds where the machine is not busy.
pub(in super::super) const SOON: Duration = Duration::from_secs(5);

/// Where a scenario's controllers live.
pub(in super::super) struct Home {
    pub(in super::super) cluster: Arc<Cluster>,
    pub(in super::super) namespace: Namespace,
    pub(in super::super) account: Account,
    /// What its controllers do besides copying.
    flags: &'static [&'static str],
    /// The file with the authorities that they trust outside of the cluster, where it is not the machine's.
    authorities: Option<PathBuf>,
    passwords: Mutex<Vec<String>>,
}

// === impl Home ===

impl Home {
    /// A namespace of that name, whose controllers may write copies of these names and read logins of those.
    pub(super) async fn new(
        cluster: Arc<Cluster>,
        name: &str,
        mapping: &str,
        copies: &[&str],
        logins: &[&str],
    ) -> Result<Self> {
        Self::with(cluster, name, mapping, copies, logins, (WITHOUT_REPORTS, &[])).await
    }

    /// The same, and they write reports.
    pub(in super::super) async fn with_reports(
        cluster: Arc<Cluster>,
        name: &str,
        mapping: &str,
        copies: &[&str],
        logins: &[&str],
    ) -> Result<Self> {
        Self::with(cluster, name, mapping, copies, logins, (WITH_REPORTS, &["--reports"])).await
    }

    /// The same, and they try logins at registries of this authority, and look for Pods.
    pub(in super::super) async fn with_health(
        cluster: Arc<Cluster>,
        name: &str,
        mapping: &str,
        copies: &[&str],
        logins: &[&str],
        authority: &Authority,
    ) -> Result<Self> {
        let authorities = cluster.control_plane().folder().join(format!("{name}-authorities.pem"));
        fs::write(&authorities, &authority.pem)?;
        let flags = &["--reports", "--health", "--audit"];
        let home = Self::with(cluster, name, mapping, copies, logins, (WITH_HEALTH, flags)).await?;
        Ok(Self { authorities: Some(authorities), ..home })
    }

    async fn with(
        cluster: Arc<Cluster>,
        name: &str,
        mapping: &str,
        copies: &[&str],
        logins: &[&str],
        (chart, flags): (&str, &'static [&'static str]),
    ) -> Result<Self> {
        let namespace = Namespace::create(cluster.api(), name, &json!({})).await?;
        let account = Account::create(cluster.control_plane(), &namespace, ACCOUNT).await?;
        grant(cluster.api(), chart, &account, name, copies, logins).await?;
        let mapping = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": MAPPING},
            "data": {"pullcred.yaml": mapping},
        });
        namespace.create_object("/api/v1", "configmaps", &mapping).await?;
        let passwords = Mutex::default();
        Ok(Self { cluster, namespace, account, flags, authorities: None, passwords })
    }

    /// Deletes what the account was granted in the whole cluster, so that another scenario may have a home of this name.
    pub(in super::super) async fn end(&self) -> Result<()> {
        revoke(self.api(), &self.account, self.namespace.name()).await
    }

    pub(in super::super) fn api(&self) -> &Api {
        self.cluster.api()
    }

    /// A namespace, opted in and with further labels.
    pub(in super::super) async fn opted_in(
        &self,
        name: &str,
        labels: &[(&str, &str)],
    ) -> Result<Namespace> {
        let mut all = json!({INJECT: "enabled"});
        for (key, value) in labels {
            all[key] = (*value).into();
        }
        self.labelled(name, &all).await
    }

    /// A namespace with these labels. No Pod is created in it, so nothing is waited for.
    pub(in super::super) async fn labelled(&self, name: &str, labels: &Value) -> Result<Namespace> {
        let object = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": labels},
        });
        self.api().post("/api/v1/namespaces", &object).await?.ok()?;
        Ok(Namespace::existing(self.api(), name))
    }

    // === logins ===

    /// Creates the Secret of a login with these passwords, by registry key.
    pub(in super::super) async fn create_login(
        &self,
        name: &str,
        logins: &[(&str, &str)],
    ) -> Result<()> {
        self.will_be_secret(logins);
        let secret = DockerConfig::new(logins).secret(name);
        self.namespace.create_object("/api/v1", "secrets", &secret).await.map(drop)
    }

    /// Changes it, as people do who rotate a password.
    pub(in super::super) async fn rotate_login(
        &self,
        name: &str,
        logins: &[(&str, &str)],
    ) -> Result<()> {
        self.will_be_secret(logins);
        let change = json!({"data": {KEY: DockerConfig::new(logins).encoded()}});
        let path = format!("secrets/{name}");
        self.namespace.patch_object("/api/v1", &path, &change).await.map(drop)
    }

    fn will_be_secret(&self, logins: &[(&str, &str)]) {
        let mut passwords = self.passwords.lock().unwrap_or_else(PoisonError::into_inner);
        passwords.extend(logins.iter().map(|(_, password)| password.to_string()));
    }

    /// What may be shown nowhere.
    pub(in super::super) fn hide(&self, text: &str) {
        self.passwords.lock().unwrap_or_else(PoisonError::into_inner).push(text.to_owned());
    }

    // === copies ===

    /// Waits until a namespace has the copy of a name with these passwords, and answers it and how long that took since
    /// `begin`.
    pub(in super::super) async fn copied(
        &self,
        begin: Instant,
        namespace: &Namespace,
        name: &str,
        logins: &[(&str, &str)],
    ) -> Result<(Value, Duration)> {
        let expected = DockerConfig::new(logins);
        let mut stored = Value::Null;
        let what = format!("copy {}/{name} for {expected:?}", namespace.name());
        let took = time_until(begin, SOON, &what, async || {
            let Some(secret) = self.secret(namespace, name).await? else { return Ok(false) };
            let found = DockerConfig::of(&secret).is_ok_and(|it| it == expected);
            stored = secret;
            Ok(found)
        });
        let took = took.await.with_context(|| shape(&stored))?;
        ensure!(stored["type"] == TYPE, "{}", shape(&stored));
        ensure!(stored["data"].as_object().is_some_and(|it| it.len() == 1), "{}", shape(&stored));
        ensure!(stored["metadata"]["labels"] == json!({MARK.0: MARK.1}), "{}", shape(&stored));
        Ok((stored, took))
    }

    /// Waits until a namespace has no Secret of a name, and answers how long that took since `begin`.
    pub(in super::super) async fn gone(
        &self,
        begin: Instant,
        limit: Duration,
        namespace: &Namespace,
        name: &str,
    ) -> Result<Duration> {
        let what = format!("end of the copy {}/{name}", namespace.name());
        let look = async || Ok(self.secret(namespace, name).await?.is_none());
        time_until(begin, limit, &what, look).await
    }

    /// A Secret, where there is one.
    pub(in super::super) async fn secret(
        &self,
        namespace: &Namespace,
        name: &str,
    ) -> Result<Option<Value>> {
        self.api().get(&secret_path(namespace.name(), name)).await?.found()
    }

    /// All Secrets of a name, by namespace.
    pub(super) async fn all(&self, name: &str) -> Result<Vec<Value>> {
        let path = format!("/api/v1/secrets?fieldSelector=metadata.name%3D{name}");
        let mut list = self.api().get(&path).await?.object()?;
        Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    /// Waits until the API server refuses what the policy forbids, or no longer does.
    pub(super) async fn until_policy(
        &self,
        namespace: &Namespace,
        name: &str,
        refuses: bool,
    ) -> Result<()> {
        let file = format!("{}-policy", self.namespace.name());
        let kubeconfig = self.account.kubeconfig(self.account.server()?, &file).await?;
        let api = api_with(&kubeconfig).await?;
        let mut no_copy = DockerConfig::new(&[("ghcr.io", "x")]).secret(name);
        no_copy["type"] = "Opaque".into();
        let path = secret_path(namespace.name(), name);
        until("change of the policy", async || {
            let answer = api.apply(&path, "fieldManager=a&dryRun=All", &no_copy).await?;
            Ok(answer.status().is_success() != refuses)
        })
        .await
    }

    // === controllers ===

    /// Starts a controller and waits until it is ready.
    pub(in super::super) async fn start(&self, name: &str, grace: &str) -> Result<Controller> {
        let mut controller = self.spawn(name, grace).await?;
        controller.ready().await?;
        Ok(controller)
    }

    /// Starts a controller and does not wait.
    pub(in super::super) async fn spawn(&self, name: &str, grace: &str) -> Result<Controller> {
        self.spawn_with(name, grace, self.flags).await
    }

    /// The same with other flags than those of its home.
    pub(in super::super) async fn spawn_with(
        &self,
        name: &str,
        grace: &str,
        flags: &[&str],
    ) -> Result<Controller> {
        let name = format!("{}-{name}", self.namespace.name());
        let kubeconfig = self.account.kubeconfig(self.account.server()?, &name).await?;
        let mut arguments = vec![
            "credentials",
            "--namespace",
            self.namespace.name(),
            "--mapping-config-map",
            MAPPING,
            "--grace",
            grace,
        ];
        arguments.extend(flags);
        let logs = self.cluster.control_plane().folder();
        let authorities = self.authorities.as_deref().map(|file| ("SSL_CERT_FILE", file));
        Controller::spawn_with(&name, &arguments, &kubeconfig, logs, authorities.as_slice())
    }

    /// Waits until `/readyz?verbose` has this text in it, whether ready or not, and answers that line.
    pub(in super::super) async fn reported(
        &self,
        controller: &Controller,
        text: &str,
    ) -> Result<String> {
        let mut line = None;
        let what = format!("word of `{text}` in /readyz");
        time_until(Instant::now(), SOON, &what, async || {
            let report = match controller.readyz().await {
                Ok(report) => report,
                Err(error) => error.to_string(),
            };
            line = report.lines().find(|line| line.contains(text)).map(str::to_owned);
            Ok(line.is_some())
        })
        .await?;
        line.context("gone")
    }

    /// How often a controller wrote, with this result.
    pub(super) async fn written(
        &self,
        controller: &Controller,
        operation: &str,
        result: &str,
    ) -> Result<u64> {
        let labels = format!("operation=\"{operation}\",result=\"{result}\"");
        controller.metric(&format!("pullcred_copy_writes_total{{{labels}}}")).await
    }

    /// The same with any result.
    pub(super) async fn writes(&self, controller: &Controller, operation: &str) -> Result<u64> {
        let mut sum = 0;
        for result in ["success", "conflict", "failure"] {
            sum += self.written(controller, operation, result).await?;
        }
        Ok(sum)
    }

    /// Events of this reason in the namespace of the logins.
    pub(super) async fn events(&self, reason: &str) -> Result<Vec<Value>> {
        let list = self.namespace.object("/apis/events.k8s.io/v1", "events").await?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        Ok(items.into_iter().filter(|it| it["reason"] == reason).collect())
    }

    /// Nothing of any login is in a log, in metrics, in readiness or in Events.
    pub(in super::super) async fn says_nothing(
        &self,
        controllers: &[&Controller],
    ) -> Result<String> {
        let events = self.namespace.object("/apis/events.k8s.io/v1", "events").await?;
        let mut places = vec![("Events", events.to_string())];
        for controller in controllers {
            let log = controller.log()?;
            ensure!(log.lines().count() > 20, "the log is almost empty");
            ensure!(log.contains("TRACE"), "the log is not at level trace");
            places.push(("the log", log));
            places.push(("metrics", get(controller.admin(), "/metrics").await?));
            let readiness = controller.readyz().await;
            places.push(("readiness", readiness.unwrap_or_else(|error| error.to_string())));
        }
        let passwords = self.passwords.lock().unwrap_or_else(PoisonError::into_inner).clone();
        ensure!(!passwords.is_empty(), "there is nothing to look for");
        for (place, text) in &places {
            for password in &passwords {
                let shown = forms(password).iter().any(|it| text.contains(it));
                ensure!(!shown, "{place}: the password {password} is there");
            }
        }
        let bytes: usize = places.iter().map(|(_, text)| text.len()).sum();
        Ok(format!("{} passwords looked for in {} KiB", passwords.len(), bytes / 1024))
    }
}

/// A password as it is, as a Docker config has it, and as a Secret has that, wherever it begins.
fn forms(password: &str) -> Vec<String> {
    let auth = auth(password);
    let in_secret = (0..3).map(|offset| {
        let encoded = BASE64_STANDARD_NO_PAD.encode([&"   "[..offset], &auth].concat());
        // Both ends depend on what is beside them.
        encoded[4..encoded.len() - 4].to_owned()
    });
    // Users are the same everywhere, and six bytes with the colon.
    let alone = auth[8..].trim_end_matches('=').to_owned();
    [password.to_owned(), alone].into_iter().chain(in_secret).collect()
}

/// The path of a Secret.
pub(super) fn secret_path(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/secrets/{name}")
}

/// A Secret as a message may show it: without its data.
pub(super) fn shape(secret: &Value) -> String {
    let mut shown = secret.clone();
    for value in shown["data"].as_object_mut().into_iter().flat_map(|data| data.values_mut()) {
        *value = "…".into();
    }
    shown.to_string()
}
