//! The webhook under the API server's own load: overload, rolling restarts, bursts.

use std::{
    env,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::{task::JoinSet, time::sleep};

use crate::{
    cluster::{Cluster, MAPPING, loopback},
    fixtures::pod,
    namespace::{Namespace, PRIVATE_IMAGE},
    pullcred::{Pullcred, Webhook},
    registration::Registration,
    report::Report,
    sandbox::{NODE_ADDRESS, next_port},
};

/// How long an endpoint is still in use after its process was told to leave.
const ENDPOINT_LAG: Duration = Duration::from_secs(1);
/// An API server keeps so many idle connections to one address (`MaxIdleConnsPerHost` of its transport).
const KEPT_CONNECTIONS: u64 = 25;
/// A replica leaves some seconds after its last connection, and in any case after 95.
const LEAVE: Duration = Duration::from_secs(110);

/// A webhook with room for one request at a time says so with 429 and `Retry-After`, and the API server asks again: no Pod
/// is refused, although the policy is Fail.
pub(crate) async fn room_for_one_request(cluster: Arc<Cluster>) -> Result<Report> {
    const PODS: usize = 200;
    let namespace = cluster.apart("room-for-one").await?;
    let listen = loopback();
    let webhook = start(&cluster, "one", listen, "127.0.0.1", &["--max-in-flight", "1"]).await?;
    Registration::url("pullcred-one", listen, cluster.webhooks())
        .webhook_name("one.pullcred.dev")
        .fail_closed()
        // The longest there is: how long a slow machine takes for all of them is not the question.
        .timeout_seconds(30)
        .only_in(&[namespace.name()])
        .create(cluster.api())
        .await?;
    namespace.until_injected().await?;
    let injected = burst(&namespace, PODS, PODS).await?;
    let shed = webhook.metric("pullcred_admission_shed_total").await?;
    Ok(Report::new().seen(
        format!("{PODS} Pods at once, room for one request, `failurePolicy: Fail`"),
        format!("{injected} with their Secret; {shed} requests were turned away and sent again"),
    ))
}

/// Two replicas behind a Service are replaced one after the other while Pods are created all the time: each Pod gets its
/// Secret, although a call that fails would refuse it.
pub(crate) async fn rolling_restarts(cluster: Arc<Cluster>) -> Result<Report> {
    let rollouts = env::var("PULLCRED_ROLLOUTS").map_or(Ok(2), |text| text.parse::<usize>())?;
    let home = cluster.unlabelled("rollout-home").await?;
    let namespace = cluster.apart("rolling-restarts").await?;
    let mut replicas = vec![replica(&cluster, &home, 0).await?, replica(&cluster, &home, 1).await?];
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "pullcred"},
        "spec": {"ports": [{"name": "https", "port": 443}]},
    });
    home.create_object("/api/v1", "services", &service).await?;
    Registration::service("pullcred-rollout", home.name(), "pullcred", cluster.webhooks())
        .webhook_name("rollout.pullcred.dev")
        .fail_closed()
        .only_in(&[namespace.name()])
        .create(cluster.api())
        .await?;
    namespace.until_injected().await?;

    let done = Arc::new(AtomicBool::new(false));
    let mut creators = JoinSet::new();
    for creator in 0..4 {
        creators.spawn(create_until(namespace.clone(), creator, Arc::clone(&done)));
    }
    let mut leaving = JoinSet::new();
    for next in 2..2 + 2 * rollouts {
        let mut old = replicas.remove(0);
        replicas.push(replica(&cluster, &home, next).await?);
        old.process().terminate()?;
        sleep(ENDPOINT_LAG).await;
        home.remove_endpoint("pullcred", &format!("pullcred-{}", next - 2)).await?;
        leaving.spawn(async move { old.process().ended(LEAVE).await });
    }
    done.store(true, Ordering::Relaxed);
    let mut created = 0;
    while let Some(pods) = creators.join_next().await {
        created += pods??;
    }
    while let Some(status) = leaving.join_next().await {
        ensure!(status??.success(), "a replica did not leave by itself");
    }
    ensure!(created >= 20 * rollouts, "only {created} Pods were created meanwhile");
    Ok(Report::new().seen(
        format!("{rollouts} rolling restarts of two replicas, `failurePolicy: Fail`, Pods created meanwhile"),
        "each Pod stored with its Secret",
    ))
}

/// A thousand Pods in a burst all get their Secret.
pub(crate) async fn burst_of_a_thousand(cluster: Arc<Cluster>) -> Result<Report> {
    let namespace = cluster.opted_in("burst").await?;
    let injected = burst(&namespace, 1000, 20).await?;
    Ok(Report::new().seen("a burst of 1000 Pods", format!("{injected} with their Secret")))
}

/// The API server uses its connections again: hundreds of calls, 16 of them at a time, take no more than the connections
/// that it keeps.
pub(crate) async fn reused_connections(cluster: Arc<Cluster>) -> Result<Report> {
    const PODS: usize = 400;
    let namespace = cluster.apart("reused-connections").await?;
    let listen = loopback();
    let webhook = start(&cluster, "reused", listen, "127.0.0.1", &[]).await?;
    Registration::url("pullcred-reused", listen, cluster.webhooks())
        .webhook_name("reused.pullcred.dev")
        .only_in(&[namespace.name()])
        .create(cluster.api())
        .await?;
    namespace.until_injected().await?;
    burst(&namespace, PODS, 16).await?;
    let opened = webhook.metric("pullcred_connections_opened_total").await?;
    ensure!(
        opened <= KEPT_CONNECTIONS,
        "the API server opened {opened} connections for {PODS} calls, and keeps {KEPT_CONNECTIONS}"
    );
    Ok(Report::new().seen(
        format!("connections to the webhook for {PODS} Pods, 16 at a time"),
        format!("at most {KEPT_CONNECTIONS}"),
    ))
}

/// Creates so many Pods, so many at a time, and counts those that are stored with their Secret, which must be all.
async fn burst(namespace: &Namespace, pods: usize, at_once: usize) -> Result<usize> {
    let mut creators = JoinSet::new();
    for creator in 0..at_once {
        let namespace = namespace.clone();
        creators.spawn(async move {
            for n in (creator..pods).step_by(at_once) {
                create(&namespace, &format!("burst-{n}")).await?;
            }
            anyhow::Ok((creator..pods).step_by(at_once).len())
        });
    }
    let mut injected = 0;
    while let Some(created) = creators.join_next().await {
        injected += created??;
    }
    ensure!(injected == pods, "{injected} of {pods}");
    Ok(injected)
}

async fn create_until(
    namespace: Namespace,
    creator: usize,
    done: Arc<AtomicBool>,
) -> Result<usize> {
    let mut created = 0;
    while !done.load(Ordering::Relaxed) {
        let name = format!("loop-{creator}-{created}");
        create(&namespace, &name).await?;
        created += 1;
    }
    Ok(created)
}

/// Creates a Pod that needs a Secret. It is an error if it is refused, or stored without.
async fn create(namespace: &Namespace, name: &str) -> Result<()> {
    let stored = namespace.create_pod(pod(name).image(PRIVATE_IMAGE.0)).await?;
    ensure!(stored.pull_secrets() == [PRIVATE_IMAGE.1], "{name}: {}", stored.pull_secrets());
    Ok(())
}

/// A replica of the webhook, and an EndpointSlice that leads to it.
async fn replica(cluster: &Cluster, home: &Namespace, number: usize) -> Result<Pullcred> {
    let listen = SocketAddr::new(NODE_ADDRESS, next_port());
    let host = format!("pullcred.{}.svc", home.name());
    let webhook = start(cluster, &format!("replica-{number}"), listen, &host, &[]).await?;
    home.add_endpoint("pullcred", &format!("pullcred-{number}"), listen).await?;
    Ok(webhook)
}

async fn start(
    cluster: &Cluster,
    name: &str,
    listen: SocketAddr,
    host: &str,
    flags: &[&str],
) -> Result<Pullcred> {
    let identity = cluster.webhooks().server(&[host])?;
    let webhook =
        Webhook { name, mapping: MAPPING, listen, identity: &identity, flags, environment: &[] };
    webhook.start(cluster.control_plane().folder()).await.context(name.to_owned())
}
