//! What has to be fetched for a mapping. Pure.

use std::collections::BTreeSet;

use ring::digest::{Context, SHA256};

use crate::core::rules::{
    Fill, Login, LoginSource, Mapping, Plugin, RegistryPattern, ServiceAccountName,
};

/// A login that is to be fetched, and all that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The login.
    pub login: Login,
    /// The `ServiceAccount` of a namespace that asks for it, where it is not pullcred's own.
    pub identity: Option<ServiceAccountName>,
    /// The registries of the rules that it fills.
    pub patterns: Vec<RegistryPattern>,
    /// Their hosts.
    pub hosts: Vec<Box<str>>,
    /// The images by which it is tried before it is given out.
    pub images: Vec<Box<str>>,
    /// A digest of all that decides what is fetched, in 32 hexadecimal digits. A login of another digest is another one.
    pub digest: String,
}

// === impl Spec ===

impl Spec {
    /// The logins that pullcred fetches by its own identity, each once for all of its rules.
    #[must_use]
    pub fn shared(mapping: &Mapping) -> Vec<Self> {
        let fetched = mapping.logins().iter().filter(|login| login.is_fetched());
        let spec = |login: &Login| {
            let rules = mapping
                .rules()
                .iter()
                .filter_map(|rule| Some((&*rule.patterns, rule.fill.as_ref()?)));
            let rules =
                rules.filter(|(_, fill)| fill.login == login.name && fill.identity.is_none());
            let rules: Vec<_> = rules.collect();
            (!rules.is_empty()).then(|| Self::of(login, None, rules))
        };
        fetched.filter_map(spec).collect()
    }

    /// A login for all of these rules.
    #[must_use]
    pub fn of<'r>(
        login: &Login,
        identity: Option<ServiceAccountName>,
        rules: impl IntoIterator<Item = (&'r [RegistryPattern], &'r Fill)>,
    ) -> Self {
        let mut patterns: Vec<RegistryPattern> = Vec::new();
        let mut images = BTreeSet::new();
        for (of_rule, fill) in rules {
            for pattern in of_rule {
                if !patterns.contains(pattern) {
                    patterns.push(pattern.clone());
                }
            }
            images.extend(fill.verify.clone());
        }
        let hosts: BTreeSet<Box<str>> =
            patterns.iter().filter(|it| !it.is_glob()).map(|it| it.host().into()).collect();
        let digest = digest(&login.source, identity.as_ref(), &patterns);
        Self {
            login: login.clone(),
            identity,
            patterns,
            hosts: hosts.into_iter().collect(),
            images: images.into_iter().collect(),
            digest,
        }
    }

    /// The source of the login.
    #[must_use]
    pub fn source(&self) -> &LoginSource {
        &self.login.source
    }
}

fn digest(
    source: &LoginSource,
    identity: Option<&ServiceAccountName>,
    patterns: &[RegistryPattern],
) -> String {
    let mut context = Context::new(&SHA256);
    let mut add = |text: &str| {
        context.update(&text.len().to_be_bytes());
        context.update(text.as_bytes());
    };
    // Every field but the values of a plugin's environment is in it.
    add(&format!("{source:?}"));
    if let LoginSource::Plugin(Plugin { env, .. }) = source {
        for value in env.values() {
            add(value);
        }
    }
    add(identity.map_or("", ServiceAccountName::as_str));
    for pattern in patterns {
        add(pattern.as_str());
    }
    let digest = context.finish();
    let half = digest.as_ref().first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes));
    format!("{half:032x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping;

    fn specs(text: &str) -> Vec<Spec> {
        Spec::shared(&mapping::parse(text).unwrap_or_else(|error| panic!("{error}")))
    }

    const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

    fn mapping_of(role: &str, registries: &str, more: &str) -> String {
        format!(
            "logins: [{{name: ecr, aws: {{role: \"arn:aws:iam::123456789012:role/{role}\"}}}}, {{name: kept, secret: robot}}]\n\
             rules:\n\
             - {{registries: [{registries}], secret: a, login: ecr, namespaces: [x]{more}}}\n\
             - {{registries: [quay.io], secret: b, login: kept, namespaces: [x]}}\n"
        )
    }

    #[test]
    fn what_is_fetched_is_asked_for_once_for_all_of_its_rules() {
        let text = format!(
            "{}- {{registries: [{ECR}/b, public.ecr.aws], secret: c, login: ecr, namespaces: [y], verify: {ECR}/b/app}}\n\
             - {{registries: [{ECR}], secret: d, login: ecr, namespaces: [z], as: {{serviceAccount: own}}}}\n",
            mapping_of("pull", &format!("{ECR}/a, {ECR}/b"), "")
        );
        let specs = specs(&text);
        assert_eq!(specs.len(), 1);
        let hosts: Vec<&str> = specs[0].hosts.iter().map(|it| &**it).collect();
        assert_eq!(hosts, [ECR, "public.ecr.aws"]);
        let patterns: Vec<_> = specs[0].patterns.iter().map(RegistryPattern::as_str).collect();
        assert_eq!(patterns, [&format!("{ECR}/a"), &format!("{ECR}/b"), "public.ecr.aws"]);
        assert_eq!(specs[0].images.len(), 1);
    }

    #[test]
    fn a_digest_changes_with_all_that_decides_what_is_fetched() {
        let digest = |text: &str| specs(text)[0].digest.clone();
        let first = digest(&mapping_of("pull", ECR, ""));
        assert_eq!(first.len(), 32);
        assert_eq!(digest(&mapping_of("pull", ECR, ", namespaceLabels: {tier: prod}")), first);
        assert_ne!(digest(&mapping_of("other", ECR, "")), first);
        assert_ne!(digest(&mapping_of("pull", &format!("{ECR}/a"), "")), first);
        let plugin = |value: &str| {
            format!(
                "logins: [{{name: p, plugin: {{name: p, env: {{A: {value}}}}}}}]\n\
                 rules: [{{registries: [quay.io], secret: a, login: p, namespaces: [x]}}]\n"
            )
        };
        assert_ne!(digest(&plugin("x")), digest(&plugin("y")));
    }
}
