//! The webhook under load by a client with kube-apiserver's transport, which is Go's: nothing may fail while replicas, certificates and mappings
//! are replaced, clients are slow, or connections were idle. These are short versions; `tests/load` takes flags for longer ones.

#![cfg(test)]

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;
use tempfile::TempDir;

/// The client, built once.
static CLIENT: LazyLock<PathBuf> = LazyLock::new(|| {
    let client = Path::new(env!("CARGO_TARGET_TMPDIR")).join("load");
    let build = Command::new("go")
        .args(["build", "-buildvcs=false", "-o"])
        .arg(&client)
        .arg(".")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/load"))
        .status()
        .expect("the load tests need Go 1.26 or newer (https://go.dev/dl): `go` on the PATH");
    assert!(build.success(), "the client does not build");
    client
});

/// A folder with a mapping, a review, an authority, and two certificates of it, one of which is linked as the kubelet does.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("mapping.yaml"), "always: [pull]\n").unwrap();
    fs::copy("examples/admission-review.json", path.join("review.json")).unwrap();

    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    fs::write(path.join("ca.crt"), authority.self_signed(&authority_key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    for version in ["data-0", "data-1"] {
        let leaf = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = leaf.signed_by(&key, &issuer).unwrap();
        fs::create_dir(path.join(version)).unwrap();
        fs::write(path.join(version).join("tls.crt"), certificate.pem()).unwrap();
        fs::write(path.join(version).join("tls.key"), key.serialize_pem()).unwrap();
    }
    symlink("data-0", path.join("..data")).unwrap();
    for name in ["tls.crt", "tls.key"] {
        symlink(Path::new("..data").join(name), path.join(name)).unwrap();
    }
    folder
}

/// Runs a scenario and returns its summary. No call may have failed.
fn load(scenario: &str, flags: &[&str]) -> Value {
    let folder = folder();
    let output = Command::new(&*CLIENT)
        .args([scenario, "--binary", env!("CARGO_BIN_EXE_pullcred"), "--folder"])
        .arg(folder.path())
        .args(flags)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    println!("{scenario}: {summary}");
    assert_eq!(summary["failed"], 0, "{summary}");
    assert!(number(&summary, "ok") >= 100, "hardly anything was called: {summary}");
    summary
}

fn number(summary: &Value, name: &str) -> i64 {
    summary[name].as_i64().unwrap_or_else(|| panic!("no number {name} in {summary}"))
}

/// The most that the webhook may ever hold, in MiB: what docs/operations.md says.
const MEMORY_MIB: i64 = 128;

/// Twelve clients at once send every known kind of body that takes more memory than its size, with answers and log unread.
/// `PULLCRED_HOSTILE_SECONDS=600` makes it ten minutes.
#[test]
fn hostile_clients_stay_within_the_memory_and_fail_no_call_of_others() {
    let seconds = env::var("PULLCRED_HOSTILE_SECONDS").unwrap_or_else(|_| "30".to_owned());
    let memory = MEMORY_MIB.to_string();
    let flags = ["--slow", "12", "--callers", "4", "--memory", &memory];
    let summary = load("hostile", &[&flags[..], &["--for", &format!("{seconds}s")]].concat());
    assert_eq!(summary["alive"], true, "{summary}");
    assert!(number(&summary, "rss_kib_peak") < MEMORY_MIB * 1024, "{summary}");
    assert_eq!(number(&summary, "panics"), 0, "{summary}");
    // They were there, were answered, and there was no reader of the log.
    assert!(number(&summary["statuses"], "200") >= 1, "{summary}");
    assert!(number(&summary, "attacks") >= 30, "{summary}");
    assert!(number(&summary, "log_lines_dropped") >= 1, "{summary}");
}

#[test]
fn rolling_restarts_fail_no_call() {
    let summary = load("rollouts", &["--rounds", "3"]);
    assert_eq!(number(&summary, "rollouts"), 3);
    assert_eq!(number(&summary, "stuck"), 0, "every replica leaves by itself: {summary}");
}

#[test]
fn slow_clients_fail_no_call_of_others() {
    let summary = load("slow", &["--slow", "300", "--for", "6s"]);
    // They were there, beside the callers.
    assert!(number(&summary, "connections_most") >= 250, "{summary}");
    // A debug build, and far more than 300 connections need.
    assert!(number(&summary, "rss_kib_most") < 128 * 1024, "{summary}");
}

#[test]
fn new_certificates_and_mappings_fail_no_call() {
    let summary = load("swaps", &["--rounds", "10", "--for", "6s"]);
    // The first of each, and ten others.
    assert_eq!(number(&summary, "certificate_loads"), 11, "{summary}");
    assert_eq!(number(&summary, "mapping_loads"), 11, "{summary}");
    assert_eq!(number(&summary, "leaves"), 2, "both pairs were served: {summary}");
    assert_eq!(number(&summary, "bad_loads"), 0, "{summary}");
}

#[test]
fn connections_that_were_idle_fail_no_call() {
    load("idle", &["--callers", "60", "--pauses", "1,2"]);
}

#[test]
fn a_killed_replica_fails_only_its_own_calls() {
    let summary = load("kill", &["--rounds", "3", "--for", "3s"]);
    // Were none lost, the client would not notice a failure.
    assert!(number(&summary, "lost_with_the_killed") >= 1, "{summary}");
    assert!(number(&summary, "ok_of_the_killed") >= 100, "{summary}");
}
