//! The Pods of a cluster, read page by page and explained as they come.

use std::{
    collections::{HashMap, HashSet},
    io::Write,
};

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, api::DynamicObject};
use serde::Deserialize;

use super::{
    Explainer,
    pods::{Stock, Subject},
};
use crate::{
    commands::{
        Failure,
        cluster::{ClusterError, ClusterOptions, block_on},
        owner::Owner,
        scan::{Asked, PodPages, Progress, secrets, waiting},
    },
    core::pod::{INJECT_LABEL, OPTED_IN, Pod},
};

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
        let (only, whose) = if live.all_namespaces {
            (None, "all namespaces")
        } else {
            (Some(namespace), namespace)
        };
        let mut pages = PodPages::new(cluster.client.clone(), only);
        let mut known = Known::new(cluster.client);
        let mut progress = Progress::of("Pods");
        let unlisted =
            |source| ClusterError::Request { attempt: format!("list the Pods of {whose}"), source };
        while let Some(items) = pages.next().await.map_err(unlisted)? {
            let subjects: Vec<Subject> =
                items.into_iter().filter_map(|pod| subject(pod, explainer)).collect();
            known.look_up(&subjects).await;
            for subject in &subjects {
                let opted_in = known.namespaces.get(&subject.namespace).copied().flatten();
                let at_hand = known.stock.look(subject);
                explainer.subject(subject, Some(&at_hand), opted_in, out)?;
            }
            progress.add(subjects.len(), stderr)?;
        }
        if progress.count() == 0 {
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
    let owner = Some(Owner::of(namespace, name, &value));
    Some(Subject { waiting: waiting(&value), owner, runs: true, ..subject })
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
        let wanted = names.filter(|name| self.asked.insert(name.clone())).collect::<Vec<_>>();
        for Asked { namespace, name, found } in secrets(&self.client, wanted).await {
            match found {
                Ok(Some(secret)) => self.stock.add(secret),
                // Not there, which is what the stock says of whatever it has not.
                Ok(None) => {}
                Err(why) => self.stock.add_unknown(&namespace, &name, why),
            }
        }
    }
}

async fn opted_in(client: Client, namespace: &str) -> Option<bool> {
    let namespace = Api::<Namespace>::all(client).get_opt(namespace).await.ok()??;
    let labels = namespace.metadata.labels.unwrap_or_default();
    Some(labels.get(INJECT_LABEL).is_some_and(|value| value == OPTED_IN))
}
