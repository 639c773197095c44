//! The one decision: what a request gets, given what we know. No clock, no I/O, no logging.

use std::collections::HashSet;

use json_patch::Patch;

use super::{
    image::ImageRef,
    patch,
    pod::{OPTED_OUT, Pod},
    review::Request,
    rules::Mapping,
    warnings::{self, Warnings},
};

/// Namespaces that never get anything, whatever their labels: a broken control plane must be able to mend itself.
pub const EXCLUDED_NAMESPACES: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// The one operation that a Pod gets anything for: `imagePullSecrets` cannot be changed later.
pub const OPERATION: &str = "CREATE";

/// All that the decision knows besides the request.
#[derive(Debug, Default)]
pub struct Knowledge {
    /// Which Secrets open which registries.
    pub mapping: Mapping,
    /// The namespace that the webhook itself runs in, which it must not depend on itself for.
    pub own_namespace: Option<Box<str>>,
}

/// What a request gets. It is always allowed.
#[derive(Debug)]
pub struct Decision<'a> {
    outcome: Outcome<'a>,
    registries: Vec<&'a str>,
    warnings: Vec<String>,
}

#[derive(Debug)]
enum Outcome<'a> {
    Inject {
        patch: Patch,
        secrets: Vec<&'a str>,
    },
    /// The Pod lists these, and needs no others.
    Present(Vec<&'a str>),
    Leave(Reason),
}

/// Why a Pod stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The Pod lists every Secret that its images need.
    AlreadyPresent,
    /// The namespace is one of [`EXCLUDED_NAMESPACES`] or the webhook's own.
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
    /// The Pod could not be read.
    Unreadable,
}

/// How many registries a decision names: enough for any real Pod, and a bound for a hostile one.
const NAMED_REGISTRIES: usize = 16;
/// The longest registry that a decision names, in bytes: a DNS name of 253 (RFC 1035, section 2.3.4) and a port. A glob may
/// cover a longer one, but no kubelet can pull from it.
const NAMED_REGISTRY: usize = 253 + ":65535".len();

/// Decides what `request` gets.
#[must_use]
pub fn decide<'a>(request: &'a Request<'_>, known: &'a Knowledge) -> Decision<'a> {
    if let Some(reason) = not_ours(request, known) {
        return Decision::leave(reason);
    }
    match &request.object {
        Err(unreadable) => Decision {
            warnings: vec![warnings::unreadable_pod(unreadable)],
            ..Decision::leave(Reason::Unreadable)
        },
        Ok(pod) if pod.is_mirror() => Decision::leave(Reason::MirrorPod),
        Ok(pod) if pod.inject_label() == Some(OPTED_OUT) => Decision::leave(Reason::OptedOut),
        // Not even the Secrets for every Pod: without a spec there is no place to put them.
        Ok(pod) if pod.images().next().is_none() => Decision::leave(Reason::NothingMatches),
        Ok(pod) => decide_for_pod(pod, &request.namespace, &known.mapping),
    }
}

/// Why a request is none of our business, whatever its object.
fn not_ours(request: &Request<'_>, known: &Knowledge) -> Option<Reason> {
    let namespace = &*request.namespace;
    if !request.kind.group.is_empty() || &*request.kind.kind != "Pod" {
        Some(Reason::NotAPod)
    } else if !request.sub_resource.is_empty() {
        Some(Reason::Subresource)
    } else if &*request.operation != OPERATION {
        Some(Reason::NotCreate)
    } else if EXCLUDED_NAMESPACES.contains(&namespace)
        || known.own_namespace.as_deref() == Some(namespace)
    {
        Some(Reason::ExcludedNamespace)
    } else {
        None
    }
}

fn decide_for_pod<'a>(pod: &'a Pod<'_>, namespace: &'a str, mapping: &'a Mapping) -> Decision<'a> {
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
    let needed = lookup.secrets();
    let listed = pod.pull_secrets();
    let entries = listed.len();
    let listed: HashSet<&str> = listed.collect();
    let missing: Vec<&str> =
        needed.iter().map(|name| name.as_str()).filter(|name| !listed.contains(name)).collect();
    let outcome = match patch::plan(entries, &missing) {
        Some(patch) => Outcome::Inject { patch, secrets: missing },
        None if needed.is_empty() => Outcome::Leave(Reason::NothingMatches),
        None => Outcome::Present(needed.iter().map(|name| name.as_str()).collect()),
    };
    Decision { outcome, registries, warnings: warnings.into_vec() }
}

// === impl Decision ===

impl<'a> Decision<'a> {
    fn leave(reason: Reason) -> Self {
        Self { outcome: Outcome::Leave(reason), registries: Vec::new(), warnings: Vec::new() }
    }

    /// The patch that carries the decision out; none where the Pod stays as it is.
    #[must_use]
    pub fn patch(&self) -> Option<&Patch> {
        match &self.outcome {
            Outcome::Inject { patch, .. } => Some(patch),
            Outcome::Present(_) | Outcome::Leave(_) => None,
        }
    }

    /// The Secrets that the patch adds, in order.
    #[must_use]
    pub fn injected(&self) -> &[&'a str] {
        match &self.outcome {
            Outcome::Inject { secrets, .. } => secrets,
            Outcome::Present(_) | Outcome::Leave(_) => &[],
        }
    }

    /// The Secrets that the Pod needs and has, in order, where it needs no others.
    #[must_use]
    pub fn present(&self) -> &[&'a str] {
        match &self.outcome {
            Outcome::Present(secrets) => secrets,
            Outcome::Inject { .. } | Outcome::Leave(_) => &[],
        }
    }

    /// Why the Pod stays as it is; none where it gets something.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        match &self.outcome {
            Outcome::Inject { .. } => None,
            Outcome::Present(_) => Some(Reason::AlreadyPresent),
            Outcome::Leave(reason) => Some(*reason),
        }
    }

    /// The registries of the images that a rule covers, without repeats; at most 16, of at most 259 bytes each.
    #[must_use]
    pub fn matched_registries(&self) -> &[&'a str] {
        &self.registries
    }

    /// What the person who creates the Pod should know: at most 3, of at most 120 characters each.
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
