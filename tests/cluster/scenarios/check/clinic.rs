//! A sound set-up, to be broken: a webhook of the scenario's own, and one namespace that it covers.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, MAPPING, loopback},
    control_plane::ControlPlane,
    fixtures::{Pod, pod},
    namespace::{Namespace, PRIVATE_IMAGE},
    pki::User,
    pullcred::{Pullcred, Said},
    registration::{COLLECTION, Registration, WEBHOOK},
};

/// In every password here: no output may have it.
pub(super) const CANARY: &str = "canary-of-the-doctor";

/// Where the patient lives.
pub(super) struct Clinic {
    pub(super) cluster: Arc<Cluster>,
    pub(super) namespace: Namespace,
    name: &'static str,
    listen: SocketAddr,
    mapping: PathBuf,
    _webhook: Pullcred,
}

/// What the doctor said.
#[derive(Debug)]
pub(super) struct Diagnosis {
    code: i32,
    findings: Vec<Value>,
    pub(super) summary: String,
}

// === impl Clinic ===

impl Clinic {
    /// A registration, its webhook, and a namespace, all of this name. No Pod is in it yet, and no Secret.
    pub(super) async fn new(cluster: Arc<Cluster>, name: &'static str) -> Result<Self> {
        let namespace = cluster.apart(name).await?;
        let listen = loopback();
        let webhook = cluster.start_webhook(name, listen, "127.0.0.1", MAPPING).await?;
        Registration::url(name, listen, cluster.webhooks())
            .only_in(&[name])
            .create(cluster.api())
            .await?;
        let mapping = cluster.control_plane().folder().join(format!("{name}.yaml"));
        Ok(Self { cluster, namespace, name, listen, mapping, _webhook: webhook })
    }

    /// Makes what a Pod with a private image needs, and the Pod.
    pub(super) async fn with_a_pod(self) -> Result<Self> {
        self.secret(PRIVATE_IMAGE.1, &docker_config(REGISTRY)).await?;
        self.namespace.until_injected().await?;
        self.namespace.create_pod(private_pod("app")).await?;
        Ok(self)
    }

    /// Makes a pull Secret of this content.
    pub(super) async fn secret(&self, name: &str, content: &str) -> Result<()> {
        self.secret_of_type(name, "kubernetes.io/dockerconfigjson", content).await
    }

    pub(super) async fn secret_of_type(
        &self,
        name: &str,
        type_: &str,
        content: &str,
    ) -> Result<()> {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": type_,
            "stringData": {".dockerconfigjson": content},
        });
        self.namespace.create_object("/api/v1", "secrets", &secret).await.map(drop)
    }

    /// Changes the one webhook of the registration; `null` removes a field.
    pub(super) async fn change(&self, mut webhook: Value) -> Result<()> {
        webhook["name"] = WEBHOOK.into();
        let path = format!("{COLLECTION}/{}", self.name);
        let change = json!({"webhooks": [webhook]});
        self.cluster.api().patch(&path, &change).await?.ok().map(drop)
    }

    /// Makes the webhook configuration again, as it was.
    pub(super) async fn restore(&self) -> Result<()> {
        self.delete_registration().await?;
        Registration::url(self.name, self.listen, self.cluster.webhooks())
            .only_in(&[self.name])
            .create(self.cluster.api())
            .await
    }

    pub(super) async fn delete_registration(&self) -> Result<()> {
        self.cluster.api().delete(&format!("{COLLECTION}/{}", self.name)).await?.ok().map(drop)
    }

    /// Where the webhook answers.
    pub(super) fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Examines the namespace, the registration and the mapping.
    pub(super) async fn examine(&self) -> Result<Diagnosis> {
        let args = self.args();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        examine(self.cluster.control_plane(), User::ADMIN, &args).await
    }

    /// The same as a table, with the summary: for the report.
    pub(super) async fn table(&self) -> Result<String> {
        let args = self.args();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let Said { stdout, stderr, .. } =
            run(self.cluster.control_plane(), User::ADMIN, &args).await?;
        Ok((stdout + &stderr).trim().to_owned())
    }

    /// The file of the mapping.
    pub(super) fn mapping(&self) -> PathBuf {
        self.mapping.clone()
    }

    /// The namespace, the registration and the mapping.
    pub(super) fn args(&self) -> Vec<String> {
        let value = |flag: &str, value: &str| format!("--{flag}={value}");
        let mapping = self.mapping.display().to_string();
        vec![
            value("namespace", self.namespace.name()),
            value("webhook-config", self.name),
            value("config", &mapping),
        ]
    }
}

/// The registry of the private image.
pub(super) const REGISTRY: &str = "registry.cn-shanghai.aliyuncs.com";

/// A Docker config with one login.
pub(super) fn docker_config(registry: &str) -> String {
    json!({"auths": {registry: {"username": "robot", "password": CANARY}}}).to_string()
}

pub(super) fn private_pod(name: &str) -> Pod {
    pod(name).image(PRIVATE_IMAGE.0)
}

/// Runs `pullcred check --live` with these arguments.
pub(super) async fn examine(
    control_plane: &ControlPlane,
    user: User,
    args: &[&str],
) -> Result<Diagnosis> {
    let args = [args, &["--output", "json"]].concat();
    let Said { code, stdout, stderr } = run(control_plane, user, &args).await?;
    let findings = stdout.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>();
    let findings = findings.with_context(|| format!("{stdout}{stderr}"))?;
    let summary = stderr.lines().last().unwrap_or_default().to_owned();
    Ok(Diagnosis { code, findings, summary })
}

pub(super) async fn run(control_plane: &ControlPlane, user: User, args: &[&str]) -> Result<Said> {
    let said = Said::by_check(control_plane, user, args).await?;
    ensure!(!said.tells(CANARY), "a password is told");
    Ok(said)
}

// === impl Diagnosis ===

impl Diagnosis {
    /// Nothing worse than a note was found.
    pub(super) fn is_sound(&self) -> Result<()> {
        ensure!(self.code == 0 && self.summary.starts_with("0 errors, 0 warnings"), "{self:?}");
        Ok(())
    }

    /// Just this was found, notes aside, and its text has `part` in it.
    pub(super) fn is(&self, severity: &str, check: &str, place: &str, part: &str) -> Result<()> {
        let serious = self.findings.iter().filter(|it| it["severity"] != "note").count();
        ensure!(serious == 1 && self.code == 1, "not {check} alone: {self:#?}");
        self.has(severity, check, place, part)
    }

    /// This was found among others.
    pub(super) fn has(&self, severity: &str, check: &str, place: &str, part: &str) -> Result<()> {
        let is_it = |it: &Value| {
            it["severity"] == severity
                && it["check"] == check
                && it["where"] == place
                && it["message"].as_str().is_some_and(|message| message.contains(part))
        };
        ensure!(
            self.findings.iter().any(is_it),
            "no {severity} {check} at {place} with {part:?}: {self:#?}"
        );
        Ok(())
    }

    /// What the API server refused to tell.
    pub(super) fn forbidden(&self) -> Vec<&Value> {
        let is_refused =
            |it: &&Value| it["message"].as_str().is_some_and(|it| it.contains("forbidden"));
        self.findings.iter().filter(is_refused).collect()
    }

    /// Where something could not be looked at.
    pub(super) fn not_seen(&self) -> Vec<&str> {
        let notes = self.findings.iter().filter(|it| it["check"] == "not-seen");
        notes.filter_map(|it| it["where"].as_str()).collect()
    }
}
