//! Whose tokens the credentials controller may have, as the chart installs it, and whose login a namespace gets by its own identity.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use axum::http::StatusCode;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    account::api_with,
    api::Api,
    clouds::{Received, aliyun::Aliyun, identity::verified},
    namespace::Namespace,
    node::{AUDIENCE, HOME, NodeCluster, SHARED},
    report::Report,
    sandbox::NODE_ADDRESS,
    wait::until,
};

const SHARED_ACCOUNT: (&str, &str) =
    ("acs:ram::333:role/pull", "acs:ram::333:oidc-provider/cluster");
const OWN_ACCOUNT: (&str, &str) = ("acs:ram::444:role/pull", "acs:ram::444:oidc-provider/cluster");
/// Namespaces with an identity of their own: the cloud trusts the first, does not know the second, and the third has none.
const OWN: [&str; 3] = ["own-a", "own-b", "own-c"];
/// The ServiceAccount of these namespaces, and the Secret that it fills.
const OWN_IDENTITY: &str = "team-pull";
const OWN_SECRET: &str = "ali-own";

/// The controller gets tokens of the `ServiceAccount`s that the mapping names, for the cloud's audience, and no others. Of two
/// namespaces with an identity of their own, only the one that the cloud trusts gets a login.
pub(crate) async fn as_installed(cluster: Arc<NodeCluster>) -> Result<Report> {
    let mut namespaces = Vec::new();
    for name in OWN {
        namespaces.push(cluster.opted_in(name).await?);
    }
    for namespace in &namespaces[..2] {
        create_account(namespace).await?;
    }
    let start = async |subject: String, account| {
        let trust = cluster.trust(&subject).await?;
        Ok::<_, anyhow::Error>(Aliyun::start_at(NODE_ADDRESS, cluster.clouds(), trust, account))
    };
    let shared =
        start(format!("system:serviceaccount:{HOME}:pullcred-pull"), SHARED_ACCOUNT).await?;
    let own = start(subject(OWN[0]), OWN_ACCOUNT).await?;
    let logins = [
        cluster.login("by-pullcred", SHARED_ACCOUNT, &shared),
        cluster.login("by-namespaces", OWN_ACCOUNT, &own),
    ];
    let rules = [
        json!({"registries": [SHARED.image("all/")], "secret": "ali-all", "login": "by-pullcred", "namespaces": OWN}),
        json!({"registries": [SHARED.image("own/")], "secret": OWN_SECRET, "login": "by-namespaces", "namespaces": OWN,
               "as": {"serviceAccount": OWN_IDENTITY}}),
    ];
    let values = cluster.values_with("identities", &logins, &rules)?;
    let played = match cluster.helm_upgrade_with(&["--values", &values]).await {
        Ok(_) => play(&cluster, &shared, &own).await,
        Err(error) => Err(error),
    };
    // Others want to play with it.
    cluster.helm_upgrade_without(&["by-pullcred"]).await?;
    for name in OWN {
        cluster.kubectl(&["delete", "namespace", name, "--wait=false"]).await?;
    }
    played
}

async fn play(cluster: &NodeCluster, shared: &Aliyun, own: &Aliyun) -> Result<Report> {
    let first = until_secret(cluster, OWN[0], OWN_SECRET).await?;
    let mut shared_copies = Vec::new();
    for name in OWN {
        shared_copies.push(until_secret(cluster, name, "ali-all").await?);
    }
    for name in &OWN[1..] {
        reported(cluster, name).await?;
    }
    // Attempts come a second after the first failure, and then more and more slowly.
    sleep(Duration::from_secs(3)).await;
    for name in &OWN[1..] {
        ensure!(secret(cluster, name, OWN_SECRET).await?.is_none(), "{name} has a login");
    }
    // More than one was fetched if the new rights were not yet in force when the first was to be stored.
    let [.., of_all] = &shared.logins()[..] else { anyhow::bail!("no login for all") };
    for copy in &shared_copies {
        ensure!(
            opens(copy, &SHARED.image("all/"), &of_all.user, &of_all.password)?,
            "another login"
        );
    }
    let [.., login] = &own.logins()[..] else { anyhow::bail!("no login") };
    ensure!(opens(&first, &SHARED.image("own/"), &login.user, &login.password)?, "another login");
    let subjects = subjects(cluster, own).await?;
    ensure!(subjects == BTreeSet::from([subject(OWN[0]), subject(OWN[1])]), "{subjects:?}");
    let (given, refused) = tokens(cluster).await?;
    Ok(Report::new()
        .seen("namespaces with one login by pullcred's identity", OWN.len().to_string())
        .seen(
            "namespaces with an identity of their own: trusted; unknown to the cloud; without the ServiceAccount",
            "its own login; an Event and no Secret; an Event and no Secret",
        )
        .seen("subjects of the tokens that the cloud was sent", subjects.into_iter().collect::<Vec<_>>().join(", "))
        .seen("the controller's requests for tokens", format!("{given} as the mapping has it: given; {refused} others: 403")))
}

/// Whether a Secret holds this login for this registry and nothing else.
fn opens(secret: &Value, registry: &str, user: &str, password: &str) -> Result<bool> {
    let config = secret["data"][".dockerconfigjson"].as_str().context("no Docker config")?;
    let config: Value = serde_json::from_slice(&BASE64_STANDARD.decode(config)?)?;
    let auth = BASE64_STANDARD.encode(format!("{user}:{password}"));
    Ok(config == json!({"auths": {registry: {"auth": auth}}}))
}

/// Asks for tokens as the controller. Answers how many were given and refused.
async fn tokens(cluster: &NodeCluster) -> Result<(usize, usize)> {
    let create = ["create", "token", "pullcred-credentials", "--namespace", HOME];
    let token = cluster.control_plane().kubectl(&create).await?;
    let kubeconfig = cluster.control_plane().kubeconfig_of_token("identities", token.trim())?;
    let api = api_with(&kubeconfig).await?;
    let elsewhere = cluster.unlabelled("own-elsewhere").await?;
    create_account(&elsewhere).await?;
    create_named(&elsewhere, "pullcred-pull").await?;
    let given = [
        (HOME, "pullcred-pull"),
        (OWN[0], OWN_IDENTITY),
        (OWN[1], OWN_IDENTITY),
        // By name, in all namespaces: the cloud's trust is by the namespace.
        (elsewhere.name(), OWN_IDENTITY),
    ];
    for (namespace, name) in given {
        let status = ask(&api, namespace, name, json!({"audiences": [AUDIENCE]})).await?;
        ensure!(status == StatusCode::CREATED, "{namespace}/{name}: {status}");
    }
    let usual = json!({"audiences": [AUDIENCE]});
    let refused = [
        (HOME, "default", usual.clone()),
        (HOME, "pullcred-credentials", usual.clone()),
        (HOME, "pullcred-controller", usual.clone()),
        (OWN[0], "default", usual.clone()),
        (elsewhere.name(), "pullcred-pull", usual.clone()),
        ("kube-system", "default", usual.clone()),
        // Those of the right names for anybody but the cloud, or for longer.
        (HOME, "pullcred-pull", json!({})),
        (HOME, "pullcred-pull", json!({"audiences": []})),
        (HOME, "pullcred-pull", json!({"audiences": ["https://kubernetes.default.svc"]})),
        (HOME, "pullcred-pull", json!({"audiences": [AUDIENCE, "sts.amazonaws.com"]})),
        (HOME, "pullcred-pull", json!({"audiences": [AUDIENCE], "expirationSeconds": 7200})),
        (OWN[0], OWN_IDENTITY, json!({"audiences": ["https://kubernetes.default.svc"]})),
    ];
    for (namespace, name, spec) in &refused {
        let status = ask(&api, namespace, name, spec.clone()).await?;
        ensure!(status == StatusCode::FORBIDDEN, "{namespace}/{name} {spec}: {status}");
    }
    cluster.kubectl(&["delete", "namespace", elsewhere.name(), "--wait=false"]).await?;
    Ok((given.len(), refused.len()))
}

async fn ask(api: &Api, namespace: &str, name: &str, spec: Value) -> Result<StatusCode> {
    let request =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
    Ok(api.post(&path, &request).await?.status())
}

/// The subjects of the tokens that an account was sent, each signed by the API server.
async fn subjects(cluster: &NodeCluster, cloud: &Aliyun) -> Result<BTreeSet<String>> {
    let trust = cluster.trust("").await?;
    let requests = cloud.server.requests();
    let forms = requests.iter().map(Received::form);
    let tokens = forms.filter_map(|form| {
        form.into_iter().find(|(name, _)| name == "OIDCToken").map(|(_, token)| token)
    });
    let subject = |token: String| {
        let claims = verified(&trust.jwks, &token);
        let claims = claims.map_err(|why| anyhow::anyhow!("a token is not trusted: {why:?}"))?;
        Ok(claims["sub"].as_str().unwrap_or_default().to_owned())
    };
    tokens.map(subject).collect()
}

/// Waits for the Event that says why a namespace has no login.
async fn reported(cluster: &NodeCluster, namespace: &str) -> Result<()> {
    let account = format!("ServiceAccount {namespace}/{OWN_IDENTITY}");
    until(&format!("Event about {account}"), async || {
        let list = cluster.api().get("/apis/events.k8s.io/v1/events").await?.object()?;
        let mut items = list["items"].as_array().into_iter().flatten();
        Ok(items.any(|it| {
            let note = it["note"].as_str().unwrap_or_default();
            it["reason"] == "LoginRefreshFailed" && note.contains(&account)
        }))
    })
    .await
}

async fn until_secret(cluster: &NodeCluster, namespace: &str, name: &str) -> Result<Value> {
    let what = format!("Secret {namespace}/{name}");
    crate::wait::until_some(&what, async || secret(cluster, namespace, name).await).await
}

async fn secret(cluster: &NodeCluster, namespace: &str, name: &str) -> Result<Option<Value>> {
    let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}");
    cluster.api().get(&path).await?.found()
}

/// The subject of the tokens of a namespace's own identity.
fn subject(namespace: &str) -> String {
    format!("system:serviceaccount:{namespace}:{OWN_IDENTITY}")
}

async fn create_account(namespace: &Namespace) -> Result<()> {
    create_named(namespace, OWN_IDENTITY).await
}

async fn create_named(namespace: &Namespace, name: &str) -> Result<()> {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
    namespace.create_object("/api/v1", "serviceaccounts", &account).await.map(drop)
}
