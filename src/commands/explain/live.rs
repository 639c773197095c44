//! The Pods of a cluster, read page by page and explained as they come.

use std::{
    collections::{HashMap, HashSet},
    io::{self, Write},
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams, ObjectList},
};
use serde::Deserialize;
use serde_json::Value;
use tokio::task::JoinSet;

use super::{
    Explainer,
    advice::PULL_REASONS,
    pods::{Stock, Subject, Waiting},
};
use crate::{
    commands::{
        Failure,
        cluster::{ClusterError, ClusterOptions, block_on, told},
        manifests::SecretManifest,
    },
    core::pod::{INJECT_LABEL, Pod},
};

/// How many Pods are asked for at a time.
const PAGE: u32 = 250;
/// How many Secrets are asked for at a time.
const AT_ONCE: usize = 8;
/// How long nothing is said of the progress.
const SILENCE: Duration = Duration::from_secs(2);

/// Which Pods of which cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// The cluster.
    pub cluster: ClusterOptions,
    /// Those of all namespaces.
    pub all_namespaces: bool,
}

/// Explains the Pods of a cluster.
pub(super) fn run(
    live: &Live,
    explainer: &Explainer<'_>,
    out: &mut dyn Write,
    stderr: &mut dyn Write,
) -> Result<(), Failure> {
    block_on(async {
        let cluster = live.cluster.connect().await?;
        let namespace = explainer.options.namespace.as_deref().unwrap_or(&cluster.namespace);
        let resource = ApiResource::erase::<k8s_openapi::api::core::v1::Pod>(&());
        let client = cluster.client.clone();
        let (pods, whose): (Api<DynamicObject>, _) = if live.all_namespaces {
            (Api::all_with(client, &resource), "all namespaces")
        } else {
            (Api::namespaced_with(client, namespace, &resource), namespace)
        };
        let mut known = Known::new(cluster.client);
        let mut progress = Progress::new();
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let ObjectList { items, metadata, .. } = pods.list(&page).await.map_err(|source| {
                ClusterError::Request { attempt: format!("list the Pods of {whose}"), source }
            })?;
            let subjects: Vec<Subject> =
                items.into_iter().filter_map(|pod| subject(pod, explainer)).collect();
            known.look_up(&subjects).await;
            for subject in &subjects {
                let opted_in = known.namespaces.get(&subject.namespace).copied().flatten();
                let at_hand = known.stock.look(subject);
                explainer.subject(subject, Some(&at_hand), opted_in, out)?;
            }
            progress.add(subjects.len(), stderr)?;
            match metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page.continue_token = Some(token),
                None => break,
            }
        }
        if progress.pods == 0 {
            writeln!(stderr, "no Pod found in {whose}")?;
        }
        Ok(())
    })
}

/// What is to be said of a Pod; none where it cannot be read, which the API server does not let happen.
fn subject(pod: DynamicObject, explainer: &Explainer<'_>) -> Option<Subject> {
    let value = serde_json::to_value(pod).ok()?;
    let namespace = value.pointer("/metadata/namespace")?.as_str()?;
    let name = value.pointer("/metadata/name")?.as_str()?;
    let pod = Pod::deserialize(&value).ok()?;
    let subject = Subject::new("Pod", namespace, name, pod, explainer.known);
    Some(Subject { waiting: waiting(&value), runs: true, ..subject })
}

/// The containers that wait for their images.
fn waiting(pod: &Value) -> Vec<Waiting> {
    let statuses = ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"];
    let statuses =
        statuses.into_iter().filter_map(|field| pod.get("status")?.get(field)?.as_array());
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    statuses
        .flatten()
        .filter_map(|status| {
            let waiting = status.get("state")?.get("waiting")?;
            Some(Waiting {
                container: text(status.get("name")),
                reason: text(waiting.get("reason")),
                message: text(waiting.get("message")),
            })
        })
        .filter(|waiting| PULL_REASONS.contains(&waiting.reason.as_str()))
        .collect()
}

/// What was looked up so far.
struct Known {
    client: Client,
    stock: Stock,
    asked: HashSet<(String, String)>,
    /// Whether a namespace has opted in; none where that could not be looked at.
    namespaces: HashMap<String, Option<bool>>,
}

// === impl Known ===

impl Known {
    fn new(client: Client) -> Self {
        let (asked, namespaces) = (HashSet::new(), HashMap::new());
        Self { client, stock: Stock::default(), asked, namespaces }
    }

    /// Looks up all that is to be known about these Pods and is not yet.
    async fn look_up(&mut self, subjects: &[Subject]) {
        for Subject { namespace, .. } in subjects {
            if !self.namespaces.contains_key(namespace) {
                let opted_in = opted_in(self.client.clone(), namespace).await;
                self.namespaces.insert(namespace.clone(), opted_in);
            }
        }
        let names = subjects.iter().flat_map(|subject| {
            let names = subject.listed.iter().chain(&subject.added);
            names.map(|name| (subject.namespace.clone(), name.clone()))
        });
        let mut wanted = names.filter(|name| self.asked.insert(name.clone())).collect::<Vec<_>>();
        let mut asking = JoinSet::new();
        loop {
            while asking.len() < AT_ONCE {
                let Some((namespace, name)) = wanted.pop() else { break };
                asking.spawn(secret(self.client.clone(), namespace, name));
            }
            match asking.join_next().await {
                Some(Ok((_, _, Ok(Some(secret))))) => self.stock.add(secret),
                Some(Ok((namespace, name, Err(why)))) => {
                    self.stock.add_unknown(&namespace, &name, why);
                }
                // Not there, which is what the stock says of whatever it has not.
                Some(Ok((_, _, Ok(None))) | Err(_)) => {}
                None => return,
            }
        }
    }
}

async fn opted_in(client: Client, namespace: &str) -> Option<bool> {
    let namespace = Api::<Namespace>::all(client).get_opt(namespace).await.ok()??;
    let labels = namespace.metadata.labels.unwrap_or_default();
    Some(labels.get(INJECT_LABEL).is_some_and(|value| value == "enabled"))
}

/// A Secret, none where there is none, or why it could not be looked at.
async fn secret(
    client: Client,
    namespace: String,
    name: String,
) -> (String, String, Result<Option<SecretManifest>, String>) {
    let found = Api::<Secret>::namespaced(client, &namespace).get_opt(&name).await;
    let found = found
        .map_err(|error| told(&error))
        .map(|secret| secret.map(|secret| SecretManifest::from_api(&namespace, &name, secret)));
    (namespace, name, found)
}

/// Says how far a long scan is.
struct Progress {
    pods: usize,
    told: Instant,
}

// === impl Progress ===

impl Progress {
    fn new() -> Self {
        Self { pods: 0, told: Instant::now() }
    }

    fn add(&mut self, pods: usize, stderr: &mut dyn Write) -> io::Result<()> {
        self.pods += pods;
        if self.told.elapsed() < SILENCE {
            return Ok(());
        }
        self.told = Instant::now();
        writeln!(stderr, "{} Pods so far", self.pods)
    }
}
