//! `pullcred explain`, through the real binary.

#![cfg(test)]

#[path = "support/api_server.rs"]
mod api_server;
#[path = "support/cli.rs"]
mod cli;
#[path = "explain/live.rs"]
mod live;
#[path = "support/snapshot.rs"]
mod snapshot;
#[path = "explain/vectors.rs"]
mod vectors;

use std::{fmt::Write, fs};

use cli::{Run, run};
use serde_json::{Value, json};

const EXPLAIN: [&str; 3] = ["explain", "--config", "explain/mapping.yaml"];

fn explain(args: &[&str], stdin: &str) -> Run {
    let args: Vec<_> = EXPLAIN.iter().chain(args).copied().collect();
    run(&args, stdin)
}

fn values(json: &str) -> Vec<Value> {
    json.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn snapshot(name: &str, shown: &str) {
    snapshot::snapshot("explain", name, shown);
}

#[test]
fn a_line_of_json_has_these_fields_in_this_order() {
    let run =
        explain(&["-o", "json", "--secrets", "explain/secrets.yaml", "ghcr.io/acme/web:1"], "");
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(
        run.stdout,
        concat!(
            r#"{"image":"ghcr.io/acme/web:1","valid":true,"name":"ghcr.io/acme/web","registry":"ghcr.io","#,
            r#""repository":"acme/web","tag":"1","digest":"","error":"","#,
            r#""rules":[{"pattern":"ghcr.io/acme","secret":"acme-robot","line":2},"#,
            r#"{"pattern":"ghcr.io","secret":"github","line":4}],"secrets":["acme-robot","github"],"#,
            r#""kubelet":{"error":false,"bad_secrets":[],"#,
            r#""matches":[{"secret":"acme-robot","key":"ghcr.io/acme","rank":1}],"secrets":["acme-robot"]}}"#,
            "\n"
        )
    );
    let run = explain(&["-o", "json", "nginx:"], "");
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(
        run.stdout,
        concat!(
            r#"{"image":"nginx:","valid":false,"name":"","registry":"","repository":"","tag":"","digest":"","#,
            r#""error":"no tag behind the `:`: write one, or leave out the colon","rules":[],"secrets":[]}"#,
            "\n"
        )
    );
}

#[test]
fn the_story_of_images() {
    let images = [
        "ghcr.io/acme/web:1",
        "registry.example.com/db",
        "nginx:1.27",
        "1.dkr.ecr.eu-west-1.amazonaws.com/models",
        "my_host.io/app",
        "https://ghcr.io/acme/web",
        "",
    ];
    let with_secrets = ["--secrets", "explain/secrets.yaml"];
    let run = explain(&[&with_secrets[..], &images].concat(), "");
    snapshot("images", &run.shown());

    let run = explain(&["--secrets", "explain/broken-secret.yaml", "quay.io/acme/web"], "");
    snapshot("broken-secret", &run.shown());
    assert!(!run.stdout.contains("hunter2"));

    let run = explain(&["-n", "kube-system", "-"], "ghcr.io/acme/web\r\nquay.io/acmeevil/web\n");
    snapshot("excluded-namespace", &run.shown());
}

#[test]
fn that_there_are_no_secrets_is_said() {
    let run = explain(&["--secrets", "-", "nginx"], "{apiVersion: v1, kind: ConfigMap}");
    assert!(run.stdout.starts_with("Secrets at hand: none\n"), "{}", run.shown());
    assert_eq!(run.stderr, "no Secret found in what --secrets names\n");
}

#[test]
fn the_story_of_pods() {
    let run = explain(&["-f", "explain/pods.yaml", "--secrets", "explain/secrets.yaml"], "");
    snapshot("pods", &run.shown());
    let run = explain(
        &["-f", "explain/pods.yaml", "--secrets", "explain/secrets.yaml", "-o", "json"],
        "",
    );
    snapshot("pods-json", &run.shown());
}

#[test]
fn secrets_of_another_namespace_are_no_use() {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": "a", "namespace": "other"},
        "stringData": {".dockerconfigjson": json!({"auths": {"quay.io": {}}}).to_string()},
    });
    let offered = |args: &[&str]| {
        let args = [args, &["--secrets", "-", "-o", "json", "quay.io/x/y"]].concat();
        let run = explain(&args, &secret.to_string());
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        values(&run.stdout)[0]["kubelet"]["secrets"].clone()
    };
    assert_eq!(offered(&[]), json!(["a"]));
    assert_eq!(offered(&["-n", "other"]), json!(["a"]));
    assert_eq!(offered(&["-n", "shop"]), json!([]));
}

#[test]
fn colours_are_for_terminals() {
    let mut command = cli::command(&[&EXPLAIN[..], &["nginx"]].concat());
    assert!(!cli::output(&mut command, "").stdout.contains('\u{1b}'));
    command.env("CLICOLOR_FORCE", "1");
    assert!(cli::output(&mut command, "").stdout.contains('\u{1b}'));
    command.env("NO_COLOR", "1");
    assert!(!cli::output(&mut command, "").stdout.contains('\u{1b}'));
}

#[test]
fn mistakes_are_explained() {
    let mistakes: [(&str, &[&str]); 6] = [
        ("nothing to explain", &[]),
        ("two things at once", &["nginx", "--live"]),
        ("standard input twice", &["-", "--secrets", "-"]),
        ("a flag of another kind of question", &["nginx", "--context", "x"]),
        ("a Secret that is not base64", &["nginx", "--secrets", "-"]),
        ("a file of something else", &["-f", "explain/mapping.yaml"]),
    ];
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {.dockerconfigjson: '{}'}\n";
    let mut shown = String::new();
    for (what, args) in mistakes {
        let run = explain(args, secret);
        let args = [&EXPLAIN[..], args].concat().join(" ");
        writeln!(shown, "=== {what}: pullcred {args}\n{}\n", run.shown()).unwrap();
    }
    snapshot("mistakes", &shown);
}

/// A manifest of a Secret with this text under the data key of its type.
fn manifest(type_: &str, text: &str) -> String {
    let data_key = if type_ == "dockercfg" { ".dockercfg" } else { ".dockerconfigjson" };
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "example"},
        "type": format!("kubernetes.io/{type_}"), "stringData": {data_key: text},
    })
    .to_string()
}

#[test]
fn what_was_most_likely_not_meant_in_a_secret_is_said() {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let auths = |login: &str| {
        let auth = BASE64_STANDARD.encode(login);
        format!(r#"{{"auths": {{"registry.example.com": {{"auth": "{auth}"}}}}}}"#)
    };
    let older = r#"{"registry.example.com": {"auth": "cm9ib3Q6cHc="}}"#;
    let no_login = r#"{"auths": {"registry.example.com": {}}, "credsStore": "desktop"}"#;
    for (type_, text, says) in [
        ("dockerconfigjson", auths("robot:pw\u{b}\n"), "the password ends with a line break"),
        ("dockerconfigjson", auths("robot:pw\r\n"), "the password ends with a line break"),
        ("dockerconfigjson", auths("robot\n:pw"), "the user ends with a line break"),
        ("dockerconfigjson", auths("\u{feff}robot:pw"), "the user begins with a byte order mark"),
        ("dockerconfigjson", auths("robot:\u{200b}pw"), "an invisible character in the password"),
        (
            "dockerconfigjson",
            no_login.to_owned(),
            "which has no login: the registry is asked without one",
        ),
        ("dockerconfigjson", older.to_owned(), "has its entries at the top, as in the older form"),
        ("dockercfg", auths("robot:pw"), "has `auths` in it, as in the newer form"),
        (
            "dockerconfigjson",
            format!("\u{feff}{}", auths("robot:pw")),
            "begins with a byte order mark",
        ),
        ("dockercfg", format!("\u{feff}{older}"), "begins with a byte order mark"),
        (
            "dockerconfigjson",
            manifest("dockerconfigjson", "{}"),
            "holds a whole manifest of a Secret",
        ),
    ] {
        let secret = manifest(type_, &text);
        let explained = explain(&["--secrets", "-", "registry.example.com/app"], &secret);
        assert!(explained.stdout.contains(says), "{says}: {}", explained.shown());
        let shown = run(&["secret", "show", "-"], &secret);
        let says = if says.starts_with("which has no login") { "there is no login" } else { says };
        assert!(shown.stdout.contains(says), "{says}: {}", shown.shown());
    }
    let fine = explain(
        &["--secrets", "-", "registry.example.com/app"],
        &manifest("dockerconfigjson", &auths("robot:pw")),
    );
    assert!(
        fine.stdout.contains("1. example, by its key registry.example.com\n"),
        "{}",
        fine.shown()
    );
    assert!(!fine.stdout.contains("Secret example:"), "{}", fine.shown());
    // The data key of the one form under the type of the other.
    let mixed = manifest("dockerconfigjson", older).replace(".dockerconfigjson", ".dockercfg");
    let mixed = explain(&["--secrets", "-", "registry.example.com/app"], &mixed);
    assert!(mixed.stdout.contains("data key and type belong together"), "{}", mixed.shown());
}

#[test]
fn blank_lines_are_no_images() {
    let run = explain(&["-o", "json", "-"], "nginx\n\n \t\r\nregistry.example.com/a:1\n\n");
    let images: Vec<_> = values(&run.stdout).iter().map(|it| it["image"].clone()).collect();
    assert_eq!(images, ["nginx", "registry.example.com/a:1"]);
}

#[test]
fn other_hosts_of_one_provider_are_near() {
    let folder = tempfile::tempdir().unwrap();
    let mapping = folder.path().join("mapping.yaml");
    let rules = "rules:\n\
        - {registries: ['*.azurecr.io'], secret: acr}\n\
        - {registries: ['*.pkg.dev', gcr.io, '*.gcr.io'], secret: gar}\n\
        - {registries: ['*.dkr.ecr.*.amazonaws.com'], secret: ecr}\n\
        - {registries: ['*.cr.aliyuncs.com', registry.cn-hangzhou.aliyuncs.com], secret: ali}\n";
    fs::write(&mapping, rules).unwrap();
    for (image, line) in [
        ("registry-vpc.cn-hangzhou.aliyuncs.com/acme/app", 5),
        ("registry-internal.cn-hangzhou.aliyuncs.com/acme/app", 5),
        ("registry-intl.cn-hangzhou.aliyuncs.com/acme/app", 5),
        ("1.dkr.ecr.cn-north-1.amazonaws.com.cn/app", 4),
        ("1.dkr.ecr-fips.us-east-1.amazonaws.com/app", 4),
        ("1.dkr-ecr.us-east-1.on.aws/app", 4),
        ("acme.azurecr.cn/app", 2),
        ("acme.westeurope.geo.azurecr.io/app", 2),
    ] {
        let run = run(&["explain", "--config", mapping.to_str().unwrap(), image], "");
        assert!(run.stdout.contains("no rule of the mapping covers it"), "{}", run.shown());
        assert!(run.stdout.contains(&format!("line {line}, ")), "{image}: {}", run.shown());
    }
    let auths = r#"{"auths": {"registry.cn-hangzhou.aliyuncs.com": {"auth": "cm9ib3Q6cHc="}}}"#;
    let image = "registry-vpc.cn-hangzhou.aliyuncs.com/acme/app";
    let run = explain(&["--secrets", "-", image], &manifest("dockerconfigjson", auths));
    assert!(run.stdout.contains("it is another host of the same provider"), "{}", run.shown());
}
