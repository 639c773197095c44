//! `pullcred status`: what it shows of reports, and how.

#![cfg(test)]

#[path = "support/api_server.rs"]
mod api_server;
#[path = "support/cli.rs"]
mod cli;
#[path = "status/live.rs"]
mod live;
#[path = "status/page.rs"]
mod page;
#[path = "support/snapshot.rs"]
mod snapshot;

use std::time::{Duration, SystemTime};

use pullcred::commands::{
    Exit, Failure, FileOrLive, Streams,
    manifests::Source,
    status::{Around, Options, Output, run},
};
use serde_json::{Value, json};

const REPORTS: &str = include_str!("../examples/status/reports.yaml");

/// What names and messages of others may hold.
const EVIL: &str = "</td><script>alert(1)</script>'\"&amp;\u{1b}[31m\u{202e}; rm -rf ~ #\n";

/// What is asked for.
#[derive(Clone, Copy)]
struct Asked<'a> {
    namespace: Option<&'a str>,
    output: Output,
    width: usize,
    colour: bool,
}

const TEXT: Asked<'static> =
    Asked { namespace: None, output: Output::Text, width: 80, colour: false };
const JSON: Asked<'static> = Asked { output: Output::Json, ..TEXT };
const HTML: Asked<'static> = Asked { output: Output::Html, ..TEXT };

/// What is shown of these reports.
fn status(reports: &str, asked: Asked<'_>) -> Result<(Exit, String), Failure> {
    let options = Options {
        reports: FileOrLive::Manifests(Source::Stdin),
        cluster: pullcred::cluster::ClusterOptions::default(),
        namespace: asked.namespace.map(str::to_owned),
        installed_in: None,
        output: asked.output,
    };
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut streams = Streams {
        stdin: &mut reports.as_bytes(),
        stdout: &mut stdout,
        stderr: &mut stderr,
        colour: asked.colour,
    };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_785_000_000);
    let around = Around { now, width: asked.width, program: "kubectl pullcred" };
    let exit = run(&options, around, &mut streams)?;
    assert!(stderr.is_empty(), "{}", String::from_utf8_lossy(&stderr));
    Ok((exit, String::from_utf8(stdout).unwrap()))
}

/// The same, where something is found.
fn found(reports: &str, asked: Asked<'_>) -> String {
    let (exit, shown) = status(reports, asked).unwrap();
    assert_eq!(exit, Exit::Findings, "{shown}");
    shown
}

fn list(items: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

fn login(name: &str, status: &Value) -> Value {
    json!({"apiVersion": "pullcred.dev/v1alpha1", "kind": "LoginReport",
           "metadata": {"name": name}, "status": status})
}

fn namespace(name: &str, status: &Value) -> Value {
    json!({"apiVersion": "pullcred.dev/v1alpha1", "kind": "PullSecretReport",
           "metadata": {"name": "pullcred", "namespace": name}, "status": status})
}

fn ready_login() -> Value {
    json!({
        "kind": "secret", "namespaces": {"wanted": 9, "ready": 9},
        "conditions": [{"type": "Ready", "status": "True", "reason": "Copied", "message": "",
                        "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    })
}

/// A login and so many namespaces, one in `each` of which lacks a Secret and has a Pod without it.
fn cluster_of(namespaces: usize, each: usize) -> String {
    let mut items = vec![login("acme", &ready_login())];
    for number in 0..namespaces {
        let name = format!("team-{number:05}");
        let ready = json!({"name": "acme", "state": "Ready"});
        let missing = json!({"name": "base", "state": "Missing", "reason": "LoginMissing"});
        let status = if number % each == 0 {
            json!({"secrets": [ready, missing], "pods": {
                "seen": 20, "without": 1, "failing": 0, "seenAt": "2026-07-25T00:00:00Z",
                "owners": [{"kind": "Deployment", "name": "web", "without": 1, "failing": 0,
                            "remedy": format!("New ones: kubectl rollout restart deployment/web -n {name}")}],
            }})
        } else {
            json!({"secrets": [ready]})
        };
        items.push(namespace(&name, &status));
    }
    list(&items)
}

#[test]
fn text_is_legible_on_terminals_of_every_width() {
    for width in [40, 80, 120] {
        let shown = found(REPORTS, Asked { width, ..TEXT });
        snapshot::snapshot("status", &format!("text-{width}"), &shown);
        let is_command = |line: &str| line.contains("kubectl ");
        for line in shown.lines().filter(|line| !is_command(line)) {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
    }
    let one = found(REPORTS, Asked { namespace: Some("team-a"), ..TEXT });
    snapshot::snapshot("status", "text-namespace", &one);
    let colours = found(REPORTS, Asked { colour: true, ..TEXT });
    snapshot::snapshot("status", "text-colours", &colours.replace('\u{1b}', "␛"));
}

#[test]
fn json_has_all_that_text_shows() {
    let shown = found(REPORTS, JSON);
    snapshot::snapshot("status", "json", &shown);
    let value: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(value["apiVersion"], "pullcred.dev/status/v1alpha1");
    assert_eq!(value["level"], "error");
    let one = found(REPORTS, Asked { namespace: Some("shop"), ..JSON });
    snapshot::snapshot("status", "json-namespace", &one);
}

#[test]
fn nothing_to_complain_of_is_exit_code_0() {
    let reports = list(&[
        login("acme", &ready_login()),
        namespace("shop", &json!({"secrets": [{"name": "acme", "state": "Ready"}]})),
        namespace("soon", &json!({"secrets": [{"name": "acme", "state": "Pending"}]})),
    ]);
    let (exit, shown) = status(&reports, TEXT).unwrap();
    assert_eq!(exit, Exit::Fine, "{shown}");
    assert!(shown.contains("pullcred: all is well\n"), "{shown}");
    assert!(shown.contains("· standard input does not say how old it is"), "{shown}");
    assert!(!shown.contains("NEXT"), "{shown}");
    let (exit, shown) = status(&reports, Asked { namespace: Some("soon"), ..TEXT }).unwrap();
    assert_eq!(exit, Exit::Fine, "{shown}");
}

#[test]
fn a_namespace_without_a_report_is_said_with_what_to_do() {
    let shown = found(REPORTS, Asked { namespace: Some("other"), ..TEXT });
    assert!(shown.starts_with("! Namespace other has no report"), "{shown}");
    let command = "    kubectl label --overwrite namespace other pullcred.dev/inject=enabled\n";
    assert!(shown.ends_with(command), "{shown}");
    let error = status("kind: Pod\napiVersion: v1\n", TEXT).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("no report found in standard input: write it by `kubectl get "),
        "{error}"
    );
    assert!(!error.is_usage());
}

#[test]
fn reports_that_cannot_be_read_are_counted() {
    let mut other = namespace("later", &json!({}));
    other["apiVersion"] = "pullcred.dev/v2".into();
    let reports = list(&[
        namespace("shop", &json!({"secrets": [{"name": "acme", "state": "Ready"}]})),
        namespace("odd", &json!({"secrets": "none"})),
        namespace("shop", &json!({"secrets": []})),
        other,
    ]);
    let shown = found(&reports, TEXT);
    assert!(shown.starts_with("! 2 reports cannot be read"), "{shown}");
    assert!(shown.contains("NAMESPACES  1\n"), "{shown}");
}

#[test]
fn a_large_cluster_fits_on_a_screen() {
    for (namespaces, each) in [(1_000, 10), (2_000, 1)] {
        let reports = cluster_of(namespaces, each);
        let shown = found(&reports, TEXT);
        assert!(shown.lines().count() <= 36, "{shown}");
        let bad = namespaces / each;
        assert!(shown.contains("and "), "{shown}");
        let value: Value = serde_json::from_str(&found(&reports, JSON)).unwrap();
        let counts = |at: &str| {
            let count = value.pointer(at).and_then(Value::as_u64).unwrap();
            usize::try_from(count).unwrap()
        };
        assert_eq!(counts("/namespaces/total"), namespaces);
        assert_eq!(counts("/namespaces/errors"), bad);
        assert_eq!(counts("/namespaces/more"), bad - 50);
        assert_eq!(value["namespaces"]["shown"].as_array().unwrap().len(), 50);
        assert_eq!(counts("/pods/without"), bad);
        assert_eq!(counts("/pods/owners/more"), bad - 20);
        let page = found(&reports, HTML);
        assert!(page.len() < 64 << 10, "{} bytes", page.len());
    }
}

/// Reports with evil in every text that somebody else may have written.
fn hostile() -> String {
    let condition = json!({"type": "Healthy", "status": "False", "reason": EVIL, "message": EVIL,
                           "lastTransitionTime": EVIL});
    list(&[
        login(
            EVIL,
            &json!({
                "kind": EVIL, "conditions": [condition], "registries": [EVIL], "expiresAt": EVIL,
                "failing": [{"namespace": EVIL, "reason": EVIL}],
                "health": {"verdict": EVIL, "checkedAt": EVIL, "image": EVIL},
            }),
        ),
        namespace(
            EVIL,
            &json!({
                "secrets": [{"name": EVIL, "state": "Missing", "reason": EVIL, "keys": [EVIL]},
                            {"name": EVIL, "state": EVIL}],
                "pods": {"seen": 1, "without": 1, "failing": 1, "seenAt": EVIL, "owners": [
                    {"kind": EVIL, "name": EVIL, "without": 1, "failing": 1, "remedy": EVIL}]},
            }),
        ),
    ])
}

#[test]
fn text_of_others_neither_steers_a_terminal_nor_is_a_command() {
    for namespace in [None, Some(EVIL)] {
        for width in [40, 80, 200] {
            let shown = found(&hostile(), Asked { namespace, width, ..TEXT });
            let unsafe_ = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!shown.contains(unsafe_), "{shown}");
        }
        let value: Value =
            serde_json::from_str(&found(&hostile(), Asked { namespace, ..JSON })).unwrap();
        let steps = value["next"].as_array().unwrap();
        assert!(
            !steps.is_empty() && steps.iter().all(|it| it.get("command").is_none()),
            "{steps:?}"
        );
    }
}
