//! Rules that were probably meant for an image that none covers.

use std::collections::BTreeSet;

use crate::core::{
    docker_hub,
    image::ImageRef,
    keyring::{NearMiss, RegistryKey, are_siblings, near_miss},
    rules::{Mapping, Match, NamespacePattern, RegistryPattern, Rule},
};

/// The most near rules that are reported for one image.
const MAX_REPORTED: usize = 3;

/// A rule that nearly covers an image.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::commands) struct NearRule<'m> {
    pub(in crate::commands) pattern: &'m str,
    pub(in crate::commands) line: u32,
    pub(in crate::commands) why: String,
}

/// The rules that nearly cover `image` in `namespace`, the first few.
pub(in crate::commands) fn near_rules<'m>(
    mapping: &'m Mapping,
    image: &ImageRef<'_>,
    namespace: &str,
) -> Vec<NearRule<'m>> {
    let elsewhere = rules_elsewhere(mapping, image, namespace).into_iter();
    let mut near: Vec<_> = elsewhere
        .map(|found| NearRule {
            pattern: found.pattern.as_str(),
            line: found.rule.line,
            why: format!("the rule holds only in the namespaces {}", namespaces(found.rule)),
        })
        .collect();
    let patterns =
        mapping.rules().iter().flat_map(|rule| rule.patterns.iter().map(move |it| (rule, it)));
    for (rule, pattern) in patterns {
        if near.len() >= MAX_REPORTED {
            break;
        }
        let Some(why) = why_not(pattern, image) else { continue };
        if !near.iter().any(|it| it.pattern == pattern.as_str() && it.line == rule.line) {
            near.push(NearRule { pattern: pattern.as_str(), line: rule.line, why });
        }
    }
    near.truncate(MAX_REPORTED);
    near
}

/// What keeps a pattern from covering an image that it is probably meant for.
fn why_not(pattern: &RegistryPattern, image: &ImageRef<'_>) -> Option<String> {
    if pattern.host() == docker_hub::HOST && docker_hub::is_beside(image.registry()) {
        return Some(format!(
            "{} is another host: write the image without it, or with docker.io",
            image.registry()
        ));
    }
    if !may_be_near(pattern, image) {
        return None;
    }
    let same_host = pattern.host().eq_ignore_ascii_case(image.registry());
    // A kubelet would take it: the one thing in which rules are stricter.
    if same_host && image.repository().starts_with(pattern.path()) {
        return Some("the path of a rule covers whole parts between slashes".to_owned());
    }
    // Of what keeps the kubelet from taking a key, this is what can be wrong with a pattern, too.
    match near_miss(&RegistryKey::from(pattern.as_str()), image)? {
        NearMiss::Path => Some("its path must be the start of the image's path".to_owned()),
        reason
        @ (NearMiss::LabelCount | NearMiss::Library | NearMiss::Port | NearMiss::Sibling) => {
            Some(reason.to_string())
        }
        _ => None,
    }
}

/// Whether the labels of both hosts agree from the right, as far as both have some, or one provider has both. Nothing else
/// is near, and to find out what is wrong takes twenty times as long.
fn may_be_near(pattern: &RegistryPattern, image: &ImageRef<'_>) -> bool {
    let without_port = |host| str::split(host, ':').next().unwrap_or_default();
    if are_siblings(pattern.host(), image.registry()) {
        return true;
    }
    let (pattern, host) = (without_port(pattern.host()), without_port(image.registry()));
    let mut pairs = pattern.rsplit('.').zip(host.rsplit('.'));
    pairs.all(|(glob, label)| glob.contains('*') || glob.eq_ignore_ascii_case(label))
}

/// The rules that cover `image` in other namespaces only, by rank.
pub(in crate::commands) fn rules_elsewhere<'m>(
    mapping: &'m Mapping,
    image: &ImageRef<'_>,
    namespace: &str,
) -> Vec<Match<'m>> {
    // A namespace that each pattern covers: what it says without its `*`.
    let others: BTreeSet<String> = mapping
        .rules()
        .iter()
        .filter(|rule| rule.patterns.iter().any(|pattern| may_be_near(pattern, image)))
        .flat_map(|rule| &rule.namespaces)
        .map(|pattern| pattern.as_str().replace('*', ""))
        .filter(|other| other != namespace)
        .collect();
    let mut found = Vec::new();
    for other in &others {
        mapping.matches(image, other, &mut found);
    }
    found.sort_unstable_by_key(|found| found.rank);
    found.dedup_by_key(|found| found.rank);
    found.retain(|found| !found.rule.holds_in(namespace));
    found
}

fn namespaces(rule: &Rule) -> String {
    let names: Vec<_> = rule.namespaces.iter().map(NamespacePattern::as_str).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping;

    fn near(image: &str) -> Vec<(u32, String)> {
        let mapping = mapping::parse(
            "rules:\n\
             - {registries: ['registry.example.com:443'], secret: a}\n\
             - {registries: ['*.example.com'], secret: b, namespaces: [shop, 'batch-*']}\n\
             - {registries: [quay.io/acme], secret: c}\n\
             - {registries: [docker.io/nginx], secret: d}\n",
        );
        let mapping = mapping.unwrap();
        let near = near_rules(&mapping, &ImageRef::parse(image).unwrap(), "default");
        near.into_iter().map(|near| (near.line, near.why)).collect()
    }

    #[test]
    fn a_rule_that_was_meant_says_what_is_wrong() {
        assert_eq!(
            near("registry.example.com/app"),
            [
                (3, "the rule holds only in the namespaces shop, batch-*".to_owned()),
                (2, "ports are compared as text, and one that is left out equals no other, not even 443".to_owned()),
            ]
        );
        assert_eq!(
            near("quay.io/other/app"),
            [(4, "its path must be the start of the image's path".to_owned())]
        );
        assert_eq!(near("nginx"), [(5, NearMiss::Library.to_string())]);
        assert_eq!(
            near("registry-1.docker.io/library/nginx"),
            [(
                5,
                "registry-1.docker.io is another host: write the image without it, or with docker.io"
                    .to_owned()
            )]
        );
        assert_eq!(
            near("quay.io/acmeevil/app"),
            [(4, "the path of a rule covers whole parts between slashes".to_owned())]
        );
        assert_eq!(near("ghcr.io/acme/app"), []);
    }

    /// The filter that runs first drops no rule that would be reported.
    #[test]
    fn only_hosts_with_the_same_end_are_near() {
        let patterns = [
            "quay.io",
            "quay.io:5000",
            "*.quay.io",
            "a.quay.io/x",
            "q*y.io",
            "[fd00::1]:5000",
            "localhost:5000",
            "registry:5000",
            "docker.io/nginx",
            "*.dkr.ecr.*.amazonaws.com",
            "registry.cn-hangzhou.aliyuncs.com",
            "gcr.io",
            "hub.docker.com",
        ];
        let images = [
            "quay.io/x/y",
            "QUAY.io/x/y",
            "quay.io:443/x",
            "b.a.quay.io/x",
            "[fd00::1]/x",
            "[fd00::1]:1/x",
            "[fd00::2]/x",
            "localhost/x",
            "registry:1/x",
            "nginx",
            "1.dkr.ecr.eu.amazonaws.com:1/x",
            "x.io/quay.io",
            "dkr.ecr.eu.amazonaws.com/x",
            "registry.hub.docker.com/x",
            "registry-vpc.cn-hangzhou.aliyuncs.com/x",
            "1.dkr.ecr.cn-north-1.amazonaws.com.cn/x",
            "1.dkr.ecr-fips.us-east-1.amazonaws.com/x",
            "us.gcr.io/x",
        ];
        let mut near = 0;
        for (pattern, image) in patterns.iter().flat_map(|it| images.map(|image| (it, image))) {
            let image = ImageRef::parse(image).unwrap();
            let pattern: RegistryPattern = pattern.parse().unwrap();
            let reason = near_miss(&RegistryKey::from(pattern.as_str()), &image);
            // Of Docker Hub's hosts more is said by name.
            if reason.is_some_and(|reason| reason != NearMiss::DockerHub) {
                near += 1;
                assert!(may_be_near(&pattern, &image), "{pattern} and {image}");
            }
        }
        assert!(near > 10, "{near}");
    }
}
