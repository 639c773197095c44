//! The decision: which Secrets a request's Pod gets. No clock, no I/O, no logging.

mod known;

use std::collections::HashSet;

use json_patch::Patch;

use self::known::Known;
use super::{
    image::ImageRef,
    knowledge::NamespaceKnowledge,
    patch::{self, Additions},
    pod::{OPTED_OUT, Pod},
    reports::ReportedState,
    review::Request,
    rules::Mapping,
    warnings::{self, Warnings},
};

/// The only operation for which a Pod gets Secrets: `imagePullSecrets` cannot change later.
pub const OPERATION: &str = "CREATE";

/// The decision on a request. The request is always allowed.
#[derive(Debug)]
pub struct Decision<'a> {
    reason: Option<Reason>,
    secrets: Vec<SecretDecision<'a>>,
    additions: Option<Additions<'a>>,
    registries: Vec<&'a str>,
    warnings: Vec<String>,
    /// How many of the warnings are about images: the first.
    of_images: usize,
}

/// The decision on one Secret of a Pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretDecision<'a> {
    /// The name of the Secret.
    pub name: &'a str,
    /// Why the Pod is to have it.
    pub source: SecretSource,
    /// Whether the patch adds it, and otherwise why not.
    pub outcome: SecretOutcome,
}

/// Why a Pod is to have a Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretSource {
    /// A rule of the mapping names it for an image.
    Image,
    /// The mapping names it for every Pod.
    EveryPod,
    /// It exists in the namespace, and a kubelet offers it for an image.
    Discovered,
}

/// The outcomes for a Secret of a Pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretOutcome {
    /// The patch adds it.
    Injected,
    /// The Pod lists it already.
    Present,
    /// The patch leaves it out: its rule says so where the namespace lacks it, or no image needs it and in the list it would
    /// fail every pull of the Pod.
    Withheld(ReportedState),
}

/// Why a Pod stays unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The Pod lists every Secret that its images need.
    AlreadyPresent,
    /// The namespace is one of [`EXCLUDED_NAMESPACES`](super::rules::EXCLUDED_NAMESPACES) or the webhook's own.
    ExcludedNamespace,
    /// A mirror of a static Pod: the kubelet would delete it if it were changed.
    MirrorPod,
    /// Another kind of object.
    NotAPod,
    /// Another operation than CREATE: `imagePullSecrets` cannot be changed later.
    NotCreate,
    /// No rule covers any of the images.
    NothingMatches,
    /// The Pod has the label `pullcred.dev/inject: disabled`.
    OptedOut,
    /// A subresource, such as `status` or `ephemeralcontainers`.
    Subresource,
    /// The Pod cannot be parsed.
    Unreadable,
    /// What the Pod needs is left out, since it is missing or would do harm.
    Withheld,
}

/// The most registries that a decision names: enough for any real Pod, and a limit for a hostile one.
const NAMED_REGISTRIES: usize = 16;
/// The longest registry that a decision names, in bytes: a DNS name of 253 (RFC 1035, section 2.3.4) and a port. A glob may
/// cover a longer one, but no kubelet can pull from it.
const NAMED_REGISTRY: usize = 253 + ":65535".len();

/// Decides which Secrets the Pod of `request` gets, from the mapping and from what is known of the Secrets in the request's
/// namespace.
#[must_use]
pub fn decide<'a>(
    request: &'a Request<'_>,
    mapping: &'a Mapping,
    known: Option<NamespaceKnowledge<'a>>,
) -> Decision<'a> {
    if let Some(reason) = out_of_scope(request, mapping) {
        return Decision::leave(reason);
    }
    match &request.object {
        Err(unreadable) => Decision {
            warnings: vec![warnings::unreadable_pod(unreadable)],
            of_images: 1,
            ..Decision::leave(Reason::Unreadable)
        },
        Ok(pod) if pod.is_mirror() => Decision::leave(Reason::MirrorPod),
        Ok(pod) if pod.inject_label() == Some(OPTED_OUT) => Decision::leave(Reason::OptedOut),
        // This includes the Secrets for every Pod: a Pod without a spec has no list to add them to.
        Ok(pod) if pod.images().next().is_none() => Decision::leave(Reason::NothingMatches),
        Ok(pod) => decide_for_pod(pod, &request.namespace, mapping, known),
    }
}

/// Why the webhook does not handle a request, independent of its object.
fn out_of_scope(request: &Request<'_>, mapping: &Mapping) -> Option<Reason> {
    if !request.kind.group.is_empty() || &*request.kind.kind != "Pod" {
        Some(Reason::NotAPod)
    } else if !request.sub_resource.is_empty() {
        Some(Reason::Subresource)
    } else if &*request.operation != OPERATION {
        Some(Reason::NotCreate)
    } else if mapping.excludes(&request.namespace) {
        Some(Reason::ExcludedNamespace)
    } else {
        None
    }
}

fn decide_for_pod<'a>(
    pod: &'a Pod<'_>,
    namespace: &'a str,
    mapping: &'a Mapping,
    known: Option<NamespaceKnowledge<'a>>,
) -> Decision<'a> {
    let mut lookup = mapping.lookup(namespace);
    let mut registries: Vec<&str> = Vec::new();
    let mut warnings = Warnings::default();
    for image in pod.images() {
        match ImageRef::parse(image.reference) {
            Ok(reference) => {
                let registry = reference.registry();
                if lookup.add(&reference)
                    && registries.len() < NAMED_REGISTRIES
                    && registry.len() <= NAMED_REGISTRY
                    && !registries.contains(&registry)
                {
                    registries.push(registry);
                }
            }
            Err(error) => warnings.skipped_image(&image, &error),
        }
    }
    let needed = lookup.needed();
    let listed = pod.pull_secrets();
    let entries = listed.len();
    let listed: HashSet<&str> = listed.collect();
    let known = known.map(|known| Known::new(known, pod, namespace, mapping, &needed));
    let mut secrets = Vec::with_capacity(needed.secrets.len());
    for (place, name) in needed.secrets.iter().map(|name| name.as_str()).enumerate() {
        let for_image = place < needed.for_images;
        let source = if for_image { SecretSource::Image } else { SecretSource::EveryPod };
        let listed = listed.contains(name);
        let outcome = match &known {
            Some(known) => known.outcome(name, for_image, listed, &mut warnings),
            None => added(listed),
        };
        secrets.push(SecretDecision { name, source, outcome });
    }
    let discovered = known.map(|known| known.discovered(&secrets)).unwrap_or_default();
    for name in discovered {
        let (source, outcome) = (SecretSource::Discovered, added(listed.contains(name)));
        secrets.push(SecretDecision { name, source, outcome });
    }
    let missing = secrets.iter().filter(|it| it.outcome == SecretOutcome::Injected);
    let missing = missing.map(|it| it.name).collect();
    let additions = patch::plan(entries, missing);
    let reason = additions.is_none().then(|| unchanged(&secrets));
    let (warnings, of_images) = warnings.into_texts();
    Decision { reason, secrets, additions, registries, warnings, of_images }
}

/// The outcome for a Secret that the Pod is to have.
fn added(listed: bool) -> SecretOutcome {
    if listed { SecretOutcome::Present } else { SecretOutcome::Injected }
}

/// Why a Pod stays unchanged whose Secrets have these outcomes, none of which is an injection.
fn unchanged(secrets: &[SecretDecision<'_>]) -> Reason {
    if secrets.is_empty() {
        Reason::NothingMatches
    } else if secrets.iter().any(|it| it.outcome == SecretOutcome::Present) {
        Reason::AlreadyPresent
    } else {
        Reason::Withheld
    }
}

// === impl Decision ===

impl<'a> Decision<'a> {
    fn leave(reason: Reason) -> Self {
        Self {
            reason: Some(reason),
            secrets: Vec::new(),
            additions: None,
            registries: Vec::new(),
            warnings: Vec::new(),
            of_images: 0,
        }
    }

    /// The patch that applies the decision; `None` where the Pod stays unchanged.
    #[must_use]
    pub fn patch(&self) -> Option<Patch> {
        self.additions.as_ref().map(Additions::patch)
    }

    /// What the patch adds, to serialize it; `None` where the Pod stays unchanged.
    pub(super) fn additions(&self) -> Option<&Additions<'a>> {
        self.additions.as_ref()
    }

    /// The decision on each Secret that the Pod is to have, in the order of the list.
    #[must_use]
    pub fn secrets(&self) -> &[SecretDecision<'a>] {
        &self.secrets
    }

    /// The Secrets that the patch adds, in order.
    #[must_use]
    pub fn injected(&self) -> &[&'a str] {
        self.additions.as_ref().map_or(&[], Additions::names)
    }

    /// Of the Secrets that the patch adds, those that no rule names, in order.
    #[must_use]
    pub fn discovered(&self) -> Vec<&'a str> {
        self.names(|it| {
            it.source == SecretSource::Discovered && it.outcome == SecretOutcome::Injected
        })
    }

    /// The Secrets that the Pod needs and lists already, in order.
    #[must_use]
    pub fn present(&self) -> Vec<&'a str> {
        self.names(|it| it.outcome == SecretOutcome::Present)
    }

    /// The Secrets that the patch leaves out, in order.
    #[must_use]
    pub fn withheld(&self) -> Vec<&'a str> {
        self.names(|it| matches!(it.outcome, SecretOutcome::Withheld(_)))
    }

    fn names(&self, with: impl Fn(&SecretDecision<'a>) -> bool) -> Vec<&'a str> {
        self.secrets.iter().filter(|it| with(it)).map(|it| it.name).collect()
    }

    /// Why the Pod stays unchanged; `None` where the patch adds Secrets.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// The registries of the images that a rule covers, without repeats; at most 16, of at most 259 bytes each.
    #[must_use]
    pub fn matched_registries(&self) -> &[&'a str] {
        &self.registries
    }

    /// Warnings for the user who creates the Pod: at most 3, of at most 120 characters each.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Of the warnings, those about Secrets.
    #[must_use]
    pub fn secret_warnings(&self) -> &[String] {
        self.warnings.get(self.of_images..).unwrap_or_default()
    }
}

// === impl Reason ===

impl Reason {
    /// Every reason, in the order of their names.
    pub const ALL: [Self; 10] = [
        Self::AlreadyPresent,
        Self::ExcludedNamespace,
        Self::MirrorPod,
        Self::NotAPod,
        Self::NotCreate,
        Self::NothingMatches,
        Self::OptedOut,
        Self::Subresource,
        Self::Unreadable,
        Self::Withheld,
    ];

    /// The reason as audit annotations and metrics write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AlreadyPresent => "already-present",
            Self::ExcludedNamespace => "excluded-namespace",
            Self::MirrorPod => "mirror-pod",
            Self::NotAPod => "not-a-pod",
            Self::NotCreate => "not-create",
            Self::NothingMatches => "nothing-matches",
            Self::OptedOut => "opted-out",
            Self::Subresource => "subresource",
            Self::Unreadable => "unreadable",
            Self::Withheld => "withheld",
        }
    }
}

#[cfg(test)]
mod tests;
