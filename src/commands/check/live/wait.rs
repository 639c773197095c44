//! Waiting until the mapping that the webhook's Pods are given is the one that they decide by.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Pod;
use tokio::time::sleep;

use super::{
    LiveCheck,
    in_force::{Given, NotGiven, is_ready, ready_since},
    ours,
    serving::pods_behind,
};
use crate::{cluster::CallError, commands::Failure, mapping, pki::time};

/// The pause between two checks. The kubelet and the webhook take seconds, too.
const PACE: Duration = Duration::from_secs(2);
/// Nodes learn one by one that a Service leads to a new Pod, a second or more after it is ready. Until then a call of the webhook
/// can fail, and a Pod be created without its Secret.
const SETTLE: Duration = Duration::from_secs(5);

/// Whether the mapping is in force.
enum State {
    /// Every Pod is ready and decides by it, the last of them since then, in seconds since the Unix epoch.
    InForce(i64),
    /// It is worth waiting: what is missing.
    NotYet(String),
    /// Waiting changes nothing; the checks say what is wrong.
    Never,
}

// === impl LiveCheck ===

impl LiveCheck<'_> {
    /// Waits until every webhook Pod is ready and decides by the mapping that it is given, for `limit` at the most, and
    /// says what it waits for.
    ///
    /// # Errors
    ///
    /// [`Failure`] where the mapping is not in force in time.
    pub(super) async fn wait(
        &self,
        limit: Duration,
        stderr: &mut dyn Write,
    ) -> Result<(), Failure> {
        let begin = Instant::now();
        let mut said = String::new();
        loop {
            let missing = match self.state().await {
                State::InForce(since) => {
                    // Once, and not in a loop: the cluster's clock may be another.
                    if time::now() < since.saturating_add(SETTLE.as_secs().cast_signed()) {
                        sleep(SETTLE).await;
                    }
                    return Ok(());
                }
                State::Never => return Ok(()),
                State::NotYet(missing) => missing,
            };
            let left = limit.saturating_sub(begin.elapsed());
            if left.is_zero() {
                let seconds = limit.as_secs();
                let message = format!("not in force after {seconds} seconds: {missing}");
                return Err(Failure::trouble(message));
            }
            if missing != said {
                writeln!(stderr, "waiting: {missing}")?;
                said = missing;
            }
            sleep(PACE.min(left)).await;
        }
    }

    async fn state(&self) -> State {
        let pods = match self.webhook_pods().await {
            Ok(Some(pods)) => pods,
            Ok(None) => return State::Never,
            Err(error) => return State::NotYet(error.reason()),
        };
        if let Some(pod) = pods.iter().find(|pod| !is_ready(pod)) {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            return State::NotYet(format!("webhook Pod {name} is not ready"));
        }
        let given = match Given::read(&self.cluster, &pods).await {
            Ok(given) => given,
            Err(NotGiven::NoPod) if pods.is_empty() => {
                return State::NotYet("there is no webhook Pod".to_owned());
            }
            Err(NotGiven::NoPod | NotGiven::NoKey(..)) => return State::Never,
            Err(NotGiven::Unread(place, why)) => return State::NotYet(format!("{place}: {why}")),
        };
        if mapping::parse(&given.text).is_err() {
            return State::Never;
        }
        let in_force = given.in_force(&self.cluster, &pods).await;
        if !in_force.everywhere() {
            return State::NotYet(in_force.missing());
        }
        State::InForce(pods.iter().filter_map(ready_since).max().unwrap_or_default())
    }

    /// The Pods of the webhook that are to stay; none where no Service is called at all.
    async fn webhook_pods(&self) -> Result<Option<Vec<Pod>>, CallError> {
        let configurations = self.configurations().await?;
        let webhooks = configurations.iter().flat_map(|it| ours(it, self.live));
        let mut found = None;
        for service in webhooks.filter_map(|(_, it)| it.client_config.service.as_ref()) {
            let pods = pods_behind(&self.cluster, service).await?;
            let stay = pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
            found.get_or_insert_with(Vec::new).extend(stay);
        }
        Ok(found)
    }
}
