//! The Secrets of logins, as commands find them in manifests and in a cluster.

use std::fmt;

use crate::{
    commands::{check::first_of, manifests::SecretManifest, printable::Printable},
    core::{
        credentials::{Credentials, CredentialsError, SECRET_MAX},
        keyring::secret::Ignored,
        rules::{Login, LoginName, Mapping, RegistryPattern, Rule},
    },
};

/// The most keys that are named.
const KEYS_MAX: usize = 5;

/// Why a login's Secret fills nothing. Its text has no data of the Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LoginFault {
    /// It is no pull Secret, or cannot be read as one.
    Content(CredentialsError),
    /// It has more data than the API server takes.
    TooLarge,
}

/// Where the Secret of a login is among manifests.
#[derive(Debug)]
pub(super) enum Found<'s> {
    /// In the namespace of pullcred, or in none that is written.
    Here(&'s SecretManifest),
    /// In this other namespace only.
    Elsewhere(Printable<&'s str>),
    /// Nowhere.
    Nowhere,
}

/// Finds the Secret of a login, which pullcred reads in its own namespace, `home`.
pub(super) fn find<'s>(secrets: &'s [SecretManifest], login: &Login, home: &str) -> Found<'s> {
    let name = login.secret();
    let mut same_name = secrets.iter().filter(|it| it.name == name.as_str());
    let is_here = |it: &&SecretManifest| it.namespace.as_ref().is_none_or(|it| it == home);
    // Of two with one name, the cluster has the one that was applied last.
    if let Some(secret) = same_name.clone().rfind(is_here) {
        return Found::Here(secret);
    }
    let elsewhere = same_name.next_back().and_then(|it| it.namespace.as_deref());
    elsewhere.map_or(Found::Nowhere, |namespace| Found::Elsewhere(Printable(namespace)))
}

/// What a login's Secret has.
///
/// # Errors
///
/// [`LoginFault`]
pub(super) fn credentials(secret: &SecretManifest) -> Result<Credentials, LoginFault> {
    if secret.size() > SECRET_MAX {
        return Err(LoginFault::TooLarge);
    }
    Credentials::read(&secret.type_, |key| secret.data(key)).map_err(LoginFault::Content)
}

/// The login of this name. The mapping's reader has checked that there is one.
pub(super) fn named<'m>(mapping: &'m Mapping, name: &LoginName) -> Option<&'m Login> {
    mapping.logins().iter().find(|login| login.name == *name)
}

/// The rules that a login fills.
pub(super) fn rules_of<'m>(
    mapping: &'m Mapping,
    login: &'m LoginName,
) -> impl Iterator<Item = &'m Rule> {
    let uses = move |rule: &&Rule| rule.fill.as_ref().is_some_and(|fill| fill.login == *login);
    mapping.rules().iter().filter(uses)
}

/// The command that shows at which step a login cannot be fetched.
pub(super) fn how_to_fetch(login: &Login) -> String {
    format!("pullcred secret --login {} --config FILE", login.name)
}

/// The hosts of patterns, for a command that logs in there.
pub(super) fn hosts<'m>(
    patterns: impl Iterator<Item = &'m RegistryPattern>,
) -> std::collections::BTreeSet<&'m str> {
    patterns.filter(|it| !it.is_glob()).map(RegistryPattern::host).collect()
}

/// Which logins a Secret has, by the first few of their keys.
pub(super) fn keys(credentials: &Credentials) -> String {
    let keys: Vec<String> = credentials.keys().map(ToString::to_string).collect();
    match keys.as_slice() {
        [] => "none".to_owned(),
        keys => format!("one for {}", first_of(keys, KEYS_MAX)),
    }
}

// === impl LoginFault ===

impl LoginFault {
    /// What to do, before the command that makes the Secret.
    pub(super) fn remedy(&self) -> &'static str {
        let of_type = matches!(
            self,
            Self::Content(CredentialsError::Ignored(
                Ignored::Type(_) | Ignored::NoData { other: Some(_), .. }
            ))
        );
        if of_type {
            "Delete it, since a type cannot be changed, and make it again"
        } else {
            "Make it again"
        }
    }
}

impl fmt::Display for LoginFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Content(error) => error.fmt(f),
            Self::TooLarge => write!(f, "its data has more than {SECRET_MAX} bytes"),
        }
    }
}
