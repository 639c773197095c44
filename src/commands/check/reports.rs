//! The keys of a mapping that need reports: what they name, and whether anything could ever be known.

use super::{Check, finding::Report};
use crate::core::rules::{EXCLUDED_NAMESPACES, Mapping, NamespacePattern, Rule, WhenMissing};

/// Checks `whenMissing` and `discover` of a mapping.
pub(super) fn keys(mapping: &Mapping, report: &mut Report) {
    for rule in mapping.rules().iter().filter(|rule| rule.when_missing == WhenMissing::Skip) {
        if rule.fill.is_none() && !discovers_for(mapping, rule) {
            let message = format!(
                "`whenMissing: skip` does nothing: it is never known whether Secret {} is missing. \
                 Give the rule a `login`, or name its namespaces under `discover`",
                rule.secret
            );
            report.warning(Check::WhenMissing, format!("line {}", rule.line), message);
        } else if mapping.always().contains(&rule.secret) {
            let message = format!(
                "`whenMissing: skip` does nothing: Secret {} is in `always`, so every Pod gets it",
                rule.secret
            );
            report.warning(Check::WhenMissing, format!("line {}", rule.line), message);
        }
    }
    let excluded = |it: &&NamespacePattern| EXCLUDED_NAMESPACES.contains(&it.as_str());
    let names: Vec<&str> =
        mapping.discover().iter().filter(excluded).map(NamespacePattern::as_str).collect();
    if !names.is_empty() {
        let names = names.join(" or ");
        let message = format!("no Pod in {names} ever gets a Secret: remove that name");
        report.warning(Check::ExcludedNamespace, "discover", message);
    }
}

/// Whether Secrets are discovered in a namespace in which the rule holds.
fn discovers_for(mapping: &Mapping, rule: &Rule) -> bool {
    let meets = |it: &NamespacePattern| {
        rule.namespaces.is_empty() || rule.namespaces.iter().any(|other| it.meets(other))
    };
    mapping.discover().iter().any(meets)
}
