//! Others who have a say in a Pod's pull Secrets: its user, its ServiceAccount, other webhooks.

use std::sync::Arc;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, loopback},
    fixtures::pod,
    namespace::{Namespace, PRIVATE_IMAGE},
    registration::{INJECT, Registration, WEBHOOK},
    report::Report,
    sidecar::{PROXY_IMAGE, SidecarInjector},
    wait::until,
};

pub(crate) async fn pull_secrets_of_the_user(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = cluster.opted_in("own-list").await?;
    let others = pod("others").image(PRIVATE_IMAGE.0).pull_secrets(&["mine", "zeta"]);
    let others = namespace.create_pod(others).await?;
    assert_eq!(others.pull_secrets(), ["mine", "zeta", PRIVATE_IMAGE.1]);
    let same = pod("same").image(PRIVATE_IMAGE.0).pull_secrets(&[PRIVATE_IMAGE.1, "mine"]);
    let same = namespace.create_pod(same).await?;
    assert_eq!(same.pull_secrets(), [PRIVATE_IMAGE.1, "mine"]);
    Ok(Report::new()
        .stored("Pod that lists `mine, zeta` itself", &others)
        .stored("Pod that lists `aliyun, mine` itself, one of them ours", &same))
}

/// The API server copies a ServiceAccount's list to Pods that have none, before any webhook.
pub(crate) async fn pull_secrets_of_the_service_account(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = cluster.opted_in("service-account").await?;
    service_account(&namespace, "builder", &json!({}), &["robot", "backup"]).await?;
    let app = pod("app").image(PRIVATE_IMAGE.0).service_account("builder");
    let stored = namespace.create_pod(app).await?;
    assert_eq!(stored.pull_secrets(), ["robot", "backup", PRIVATE_IMAGE.1]);
    Ok(Report::new().stored("ServiceAccount with pull secrets `robot, backup`", &stored))
}

/// `kubernetes.io/enforce-mountable-secrets` (deprecated) makes the API server refuse, after all
/// webhooks, a Pod with a pull Secret that its ServiceAccount does not list. A webhook without
/// rights cannot see the annotation; so this is how it is, and what helps.
pub(crate) async fn enforced_mountable_secrets(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = cluster.opted_in("mountable").await?;
    let enforced = json!({"kubernetes.io/enforce-mountable-secrets": "true"});
    service_account(&namespace, "strict", &enforced, &[]).await?;
    service_account(&namespace, "strict-but-listed", &enforced, &[PRIVATE_IMAGE.1]).await?;

    let app = |name| pod(name).image(PRIVATE_IMAGE.0).service_account("strict");
    let refusal = namespace.answer_to(app("refused")).await?.refusal()?;
    ensure!(
        refusal.contains("does not reference that imagePullSecret"),
        "refused for another reason: {refusal}"
    );
    let opted_out = namespace.create_pod(app("opted-out").label(INJECT, "disabled")).await?;
    assert_eq!(opted_out.pull_secrets(), []);
    let listed = app("listed").service_account("strict-but-listed");
    let listed = namespace.create_pod(listed).await?;
    assert_eq!(listed.pull_secrets(), [PRIVATE_IMAGE.1]);
    Ok(Report::new()
        .seen("ServiceAccount that enforces mountable secrets", format!("refused: {refusal}"))
        .stored("the same, the Pod opted out", &opted_out)
        .stored("the same, the ServiceAccount lists the Secret", &listed))
}

/// A webhook that is called later adds a container, so the API server calls ours once more.
pub(crate) async fn sidecar_injected_afterwards(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = cluster.opted_in("sidecar").await?;
    let address = loopback();
    let identity = cluster.webhooks().server(&["127.0.0.1"])?;
    let _injector = SidecarInjector::serve(address, &identity).await?;
    // Webhooks are called in the order of their configurations' names: this is after `pullcred`.
    Registration::url("sidecar-injector", address, cluster.webhooks())
        .webhook_name("sidecar.cluster.test")
        .only_in(&[namespace.name()])
        .create(cluster.api())
        .await?;
    let app = |name| pod(name).image(PRIVATE_IMAGE.0);
    until("sidecar", async || {
        let answer = namespace.dry_run(app("probe")).await?.object()?;
        Ok(answer["spec"]["containers"][1]["image"] == PROXY_IMAGE)
    })
    .await?;

    let stored = namespace.create_pod(app("app")).await?;
    assert_eq!(stored.at("/spec/containers/1/image"), Some(&Value::from(PROXY_IMAGE)));
    assert_eq!(stored.pull_secrets(), [PRIVATE_IMAGE.1, "mesh"]);
    let audited = cluster.audited(&stored).await?;
    assert_eq!(audited.rounds_changed_by(WEBHOOK), [0, 1], "our webhook's changes by round");
    // What each of the two calls added is in the audit log.
    let mut injected = audited.annotations(WEBHOOK, "injected");
    injected.sort_unstable();
    assert_eq!(injected, [PRIVATE_IMAGE.1, "mesh"]);
    assert_eq!(audited.annotations(WEBHOOK, "uid").len(), 2);
    assert_eq!(audited.annotations(WEBHOOK, "skipped-reason"), [""; 0]);
    Ok(Report::new().stored("sidecar with a private image, injected by a later webhook", &stored))
}

async fn service_account(
    namespace: &Namespace,
    name: &str,
    annotations: &Value,
    pull_secrets: &[&str],
) -> Result<()> {
    let pull_secrets: Vec<Value> = pull_secrets.iter().map(|name| json!({"name": name})).collect();
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": name, "annotations": annotations},
        "imagePullSecrets": pull_secrets,
    });
    namespace.create_object("/api/v1", "serviceaccounts", &account).await.map(drop)
}
