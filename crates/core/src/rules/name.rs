//! The names that a mapping holds: of Secrets, namespaces, service accounts and logins.
//!
//! They follow the API server's own checks, `IsDNS1123Subdomain` and `IsDNS1123Label` of
//! `k8s.io/apimachinery/pkg/util/validation`: a name that is refused here is one that no object can have.

use std::fmt;
use std::str::FromStr;

use super::glob;

/// The longest DNS-1123 label, in characters: the limit of a namespace's name.
const LABEL_MAX: usize = 63;

/// The longest DNS-1123 subdomain, in characters: the limit of a Secret's name.
const SUBDOMAIN_MAX: usize = 253;

/// The name of a Secret: a DNS-1123 subdomain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretName(Box<str>);

/// The name of a login: a DNS-1123 label, so that it can stand in labels and metrics.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoginName(Box<str>);

/// The name of a `ServiceAccount`: a DNS-1123 subdomain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceAccountName(Box<str>);

/// The namespaces of a rule: one by its name, or several by a glob such as `batch-*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamespacePattern(Box<str>);

/// Why a text is not the name of a Secret or a namespace.
///
/// A user may paste the content of a Secret in place of its name, and so a credential. The message repeats the
/// text only where it is short enough for a name and has only characters that are common in names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// A character that no name has, or one in the wrong place.
    #[error("{} is not the name of a {kind}: {rule}", Quoted(text))]
    Malformed {
        /// What the name would be of: `Secret` or `namespace`.
        kind: &'static str,
        /// The text.
        text: Box<str>,
        /// What a name is made of.
        rule: &'static str,
    },
    /// Nothing at all.
    #[error("the name of a {kind} is empty: write the name, or remove the entry")]
    Empty {
        /// What the name would be of: `Secret` or `namespace`.
        kind: &'static str,
    },
    /// More characters than a name has.
    #[error(
        "the name of a {kind} has {length} characters, more than the {limit} that Kubernetes allows"
    )]
    TooLong {
        /// What the name would be of: `Secret` or `namespace`.
        kind: &'static str,
        /// The number of characters found.
        length: usize,
        /// The number of characters allowed.
        limit: usize,
    },
    /// A namespace before the name. There is no way to use a Secret of another one.
    #[error(
        "{} has a namespace, but a Secret is always in that of the Pod: write {name}",
        Quoted(text)
    )]
    Namespaced {
        /// The text.
        text: Box<str>,
        /// The name without the namespace.
        name: Box<str>,
    },
    /// Text with the form of a Secret's content.
    #[error(
        "the name of a Secret belongs here, and this text seems to be the content of one: write the Secret's name"
    )]
    Content,
}

// === impl NameError ===

impl NameError {
    /// Whether the text may hold a credential, so that it must not be shown.
    #[must_use]
    pub fn is_confidential(&self) -> bool {
        matches!(
            self,
            Self::Content | Self::TooLong { kind: SecretName::KIND | LoginName::KIND, .. }
        )
    }
}

// === impl SecretName ===

impl SecretName {
    const KIND: &str = "Secret";

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of a Secret that belongs to a login: `prefix`, lower-case letters and dashes, and the login's name.
    pub(super) fn of_login(prefix: &str, login: &LoginName) -> Self {
        Self(format!("{prefix}{login}").into())
    }
}

impl FromStr for SecretName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        const RULE: &str = "write lower-case letters, digits, `-` and `.`, \
                            with a letter or digit at each end and next to each `.`";
        if let Some((namespace, name)) = text.split_once('/')
            && is_label(namespace, |_| false)
            && is_label(name, |_| false)
        {
            return Err(NameError::Namespaced { text: text.into(), name: name.into() });
        }
        if text.contains(['{', '}', '"', '=', '/', '+', ':']) {
            return Err(NameError::Content);
        }
        check_length(text, Self::KIND, SUBDOMAIN_MAX)?;
        if text.split('.').all(|label| is_label(label, |_| false)) {
            Ok(Self(text.into()))
        } else {
            Err(NameError::Malformed { kind: Self::KIND, text: text.into(), rule: RULE })
        }
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl LoginName ===

impl LoginName {
    const KIND: &str = "login";

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LoginName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        const RULE: &str =
            "write lower-case letters, digits and `-`, with a letter or digit at each end";
        check_length(text, Self::KIND, LABEL_MAX)?;
        if is_label(text, |_| false) {
            Ok(Self(text.into()))
        } else {
            Err(NameError::Malformed { kind: Self::KIND, text: text.into(), rule: RULE })
        }
    }
}

impl fmt::Display for LoginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl ServiceAccountName ===

impl ServiceAccountName {
    const KIND: &str = "ServiceAccount";

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServiceAccountName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        const RULE: &str = "write lower-case letters, digits, `-` and `.`, \
                            with a letter or digit at each end and next to each `.`";
        check_length(text, Self::KIND, SUBDOMAIN_MAX)?;
        if text.split('.').all(|label| is_label(label, |_| false)) {
            Ok(Self(text.into()))
        } else {
            Err(NameError::Malformed { kind: Self::KIND, text: text.into(), rule: RULE })
        }
    }
}

impl fmt::Display for ServiceAccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl NamespacePattern ===

impl NamespacePattern {
    const KIND: &str = "namespace";

    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the pattern is a glob, so that more than one namespace can fit.
    #[must_use]
    pub fn is_glob(&self) -> bool {
        self.0.contains('*')
    }

    /// Whether the pattern covers the namespace of this name.
    #[must_use]
    pub fn covers(&self, namespace: &str) -> bool {
        glob::covers(&self.0, namespace)
    }

    /// Whether some name fits both patterns.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        glob::meet(self.0.as_bytes(), other.0.as_bytes())
    }

    /// Whether one of the patterns covers the namespace of this name.
    pub(super) fn any_covers(patterns: &[Self], namespace: &str) -> bool {
        patterns.iter().any(|pattern| pattern.covers(namespace))
    }
}

impl FromStr for NamespacePattern {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        const RULE: &str = "write lower-case letters, digits and `-`, with a letter or digit at each end; \
                            `*` stands for any text, as in `batch-*`";
        check_length(text, Self::KIND, LABEL_MAX)?;
        if is_label(text, |byte| byte == b'*') && !text.contains("**") {
            Ok(Self(text.into()))
        } else {
            Err(NameError::Malformed { kind: Self::KIND, text: text.into(), rule: RULE })
        }
    }
}

impl fmt::Display for NamespacePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === grammar ===

fn check_length(text: &str, kind: &'static str, limit: usize) -> Result<(), NameError> {
    match text.chars().count() {
        0 => Err(NameError::Empty { kind }),
        length if length > limit => Err(NameError::TooLong { kind, length, limit }),
        _ => Ok(()),
    }
}

/// Whether `label` has only lower-case letters, digits, inner dashes and what is `also` allowed, and has any.
fn is_label(label: &str, also: impl Fn(u8) -> bool) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || also(byte);
    let ends_fit = [label.as_bytes().first(), label.as_bytes().last()]
        .into_iter()
        .all(|end| end.is_some_and(|&byte| fits(byte)));
    ends_fit && label.bytes().all(|byte| fits(byte) || byte == b'-')
}

/// Untrusted text inside a message: in quotes, control characters escaped, cut after 80 characters.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(80) {
            None => write!(f, "{:?}", self.0),
            Some((end, _)) => write!(f, "{:?}…", &self.0[..end]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_names_are_dns_subdomains() {
        let longest = ["a"; 127].join(".");
        for name in ["a", "ghcr", "ecr-1", "0", "pull.acme.io", longest.as_str()] {
            assert_eq!(name.parse::<SecretName>().unwrap().as_str(), name);
        }
        let too_long = "a".repeat(SUBDOMAIN_MAX + 1);
        for name in
            ["", "A", "-a", "a-", ".a", "a..b", "a.-b", "a_b", "a b", "é", too_long.as_str()]
        {
            assert!(name.parse::<SecretName>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn namespaces_are_dns_labels_or_globs() {
        for name in ["a", "team-a", "*", "batch-*", "*-prod", "a*b*c", &"a".repeat(LABEL_MAX)] {
            assert_eq!(name.parse::<NamespacePattern>().unwrap().as_str(), name);
        }
        for name in ["", "A", "-a", "a-", "a.b", "a_b", "**", "-*", "?", &"a".repeat(LABEL_MAX + 1)]
        {
            assert!(name.parse::<NamespacePattern>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_namespace_glob_covers_whole_names() {
        let pattern: NamespacePattern = "batch-*".parse().unwrap();
        assert!(pattern.is_glob());
        assert!(pattern.covers("batch-") && pattern.covers("batch-7"));
        assert!(!pattern.covers("batch") && !pattern.covers("my-batch-7"));
    }

    #[test]
    fn what_may_be_a_credential_is_not_repeated() {
        for text in
            ["{\"auths\":{}}", "dXNlcjpwYXNzd29yZA==", "user:hunter2", "a/b+c", &"s".repeat(300)]
        {
            let message = text.parse::<SecretName>().unwrap_err().to_string();
            assert!(!message.contains(text), "{message}");
        }
    }

    #[test]
    fn quoted_text_is_escaped_and_bounded() {
        assert_eq!(Quoted("a\n\"b\"").to_string(), r#""a\n\"b\"""#);
        assert_eq!(Quoted(&"é".repeat(81)).to_string(), format!("\"{}\"…", "é".repeat(80)));
    }
}
