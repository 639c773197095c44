//! The log of a webhook: what is in it, and that it delays no request.

use std::{
    env,
    os::unix::process::ExitStatusExt,
    panic,
    process::{self, Command, Stdio},
    thread,
    time::Duration,
};

use hyper::StatusCode;
use pullcred::{supervise::Supervisor, telemetry};
use serde_json::{Value, json};

use super::{
    ALIYUN, Folder, injected,
    support::{
        client::{Connection, page},
        process::{Webhook, output},
        review,
    },
};

#[tokio::test]
async fn a_blocked_log_stops_no_request() {
    let folder = Folder::new(ALIYUN);
    let mut child = folder.command().stderr(Stdio::piped()).spawn().unwrap();
    // The first lines tell the port; then the pipe is not read any more.
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let address = loop {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut stderr, &mut line).unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        if line["message"] == "serving" {
            break (line["address"].clone(), line["admin_address"].clone());
        }
    };
    let parse = |value: &Value| value.as_str().unwrap().parse().unwrap();
    let (address, admin) = (parse(&address.0), parse(&address.1));
    let mut connection = Connection::tls(address).await;
    // Far more lines than the pipe (64 KiB) and the log (2 MiB) hold.
    for _ in 0..12_000 {
        assert_eq!(injected(&mut connection).await, ["aliyun"]);
    }
    let (_, metrics) = page(admin, "/metrics").await;
    let dropped =
        metrics.lines().find_map(|line| line.strip_prefix("pullcred_log_lines_dropped_total "));
    assert!(dropped.unwrap().parse::<u64>().unwrap() > 0, "{metrics}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn every_line_is_written_before_a_normal_end() {
    let folder = Folder::new(ALIYUN);
    let mut webhook = folder.start();
    let mut connection = Connection::tls(webhook.address).await;
    for _ in 0..300 {
        assert_eq!(injected(&mut connection).await, ["aliyun"]);
    }
    webhook.signal("INT");
    let log = webhook.rest_of_log();
    let about = |message: &str| log.iter().filter(|line| line["message"] == message).count();
    assert_eq!((about("pull secrets added"), about("shutdown complete")), (300, 1));
    assert_eq!(webhook.wait().code(), Some(0));
}

/// The process is this test again, which aborts right after the panic.
#[test]
fn the_line_of_a_panic_is_written_before_the_process_ends() {
    const CHILD: &str = "PULLCRED_TEST_PANICS";
    const NAME: &str = "log::the_line_of_a_panic_is_written_before_the_process_ends";
    if env::var_os(CHILD).is_some() {
        let running = Supervisor::default().guard("log");
        let _log = telemetry::init("info", telemetry::LogFormat::Json, running).unwrap();
        // The first line is written at once, and the panic's would wait for others.
        tracing::info!("before");
        thread::sleep(Duration::from_millis(5));
        let _ = panic::catch_unwind(|| panic!("canary-7f3a"));
        process::abort();
    }
    let mut child = Command::new(env::current_exe().unwrap());
    let output = output(child.args(["--exact", NAME, "--nocapture"]).env(CHILD, "1"));
    assert_eq!(output.status.signal(), Some(6));
    let log = String::from_utf8(output.stderr).unwrap();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let messages: Vec<Value> = lines.map(|line| line["message"].clone()).collect();
    assert_eq!(messages, ["before", "panic: this is a bug"], "{log}");
    assert!(!log.contains("canary-7f3a"), "{log}");
}

#[tokio::test]
async fn nothing_of_a_body_is_logged_at_any_level() {
    let folder = Folder::new(ALIYUN);
    let webhook = Webhook::start(folder.command().args(["--log", "trace"]));
    let canary = "canary-7f3a";
    let pod = json!({
        "metadata": { "name": "web", "annotations": { "note": canary } },
        "spec": { "containers": [{
            "name": "app", "image": "registry.cn-shanghai.aliyuncs.com/a",
            "env": [{ "name": "PASSWORD", "value": canary }], "args": [canary],
        }] },
    });
    let mut connection = Connection::tls(webhook.address).await;
    let review = review::create("shop", &pod, &Value::Null).to_string();
    assert_eq!(connection.review(review.clone()).await.unwrap().status, StatusCode::OK);
    let broken = review.replace("\"containers\":[", "\"containers\":[\"canary-7f3a\",");
    assert_eq!(connection.review(broken).await.unwrap().status, StatusCode::OK);
    let cut = review[..review.len() - 1].to_owned();
    assert_eq!(connection.review(cut).await.unwrap().status, StatusCode::BAD_REQUEST);
    webhook.signal("INT");
    let log = webhook.rest_of_log();
    assert!(log.len() > 5, "trace is chatty: {log:?}");
    for line in log {
        assert!(!line.to_string().contains(canary), "{line}");
    }
}
