//! The key of an entry.

use std::fmt::{self, Write};

use super::location::index_key;

/// The longest text of a key that is shown.
const MAX_SHOWN: usize = 80;

/// The key of an entry in a pull Secret, such as `quay.io/team` or `https://index.docker.io/v1/`.
///
/// A key may hold credentials of its own, as in `https://user:password@quay.io`. So it is shown without all
/// that stands before an `@` or behind a `?` or `#`; [`RegistryKey::as_str`] gives it whole.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistryKey(Box<str>);

// === impl RegistryKey ===

impl RegistryKey {
    /// The key as it is written, with all that may be secret in it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the kubelet files the entry under, and compares with images: host and path, without scheme and API version.
    /// None where the key is no URL, and the kubelet drops the entry. Bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn index_key(&self) -> Option<Self> {
        let index = index_key(&self.0)?;
        Some(Self(String::from_utf8_lossy(&index).into()))
    }
}

impl From<&str> for RegistryKey {
    fn from(key: &str) -> Self {
        Self(key.into())
    }
}

impl From<String> for RegistryKey {
    fn from(key: String) -> Self {
        Self(key.into())
    }
}

impl fmt::Debug for RegistryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegistryKey({self})")
    }
}

/// The key without what may be secret in it, on one line and cut off where it is very long.
impl fmt::Display for RegistryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = ["https://", "http://"].into_iter().find(|s| self.0.starts_with(s));
        let scheme = scheme.unwrap_or_default();
        let rest = self.0.strip_prefix(scheme).unwrap_or_default();
        f.write_str(scheme)?;
        // The last `@` anywhere, not only of the host: in a mistyped key a password may hold a slash.
        let rest = match rest.rsplit_once('@') {
            Some((_, rest)) => {
                f.write_str("…@")?;
                rest
            }
            None => rest,
        };
        let shown = rest.split(['?', '#']).next().unwrap_or_default();
        for char in shown.chars().take(MAX_SHOWN).flat_map(char::escape_debug) {
            f.write_char(char)?;
        }
        let cut_off = shown.len() < rest.len() || shown.chars().nth(MAX_SHOWN).is_some();
        f.write_str(if cut_off { "…" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::RegistryKey;

    #[test]
    fn an_index_key_has_neither_scheme_nor_version() {
        for (key, index) in [
            ("quay.io/team", Some("quay.io/team")),
            ("https://index.docker.io/v1/", Some("index.docker.io")),
            ("http://user@reg.io:5000/v2/x?y", Some("reg.io:5000/x")),
            ("reg[.io", None),
        ] {
            assert_eq!(RegistryKey::from(key).index_key(), index.map(RegistryKey::from), "{key}");
        }
    }

    #[test]
    fn credentials_in_a_key_are_not_shown() {
        for (key, shown) in [
            ("quay.io/team", "quay.io/team"),
            ("https://index.docker.io/v1/", "https://index.docker.io/v1/"),
            ("https://user:hunter2@quay.io/x", "https://…@quay.io/x"),
            ("user:hunt/er2@quay.io", "…@quay.io"),
            ("https://user:hunt?er2@quay.io", "https://…@quay.io"),
            ("quay.io/x?token=hunter2", "quay.io/x…"),
            ("quay.io\n", "quay.io\\n"),
        ] {
            assert_eq!(RegistryKey::from(key).to_string(), shown);
        }
    }
}
