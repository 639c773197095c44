//! Who keeps the Secrets of a namespace: pullcred, from a login, or people.

use std::collections::BTreeMap;

use super::logins;
use crate::{
    core::rules::{
        Fill, Login, Mapping, NamespaceLabel, NamespacePattern, Rule, ServiceAccountName,
    },
    paste,
};

/// A namespace, as far as it is known, and the mapping.
#[derive(Debug, Clone, Copy)]
pub(super) struct Audience<'a> {
    pub(super) mapping: &'a Mapping,
    pub(super) namespace: &'a str,
    /// Its labels; `None` where they are not known.
    pub(super) labels: Option<&'a BTreeMap<String, String>>,
}

/// What a rule with a login does for a Secret of a namespace.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keeper<'a> {
    pub(super) login: &'a Login,
    pub(super) rule: &'a Rule,
    pub(super) reach: Reach,
    /// The namespace of pullcred, where it is known.
    home: Option<&'a str>,
}

/// Whether a rule with a login holds in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// It holds: pullcred makes the Secret.
    Here,
    /// It would, but the namespace lacks the labels.
    OtherLabels,
    /// It holds in other namespaces only.
    OtherNamespaces,
}

// === impl Audience ===

impl<'a> Audience<'a> {
    /// The login that fills a Secret of the namespace, or that nearly does; `None` where people make the Secret.
    pub(super) fn keeper(&self, secret: &str) -> Option<Keeper<'a>> {
        if self.mapping.excludes(self.namespace) {
            return None;
        }
        let rules = || self.mapping.rules().iter().filter(|rule| rule.secret.as_str() == secret);
        let filled = || rules().filter_map(|rule| Some((rule, rule.fill.as_ref()?)));
        let here = |rule: &Rule| rule.holds_in(self.namespace);
        let found = filled()
            .find(|(rule, fill)| here(rule) && self.includes(fill))
            .map(|found| (found, Reach::Here));
        let by_hand = || rules().any(|rule| rule.fill.is_none() && here(rule));
        let found = match found {
            None if by_hand() => None,
            None => filled()
                .find(|(rule, _)| here(rule))
                .map(|found| (found, Reach::OtherLabels))
                .or_else(|| filled().next().map(|found| (found, Reach::OtherNamespaces))),
            found => found,
        };
        let ((rule, fill), reach) = found?;
        let login = logins::named(self.mapping, &fill.login)?;
        Some(Keeper { login, rule, reach, home: self.mapping.own_namespace() })
    }

    /// Whether the labels are those that a login asks for, as far as they are known.
    fn includes(&self, fill: &Fill) -> bool {
        self.labels.is_none_or(|labels| fill.includes(|key| labels.get(key).map(String::as_str)))
    }
}

// === impl Keeper ===

impl Keeper<'_> {
    /// The Secret of the login.
    pub(super) fn source(&self) -> String {
        if let Some(account) = self.identity() {
            // It goes from the provider into the namespace.
            return format!("fetched by ServiceAccount {account} of the namespace");
        }
        let secret = match self.home {
            Some(home) => format!("Secret {home}/{}", self.login.secret()),
            None => format!("Secret {} in pullcred's namespace", self.login.secret()),
        };
        if self.login.is_fetched() {
            format!("{secret}, fetched as {}", self.login.source.who())
        } else {
            secret
        }
    }

    /// Which login fills the Secret, or what keeps it from that. In `namespace`, of which the labels may be `known`.
    pub(super) fn what(&self, namespace: &str, known: bool) -> String {
        let Self { login, rule, reach, .. } = self;
        let (secret, source) = (&rule.secret, self.source());
        let from = format!("from login {} ({source})", login.name);
        match reach {
            Reach::Here if known || self.labels().is_empty() => {
                format!("Secret {secret} is kept by pullcred {from}")
            }
            Reach::Here => format!(
                "Secret {secret} is kept by pullcred {from}, where the namespace has the labels {}",
                self.labels()
            ),
            Reach::OtherLabels => format!(
                "pullcred does not keep Secret {secret} {from}: namespace {namespace} lacks the labels {} (line {})",
                self.labels(),
                rule.line
            ),
            Reach::OtherNamespaces => format!(
                "pullcred keeps Secret {secret} {from} only in the namespaces {} (line {})",
                self.namespaces(),
                rule.line
            ),
        }
    }

    /// What to do where a registry refuses the login, so that the Secret is not made.
    pub(super) fn renew(&self) -> String {
        let login = &self.login.name;
        let describe = match paste::name(login.as_str()) {
            Some(name) => format!(": kubectl describe loginreport {name}"),
            None => String::new(),
        };
        format!(
            "renew login {login}, which a registry refuses, so that pullcred makes Secret {}; the login's report says how to \
             copy it all the same{describe}",
            self.rule.secret
        )
    }

    /// What to do where the Secret is missing, and it is not `opted_in` that is amiss. `make` makes it by hand.
    pub(super) fn advice(&self, namespace: &str, make: &str) -> String {
        let Self { login, rule, reach, .. } = self;
        let (secret, line) = (&rule.secret, rule.line);
        let namespace = paste::name(namespace).unwrap_or("NAMESPACE");
        match reach {
            Reach::Here => {
                let look = match self.home.filter(|_| self.identity().is_none()) {
                    Some(home) => format!(", and kubectl get secret {} -n {home}", login.secret()),
                    None => String::new(),
                };
                format!(
                    "find out why pullcred has not made Secret {secret} from login {}: \
                     pullcred check --live -n {namespace}{look}",
                    login.name
                )
            }
            Reach::OtherLabels => {
                let labels: Vec<_> = self.fill_labels().iter().map(ToString::to_string).collect();
                format!(
                    "let an administrator give the namespace the labels of the rule in line {line}, so that pullcred \
                     makes Secret {secret}: kubectl label namespace {namespace} {}",
                    labels.join(" ")
                )
            }
            Reach::OtherNamespaces => format!(
                "add {namespace} to the `namespaces` of the rule in line {line}, so that pullcred makes Secret \
                 {secret} from login {}; or make it: {make}",
                login.name
            ),
        }
    }

    /// What to do where a Secret of that name is there and of no use.
    pub(super) fn replace(&self, namespace: &str) -> String {
        let (secret, login) = (&self.rule.secret, &self.login.name);
        let delete = paste::name(namespace).map_or_else(String::new, |namespace| {
            format!(": kubectl delete secret {secret} -n {namespace}")
        });
        format!("delete Secret {secret}, and pullcred makes it from login {login}{delete}")
    }

    /// The ServiceAccount of the namespace that fetches the login.
    fn identity(&self) -> Option<&ServiceAccountName> {
        self.rule.fill.as_ref().and_then(|fill| fill.identity.as_ref())
    }

    fn fill_labels(&self) -> &[NamespaceLabel] {
        self.rule.fill.as_ref().map_or(&[], |fill| &fill.labels)
    }

    fn labels(&self) -> String {
        let labels: Vec<_> = self.fill_labels().iter().map(ToString::to_string).collect();
        labels.join(", ")
    }

    fn namespaces(&self) -> String {
        let names: Vec<_> = self.rule.namespaces.iter().map(NamespacePattern::as_str).collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping;

    #[test]
    fn a_login_that_is_fetched_is_told_with_who_asks() {
        let role = "arn:aws:iam::123456789012:role/pull";
        let host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
        let mapping = mapping::parse(&format!(
            "logins: [{{name: ecr, aws: {{role: '{role}'}}}}]\n\
             rules:\n\
             - {{registries: [{host}/a], secret: shared, login: ecr, namespaces: [shop]}}\n\
             - {{registries: [{host}/b], secret: own, login: ecr, namespaces: [shop], as: {{serviceAccount: puller}}}}\n"
        ))
        .unwrap()
        .with_own_namespace(Some("home".into()));
        let audience = Audience { mapping: &mapping, namespace: "shop", labels: None };
        let keeper = |secret: &str| audience.keeper(secret).unwrap();
        assert_eq!(
            keeper("shared").source(),
            format!("Secret home/pullcred-login-ecr, fetched as role {role}")
        );
        assert!(
            keeper("shared").advice("shop", "").contains("get secret pullcred-login-ecr -n home")
        );
        assert_eq!(keeper("own").source(), "fetched by ServiceAccount puller of the namespace");
        // Its Secret is in no other namespace.
        assert!(!keeper("own").advice("shop", "").contains("get secret"));
    }

    #[test]
    fn who_keeps_a_secret_depends_on_the_namespace_and_its_labels() {
        let mapping = mapping::parse(
            "logins: [{name: acme, secret: acme}, {name: base, secret: base}]\n\
             rules:\n\
             - {registries: [ghcr.io/acme], secret: pull, login: acme, namespaces: ['team-*']}\n\
             - {registries: [quay.io], secret: hub, login: base, namespaceLabels: {tier: prod}}\n\
             - {registries: [own.io], secret: own}\n\
             - {registries: [a.io], secret: both, login: base, namespaces: [shop]}\n\
             - {registries: [b.io], secret: both}\n",
        )
        .unwrap()
        .with_own_namespace(Some("home".into()));
        let prod = BTreeMap::from([("tier".to_owned(), "prod".to_owned())]);
        let test = BTreeMap::from([("tier".to_owned(), "test".to_owned())]);
        for (namespace, labels, secret, expected) in [
            ("team-a", None, "pull", Some(("acme", 3, Reach::Here))),
            ("shop", None, "pull", Some(("acme", 3, Reach::OtherNamespaces))),
            ("shop", Some(&prod), "hub", Some(("base", 4, Reach::Here))),
            ("shop", Some(&test), "hub", Some(("base", 4, Reach::OtherLabels))),
            ("shop", None, "hub", Some(("base", 4, Reach::Here))),
            ("shop", None, "own", None),
            ("shop", None, "unknown", None),
            ("shop", None, "both", Some(("base", 6, Reach::Here))),
            ("other", None, "both", None),
            ("kube-system", Some(&prod), "hub", None),
            ("home", Some(&prod), "hub", None),
        ] {
            let audience = Audience { mapping: &mapping, namespace, labels };
            let keeper = audience.keeper(secret);
            let found = keeper.map(|it| (it.login.name.as_str(), it.rule.line, it.reach));
            assert_eq!(found, expected, "{secret} in {namespace}");
        }
    }
}
