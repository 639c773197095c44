//! The webhook as a process: start, start errors, reloads, and shutdown.

#![cfg(test)]

#[path = "lifecycle/log.rs"]
mod log;
mod support;

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use hyper::{StatusCode, header};
use prometheus_client::metrics::counter::Counter;
use pullcred::{
    http::connections::ConnectionLimits,
    shutdown::Signals,
    supervise::Supervisor,
    webhook::{Options, sources::CertificateSource},
};
use serde_json::{Value, json};
use support::{
    client::{Connection, page},
    files::swap,
    process::{Webhook, command, output},
    review,
};
use tempfile::TempDir;

const ALIYUN: &str = "rules: [{registries: [registry.cn-shanghai.aliyuncs.com], secret: aliyun}]\n";

struct Folder {
    folder: TempDir,
    config: PathBuf,
}

impl Folder {
    fn new(mapping: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        swap(folder.path(), &[("pullcred.yaml", mapping)]);
        let config = folder.path().join("pullcred.yaml");
        Self { folder, config }
    }

    fn command(&self) -> Command {
        let mut command = command(&self.config);
        command.args(["--tls-self-signed", "--reload-interval", "20ms"]);
        command
    }

    fn start(&self) -> Webhook {
        Webhook::start(&mut self.command())
    }

    fn write(&self, mapping: &str) {
        swap(self.folder.path(), &[("pullcred.yaml", mapping)]);
    }
}

fn private_pod() -> String {
    let image = "registry.cn-shanghai.aliyuncs.com/huangyisan/nginx";
    let pod = json!({ "metadata": { "name": "web" }, "spec": { "containers": [{ "name": "app", "image": image }] } });
    review::create("shop", &pod, &json!({ "uid": "42" })).to_string()
}

/// The names that the webhook at the other end adds to the private Pod.
async fn injected(connection: &mut Connection) -> Vec<String> {
    let answer = connection.review(private_pod()).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    let patch = review::patch_of(&answer, "42").unwrap_or_default();
    let list = patch[0]["value"].as_array().cloned().unwrap_or_default();
    list.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < deadline, "{what}: not within 20 s");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn serves_probes_and_admission_and_logs_what_it_changed() {
    let folder = Folder::new(ALIYUN);
    let mut webhook = folder.start();
    assert_eq!(page(webhook.admin, "/livez").await, (StatusCode::OK, "ok".to_owned()));
    assert_eq!(page(webhook.admin, "/readyz").await, (StatusCode::OK, "ok".to_owned()));
    let (_, report) = page(webhook.admin, "/readyz?verbose").await;
    assert!(report.contains("[+]mapping ok: 1 rules from"), "{report}");
    assert_eq!(page(webhook.admin, "/debug/pprof").await.0, StatusCode::NOT_FOUND);
    assert_eq!(injected(&mut Connection::tls(webhook.address).await).await, ["aliyun"]);
    let line = webhook.wait_for_log("pull secrets added");
    assert_eq!(
        (&line["uid"], &line["namespace"], &line["pod"], &line["secrets"]),
        (&json!("42"), &json!("shop"), &json!("web"), &json!("aliyun")),
    );
    assert!(line["duration_us"].is_u64(), "{line}");
    let (_, metrics) = page(webhook.admin, "/metrics").await;
    assert!(metrics.contains(r#"requests_total{result="injected",reason=""} 1"#), "{metrics}");
    webhook.signal("INT");
    assert_eq!(webhook.wait().code(), Some(0));
}

/// No cluster at all, and one whose API server does not answer.
#[tokio::test]
async fn reports_that_cannot_be_read_change_nothing() {
    let folder = Folder::new(ALIYUN);
    let cluster = folder.folder.path().join("kubeconfig");
    let unreachable = "{kind: Config, apiVersion: v1, current-context: a, users: [{name: a, user: {}}], \
                       contexts: [{name: a, context: {cluster: a, user: a}}], \
                       clusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}]}";
    for (kubeconfig, said) in [
        ("", "reports cannot be read: Secrets are taken for present"),
        (unreachable, "a watch failed and restarts"),
    ] {
        fs::write(&cluster, kubeconfig).unwrap();
        let mut command = folder.command();
        command.args(["--own-namespace", "pullcred", "--log", "warn,pullcred=info"]);
        command.env("PULLCRED_REPORTS", "true").env("KUBECONFIG", &cluster);
        command.env_remove("KUBERNETES_SERVICE_HOST");
        let mut webhook = Webhook::start(&mut command);
        webhook.wait_for_log(said);
        assert_eq!(page(webhook.admin, "/readyz").await.0, StatusCode::OK);
        assert_eq!(injected(&mut Connection::tls(webhook.address).await).await, ["aliyun"]);
        let (_, metrics) = page(webhook.admin, "/metrics").await;
        assert!(metrics.contains("pullcred_reports_fresh 0\n"), "{metrics}");
        webhook.signal("INT");
        assert_eq!(webhook.wait().code(), Some(0));
    }
}

#[tokio::test]
async fn leaves_as_a_lame_duck() {
    let folder = Folder::new(ALIYUN);
    let mut webhook = folder.start();
    let mut pooled = Connection::tls(webhook.address).await;
    assert_eq!(injected(&mut pooled).await, ["aliyun"]);
    let mut admin = Connection::plain(webhook.admin).await;
    assert_eq!(admin.get("/readyz").await.status, StatusCode::OK);

    webhook.signal("TERM");
    eventually("not ready", async || admin_is_unready(&webhook).await).await;
    // Clients are still served, on an old connection and on a new one, and asked to connect elsewhere.
    for connection in [&mut pooled, &mut Connection::tls(webhook.address).await] {
        let answer = connection.review(private_pod()).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.headers[header::CONNECTION], "close");
    }
    drop(pooled);
    assert_eq!(webhook.wait().code(), Some(0));
}

async fn admin_is_unready(webhook: &Webhook) -> bool {
    let (status, report) = page(webhook.admin, "/readyz").await;
    status == StatusCode::SERVICE_UNAVAILABLE && report.contains("[-]serving failed: shutting down")
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let folder = Folder::new(ALIYUN);
    let mut webhook = folder.start();
    let _held = Connection::tls(webhook.address).await;
    webhook.signal("TERM");
    webhook.wait_for_log("draining: waiting for clients to connect elsewhere");
    webhook.signal("TERM");
    assert_eq!(webhook.wait().code(), Some(0));
    let last = webhook.rest_of_log();
    assert!(
        last.iter().any(|line| line["message"] == "second signal: shutting down now"),
        "{last:?}"
    );
}

#[tokio::test]
async fn a_changed_mapping_is_in_force_without_a_restart_and_a_bad_one_never_is() {
    let folder = Folder::new(ALIYUN);
    let webhook = folder.start();
    let mut connection = Connection::tls(webhook.address).await;
    assert_eq!(injected(&mut connection).await, ["aliyun"]);

    folder.write(&ALIYUN.replace("secret: aliyun", "secret: second"));
    eventually("reload", async || injected(&mut connection).await == ["second"]).await;

    folder.write("rules: [{registries: [https://quay.io], secret: third}]\n");
    let line =
        webhook.wait_for_log("the new mapping is not usable: the last good one stays in force");
    assert_eq!(line["level"], "ERROR");
    assert!(line["error"].as_str().unwrap().contains("https://"), "{line}");
    assert_eq!(injected(&mut connection).await, ["second"]);
    assert_eq!(config_reload_successful(&webhook).await, "0");
    let (status, report) = page(webhook.admin, "/readyz?verbose").await;
    assert_eq!(status, StatusCode::OK, "what is in force is good enough to be ready with");
    assert!(report.contains("not in force"), "{report}");

    folder.write(ALIYUN);
    eventually("recovery", async || injected(&mut connection).await == ["aliyun"]).await;
    assert_eq!(config_reload_successful(&webhook).await, "1");
    fs::remove_file(&folder.config).unwrap();
    webhook.wait_for_log("the new mapping is not usable: the last good one stays in force");
    assert_eq!(injected(&mut connection).await, ["aliyun"]);
    let (_, metrics) = page(webhook.admin, "/metrics").await;
    assert!(
        metrics.contains(r#"config_reloads_total{result="failure"} 2"#),
        "once a state: {metrics}"
    );
    assert!(metrics.contains(r#"config_reloads_total{result="success"} 3"#), "{metrics}");
}

async fn config_reload_successful(webhook: &Webhook) -> String {
    let (_, metrics) = page(webhook.admin, "/metrics").await;
    let name = "pullcred_config_last_reload_successful ";
    metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned()
}

/// `increase` over a series that begins with its first event is 0: the first event would raise no alert.
#[tokio::test]
async fn every_series_is_there_before_its_first_event() {
    let folder = Folder::new(ALIYUN);
    let webhook = folder.start();
    let samples = async || {
        let (_, metrics) = page(webhook.admin, "/metrics").await;
        let name = |line: &str| line.rsplit_once(' ').map(|(name, _)| name.to_owned());
        let lines = metrics.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(name).collect::<std::collections::BTreeSet<_>>()
    };
    let before = samples().await;
    let mut connection = Connection::tls(webhook.address).await;
    assert_eq!(injected(&mut connection).await, ["aliyun"]);
    assert_eq!(connection.review("nonsense").await.unwrap().status, StatusCode::BAD_REQUEST);
    let plain = std::net::TcpStream::connect(webhook.address).unwrap();
    std::io::Write::write_all(&mut &plain, b"GET / HTTP/1.1\r\n\r\n").unwrap();
    folder.write("rules: [{registries: [https://quay.io], secret: third}]\n");
    webhook.wait_for_log("the new mapping is not usable: the last good one stays in force");
    eventually("all is counted", async || {
        let (_, metrics) = page(webhook.admin, "/metrics").await;
        metrics.contains(r#"config_reloads_total{result="failure"} 1"#)
            && metrics.contains(r#"handshake_failures_total{reason="protocol"} 1"#)
            && metrics.contains(r#"{result="refused",reason="not-a-review"} 1"#)
    })
    .await;
    assert_eq!(samples().await, before);
}

#[test]
fn what_cannot_start_says_why_in_one_line_and_exits_with_2() {
    let folder = Folder::new(ALIYUN);
    let path = folder.folder.path();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let file = |name: &str| path.join(name).to_string_lossy().into_owned();

    let good = folder.config.to_string_lossy().into_owned();
    for (about, args, expected) in [
        ("no certificate", vec!["--config", &good], "--tls-self-signed"),
        ("no mapping", vec!["--tls-self-signed"], "--config"),
        ("a missing file", vec!["--tls-self-signed", "--config", &file("none")], "none"),
        (
            "reports of no namespace",
            vec!["--tls-self-signed", "--config", &good, "--reports"],
            "--own-namespace",
        ),
        ("a taken port", vec!["--tls-self-signed", "--config", &good, "--listen", &taken], &taken),
        ("a key alone", vec!["--config", &good, "--tls-key", "tls.key"], "--tls-cert"),
        (
            "a bad filter",
            vec!["--tls-self-signed", "--config", &good, "--log", "loud=1=2"],
            "--log",
        ),
    ] {
        let output = run(&args);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{about}: {error}");
        assert!(error.contains(expected), "{about}: {error}");
        assert!(output.stdout.is_empty(), "{about}");
    }
}

#[test]
fn a_failure_to_start_is_a_line_of_the_log_or_of_plain_text_where_there_is_no_log() {
    let started = |log| run(&["--tls-self-signed", "--config", "/nowhere.yaml", "--log", log]);
    let Output { status, stderr, .. } = started("info");
    let line: Value = serde_json::from_slice(&stderr).unwrap();
    assert_eq!((status.code(), &line["level"]), (Some(2), &json!("ERROR")));
    assert!(line["error"].as_str().unwrap().starts_with("cannot read /nowhere.yaml: "), "{line}");
    let Output { status, stderr, .. } = started("off");
    assert_eq!(status.code(), Some(2));
    assert!(stderr.starts_with(b"pullcred: cannot read /nowhere.yaml: "));
}

#[tokio::test]
async fn a_background_task_that_ends_ends_the_process() {
    let folder = Folder::new(ALIYUN);
    let free = "127.0.0.1:0".parse().unwrap();
    let options = Options {
        config: folder.config.clone(),
        listen: free,
        admin_listen: free,
        certificate: CertificateSource::SelfSigned,
        own_namespace: None,
        reports: false,
        connections: ConnectionLimits::default(),
        max_in_flight: 1,
        reload_interval: Duration::from_secs(1),
    };
    let webhook = pullcred::webhook::Webhook::bind(options, Counter::default()).unwrap();
    let supervisor = Supervisor::default();
    let guard = supervisor.guard("canary");
    let serving = tokio::spawn(webhook.serve(Signals::catch().unwrap(), supervisor));
    let thread = std::thread::spawn(move || {
        let _guard = guard;
        panic!("as the test wants it");
    });
    assert!(thread.join().is_err());
    let result = tokio::time::timeout(Duration::from_secs(60), serving).await.unwrap().unwrap();
    assert!(result.unwrap_err().to_string().contains("canary"));
}

/// A Pod that starts with a bad mapping does not crash again and again: it waits, and says why.
#[tokio::test]
async fn with_a_broken_mapping_it_is_not_ready_until_there_is_a_good_one() {
    let folder = Folder::new("rules: [{registries: [ghcr.io], secert: x}]\n");
    let mut webhook = folder.start();
    assert_eq!(page(webhook.admin, "/livez").await.0, StatusCode::OK);
    let (status, report) = page(webhook.admin, "/readyz?verbose").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(report.contains("[-]mapping failed: ") && report.contains("secert"), "{report}");
    let (_, metrics) = page(webhook.admin, "/metrics").await;
    assert!(metrics.contains("pullcred_config_reloads_total{result=\"failure\"} 1"), "{metrics}");
    // Who reaches it all the same is refused, so that `failurePolicy` decides.
    let mut connection = Connection::tls(webhook.address).await;
    let answer = connection.review(private_pod()).await.unwrap();
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);

    folder.write("rules: [{registries: [ghcr.io], scret: x}]\n");
    eventually("the newer mistake", async || {
        page(webhook.admin, "/readyz?verbose").await.1.contains("scret")
    })
    .await;
    folder.write(ALIYUN);
    eventually("ready", async || page(webhook.admin, "/readyz").await.0 == StatusCode::OK).await;
    assert_eq!(injected(&mut connection).await, ["aliyun"]);
    webhook.signal("INT");
    assert_eq!(webhook.wait().code(), Some(0));
}

fn run(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pullcred"));
    command.env("PULLCRED_LISTEN", "127.0.0.1:0").env("PULLCRED_ADMIN_LISTEN", "127.0.0.1:0");
    output(command.arg("webhook").args(args))
}

#[tokio::test]
async fn out_of_file_descriptors_it_waits_and_comes_back() {
    let folder = Folder::new(ALIYUN);
    let inner = folder.command();
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 48; exec \"$0\" \"$@\""]).arg(inner.get_program());
    limited.args(inner.get_args()).stderr(Stdio::piped()).stdin(Stdio::null());
    let webhook = Webhook::start(&mut limited);
    let mut first = Connection::tls(webhook.address).await;
    assert_eq!(injected(&mut first).await, ["aliyun"]);
    let crowd: Vec<_> =
        (0..64).map(|_| std::net::TcpStream::connect(webhook.address).unwrap()).collect();
    webhook.wait_for_log("cannot accept connections");
    assert_eq!(injected(&mut first).await, ["aliyun"], "who is connected is served");
    drop(crowd);
    let mut second = Connection::tls(webhook.address).await;
    assert_eq!(injected(&mut second).await, ["aliyun"]);
    let (_, metrics) = page(webhook.admin, "/metrics").await;
    assert!(!metrics.contains("accept_failures_total 0"), "{metrics}");
}

#[tokio::test]
async fn a_low_limit_on_open_files_is_raised_as_far_as_allowed() {
    let folder = Folder::new(ALIYUN);
    let inner = folder.command();
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -S -n 32; exec \"$0\" \"$@\""]).arg(inner.get_program());
    limited.args(inner.get_args()).stderr(Stdio::piped()).stdin(Stdio::null());
    let webhook = Webhook::start(&mut limited);
    let crowd: Vec<_> =
        (0..64).map(|_| std::net::TcpStream::connect(webhook.address).unwrap()).collect();
    assert_eq!(injected(&mut Connection::tls(webhook.address).await).await, ["aliyun"]);
    let (_, metrics) = page(webhook.admin, "/metrics").await;
    assert!(metrics.contains("accept_failures_total 0"), "{metrics}");
    drop(crowd);
}
