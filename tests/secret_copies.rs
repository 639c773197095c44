//! `pullcred secret copies` through the real binary. Every password in the test data has `canary` in it.

#![cfg(test)]

#[path = "support/cli.rs"]
mod cli;
#[path = "support/snapshot.rs"]
mod snapshot;

use std::{fmt::Write, fs};

use base64::{Engine, prelude::BASE64_STANDARD};
use cli::{Run, run};
use pullcred::{
    core::{copies::Copies, credentials::Credentials},
    mapping,
};
use serde_json::{Value, json};

const CONFIG: &str = "secret/copies/mapping.yaml";
const LOGINS: &str = "secret/copies/logins.yaml";

fn snapshot(name: &str, shown: &str) {
    snapshot::snapshot("secret/copies", name, shown);
}

fn copies(args: &[&str]) -> Run {
    run(&[&["secret", "copies", "--config", CONFIG][..], args].concat(), "")
}

/// The copies that are written, by name.
fn items(run: &Run) -> Vec<Value> {
    assert_eq!(run.code, Some(0), "{}", run.shown());
    let list: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&list["apiVersion"], &list["kind"]), (&json!("v1"), &json!("List")));
    list["items"].as_array().unwrap().clone()
}

fn config(copy: &Value) -> Vec<u8> {
    BASE64_STANDARD.decode(copy["data"][".dockerconfigjson"].as_str().unwrap()).unwrap()
}

fn names(items: &[Value]) -> Vec<&str> {
    items.iter().map(|it| it["metadata"]["name"].as_str().unwrap()).collect()
}

fn has_no_canary(text: &str) {
    let encoded = ["Y2FuYX", "NhbmFye", "jYW5hcn"];
    assert!(!text.contains("canary") && !encoded.iter().any(|it| text.contains(it)), "{text}");
}

#[test]
fn the_copies_of_a_namespace_are_written_like_this() {
    snapshot("team-a", &copies(&["--from", LOGINS, "-n", "team-a"]).shown());
    let prod = copies(&["--from", LOGINS, "-n", "team-b", "-l", "tier=prod,team=b", "-o", "json"]);
    snapshot("team-b-json", &prod.shown());
}

/// The controller writes what `core` makes of the login: the same bytes, and the same fingerprint.
#[test]
fn the_content_is_that_of_the_controller() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/testdata/secret/copies/mapping.yaml");
    let mapping = mapping::parse(&fs::read_to_string(path).unwrap()).unwrap();
    let logins = fs::read_to_string(path.replace("mapping.yaml", "logins.yaml")).unwrap();
    let (_, text) = logins.split_once("\n      .dockerconfigjson: ").unwrap();
    let data = BASE64_STANDARD.decode(text.lines().next().unwrap()).unwrap();
    let type_ = "kubernetes.io/dockerconfigjson";
    let credentials = Credentials::read(type_, |key| {
        assert_eq!(key, ".dockerconfigjson");
        Some(&data)
    });
    let plan = Copies::of(&mapping, "pullcred");
    let recipes = plan.wanted("team-a", |_| None);
    let slice = plan.slice(&recipes[0], &credentials.unwrap());

    let written = items(&copies(&["--from", LOGINS, "-n", "team-a", "-o", "json"]));
    assert_eq!(names(&written), ["acme-pull"]);
    assert_eq!(config(&written[0]), *slice.render());
    let uid = "8f1c2f0e-5d0b-4c63-9a5e-0a3f7d1b2c4d";
    let metadata = &written[0]["metadata"];
    let expected = json!({
        "name": "acme-pull", "namespace": "team-a",
        "labels": {"app.kubernetes.io/managed-by": "pullcred"},
        "annotations": {
            "pullcred.dev/login": "acme", "pullcred.dev/content": slice.fingerprint(uid.as_bytes()),
        },
    });
    assert_eq!(*metadata, expected);
    assert_eq!(written[0]["type"], json!(type_));
    assert_eq!(written[0]["data"].as_object().unwrap().len(), 1);
}

#[test]
fn a_manifest_without_a_uid_gives_no_fingerprint() {
    let args = ["--from", LOGINS, "-n", "shop", "-l", "tier=prod", "-o", "json"];
    let written = items(&copies(&args));
    assert_eq!(names(&written), ["base-images"]);
    let annotations = &written[0]["metadata"]["annotations"];
    assert_eq!(*annotations, json!({"pullcred.dev/login": "base"}));
}

#[test]
fn the_older_form_becomes_the_newer_one() {
    let written = items(&copies(&["--from", LOGINS, "-n", "legacy", "-o", "json"]));
    assert_eq!(names(&written), ["internal"]);
    let config: Value = serde_json::from_slice(&config(&written[0])).unwrap();
    let auth = BASE64_STANDARD.encode("old:canary-old");
    assert_eq!(config, json!({"auths": {"registry.internal:5000": {"auth": auth}}}));
}

#[test]
fn what_is_written_is_read_back() {
    for format in ["yaml", "json"] {
        let args = ["--from", LOGINS, "-n", "team-a", "-l", "tier=prod", "-o", format];
        let written = copies(&args);
        let shown = run(&["secret", "show", "-"], &written.stdout);
        has_no_canary(&shown.stdout);
        snapshot("read-back", &shown.shown());
    }
}

#[test]
fn the_order_of_the_manifests_does_not_matter() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/testdata/secret/copies/logins.yaml");
    let text = fs::read_to_string(path).unwrap();
    let mut documents: Vec<&str> = text.split("---\n").collect();
    documents.reverse();
    let args = ["-n", "team-a", "-l", "tier=prod"];
    let from_file = copies(&[&["--from", LOGINS][..], &args].concat());
    let stdin = [&["secret", "copies", "--config", CONFIG, "--from", "-"][..], &args].concat();
    let reversed = run(&stdin, &documents.join("\n---\n"));
    assert_eq!(from_file.shown(), reversed.shown());
}

#[test]
fn a_namespace_that_gets_no_copy_is_no_error() {
    let mut shown = String::new();
    for args in [
        &[][..],
        &["-n", "default"],
        &["-n", "kube-system", "-l", "tier=prod"],
        &["-n", "pullcred", "-l", "tier=prod"],
        &["-n", "team-a", "-l", "pullcred.dev/inject=disabled"],
        &["-n", "home", "-l", "tier=prod", "--installed-in", "home"],
        &["-n", "shop", "-l", "tier=test"],
    ] {
        // No login is needed, so none has to be given.
        let run = copies(&[&["--from", "explain/secrets.yaml", "-o", "json"][..], args].concat());
        assert_eq!(items(&run), [] as [Value; 0]);
        write!(shown, "$ {}\n{}\n", args.join(" "), run.stderr).unwrap();
    }
    let none = ["secret", "copies", "--config", "mapping.yaml", "--from", LOGINS];
    let run = run(&none, "");
    assert_eq!(run.stdout, "apiVersion: v1\nkind: List\nitems: []\n");
    assert_eq!(run.code, Some(0));
    write!(shown, "$ without logins\n{}", run.stderr).unwrap();
    snapshot("none", &shown);
}

/// A rule may ask for the label that every namespace has, with its own name.
#[test]
fn a_namespace_has_its_own_name_as_a_label() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("values.yaml");
    let mapping = "mapping:\n  logins: [{name: base, secret: base}]\n  rules:\n  \
                   - {registries: [docker.io], secret: hub, login: base, \
                      namespaceLabels: {kubernetes.io/metadata.name: shop}}\n";
    fs::write(&path, mapping).unwrap();
    let path = path.to_str().unwrap();
    let args = |namespace| {
        ["secret", "copies", "--config", path, "--from", LOGINS, "-o", "json", "-n", namespace]
    };
    assert_eq!(names(&items(&run(&args("shop"), ""))), ["hub"]);
    assert_eq!(items(&run(&args("other"), "")), [] as [Value; 0]);
}

fn secret(name: &str, namespace: &str, type_: &str, key: &str, text: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": type_,
        "metadata": {"name": name, "namespace": namespace}, "stringData": {key: text},
    })
}

#[test]
fn a_login_that_cannot_be_used_says_why_and_what_to_do() {
    let json_type = "kubernetes.io/dockerconfigjson";
    let usual =
        |name, namespace, text: &str| secret(name, namespace, json_type, ".dockerconfigjson", text);
    let large = format!("{{\"auths\": {{}}, \"x\": \"{}\"}}", "canary".repeat(180_000));
    let quay = r#"{"auths": {"quay.io/acme": {"username": "a", "password": "canary"}}}"#;
    let mut shown = String::new();
    for (what, secrets) in [
        ("missing", vec![]),
        ("in another namespace", vec![usual("acme-robot", "shop", quay)]),
        ("of another type", vec![secret("acme-robot", "pullcred", "Opaque", "canary", "canary")]),
        ("under another key", vec![secret("acme-robot", "pullcred", json_type, "config", quay)]),
        ("malformed", vec![usual("acme-robot", "pullcred", "{\"auths\": {\"canary")]),
        ("too large", vec![usual("acme-robot", "pullcred", &large)]),
        ("without a login for a registry", vec![usual("acme-robot", "pullcred", quay)]),
        ("without any login", vec![usual("acme-robot", "pullcred", "{}")]),
    ] {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": secrets}).to_string();
        let args = ["secret", "copies", "--config", CONFIG, "--from", "-"];
        let args = [&args[..], &["-n", "team-a", "-l", "tier=prod"]].concat();
        let run = run(&args, &list);
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{what}");
        has_no_canary(&run.stderr);
        write!(shown, "# {what}\n{}\n", run.stderr).unwrap();
    }
    snapshot("unusable", &shown);
}

#[test]
fn a_copy_that_the_api_server_would_refuse_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mapping.yaml");
    // A long password, once for each registry.
    let registries: Vec<_> = (0..40).map(|n| format!("ghcr.io/team-{n}")).collect();
    let registries = registries.join(", ");
    let mapping = format!(
        "logins: [{{name: acme, secret: acme}}]\nrules:\n- {{registries: [{registries}], secret: pull, login: acme, namespaces: [shop]}}\n"
    );
    fs::write(&path, mapping).unwrap();
    let password = "canary".repeat(6_000);
    let login = json!({"auths": {"ghcr.io": {"username": "a", "password": password}}});
    let key = ".dockerconfigjson";
    let login =
        secret("acme", "pullcred", "kubernetes.io/dockerconfigjson", key, &login.to_string());
    let config = path.to_str().unwrap();
    let args = ["secret", "copies", "--config", config, "--from", "-", "-n", "shop"];
    let run = run(&args, &login.to_string());
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{}", run.stderr);
    assert!(
        run.stderr.contains("Secret pull would have more than 1048576 bytes"),
        "{}",
        run.stderr
    );
    has_no_canary(&run.stderr);
}

#[test]
fn what_was_most_likely_not_meant_in_a_login_is_a_warning() {
    let login = r#"{"auths": {"docker.io": {"username": "a", "password": "canary\n"}}}"#;
    let key = ".dockerconfigjson";
    let login = secret("base", "pullcred", "kubernetes.io/dockerconfigjson", key, login);
    let args = ["secret", "copies", "--config", CONFIG, "--from", "-", "-l", "tier=prod"];
    let run = run(&args, &login.to_string());
    assert_eq!(run.code, Some(0));
    let says = "warning: login base (line 4): ";
    assert!(run.stderr.contains(says) && run.stderr.contains("line break"), "{}", run.stderr);
    has_no_canary(&run.stderr);
}

#[test]
fn mistakes_are_a_matter_of_usage() {
    for args in [
        &[][..],
        &["--config", CONFIG],
        &["--config", CONFIG, "--from", "-", "--from", "-"],
        &["--config", "no-such-file.yaml", "--from", LOGINS],
        &["--config", CONFIG, "--from", LOGINS, "-n", "Team_A"],
        &["--config", CONFIG, "--from", LOGINS, "-l", "tier"],
        &["--config", CONFIG, "--from", LOGINS, "-l", "tier=-"],
        &["--config", CONFIG, "--from", LOGINS, "-l", "tier=prod,tier=test"],
        &["--config", CONFIG, "--from", LOGINS, "-o", "table"],
    ] {
        let run = run(&[&["secret", "copies"][..], args].concat(), "");
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{args:?}: {}", run.shown());
    }
    let run = copies(&["--from", "no-such-file.yaml"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{}", run.shown());
}

#[test]
fn help_reads_like_this() {
    snapshot("help", &run(&["secret", "copies", "--help"], "").stdout);
}
