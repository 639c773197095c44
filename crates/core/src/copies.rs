//! Copies of logins: which a mapping wants in a namespace, what each is made of, and how each is marked.

use crate::credentials::{Credentials, Slice};
use crate::rules::{
    EXCLUDED_NAMESPACES, Fill, LoginName, Mapping, NamespaceLabel, NamespacePattern,
    RegistryPattern, SecretName, ServiceAccountName,
};

/// The label that marks a copy, and its value.
pub const MARK: (&str, &str) = ("app.kubernetes.io/managed-by", "pullcred");
/// The annotation with the name of the login.
pub const LOGIN: &str = "pullcred.dev/login";
/// The annotation with the fingerprint of the content.
pub const CONTENT: &str = "pullcred.dev/content";
/// The annotation of a login's Secret with which a person lets a content be copied that a registry refuses. Its value is the
/// `health.content` of the login's report.
pub const ACCEPT: &str = "pullcred.dev/accept";
/// The field manager of copies, and of Secrets with logins that pullcred fetches.
pub const MANAGER: &str = "pullcred-credentials";

/// The copies of a mapping, by the name of their Secret.
#[derive(Debug, Default)]
pub struct Copies {
    copies: Vec<Copy>,
    own_namespace: Box<str>,
}

/// All rules that fill one Secret name.
#[derive(Debug)]
struct Copy {
    secret: SecretName,
    rules: Vec<FilledRule>,
}

/// What a copy needs to know of a rule.
#[derive(Debug)]
struct FilledRule {
    patterns: Vec<RegistryPattern>,
    namespaces: Vec<NamespacePattern>,
    fill: Fill,
}

/// What one copy is made of: the login of some rules, cut down to their registries.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Recipe {
    /// The place of its Secret's name in [`Copies::secrets`].
    pub copy: usize,
    /// The rules that hold, by their place among those of the copy. There is at least one.
    rules: Box<[u32]>,
}

// === impl Copies ===

impl Copies {
    /// The copies that `mapping` asks for. None is ever wanted in `own_namespace`, where the logins are, or in a
    /// namespace of the system.
    #[must_use]
    pub fn of(mapping: &Mapping, own_namespace: &str) -> Self {
        let mut copies: Vec<Copy> = Vec::new();
        for rule in mapping.rules() {
            let Some(fill) = &rule.fill else { continue };
            let filled = FilledRule {
                patterns: rule.patterns.clone(),
                namespaces: rule.namespaces.clone(),
                fill: fill.clone(),
            };
            match copies.iter_mut().find(|copy| copy.secret == rule.secret) {
                Some(copy) => copy.rules.push(filled),
                None => copies.push(Copy { secret: rule.secret.clone(), rules: vec![filled] }),
            }
        }
        Self { copies, own_namespace: own_namespace.into() }
    }

    /// The names of the Secrets, in the order of the file.
    #[must_use]
    pub fn secrets(&self) -> impl ExactSizeIterator<Item = &SecretName> {
        self.copies.iter().map(|copy| &copy.secret)
    }

    /// The keys of all labels of namespaces that count.
    pub fn label_keys(&self) -> impl Iterator<Item = &str> {
        let rules = self.copies.iter().flat_map(|copy| &copy.rules);
        rules.flat_map(|rule| &rule.fill.labels).map(NamespaceLabel::key)
    }

    /// Whether no namespace of this name is ever to have a copy.
    #[must_use]
    pub fn excludes(&self, namespace: &str) -> bool {
        namespace == &*self.own_namespace || EXCLUDED_NAMESPACES.contains(&namespace)
    }

    /// What an opted-in namespace is to have; `label` finds the value of a label by its key.
    pub fn wanted<'l>(
        &self,
        namespace: &str,
        label: impl Fn(&str) -> Option<&'l str>,
    ) -> Vec<Recipe> {
        if self.excludes(namespace) {
            return Vec::new();
        }
        let holds = |rule: &FilledRule| {
            let named = rule.namespaces.is_empty()
                || rule.namespaces.iter().any(|pattern| pattern.covers(namespace));
            named && rule.fill.includes(&label)
        };
        let recipe = |(place, copy): (usize, &Copy)| {
            let rules = (0..).zip(&copy.rules).filter(|(_, rule)| holds(rule));
            let rules: Box<[u32]> = rules.map(|(place, _)| place).collect();
            (!rules.is_empty()).then_some(Recipe { copy: place, rules })
        };
        self.copies.iter().enumerate().filter_map(recipe).collect()
    }

    /// Whether an opted-in namespace is to have the copy of this name.
    pub fn wants<'l>(
        &self,
        namespace: &str,
        secret: &str,
        label: impl Fn(&str) -> Option<&'l str>,
    ) -> bool {
        let recipes = self.wanted(namespace, label);
        let mut names = recipes.iter().filter_map(|recipe| self.copies.get(recipe.copy));
        names.any(|copy| copy.secret.as_str() == secret)
    }

    /// The login that fills a copy. Its rules have but one: the mapping's reader refuses two.
    #[must_use]
    pub fn login(&self, recipe: &Recipe) -> Option<&LoginName> {
        self.rules(recipe).next().map(|rule| &rule.fill.login)
    }

    /// The `ServiceAccount` of a copy's own namespace by which its login is fetched; `None` where it is copied from the
    /// login's Secret. Its rules have but one: the mapping's reader refuses two.
    #[must_use]
    pub fn identity(&self, recipe: &Recipe) -> Option<&ServiceAccountName> {
        self.rules(recipe).next()?.fill.identity.as_ref()
    }

    /// The registries of each rule of a copy, and what fills it.
    pub fn filled(&self, recipe: &Recipe) -> impl Iterator<Item = (&[RegistryPattern], &Fill)> {
        self.rules(recipe).map(|rule| (&*rule.patterns, &rule.fill))
    }

    /// Whether a login is copied from its Secret by some rule, and not only fetched by namespaces themselves.
    #[must_use]
    pub fn is_copied(&self, login: &LoginName) -> bool {
        let mut rules = self.copies.iter().flat_map(|copy| &copy.rules);
        rules.any(|rule| rule.fill.login == *login && rule.fill.identity.is_none())
    }

    /// The registries of all rules that a login fills, in the order of the file.
    #[must_use]
    pub fn registries(&self, login: &LoginName) -> Vec<RegistryPattern> {
        let rules = self.copies.iter().flat_map(|copy| &copy.rules);
        let filled = rules.filter(|rule| rule.fill.login == *login);
        filled.flat_map(|rule| rule.patterns.iter().cloned()).collect()
    }

    /// The logins of a copy's rules: what their registries need of `credentials`.
    #[must_use]
    pub fn slice(&self, recipe: &Recipe, credentials: &Credentials) -> Slice {
        let patterns: Vec<RegistryPattern> =
            self.rules(recipe).flat_map(|rule| rule.patterns.iter().cloned()).collect();
        credentials.slice(&patterns)
    }

    fn rules(&self, recipe: &Recipe) -> impl Iterator<Item = &FilledRule> {
        let copy = self.copies.get(recipe.copy);
        recipe.rules.iter().filter_map(move |&place| copy?.rules.get(place as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Rule, WhenMissing};

    fn rule(
        registry: &str,
        secret: &str,
        namespaces: &[&str],
        fill: Option<(&str, &[(&str, &str)])>,
    ) -> Rule {
        let fill = fill.map(|(login, labels)| Fill {
            login: login.parse().unwrap(),
            labels: labels.iter().map(|(k, v)| NamespaceLabel::new(k, v).unwrap()).collect(),
            identity: None,
            verify: None,
        });
        Rule {
            patterns: vec![registry.parse().unwrap()],
            secret: secret.parse().unwrap(),
            namespaces: namespaces.iter().map(|name| name.parse().unwrap()).collect(),
            fill,
            when_missing: WhenMissing::Inject,
            line: 1,
        }
    }

    fn wanted(copies: &Copies, namespace: &str, labels: &[(&str, &'static str)]) -> Vec<String> {
        let label = |key: &str| labels.iter().find(|(it, _)| *it == key).map(|(_, value)| *value);
        let names: Vec<_> = copies.secrets().collect();
        let recipes = copies.wanted(namespace, label);
        recipes.iter().map(|it| format!("{} by rules {:?}", names[it.copy], it.rules)).collect()
    }

    #[test]
    fn a_namespace_gets_the_copies_of_the_rules_that_hold_there() {
        let rules = vec![
            rule("ghcr.io/acme", "robot", &["team-*", "pullcred"], Some(("acme", &[]))),
            rule("ghcr.io/tools", "robot", &["team-a"], Some(("acme", &[]))),
            rule("quay.io", "base", &["*"], Some(("base", &[("tier", "prod")]))),
            rule("own.io", "own", &[], None),
        ];
        let copies = Copies::of(&Mapping::new(rules, Vec::new()), "pullcred");
        assert_eq!(copies.label_keys().collect::<Vec<_>>(), ["tier"]);
        for (namespace, labels, expected) in [
            ("team-a", &[][..], &["robot by rules [0, 1]"][..]),
            ("team-b", &[("tier", "prod")], &["robot by rules [0]", "base by rules [0]"]),
            ("shop", &[("tier", "test")], &[]),
            ("shop", &[("tier", "prod")], &["base by rules [0]"]),
            ("pullcred", &[("tier", "prod")], &[]),
            ("kube-system", &[("tier", "prod")], &[]),
        ] {
            assert_eq!(wanted(&copies, namespace, labels), expected, "{namespace}");
        }
    }
}
