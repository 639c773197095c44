//! Finds the rules for an image without reading all of them.
//!
//! Host, then path, then namespace, each by hash; only globs are scanned. So an image costs as many lookups
//! as its path has segments (and no more than the longest path of any rule for its host), plus one
//! comparison for each different glob of hosts, plus what it finds. What is found at one place of the index is the same
//! for every image of a Pod, so a Pod pays for it once: see [`super::Lookup`].

use std::cell::LazyCell;
use std::collections::HashMap;

use super::name::NamespacePattern;
use super::pattern::{RegistryPattern, canonical_host, split_port};
use super::{Rule, glob};
use crate::image::ImageRef;

/// The place of a pattern among all of a mapping, the most specific first.
pub(super) type Rank = u32;

/// All patterns of a mapping, by host.
#[derive(Debug, Default)]
pub(super) struct Index {
    hosts: HashMap<Box<str>, HostRules>,
    globs: Vec<(HostGlob, HostRules)>,
}

/// A host in which `*` stands for any text within one label.
#[derive(Debug, PartialEq, Eq, Hash)]
struct HostGlob {
    labels: Box<[Box<str>]>,
    port: Option<Box<str>>,
}

// The table of hosts has spare capacity, so data that few hosts have is boxed: ten thousand hosts take 2 MB less.

/// The rules of one host, or one glob of hosts: those for all of it, and those for a path.
#[derive(Debug, Default)]
struct HostRules {
    whole: ByNamespace,
    below: Option<Box<Paths>>,
}

/// The rules of one host that are for a path.
#[derive(Debug, Default)]
struct Paths {
    rules: HashMap<Box<str>, ByNamespace>,
    /// The number of segments of the longest path.
    depth: usize,
    /// Whether a path ends in a slash, and so covers only what is below it.
    below_only: bool,
}

/// The rules of one path, by the namespaces for which they hold. No rule is in it twice for one namespace, and no pattern
/// is in two of these.
#[derive(Debug, Default)]
pub(super) struct ByNamespace {
    every: Vec<Rank>,
    some: Option<Box<SomeNamespaces>>,
}

/// The rules of one path that hold in some namespaces only.
#[derive(Debug, Default)]
struct SomeNamespaces {
    named: HashMap<Box<str>, Vec<Rank>>,
    globs: Vec<(Box<[NamespacePattern]>, Rank)>,
}

// === impl Index ===

impl Index {
    /// Indexes `ranked`, the patterns of a mapping with their rules.
    pub(super) fn new<'m>(
        ranked: impl Iterator<Item = (Rank, &'m RegistryPattern, &'m Rule)>,
    ) -> Self {
        let mut index = Self::default();
        let mut globs: HashMap<HostGlob, HostRules> = HashMap::new();
        for (rank, pattern, rule) in ranked {
            let host = if pattern.is_glob() {
                globs.entry(HostGlob::new(pattern.host())).or_default()
            } else {
                index.hosts.entry(pattern.host().into()).or_default()
            };
            host.insert(rank, pattern, &rule.namespaces);
        }
        index.globs = globs.into_iter().collect();
        index
    }

    /// Calls `found` with the rules of every host and path that cover `image`, whatever namespaces they are for.
    pub(super) fn look_up<'i>(
        &'i self,
        image: &ImageRef<'_>,
        found: &mut impl FnMut(&'i ByNamespace),
    ) {
        // Without a host that a rule could name; see `ImageRef::registry`.
        if image.registry().is_empty() {
            return;
        }
        let host = canonical_host(image.registry());
        // Docker Hub's short names cost an allocation here, so only where a rule asks for a path.
        let repository = LazyCell::new(|| image.repository());
        let mut look_into = |rules: &'i HostRules| {
            found(&rules.whole);
            if let Some(below) = &rules.below {
                for end in ends(&repository).take(below.depth) {
                    if let Some(rules) = below.rules.get(&repository[..end]) {
                        found(rules);
                    }
                    let with_slash = repository.get(..=end).filter(|_| below.below_only);
                    if let Some(rules) = with_slash.and_then(|path| below.rules.get(path)) {
                        found(rules);
                    }
                }
            }
        };
        if let Some(rules) = self.hosts.get(&*host) {
            look_into(rules);
        }
        if self.globs.is_empty() || host.starts_with('[') {
            return;
        }
        let (name, port) = split_port(&host);
        let labels = name.split('.').count();
        for (glob, rules) in &self.globs {
            if glob.labels.len() == labels && glob.covers(name, port) {
                look_into(rules);
            }
        }
    }
}

/// Where the paths that cover `repository` end, by whole segments: `a`, `a/b`, `a/b/c`.
fn ends(repository: &str) -> impl Iterator<Item = usize> {
    let slashes = repository.match_indices('/').map(|(slash, _)| slash);
    slashes.chain([repository.len()])
}

// === impl HostGlob ===

impl HostGlob {
    fn new(host: &str) -> Self {
        let (name, port) = split_port(host);
        Self { labels: name.split('.').map(Into::into).collect(), port: port.map(Into::into) }
    }

    /// Whether the glob covers a host of as many labels.
    fn covers(&self, name: &str, port: Option<&str>) -> bool {
        self.port.as_deref() == port
            && self
                .labels
                .iter()
                .zip(name.split('.'))
                .all(|(label, text)| glob::covers(label, text))
    }
}

// === impl HostRules ===

impl HostRules {
    fn insert(&mut self, rank: Rank, pattern: &RegistryPattern, namespaces: &[NamespacePattern]) {
        let rules = if pattern.path().is_empty() {
            &mut self.whole
        } else {
            let below = self.below.get_or_insert_default();
            below.depth = below.depth.max(pattern.segments());
            below.below_only |= pattern.path().ends_with('/');
            below.rules.entry(pattern.path().into()).or_default()
        };
        rules.insert(rank, namespaces);
    }
}

// === impl ByNamespace ===

impl ByNamespace {
    fn insert(&mut self, rank: Rank, namespaces: &[NamespacePattern]) {
        if namespaces.is_empty() {
            self.every.push(rank);
            return;
        }
        let some = self.some.get_or_insert_default();
        let (globs, names): (Vec<_>, Vec<_>) =
            namespaces.iter().cloned().partition(NamespacePattern::is_glob);
        for name in names {
            // A name that a glob of the same rule covers as well, or that is there twice, must not count twice.
            if NamespacePattern::any_covers(&globs, name.as_str()) {
                continue;
            }
            let ranks = some.named.entry(name.as_str().into()).or_default();
            if ranks.last() != Some(&rank) {
                ranks.push(rank);
            }
        }
        if !globs.is_empty() {
            some.globs.push((globs.into(), rank));
        }
    }

    /// Calls `found` with every pattern that holds in `namespace`.
    pub(super) fn look_up(&self, namespace: &str, found: &mut impl FnMut(Rank)) {
        self.every.iter().copied().for_each(&mut *found);
        let Some(some) = &self.some else { return };
        some.named.get(namespace).into_iter().flatten().copied().for_each(&mut *found);
        for (globs, rank) in &some.globs {
            if NamespacePattern::any_covers(globs, namespace) {
                found(*rank);
            }
        }
    }
}
