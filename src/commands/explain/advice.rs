//! What to do about a Pod that cannot pull, or could not any more.

use std::collections::BTreeSet;

use super::{
    facts::ImageFacts,
    pods::{AtHand, Subject},
};
use crate::{
    commands::secret::how_to_make,
    core::{
        decide::Reason,
        image::ImageRef,
        pod::{INJECT_LABEL, OPTED_IN},
    },
};

/// What to do about a Pod and its images, in the order in which to do it; nothing where all is well. Whether the Pod's
/// namespace has `opted_in` may be unknown.
pub(super) fn advice(
    subject: &Subject,
    images: &[ImageFacts<'_>],
    at_hand: &AtHand,
    opted_in: Option<bool>,
) -> Vec<String> {
    let Subject { namespace, added, .. } = subject;
    let AtHand { pull, besides, missing, unknown } = at_hand;
    let mut advice = Vec::new();
    for facts in images.iter().filter(|facts| !facts.valid) {
        advice.push(format!("correct the image {:?}: {}", facts.image, facts.error));
    }
    let make = |name: &str| make(name, namespace, images);
    for (name, _) in pull.bad.iter().chain(&besides.bad) {
        advice.push(format!("make Secret {name} anew: {}", make(name)));
    }
    for (name, _) in pull.ignored.iter().chain(&besides.ignored) {
        advice.push(format!(
            "delete Secret {name}, whose type cannot be changed, and make it anew: {}",
            make(name)
        ));
    }
    for name in missing {
        advice.push(format!("make Secret {name}: {}", make(name)));
    }
    for (name, _) in unknown {
        advice.push(format!(
            "see whether you may read Secret {name}: kubectl auth can-i get secret/{name} -n {namespace}"
        ));
    }
    if !added.is_empty() {
        if opted_in == Some(false) {
            advice.push(format!(
                "opt the namespace in: kubectl label namespace {namespace} {INJECT_LABEL}={OPTED_IN}"
            ));
        }
        advice.push(format!(
            "create the Pod anew, so that it gets {}: kubectl rollout restart what owns it, or delete it",
            added.join(", ")
        ));
    }
    if advice.is_empty() {
        advice.extend(images.iter().filter_map(|facts| for_image(subject, facts, at_hand)));
    }
    advice
}

/// What to do where Pod and Secrets are as they should be, but the image is still not there.
fn for_image(subject: &Subject, facts: &ImageFacts<'_>, at_hand: &AtHand) -> Option<String> {
    let pod = facts.pod.as_ref()?;
    let fails = !pod.waiting().is_empty();
    let image = ImageRef::parse(&facts.image).ok().filter(|_| fails)?;
    let registry = if facts.registry.is_empty() { "its registry" } else { &facts.registry };
    let offers = at_hand.pull.offers(&image);
    Some(match offers.first() {
        Some(offer) => format!(
            "see whether {registry} still takes the login of {}, and for {}: the kubelet offers it",
            offer.secret, facts.image
        ),
        None if !facts.rules.is_empty() => format!(
            "put a login for {registry} into one of {}: the ones in them are for other registries",
            facts.secrets_of_rules().join(", ")
        ),
        None if subject.reason == Some(Reason::OptedOut) => {
            format!("remove the label {INJECT_LABEL}, or list a Secret for {registry}")
        }
        None => format!(
            "if {registry} wants a login, write a rule for it in the mapping, and make its Secret"
        ),
    })
}

/// How to make a Secret that opens the registries of the images for which the mapping names it.
fn make(secret: &str, namespace: &str, images: &[ImageFacts<'_>]) -> String {
    let for_secret = images.iter().filter(|it| it.rules.iter().any(|rule| rule.secret == secret));
    let hosts: BTreeSet<&str> = for_secret.map(|facts| facts.registry.as_str()).collect();
    how_to_make(secret, namespace, &hosts)
}
