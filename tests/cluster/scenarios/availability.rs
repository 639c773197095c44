//! How the API server reaches the webhook, and what happens when it cannot.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use serde_json::json;

use crate::{
    cluster::{Cluster, MAPPING, loopback},
    fixtures::pod,
    namespace::{Namespace, PRIVATE_IMAGE},
    registration::Registration,
    report::Report,
    sandbox::{NODE_ADDRESS, next_port},
    wait::until,
};

/// The webhook leaves some seconds after the last connection; 95 s would mean that one stayed.
const LEAVE: Duration = Duration::from_secs(30);

/// A Service without kube-proxy: the API server finds the address in the EndpointSlice itself and
/// wants the Service's name in the certificate.
pub(crate) async fn service_with_endpoint_slice(cluster: Arc<Cluster>) -> Result<Report> {
    let home = cluster.unlabelled("pullcred-home").await?;
    let namespace = cluster.apart("through-a-service").await?;
    let listen = SocketAddr::new(NODE_ADDRESS, next_port());
    let host = format!("pullcred.{}.svc", home.name());
    let _webhook = cluster.start_webhook("behind-a-service", listen, &host, MAPPING).await?;
    publish(&home, listen).await?;
    Registration::service("pullcred-service", home.name(), "pullcred", cluster.webhooks())
        .only_in(&[namespace.name()])
        .create(cluster.api())
        .await?;
    namespace.until_injected().await?;
    let stored = namespace.create_pod(pod("app").image(PRIVATE_IMAGE.0)).await?;
    assert_eq!(stored.pull_secrets(), [PRIVATE_IMAGE.1]);
    Ok(Report::new().stored("webhook behind a Service and its EndpointSlice", &stored))
}

/// The webhook dies; Pods come through without their Secret, until it is back.
pub(crate) async fn down_with_ignore(cluster: Arc<Cluster>) -> Result<Report> {
    const WEBHOOK: &str = "ignore.pullcred.dev";
    let namespace = cluster.apart("down-with-ignore").await?;
    let listen = loopback();
    let start = || cluster.start_webhook("ignore", listen, "127.0.0.1", MAPPING);
    let webhook = start().await?;
    Registration::url("pullcred-ignore", listen, cluster.webhooks())
        .webhook_name(WEBHOOK)
        .only_in(&[namespace.name()])
        .create(cluster.api())
        .await?;
    namespace.until_injected().await?;

    webhook.kill();
    let down = namespace.create_pod(pod("down").image(PRIVATE_IMAGE.0)).await?;
    assert_eq!(down.pull_secrets(), []);
    let metrics = cluster.api().get("/metrics").await?.ok()?;
    let counted = format!("webhook_fail_open_count{{name=\"{WEBHOOK}\",type=\"admit\"}} 1");
    ensure!(metrics.contains(&counted), "the API server does not count {counted}");

    let _webhook = start().await?;
    let back = namespace.create_pod(pod("back").image(PRIVATE_IMAGE.0)).await?;
    assert_eq!(back.pull_secrets(), [PRIVATE_IMAGE.1]);
    Ok(Report::new()
        .stored("webhook killed, `failurePolicy: Ignore`", &down)
        .stored("the same webhook, started again", &back))
}

/// A webhook that is told to end still answers, on the connections that the API server keeps, asks
/// it to close them, and leaves when they are gone: no Pod is refused although the policy is Fail.
pub(crate) async fn ending_on_sigterm(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = cluster.apart("sigterm").await?;
    let listen = loopback();
    let mut webhook = cluster.start_webhook("sigterm", listen, "127.0.0.1", MAPPING).await?;
    Registration::url("pullcred-sigterm", listen, cluster.webhooks())
        .webhook_name("sigterm.pullcred.dev")
        .fail_closed()
        .only_in(&[namespace.name()])
        .create(cluster.api())
        .await?;
    namespace.until_injected().await?;

    webhook.process().terminate()?;
    let ending = namespace.create_pod(pod("ending").image(PRIVATE_IMAGE.0)).await?;
    assert_eq!(ending.pull_secrets(), [PRIVATE_IMAGE.1]);
    // Each call uses up a connection of the API server's pool; there are fewer than calls.
    for _ in 0..20 {
        namespace.dry_run(pod("probe").image(PRIVATE_IMAGE.0)).await?.ok()?;
    }
    let status = webhook.process().ended(LEAVE).await?;
    ensure!(status.success(), "it ended with {status}");
    Ok(Report::new().stored("webhook after SIGTERM, `failurePolicy: Fail`", &ending))
}

/// The webhook dies; the API server refuses Pods where it is registered and nowhere else, until
/// somebody removes the registration.
pub(crate) async fn down_with_fail(cluster: Arc<Cluster>) -> Result<Report> {
    const WEBHOOK: &str = "fail.pullcred.dev";
    let namespace = cluster.apart("down-with-fail").await?;
    let elsewhere = cluster.unlabelled("elsewhere").await?;
    let listen = loopback();
    let webhook = cluster.start_webhook("fail", listen, "127.0.0.1", MAPPING).await?;
    let registration = Registration::url("pullcred-fail", listen, cluster.webhooks())
        .webhook_name(WEBHOOK)
        .fail_closed()
        .only_in(&[namespace.name()]);
    registration.create(cluster.api()).await?;
    namespace.until_injected().await?;

    webhook.kill();
    let app = || pod("app").image(PRIVATE_IMAGE.0);
    let refusal = namespace.answer_to(app()).await?.refusal()?;
    ensure!(
        refusal.contains(&format!("failed calling webhook \"{WEBHOOK}\"")),
        "refused for another reason: {refusal}"
    );
    let untouched = elsewhere.create_pod(app()).await?;

    registration.delete(cluster.api()).await?;
    until("end of the refusals", async || {
        Ok(namespace.dry_run(app()).await?.status().is_success())
    })
    .await?;
    let healed = namespace.create_pod(app()).await?;
    assert_eq!(healed.pull_secrets(), []);
    let refusal = refusal.replace(&listen.port().to_string(), "PORT");
    Ok(Report::new()
        .seen("webhook killed, `failurePolicy: Fail`", format!("refused: {refusal}"))
        .stored("meanwhile in a namespace that did not opt in", &untouched)
        .stored("after the registration was deleted", &healed))
}

/// A Service without a selector, and the one address behind it.
async fn publish(home: &Namespace, address: SocketAddr) -> Result<()> {
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "pullcred"},
        "spec": {"ports": [{"name": "https", "port": 443, "targetPort": address.port()}]},
    });
    home.create_object("/api/v1", "services", &service).await?;
    home.add_endpoint("pullcred", "pullcred-1", address).await
}
