//! The Pods of a cluster, read page by page and explained as they come.

use std::collections::{BTreeMap, HashMap, HashSet};

use k8s_openapi::api::core::v1::Namespace;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Explainer, Options, PodContext,
    in_force::InForce,
    pods::{SecretsAtHand, Subject, Waiting},
};
use crate::{
    cluster::{CallError, Cluster, ClusterOptions, Collection, client::block_on},
    commands::{
        Failure, FileOrLive, Streams,
        check::WEBHOOK,
        paint::Paint,
        reports::{self, Reports},
        scan::{Asked, Progress, pods, secrets},
    },
    core::{knowledge::Knowledge, pod::Pod, rules::Mapping},
    pods::{Owner, StoredPod},
};

/// Which Pods of which cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// The cluster.
    pub cluster: ClusterOptions,
    /// Those of all namespaces.
    pub all_namespaces: bool,
}

/// Explains the Pods of a cluster, by `mapping` or by that of the webhook's Pods.
pub(super) fn run(
    live: &Live,
    options: &Options,
    mapping: Option<Mapping>,
    paint: Paint,
    Streams { stdin, stdout, stderr, .. }: &mut Streams<'_>,
) -> Result<(), Failure> {
    let (reports, namespace) = (options.reports.as_ref(), options.namespace.as_deref());
    let mut knowledge = Reports::of_manifests(reports, namespace, *stdin, *stderr)?;
    block_on(async {
        let cluster = live.cluster.connect().await?.patient();
        let InForce { webhook, namespace: own_namespace, given } = InForce::read(&cluster).await;
        let mapping = match (mapping, options.config.as_deref(), given) {
            (Some(mapping), Some(file), Ok(given)) => {
                if let Some(difference) = given.difference(&mapping, file) {
                    writeln!(stderr, "{difference}")?;
                }
                mapping
            }
            (Some(mapping), ..) => mapping,
            (None, _, Ok(given)) => {
                writeln!(
                    stderr,
                    "by the mapping of {}, which has the lines that are named",
                    given.place
                )?;
                given.mapping
            }
            (None, _, Err(why)) => {
                let what = "it is not known which mapping the cluster decides by";
                return Err(Failure::trouble(format!(
                    "{what}: {why}. Name one with --config FILE"
                )));
            }
        };
        if webhook == Some(false) {
            writeln!(
                stderr,
                "warning: no MutatingWebhookConfiguration has the webhook {WEBHOOK}: new Pods get nothing from a webhook, \
                 only from a policy of `pullcred policy` where there is one"
            )?;
        }
        let asks_for_reports = options.reports == Some(FileOrLive::Live);
        if asks_for_reports {
            let age = reports::age(&cluster, own_namespace.as_deref()).await;
            knowledge.set_fresh(age.counts(*stderr)?);
        }
        let own_namespace = own_namespace.map(Into::into);
        let mapping = &mapping.with_own_namespace(own_namespace);
        let explainer = &Explainer { options, mapping, paint };
        let namespace = options.namespace.as_deref().unwrap_or(cluster.namespace()).to_owned();
        let namespace = namespace.as_str();
        let (only, whose) = if live.all_namespaces {
            (None, "all namespaces")
        } else {
            (Some(namespace), namespace)
        };
        let mut pages = pods(&cluster, only);
        let mut known = Known::new(cluster, knowledge, asks_for_reports);
        let mut progress = Progress::of("Pods");
        while let Some(items) = pages.next::<Value>().await? {
            known.look_up_reports(&items).await?;
            let subject = |pod| subject(pod, explainer, &known.knowledge);
            let subjects: Vec<Subject> = items.iter().filter_map(subject).collect();
            known.look_up(&subjects).await;
            for subject in &subjects {
                let labels = known.namespaces.get(&subject.namespace).and_then(Option::as_ref);
                let at_hand = known.secrets_at_hand.find_for(subject);
                let known = known.knowledge.namespace(&subject.namespace);
                let context = PodContext { labels, webhook, known };
                explainer.subject(subject, Some(&at_hand), context, *stdout)?;
            }
            progress.add(subjects.len(), *stderr)?;
        }
        if progress.count() == 0 {
            writeln!(stderr, "no Pod found in {whose}")?;
        }
        Ok(())
    })
}

/// What is to be said of a Pod; none where it cannot be read, which the API server does not let happen.
fn subject(value: &Value, explainer: &Explainer<'_>, knowledge: &Knowledge) -> Option<Subject> {
    let namespace = namespace_of(value)?;
    let name = value.pointer("/metadata/name")?.as_str()?;
    let pod = Pod::deserialize(value).ok()?;
    let known = knowledge.namespace(namespace);
    let subject = Subject::new("Pod", namespace, name, pod, explainer.mapping, known);
    let stored = StoredPod::deserialize(value).unwrap_or_default();
    let owner = Some(Owner::of(namespace, &stored));
    let waiting = stored.waiting().map(Waiting::from).collect();
    Some(Subject { waiting, stuck: stored.is_stuck(), owner, runs: true, ..subject })
}

fn namespace_of(object: &Value) -> Option<&str> {
    object.pointer("/metadata/namespace")?.as_str()
}

/// What was looked up so far.
struct Known {
    cluster: Cluster,
    /// What reports say of Secrets.
    knowledge: Knowledge,
    /// The namespaces whose reports were asked for; `None` where none is to be.
    reported: Option<HashSet<String>>,
    secrets_at_hand: SecretsAtHand,
    asked: HashSet<(String, String)>,
    /// The labels of a namespace; none where it could not be looked at.
    namespaces: HashMap<String, Option<BTreeMap<String, String>>>,
}

// === impl Known ===

impl Known {
    fn new(cluster: Cluster, knowledge: Knowledge, asks_for_reports: bool) -> Self {
        Self {
            cluster,
            knowledge,
            reported: asks_for_reports.then(HashSet::new),
            secrets_at_hand: SecretsAtHand::default(),
            asked: HashSet::new(),
            namespaces: HashMap::new(),
        }
    }

    /// Reads the reports of the namespaces of these Pods that were not asked for yet.
    async fn look_up_reports(&mut self, pods: &[Value]) -> Result<(), CallError> {
        let Some(reported) = &mut self.reported else { return Ok(()) };
        for namespace in pods.iter().filter_map(namespace_of) {
            if reported.insert(namespace.to_owned()) {
                reports::look_up(&self.cluster, namespace, &mut self.knowledge).await?;
            }
        }
        Ok(())
    }

    /// Reads what these Pods need and is not known yet.
    async fn look_up(&mut self, subjects: &[Subject]) {
        // Pods come by namespace, so what is known of an earlier one is not needed again.
        let here: HashSet<&str> = subjects.iter().map(|it| it.namespace.as_str()).collect();
        self.secrets_at_hand.keep_only(&here);
        self.asked.retain(|(namespace, _)| here.contains(namespace.as_str()));
        self.namespaces.retain(|namespace, _| here.contains(namespace.as_str()));
        for Subject { namespace, .. } in subjects {
            if !self.namespaces.contains_key(namespace) {
                let labels = labels(&self.cluster, namespace).await;
                self.namespaces.insert(namespace.clone(), labels);
            }
        }
        let names = subjects.iter().flat_map(|subject| {
            let names = subject.listed.iter().chain(&subject.added);
            names.map(|name| (subject.namespace.clone(), name.clone()))
        });
        let wanted = names.filter(|name| self.asked.insert(name.clone())).collect::<Vec<_>>();
        for Asked { namespace, name, found, .. } in secrets(&self.cluster, wanted).await {
            match found {
                Ok(Some(secret)) => self.secrets_at_hand.add(secret),
                // Not there: the Pod reports it as missing.
                Ok(None) => {}
                Err(why) => self.secrets_at_hand.add_unknown(&namespace, &name, why),
            }
        }
    }
}

async fn labels(cluster: &Cluster, namespace: &str) -> Option<BTreeMap<String, String>> {
    let namespaces = Collection::of::<Namespace>(None);
    let namespace = cluster.get::<Namespace>(&namespaces, namespace).await.ok()??;
    Some(namespace.metadata.labels.unwrap_or_default())
}
