//! What is asked of which registry for a login. Pure.

use std::collections::BTreeSet;

use crate::{
    core::{
        copies::Copies,
        credentials::Credentials,
        docker_hub::pulled_from,
        image::ImageRef,
        rules::{LoginName, Mapping, RegistryPattern, SecretName},
    },
    registry::Login,
};

/// At most so many images of a login are asked for. Further registries are not checked.
const TARGETS: usize = 16;

/// A login, and what is asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(super) login: LoginName,
    /// The Secret with the login.
    pub(super) secret: SecretName,
    /// The registries of its rules, as copies are made for them.
    pub(super) patterns: Vec<RegistryPattern>,
    /// What is asked, those with an image of `verify` first.
    pub(super) targets: Vec<Target>,
}

/// Something to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// The image, or some image of a registry.
    pub(super) image: Box<str>,
    /// Whether that image is asked for; otherwise the login alone is tried.
    pub(super) named: bool,
}

/// A target with the login for it.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) host: Box<str>,
    pub(super) target: Target,
    pub(super) login: Login,
}

// === impl Plan ===

impl Plan {
    /// The plans of a mapping, for the logins that are copied from their Secrets. Those of namespaces' own identities are not
    /// pullcred's to use.
    pub(crate) fn all(mapping: &Mapping, copies: &Copies) -> Vec<Self> {
        let logins = mapping.logins().iter().filter(|login| copies.is_copied(&login.name));
        let plan = |login: &crate::core::rules::Login| {
            let rules = mapping.rules().iter().filter_map(|rule| Some((rule, rule.fill.as_ref()?)));
            let rules: Vec<_> = rules
                .filter(|(_, fill)| fill.login == login.name && fill.identity.is_none())
                .collect();
            let named = rules.iter().filter_map(|(_, fill)| fill.verify.clone());
            let named = named.map(|image| Target { image, named: true });
            let patterns = rules.iter().flat_map(|(rule, _)| &rule.patterns);
            let alone = patterns.filter(|pattern| !pattern.is_glob());
            let alone = alone.map(|it| Target { image: it.example_image().into(), named: false });
            let mut targets: Vec<Target> = Vec::new();
            for target in named.chain(alone) {
                if targets.len() < TARGETS && !targets.contains(&target) {
                    targets.push(target);
                }
            }
            let patterns = copies.registries(&login.name);
            Self { login: login.name.clone(), secret: login.secret(), patterns, targets }
        };
        logins.map(plan).collect()
    }

    /// The hosts that are asked.
    pub(super) fn hosts(&self) -> BTreeSet<Box<str>> {
        self.targets.iter().filter_map(|it| host(&it.image)).collect()
    }

    /// The first image that is asked for; `None` where the login alone is tried.
    pub(super) fn image(&self) -> Option<&str> {
        self.targets.iter().find(|it| it.named).map(|it| &*it.image)
    }

    /// What to ask with these credentials: each login of each host once.
    pub(super) fn probes(&self, credentials: &Credentials) -> Vec<Probe> {
        let mut probes: Vec<Probe> = Vec::new();
        for target in &self.targets {
            let Ok(image) = ImageRef::parse(&target.image) else { continue };
            let Some((user, password)) = credentials.login_for(&image) else { continue };
            // What Basic authentication cannot carry is not tried.
            let Ok(login) = Login::new(user.to_string(), password.to_string()) else { continue };
            let host: Box<str> = pulled_from(image.registry()).into();
            let known = |it: &Probe| it.host == host && it.login == login;
            if target.named || !probes.iter().any(known) {
                probes.push(Probe { host, target: target.clone(), login });
            }
        }
        probes
    }
}

/// The host that an image is pulled from.
fn host(image: &str) -> Option<Box<str>> {
    ImageRef::parse(image).ok().map(|it| pulled_from(it.registry()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{core::keyring::secret::Form, mapping};

    fn plans(text: &str) -> Vec<Plan> {
        let mapping = mapping::parse(text).unwrap_or_else(|error| panic!("{error}"));
        Plan::all(&mapping, &Copies::of(&mapping, "pullcred"))
    }

    #[test]
    fn each_login_of_each_host_is_asked_for_once() {
        let plans = plans(
            "logins: [{name: a, secret: a}, {name: b, secret: b}]\n\
             rules:\n\
             - {registries: [ghcr.io/acme, quay.io], secret: x, login: a, namespaces: [n], verify: quay.io/app}\n\
             - {registries: [ghcr.io/tools, ghcr.io/acme/web, '*.example.com'], secret: y, login: a, namespaces: [n]}\n\
             - {registries: ['*.example.com'], secret: z, login: b, namespaces: [n]}\n",
        );
        let hosts: Vec<_> = plans[0].hosts().into_iter().collect();
        assert_eq!(hosts, [Box::from("ghcr.io"), "quay.io".into()]);
        assert_eq!(plans[0].image(), Some("quay.io/app"));
        assert!(plans[1].targets.is_empty(), "a glob names no host");

        let config = br#"{"auths": {"quay.io": {"username": "q", "password": "p"},
            "ghcr.io": {"username": "g", "password": "p"}, "ghcr.io/tools": {"username": "t", "password": "p"}}}"#;
        let form = Form::DockerConfigJson;
        let credentials = Credentials::read(form.type_(), |_| Some(config)).unwrap();
        let probes = plans[0].probes(&credentials);
        let asked: Vec<_> =
            probes.iter().map(|it| (&*it.host, it.login.username(), it.target.named)).collect();
        assert_eq!(
            asked,
            [("quay.io", "q", true), ("ghcr.io", "g", false), ("ghcr.io", "t", false)]
        );
    }

    #[test]
    fn a_plan_is_bounded() {
        let hosts: Vec<_> = (0..40).map(|number| format!("r{number}.example.com")).collect();
        let text = format!(
            "logins: [{{name: a, secret: a}}]\nrules:\n- {{registries: [{}], secret: x, login: a, namespaces: [n]}}\n",
            hosts.join(", ")
        );
        assert_eq!(plans(&text)[0].targets.len(), TARGETS);
    }
}
