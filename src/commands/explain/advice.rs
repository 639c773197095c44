//! What to do about a Pod that cannot pull, or could not any more.

use std::collections::BTreeSet;

use super::{
    PodContext,
    facts::ImageFacts,
    pods::{AtHand, Subject},
};
use crate::{
    commands::{owner::Replaced, paste, secret::how_to_make},
    core::{decide::Reason, image::ImageRef, pod::INJECT_LABEL},
};

/// What to do about a Pod and its images, in the order in which to do it; nothing where all is well.
pub(super) fn advice(
    subject: &Subject,
    images: &[ImageFacts<'_>],
    at_hand: &AtHand,
    context: PodContext,
) -> Vec<String> {
    let Subject { namespace, added, .. } = subject;
    let AtHand { pull, besides, missing, unknown } = at_hand;
    let mut advice = Vec::new();
    for facts in images.iter().filter(|facts| !facts.valid) {
        advice.push(format!("correct the image {:?}: {}", facts.image, facts.error));
    }
    let make = |name: &str| make(name, namespace, images);
    for (name, _) in pull.bad.iter().chain(&besides.bad) {
        advice.push(format!("make Secret {name} again: {}", make(name)));
    }
    for (name, _) in pull.ignored.iter().chain(&besides.ignored) {
        advice.push(format!(
            "delete Secret {name}, whose type cannot be changed, and make it again: {}",
            make(name)
        ));
    }
    for name in missing {
        advice.push(match paste::name(name) {
            Some(name) => format!("make Secret {name}: {}", make(name)),
            // The API server does not check the names that a Pod lists.
            None => format!("correct {name:?} in `imagePullSecrets`: no Secret can have that name"),
        });
    }
    for (name, _) in unknown {
        advice.push(match (paste::name(name), paste::name(namespace)) {
            (Some(name), Some(namespace)) => format!(
                "see whether you may read Secret {name}: kubectl auth can-i get secret/{name} -n {namespace}"
            ),
            _ => format!("correct {name:?} in `imagePullSecrets`: no Secret can have that name"),
        });
    }
    if !added.is_empty() {
        if context.webhook == Some(false) {
            advice.push(
                "install pullcred, or `helm upgrade` it: without its webhook configuration a new Pod gets nothing".to_owned(),
            );
        }
        if context.opted_in == Some(false) {
            advice.push(format!("opt the namespace in: {}", paste::opt_in(namespace)));
        }
        let pod = Replaced { name: &subject.name, waits: !subject.waiting.is_empty() };
        let remedy = subject.owner.as_ref().map(|owner| owner.remedy(&[pod]));
        advice.push(format!(
            "replace the Pod, since only a new one gets {}. {}",
            added.join(", "),
            remedy.unwrap_or_default()
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
        Some(_) if offers.iter().all(|offer| at_hand.pull.is_empty(offer)) => {
            let mut secrets: Vec<&str> = offers.iter().map(|offer| offer.secret).collect();
            secrets.dedup();
            format!(
                "put a login for {registry} into Secret {}: its entry for it has none",
                secrets.join(" or ")
            )
        }
        Some(offer) => format!(
            "see whether {registry} still takes the login of {}, and for {}: the kubelet offers it",
            offer.secret, facts.image
        ),
        None => return Some(without_offer(subject, facts, registry)),
    })
}

/// What to do where the kubelet has no login to offer.
fn without_offer(subject: &Subject, facts: &ImageFacts<'_>, registry: &str) -> String {
    let secrets = facts.secrets_of_rules();
    match (subject.reason, secrets.as_slice()) {
        (Some(Reason::OptedOut), []) => {
            format!(
                "list a Secret for {registry} in the Pod, whose label {INJECT_LABEL} keeps pullcred away"
            )
        }
        (Some(Reason::OptedOut), secrets) => format!(
            "remove the label {INJECT_LABEL} from what makes the Pod, so that a new one gets {}; \
             or list a Secret for {registry} there",
            secrets.join(", ")
        ),
        (Some(Reason::ExcludedNamespace), _) => {
            format!("list a Secret for {registry} in the Pod: pullcred leaves this namespace alone")
        }
        (Some(Reason::MirrorPod), _) => {
            format!("give the node itself a login for {registry}: a static Pod can use no Secret")
        }
        (_, []) => format!(
            "if {registry} wants a login, write a rule for it in the mapping, and make its Secret"
        ),
        (_, [secret]) => format!(
            "put a login for {registry} into Secret {secret}: what is in it is for other registries"
        ),
        (_, secrets) => format!(
            "put a login for {registry} into one of the Secrets {}: what is in them is for other registries",
            secrets.join(", ")
        ),
    }
}

/// How to make a Secret that opens the registries of the images for which the mapping names it.
fn make(secret: &str, namespace: &str, images: &[ImageFacts<'_>]) -> String {
    let for_secret = images.iter().filter(|it| it.rules.iter().any(|rule| rule.secret == secret));
    let hosts: BTreeSet<&str> = for_secret.map(|facts| facts.registry.as_str()).collect();
    how_to_make(secret, namespace, &hosts)
}
