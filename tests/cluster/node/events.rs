//! What a kubelet says about a Pod: its events and the Pod's status.

use std::fmt;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    namespace::{Namespace, StoredPod},
    wait::until_some,
};

/// The events of a Pod that a kubelet sent, oldest first.
#[derive(Debug, Clone)]
pub(crate) struct Events(Vec<Event>);

/// One event.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    reason: String,
    message: String,
}

// === impl Events ===

impl Events {
    /// Of `pod`, so far.
    pub(crate) async fn of(namespace: &Namespace, pod: &StoredPod) -> Result<Self> {
        let uid = pod.at("/metadata/uid").and_then(Value::as_str).context("the Pod has no uid")?;
        let selector = format!("involvedObject.uid%3D{uid},source%3Dkubelet");
        let list = namespace.object("/api/v1", &format!("events?fieldSelector={selector}")).await?;
        let mut items: Vec<&Value> = list["items"].as_array().into_iter().flatten().collect();
        // An event's name ends with the nanosecond of its first occurrence.
        items.sort_by_key(|item| item["metadata"]["name"].as_str());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let event =
            |item: &Value| Event { reason: text(&item["reason"]), message: text(&item["message"]) };
        Ok(Self(items.into_iter().map(event).collect()))
    }

    /// Waits until there is an event `reason` whose message has `part` in it.
    pub(crate) async fn until(
        namespace: &Namespace,
        pod: &StoredPod,
        reason: &str,
        part: &str,
    ) -> Result<Self> {
        let (name, place) = (pod.name(), namespace.name());
        let what = format!("event {reason} ({part}) of Pod {name} in {place}");
        until_some(&what, async || {
            let events = Self::of(namespace, pod).await?;
            Ok(events.has(reason, part).then_some(events))
        })
        .await
    }

    /// Whether there is an event `reason` whose message has `part` in it.
    pub(crate) fn has(&self, reason: &str, part: &str) -> bool {
        self.0.iter().any(|event| event.reason == reason && event.message.contains(part))
    }

    /// The reasons, in order.
    pub(crate) fn reasons(&self) -> Vec<&str> {
        self.0.iter().map(|event| event.reason.as_str()).collect()
    }
}

/// As `kubectl describe` lists them, in one line.
impl fmt::Display for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Event { reason, message }) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}`{reason}` {message}")?;
        }
        Ok(())
    }
}

/// Waits until a Pod is in a phase, in `Running` until all its containers do, and answers what the
/// kubelet said until then.
pub(crate) async fn until_phase(
    namespace: &Namespace,
    pod: &StoredPod,
    phase: &str,
) -> Result<Events> {
    let containers = pod.at("/spec/containers").and_then(Value::as_array).map_or(0, Vec::len);
    let what = format!("{phase} Pod {} in {}", pod.name(), namespace.name());
    until_some(&what, async || {
        let now = namespace.pod(pod.name()).await?;
        let ready = now.at("/status/containerStatuses").and_then(Value::as_array);
        let ready = ready.is_some_and(|all| all.iter().all(|one| one["ready"] == true));
        let reached = now.at("/status/phase").is_some_and(|is| is == phase);
        if !reached || (phase == "Running" && !ready) {
            return Ok(None);
        }
        // Events take another way to the API server than the status.
        let events = Events::of(namespace, pod).await?;
        let started = events.reasons().into_iter().filter(|reason| *reason == "Started").count();
        Ok((started >= containers).then_some(events))
    })
    .await
}
