//! Logins as they are written, and what must hold between them and the rules.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_saphyr::Spanned;

use super::{
    Reader,
    error::Place,
    yaml::{RawLogin, RawRule, place},
};
use crate::core::rules::{Fill, Login, NamespaceLabel, NamespacePattern, Rule, SecretName};

const NO_LOGIN: &str = "there is no login in the list: write `- name: acme` and below it `secret: acme-robot`, or remove the key";

const NO_AUDIENCE: &str = "a rule with a login says where its Secret is made: \
     write `namespaces` with names or globs, such as [\"team-*\"], or `namespaceLabels`, such as {tier: prod}";

const LABELS_ALONE: &str = "`namespaceLabels` say where a login fills the rule's Secret, and this rule has no `login`: \
     write one, or use `namespaces`";

/// The logins of a file, and where each begins.
#[derive(Default)]
pub(super) struct Logins {
    pub(super) values: Vec<Login>,
    places: Vec<Place>,
}

impl Reader<'_> {
    pub(super) fn logins(&mut self, written: &Spanned<Vec<Spanned<RawLogin>>>) -> Logins {
        if written.value.is_empty() {
            self.refuse(place(written.referenced), NO_LOGIN);
        }
        let mut logins = Logins::default();
        let mut seen = HashSet::new();
        for login in &written.value {
            let at = place(login.value.name.referenced);
            let name = self.name(&login.value.name);
            let secret = self.name(&login.value.secret);
            let (Some(name), Some(secret)) = (name, secret) else { continue };
            if !seen.insert(login.value.name.value.clone()) {
                self.refuse(at, format!("a second login is called {name}: give one another name"));
                continue;
            }
            let line = place(login.referenced).line;
            logins.values.push(Login { name, secret, line });
            logins.places.push(at);
        }
        logins
    }

    /// What a rule says of its login, given the namespaces that it names.
    pub(super) fn fill(
        &mut self,
        rule: &Spanned<RawRule>,
        namespaces: Option<&[NamespacePattern]>,
    ) -> Option<Fill> {
        let RawRule { login, namespace_labels: labels, .. } = &rule.value;
        let read = labels.as_ref().map(|labels| self.labels(labels)).unwrap_or_default();
        let Some(login) = login else {
            if let Some(labels) = labels {
                self.refuse(place(labels.referenced), LABELS_ALONE);
            }
            return None;
        };
        if namespaces.is_none() && labels.is_none() {
            self.refuse(place(login.referenced), NO_AUDIENCE);
        }
        self.login_places.push(place(login.referenced));
        Some(Fill { login: self.name(login)?, labels: read })
    }

    fn labels(
        &mut self,
        written: &Spanned<BTreeMap<String, Spanned<String>>>,
    ) -> Vec<NamespaceLabel> {
        if written.value.is_empty() {
            let message = "no label is named: name one with its value, such as {tier: prod}, or remove the key";
            self.refuse(place(written.referenced), message);
        }
        let mut labels = Vec::with_capacity(written.value.len());
        for (key, value) in &written.value {
            match NamespaceLabel::new(key, &value.value) {
                Ok(label) => labels.push(label),
                Err(error) => self.refuse(place(value.referenced), error.to_string()),
            }
        }
        labels
    }

    /// Checks what rules and logins say of each other. Nothing else may be wrong with them.
    pub(super) fn check_logins(&mut self, rules: &[Rule], logins: &Logins) {
        let filled: Vec<(&Rule, &Fill, Place)> = rules
            .iter()
            .filter_map(|rule| Some((rule, rule.fill.as_ref()?)))
            .zip(self.login_places.clone())
            .map(|((rule, fill), at)| (rule, fill, at))
            .collect();
        let defined: HashSet<_> = logins.values.iter().map(|login| &login.name).collect();
        let used: HashSet<_> = filled.iter().map(|(_, fill, _)| &fill.login).collect();

        for &(_, Fill { login, .. }, at) in &filled {
            if !defined.contains(login) {
                self.refuse(at, undefined(login.as_str(), &logins.values));
            }
        }
        for (login, &at) in logins.values.iter().zip(&logins.places) {
            if !used.contains(&login.name) {
                let name = &login.name;
                self.refuse(
                    at,
                    format!(
                        "no rule uses the login {name}: write `login: {name}` in one, or remove it"
                    ),
                );
            }
        }

        let mut by_secret: HashMap<&SecretName, Vec<(&Rule, &Fill)>> = HashMap::new();
        for &(rule, fill, at) in &filled {
            let earlier = by_secret.entry(&rule.secret).or_default();
            let rival = earlier.iter().find(|(it, its)| its.login != fill.login && it.meets(rule));
            if let Some((rival, its)) = rival {
                let message = format!(
                    "Secret {} would be filled from two logins in a common namespace, {} here and {} in line {}: \
                     give one rule another `secret`, or namespaces that the other does not cover",
                    rule.secret, fill.login, its.login, rival.line
                );
                self.refuse(at, message);
            }
            earlier.push((rule, fill));
        }
    }
}

/// That there is no such login, and which there are.
fn undefined(name: &str, logins: &[Login]) -> String {
    const SHOWN: usize = 5;
    let names: Vec<_> = logins.iter().take(SHOWN).map(|login| login.name.as_str()).collect();
    match names.as_slice() {
        [] => format!(
            "there is no login {name}: write `logins:` and below it `- name: {name}` and `secret:` with the name of its Secret"
        ),
        names => format!(
            "there is no login {name}: define it under `logins`, or write one that is there: {}{}",
            names.join(", "),
            if logins.len() > SHOWN { ", …" } else { "" }
        ),
    }
}
