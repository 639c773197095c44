//! A Prometheus that scrapes pullcred and the API server and evaluates the chart's alerts, with a
//! clock of seconds in place of minutes.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    process::Process,
    pullcred::{Said, get},
    sandbox::next_port,
    wait::until,
};

const READY: Duration = Duration::from_secs(30);

/// What stands for ten minutes in the chart's rules.
pub(crate) const WINDOW: Duration = Duration::from_secs(20);

/// The programs of Debian's package, and the alerts of the chart for a release `pullcred` in the
/// namespace `pullcred`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Monitoring {
    pub(crate) programs: PathBuf,
    pub(crate) rules: String,
    /// Those of a release that tries logins and looks for Pods.
    pub(crate) rules_with_health: String,
}

/// A running Prometheus. Dropping it ends it.
pub(crate) struct Prometheus {
    _process: Process,
    address: SocketAddr,
}

/// What a Prometheus scrapes.
pub(crate) struct Targets<'a> {
    /// Admin ports in plain HTTP, with the labels `namespace` and `pod` of their series.
    pub(crate) pods: &'a [(SocketAddr, &'a str, &'a str)],
    /// The kubeconfig of a user who may read the API server's metrics.
    pub(crate) api_server: &'a Path,
}

/// An alert that is pending or firing.
#[derive(Debug)]
pub(crate) struct Alert(Value);

// === impl Monitoring ===

impl Monitoring {
    /// The chart's `rules` about the series of `namespace` and of the webhook `entry`, with a second in
    /// place of each `for`, and [`WINDOW`] in place of ten minutes.
    pub(crate) fn hurried(rules: &str, namespace: &str, entry: &str) -> String {
        let window = WINDOW.as_secs();
        let mut hurried = String::new();
        for line in rules.lines() {
            let indent = line.len() - line.trim_start().len();
            let line = if line.trim_start().starts_with("for: ") { "for: 1s" } else { line.trim() };
            let line = line
                .replace("[10m]", &format!("[{window}s]"))
                .replace("offset 10m", &format!("offset {window}s"))
                .replace("time() - 600)", &format!("time() - {window})"))
                .replace("inject.pullcred.dev", entry)
                .replace("namespace=\"pullcred\"", &format!("namespace=\"{namespace}\""));
            let _ = writeln!(hurried, "{:indent$}{line}", "");
        }
        hurried
    }

    /// Starts a Prometheus with these rules, with its files in `folder`, and waits until it is ready.
    pub(crate) async fn start(
        &self,
        folder: &Path,
        rules: &str,
        targets: &Targets<'_>,
    ) -> Result<Prometheus> {
        fs::create_dir(folder)?;
        fs::write(folder.join("rules.yaml"), rules)?;
        fs::write(folder.join("prometheus.yaml"), configuration(folder, targets)?)?;
        let address = SocketAddr::from(([127, 0, 0, 1], next_port()));
        let mut command = Command::new(self.programs.join("prometheus"));
        command
            .arg(format!("--config.file={}", folder.join("prometheus.yaml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"));
        let mut process = Process::start("prometheus", &mut command, folder)?;
        process.ready(READY, async || get(address, "/-/ready").await.map(drop)).await?;
        Ok(Prometheus { _process: process, address })
    }

    /// What `promtool check metrics` has to say against the metrics of a process: nothing.
    pub(crate) async fn check_metrics(&self, admin: SocketAddr) -> Result<()> {
        let metrics = get(admin, "/metrics").await?;
        let mut command = Command::new(self.programs.join("promtool"));
        command.args(["check", "metrics"]);
        let said = Said::by(command, &metrics).await?;
        ensure!(said.code == 0, "promtool check metrics: {}\n{metrics}", said.stderr);
        Ok(())
    }
}

/// The configuration file, and beside it the API server's authority and the user's certificate.
fn configuration(folder: &Path, targets: &Targets<'_>) -> Result<String> {
    let kubeconfig: Value = serde_json::from_str(&fs::read_to_string(targets.api_server)?)?;
    let (cluster, user) = (&kubeconfig["clusters"][0]["cluster"], &kubeconfig["users"][0]["user"]);
    for (file, value) in [
        ("api-server.ca", &cluster["certificate-authority-data"]),
        ("api-server.crt", &user["client-certificate-data"]),
        ("api-server.key", &user["client-key-data"]),
    ] {
        fs::write(folder.join(file), BASE64_STANDARD.decode(value.as_str().context(file)?)?)?;
    }
    let api_server = cluster["server"].as_str().and_then(|url| url.strip_prefix("https://"));
    let api_server = api_server.context("no https:// in the kubeconfig")?;
    let mut text = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\n\
         rule_files: [rules.yaml]\n\
         scrape_configs:\n\
         - job_name: apiserver\n  \
           scheme: https\n  \
           tls_config: {{ca_file: api-server.ca, cert_file: api-server.crt, key_file: api-server.key}}\n  \
           static_configs: [{{targets: ['{api_server}']}}]\n\
         - job_name: pullcred\n  \
           static_configs:\n"
    );
    for (address, namespace, pod) in targets.pods {
        writeln!(
            text,
            "  - {{targets: ['{address}'], labels: {{namespace: {namespace}, pod: {pod}}}}}"
        )?;
    }
    Ok(text)
}

// === impl Prometheus ===

impl Prometheus {
    /// Waits until every target has been scraped for [`WINDOW`].
    pub(crate) async fn until_scraped(&self, targets: usize) -> Result<()> {
        let path = format!("/api/v1/query?query=up+offset+{}s", WINDOW.as_secs());
        until("scrape of each target", async || {
            let results = self.read(&path, "result").await?;
            let up = results.iter().filter(|result| result["value"][1] == "1").count();
            Ok(up == targets)
        })
        .await
    }

    /// The names of all alerts that have been pending or firing in three quarters of [`WINDOW`].
    pub(crate) async fn lately(&self) -> Result<Vec<String>> {
        let seconds = WINDOW.as_secs() * 3 / 4;
        let query = format!("count+by+(alertname)(count_over_time(ALERTS%5B{seconds}s%5D))");
        let results = self.read(&format!("/api/v1/query?query={query}"), "result").await?;
        let name = |result: &Value| result["metric"]["alertname"].as_str().map(str::to_owned);
        Ok(results.iter().filter_map(name).collect())
    }

    /// Waits until an alert fires.
    pub(crate) async fn until_firing(&self, alert: &str) -> Result<Alert> {
        let mut found = None;
        until(&format!("alert {alert}"), async || {
            found = self.alert(alert).await?.filter(|alert| alert.0["state"] == "firing");
            Ok(found.is_some())
        })
        .await?;
        found.context("it fires")
    }

    /// Waits until an alert neither fires nor is pending.
    pub(crate) async fn until_silent(&self, alert: &str) -> Result<()> {
        until(&format!("end of alert {alert}"), async || Ok(self.alert(alert).await?.is_none()))
            .await
    }

    async fn alert(&self, name: &str) -> Result<Option<Alert>> {
        let alerts = self.read("/api/v1/alerts", "alerts").await?;
        let mut alerts = alerts.into_iter().filter(|alert| alert["labels"]["alertname"] == name);
        Ok(alerts.next().map(Alert))
    }

    /// A list in the data of an answer.
    async fn read(&self, path: &str, list: &str) -> Result<Vec<Value>> {
        let mut answer: Value = serde_json::from_str(&get(self.address, path).await?)?;
        ensure!(answer["status"] == "success", "{path}: {answer}");
        match answer["data"][list].take() {
            Value::Array(items) => Ok(items),
            other => anyhow::bail!("{path}: {list} is {other}"),
        }
    }
}

// === impl Alert ===

impl Alert {
    /// The value of a label; empty if the series does not have it.
    pub(crate) fn label(&self, name: &str) -> &str {
        self.0["labels"][name].as_str().unwrap_or_default()
    }

    /// The sentence for people, with its values in place.
    pub(crate) fn description(&self) -> &str {
        self.0["annotations"]["description"].as_str().unwrap_or_default()
    }
}
