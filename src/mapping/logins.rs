//! Logins as they are written, and what must hold between them and the rules.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_saphyr::Spanned;

use super::{
    Reader,
    error::Place,
    yaml::{RawRule, place},
    yaml_login::RawLogin,
};
use crate::core::{
    image::ImageRef,
    rules::{
        Fill, Login, LoginSource, Mapping, NamespaceLabel, NamespacePattern, Rule, SecretName,
    },
};

const NO_LOGIN: &str = "there is no login in the list: write `- name: acme` and below it `secret: acme-robot`, or remove the key";

const NO_AUDIENCE: &str = "a rule with a login says where its Secret is made: \
     write `namespaces` with names or globs, such as [\"team-*\"], or `namespaceLabels`, such as {tier: prod}";

const LABELS_ALONE: &str = "`namespaceLabels` say where a login fills the rule's Secret, and this rule has no `login`: \
     write one, or use `namespaces`";

const IDENTITY_ALONE: &str = "`as` says by whose token a login is fetched, and this rule has no `login`: write one, or remove it";

const VERIFY_ALONE: &str = "`verify` is the image by which a login is tried, and this rule has no `login`: write one, or remove it";

/// Where the parts of a rule with a login stand.
pub(super) struct FilledPlaces {
    login: Place,
    secret: Place,
    registries: Vec<Place>,
    identity: Option<Place>,
    verify: Option<Place>,
}

/// A rule with a login, and where its parts stand.
#[derive(Clone, Copy)]
struct Filled<'r> {
    rule: &'r Rule,
    fill: &'r Fill,
    at: &'r FilledPlaces,
}

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
            let source = self.source(login);
            let (Some(name), Some(source)) = (name, source) else { continue };
            if !seen.insert(login.value.name.value.clone()) {
                self.refuse(at, format!("a second login is called {name}: give one another name"));
                continue;
            }
            let line = place(login.referenced).line;
            logins.values.push(Login { name, source, line });
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
        let RawRule { login, namespace_labels: labels, identity, verify, .. } = &rule.value;
        let read = labels.as_ref().map(|labels| self.labels(labels)).unwrap_or_default();
        let Some(login) = login else {
            if let Some(labels) = labels {
                self.refuse(place(labels.referenced), LABELS_ALONE);
            }
            if let Some(identity) = identity {
                self.refuse(place(identity.referenced), IDENTITY_ALONE);
            }
            if let Some(verify) = verify {
                self.refuse(place(verify.referenced), VERIFY_ALONE);
            }
            return None;
        };
        if namespaces.is_none() && labels.is_none() {
            self.refuse(place(login.referenced), NO_AUDIENCE);
        }
        if let Some(verify) = verify
            && let Err(error) = ImageRef::parse(&verify.value)
        {
            self.refuse(place(verify.referenced), format!("no image: {error}"));
        }
        self.filled.push(FilledPlaces {
            login: place(login.referenced),
            secret: place(rule.value.secret.referenced),
            registries: rule.value.registries.value.iter().map(|it| place(it.referenced)).collect(),
            identity: identity.as_ref().map(|it| place(it.value.service_account.referenced)),
            verify: verify.as_ref().map(|it| place(it.referenced)),
        });
        let identity = identity.as_ref().map(|it| self.name(&it.value.service_account));
        let identity = match identity {
            Some(name) => Some(name?),
            None => None,
        };
        let verify = verify.as_ref().map(|it| it.value.as_str().into());
        Some(Fill { login: self.name(login)?, labels: read, identity, verify })
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
        let places = std::mem::take(&mut self.filled);
        let rules = rules.iter().filter_map(|rule| Some((rule, rule.fill.as_ref()?)));
        let filled: Vec<Filled<'_>> =
            rules.zip(&places).map(|((rule, fill), at)| Filled { rule, fill, at }).collect();
        let by_name: HashMap<_, _> = logins.values.iter().map(|it| (&it.name, it)).collect();
        let used: HashSet<_> = filled.iter().map(|it| &it.fill.login).collect();
        let fetched: HashMap<SecretName, &Login> =
            logins.values.iter().filter(|it| it.is_fetched()).map(|it| (it.secret(), it)).collect();

        for &it in &filled {
            match by_name.get(&it.fill.login) {
                Some(login) => self.check_use(it, login),
                None => {
                    self.refuse(it.at.login, undefined(it.fill.login.as_str(), &logins.values));
                }
            }
            if let Some(login) = fetched.get(&it.rule.secret) {
                self.refuse(
                    it.at.secret,
                    taken(&it.rule.secret, login, "give the rule another `secret`"),
                );
            }
        }
        for (login, &at) in logins.values.iter().zip(&logins.places) {
            let name = &login.name;
            if !used.contains(name) {
                let message = format!(
                    "no rule uses the login {name}: write `login: {name}` in one, or remove it"
                );
                self.refuse(at, message);
            }
            let kept = match &login.source {
                LoginSource::Secret(secret) => Some(secret),
                source => source.keys(),
            };
            if let Some((secret, owner)) = kept.and_then(|it| Some((it, fetched.get(it)?))) {
                self.refuse(at, taken(secret, owner, "keep what people write in another"));
            }
        }
        self.check_contents(&filled);
    }

    /// Checks that a rule asks of its login what that can give.
    fn check_use(&mut self, Filled { rule, fill, at }: Filled<'_>, login: &Login) {
        let (name, source) = (&login.name, &login.source);
        for (pattern, &at) in rule.patterns.iter().zip(&at.registries) {
            if pattern.is_glob() && source.is_token() {
                let message = format!(
                    "login {name} gives tokens for hosts by their names, and {pattern} is a glob: write each host"
                );
                self.refuse(at, message);
            } else if let Err(why) = source.serves(pattern.host()) {
                let message =
                    format!("login {name} gives no credentials for {}: {why}", pattern.host());
                self.refuse(at, message);
            }
        }
        if let (Some(_), Some(at)) = (&fill.identity, at.identity)
            && source.audience().is_none()
        {
            let message = format!(
                "login {name} is not fetched with the token of a ServiceAccount, so no namespace can fetch it by its own: \
                 remove `as`, or use a login with a role that trusts such tokens"
            );
            self.refuse(at, message);
        }
        if let Some(at) = at.verify
            && !fill.verify.as_deref().is_some_and(|image| covers(rule, image))
        {
            let message = "the image is in none of the rule's registries: write one that is, so that the login is tried \
                           where it is used";
            self.refuse(at, message);
        }
        if matches!(source, LoginSource::Github(_)) && fill.verify.is_none() {
            let message = format!(
                "GitHub gives tokens that open no package, so login {name} is used only where it is tried: \
                 write `verify` with a private image of the rule"
            );
            self.refuse(at.login, message);
        }
    }

    /// Checks that no Secret would have two contents.
    fn check_contents(&mut self, filled: &[Filled<'_>]) {
        let mut by_secret: HashMap<&SecretName, Vec<Filled<'_>>> = HashMap::new();
        for &it in filled {
            let Filled { rule, fill, at } = it;
            let earlier = by_secret.entry(&rule.secret).or_default();
            let differs = |other: &&Filled<'_>| {
                let same = other.fill.login == fill.login && other.fill.identity == fill.identity;
                !same && other.rule.meets(rule)
            };
            if let Some(rival) = earlier.iter().find(differs) {
                let message = if rival.fill.login == fill.login {
                    format!(
                        "Secret {} would be filled by two identities in a common namespace, here and in line {}: \
                         write the same `as` in both, or give one rule another `secret`",
                        rule.secret, rival.rule.line
                    )
                } else {
                    format!(
                        "Secret {} would be filled from two logins in a common namespace, {} here and {} in line {}: \
                         give one rule another `secret`, or namespaces that the other does not cover",
                        rule.secret, fill.login, rival.fill.login, rival.rule.line
                    )
                };
                self.refuse(at.login, message);
            }
            earlier.push(it);
        }
    }
}

/// Whether one of the rule's registries covers the image.
fn covers(rule: &Rule, image: &str) -> bool {
    let everywhere = Rule { namespaces: Vec::new(), ..rule.clone() };
    let mapping = Mapping::new(vec![everywhere], Vec::new());
    ImageRef::parse(image).is_ok_and(|image| mapping.lookup("").add(&image))
}

fn taken(secret: &SecretName, login: &Login, instead: &str) -> String {
    let name = &login.name;
    format!("Secret {secret} is where pullcred keeps login {name}, in its own namespace: {instead}")
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
