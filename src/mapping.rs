//! Parses the text of a mapping file into a [`Mapping`]. Reads no file.
//!
//! ```yaml
//! rules:
//!   - registries: [ghcr.io/acme, "*.dkr.ecr.*.amazonaws.com"] # see `core::rules::RegistryPattern`
//!     secret: acme-robot                                      # the name of a Secret in the Pod's namespace
//!     namespaces: [team-a, "batch-*"]                         # only there; without the key, everywhere
//!     login: acme                                             # what fills the Secret; without it, people make it
//!     namespaceLabels: {tier: prod}                           # it is filled only in namespaces with these labels
//!     whenMissing: skip                                       # leave it out where it is known to be missing
//! always: [debug-tools]                                       # Secrets for every Pod
//! logins:
//!   - name: acme
//!     secret: acme-robot                                      # a pull Secret in pullcred's own namespace
//!   - name: ecr-eu
//!     aws: {role: "arn:aws:iam::123456789012:role/pull"}      # or fetched: see `yaml_login`
//! discover: {namespaces: ["sandbox-*"]}                       # use the pull Secrets that exist there
//! ```
//!
//! `registries` and `secret` are required in a rule, and a file has a rule, an entry of `always`, or `discover`.
//! Unknown and repeated keys are refused, so that no typing mistake goes unnoticed.

mod error;
mod logins;
mod reports;
mod sources;
mod values;
mod yaml;
mod yaml_login;

use std::collections::{HashMap, hash_map::Entry};
use std::fmt::Display;
use std::str::FromStr;

use serde_saphyr::Spanned;

use self::error::Place;
pub use self::error::{MappingError, Problem};
use self::logins::FilledPlaces;
pub(crate) use self::yaml::yaml_hint;
use self::yaml::{Names, RawMapping, RawRule, place};
use crate::core::rules::{Mapping, NameError, PatternError, RegistryPattern, Rule};

/// The size of the largest mapping file, in bytes: 1 MiB, which is also the most that a ConfigMap holds.
pub const SIZE_MAX: usize = 1024 * 1024;

/// The most problems that one error lists.
const PROBLEMS_MAX: usize = 10;

const NO_MAPPING: &str = "these are values of the chart without a `mapping`: \
     where `mappingFrom` names a ConfigMap, give the file that is in it";

const NO_RULE: &str = "there is no rule: \
     write `rules:` and below it `- registries: [quay.io]` and `secret: quay-robot`";

/// Reads a mapping from the text of its file.
///
/// # Errors
///
/// [`MappingError`], with line and column. It lists up to ten problems with the entries; where the text is
/// not YAML, or a key is unknown, missing or of the wrong type, only the first.
pub fn parse(text: &str) -> Result<Mapping, MappingError> {
    check_size(text)?;
    interpret(text, yaml::read(text)?)
}

/// Reads a mapping from the text of its file, or from the values of the Helm chart, which have it under `mapping`.
/// Lines and columns are those of the text in both cases.
///
/// # Errors
///
/// As [`parse`]; also where values name a ConfigMap by `mappingFrom` and hold no mapping.
pub fn parse_or_values(text: &str) -> Result<Mapping, MappingError> {
    check_size(text)?;
    if !yaml::are_values(text) {
        return interpret(text, yaml::read(text)?);
    }
    let mapping = yaml::read_values(text)?;
    mapping.map_or_else(
        || Err(Problem::unshown(Place::START, NO_MAPPING.to_owned()).into()),
        |mapping| interpret(text, mapping),
    )
}

fn check_size(text: &str) -> Result<(), Problem> {
    if text.len() <= SIZE_MAX {
        return Ok(());
    }
    let length = text.len();
    let message =
        format!("the file has {length} bytes, more than the {SIZE_MAX} that a ConfigMap holds");
    Err(Problem::unshown(Place::START, message))
}

/// Converts the parsed values of `text` into a mapping.
fn interpret(
    text: &str,
    RawMapping { rules, always, logins, discover }: RawMapping,
) -> Result<Mapping, MappingError> {
    let mut reader = Reader { text, problems: Vec::new(), omitted: 0, filled: Vec::new() };

    let nothing = discover.is_none() && always.as_ref().is_none_or(|names| names.value.is_empty());
    match &rules {
        None if nothing => reader.report(|_| Problem::unshown(Place::START, NO_RULE.to_owned())),
        Some(rules) if nothing && rules.value.is_empty() => {
            reader.refuse(place(rules.referenced), NO_RULE);
        }
        _ => {}
    }
    let rules: Vec<Rule> =
        rules.iter().flat_map(|rules| &rules.value).filter_map(|rule| reader.rule(rule)).collect();
    let always = always.as_ref().map(|names| reader.names(names)).unwrap_or_default();
    let logins = logins.as_ref().map(|logins| reader.logins(logins)).unwrap_or_default();
    let discover = discover.as_ref().map(|it| reader.discover(it)).unwrap_or_default();
    if reader.problems.is_empty() {
        reader.check_logins(&rules, &logins);
    }

    if let Some(error) = MappingError::of(reader.problems, reader.omitted) {
        return Err(error);
    }
    Ok(Mapping::new(rules, always).with_logins(logins.values).with_discover(discover))
}

/// Converts the parsed values, and collects the problems.
struct Reader<'t> {
    text: &'t str,
    /// The first [`PROBLEMS_MAX`].
    problems: Vec<Problem>,
    omitted: usize,
    /// Where the parts of each rule with a login stand, in the order of the rules.
    filled: Vec<FilledPlaces>,
}

// === impl Reader ===

impl Reader<'_> {
    fn rule(&mut self, written: &Spanned<RawRule>) -> Option<Rule> {
        let line = place(written.referenced).line;
        let RawRule { registries, secret, namespaces, when_missing, .. } = &written.value;
        let patterns = self.patterns(registries);
        let namespaces = namespaces.as_ref().map(|namespaces| {
            if namespaces.value.is_empty() {
                let at = place(namespaces.referenced);
                self.refuse(at, "the rule would apply in no namespace: name some, or remove the key so that it applies in all");
            }
            self.names(namespaces)
        });
        let when_missing = self.when_missing(when_missing.as_ref());
        let secret = self.name(secret)?;
        let fill = self.fill(written, namespaces.as_deref());
        let namespaces = namespaces.unwrap_or_default();
        Some(Rule { patterns, secret, namespaces, fill, when_missing, line })
    }

    fn patterns(&mut self, registries: &Names) -> Vec<RegistryPattern> {
        if registries.value.is_empty() {
            let at = place(registries.referenced);
            self.refuse(at, "the rule has no registry: name one or more, as in [quay.io]");
        }
        let mut patterns: Vec<RegistryPattern> = Vec::with_capacity(registries.value.len());
        let mut seen = HashMap::new();
        for registry in &registries.value {
            let at = place(registry.referenced);
            let Some(pattern) = self.name::<RegistryPattern>(registry) else { continue };
            match seen.entry((pattern.host().to_owned(), pattern.path().to_owned())) {
                Entry::Vacant(entry) => {
                    entry.insert(pattern.to_string());
                    patterns.push(pattern);
                }
                Entry::Occupied(entry) if *entry.get() == pattern.as_str() => {
                    self.refuse(at, format!("{pattern} is in this rule twice: remove one"));
                }
                Entry::Occupied(entry) => {
                    let first = entry.get();
                    self.refuse(at, format!("{pattern} is the same as {first}, which is in this rule, too: remove one"));
                }
            }
        }
        patterns
    }

    fn names<T>(&mut self, names: &Names) -> Vec<T>
    where
        T: FromStr<Err: Refusal>,
    {
        names.value.iter().filter_map(|name| self.name(name)).collect()
    }

    fn name<T>(&mut self, name: &Spanned<String>) -> Option<T>
    where
        T: FromStr<Err: Refusal>,
    {
        let refusal = match name.value.parse() {
            Ok(name) => return Some(name),
            Err(refusal) => refusal,
        };
        let at = place(name.referenced);
        if refusal.is_confidential() {
            self.report(|_| Problem::unshown(at, refusal.to_string()));
        } else {
            self.refuse(at, refusal.to_string());
        }
        None
    }

    fn refuse(&mut self, at: Place, message: impl Into<String>) {
        self.report(|text| Problem::new(text, at, message.into()));
    }

    fn report(&mut self, problem: impl FnOnce(&str) -> Problem) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem(self.text));
        } else {
            self.omitted += 1;
        }
    }
}

/// Why an entry of a mapping is refused.
trait Refusal: Display {
    /// Whether the text may hold a credential, so that it must not be shown.
    fn is_confidential(&self) -> bool;
}

impl Refusal for PatternError {
    fn is_confidential(&self) -> bool {
        self.is_confidential()
    }
}

impl Refusal for NameError {
    fn is_confidential(&self) -> bool {
        self.is_confidential()
    }
}
