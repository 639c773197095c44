//! The policy that keeps a controller's token to copies.

use std::{sync::Arc, time::Instant};

use anyhow::{Context, Result, ensure};
use axum::http::StatusCode;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{
    home::{Home, MANAGER, MARK, SOON, secret_path, shape},
    login::{DockerConfig, KEY},
};
use crate::{
    account::api_with,
    api::{Answer, Api},
    cluster::Cluster,
    namespace::Namespace,
    registration::INJECT,
    report::Report,
    wait::until,
};

const NAME: &str = "policy-pull";
const FORCED: &str = "fieldManager=pullcred-credentials&force=true";

/// With a controller's token, under the one name that it may write: whatever is no copy is refused, and Secrets of others can
/// neither be changed nor deleted. What a controller does passes.
pub(crate) async fn policy(cluster: Arc<Cluster>) -> Result<Report> {
    const MAPPING: &str = "
logins:
- {name: acme, secret: policy-login}
rules:
- {registries: [ghcr.io/acme], secret: policy-pull, login: acme, namespaces: ['copies-policy-*']}
";
    let home = Home::new(cluster, "copies-policy", MAPPING, &[NAME], &["policy-login"]).await?;
    let content = [("ghcr.io/acme", "canary-old-of-policy")];
    home.create_login("policy-login", &content).await?;
    let kubeconfig = home.account.kubeconfig(home.account.server()?, "copies-policy").await?;
    let api = api_with(&kubeconfig).await?;
    let namespace = home.labelled("copies-policy-a", &json!({})).await?;
    let path = secret_path(namespace.name(), NAME);
    home.until_policy(&namespace, NAME, true).await?;

    let mut refused = Vec::new();
    for (what, object) in no_copies() {
        refusal(what, api.apply(&path, FORCED, &object).await?)?;
        refused.push(what);
    }
    for other in [home.namespace.name(), "kube-system"] {
        let answer = api.apply(&secret_path(other, NAME), FORCED, &copy()).await?;
        refusal(other, answer)?;
        refused.push(if other == "kube-system" {
            "in kube-system"
        } else {
            "in its own namespace"
        });
    }
    refused.extend(others_are_safe(&home, &api, &namespace).await?);
    what_controllers_do_passes(&home, &content).await?;
    given_back(&home, &api).await?;
    Ok(Report::new()
        .seen("refused by the policy, under the name of a copy", refused.join(", "))
        .seen("let through", "create, update, removal of added keys, release, delete"))
}

/// A copy as a controller applies it.
fn copy() -> Value {
    let mut copy = DockerConfig::new(&[("ghcr.io/acme", "x")]).secret(NAME);
    copy["metadata"]["labels"] = json!({MARK.0: MARK.1});
    copy["metadata"]["annotations"] = json!({
        "pullcred.dev/login": "acme", "pullcred.dev/content": "0123456789abcdef0123456789abcdef",
    });
    copy
}

/// Copies with one thing wrong.
fn no_copies() -> Vec<(&'static str, Value)> {
    let changed = |change: fn(&mut Value)| {
        let mut object = copy();
        change(&mut object);
        object
    };
    vec![
        ("another type", changed(|it| it["type"] = "Opaque".into())),
        (
            "a ServiceAccount's token",
            changed(|it| {
                it["type"] = "kubernetes.io/service-account-token".into();
                it["metadata"]["annotations"]["kubernetes.io/service-account.name"] =
                    "default".into();
                it["data"] = json!({});
            }),
        ),
        ("a further key", changed(|it| it["data"]["more"] = BASE64_STANDARD.encode("x").into())),
        (
            "ownerReferences",
            changed(|it| {
                it["metadata"]["ownerReferences"] = json!([
                    {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "b"},
                ]);
            }),
        ),
        ("finalizers", changed(|it| it["metadata"]["finalizers"] = json!(["example.com/a"]))),
        ("without the label", changed(|it| it["metadata"]["labels"] = json!({}))),
        ("without annotations", changed(|it| it["metadata"]["annotations"] = json!({}))),
        (
            "another fingerprint than hex",
            changed(|it| it["metadata"]["annotations"]["pullcred.dev/content"] = "x".into()),
        ),
        ("a further label", changed(|it| it["metadata"]["labels"]["a"] = "b".into())),
        ("a further annotation", changed(|it| it["metadata"]["annotations"]["a"] = "b".into())),
        ("immutable", changed(|it| it["immutable"] = true.into())),
    ]
}

/// A Secret of somebody's under the name can be neither adopted, nor changed, nor deleted. Answers what was tried.
async fn others_are_safe(
    home: &Home,
    api: &Api,
    namespace: &Namespace,
) -> Result<[&'static str; 5]> {
    let theirs = DockerConfig::new(&[("ghcr.io/acme", "of-the-user")]).secret(NAME);
    let stored = namespace.create_object("/api/v1", "secrets", &theirs).await?;
    let path = secret_path(namespace.name(), NAME);
    refusal("adopt", api.apply(&path, FORCED, &copy()).await?)?;
    let data = json!({"data": {KEY: copy()["data"][KEY]}});
    refusal("patch data", api.patch(&path, &data).await?)?;
    let label = json!({"metadata": {"labels": {"a": "b"}}});
    refusal("label", api.patch(&path, &label).await?)?;
    refusal("delete", api.delete(&path).await?)?;
    let now = home.secret(namespace, NAME).await?.context("deleted")?;
    ensure!(now == stored, "it has become {}", shape(&now));
    // Of a copy that somebody took over, nothing but the marks can be dropped.
    namespace.delete_object("/api/v1", &format!("secrets/{NAME}")).await?;
    api.apply(&path, FORCED, &copy()).await?.ok()?;
    let release = json!({
        "metadata": {"labels": {MARK.0: null},
                     "annotations": {"pullcred.dev/login": null, "pullcred.dev/content": null}},
        "data": {KEY: theirs["data"][KEY]},
    });
    refusal("release", api.patch(&path, &release).await?)?;
    namespace.delete_object("/api/v1", &format!("secrets/{NAME}")).await?;
    Ok([
        "adoption of a user's Secret",
        "its data",
        "its labels",
        "its deletion",
        "release with other data",
    ])
}

/// With the policy in force, a controller makes a copy, rotates it, removes a key that was added, and deletes it.
async fn what_controllers_do_passes(home: &Home, old: &[(&str, &str)]) -> Result<()> {
    let controller = home.start("0", "1s").await?;
    let namespace = home.opted_in("copies-policy-b", &[]).await?;
    home.copied(Instant::now(), &namespace, NAME, old).await?;
    let new = [("ghcr.io/acme", "canary-new-of-policy")];
    home.rotate_login("policy-login", &new).await?;
    home.copied(Instant::now(), &namespace, NAME, &new).await?;
    let more = json!({"data": {"more": BASE64_STANDARD.encode("x")}});
    namespace.patch_object("/api/v1", &format!("secrets/{NAME}"), &more).await?;
    until("copy without the key that was added", async || {
        let stored = home.secret(&namespace, NAME).await?.context("deleted")?;
        Ok(stored["data"].as_object().is_some_and(|it| it.len() == 1))
    })
    .await?;
    namespace.label(INJECT, None).await?;
    home.gone(Instant::now(), SOON, &namespace, NAME).await?;
    for operation in ["create", "update", "delete"] {
        let failed = home.written(&controller, operation, "failure").await?;
        ensure!(failed == 0, "{failed} of {operation} were refused");
        let succeeded = home.written(&controller, operation, "success").await?;
        ensure!(succeeded > 0, "there was no {operation}");
    }
    home.says_nothing(&[&controller]).await.map(drop)
}

/// A Secret of a user's with equal data cannot be joined. One that was joined before the policy was in force can be given
/// back.
async fn given_back(home: &Home, api: &Api) -> Result<()> {
    let namespace = home.labelled("copies-policy-joined", &json!({})).await?;
    let theirs = DockerConfig::new(&[("ghcr.io/acme", "x")]).secret(NAME);
    let before = namespace.create_object("/api/v1", "secrets", &theirs).await?;
    let path = secret_path(namespace.name(), NAME);
    let query = format!("fieldManager={MANAGER}");
    refusal("join", api.apply(&path, &query, &copy()).await?)?;
    let joined = home.api().apply(&path, &query, &copy()).await?.object()?;
    let empty = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": NAME, "uid": joined["metadata"]["uid"]},
    });
    let mut after = api.apply(&path, &query, &empty).await?.object()?;
    after["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
    ensure!(after == before, "{} has become {}", shape(&before), shape(&after));
    Ok(())
}

/// The policy refused, in words that show nothing.
fn refusal(what: &str, answer: Answer) -> Result<()> {
    ensure!(answer.status() == StatusCode::FORBIDDEN, "{what}: {}", answer.status());
    let refusal = answer.refusal()?;
    ensure!(refusal.contains("pullcred's credentials controller"), "{what}: {refusal}");
    Ok(())
}
