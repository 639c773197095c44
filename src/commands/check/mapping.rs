//! Lints of a mapping: what is valid, but hardly intended.

use std::collections::{HashMap, HashSet};

use super::{Check, finding::Report};
use crate::{
    core::{
        docker_hub,
        image::ImageRef,
        keyring::{Keyring, RegistryKey},
        rules::{
            EXCLUDED_NAMESPACES, Mapping, NamespacePattern, RegistryPattern, Rule, SecretName,
        },
    },
    registry::is_loopback,
};

/// A pattern with its rule.
#[derive(Debug, Clone, Copy)]
struct Place<'m> {
    /// Its number in the file.
    at: usize,
    rule: &'m Rule,
    pattern: &'m RegistryPattern,
}

/// Checks a mapping by itself, without a cluster.
pub(super) fn check(mapping: &Mapping, report: &mut Report) {
    for rule in mapping.rules() {
        namespaces(rule, report);
        for pattern in &rule.patterns {
            reach(rule, pattern, report);
        }
    }
    super::logins::paths(mapping, report);
    super::logins::fetched(mapping, report);
    super::reports::keys(mapping, report);
    always(mapping, report);
    shadowed(mapping, report);
    rivals(mapping, report);
    unused(mapping, report);
}

/// Where a rule stands.
fn line(rule: &Rule) -> String {
    format!("line {}", rule.line)
}

// === one rule ===

/// Whether images can have what a pattern names, and whether the kubelet can use a Secret for it.
fn reach(rule: &Rule, pattern: &RegistryPattern, report: &mut Report) {
    if !pattern.is_glob() && !opens(pattern) {
        let message = format!(
            "{pattern}: the kubelet finds no login for an IPv6 address without a port. \
             Give the registry a port or a name"
        );
        report.error(Check::Unreachable, line(rule), message);
    } else if let Some(instead) = docker_hub(pattern) {
        let message = format!(
            "{pattern} covers only images that write this host, but those on Docker Hub do not: write {instead}"
        );
        report.warning(Check::DockerHub, line(rule), message);
    } else if let Some((host, port)) = usual_port(pattern) {
        let message = format!(
            "{pattern} covers only images that write `:{port}`, since ports are compared as text: \
             for the others write {host}"
        );
        report.warning(Check::UsualPort, line(rule), message);
    } else if is_loopback(pattern.host()) {
        let message =
            format!("{pattern} is on each node another registry: the one on the node itself");
        report.note(Check::NodeItself, line(rule), message);
    }
}

/// What to write instead of another host of Docker Hub.
fn docker_hub(pattern: &RegistryPattern) -> Option<String> {
    let slash = if pattern.path().is_empty() { "" } else { "/" };
    docker_hub::is_beside(pattern.host())
        .then(|| format!("{}{slash}{}", docker_hub::HOST, pattern.path()))
}

/// Whether a Secret that has the pattern for its key would open an image of the pattern on a node.
fn opens(pattern: &RegistryPattern) -> bool {
    let image = pattern.example_image();
    let key = image.strip_suffix("/app").unwrap_or(&image);
    let keyring = Keyring::new([("", [RegistryKey::from(key)])]);
    ImageRef::parse(&image).is_ok_and(|image| !keyring.lookup(&image).is_empty())
}

/// Host and port, where the port is one that images leave out.
fn usual_port(pattern: &RegistryPattern) -> Option<(&str, &str)> {
    let (host, port) = pattern.host().rsplit_once(':')?;
    // A host without a dot is one only because of its port.
    let is_host = host.contains('.') || host == "localhost";
    (is_host && matches!(port, "443" | "80")).then_some((host, port))
}

/// Whether a rule's namespaces get anything.
fn namespaces(rule: &Rule, report: &mut Report) {
    let excluded = |it: &&NamespacePattern| EXCLUDED_NAMESPACES.contains(&it.as_str());
    let names: Vec<&str> =
        rule.namespaces.iter().filter(excluded).map(NamespacePattern::as_str).collect();
    if names.is_empty() {
        return;
    }
    let message = format!("no Pod in {} ever gets a Secret: remove that name", names.join(" or "));
    if names.len() == rule.namespaces.len() {
        report.error(Check::ExcludedNamespace, line(rule), message);
    } else {
        report.warning(Check::ExcludedNamespace, line(rule), message);
    }
}

// === several rules ===

/// Secrets of every Pod that are named again.
fn always(mapping: &Mapping, report: &mut Report) {
    let mut seen = HashSet::new();
    for secret in mapping.always() {
        if !seen.insert(secret) {
            report.warning(
                Check::Duplicate,
                "always",
                format!("{secret} is there twice: remove one"),
            );
        }
    }
    for rule in mapping.rules().iter().filter(|rule| seen.contains(&rule.secret)) {
        let message = format!(
            "the rule only makes {} come earlier in the list: it is in `always`, so every Pod has it",
            rule.secret
        );
        report.warning(Check::Shadowed, line(rule), message);
    }
}

/// Patterns that add nothing, because another one gives the same Secret to the same images and more.
fn shadowed(mapping: &Mapping, report: &mut Report) {
    // By hash, but for globs, which alone cover other hosts than their own: there may be ten thousand rules.
    let mut exact: HashMap<(&SecretName, &str, &str), Vec<Place<'_>>> = HashMap::new();
    let mut globs: HashMap<&SecretName, Vec<Place<'_>>> = HashMap::new();
    for place in places(mapping) {
        let (secret, pattern) = (&place.rule.secret, place.pattern);
        exact.entry((secret, pattern.host(), pattern.path())).or_default().push(place);
        if pattern.is_glob() {
            globs.entry(secret).or_default().push(place);
        }
    }
    for narrow in places(mapping) {
        let Place { at, rule, pattern } = narrow;
        let same_host = paths_above(pattern.path())
            .filter_map(|path| exact.get(&(&rule.secret, pattern.host(), path)));
        let of_globs = globs.get(&rule.secret).into_iter().flatten();
        let mut others = same_host.flatten().chain(of_globs);
        // Of two that cover the same, the first one counts.
        let wider = others.find(|&&wider| {
            wider.at != at && includes(wider, narrow) && (wider.at < at || !includes(narrow, wider))
        });
        let Some(wider) = wider else { continue };
        let (secret, line_of_wider) = (&rule.secret, wider.rule.line);
        if wider.pattern.host() == pattern.host() && wider.pattern.path() == pattern.path() {
            let message = format!(
                "{pattern} has Secret {secret} already in line {line_of_wider}: remove one"
            );
            report.warning(Check::Duplicate, line(rule), message);
        } else {
            let message = format!(
                "{pattern} only makes Secret {secret} come earlier in the list: \
                 {} in line {line_of_wider} gives it to the same images",
                wider.pattern
            );
            report.warning(Check::Shadowed, line(rule), message);
        }
    }
}

/// The same pattern with different Secrets: both are tried, which is right while a login is being replaced.
fn rivals(mapping: &Mapping, report: &mut Report) {
    let mut firsts: HashMap<(&str, &str), Place<'_>> = HashMap::new();
    for place in places(mapping) {
        let Place { rule, pattern, .. } = place;
        let first = *firsts.entry((pattern.host(), pattern.path())).or_insert(place);
        let secret = &first.rule.secret;
        if *secret != rule.secret && first.rule.meets(rule) {
            let message = format!(
                "{pattern} has Secret {secret}, too, in line {}: Pods get both, and {secret} is tried first",
                first.rule.line
            );
            report.note(Check::TwoSecrets, line(rule), message);
        }
    }
}

/// Secrets that no Pod ever gets.
fn unused(mapping: &Mapping, report: &mut Report) {
    let reachable = |rule: &Rule| {
        let excluded = |it: &NamespacePattern| EXCLUDED_NAMESPACES.contains(&it.as_str());
        let somewhere = rule.namespaces.is_empty() || !rule.namespaces.iter().all(excluded);
        somewhere && rule.patterns.iter().any(|it| it.is_glob() || opens(it))
    };
    let mut used: HashSet<&SecretName> = mapping.always().iter().collect();
    used.extend(mapping.rules().iter().filter(|rule| reachable(rule)).map(|rule| &rule.secret));
    let mut reported = HashSet::new();
    for rule in mapping.rules() {
        if !used.contains(&rule.secret) && reported.insert(&rule.secret) {
            let message =
                format!("Secret {} is never used: no rule that names it can hold", rule.secret);
            report.error(Check::UnusedSecret, line(rule), message);
        }
    }
}

/// All patterns, in the order of the file.
fn places(mapping: &Mapping) -> impl Iterator<Item = Place<'_>> {
    let rules = mapping.rules().iter();
    let patterns = rules.flat_map(|rule| rule.patterns.iter().map(move |pattern| (rule, pattern)));
    patterns.enumerate().map(|(at, (rule, pattern))| Place { at, rule, pattern })
}

/// The paths that cover `path`, the shortest first: none, `a`, `a/`, `a/b`.
fn paths_above(path: &str) -> impl Iterator<Item = &str> {
    let whole = Some(path).filter(|path| !path.is_empty());
    let slashes = path.match_indices('/').flat_map(|(slash, _)| [&path[..slash], &path[..=slash]]);
    std::iter::once("").chain(slashes).chain(whole)
}

/// Whether one pattern covers all that the other does, in all its namespaces.
fn includes(wider: Place<'_>, narrow: Place<'_>) -> bool {
    wider.pattern.includes(narrow.pattern) && is_in(narrow.rule, wider.rule)
}

/// Whether the namespaces of `narrow` are among those of `wider`. Read as text, the `*` of a glob fits only where
/// there is one, too.
fn is_in(narrow: &Rule, wider: &Rule) -> bool {
    let some_namespaces = !narrow.namespaces.is_empty();
    wider.namespaces.is_empty()
        || (some_namespaces && narrow.namespaces.iter().all(|name| wider.holds_in(name.as_str())))
}
