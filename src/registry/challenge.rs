//! `WWW-Authenticate`: what a registry asks for.

use http_auth::{ChallengeRef, parser::ChallengeParser};
use hyper::{HeaderMap, header::WWW_AUTHENTICATE};

/// How a registry wants to know who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// With user and password in every request (RFC 7617).
    Basic,
    /// With a token of a token server (distribution's `docs/spec/auth/token.md`).
    Bearer {
        /// The URL of the token server.
        realm: String,
        /// What the token server calls the registry.
        service: Option<String>,
        /// What the token is to allow, such as `repository:acme/web:pull`.
        scope: Option<String>,
        /// Why the last token was refused, such as `insufficient_scope` (RFC 6750).
        error: Option<String>,
    },
}

// === impl Challenge ===

impl Challenge {
    /// The challenge to answer, of all in the headers of one answer: Bearer before Basic, as in containerd.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let headers = headers.get_all(WWW_AUTHENTICATE).iter();
        Self::preferred(headers.filter_map(|it| it.to_str().ok()).filter_map(Self::read))
    }

    /// The challenge to answer, of the list in one header (RFC 9110, section 11.6.1). A list is read up to what is not
    /// written as the RFC has it.
    #[must_use]
    pub fn read(header: &str) -> Option<Self> {
        let list = ChallengeParser::new(header).map_while(Result::ok);
        Self::preferred(list.filter_map(|challenge| Self::known(&challenge)))
    }

    fn preferred(mut found: impl Iterator<Item = Self>) -> Option<Self> {
        let first = found.next()?;
        let is_bearer = |it: &Self| matches!(it, Self::Bearer { .. });
        if is_bearer(&first) { Some(first) } else { found.find(is_bearer).or(Some(first)) }
    }

    /// A challenge that can be answered; none for other schemes, and for Bearer without a token server.
    fn known(challenge: &ChallengeRef<'_>) -> Option<Self> {
        if challenge.scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !challenge.scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let parameter = |name: &str| {
            let found = challenge.params.iter().find(|(it, _)| it.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_unescaped())
        };
        Some(Self::Bearer {
            realm: parameter("realm")?,
            service: parameter("service"),
            scope: parameter("scope"),
            error: parameter("error"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: &str, scope: &str, error: &str) -> Challenge {
        let own = |text: &str| Some(text.to_owned()).filter(|it| !it.is_empty());
        let (service, scope, error) = (own(service), own(scope), own(error));
        Challenge::Bearer { realm: realm.to_owned(), service, scope, error }
    }

    #[test]
    fn challenges_of_real_registries() {
        for (header, challenge) in [
            ("Basic realm=\"Registry Realm\"", Some(Challenge::Basic)),
            ("basic", Some(Challenge::Basic)),
            (
                "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",scope=\"repository:a/b:pull\"",
                Some(bearer(
                    "https://auth.docker.io/token",
                    "registry.docker.io",
                    "repository:a/b:pull",
                    "",
                )),
            ),
            (
                "bearer Realm=\"https://x/t?a=b,c\", error=insufficient_scope, scope=\"say \\\"pull\\\"\"",
                Some(bearer("https://x/t?a=b,c", "", "say \"pull\"", "insufficient_scope")),
            ),
            ("Bearer service=\"no realm\"", None),
            ("Negotiate", None),
            ("", None),
            ("Bearer realm=\"never ends", None),
        ] {
            assert_eq!(Challenge::read(header), challenge, "{header}");
        }
    }

    #[test]
    fn a_header_may_hold_a_list() {
        let token = Some(bearer("https://x/t", "s", "", ""));
        for (header, challenge) in [
            ("Negotiate, Basic realm=\"x\"", Some(Challenge::Basic)),
            ("Basic realm=\"x\", Negotiate", Some(Challenge::Basic)),
            ("Basic realm=\"x\", Bearer realm=\"https://x/t\",service=\"s\"", token.clone()),
            ("Bearer realm=\"https://x/t\",service=\"s\", Basic realm=\"x\"", token.clone()),
            (
                "Digest realm=\"a, Basic b\", nonce=\"1\", Bearer realm=\"https://x/t\", service=s",
                token.clone(),
            ),
            ("Bearer service=\"s\", Basic realm=\"x\"", Some(Challenge::Basic)),
        ] {
            assert_eq!(Challenge::read(header), challenge, "{header}");
        }
        let mut headers = HeaderMap::new();
        for value in
            ["Negotiate", "Basic realm=\"x\"", "Bearer realm=\"https://x/t\",service=\"s\""]
        {
            headers.append(WWW_AUTHENTICATE, value.parse().unwrap());
        }
        assert_eq!(Challenge::of(&headers), token);
    }
}
