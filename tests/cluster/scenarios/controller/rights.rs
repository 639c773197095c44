//! What the chart lets a controller do, asked of the API server's own authorizer.

use std::{path::Path, process::Stdio, sync::Arc};

use anyhow::{Result, ensure};
use serde_json::json;

use super::home::{CA_SECRET, Home, TLS_SECRET, USUAL};
use crate::{
    account::api_with,
    api::{Answer, Api},
    cluster::Cluster,
    registration::COLLECTION,
    report::Report,
};

/// With a controller's token: its own two Secrets and the one registration, and nothing else.
pub(crate) async fn rights(cluster: Arc<Cluster>) -> Result<Report> {
    let home = Home::new(cluster, "controller-rights").await?;
    home.register(&["nowhere"]).await?;
    let _controller = home.start("0", USUAL).await?;
    home.until_published().await?;
    let other = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "other"},
        "stringData": {"password": "canary"},
    });
    home.namespace.create_object("/api/v1", "secrets", &other).await?;

    let kubeconfig = home.account().kubeconfig(home.server()?, "rights").await?;
    let listed = can_i(&home, &kubeconfig)?;
    let secrets = rules(&listed, "secrets");
    let verbs = "get list watch create patch";
    for (rule, secret) in secrets.iter().zip([CA_SECRET, TLS_SECRET]) {
        ensure!(rule.starts_with(&format!("secrets [] [{secret}] [{verbs}]")), "{rule}");
    }
    ensure!(secrets.len() == 2, "not the two Secrets alone: {listed}");
    let registrations = rules(&listed, "mutatingwebhookconfigurations");
    let own = format!("[] [{}] [get list watch patch]", home.registration());
    ensure!(
        registrations.iter().all(|rule| rule.ends_with(&own)) && registrations.len() == 1,
        "not the one registration alone: {listed}"
    );

    let api = api_with(&kubeconfig).await?;
    let refused = check_refusals(&home, &api).await?;
    Ok(Report::new()
        .seen("`kubectl auth can-i --list` as the controller: Secrets", secrets.join("; "))
        .seen("the same: registrations", registrations.join("; "))
        .seen("everything else that was tried as the controller", refused))
}

async fn check_refusals(home: &Home, api: &Api) -> Result<String> {
    let secrets = format!("/api/v1/namespaces/{}/secrets", home.namespace.name());
    let ours = home.secret_path(CA_SECRET);
    // What is allowed answers, or the refusals below would prove nothing.
    api.get(&ours).await?.ok()?;
    api.get(&format!("{secrets}?fieldSelector=metadata.name%3D{CA_SECRET}")).await?.ok()?;
    let secret =
        |name: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}});
    let nothing = json!({});
    let token = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "t", "annotations": {"kubernetes.io/service-account.name": "default"}},
    });
    let registration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "another"},
    });
    let tried: [(&str, Answer); 13] = [
        ("get another Secret", api.get(&format!("{secrets}/other")).await?),
        ("list Secrets", api.get(&secrets).await?),
        ("list Secrets of all namespaces", api.get("/api/v1/secrets").await?),
        (
            "list another Secret by name",
            api.get(&format!("{secrets}?fieldSelector=metadata.name%3Dother")).await?,
        ),
        ("watch Secrets", api.get(&format!("{secrets}?watch=true&timeoutSeconds=1")).await?),
        ("get a Secret elsewhere", api.get("/api/v1/namespaces/default/secrets/other").await?),
        ("create another Secret", api.post(&secrets, &secret("another")).await?),
        ("create a token", api.post(&secrets, &token).await?),
        ("patch another Secret", api.patch(&format!("{secrets}/other"), &nothing).await?),
        ("delete its own Secret", api.delete(&ours).await?),
        ("list registrations", api.get(COLLECTION).await?),
        ("create a registration", api.post(COLLECTION, &registration).await?),
        (
            "delete its registration",
            api.delete(&format!("{COLLECTION}/{}", home.registration())).await?,
        ),
    ];
    let mut names = Vec::new();
    for (what, answer) in tried {
        ensure!(answer.status().as_u16() == 403, "{what}: {}", answer.status());
        let refusal = answer.refusal()?;
        ensure!(!refusal.contains("canary"), "{refusal}");
        names.push(what);
    }
    Ok(format!("403 for: {}", names.join(", ")))
}

/// What `kubectl auth can-i --list` prints, blanks made one.
fn can_i(home: &Home, kubeconfig: &Path) -> Result<String> {
    let mut command = home.cluster.control_plane().program("kubectl");
    let output = command
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(["auth", "can-i", "--list", "--namespace", home.namespace.name()])
        .stdin(Stdio::null())
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(text.lines().map(line).collect::<Vec<_>>().join("\n"))
}

/// The lines about a resource.
fn rules(listed: &str, resource: &str) -> Vec<String> {
    listed.lines().filter(|line| line.starts_with(resource)).map(str::to_owned).collect()
}
