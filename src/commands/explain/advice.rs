//! What to do about a Pod that cannot pull, or could not any more.

use std::collections::BTreeSet;

use super::{
    PodContext,
    facts::ImageFacts,
    pods::{AtHand, Subject},
};
use crate::{
    commands::{
        keeper::{Audience, Keeper, Reach},
        secret::how_to_make,
    },
    core::{decide::Reason, image::ImageRef, knowledge::Obstacle, pod::INJECT_LABEL},
    paste,
    pods::Replaced,
};

/// What to do about a Pod and its images, in the order in which to do it; nothing where all is well.
pub(super) fn advice(
    subject: &Subject,
    images: &[ImageFacts<'_>],
    at_hand: &AtHand,
    context: PodContext<'_>,
    audience: Audience<'_>,
) -> Vec<String> {
    let Subject { namespace, added, .. } = subject;
    let mut advice = Vec::new();
    for facts in images.iter().filter(|facts| !facts.valid) {
        advice.push(format!("correct the image {:?}: {}", facts.image, facts.error));
    }
    let opted_out = context.opted_in() == Some(false);
    advice.extend(of_secrets(images, at_hand, context, audience));
    let kept = |name: &&str| kept(name, audience).is_some();
    let missing: Vec<&str> = at_hand.missing.iter().map(String::as_str).filter(kept).collect();
    if opted_out && !missing.is_empty() {
        advice.push(format!(
            "opt the namespace in, so that pullcred makes Secret {}: {}",
            missing.join(", "),
            paste::opt_in(namespace)
        ));
    }
    if !added.is_empty() {
        if context.webhook == Some(false) {
            advice.push(
                "install pullcred, or `helm upgrade` it: without its webhook configuration a new Pod gets nothing".to_owned(),
            );
        }
        if opted_out && missing.is_empty() {
            advice.push(format!("opt the namespace in: {}", paste::opt_in(namespace)));
        }
        let pod = Replaced::default().with(&subject.name, subject.stuck);
        let remedy = subject.owner.as_ref().map(|owner| owner.remedy(&pod));
        advice.push(format!(
            "replace the Pod, since only a new one gets {}. {}",
            added.join(", "),
            remedy.unwrap_or_default()
        ));
    }
    if advice.is_empty() {
        advice.extend(images.iter().filter_map(|it| for_image(subject, it, at_hand, audience)));
    }
    advice
}

/// What to do about Secrets that are of no use, missing or unknown. Where the namespace has not opted in, its label comes
/// before what pullcred would make.
fn of_secrets(
    images: &[ImageFacts<'_>],
    AtHand { pull, besides, missing, unknown, .. }: &AtHand,
    context: PodContext<'_>,
    audience: Audience<'_>,
) -> Vec<String> {
    let namespace = audience.namespace;
    let opted_out = context.opted_in() == Some(false);
    let is_refused = |name: &str| {
        let known = context.known.as_ref().and_then(|it| it.secret(name));
        known.is_some_and(|it| it.obstacle == Some(Obstacle::LoginRefused))
    };
    let make = |name: &str| make(name, namespace, images);
    let mut advice = Vec::new();
    for (name, _) in pull.bad.iter().chain(&besides.bad) {
        advice.push(match kept(name, audience) {
            Some(keeper) => keeper.replace(namespace),
            None => format!("make Secret {name} again: {}", make(name)),
        });
    }
    for (name, _) in pull.ignored.iter().chain(&besides.ignored) {
        advice.push(match kept(name, audience) {
            Some(keeper) => keeper.replace(namespace),
            None => format!(
                "delete Secret {name}, whose type cannot be changed, and make it again: {}",
                make(name)
            ),
        });
    }
    for name in missing {
        advice.push(match (paste::name(name), audience.keeper(name)) {
            (Some(_), Some(keeper)) if opted_out && keeper.reach == Reach::Here => continue,
            (Some(_), Some(keeper)) if keeper.reach == Reach::Here && is_refused(name) => {
                keeper.renew()
            }
            (Some(name), Some(keeper)) => keeper.advice(namespace, &make(name)),
            (Some(name), None) => format!("make Secret {name}: {}", make(name)),
            // The API server does not check the names that a Pod lists.
            (None, _) => {
                format!("correct {name:?} in `imagePullSecrets`: no Secret can have that name")
            }
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
    advice
}

/// The login that fills a Secret of the namespace.
fn kept<'a>(secret: &str, audience: Audience<'a>) -> Option<Keeper<'a>> {
    audience.keeper(secret).filter(|keeper| keeper.reach == Reach::Here)
}

/// What to do where Pod and Secrets are as they should be, but the image is still not there.
fn for_image(
    subject: &Subject,
    facts: &ImageFacts<'_>,
    at_hand: &AtHand,
    audience: Audience<'_>,
) -> Option<String> {
    let into = |secret: &str| into(secret, audience, at_hand);
    let pod = facts.pod.as_ref()?;
    let fails = !pod.waiting().is_empty();
    let image = ImageRef::parse(&facts.image).ok().filter(|_| fails)?;
    let registry = if facts.registry.is_empty() { "its registry" } else { &facts.registry };
    let offers = at_hand.pull.offers(&image);
    Some(match offers.first() {
        Some(_) if offers.iter().all(|offer| at_hand.pull.is_empty(offer)) => {
            let mut secrets: Vec<String> = offers.iter().map(|offer| into(offer.secret)).collect();
            secrets.dedup();
            format!(
                "put a login for {registry} into {}: its entry for it has none",
                secrets.join(" or ")
            )
        }
        Some(offer) => format!(
            "see whether {registry} still takes the login of {}, and for {}: the kubelet offers it",
            whose(offer.secret, audience, at_hand),
            facts.image
        ),
        None => {
            let own = foreign(facts, at_hand, audience);
            return Some(own.unwrap_or_else(|| without_offer(subject, facts, registry, into)));
        }
    })
}

/// What to do where somebody's own Secret keeps pullcred from filling the one that the rules name.
fn foreign(facts: &ImageFacts<'_>, at_hand: &AtHand, audience: Audience<'_>) -> Option<String> {
    let secrets = facts.secrets_of_rules();
    let name = secrets.iter().find(|name| at_hand.by_hand.iter().any(|it| it == *name))?;
    Some(kept(name, audience)?.replace(audience.namespace))
}

/// What to do where the kubelet has no login to offer.
fn without_offer(
    subject: &Subject,
    facts: &ImageFacts<'_>,
    registry: &str,
    into: impl Fn(&str) -> String,
) -> String {
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
            "put a login for {registry} into {}: what is in it is for other registries",
            into(secret)
        ),
        (_, secrets) => format!(
            "put a login for {registry} into one of these, since what is in them is for other registries: {}",
            secrets.iter().map(|secret| into(secret)).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// The login that fills a Secret which pullcred has made.
fn filled<'a>(secret: &str, audience: Audience<'a>, at_hand: &AtHand) -> Option<Keeper<'a>> {
    let own = at_hand.by_hand.iter().any(|name| name == secret);
    kept(secret, audience).filter(|_| !own)
}

/// Where a login goes that is to be in a Secret: pullcred would take it out of a copy.
fn into(secret: &str, audience: Audience<'_>, at_hand: &AtHand) -> String {
    match filled(secret, audience, at_hand) {
        Some(keeper) if keeper.login.is_fetched() => format!(
            "login {} (line {}), which pullcred fetches for Secret {secret}",
            keeper.login.name, keeper.login.line
        ),
        Some(keeper) => {
            format!(
                "{} (login {}), which fills Secret {secret}",
                keeper.source(),
                keeper.login.name
            )
        }
        None => format!("Secret {secret}"),
    }
}

/// A Secret with a login, and where pullcred has it from.
fn whose(secret: &str, audience: Audience<'_>, at_hand: &AtHand) -> String {
    match filled(secret, audience, at_hand) {
        Some(keeper) => {
            format!("{secret} (filled from login {}, {})", keeper.login.name, keeper.source())
        }
        None => secret.to_owned(),
    }
}

/// How to make a Secret that opens the registries of the images for which the mapping names it.
fn make(secret: &str, namespace: &str, images: &[ImageFacts<'_>]) -> String {
    let for_secret = images.iter().filter(|it| it.rules.iter().any(|rule| rule.secret == secret));
    let hosts: BTreeSet<&str> = for_secret.map(|facts| facts.registry.as_str()).collect();
    how_to_make(secret, namespace, &hosts)
}
