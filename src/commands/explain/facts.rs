//! What is true of an image, in the order in which JSON has it.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{kubelet::KubeletAnswer, pods::PodLine};
use crate::core::{
    decide::{Reason, decide},
    image::ImageRef,
    knowledge::NamespaceKnowledge,
    pod::Pod,
    review::Request,
    rules::{Mapping, Match},
};

/// What is true of one image. Serialized, it is one line of `-o json`.
#[derive(Debug, Serialize)]
pub(super) struct ImageFacts<'m> {
    /// As it was asked for.
    pub(super) image: String,
    /// Whether it is a reference. If not, all but `error` is empty.
    pub(super) valid: bool,
    /// Registry and repository.
    pub(super) name: String,
    pub(super) registry: String,
    pub(super) repository: String,
    pub(super) tag: String,
    pub(super) digest: String,
    /// Why it is no reference; empty where it is one.
    pub(super) error: String,
    /// The rules that cover it, the most specific first.
    pub(super) rules: Vec<RuleLine<'m>>,
    /// What a Pod with this image alone would get.
    pub(super) secrets: Vec<String>,
    /// Of these, those that no rule names: they exist in the namespace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) discovered: Vec<String>,
    /// The Secrets that are left out, as reports say that they are missing or would do harm.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) withheld: Vec<String>,
    /// What reports say of its Secrets, as the webhook warns of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) warnings: Vec<String>,
    /// What the kubelet does with the Secrets at hand; none where none are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kubelet: Option<KubeletAnswer>,
    /// The Pod that was asked about; none where only the image was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pod: Option<PodLine>,
    /// Why such a Pod would get nothing.
    #[serde(skip)]
    pub(super) reason: Option<Reason>,
}

/// A pattern of a rule.
#[derive(Debug, Serialize)]
pub(super) struct RuleLine<'m> {
    pub(super) pattern: &'m str,
    pub(super) secret: &'m str,
    /// The line of the mapping file in which the rule begins.
    pub(super) line: u32,
    /// The login that fills the Secret; none where people make it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) login: Option<&'m str>,
}

// === impl ImageFacts ===

impl<'m> ImageFacts<'m> {
    /// What is true of `image` in a Pod of `namespace`, whose Secrets are `known`.
    pub(super) fn new(
        image: &str,
        namespace: &str,
        mapping: &'m Mapping,
        known: Option<NamespaceKnowledge<'_>>,
    ) -> Self {
        match ImageRef::parse(image) {
            Ok(reference) => {
                let mut facts = Self::of(&reference, image, namespace, mapping);
                facts.decide(namespace, mapping, known);
                facts
            }
            Err(error) => {
                Self { image: image.to_owned(), error: error.to_string(), ..Self::empty() }
            }
        }
    }

    fn of(reference: &ImageRef<'_>, image: &str, namespace: &str, mapping: &'m Mapping) -> Self {
        let mut found = Vec::new();
        mapping.matches(reference, namespace, &mut found);
        found.sort_unstable_by_key(|found| found.rank);
        Self {
            image: image.to_owned(),
            valid: true,
            name: reference.name(),
            registry: reference.registry().to_owned(),
            repository: reference.repository().into_owned(),
            tag: reference.tag().unwrap_or_default().to_owned(),
            digest: reference.digest().unwrap_or_default().to_owned(),
            rules: found.iter().map(RuleLine::new).collect(),
            ..Self::empty()
        }
    }

    fn empty() -> Self {
        Self {
            image: String::new(),
            valid: false,
            name: String::new(),
            registry: String::new(),
            repository: String::new(),
            tag: String::new(),
            digest: String::new(),
            error: String::new(),
            rules: Vec::new(),
            secrets: Vec::new(),
            discovered: Vec::new(),
            withheld: Vec::new(),
            warnings: Vec::new(),
            kubelet: None,
            pod: None,
            reason: None,
        }
    }
}

impl ImageFacts<'_> {
    /// What the webhook would do with a new Pod that has this image and nothing else.
    fn decide(
        &mut self,
        namespace: &str,
        mapping: &Mapping,
        known: Option<NamespaceKnowledge<'_>>,
    ) {
        let pod = json!({"spec": {"containers": [{"image": self.image}]}});
        // The fields that a Pod is read from have the types of this literal.
        let Ok(pod) = Pod::deserialize(&pod) else {
            self.reason = Some(Reason::Unreadable);
            return;
        };
        let request = Request::create(namespace, pod);
        let decision = decide(&request, mapping, known);
        self.secrets = names(decision.injected());
        self.discovered = names(&decision.discovered());
        self.withheld = names(&decision.withheld());
        self.warnings = decision.secret_warnings().to_vec();
        self.reason = decision.reason();
    }

    /// The Secrets that the rules name for it, each once.
    pub(super) fn secrets_of_rules(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for RuleLine { secret, .. } in &self.rules {
            if !names.contains(secret) {
                names.push(secret);
            }
        }
        names
    }
}

// === impl RuleLine ===

impl<'m> RuleLine<'m> {
    fn new(found: &Match<'m>) -> Self {
        let Match { pattern, secret, rule, .. } = found;
        let login = rule.fill.as_ref().map(|fill| fill.login.as_str());
        Self { pattern: pattern.as_str(), secret: secret.as_str(), line: rule.line, login }
    }
}

/// Names that last.
pub(super) fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}
