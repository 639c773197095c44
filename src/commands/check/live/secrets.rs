//! The Secrets of one namespace, as the kubelet reads them.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        Check,
        finding::{Report, first_of},
    },
    copies::Settled,
};
use crate::{
    commands::{
        keeper::{Audience, Reach},
        manifests::SecretManifest,
        scan::{Asked, LAST_APPLIED},
        secret::how_to_make,
    },
    core::{
        image::ImageRef,
        keyring::{
            Keyring,
            secret::{Contents, Entry, Flaw},
        },
        rules::{Mapping, RegistryPattern, Rule},
    },
    paste,
};

/// How many Secrets of a namespace are looked at beyond those that its Pods need.
const CANDIDATE_MAX: usize = 100;
/// The most names in one message.
const MAX_REPORTED: usize = 5;

/// What the rules have for a namespace.
#[derive(Debug)]
pub(super) struct NamespaceSecrets<'m> {
    namespace: &'m str,
    mapping: &'m Mapping,
    audience: Audience<'m>,
    /// By Secret: the images of the namespace's Pods for which it is.
    needs: &'m BTreeMap<String, BTreeSet<String>>,
    /// All Secrets that a Pod of the namespace may get.
    names: BTreeSet<&'m str>,
    /// How many more there are.
    left_out: usize,
}

/// Secrets of the mapping that are missing where no Pod needs them: by Secret, the namespaces.
#[derive(Debug, Default)]
pub(super) struct Spare(BTreeMap<String, Vec<String>>);

// === impl NamespaceSecrets ===

impl<'m> NamespaceSecrets<'m> {
    /// The Secrets that Pods of a namespace need, and those that rules have for it, without the copies of which all is
    /// said.
    pub(super) fn new(
        audience: Audience<'m>,
        needs: &'m BTreeMap<String, BTreeSet<String>>,
        settled: &Settled,
    ) -> Self {
        let Audience { mapping, namespace, .. } = audience;
        let is_open = |name: &str| !settled.contains(&(namespace.to_owned(), name.to_owned()));
        let mut names: BTreeSet<&str> =
            needs.keys().map(String::as_str).filter(|name| is_open(name)).collect();
        let of_rules = mapping.rules().iter().filter(|rule| rule.holds_in(namespace));
        let candidates: BTreeSet<&str> = of_rules
            .map(|rule| rule.secret.as_str())
            .filter(|name| !names.contains(name) && is_open(name))
            // Without the labels of its rule, a namespace is not to have a copy.
            .filter(|name| {
                audience.keeper(name).is_none_or(|keeper| keeper.reach != Reach::OtherLabels)
            })
            .collect();
        let left_out = candidates.len().saturating_sub(CANDIDATE_MAX);
        names.extend(candidates.into_iter().take(CANDIDATE_MAX));
        Self { namespace, mapping, audience, needs, names, left_out }
    }

    /// What to ask for: namespace and name.
    pub(super) fn names(&self) -> Vec<(String, String)> {
        self.names.iter().map(|name| (self.namespace.to_owned(), (*name).to_owned())).collect()
    }

    /// Judges what was found. What is missing and needed by no Pod is `spare`.
    pub(super) fn judge(&self, found: Vec<Asked>, spare: &mut Spare, report: &mut Report) {
        for asked in found.iter().filter(|asked| asked.is_in_annotation) {
            let (name, namespace) = (&asked.name, self.namespace);
            let remove = paste::name(name).map_or_else(String::new, |name| {
                format!(": kubectl annotate secret {name} -n {namespace} {LAST_APPLIED}-")
            });
            let message = format!(
                "its annotation {LAST_APPLIED} repeats its logins, where tools that hide `data` do not look: remove the \
                 annotation, and apply with --server-side from now on{remove}"
            );
            report.note(Check::AppliedLogin, self.place(name), message);
        }
        let found: BTreeMap<String, _> = found.into_iter().map(|it| (it.name, it.found)).collect();
        let mut unknown = Vec::new();
        let mut why_unknown = None;
        for (name, found) in &found {
            match found {
                Ok(Some(secret)) => self.judge_one(name, secret, report),
                Ok(None) => match self.needs.get(name).and_then(BTreeSet::first) {
                    Some(image) => {
                        let make = match self.audience.keeper(name) {
                            Some(keeper) => keeper.advice(self.namespace, &self.how_to_make(name)),
                            None => self.how_to_make(name),
                        };
                        let message =
                            format!("it is not there, but Pods with {image} need it: {make}");
                        report.error(Check::MissingSecret, self.place(name), message);
                    }
                    None => spare.add(self.namespace, name),
                },
                Err(why) => {
                    unknown.push(name.as_str());
                    why_unknown.get_or_insert(why);
                }
            }
        }
        let place = || format!("namespace {}", self.namespace);
        if let Some(why) = why_unknown {
            report
                .not_seen(place(), &format!("Secret {}: {why}", first_of(&unknown, MAX_REPORTED)));
        }
        if self.left_out > 0 {
            let why =
                format!("{} more Secrets are too many where no Pod needs them", self.left_out);
            report.not_seen(place(), &why);
        }
    }

    fn place(&self, secret: &str) -> String {
        format!("secret {}/{secret}", self.namespace)
    }

    /// What a person types to make the Secret.
    fn how_to_make(&self, name: &str) -> String {
        let images = self.needs.get(name).into_iter().flatten();
        let images: Vec<_> = images.filter_map(|image| ImageRef::parse(image).ok()).collect();
        let mut registries: BTreeSet<&str> = images.iter().map(ImageRef::registry).collect();
        if registries.is_empty() {
            let rules = self.rules_of(name).flat_map(|rule| &rule.patterns);
            registries.extend(rules.filter(|it| !it.is_glob()).map(RegistryPattern::host));
        }
        how_to_make(name, self.namespace, &registries)
    }

    /// What to do about a Secret that is of no use. `by_hand` is said where people make it.
    fn replaced(&self, name: &str, by_hand: &str) -> String {
        match self.audience.keeper(name).filter(|keeper| keeper.reach == Reach::Here) {
            Some(keeper) => format!("To fix it, {}", keeper.replace(self.namespace)),
            None => format!("{by_hand}: {}", self.how_to_make(name)),
        }
    }

    /// The rules of the namespace that name a Secret.
    fn rules_of(&self, name: &str) -> impl Iterator<Item = &'m Rule> {
        let rules = self.mapping.rules().iter();
        rules.filter(move |rule| rule.secret.as_str() == name && rule.holds_in(self.namespace))
    }

    fn judge_one(&self, name: &str, secret: &SecretManifest, report: &mut Report) {
        let place = self.place(name);
        match secret.contents() {
            Err(error) => {
                let message = format!(
                    "the kubelet cannot read it, and pulls nothing for a Pod that lists it, not even public images: {error}. {}",
                    self.replaced(name, "Make it again")
                );
                report.error(Check::UnreadableSecret, place, message);
            }
            Ok(Contents::Ignored(why)) => {
                let message = format!(
                    "the kubelet passes it over: {why}. {}",
                    self.replaced(
                        name,
                        "Delete it, since a type cannot be changed, and make it again"
                    )
                );
                report.error(Check::SecretType, place, message);
            }
            Ok(Contents::Entries(entries)) => {
                let keys = entries.iter().map(|entry| entry.key.clone());
                let keyring = Keyring::new([(name, keys)]);
                for flaw in secret.flaws() {
                    // Without a login an entry counts only where it is tried: see below.
                    if !matches!(flaw, Flaw::NoLogin { .. } | Flaw::HalfLogin { .. }) {
                        report.warning(Check::OddSecret, place.clone(), flaw.to_string());
                    }
                }
                match self.needs.get(name).filter(|images| !images.is_empty()) {
                    Some(images) => images_open(&place, images, &entries, &keyring, report),
                    None => self.patterns_open(name, &entries, &keyring, report),
                }
            }
        }
    }

    /// Where no Pod tells what it must open: whether it opens what the rules say.
    fn patterns_open(&self, name: &str, entries: &[Entry], keyring: &Keyring, report: &mut Report) {
        let patterns = |rule: &'m Rule| rule.patterns.iter().map(move |it| (rule, it));
        for (rule, pattern) in self.rules_of(name).flat_map(patterns) {
            let image = pattern.example_image();
            let opens = |image: &ImageRef<'_>| !keyring.lookup(image).is_empty();
            if pattern.is_glob()
                || ImageRef::parse(&image).is_ok_and(|image| opens(&image))
                || entries.iter().any(|entry| is_below(entry, pattern))
            {
                continue;
            }
            let parsed = ImageRef::parse(&image).ok();
            let missed = parsed.and_then(|it| keyring.near_misses(&it).into_iter().next());
            let only = missed.map_or_else(
                || format!("but for {}", keys(entries)),
                |it| format!("since its key {} does not match: {}", it.key, it.reason),
            );
            let message = format!("it has no login for {pattern} (line {}), {only}", rule.line);
            report.warning(Check::NoLogin, self.place(name), message);
        }
    }
}

// === impl Spare ===

impl Spare {
    fn add(&mut self, namespace: &str, secret: &str) {
        let namespaces = self.0.entry(secret.to_owned()).or_default();
        namespaces.push(namespace.to_owned());
    }

    /// One line for all namespaces: a rule without `namespaces` has its Secret missing in most of them.
    pub(super) fn report(&self, report: &mut Report) {
        if self.0.is_empty() {
            return;
        }
        // Secrets that are missing in the same namespaces stand together.
        let mut together: BTreeMap<Vec<&str>, Vec<&str>> = BTreeMap::new();
        for (secret, namespaces) in &self.0 {
            let namespaces = namespaces.iter().map(String::as_str).collect();
            together.entry(namespaces).or_default().push(secret);
        }
        let reported: Vec<String> = together
            .iter()
            .map(|(namespaces, secrets)| {
                format!(
                    "{} in {}",
                    first_of(secrets, MAX_REPORTED),
                    first_of(namespaces, MAX_REPORTED)
                )
            })
            .collect();
        let message = format!(
            "these Secrets of the mapping are not there, and no image of a Pod needs them yet: {}",
            reported.join("; ")
        );
        report.note(Check::MissingSecret, "secrets", message);
    }
}

/// Whether a Secret opens the images of Pods.
fn images_open(
    place: &str,
    images: &BTreeSet<String>,
    entries: &[Entry],
    keyring: &Keyring,
    report: &mut Report,
) {
    let mut closed = Vec::new();
    let mut reason = None;
    let mut tried = BTreeSet::new();
    for name in images {
        let Ok(image) = ImageRef::parse(name) else { continue };
        let offers = keyring.lookup(&image);
        if offers.is_empty() {
            closed.push(name.as_str());
            let missed = keyring.near_misses(&image);
            reason = reason.or(missed
                .first()
                .map(|it| format!("its key {} does not match, since {}", it.key, it.reason)));
        }
        tried.extend(offers.into_iter().map(|offer| offer.key));
    }
    if !closed.is_empty() {
        let only = reason.unwrap_or_else(|| format!("it has one for {}", keys(entries)));
        let message = format!("it has no login for {}: {only}", first_of(&closed, MAX_REPORTED));
        report.error(Check::NoLogin, place, message);
    }
    for entry in entries.iter().filter(|entry| tried.contains(&entry.key)) {
        let lacks = match (entry.login.username().is_empty(), entry.login.has_password()) {
            (true, true) => "no user",
            (true, false) => "neither user nor password",
            (false, false) => "no password",
            (false, true) => continue,
        };
        let message = format!("the entry {} has {lacks}: make the Secret again", entry.key);
        report.warning(Check::IncompleteLogin, place, message);
    }
}

/// Whether an entry is for a part of what a pattern covers.
fn is_below(entry: &Entry, pattern: &RegistryPattern) -> bool {
    let image = pattern.example_image();
    let covered = image.strip_suffix("app").unwrap_or(&image);
    entry.key.index_key().is_some_and(|key| key.as_str().starts_with(covered))
}

fn keys(entries: &[Entry]) -> String {
    if entries.is_empty() {
        return "nothing".to_owned();
    }
    let keys: Vec<String> = entries.iter().map(|entry| entry.key.to_string()).collect();
    first_of(&keys, MAX_REPORTED)
}

#[cfg(test)]
mod tests;
