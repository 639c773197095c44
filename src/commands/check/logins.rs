//! Logins: whether their Secrets can fill what the rules name, and whether they hold more than that.

use k8s_openapi::jiff::Timestamp;

use super::{
    Check,
    finding::{Report, first_of},
};
use crate::{
    commands::{
        logins::{self, Found},
        manifests::SecretManifest,
        secret::how_to_make,
    },
    core::{
        credentials::Credentials,
        rules::{Login, Mapping, RegistryPattern, Rule},
    },
};

/// The most keys in one message.
const MAX_REPORTED: usize = 5;

/// Says where a rule's key opens more than the rule covers: the kubelet compares paths as texts.
pub(super) fn paths(mapping: &Mapping, report: &mut Report) {
    for rule in mapping.rules().iter().filter(|rule| rule.fill.is_some()) {
        let open = |it: &&RegistryPattern| !it.path().is_empty() && !it.path().ends_with('/');
        let open: Vec<&str> =
            rule.patterns.iter().filter(open).map(RegistryPattern::as_str).collect();
        let Some(first) = open.first() else { continue };
        let message = format!(
            "the kubelet offers the login of {} also to paths that only begin like it, such as {first}evil: \
             write {first}/ where {first} itself is no image",
            first_of(&open, MAX_REPORTED)
        );
        report.note(Check::PathPrefix, format!("line {}", rule.line), message);
    }
}

/// Says of each login that pullcred fetches who asks for it, and for which hosts.
pub(super) fn fetched(mapping: &Mapping, report: &mut Report) {
    for login in mapping.logins().iter().filter(|login| login.is_fetched()) {
        let patterns = logins::rules_of(mapping, &login.name).flat_map(|rule| &rule.patterns);
        let hosts: Vec<&str> = logins::hosts(patterns).into_iter().collect();
        let message = format!(
            "login {} is fetched as {} for {}",
            login.name,
            login.source.who(),
            first_of(&hosts, MAX_REPORTED)
        );
        report.note(Check::LoginFetched, format!("line {}", login.line), message);
    }
}

/// Says until when a login is good that pullcred fetched, and what to do where it has ended.
fn life(login: &Login, secret: &SecretManifest, place: &str, report: &mut Report) {
    let ends = secret.expires.as_ref().filter(|_| login.is_fetched());
    let Some(ends) = ends.and_then(|it| it.parse::<Timestamp>().ok()) else { return };
    if ends > Timestamp::now() {
        report.note(
            Check::LoginFetched,
            place,
            format!("login {} is good until {ends}", login.name),
        );
        return;
    }
    let message = format!(
        "login {} ended at {ends}: its copies stay, and registries refuse them. See why pullcred cannot renew it in the \
         log of the credentials controller, or step by step: {}",
        login.name,
        logins::how_to_fetch(login)
    );
    report.error(Check::LoginExpired, place, message);
}

/// Judges the logins by the Secrets of manifests, which are in `sources`. Those of pullcred are in the namespace `home`.
pub(super) fn of_manifests(
    mapping: &Mapping,
    secrets: &[SecretManifest],
    sources: &str,
    home: &str,
    report: &mut Report,
) {
    // What pullcred fetches is in no manifest.
    for login in mapping.logins().iter().filter(|login| !login.is_fetched()) {
        let (place, name) = (format!("line {}", login.line), login.secret());
        match logins::find(secrets, login, home) {
            Found::Here(secret) => {
                judge(mapping, login, secret, home, &place, report);
            }
            Found::Elsewhere(namespace) => {
                let message = format!(
                    "Secret {name} of login {} is in namespace {namespace}, but pullcred reads it in its own, {home}: \
                     correct the manifest, or name pullcred's namespace with --installed-in",
                    login.name
                );
                report.error(Check::LoginMissing, place, message);
            }
            Found::Nowhere => {
                let message = format!(
                    "there is no Secret {name} in {sources}, from which login {} fills Secret {}",
                    login.name,
                    filled(mapping, login)
                );
                report.error(Check::LoginMissing, place, message);
            }
        }
    }
}

/// Judges the Secret of a login. Answers what it has, where that can be used.
pub(super) fn judge(
    mapping: &Mapping,
    login: &Login,
    secret: &SecretManifest,
    home: &str,
    place: &str,
    report: &mut Report,
) -> Option<Credentials> {
    let name = login.secret();
    let of = format!("Secret {name} of login {}", login.name);
    let credentials = match logins::credentials(secret) {
        Ok(credentials) => credentials,
        Err(fault) => {
            let remedy = if login.is_fetched() {
                format!(
                    "Delete it, and pullcred fetches it again, or see: {}",
                    logins::how_to_fetch(login)
                )
            } else {
                let rules = logins::rules_of(mapping, &login.name);
                let hosts = logins::hosts(rules.flat_map(|rule| &rule.patterns));
                format!("{}: {}", fault.remedy(), how_to_make(name.as_str(), home, &hosts))
            };
            let message =
                format!("{of} fills nothing, and copies stay as they are: {fault}. {remedy}");
            report.error(Check::LoginUnreadable, place, message);
            return None;
        }
    };
    life(login, secret, place, report);
    for rule in logins::rules_of(mapping, &login.name) {
        let slice = credentials.slice(&rule.patterns);
        if !slice.unserved().is_empty() {
            let unserved: Vec<_> = slice.unserved().iter().map(RegistryPattern::as_str).collect();
            let message = format!(
                "{of} has no login for {} (line {}): it has {}. Put one into it, or take the registry out of the rule",
                first_of(&unserved, MAX_REPORTED),
                rule.line,
                logins::keys(&credentials)
            );
            report.error(Check::LoginLacksRegistry, place, message);
        }
    }
    beyond(mapping, login, &credentials, &of, place, report);
    for flaw in secret.flaws() {
        report.warning(Check::OddSecret, place, format!("{of}: {flaw}"));
    }
    Some(credentials)
}

/// Says what a login's Secret has beyond what the rules need.
fn beyond(
    mapping: &Mapping,
    login: &Login,
    credentials: &Credentials,
    of: &str,
    place: &str,
    report: &mut Report,
) {
    let (mut unused, mut wider) = (Vec::new(), Vec::new());
    for key in credentials.keys() {
        let pattern = key.as_str().parse::<RegistryPattern>().ok();
        let patterns = || logins::rules_of(mapping, &login.name).flat_map(|rule| &rule.patterns);
        let is_used = |it: &RegistryPattern| {
            pattern.as_ref().is_some_and(|key| key.includes(it) || it.includes(key))
        };
        let within = |it: &RegistryPattern| pattern.as_ref().is_some_and(|key| it.includes(key));
        if !patterns().any(is_used) {
            unused.push(key.to_string());
        } else if !patterns().any(within) {
            wider.push(key.to_string());
        }
    }
    if !unused.is_empty() {
        let message = format!(
            "{of} has logins that no rule uses: {}. No copy has them; remove them, so that they cannot leak from here",
            first_of(&unused, MAX_REPORTED)
        );
        report.note(Check::LoginUnusedKey, place, message);
    }
    if !wider.is_empty() {
        let lines: Vec<String> = logins::rules_of(mapping, &login.name)
            .map(|rule: &Rule| rule.line.to_string())
            .collect();
        let message = format!(
            "{of} is for more than its rules (line {}): {}. The keys of copies are narrowed, but the registry decides \
             what the password opens: use an account that can only pull what the rules name",
            first_of(&lines, MAX_REPORTED),
            first_of(&wider, MAX_REPORTED)
        );
        report.note(Check::LoginWider, place, message);
    }
}

/// The names of the Secrets that a login fills.
pub(super) fn filled(mapping: &Mapping, login: &Login) -> String {
    let mut names: Vec<&str> =
        logins::rules_of(mapping, &login.name).map(|rule| rule.secret.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    first_of(&names, MAX_REPORTED)
}
