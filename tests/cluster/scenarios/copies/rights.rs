//! What a credentials controller may do, asked of the API server's own authorizer.

use std::{process::Stdio, sync::Arc, time::Instant};

use anyhow::{Result, ensure};
use axum::http::StatusCode;
use serde_json::json;

use super::{
    home::{Home, MAPPING as CONFIG_MAP, secret_path},
    login::DockerConfig,
};
use crate::{
    account::api_with,
    api::{Answer, Api},
    cluster::Cluster,
    namespace::Namespace,
    pki::User,
    report::Report,
};

const NAME: &str = "rights-pull";
const LOGIN: &str = "rights-login";

/// With a controller's token: copies by name in all namespaces, logins and mapping by name in its own, namespaces, Events; and
/// nothing else.
pub(crate) async fn rights(cluster: Arc<Cluster>) -> Result<Report> {
    const MAPPING: &str = "
logins:
- {name: acme, secret: rights-login}
rules:
- {registries: [ghcr.io/acme], secret: rights-pull, login: acme, namespaces: ['copies-rights-*']}
";
    let home = Home::new(cluster, "copies-rights", MAPPING, &[NAME], &[LOGIN]).await?;
    let content = [("ghcr.io/acme", "canary-of-rights")];
    home.create_login(LOGIN, &content).await?;
    let other = DockerConfig::new(&[("ghcr.io/acme", "canary-of-others")]).secret("other");
    home.hide("canary-of-others");
    home.namespace.create_object("/api/v1", "secrets", &other).await?;
    let namespace = home.opted_in("copies-rights-a", &[]).await?;
    namespace.create_object("/api/v1", "secrets", &other).await?;
    let _controller = home.start("0", "10m").await?;
    home.copied(Instant::now(), &namespace, NAME, &content).await?;

    let kubeconfig = home.account.kubeconfig(home.account.server()?, "copies-rights").await?;
    let api = api_with(&kubeconfig).await?;
    let own = kubeconfig.display().to_string();
    let admin = home.cluster.control_plane().kubeconfig(User::ADMIN)?.display().to_string();
    let nobody = "--as=system:serviceaccount:copies-rights:default";
    let everybody = list(&home, &home.namespace, &["--kubeconfig", &admin, nobody])?;
    let mut report = Report::new();
    for (place, count) in [(&home.namespace, 5), (&namespace, 2)] {
        let own = list(&home, place, &["--kubeconfig", &own])?;
        let own: Vec<String> = own.into_iter().filter(|it| !everybody.contains(it)).collect();
        ensure!(own.len() == count, "in {}: {own:#?}", place.name());
        report = report.seen(
            format!(
                "`kubectl auth can-i --list` as the controller in {}, beyond everybody's",
                place.name()
            ),
            own.join("; "),
        );
    }
    let mut refused = 0;
    for place in [&home.namespace, &namespace, &Namespace::existing(home.api(), "kube-system")] {
        refused += refusals(&api, place.name(), &home).await?;
    }
    refused += allowed_by_name_only(&api, &home, &namespace).await?;
    Ok(report
        .seen("everything else that was tried with its token", format!("403, {refused} requests")))
}

/// Whatever is not a copy, a login or the mapping is refused. Answers how many requests that were.
async fn refusals(api: &Api, namespace: &str, home: &Home) -> Result<usize> {
    let core = format!("/api/v1/namespaces/{namespace}");
    let mut refused = 0;
    let object = |kind: &str, name: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
    let resources = [
        ("secrets", "Secret"),
        ("configmaps", "ConfigMap"),
        ("pods", "Pod"),
        ("serviceaccounts", "ServiceAccount"),
    ];
    for (resource, kind) in resources {
        let all = format!("{core}/{resource}");
        let one = format!("{all}/other");
        let tried = [
            ("get", api.get(&one).await?),
            ("list", api.get(&all).await?),
            ("list by name", api.get(&format!("{all}?fieldSelector=metadata.name%3Dother")).await?),
            ("list everywhere", api.get(&format!("/api/v1/{resource}")).await?),
            ("watch", api.get(&format!("{all}?watch=true&timeoutSeconds=1")).await?),
            ("create", api.post(&all, &object(kind, "other-new")).await?),
            ("patch", api.patch(&one, &json!({})).await?),
            ("apply", api.apply(&one, "fieldManager=a", &object(kind, "other")).await?),
            ("delete", api.delete(&one).await?),
            ("delete all", api.delete(&all).await?),
        ];
        refused += all_refused(&format!("{resource} in {namespace}"), tried, home)?;
    }
    let token =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"},
                       "involvedObject": {"namespace": namespace}});
    let tried = [
        ("a token", api.post(&format!("{core}/serviceaccounts/default/token"), &token).await?),
        (
            "patch the namespace",
            api.patch(&core, &json!({"metadata": {"labels": {"a": "b"}}})).await?,
        ),
        ("delete the namespace", api.delete(&core).await?),
        (
            "create a namespace",
            api.post("/api/v1/namespaces", &object("Namespace", "copies-rights-new")).await?,
        ),
        ("create an Event of the core group", api.post(&format!("{core}/events"), &event).await?),
        (
            "read Events",
            api.get(&format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events")).await?,
        ),
        ("read roles", api.get("/apis/rbac.authorization.k8s.io/v1/clusterroles").await?),
    ];
    Ok(refused + all_refused(namespace, tried, home)?)
}

/// What is allowed succeeds, or the refusals would prove nothing; and it is allowed by name only, and where it is needed only.
async fn allowed_by_name_only(api: &Api, home: &Home, elsewhere: &Namespace) -> Result<usize> {
    let by_name = |namespace: &str, name: &str| {
        format!("/api/v1/namespaces/{namespace}/secrets?fieldSelector=metadata.name%3D{name}")
    };
    let own = home.namespace.name();
    api.get(&secret_path(elsewhere.name(), NAME)).await?.ok()?;
    api.get(&format!("/api/v1/secrets?fieldSelector=metadata.name%3D{NAME}")).await?.ok()?;
    api.get(&secret_path(own, LOGIN)).await?.ok()?;
    api.get(&by_name(own, LOGIN)).await?.ok()?;
    api.get(&format!("/api/v1/namespaces/{own}/configmaps/{CONFIG_MAP}")).await?.ok()?;
    api.get("/api/v1/namespaces").await?.ok()?;
    let login = secret_path(own, LOGIN);
    let config_map = format!("/api/v1/namespaces/{own}/configmaps/{CONFIG_MAP}");
    let update = DockerConfig::new(&[("ghcr.io/acme", "x")]).secret(LOGIN);
    let tried = [
        ("patch a login", api.patch(&login, &json!({})).await?),
        ("apply a login", api.apply(&login, "fieldManager=a", &update).await?),
        ("delete a login", api.delete(&login).await?),
        ("a login's name elsewhere", api.get(&secret_path(elsewhere.name(), LOGIN)).await?),
        (
            "list a login's name everywhere",
            api.get(&format!("/api/v1/secrets?fieldSelector=metadata.name%3D{LOGIN}")).await?,
        ),
        ("patch the mapping", api.patch(&config_map, &json!({})).await?),
        (
            "the mapping's name elsewhere",
            api.get(&format!("/api/v1/namespaces/{}/configmaps/{CONFIG_MAP}", elsewhere.name()))
                .await?,
        ),
        (
            "create a copy by POST",
            api.post(
                &format!("/api/v1/namespaces/{}/secrets", elsewhere.name()),
                &DockerConfig::new(&[("ghcr.io/acme", "x")]).secret(NAME),
            )
            .await?,
        ),
        (
            "replace a copy",
            api.put(
                &secret_path(elsewhere.name(), NAME),
                &DockerConfig::new(&[("ghcr.io/acme", "x")]).secret(NAME),
            )
            .await?,
        ),
    ];
    all_refused("by name", tried, home)
}

/// Each was refused by the authorizer, in words that show nothing.
fn all_refused<const N: usize>(
    what: &str,
    tried: [(&str, Answer); N],
    home: &Home,
) -> Result<usize> {
    for (verb, answer) in tried {
        ensure!(answer.status() == StatusCode::FORBIDDEN, "{what}: {verb}: {}", answer.status());
        let refusal = answer.refusal()?;
        ensure!(refusal.contains(&home.account.user()), "{what}: {verb}: {refusal}");
        ensure!(!refusal.contains("canary"), "{what}: {verb}: {refusal}");
    }
    Ok(N)
}

/// The lines of `kubectl auth can-i --list`, blanks made one.
fn list(home: &Home, namespace: &Namespace, user: &[&str]) -> Result<Vec<String>> {
    let mut command = home.cluster.control_plane().program("kubectl");
    let output = command
        .args(["auth", "can-i", "--list", "--namespace", namespace.name()])
        .args(user)
        .stdin(Stdio::null())
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(text.lines().skip(1).map(words).collect())
}
