//! The mapping of registries to Secret names, and the lookup of an image's rules.
//!
//! Every rule that covers an image counts. Where a Pod gets several Secrets, they come in the order of *rank*,
//! which is fixed when the mapping is built, so that the order does not depend on the order of a Pod's
//! containers. The first of these criteria that distinguishes two patterns decides:
//!
//! 1. a host comes before a glob of hosts;
//! 2. of two globs, the one with more characters other than `*` in host and port;
//! 3. the one with more path segments;
//! 4. the one that is first in the file.

mod fill;
mod glob;
mod index;
mod login;
mod name;
mod pattern;
mod pattern_error;

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::ptr;

pub use self::fill::{Fill, LabelError, NamespaceLabel};
use self::index::{ByNamespace, Index, Rank};
pub use self::login::{
    Aliyun, AliyunAccess, Aws, AwsAccess, Azure, AzureAccess, Endpoint, EndpointError, Endpoints,
    Github, Google, GoogleAccess, HostMismatch, Login, LoginSource, Plugin, TokenSource,
};
pub use self::name::{LoginName, NameError, NamespacePattern, SecretName, ServiceAccountName};
pub use self::pattern::RegistryPattern;
pub use self::pattern_error::{PatternError, PatternProblem};
use super::image::ImageRef;

/// Namespaces whose Pods never get Secrets, whatever their labels: a broken control plane must be able to start again.
pub const EXCLUDED_NAMESPACES: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// The rules of a mapping, indexed so that a lookup costs the same with ten rules and with ten thousand.
#[derive(Debug, Default)]
pub struct Mapping {
    rules: Vec<Rule>,
    always: Vec<SecretName>,
    own_namespace: Option<Box<str>>,
    logins: Vec<Login>,
    discover: Vec<NamespacePattern>,
    /// The position of each pattern, by rank: its rule, and its index within the rule.
    ranking: Vec<(usize, usize)>,
    index: Index,
}

/// A Secret, and the registries and namespaces that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The registries. One that covers an image is enough.
    pub patterns: Vec<RegistryPattern>,
    /// The Secret with their credentials, in the Pod's own namespace.
    pub secret: SecretName,
    /// The namespaces in which the rule applies; empty where it applies in all.
    pub namespaces: Vec<NamespacePattern>,
    /// What fills the Secret; without it, people make the Secret themselves.
    pub fill: Option<Fill>,
    /// What a Pod gets where its namespace is known to lack the Secret.
    pub when_missing: WhenMissing,
    /// Where the rule begins in the file: its line, counted from 1.
    pub line: u32,
}

/// What a Pod gets from a rule where its namespace is known to lack the rule's Secret.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WhenMissing {
    /// The name: its images wait for the Secret.
    #[default]
    Inject,
    /// Nothing: its images are pulled without the Secret.
    Skip,
}

/// A rule's pattern that covers an image.
#[derive(Debug, Clone, Copy)]
pub struct Match<'m> {
    /// The pattern that covers the image.
    pub pattern: &'m RegistryPattern,
    /// The Secret that the rule names.
    pub secret: &'m SecretName,
    /// The rule of the pattern.
    pub rule: &'m Rule,
    /// The pattern's place among all patterns of the mapping, the most specific first.
    pub rank: u32,
}

/// The rules that cover the images of one Pod, image by image.
///
/// For any number of images it stores each pattern of the mapping at most once, and evaluates the namespaces of each host
/// and path of the mapping once.
#[derive(Debug)]
pub struct Lookup<'m> {
    mapping: &'m Mapping,
    namespace: &'m str,
    /// The evaluated places of the index, by their address, and whether one of their rules applies.
    asked: HashMap<*const ByNamespace, bool>,
    found: Vec<Rank>,
}

/// The Secrets that a Pod needs, each once: those for its images, by rank, and then those for [every Pod](Mapping::always).
#[derive(Debug)]
pub struct Needed<'m> {
    /// The names of the Secrets, in the order of the list.
    pub secrets: Vec<&'m SecretName>,
    /// The number of Secrets that an image needs; they come first.
    pub for_images: usize,
    mapping: &'m Mapping,
    found: Vec<Rank>,
}

// === impl Rule ===

impl Rule {
    /// Whether the rule applies in this namespace. A rule without namespaces applies in all.
    #[must_use]
    pub fn holds_in(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || NamespacePattern::any_covers(&self.namespaces, namespace)
    }

    /// Whether some namespace has a name for which both rules hold.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        self.namespaces.is_empty()
            || other.namespaces.is_empty()
            || self.namespaces.iter().any(|one| other.namespaces.iter().any(|it| one.meets(it)))
    }
}

// === impl Mapping ===

impl Mapping {
    /// A mapping of these rules, in the order of the file, and these Secrets for every Pod.
    #[must_use]
    pub fn new(rules: Vec<Rule>, always: Vec<SecretName>) -> Self {
        let mut ranking: Vec<(usize, usize)> = rules
            .iter()
            .enumerate()
            .flat_map(|(rule, Rule { patterns, .. })| (0..patterns.len()).map(move |at| (rule, at)))
            .collect();
        // Stable: what is first in the file stays first.
        ranking.sort_by_cached_key(|&(rule, at)| {
            let pattern = &rules[rule].patterns[at];
            let literals = if pattern.is_glob() { pattern.literals() } else { 0 };
            (pattern.is_glob(), Reverse(literals), Reverse(pattern.segments()))
        });
        let ranked = (0..).zip(&ranking).map(|(rank, &(rule, at))| {
            let rule = &rules[rule];
            (rank, &rule.patterns[at], rule)
        });
        let index = Index::new(ranked);
        Self { rules, always, ranking, index, ..Self::default() }
    }

    /// The same mapping for a webhook in this namespace, whose Pods get no Secrets: the webhook must not depend on itself.
    #[must_use]
    pub fn with_own_namespace(self, own_namespace: Option<Box<str>>) -> Self {
        Self { own_namespace, ..self }
    }

    /// Whether no Pod of this namespace ever gets Secrets: it is one of [`EXCLUDED_NAMESPACES`], or the webhook's own.
    #[must_use]
    pub fn excludes(&self, namespace: &str) -> bool {
        EXCLUDED_NAMESPACES.contains(&namespace) || self.own_namespace.as_deref() == Some(namespace)
    }

    /// The namespace of the webhook, if it is known.
    #[must_use]
    pub fn own_namespace(&self) -> Option<&str> {
        self.own_namespace.as_deref()
    }

    /// The same mapping with these logins, in the order of the file.
    #[must_use]
    pub fn with_logins(mut self, logins: Vec<Login>) -> Self {
        self.logins = logins;
        self
    }

    /// The logins that fill Secrets, in the order of the file.
    #[must_use]
    pub fn logins(&self) -> &[Login] {
        &self.logins
    }

    /// The same mapping that also discovers pull Secrets in these namespaces.
    #[must_use]
    pub fn with_discover(mut self, namespaces: Vec<NamespacePattern>) -> Self {
        self.discover = namespaces;
        self
    }

    /// The namespaces in which Pods also get the pull Secrets that exist there and open their images; empty where none do.
    #[must_use]
    pub fn discover(&self) -> &[NamespacePattern] {
        &self.discover
    }

    /// Whether Pods of this namespace also get the pull Secrets that exist there and open their images. They never do in a
    /// namespace that the mapping [excludes](Self::excludes).
    #[must_use]
    pub fn discovers(&self, namespace: &str) -> bool {
        NamespacePattern::any_covers(&self.discover, namespace) && !self.excludes(namespace)
    }

    /// Appends to `found` every pattern that covers `image` in `namespace`, in no particular order.
    ///
    /// No pattern covers an image without a registry, such as `my_host.io/app`: no pattern can name its host.
    pub fn matches<'m>(
        &'m self,
        image: &ImageRef<'_>,
        namespace: &str,
        found: &mut Vec<Match<'m>>,
    ) {
        self.index.look_up(image, &mut |rules| {
            rules.look_up(namespace, &mut |rank| {
                let (rule, at) = self.ranking[rank as usize];
                let rule = &self.rules[rule];
                found.push(Match { pattern: &rule.patterns[at], secret: &rule.secret, rule, rank });
            });
        });
    }

    /// Starts a lookup for the images of a Pod in `namespace`.
    #[must_use]
    pub fn lookup<'m>(&'m self, namespace: &'m str) -> Lookup<'m> {
        Lookup { mapping: self, namespace, asked: HashMap::new(), found: Vec::new() }
    }

    /// The Secrets of a Pod, each once: those of the matches `found` for its images, by rank, and then
    /// those for [every Pod](Self::always). Sorts `found` by rank and removes duplicates.
    #[must_use]
    pub fn secrets<'m>(&'m self, found: &mut Vec<Match<'m>>) -> Vec<&'m SecretName> {
        found.sort_unstable_by_key(|found| found.rank);
        found.dedup_by_key(|found| found.rank);
        let mut seen = HashSet::with_capacity(found.len() + self.always.len());
        let of_images = found.iter().map(|found| found.secret);
        of_images.chain(&self.always).filter(|&secret| seen.insert(secret)).collect()
    }

    /// Every pattern with its rule, by rank.
    #[must_use]
    pub fn ranked(&self) -> impl ExactSizeIterator<Item = (&RegistryPattern, &Rule)> {
        self.ranking.iter().map(|&(rule, at)| {
            let rule = &self.rules[rule];
            (&rule.patterns[at], rule)
        })
    }

    /// The rules, in the order of the file.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The Secrets of every opted-in Pod, whatever its images.
    #[must_use]
    pub fn always(&self) -> &[SecretName] {
        &self.always
    }
}

// === impl Lookup ===

impl<'m> Lookup<'m> {
    /// Looks up `image`. Returns whether a rule covers it.
    pub fn add(&mut self, image: &ImageRef<'_>) -> bool {
        let Self { mapping, namespace, asked, found } = self;
        let mut covered = false;
        mapping.index.look_up(image, &mut |rules| {
            covered |= *asked.entry(ptr::from_ref(rules)).or_insert_with(|| {
                let before = found.len();
                rules.look_up(namespace, &mut |rank| found.push(rank));
                found.len() > before
            });
        });
        covered
    }

    /// The Secrets that the Pod needs.
    #[must_use]
    pub fn needed(mut self) -> Needed<'m> {
        self.found.sort_unstable();
        let Mapping { rules, ranking, .. } = self.mapping;
        let of_images = self.found.iter().map(|&rank| &rules[ranking[rank as usize].0].secret);
        let mut seen = HashSet::with_capacity(self.found.len() + self.mapping.always.len());
        let mut secrets: Vec<_> = of_images.filter(|&secret| seen.insert(secret)).collect();
        let for_images = secrets.len();
        secrets.extend(self.mapping.always.iter().filter(|&secret| seen.insert(secret)));
        Needed { secrets, for_images, mapping: self.mapping, found: self.found }
    }
}

// === impl Needed ===

impl<'m> Needed<'m> {
    /// The rules by which an image needs the Secret of this name, one for each pattern that covers an image.
    pub fn rules(&self, secret: &str) -> impl Iterator<Item = &'m Rule> {
        let Mapping { rules, ranking, .. } = self.mapping;
        let rules = self.found.iter().map(|&rank| &rules[ranking[rank as usize].0]);
        rules.filter(move |rule| rule.secret.as_str() == secret)
    }

    /// Whether the name of a Secret is left out where its namespace is known to lack it: every rule by which an image needs
    /// it says so, and it is not for every Pod.
    #[must_use]
    pub fn is_skipped_when_missing(&self, secret: &str) -> bool {
        self.rules(secret).all(|rule| rule.when_missing == WhenMissing::Skip)
            && !self.mapping.always.iter().any(|it| it.as_str() == secret)
    }
}

#[cfg(test)]
mod tests;
