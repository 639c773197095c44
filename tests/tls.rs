//! The serving certificate and the TLS around it: what is spoken, and how a certificate is replaced under connections.

#![cfg(test)]

mod support;

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Output},
    sync::Arc,
    time::{Duration, Instant},
};

use hyper::StatusCode;
use rustls::{ClientConfig, ProtocolVersion, crypto::ring, pki_types::ServerName, version};
use serde_json::{Value, json};
use support::{
    certificates::{Pair, mount, pair, valid_pair},
    client::{Connection, any_certificate, page, tls},
    files::swap,
    process::{Webhook, command, output},
    review,
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const NOT_USABLE: &str = "the new certificate is not usable: the last good one stays in use";

struct Folder {
    folder: TempDir,
    config: PathBuf,
}

impl Folder {
    fn new(pair: &Pair) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("mapping.yaml");
        std::fs::write(&config, "always: [pull]\n").unwrap();
        mount(folder.path(), pair);
        Self { folder, config }
    }

    fn command(&self) -> Command {
        let mut command = command(&self.config);
        let file = |name| self.folder.path().join(name);
        command.arg("--tls-cert").arg(file("tls.crt")).arg("--tls-key").arg(file("tls.key"));
        command.args(["--reload-interval", "20ms"]);
        command
    }

    fn start(&self) -> Webhook {
        Webhook::start(&mut self.command())
    }

    fn mount(&self, pair: &Pair) {
        mount(self.folder.path(), pair);
    }

    fn write(&self, chain: &str, key: &str) {
        swap(self.folder.path(), &[("tls.crt", chain), ("tls.key", key)]);
    }
}

/// The leaf that a new connection is shown.
async fn served(address: SocketAddr) -> Vec<u8> {
    let stream = tls(address, any_certificate()).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

async fn eventually_serves(address: SocketAddr, leaf: &[u8]) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while served(address).await != leaf {
        assert!(Instant::now() < deadline, "the new certificate is not served within 20 s");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn a_review() -> String {
    let pod = json!({ "spec": { "containers": [{ "name": "app", "image": "nginx" }] } });
    review::create("shop", &pod, &Value::Null).to_string()
}

#[tokio::test]
async fn a_new_pair_is_served_and_open_connections_go_on() {
    let (first, second) = (valid_pair(), valid_pair());
    let folder = Folder::new(&first);
    let webhook = folder.start();
    assert_eq!(served(webhook.address).await, first.leaf);
    let mut open = Connection::tls(webhook.address).await;
    assert_eq!(open.review(a_review()).await.unwrap().status, StatusCode::OK);

    folder.mount(&second);
    eventually_serves(webhook.address, &second.leaf).await;
    assert_eq!(open.review(a_review()).await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_no_good_pair_is_never_served_and_told_once() {
    let good = valid_pair();
    let folder = Folder::new(&good);
    let webhook = folder.start();
    let other = valid_pair();
    let half = &other.chain[..other.chain.len() / 2];
    let (expired, future) = (pair(-7200, -3600), pair(3600, 7200));
    let cases: [(&str, &str, &str, &str); 7] = [
        ("another's key", &other.chain, &good.key, "do not match"),
        ("an empty certificate", "", &other.key, "no certificate in PEM"),
        ("an empty key", &other.chain, "", "no private key in PEM"),
        ("half a certificate", half, &other.key, "PEM"),
        ("no PEM", "certificate", "key", "PEM"),
        ("an expired one", &expired.chain, &expired.key, "expired on"),
        ("one that is not valid yet", &future.chain, &future.key, "valid only from"),
    ];
    for (about, chain, key, expected) in cases {
        folder.write(chain, key);
        let line = webhook.wait_for_log(NOT_USABLE);
        let error = line["error"].as_str().unwrap();
        assert!(error.contains(expected), "{about}: {error}");
        assert!(!line.to_string().contains("PRIVATE"), "{about}: {line}");
        assert_eq!(served(webhook.address).await, good.leaf, "{about}");
    }
    let (status, report) = page(webhook.admin, "/readyz?verbose").await;
    assert_eq!(status, StatusCode::OK, "what is served is still good: {report}");
    assert!(report.contains("not in force"), "{report}");
    // Checked dozens of times by now, and reported once each.
    let (_, metrics) = page(webhook.admin, "/metrics").await;
    assert!(metrics.contains(r#"certificate_reloads_total{result="failure"} 7"#), "{metrics}");

    folder.mount(&other);
    eventually_serves(webhook.address, &other.leaf).await;
}

#[tokio::test]
async fn one_that_becomes_valid_later_is_then_served() {
    let folder = Folder::new(&valid_pair());
    let webhook = folder.start();
    let soon = pair(2, 3600);
    folder.mount(&soon);
    webhook.wait_for_log(NOT_USABLE);
    eventually_serves(webhook.address, &soon.leaf).await;
}

#[tokio::test]
async fn readiness_ends_with_the_served_certificate() {
    let folder = Folder::new(&pair(-3600, 2));
    let webhook = folder.start();
    assert_eq!(page(webhook.admin, "/readyz").await.0, StatusCode::OK);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let (status, report) = page(webhook.admin, "/readyz").await;
        if status == StatusCode::SERVICE_UNAVAILABLE {
            assert!(report.contains("[-]certificate failed"), "{report}");
            break;
        }
        assert!(Instant::now() < deadline, "still ready with an expired certificate");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Whatever is better than an expired one is taken.
    let next = valid_pair();
    folder.mount(&next);
    eventually_serves(webhook.address, &next.leaf).await;
    assert_eq!(page(webhook.admin, "/readyz").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_certificate_of_the_future_is_served_but_not_ready_until_it_is_valid() {
    let folder = Folder::new(&pair(4, 3600));
    let webhook = folder.start();
    let (status, report) = page(webhook.admin, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{report}");
    assert!(report.contains("[-]certificate failed: the certificate is valid only"), "{report}");
    let deadline = Instant::now() + Duration::from_secs(20);
    while page(webhook.admin, "/readyz").await.0 != StatusCode::OK {
        assert!(Instant::now() < deadline, "not ready with a certificate that has become valid");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The value of the one sample that begins with `name`.
fn value(metrics: &str, name: &str) -> i64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)).expect(name);
    line.trim().parse().unwrap()
}

#[tokio::test]
async fn a_gauge_says_whether_the_certificate_in_the_files_is_in_use() {
    let folder = Folder::new(&valid_pair());
    let webhook = folder.start();
    let successful = "pullcred_certificate_last_reload_successful ";
    let metrics = async || page(webhook.admin, "/metrics").await.1;
    assert_eq!(value(&metrics().await, successful), 1);
    folder.write("certificate", "key");
    webhook.wait_for_log(NOT_USABLE);
    assert_eq!(value(&metrics().await, successful), 0);
    let next = valid_pair();
    folder.mount(&next);
    eventually_serves(webhook.address, &next.leaf).await;
    assert_eq!(value(&metrics().await, successful), 1);
}

#[tokio::test]
async fn the_validity_is_a_metric() {
    let folder = Folder::new(&pair(-3600, 86_400));
    let webhook = folder.start();
    let (_, metrics) = page(webhook.admin, "/metrics").await;
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    let left = value(&metrics, "pullcred_certificate_expiry_timestamp_seconds ") - now;
    assert!((86_390..=86_400).contains(&left), "{left}");
    let since = now - value(&metrics, "pullcred_certificate_not_before_timestamp_seconds ");
    assert!((3600..=3610).contains(&since), "{since}");
}

#[test]
fn a_pair_that_is_no_good_from_the_start_is_refused() {
    let (one, other) = (valid_pair(), valid_pair());
    let cases: [(&str, &str, &str); 4] = [
        (&one.chain, &other.key, "do not match"),
        ("", &one.key, "no certificate in PEM"),
        (&one.chain, "", "no private key in PEM"),
        (&one.key, &one.chain, "no certificate in PEM"),
    ];
    for (chain, key, expected) in cases {
        let folder = Folder::new(&one);
        folder.write(chain, key);
        let Output { status, stderr, .. } = output(&mut folder.command());
        let error = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(2), "{error}");
        assert!(error.contains(expected) && error.contains("tls.crt"), "{error}");
        assert!(!error.contains("PRIVATE"), "{error}");
    }
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken_with_any_server_name_or_none() {
    let folder = Folder::new(&valid_pair());
    let webhook = folder.start();
    let localhost = ServerName::try_from("localhost").unwrap();
    let service = ServerName::try_from("pullcred.pullcred.svc").unwrap();
    let address = ServerName::from(webhook.address.ip());
    for (protocol, expected) in
        [(&version::TLS12, ProtocolVersion::TLSv1_2), (&version::TLS13, ProtocolVersion::TLSv1_3)]
    {
        for name in [&localhost, &service, &address] {
            let mut config =
                ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                    .with_protocol_versions(&[protocol])
                    .unwrap()
                    .with_root_certificates(rustls::RootCertStore::empty())
                    .with_no_client_auth();
            config.dangerous().set_certificate_verifier(support::client::no_verifier());
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            let stream = TcpStream::connect(webhook.address).await.unwrap();
            let connector = TlsConnector::from(Arc::new(config));
            let stream = connector.connect(name.clone(), stream).await.unwrap();
            let session = stream.get_ref().1;
            assert_eq!(session.protocol_version(), Some(expected));
            assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]), "HTTP/2 is not offered");
        }
    }
}

#[tokio::test]
async fn what_is_no_tls_is_counted_and_dropped() {
    let folder = Folder::new(&valid_pair());
    let webhook = folder.start();
    let mut stream = TcpStream::connect(webhook.address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // An alert, perhaps, and the end of the connection; with or without a reset.
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    // It is counted after the connection has ended.
    let counted = r#"handshake_failures_total{reason="protocol"} 1"#;
    let deadline = Instant::now() + Duration::from_secs(20);
    while !page(webhook.admin, "/metrics").await.1.contains(counted) {
        assert!(Instant::now() < deadline, "not counted within 20 s");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn tls_1_1_is_refused() {
    let folder = Folder::new(&valid_pair());
    let webhook = folder.start();
    let output = Command::new("openssl")
        .args(["s_client", "-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0", "-connect"])
        .arg(webhook.address.to_string())
        .stdin(std::process::Stdio::null())
        .output()
        .expect("openssl, from the package of that name");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("alert"), "{text}");
}
