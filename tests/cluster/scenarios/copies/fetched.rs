//! What a credentials controller may do where it fetches logins: the rights and the policies of the chart, on the API server.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use axum::http::StatusCode;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{
    granted::ADMISSION,
    home::{ACCOUNT, MARK, secret_path},
    login::DockerConfig,
};
use crate::{
    account::{Account, api_with},
    api::{Answer, Api},
    cluster::Cluster,
    namespace::Namespace,
    report::Report,
    wait::until,
};

/// The chart with logins that are fetched, as Helm renders it: its own tests keep this file true.
const CHART: &str = include_str!("../../../chart/snapshots/clouds.snap");
const HOME: &str = "copies-fetched";
const FORCED: &str = "fieldManager=pullcred-credentials&force=true";

/// With a controller's token: tokens of two `ServiceAccounts` by name, for the audiences of the mapping; the Secrets of fetched logins
/// by name, in its own namespace; and of Secrets with keys, reading alone.
pub(crate) async fn fetched(cluster: Arc<Cluster>) -> Result<Report> {
    let home = Namespace::create(cluster.api(), HOME, &json!({})).await?;
    let away = Namespace::create(cluster.api(), "copies-fetched-a", &json!({})).await?;
    let account = Account::create(cluster.control_plane(), &home, ACCOUNT).await?;
    grant(cluster.api(), &account).await?;
    for (namespace, name) in [
        (&home, "pullcred-pull"),
        (&away, "pullcred-pull"),
        (&home, "team-pull"),
        (&away, "team-pull"),
    ] {
        let account =
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
        namespace.create_object("/api/v1", "serviceaccounts", &account).await?;
    }
    let keys = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ali-b-keys"},
                      "stringData": {"accessKeyId": "x"}});
    home.create_object("/api/v1", "secrets", &keys).await?;
    let kubeconfig = account.kubeconfig(account.server()?, HOME).await?;
    let api = api_with(&kubeconfig).await?;
    until("start of the policy of tokens", async || {
        let answer = token(&api, &home, "pullcred-pull", &json!({"audiences": ["x"]})).await?;
        Ok(answer.status() == StatusCode::FORBIDDEN)
    })
    .await?;
    until("start of the policy of Secrets", async || {
        let mut opaque = login("pullcred-login-ecr");
        opaque["type"] = "Opaque".into();
        let path = secret_path(HOME, "pullcred-login-ecr");
        let answer = api.apply(&path, "fieldManager=a&dryRun=All", &opaque).await?;
        Ok(answer.status() == StatusCode::FORBIDDEN)
    })
    .await?;
    let audiences = tokens(&api, &home, &away).await?;
    let secrets = secrets(&api, &home, &away).await?;
    Ok(Report::new()
        .seen("tokens that it gets, for these audiences alone", audiences.join(", "))
        .seen("refused with its token, of Secrets", secrets.join(", ")))
}

/// Each audience of the mapping is given, and nothing else.
async fn tokens(api: &Api, home: &Namespace, away: &Namespace) -> Result<Vec<String>> {
    let given = [
        "sts.amazonaws.com",
        "api://AzureADTokenExchange",
        "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k8s",
    ];
    for audience in given {
        let spec = json!({"audiences": [audience], "expirationSeconds": 3600});
        for (namespace, name) in [(home, "pullcred-pull"), (away, "team-pull")] {
            let answer = token(api, namespace, name, &spec).await?.object()?;
            let token = answer["status"]["token"].as_str().context("no token")?.to_owned();
            let claims = token.split('.').nth(1).context("no claims")?;
            let claims: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims)?)?;
            ensure!(claims["aud"] == json!([audience]), "{}", claims["aud"]);
            let subject = format!("system:serviceaccount:{}:{name}", namespace.name());
            ensure!(claims["sub"] == *subject, "{}", claims["sub"]);
        }
    }
    for (what, spec, words) in [
        ("the API server's", json!({}), "of one audience each"),
        ("an empty list", json!({"audiences": []}), "of one audience each"),
        ("none", json!({"audiences": [""]}), "of one audience each"),
        (
            "Kubernetes' usual",
            json!({"audiences": ["https://kubernetes.default.svc"]}),
            "of one audience each",
        ),
        ("another", json!({"audiences": ["sts.aliyuncs.com"]}), "of one audience each"),
        (
            "two",
            json!({"audiences": [given[0], "https://kubernetes.default.svc"]}),
            "of one audience each",
        ),
        (
            "a day",
            json!({"audiences": [given[0]], "expirationSeconds": 86400}),
            "of an hour at most",
        ),
    ] {
        for (namespace, name) in [(home, "pullcred-pull"), (away, "team-pull")] {
            let answer = token(api, namespace, name, &spec).await?;
            ensure!(answer.status() == StatusCode::FORBIDDEN, "{what}: {}", answer.status());
            let refusal = answer.refusal()?;
            ensure!(refusal.contains(words), "{what}: {refusal}");
        }
    }
    let spec = json!({"audiences": [given[0]]});
    for (namespace, name) in [(away, "pullcred-pull"), (home, "default"), (away, "default")] {
        let answer = token(api, namespace, name, &spec).await?;
        ensure!(answer.status() == StatusCode::FORBIDDEN, "{name}: {}", answer.status());
    }
    Ok(given.map(str::to_owned).into())
}

async fn token(api: &Api, namespace: &Namespace, name: &str, spec: &Value) -> Result<Answer> {
    let request =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
    let path = format!("/api/v1/namespaces/{}/serviceaccounts/{name}/token", namespace.name());
    api.post(&path, &request).await
}

/// A fetched login can be written under its own name, as what it is.
async fn secrets(api: &Api, home: &Namespace, away: &Namespace) -> Result<Vec<&'static str>> {
    let name = "pullcred-login-ecr";
    let path = secret_path(home.name(), name);
    api.apply(&path, "fieldManager=pullcred-credentials", &login(name)).await?.ok()?;
    let mut renewed = login(name);
    renewed["metadata"]["annotations"]["pullcred.dev/expires-at"] = "2026-01-01T13:00:00Z".into();
    api.apply(&path, FORCED, &renewed).await?.ok()?;
    let stored = api.get(&path).await?.object()?;
    let ends = &stored["metadata"]["annotations"]["pullcred.dev/expires-at"];
    ensure!(ends == "2026-01-01T13:00:00Z", "{ends}");
    // A namespace's own identity writes the same, under the name of the rule.
    api.apply(&secret_path(away.name(), "acr"), FORCED, &login("acr")).await?.ok()?;
    api.get(&secret_path(home.name(), "ali-b-keys")).await?.ok()?;

    let changed = |change: fn(&mut Value)| {
        let mut object = login("pullcred-login-ecr");
        change(&mut object);
        object
    };
    let mut refused = Vec::new();
    for (what, object) in [
        ("another type", changed(|it| it["type"] = "Opaque".into())),
        ("without the mark", changed(|it| it["metadata"]["labels"] = json!({}))),
        ("another label", changed(|it| it["metadata"]["labels"]["a"] = "b".into())),
        ("another annotation", changed(|it| it["metadata"]["annotations"]["a"] = "b".into())),
        ("another key", changed(|it| it["data"]["a"] = "eA==".into())),
    ] {
        let answer = api.apply(&path, FORCED, &object).await?;
        ensure!(answer.status().is_client_error(), "{what}: {}", answer.status());
        refused.push(what);
    }
    for (what, namespace, name) in [
        ("a login that only namespaces fetch", home, "pullcred-login-acr"),
        ("a copy at home", home, "ecr"),
        ("a login's name elsewhere", away, "pullcred-login-ecr"),
        ("keys", home, "ali-b-keys"),
        ("another login's", home, "robot"),
    ] {
        let answer = api.apply(&secret_path(namespace.name(), name), FORCED, &login(name)).await?;
        ensure!(answer.status() == StatusCode::FORBIDDEN, "{what}: {}", answer.status());
        refused.push(what);
    }
    let answer = api.delete(&path).await?;
    ensure!(answer.status() == StatusCode::FORBIDDEN, "deletion: {}", answer.status());
    refused.push("deletion");
    Ok(refused)
}

/// A login as a controller applies it.
fn login(name: &str) -> Value {
    let mut login = DockerConfig::new(&[("ghcr.io/acme", "x")]).secret(name);
    login["metadata"]["labels"] = json!({MARK.0: MARK.1});
    login["metadata"]["annotations"] = json!({
        "pullcred.dev/login": "ecr", "pullcred.dev/content": "0123456789abcdef0123456789abcdef",
        "pullcred.dev/issued-at": "2026-01-01T00:00:00Z", "pullcred.dev/renew-at": "2026-01-01T06:00:00Z",
        "pullcred.dev/expires-at": "2026-01-01T12:00:00Z",
    });
    login
}

/// Gives the account the rights and the policies of the chart, for another namespace.
async fn grant(api: &Api, account: &Account) -> Result<()> {
    let mut policies = 0;
    for rendered in CHART.split("\n---\n") {
        if !rendered.contains("# Source: pullcred/templates/credentials/") {
            continue;
        }
        let rendered = rendered
            .replace("system:serviceaccount:pullcred:pullcred-credentials", &account.user())
            .replace("'kube-system', 'pullcred'", &format!("'kube-system', '{HOME}'"))
            .replace("request.namespace == 'pullcred'", &format!("request.namespace == '{HOME}'"))
            .replace("name: pullcred-credentials", &format!("name: {HOME}"))
            .replace("policyName: pullcred-credentials", &format!("policyName: {HOME}"));
        let mut object: Value = serde_saphyr::from_str(&rendered)?;
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        match kind.as_str() {
            "ClusterRole" | "Role" => account.bind(api, &kind, object["rules"].take()).await?,
            "ValidatingAdmissionPolicy" | "ValidatingAdmissionPolicyBinding" => {
                let collection = if kind.ends_with('g') { "policybindings" } else { "policies" };
                let path = format!("{ADMISSION}/validatingadmission{collection}");
                api.post(&path, &object).await?.ok()?;
                policies += 1;
            }
            _ => {}
        }
    }
    ensure!(policies == 4, "the chart has {policies} policies and bindings");
    Ok(())
}
