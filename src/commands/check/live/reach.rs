//! Whether there is anything to judge: a pipeline that is green because nothing was looked at proves nothing.

use super::super::{
    Check,
    finding::{Report, first_of},
};
use crate::core::rules::{Mapping, NamespacePattern, Rule};

/// How many rules are named.
const NAMED: usize = 10;

/// Says where no namespace is `covered`, or where rules hold in none of those that are. With `only`, one namespace was
/// asked for.
pub(super) fn judge(covered: &[&str], only: Option<&str>, mapping: &Mapping, report: &mut Report) {
    let needs_nothing = |namespace: &&str| {
        mapping.always().is_empty() && !mapping.rules().iter().any(|rule| rule.holds_in(namespace))
    };
    match (covered, only) {
        ([], Some(namespace)) => {
            let message = "it has not opted in, so its Secrets are not judged, and of its Pods only those that wait";
            report.note(Check::NothingChecked, format!("namespace {namespace}"), message);
        }
        ([], None) => {
            let message =
                "none has opted in, so no Secret is judged, and of the Pods only those that wait";
            report.note(Check::NothingChecked, "namespaces", message);
        }
        ([namespace], Some(_)) if needs_nothing(namespace) => {
            let message = "no rule of the mapping holds in it, so its Pods need nothing";
            report.note(Check::NothingChecked, format!("namespace {namespace}"), message);
        }
        (_, Some(_)) => {}
        (covered, None) => nowhere(covered, mapping, report),
    }
}

/// Rules for namespaces none of which has opted in.
fn nowhere(covered: &[&str], mapping: &Mapping, report: &mut Report) {
    let is_nowhere = |rule: &&Rule| !covered.iter().any(|namespace| rule.holds_in(namespace));
    let rules: Vec<&Rule> = mapping.rules().iter().filter(is_nowhere).collect();
    if rules.is_empty() {
        return;
    }
    let named = |rule: &&Rule| {
        let names: Vec<_> = rule.namespaces.iter().map(NamespacePattern::as_str).collect();
        format!("line {} ({})", rule.line, names.join(", "))
    };
    let named: Vec<String> = rules.iter().map(named).collect();
    let message = format!(
        "rules that hold only in namespaces which do not exist or have not opted in: {}",
        first_of(&named, NAMED)
    );
    report.note(Check::RuleNowhere, "mapping", message);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping;

    fn found(covered: &[&str], only: Option<&str>, text: &str) -> String {
        let mapping = mapping::parse(text).unwrap();
        let mut report = Report::default();
        judge(covered, only, &mapping, &mut report);
        report.json()
    }

    #[test]
    fn a_check_of_nothing_says_so() {
        let mapping = "rules:\n- {registries: [a.io], secret: a, namespaces: [shop]}\n\
                       - {registries: [b.io], secret: b, namespaces: ['team-*', x]}\n";
        for (covered, only, part) in [
            (&[][..], None, "\"nothing-checked\",\"where\":\"namespaces\""),
            (&[], Some("shop"), "\"nothing-checked\",\"where\":\"namespace shop\""),
            (&["default"], Some("default"), "no rule of the mapping holds in it"),
            (&["shop"], None, "opted in: line 3 (team-*, x)\""),
            (&["default"], None, "line 2 (shop), line 3 (team-*, x)\""),
        ] {
            let found = found(covered, only, mapping);
            assert_eq!(found.lines().count(), 1, "{found}");
            assert!(found.contains(part) && found.contains("\"note\""), "{part}: {found}");
        }
        assert_eq!(found(&["shop", "team-a"], None, mapping), "");
        assert_eq!(found(&["team-a"], Some("team-a"), mapping), "");
        assert_eq!(found(&["other"], Some("other"), &format!("{mapping}always: [debug]")), "");
    }
}
