//! `pullcred secret` through the real binary. Every password in the test data has `canary` in it, in plain text or base64.

#![cfg(test)]

#[path = "support/cli.rs"]
mod cli;
#[path = "support/snapshot.rs"]
mod snapshot;

use std::{env, fmt::Write, fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use cli::{Run, command, output, run};
use serde_json::Value;
use tempfile::TempDir;

const CONFIG: [&str; 2] = ["--from-docker-config", "secret/config.json"];

fn snapshot(name: &str, shown: &str) {
    snapshot::snapshot("secret", name, shown);
}

/// Credential helpers for the PATH, by what they do.
fn helpers() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, script) in [
        (
            "good",
            r#"echo "{\"ServerURL\": \"x\", \"Username\": \"user-of-$(tr : .)\", \"Secret\": \"canary-helper\"}""#,
        ),
        ("none", "cat > /dev/null; echo credentials not found in native keychain; exit 1"),
        (
            "token",
            r#"cat > /dev/null; echo '{"ServerURL": "x", "Username": "<token>", "Secret": "canary-token"}'"#,
        ),
        ("noise", "cat > /dev/null; echo canary-noise"),
        ("fails", "cat > /dev/null; echo canary-stdout; echo canary-stderr >&2; exit 3"),
    ] {
        let path = folder.path().join(format!("docker-credential-{name}"));
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

/// The binary, with helpers in the PATH and no Docker config but those that are named.
fn secret(helpers: &Path, args: &[&str]) -> Command {
    let mut command = command(&["secret"]);
    let path = env::var("PATH").unwrap();
    command.args(args).env("PATH", format!("{}:{path}", helpers.display()));
    command.env_remove("DOCKER_CONFIG").env("HOME", helpers);
    command
}

fn from_config(args: &[&str]) -> Run {
    let helpers = helpers();
    output(secret(helpers.path(), &CONFIG).args(["--name", "pull"]).args(args), "")
}

/// The entries of a written Secret: key, user and password.
fn logins(run: &Run) -> Vec<(String, String)> {
    assert_eq!(run.code, Some(0), "{}", run.shown());
    let secret: Value = serde_json::from_str(&run.stdout).unwrap();
    let config = decoded(&secret["data"][".dockerconfigjson"]);
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config.as_object().unwrap().keys().collect::<Vec<_>>(), ["auths"]);
    let auths = config["auths"].as_object().unwrap();
    auths.iter().map(|(key, entry)| (key.clone(), decoded(&entry["auth"]))).collect()
}

fn decoded(value: &Value) -> String {
    String::from_utf8(BASE64_STANDARD.decode(value.as_str().unwrap()).unwrap()).unwrap()
}

fn has_no_canary(text: &str) {
    assert!(!text.contains("canary"), "{text}");
    let plain = BASE64_STANDARD.encode("canary");
    assert!(
        !text.contains(&plain[..6])
            && !text.contains("Y2FuYX")
            && !text.contains("NhbmFye")
            && !text.contains("jYW5hcn"),
        "{text}"
    );
}

#[test]
fn yaml_and_json_are_written_like_this() {
    let yaml = from_config(&["--registry", "quay.io", "-n", "shop"]);
    snapshot("yaml", &yaml.shown());
    let json = from_config(&["--registry", "docker.io", "-o", "json"]);
    snapshot("json", &json.shown());
}

#[test]
fn only_the_named_logins_are_in_it_under_the_keys_that_the_kubelet_matches() {
    for (registries, expected) in [
        (&["docker.io"][..], &[("docker.io", "hub-user:canary-hub")][..]),
        (&["index.docker.io/acme"], &[("docker.io/acme", "hub-user:canary-hub")]),
        (
            &["quay.io/acme/web", "Quay.io"],
            &[("quay.io", "quay-user:canary-quay"), ("quay.io/acme/web", "acme-user:canary-acme")],
        ),
        (&["quay.io/other"], &[("quay.io/other", "quay-user:canary-quay")]),
        (
            &["registry.internal:5000"],
            &[("registry.internal:5000", "internal-user:canary-internal")],
        ),
        (&["ghcr.io", "ghcr.io"], &[("ghcr.io", "user-of-ghcr.io:canary-helper")]),
    ] {
        let mut args = vec!["-o", "json", "--registry"];
        args.extend(registries);
        let run = from_config(&args);
        let expected: Vec<_> =
            expected.iter().map(|&(key, login)| (key.to_owned(), login.to_owned())).collect();
        assert_eq!(logins(&run), expected, "{registries:?}");
        assert_eq!(run.stderr, "");
    }
}

#[test]
fn a_store_has_the_logins_that_the_file_has_not() {
    let helpers = helpers();
    fs::create_dir(helpers.path().join(".docker")).unwrap();
    let config =
        r#"{"auths": {"https://index.docker.io/v1/": {}, "quay.io": {}}, "credsStore": "good"}"#;
    fs::write(helpers.path().join(".docker/config.json"), config).unwrap();
    let args = ["--registry", "docker.io", "quay.io/acme", "--name", "pull", "-o", "json"];
    let run = output(&mut secret(helpers.path(), &args), "");
    assert_eq!(
        logins(&run),
        [
            (
                "docker.io".to_owned(),
                "user-of-https.//index.docker.io/v1/:canary-helper".to_owned()
            ),
            ("quay.io/acme".to_owned(), "user-of-quay.io/acme:canary-helper".to_owned()),
        ]
    );
    // `DOCKER_CONFIG` comes before the home.
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("config.json"), r#"{"credsStore": "none"}"#).unwrap();
    let run = output(secret(helpers.path(), &args).env("DOCKER_CONFIG", elsewhere.path()), "");
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{}", run.shown());
}

/// To Docker, an empty text and `null` are the same as nothing, and a host is one in any case.
#[test]
fn what_docker_takes_for_nothing_is_nothing() {
    let helpers = helpers();
    let config = helpers.path().join("config.json");
    let made = |text: &str| {
        fs::write(&config, text).unwrap();
        let config = config.to_str().unwrap();
        let args = ["--from-docker-config", config, "--registry", "quay.io", "--name", "pull"];
        output(secret(helpers.path(), &args).args(["-o", "json"]), "")
    };
    let auth = BASE64_STANDARD.encode("robot:canary");
    let robot = [("quay.io".to_owned(), "robot:canary".to_owned())];
    for text in [
        format!(
            r#"{{"auths": {{"quay.io": {{"auth": "{auth}"}}, "other.io": null}}, "credsStore": ""}}"#
        ),
        format!(r#"{{"auths": {{"quay.io": {{"auth": "{auth}", "identitytoken": ""}}}}}}"#),
        format!(r#"{{"auths": {{"Quay.IO": {{"auth": "{auth}"}}}}, "credHelpers": null}}"#),
    ] {
        assert_eq!(logins(&made(&text)), robot, "{text}");
    }
    let stored = made(r#"{"auths": {"quay.io": {"auth": ""}}, "credsStore": "good"}"#);
    assert_eq!(logins(&stored), [("quay.io".into(), "user-of-quay.io:canary-helper".into())]);
    let none = made(r#"{"auths": null, "credsStore": ""}"#);
    assert!(none.stderr.contains("quay.io: there is no login for it"), "{}", none.shown());
    let number = made(r#"{"auths": {"quay.io": {"auth": 1}}}"#);
    assert_eq!(number.code, Some(1));
    assert!(number.stderr.contains("is not a Docker config: line 1"), "{}", number.shown());
}

#[test]
fn what_works_but_not_everywhere_is_said() {
    let run = from_config(&[
        "--registry",
        "localhost:5000",
        "111122223333.dkr.ecr.eu-west-1.amazonaws.com",
        "registry-1.docker.io",
        "-o",
        "json",
    ]);
    assert_eq!(logins(&run).len(), 3);
    snapshot("warnings", &run.stderr);
    has_no_canary(&run.stderr);
}

#[test]
fn a_login_that_is_missing_or_does_not_work_on_a_node() {
    let run = from_config(&[
        "--registry",
        "docker.io",
        "identity.example.com",
        "token.example.com",
        "angle.example.com",
        "broken.example.com",
        "ambiguous.example.com",
        "nobody.example.com",
        "empty.example.com",
        "gcr.io",
        "angle.example.org",
        "noise.example.org",
        "fails.example.org",
        "missing.example.org",
        "nowhere.example.org",
    ]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    has_no_canary(&run.stderr);
    snapshot("no-login", &run.stderr);
}

/// The arguments for a Secret of these registries, with the password on standard input.
fn with_password<'a>(registries: &[&'a str]) -> Vec<&'a str> {
    let head = ["secret", "--username", "robot", "--password-stdin", "--registry"];
    [&head[..], registries, &["--name", "pull", "-o", "json"]].concat()
}

#[test]
fn a_password_comes_by_standard_input_only() {
    let run = run(
        &with_password(&["quay.io/acme", "registry:5000"]),
        "canary: with \"all\" kinds\u{e9}\n",
    );
    let login = "robot:canary: with \"all\" kinds\u{e9}".to_owned();
    assert_eq!(
        logins(&run),
        [("quay.io/acme".to_owned(), login.clone()), ("registry:5000".to_owned(), login)]
    );
}

#[test]
fn mistakes() {
    let mut shown = String::new();
    for args in [
        &["--registry", "quay.io"][..],
        &["--name", "pull"],
        &["--registry", "*.example.com", "--name", "pull"],
        &["--registry", "https://quay.io", "--name", "pull"],
        &["--registry", "https://robot:canary@quay.io", "--name", "pull"],
        &["--registry", "quay.io", "--name", "Pull"],
        &["--registry", "quay.io", "--name", "pull", "--username", "robot"],
        &["--registry", "quay.io", "--name", "pull", "--password-stdin"],
        &["--registry", "quay.io", "--name", "pull", "--username", "robot", "--password", "canary"],
        &[
            "--registry",
            "quay.io",
            "--name",
            "pull",
            "--username",
            "robot",
            "--password-stdin",
            "--from-docker-config",
            "secret/config.json",
        ],
        &["--registry", "quay.io", "--name", "pull", "--namespace", "Team_A"],
        &["--registry", "quay.io", "--name", "pull", "--verify", "quay.io/Acme/app"],
        &["--registry", "quay.io", "--name", "pull", "--from-docker-config", "no-such-file"],
        &["--registry", "quay.io", "--name", "pull", "--from-docker-config", "secret/broken.json"],
        &["--registry", "[fd00::1]", "--name", "pull", "--username", "robot", "--password-stdin"],
    ] {
        let helpers = helpers();
        let run = output(&mut secret(helpers.path(), args), "canary\n");
        assert_eq!(run.stdout, "");
        let shown_args: Vec<_> = args.iter().map(|it| it.replace("canary", "…")).collect();
        let (args, code) = (shown_args.join(" "), run.code.unwrap());
        write!(
            shown,
            "$ pullcred secret {args}
{}[{code}]

",
            run.stderr
        )
        .unwrap();
    }
    has_no_canary(&shown);
    snapshot("mistakes", &shown);
}

#[test]
fn what_a_secret_holds_is_shown_without_passwords() {
    let shown = run(&["secret", "show", "secret/shown.yaml"], "");
    has_no_canary(&shown.stdout);
    snapshot("shown", &shown.shown());
    // What is made here has nothing to be warned of.
    let made = from_config(&["--registry", "docker.io", "quay.io/acme"]);
    let shown = run(&["secret", "show", "-"], &made.stdout);
    snapshot("shown-own", &shown.shown());
    let none = run(&["secret", "show", "-"], "{apiVersion: v1, kind: ConfigMap}");
    assert_eq!((none.code, none.stdout.as_str()), (Some(1), ""));
    assert_eq!(none.stderr, "pullcred: there is no Secret in standard input\n");
    for args in [&["secret", "show"][..], &["secret", "show", "-", "--live", "x"], &["secret"]] {
        let run = run(args, "");
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{}", run.shown());
    }
}

#[test]
fn a_password_that_says_when_it_ends_is_shown_with_that() {
    let claims =
        BASE64_URL_SAFE_NO_PAD.encode(r#"{"exp":1764155700,"iat":1764144000,"jti":"canary"}"#);
    let config = serde_json::json!({"auths": {
        "acme.azurecr.io": {"username": "robot", "password": format!("e30.{claims}.c2ln")},
        "quay.io": {"username": "robot", "password": "canary"},
    }});
    let data = BASE64_STANDARD.encode(config.to_string());
    let secret = serde_json::json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull"},
        "type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": data},
    });
    let shown = run(&["secret", "show", "-"], &secret.to_string());
    assert!(
        shown.stdout.contains("robot  ********, ends 2025-11-26T11:15:00Z\n"),
        "{}",
        shown.stdout
    );
    assert!(shown.stdout.contains("robot  ********\n"), "{}", shown.stdout);
    assert!(!shown.stdout.contains(&claims));
}

/// Makes a Secret for a registry from a config of this text.
fn made_from(text: &[u8], registry: &str) -> Run {
    let helpers = helpers();
    let config = helpers.path().join("config.json");
    fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let args = ["--from-docker-config", config, "--registry", registry, "--name", "pull"];
    output(secret(helpers.path(), &args).args(["-o", "json"]), "")
}

#[test]
fn a_login_with_what_was_not_meant_is_named() {
    for (login, says) in [
        ("robot:canary\n", "the password ends with a line break"),
        ("robot:canary\r\n", "the password ends with a line break"),
        ("\u{feff}robot:canary", "the user begins with a byte order mark"),
        ("robot:canary ", "the password begins or ends with white space"),
    ] {
        let auth = BASE64_STANDARD.encode(login);
        let made = made_from(
            format!(r#"{{"auths": {{"quay.io": {{"auth": "{auth}"}}}}}}"#).as_bytes(),
            "quay.io",
        );
        assert_eq!(logins(&made), [("quay.io".to_owned(), login.to_owned())]);
        assert!(
            made.stderr.contains(&format!("warning: the login for quay.io: {says}")),
            "{}",
            made.stderr
        );
    }
    // One line break is taken off, as by `docker login --password-stdin`; a second one stays, and so does a mark.
    let args = with_password(&["quay.io"]);
    for (stdin, says) in [
        ("canary\n", ""),
        ("canary\n\n", "the password ends with a line break"),
        ("\u{feff}canary\n", "the password begins with a byte order mark"),
    ] {
        let run = run(&args, stdin);
        assert_eq!(run.code, Some(0));
        assert!(
            run.stderr.contains(says) && run.stderr.is_empty() == says.is_empty(),
            "{}",
            run.stderr
        );
        has_no_canary(&run.stderr);
    }
}

#[test]
fn a_key_with_a_path_is_found_as_docker_finds_it() {
    let auth = BASE64_STANDARD.encode("robot:canary");
    let config = |keys: &[&str]| {
        let entries: Vec<_> =
            keys.iter().map(|key| format!(r#""{key}": {{"auth": "{auth}"}}"#)).collect();
        format!(r#"{{"auths": {{{}}}}}"#, entries.join(", "))
    };
    for (key, registry) in [
        ("10.3.10.88:5000/v2/", "10.3.10.88:5000"),
        ("https://10.3.10.88:5000/v2/", "10.3.10.88:5000"),
        ("http://registry.example.com/v1/", "registry.example.com"),
        ("registry.example.com/", "registry.example.com"),
        ("registry.example.com/v2", "registry.example.com"),
        ("Registry.Example.com/v2/", "registry.example.com/acme"),
        ("index.docker.io/v1/", "docker.io"),
        ("https://registry-1.docker.io/v2/", "docker.io"),
    ] {
        let made = made_from(config(&[key]).as_bytes(), registry);
        assert_eq!(logins(&made), [(registry.to_owned(), "robot:canary".to_owned())], "{key}");
        assert_eq!(made.stderr, "", "{key}");
    }
    let made = made_from(config(&["quay.io/acme"]).as_bytes(), "quay.io");
    assert_eq!(logins(&made).len(), 1);
    assert!(
        made.stderr.contains("is that of quay.io/acme: Docker takes it for the whole host, podman"),
        "{}",
        made.stderr
    );
    for other in [
        "registry.example.com.evil.io/v2/",
        "evil.io/registry.example.com",
        "registry.example.com:443/v2/",
    ] {
        let made = made_from(config(&[other]).as_bytes(), "registry.example.com");
        assert_eq!(made.code, Some(1), "{other}: {}", made.shown());
    }
}

#[test]
fn what_is_given_in_place_of_a_config_is_named() {
    let manifest =
        r#"{"apiVersion": "v1", "kind": "Secret", "data": {".dockerconfigjson": "e30="}}"#;
    let config = r#"{"auths": {"quay.io": {"auth": "cm9ib3Q6cHc="}}}"#;
    let marked = [b"\xef\xbb\xbf", config.as_bytes()].concat();
    let wide: Vec<u8> = "\u{feff}{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (text, says) in [
        (
            &br#"{"quay.io": {"auth": "cm9ib3Q6cHc=", "email": "a@example.com"}}"#[..],
            "is a .dockercfg, the older form",
        ),
        (manifest.as_bytes(), "is a manifest, and not a Docker config"),
        (
            b"# made by hand\napiVersion: v1\nkind: Secret\n",
            "is a manifest, and not a Docker config",
        ),
        (&marked, "begins with a byte order mark"),
        (&wide, "begins with a byte order mark"),
    ] {
        let made = made_from(text, "quay.io");
        assert_eq!((made.code, made.stdout.as_str()), (Some(1), ""));
        assert!(made.stderr.contains(says), "{says}: {}", made.stderr);
    }
    let missing = made_from(b"{}", "docker.io");
    assert!(missing.stderr.contains("run `docker login`, or"), "{}", missing.stderr);
}
