//! Which login fills the Secret of a rule, and where.

use std::fmt;
use std::str::FromStr;

use super::name::{LoginName, Quoted, SecretName, ServiceAccountName};

/// The longest name in a label's key, and the longest value, in characters
/// (`k8s.io/apimachinery/pkg/util/validation`, `qualifiedNameMaxLength`, `LabelValueMaxLength`).
const LABEL_PART_MAX: usize = 63;

/// What fills the Secret of a rule, beside the namespaces that the rule names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fill {
    /// The login.
    pub login: LoginName,
    /// The labels that a namespace must have, all of them, to get the Secret. There may be none.
    pub labels: Vec<NamespaceLabel>,
    /// The `ServiceAccount` of the namespace itself by whose token the login is fetched there; without it, pullcred's own.
    pub identity: Option<ServiceAccountName>,
    /// An image by which the login is tried: the registry must open it before a fetched login is given out.
    pub verify: Option<Box<str>>,
}

/// A label of a namespace, with its value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamespaceLabel {
    key: Box<str>,
    value: Box<str>,
}

/// Why a text is not a label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// No object can have such a key.
    #[error(
        "{} is not the key of a label: write up to 63 letters, digits, `-`, `_` and `.`, with a DNS name and `/` in front if need be",
        Quoted(.0)
    )]
    Key(Box<str>),
    /// No label can have such a value.
    #[error(
        "{} is not the value of a label: write up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at each end",
        Quoted(.0)
    )]
    Value(Box<str>),
}

// === impl NamespaceLabel ===

impl NamespaceLabel {
    /// A label, if the API server would take it (`IsQualifiedName`, `IsValidLabelValue` of
    /// `k8s.io/apimachinery/pkg/util/validation`).
    ///
    /// # Errors
    ///
    /// [`LabelError`]
    pub fn new(key: &str, value: &str) -> Result<Self, LabelError> {
        let (prefix, name) = key.rsplit_once('/').map_or((None, key), |(a, b)| (Some(a), b));
        let prefix_fits = prefix.is_none_or(|prefix| SecretName::from_str(prefix).is_ok());
        if !prefix_fits || !is_label_part(name) {
            return Err(LabelError::Key(key.into()));
        }
        if !value.is_empty() && !is_label_part(value) {
            return Err(LabelError::Value(value.into()));
        }
        Ok(Self { key: key.into(), value: value.into() })
    }

    /// The key, such as `tier` or `example.com/tier`.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value; may be empty.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

fn is_label_part(text: &str) -> bool {
    let ends = [text.as_bytes().first(), text.as_bytes().last()];
    let ends_fit = ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric));
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    ends_fit && text.len() <= LABEL_PART_MAX && text.bytes().all(fits)
}

impl fmt::Display for NamespaceLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

// === impl Fill ===

impl Fill {
    /// Whether a namespace with these labels gets the Secret; `value` finds the value of a label by its key.
    pub fn includes<'l>(&self, value: impl Fn(&str) -> Option<&'l str>) -> bool {
        self.labels.iter().all(|label| value(label.key()) == Some(label.value()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_those_that_an_object_can_have() {
        for (key, value) in
            [("tier", "prod"), ("example.com/tier", ""), ("A_b.c", "x.y_Z-1"), ("a", "0")]
        {
            assert!(NamespaceLabel::new(key, value).is_ok(), "{key}={value}");
        }
        let long = "a".repeat(64);
        for (key, value) in [
            ("", "x"),
            ("/tier", "x"),
            ("Example.com/tier", "x"),
            ("a/b/c", "x"),
            ("-tier", "x"),
            (long.as_str(), "x"),
            ("tier", "-"),
            ("tier", "a b"),
            ("tier", long.as_str()),
        ] {
            assert!(NamespaceLabel::new(key, value).is_err(), "{key}={value}");
        }
    }

    #[test]
    fn a_namespace_must_have_all_labels() {
        let labels =
            [("tier", "prod"), ("team", "")].map(|(k, v)| NamespaceLabel::new(k, v).unwrap());
        let fill = Fill {
            login: "acme".parse().unwrap(),
            labels: labels.into(),
            identity: None,
            verify: None,
        };
        let includes = |has: &[(&str, &'static str)]| {
            fill.includes(|key| has.iter().find(|(it, _)| *it == key).map(|(_, value)| *value))
        };
        assert!(includes(&[("tier", "prod"), ("team", ""), ("more", "x")]));
        assert!(!includes(&[("tier", "prod")]));
        assert!(!includes(&[("tier", "test"), ("team", "")]));
    }
}
