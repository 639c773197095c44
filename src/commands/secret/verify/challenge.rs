//! `WWW-Authenticate`: what a registry asks for.

use std::collections::BTreeMap;

/// How a registry wants to be told who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// With user and password in every request (RFC 7617).
    Basic,
    /// With a token of a token server (distribution's `docs/spec/auth/token.md`).
    Bearer {
        /// The token server.
        realm: String,
        service: Option<String>,
        scope: Option<String>,
        /// Why the last token did not do, such as `insufficient_scope`.
        error: Option<String>,
    },
}

// === impl Challenge ===

impl Challenge {
    /// The first challenge of a header that we can answer (RFC 9110, section 11.6.1, one challenge a header).
    pub(super) fn read(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut parameters = parameters(rest);
        Some(Self::Bearer {
            realm: parameters.remove("realm")?,
            service: parameters.remove("service"),
            scope: parameters.remove("scope"),
            error: parameters.remove("error"),
        })
    }
}

/// `name=value` and `name="value"`, between commas.
fn parameters(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut rest = text;
    while let Some((name, value)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',', '\t']).to_ascii_lowercase();
        let value = value.trim_start();
        let (value, behind) = if let Some(quoted) = value.strip_prefix('"') {
            unquote(quoted)
        } else {
            let (value, behind) = value.split_once(',').unwrap_or((value, ""));
            (value.trim().to_owned(), behind)
        };
        found.entry(name).or_insert(value);
        rest = behind;
    }
    found
}

/// A quoted string up to its end, and what is behind.
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_of_real_registries() {
        let bearer =
            |realm: &str, service: Option<&str>, scope: Option<&str>, error: Option<&str>| {
                let own = |text: Option<&str>| text.map(ToOwned::to_owned);
                let (service, scope, error) = (own(service), own(scope), own(error));
                Some(Challenge::Bearer { realm: realm.to_owned(), service, scope, error })
            };
        for (header, challenge) in [
            ("Basic realm=\"Registry Realm\"", Some(Challenge::Basic)),
            ("basic", Some(Challenge::Basic)),
            (
                "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",scope=\"repository:a/b:pull\"",
                bearer(
                    "https://auth.docker.io/token",
                    Some("registry.docker.io"),
                    Some("repository:a/b:pull"),
                    None,
                ),
            ),
            (
                "bearer Realm = \"https://x/t?a=b,c\" , error=insufficient_scope, scope=\"say \\\"pull\\\"\"",
                bearer("https://x/t?a=b,c", None, Some("say \"pull\""), Some("insufficient_scope")),
            ),
            ("Bearer service=\"no realm\"", None),
            ("Negotiate", None),
            ("Bearer realm=\"never ends", bearer("never ends", None, None, None)),
        ] {
            assert_eq!(Challenge::read(header), challenge, "{header}");
        }
    }
}
