//! The decision in the language of admission policies: the Common Expression Language, as the API server has it.
//!
//! The expressions follow [`crate::core::image`] and [`crate::core::rules`] step by step, and a test on a real API server holds
//! them against those. Regular expressions are RE2, in which `$` is the end of the text.

use std::fmt::Write;

use crate::core::{
    docker_hub::{HOST, LEGACY_HOST, OFFICIAL},
    rules::{Mapping, RegistryPattern, Rule},
};

/// The most images of a Pod for which a policy must do.
pub(super) const IMAGES: u64 = 40;

/// What one expression may cost at most, in the API server's units: half of what it allows
/// (apiserver: apis/cel/config.go, `PerCallLimit`).
const EXPRESSION_COST: u64 = 500_000;
/// What all lists of Secrets may cost at most together. The API server allows ten times as much (`RuntimeCELCostBudget`), but
/// needs seconds for that, and the creation of a Pod waits for it.
const POLICY_COST: u64 = 1_000_000;
/// The longest expression, in bytes; the parser stops at 100,000 (cel-go: parser/options.go).
const EXPRESSION_SIZE: usize = 80_000;
/// All expressions together, in bytes: etcd stores objects of 1.5 MiB at most, and `kubectl apply` notes the object once more.
const POLICY_SIZE: usize = 600_000;

/// What it costs to hold an image against a pattern: a step of a loop, a comparison of texts, a choice.
const COMPARISON_COST: u64 = 20;
/// The same for a glob, which is a regular expression: a hundred characters of text, by a quarter of its own.
const GLOB_COST_PER_CHARACTER: u64 = 4;

/// Host and port, path, tag and digest, as in `core::image::grammar`.
const REFERENCE: &str = concat!(
    r"^(?:[a-zA-Z0-9]+(?:-+[a-zA-Z0-9]+)*(?:\.[a-zA-Z0-9]+(?:-+[a-zA-Z0-9]+)*)*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?",
    r"(?:/[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*)+",
    r"(?::[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127})?",
    r"(?:@(?:sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128}))?$",
);

/// A named expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) expression: String,
}

/// A mapping is too much for a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line}: {pattern} and the {before} patterns that come before it by rank are more than a policy should \
     {limit} for a Pod with {IMAGES} images: use the webhook, or fewer rules"
)]
pub(super) struct TooMuch {
    line: u32,
    pattern: String,
    before: usize,
    limit: &'static str,
}

/// The images that the Pod names, in any order.
const IMAGES_OF_POD: &str = "\
object.spec.?containers.orValue([]).map(c, c.?image.orValue('')) +
object.spec.?initContainers.orValue([]).map(c, c.?image.orValue('')) +
object.spec.?ephemeralContainers.orValue([]).map(c, c.?image.orValue('')) +
object.spec.?volumes.orValue([]).filter(v, has(v.image)).map(v, v.image.?reference.orValue(''))";

const LISTED: &str = "object.spec.?imagePullSecrets.orValue([]).map(s, s.?name.orValue(''))";

const MISSING: &str = "variables.needed.filter(s, !(s in variables.listed))";

/// The patch, with the same care as in `core::patch`.
pub(super) const PATCH: &str = "\
size(variables.missing) == 0 ? [] :
size(variables.listed) == 0 ? [
  JSONPatch{
    op: 'add', path: '/spec/imagePullSecrets',
    value: variables.missing.map(s, Object.spec.imagePullSecrets{name: s})
  }
] :
variables.missing.map(s, JSONPatch{
  op: 'add', path: '/spec/imagePullSecrets/-',
  value: Object.spec.imagePullSecrets{name: s}
})";

/// The variables that a policy needs, in the order in which they build on each other.
pub(super) fn variables(mapping: &Mapping) -> Result<Vec<Variable>, TooMuch> {
    let variable = |name: &str, expression: &str| Variable {
        name: name.to_owned(),
        expression: expression.to_owned(),
    };
    let chosen = chosen(mapping)?;
    let mut lists: Vec<_> = chosen.iter().map(|it| format!("variables.{}", it.name)).collect();
    let always: Vec<_> = mapping.always().iter().map(|name| format!("'{name}'")).collect();
    if lists.is_empty() || !always.is_empty() {
        lists.push(format!("[{}]", always.join(", ")));
    }
    let needed = lists.join(" +\n");
    let needed = format!("({needed}).filter(s, s != '').distinct()");

    let mut variables = vec![
        variable("images", IMAGES_OF_POD),
        variable("references", &references()),
        variable("names", &names()),
    ];
    variables.extend(chosen);
    variables.push(variable("needed", &needed));
    variables.push(variable("listed", LISTED));
    variables.push(variable("missing", MISSING));
    Ok(variables)
}

/// The images that are references, each with its host.
fn references() -> String {
    format!(
        r"variables.images
  .filter(i, !i.matches(r'^[0-9a-f]{{64}}$'))
  .map(i,
    i.startsWith('{LEGACY_HOST}/') ? '{HOST}' + i.substring({legacy}) :
    i.matches(r'^(?:localhost|[^/]*[.:A-Z][^/]*)/') ? i : '{HOST}/' + i)
  .filter(i, i.matches(r'{REFERENCE}'))",
        legacy = LEGACY_HOST.len(),
    )
}

/// Host and repository of each image, in lower case and with a slash behind.
fn names() -> String {
    format!(
        r"variables.references
  .map(i, i.find(r'^[^/]+/[a-z0-9._/-]+'))
  .map(n, n.matches(r'^{hub}/[^/]+$') ? '{HOST}/{OFFICIAL}' + n.substring({path}) : n)
  .filter(n, size(n) - n.indexOf('/') <= 256)
  .map(n, n.lowerAscii())
  .map(n, (n.startsWith('{LEGACY_HOST}/') ? '{HOST}' + n.substring({legacy}) : n) + '/')",
        hub = regex(HOST, ""),
        path = HOST.len() + 1,
        legacy = LEGACY_HOST.len(),
    )
}

/// The Secret of each pattern that covers an image, by rank, and nothing in place of the others.
fn chosen(mapping: &Mapping) -> Result<Vec<Variable>, TooMuch> {
    let mut variables: Vec<Variable> = Vec::new();
    let (mut entries, mut cost) = (String::new(), 0);
    let (mut whole_size, mut whole_cost) = (0, 0);
    let mut close = |entries: &mut String| {
        let name = format!("secrets{}", variables.len());
        let expression = format!("[\n{entries}]");
        variables.push(Variable { name, expression });
        entries.clear();
    };
    for (before, (pattern, rule)) in mapping.ranked().enumerate() {
        let (entry, entry_cost) = entry(pattern, rule);
        whole_cost += entry_cost;
        whole_size += entry.len();
        let limit = match (whole_cost > POLICY_COST, whole_size > POLICY_SIZE) {
            (true, _) => Some("compare"),
            (_, true) => Some("hold"),
            _ => None,
        };
        if let Some(limit) = limit {
            let pattern = pattern.to_string();
            return Err(TooMuch { line: rule.line, pattern, before, limit });
        }
        if entries.len() + entry.len() > EXPRESSION_SIZE || cost + entry_cost > EXPRESSION_COST {
            close(&mut entries);
            cost = 0;
        }
        cost += entry_cost;
        entries.push_str(&entry);
    }
    if !entries.is_empty() {
        close(&mut entries);
    }
    Ok(variables)
}

/// The entry of a pattern in the list, and what it costs at most.
fn entry(pattern: &RegistryPattern, rule: &Rule) -> (String, u64) {
    let below_only = pattern.path().ends_with('/');
    let path = match pattern.path() {
        path if path.is_empty() || below_only => path.to_owned(),
        path => format!("{path}/"),
    };
    let (covers, cost) = if pattern.is_glob() || below_only {
        let host = regex(pattern.host(), "[a-z0-9-]*");
        // Each name ends in a slash, so a character behind the path's own is the start of something below it.
        let glob = format!("^{host}/{}{}", regex(&path, ""), if below_only { "." } else { "" });
        let cost = COMPARISON_COST + GLOB_COST_PER_CHARACTER * glob.len() as u64;
        (format!("n.matches(r'{glob}')"), cost)
    } else {
        (format!("n.startsWith('{}/{path}')", pattern.host()), COMPARISON_COST)
    };
    let mut entry = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        entry,
        "  {}variables.names.exists(n, {covers}) ? '{}' : '', // line {}",
        namespaces(rule),
        rule.secret,
        rule.line,
    );
    (entry, cost * IMAGES)
}

/// What must hold of the namespace, and an `&&`.
fn namespaces(rule: &Rule) -> String {
    let (globs, names): (Vec<_>, Vec<_>) = rule.namespaces.iter().partition(|it| it.is_glob());
    let names: Vec<_> = names.iter().map(|name| format!("'{name}'")).collect();
    let globs: Vec<_> = globs.iter().map(|glob| regex(glob.as_str(), ".*")).collect();
    let mut conditions = Vec::new();
    if !names.is_empty() {
        conditions.push(format!("request.namespace in [{}]", names.join(", ")));
    }
    if !globs.is_empty() {
        conditions.push(format!("request.namespace.matches(r'^(?:{})$')", globs.join("|")));
    }
    match conditions.as_slice() {
        [] => String::new(),
        [one] => format!("{one} && "),
        more => format!("({}) && ", more.join(" || ")),
    }
}

/// A text of a pattern as a regular expression, `star` in place of each `*`. Of the characters that mean something in
/// one, patterns have only these.
fn regex(text: &str, star: &str) -> String {
    text.replace('.', r"\.").replace('[', r"\[").replace(']', r"\]").replace('*', star)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping;

    fn read(text: &str) -> Mapping {
        mapping::parse(text).unwrap()
    }

    #[test]
    fn patterns_become_conditions_by_rank() {
        let mapping = read(
            "rules:\n\
             - {registries: [quay.io, quay.io/acme], secret: quay}\n\
             - {registries: ['*.dkr.ecr.*.amazonaws.com:5000/a.b'], secret: ecr, namespaces: [a, b, 'x-*', '*-y']}\n\
             - {registries: ['[fd00::1]:5000'], secret: v6, namespaces: [a]}\n\
             - {registries: [ghcr.io/acme/], secret: below}\n",
        );
        let variables = chosen(&mapping).unwrap();
        assert_eq!(variables.len(), 1);
        assert_eq!(
            variables[0].expression,
            r"[
  variables.names.exists(n, n.startsWith('quay.io/acme/')) ? 'quay' : '', // line 2
  variables.names.exists(n, n.matches(r'^ghcr\.io/acme/.')) ? 'below' : '', // line 5
  variables.names.exists(n, n.startsWith('quay.io/')) ? 'quay' : '', // line 2
  request.namespace in ['a'] && variables.names.exists(n, n.startsWith('[fd00::1]:5000/')) ? 'v6' : '', // line 4
  (request.namespace in ['a', 'b'] || request.namespace.matches(r'^(?:x-.*|.*-y)$')) && variables.names.exists(n, n.matches(r'^[a-z0-9-]*\.dkr\.ecr\.[a-z0-9-]*\.amazonaws\.com:5000/a\.b/')) ? 'ecr' : '', // line 3
]"
        );
    }

    #[test]
    fn secrets_for_every_pod_come_last() {
        for (text, needed) in [
            (
                "rules: [{registries: [quay.io], secret: quay}]\n",
                "(variables.secrets0).filter(s, s != '').distinct()",
            ),
            (
                "rules: [{registries: [quay.io], secret: quay}]\nalways: [b, a]\n",
                "(variables.secrets0 +\n['b', 'a']).filter(s, s != '').distinct()",
            ),
            ("always: [a]\n", "(['a']).filter(s, s != '').distinct()"),
        ] {
            let variables = variables(&read(text)).unwrap();
            let found = variables.iter().find(|it| it.name == "needed").unwrap();
            assert_eq!(found.expression, needed);
        }
    }

    #[test]
    fn what_is_too_much_is_refused_by_rule() {
        let mut text = "rules:\n".to_owned();
        for n in 0..1_500 {
            writeln!(text, "- {{registries: [host-{n}.example.com], secret: s-{n}}}").unwrap();
        }
        let error = variables(&read(&text)).unwrap_err();
        assert_eq!(error.limit, "compare");
        assert_eq!(error.before, usize::try_from(POLICY_COST / COMPARISON_COST / IMAGES).unwrap());
        assert!(error.to_string().starts_with("line 1252: host-1250.example.com and"), "{error}");
        let fits: Vec<&str> = text.lines().take(1_200).collect();
        let variables = chosen(&read(&fits.join("\n"))).unwrap();
        assert!(variables.len() == 2, "{}", variables.len());
        assert!(variables.iter().all(|it| it.expression.len() < 100_000));
    }
}
