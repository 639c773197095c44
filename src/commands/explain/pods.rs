//! A Pod that is asked about: its images, its list of Secrets, and which of those there are.

use std::{
    collections::{HashMap, HashSet},
    mem,
};

use serde::Serialize;

use super::{facts::names, kubelet::PullSecrets};
use crate::{
    commands::manifests::SecretManifest,
    core::{
        decide::{Reason, decide},
        knowledge::NamespaceKnowledge,
        pod::Pod,
        review::Request,
        rules::Mapping,
    },
    pods::{self, Owner},
};

/// A Pod, or the template of Pods.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
    /// Each image once, with the containers and volumes that have it.
    pub(super) images: Vec<NamedImage>,
    /// The names in its `imagePullSecrets`.
    pub(super) listed: Vec<String>,
    /// The names that the webhook would add.
    pub(super) added: Vec<String>,
    /// Of these, those that no rule names: they exist in the namespace.
    pub(super) discovered: Vec<String>,
    /// The names that it leaves out, as reports say that they are missing or would do harm.
    pub(super) withheld: Vec<String>,
    /// What reports say of its Secrets, as the webhook warns of it.
    pub(super) warnings: Vec<String>,
    /// Why it would add none.
    pub(super) reason: Option<Reason>,
    /// Its containers that wait; empty where it does not run yet.
    pub(super) waiting: Vec<Waiting>,
    /// Whether it may never have been ready.
    pub(super) stuck: bool,
    /// What replaces it; none where it does not run.
    pub(super) owner: Option<Owner>,
    /// Whether it is a Pod that runs, so that its list cannot change any more.
    pub(super) runs: bool,
}

/// An image and who has it.
#[derive(Debug)]
pub(super) struct NamedImage {
    pub(super) image: String,
    /// Such as `container app`.
    pub(super) owners: Vec<String>,
    /// The names alone.
    pub(super) names: Vec<String>,
}

/// A container that waits for its image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Waiting {
    pub(super) container: String,
    /// Such as `ErrImagePull`.
    pub(super) reason: String,
    /// What the container runtime says.
    pub(super) message: String,
}

/// The Pod, within a line of JSON.
#[derive(Debug, Serialize)]
pub(super) struct PodLine {
    kind: String,
    namespace: String,
    name: String,
    /// The containers and volumes that have the image.
    containers: Vec<String>,
    pull_secrets: Vec<String>,
    /// What the webhook would add.
    added: Vec<String>,
    /// Of these, those that no rule names: they exist in the namespace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    discovered: Vec<String>,
    /// What the webhook would leave out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    withheld: Vec<String>,
    /// What the webhook would warn of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    /// Which of all of them are not there; none where that was not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waiting: Vec<Waiting>,
}

/// The Secrets that were given or read, by name.
#[derive(Debug, Default)]
pub(super) struct SecretsAtHand {
    /// In their order.
    secrets: Vec<SecretManifest>,
    /// By name: where in the list.
    by_name: HashMap<String, Vec<usize>>,
    /// By namespace and name: why a Secret could not be read.
    unknown: HashMap<(String, String), String>,
}

/// What is at hand of the Secrets of a Pod.
#[derive(Debug, Default)]
pub(super) struct AtHand {
    /// Those that the kubelet goes by, as it reads them.
    pub(super) pull: PullSecrets,
    /// Those that the Pod would get besides if it were created again.
    pub(super) besides: PullSecrets,
    /// The names of those that are not there.
    pub(super) missing: Vec<String>,
    /// The names of those that could not be looked at, and why.
    pub(super) unknown: Vec<(String, String)>,
    /// The names of those that pullcred did not make.
    pub(super) by_hand: Vec<String>,
}

// === impl Subject ===

impl Subject {
    /// Reads a Pod of `namespace`, whose Secrets are `known`, and decides for it as if it were new.
    pub(super) fn new(
        kind: &str,
        namespace: &str,
        name: &str,
        pod: Pod<'_>,
        mapping: &Mapping,
        known: Option<NamespaceKnowledge<'_>>,
    ) -> Self {
        let mut images: Vec<NamedImage> = Vec::new();
        for image in pod.images() {
            let owner = format!("{} {}", image.field.owner_kind(), image.owner);
            let at = images.iter().position(|named| named.image == image.reference);
            let at = at.unwrap_or_else(|| {
                let image = image.reference.to_owned();
                images.push(NamedImage { image, owners: Vec::new(), names: Vec::new() });
                images.len() - 1
            });
            if let Some(named) = images.get_mut(at) {
                named.owners.push(owner);
                named.names.push(image.owner.to_owned());
            }
        }
        let listed = pod.pull_secrets().filter(|name| !name.is_empty());
        let listed = listed.map(ToOwned::to_owned).collect();
        let request = Request::create(namespace, pod);
        let decision = decide(&request, mapping, known);
        Self {
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            images,
            listed,
            added: names(decision.injected()),
            discovered: names(&decision.discovered()),
            withheld: names(&decision.withheld()),
            warnings: decision.secret_warnings().to_vec(),
            reason: decision.reason(),
            waiting: Vec::new(),
            stuck: false,
            owner: None,
            runs: false,
        }
    }

    /// The Pod in a line of JSON about `image`.
    pub(super) fn line(&self, image: &NamedImage, at_hand: Option<&AtHand>) -> PodLine {
        let waiting = self.waiting.iter().filter(|it| image.names.contains(&it.container));
        PodLine {
            kind: self.kind.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            containers: image.names.clone(),
            pull_secrets: self.listed.clone(),
            added: self.added.clone(),
            discovered: self.discovered.clone(),
            withheld: self.withheld.clone(),
            warnings: self.warnings.clone(),
            missing: at_hand.map(|at_hand| at_hand.missing.clone()),
            waiting: waiting.cloned().collect(),
        }
    }
}

// === impl Waiting ===

impl From<pods::Waiting<'_>> for Waiting {
    fn from(waiting: pods::Waiting<'_>) -> Self {
        let pods::Waiting { container, reason, message } = waiting;
        let (container, reason) = (container.to_owned(), reason.to_owned());
        Self { container, reason, message: message.to_owned() }
    }
}

// === impl PodLine ===

impl PodLine {
    /// The containers with the image that wait.
    pub(super) fn waiting(&self) -> &[Waiting] {
        &self.waiting
    }
}

// === impl SecretsAtHand ===

impl SecretsAtHand {
    /// Takes a Secret in.
    pub(super) fn add(&mut self, secret: SecretManifest) {
        self.by_name.entry(secret.name.clone()).or_default().push(self.secrets.len());
        self.secrets.push(secret);
    }

    /// Drops the Secrets of all namespaces but these.
    pub(super) fn keep_only(&mut self, namespaces: &HashSet<&str>) {
        self.unknown.retain(|(namespace, _), _| namespaces.contains(namespace.as_str()));
        self.by_name.clear();
        for secret in mem::take(&mut self.secrets) {
            if secret.namespace.as_deref().is_none_or(|it| namespaces.contains(it)) {
                self.add(secret);
            }
        }
    }

    /// Whether there is no Secret, for any Pod.
    pub(super) fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// Records that a Secret could not be read.
    pub(super) fn add_unknown(&mut self, namespace: &str, name: &str, why: String) {
        self.unknown.insert((namespace.to_owned(), name.to_owned()), why);
    }

    /// All Secrets that a Pod of `namespace` can use, in their order. A Secret that names no namespace is for any.
    pub(super) fn of<'s>(
        &'s self,
        namespace: Option<&str>,
    ) -> impl Iterator<Item = &'s SecretManifest> {
        self.secrets.iter().filter(move |secret| is_for(secret, namespace))
    }

    /// What there is of the Secrets of a Pod.
    pub(super) fn find_for(&self, subject: &Subject) -> AtHand {
        let mut at_hand = AtHand::default();
        let listed = self.find(&subject.namespace, &subject.listed, &mut at_hand);
        let added = self.find(&subject.namespace, &subject.added, &mut at_hand);
        if subject.runs {
            // Its list is what it is.
            at_hand.pull = PullSecrets::new(listed);
            at_hand.besides = PullSecrets::new(added);
        } else {
            at_hand.pull = PullSecrets::new(listed.into_iter().chain(added));
        }
        at_hand
    }

    /// The Secrets of these names; what is not found goes into `at_hand`.
    fn find(
        &self,
        namespace: &str,
        names: &[String],
        AtHand { missing, unknown, by_hand, .. }: &mut AtHand,
    ) -> Vec<&SecretManifest> {
        let mut found = Vec::new();
        for name in names {
            let same = self.by_name.get(name).into_iter().flatten().rev();
            let mut same = same.filter_map(|&at| self.secrets.get(at));
            // Of two with one name, the cluster has the one that was applied last.
            if let Some(secret) = same.find(|secret| is_for(secret, Some(namespace))) {
                if !secret.is_copy && !by_hand.contains(name) {
                    by_hand.push(name.clone());
                }
                found.push(secret);
            } else if let Some(why) = self.unknown.get(&(namespace.to_owned(), name.clone())) {
                unknown.push((name.clone(), why.clone()));
            } else {
                missing.push(name.clone());
            }
        }
        found
    }
}

/// Whether a Pod of `namespace` can use the Secret.
fn is_for(secret: &SecretManifest, namespace: Option<&str>) -> bool {
    let own = secret.namespace.as_deref();
    own.is_none() || namespace.is_none() || own == namespace
}
