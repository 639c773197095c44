//! The decision: which Secrets a request's Pod gets. No clock, no I/O, no logging.

use std::collections::HashSet;

use json_patch::Patch;

use super::{
    image::ImageRef,
    knowledge::{NamespaceKnowledge, SecretState},
    patch,
    pod::{OPTED_OUT, Pod},
    review::Request,
    rules::{Mapping, Needed},
    warnings::{self, Warnings},
};

/// The only operation for which a Pod gets Secrets: `imagePullSecrets` cannot change later.
pub const OPERATION: &str = "CREATE";

/// The decision on a request. The request is always allowed.
#[derive(Debug)]
pub struct Decision<'a> {
    reason: Option<Reason>,
    secrets: Vec<SecretDecision<'a>>,
    patch: Option<Patch>,
    registries: Vec<&'a str>,
    warnings: Vec<String>,
}

/// The decision on one Secret that a Pod needs by the mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretDecision<'a> {
    /// The name of the Secret.
    pub name: &'a str,
    /// Whether the patch adds it, and otherwise why not.
    pub outcome: SecretOutcome,
}

/// The outcomes for a Secret that a Pod needs by the mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretOutcome {
    /// The patch adds it.
    Injected,
    /// The Pod lists it already.
    Present,
    /// The patch leaves it out, although the mapping names it for every Pod: no image needs it, and in the list it would fail
    /// every pull of the Pod.
    Withheld(SecretState),
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
}

/// The most registries that a decision names: enough for any real Pod, and a limit for a hostile one.
const NAMED_REGISTRIES: usize = 16;
/// The longest registry that a decision names, in bytes: a DNS name of 253 (RFC 1035, section 2.3.4) and a port. A glob may
/// cover a longer one, but no kubelet can pull from it.
const NAMED_REGISTRY: usize = 253 + ":65535".len();

/// Decides which Secrets the Pod of `request` gets, from the mapping and from the states of the Secrets in the request's
/// namespace, as far as they are known.
#[must_use]
pub fn decide<'a>(
    request: &'a Request<'_>,
    mapping: &'a Mapping,
    states: Option<&NamespaceKnowledge>,
) -> Decision<'a> {
    if let Some(reason) = out_of_scope(request, mapping) {
        return Decision::leave(reason);
    }
    match &request.object {
        Err(unreadable) => Decision {
            warnings: vec![warnings::unreadable_pod(unreadable)],
            ..Decision::leave(Reason::Unreadable)
        },
        Ok(pod) if pod.is_mirror() => Decision::leave(Reason::MirrorPod),
        Ok(pod) if pod.inject_label() == Some(OPTED_OUT) => Decision::leave(Reason::OptedOut),
        // This includes the Secrets for every Pod: a Pod without a spec has no list to add them to.
        Ok(pod) if pod.images().next().is_none() => Decision::leave(Reason::NothingMatches),
        Ok(pod) => decide_for_pod(pod, &request.namespace, mapping, states),
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
    states: Option<&NamespaceKnowledge>,
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
    let Needed { secrets: needed, for_images } = lookup.needed();
    let listed = pod.pull_secrets();
    let entries = listed.len();
    let listed: HashSet<&str> = listed.collect();
    let mut secrets = Vec::with_capacity(needed.len());
    for (place, name) in needed.iter().map(|name| name.as_str()).enumerate() {
        let state = states.and_then(|states| states.state(name));
        let outcome = outcome(state, place < for_images, listed.contains(name));
        if let Some(fault) = state.and_then(SecretState::fault)
            && (place < for_images || outcome != SecretOutcome::Injected)
        {
            warnings.secret(name, fault);
        }
        secrets.push(SecretDecision { name, outcome });
    }
    let missing = secrets.iter().filter(|it| it.outcome == SecretOutcome::Injected);
    let missing: Vec<&str> = missing.map(|it| it.name).collect();
    let patch = patch::plan(entries, &missing);
    let reason = match &patch {
        Some(_) => None,
        None if secrets.is_empty() => Some(Reason::NothingMatches),
        None => Some(Reason::AlreadyPresent),
    };
    Decision { reason, secrets, patch, registries, warnings: warnings.into_vec() }
}

/// The outcome for a Secret, from its state, whether an image needs it, and whether the Pod lists it.
fn outcome(state: Option<SecretState>, of_image: bool, listed: bool) -> SecretOutcome {
    match state {
        _ if listed => SecretOutcome::Present,
        Some(SecretState::Unreadable) if !of_image => {
            SecretOutcome::Withheld(SecretState::Unreadable)
        }
        _ => SecretOutcome::Injected,
    }
}

// === impl Decision ===

impl<'a> Decision<'a> {
    fn leave(reason: Reason) -> Self {
        Self {
            reason: Some(reason),
            secrets: Vec::new(),
            patch: None,
            registries: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The patch that applies the decision; `None` where the Pod stays unchanged.
    #[must_use]
    pub fn patch(&self) -> Option<&Patch> {
        self.patch.as_ref()
    }

    /// The decision on each Secret that the Pod needs by the mapping, in the order of the list.
    #[must_use]
    pub fn secrets(&self) -> &[SecretDecision<'a>] {
        &self.secrets
    }

    /// The Secrets that the patch adds, in order.
    #[must_use]
    pub fn injected(&self) -> Vec<&'a str> {
        self.with(SecretOutcome::Injected)
    }

    /// The Secrets that the Pod needs and lists already, in order.
    #[must_use]
    pub fn present(&self) -> Vec<&'a str> {
        self.with(SecretOutcome::Present)
    }

    fn with(&self, outcome: SecretOutcome) -> Vec<&'a str> {
        self.secrets.iter().filter(|it| it.outcome == outcome).map(|it| it.name).collect()
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
}

// === impl Reason ===

impl Reason {
    /// Every reason, in the order of their names.
    pub const ALL: [Self; 9] = [
        Self::AlreadyPresent,
        Self::ExcludedNamespace,
        Self::MirrorPod,
        Self::NotAPod,
        Self::NotCreate,
        Self::NothingMatches,
        Self::OptedOut,
        Self::Subresource,
        Self::Unreadable,
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
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rules::{Rule, SecretName, WhenMissing};

    fn name(text: &str) -> SecretName {
        text.parse().unwrap()
    }

    /// The outcomes for `robot`, which an image needs, and `tools`, which every Pod gets, in a Pod that lists `listed`.
    fn outcomes(
        states: Option<&NamespaceKnowledge>,
        listed: &[&str],
    ) -> (Vec<SecretOutcome>, usize) {
        let rule = Rule {
            patterns: vec!["ghcr.io".parse().unwrap()],
            secret: name("robot"),
            namespaces: Vec::new(),
            fill: None,
            when_missing: WhenMissing::Inject,
            line: 1,
        };
        let mapping = Mapping::new(vec![rule], vec![name("tools")]);
        let listed: Vec<_> = listed.iter().map(|name| json!({"name": name})).collect();
        let pod = json!({"spec": {
            "containers": [{"name": "a", "image": "ghcr.io/acme/a"}], "imagePullSecrets": listed,
        }})
        .to_string();
        let pod: Pod<'_> = serde_json::from_str(&pod).unwrap();
        let request = Request::create("shop", pod);
        let decision = decide(&request, &mapping, states);
        let outcomes = decision.secrets().iter().map(|it| it.outcome).collect();
        (outcomes, decision.warnings().len())
    }

    #[test]
    fn a_name_that_an_image_needs_is_added_in_any_state() {
        use SecretOutcome::{Injected, Present, Withheld};
        use SecretState::{Dead, Missing, OpensNothing, Ready, Unreadable, WrongType};
        assert_eq!(outcomes(None, &[]), (vec![Injected, Injected], 0));
        for (state, of_image, for_every_pod) in [
            (Ready, (Injected, 0), (Injected, 0)),
            (Missing, (Injected, 1), (Injected, 0)),
            (WrongType, (Injected, 1), (Injected, 0)),
            (OpensNothing, (Injected, 1), (Injected, 0)),
            (Dead, (Injected, 1), (Injected, 0)),
            (Unreadable, (Injected, 1), (Withheld(Unreadable), 1)),
        ] {
            let states = |secret: &str| [(secret, state)].into_iter().collect();
            let (robot, warnings) = of_image;
            assert_eq!(outcomes(Some(&states("robot")), &[]), (vec![robot, Injected], warnings));
            let (tools, warnings) = for_every_pod;
            assert_eq!(outcomes(Some(&states("tools")), &[]), (vec![Injected, tools], warnings));
            assert_eq!(outcomes(Some(&states("tools")), &["tools"]).0, [Injected, Present]);
            assert_eq!(outcomes(Some(&states("other")), &[]), (vec![Injected, Injected], 0));
        }
    }
}
