//! Whether a registry opens an image with the logins of a Secret.
//!
//! As a node would: the kubelet's keyring says which logins are tried, and containerd's rules say where and how.

mod challenge;
mod client;

use std::fmt;

use hyper::{
    StatusCode,
    header::{HeaderValue, WWW_AUTHENTICATE},
};
use serde::Deserialize;

use self::{
    challenge::Challenge,
    client::{Answer, NoAnswer},
};
use super::{login::Login, registry::Registry};
use crate::{
    commands::hosts::is_loopback,
    core::{
        image::ImageRef,
        keyring::{Keyring, RegistryKey},
    },
};

pub(super) use self::client::Http;

/// Where Docker Hub's images are (containerd: core/remotes/docker/config/hosts.go).
const DOCKER_HUB: &str = "registry-1.docker.io";

/// What came of asking for an image.
#[derive(Debug)]
pub(super) enum Verdict {
    /// A registry has an answer for this user; none where it did not ask who we are.
    Answered { user: Option<String>, status: StatusCode, denied: bool },
    /// There is no answer.
    NoAnswer(NoAnswer),
    /// The Secret has nothing for this image.
    NoLogin,
    /// The registry wants something that is no login.
    Strange(&'static str),
}

/// What a token server answers. Some write the one, some the other.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// Asks a registry for the manifest of `image`, with each login that a node would try, until one opens it.
pub(super) async fn verify(
    http: &Http,
    image: &ImageRef<'_>,
    logins: &[(Registry, Login)],
) -> Verdict {
    let keyring = Keyring::new([("", logins.iter().map(|(registry, _)| registry.key()))]);
    let offers = keyring.lookup(image);
    let login = |key: &RegistryKey| logins.iter().find(|(registry, _)| registry.key() == *key);
    let mut verdict = Verdict::NoLogin;
    for (_, login) in offers.iter().filter_map(|offer| login(offer.key)) {
        verdict = ask(http, image, login).await.unwrap_or_else(Verdict::NoAnswer);
        if verdict.is_good() {
            break;
        }
    }
    verdict
}

/// Over HTTPS; where a registry on this machine does not speak that, over HTTP, as containerd does.
async fn ask(http: &Http, image: &ImageRef<'_>, login: &Login) -> Result<Verdict, NoAnswer> {
    match ask_by("https", http, image, login).await {
        Err(NoAnswer::TlsUnknown) if is_loopback(image.registry()) => {
            ask_by("http", http, image, login).await
        }
        answer => answer,
    }
}

async fn ask_by(
    scheme: &str,
    http: &Http,
    image: &ImageRef<'_>,
    login: &Login,
) -> Result<Verdict, NoAnswer> {
    let host = if image.registry() == "docker.io" { DOCKER_HUB } else { image.registry() };
    let (repository, tag) =
        (image.repository(), image.digest().or(image.tag()).unwrap_or("latest"));
    let uri = format!("{scheme}://{host}/v2/{repository}/manifests/{tag}");
    let answer = http.head(&uri, None).await?;
    if answer.status != StatusCode::UNAUTHORIZED {
        return Ok(Verdict::Answered { user: None, status: answer.status, denied: false });
    }
    let user = Some(login.username().to_owned());
    let Some(challenge) = challenge(&answer) else {
        return Ok(Verdict::Strange("the registry wants neither a password nor a token"));
    };
    let Some(basic) = secret_header(&format!("Basic {}", login.auth())) else {
        return Ok(Verdict::Strange("the login cannot be sent in HTTP"));
    };
    let authorization = match challenge {
        Challenge::Basic => basic,
        Challenge::Bearer { realm, service, scope, .. } => {
            if !realm.starts_with("https://") && scheme == "https" {
                return Ok(Verdict::Strange(
                    "the registry's token server is not on HTTPS: nothing was sent to it",
                ));
            }
            let scope = scope.unwrap_or_else(|| format!("repository:{repository}:pull"));
            let uri = token_uri(&realm, service.as_deref(), &scope);
            let answer = http.get(&uri, Some(&basic)).await?;
            if answer.status != StatusCode::OK {
                return Ok(Verdict::Answered { user, status: answer.status, denied: false });
            }
            let token = serde_json::from_slice(&answer.body).ok();
            let token = token.and_then(|Token { token, access_token }| token.or(access_token));
            match token.and_then(|token| secret_header(&format!("Bearer {token}"))) {
                Some(authorization) => authorization,
                None => return Ok(Verdict::Strange("the registry's token server gave no token")),
            }
        }
    };
    let answer = http.head(&uri, Some(&authorization)).await?;
    // With a token that does not reach so far, some say 401 and some 403.
    let denied = matches!(
        self::challenge(&answer),
        Some(Challenge::Bearer { error: Some(error), .. }) if error == "insufficient_scope"
    );
    Ok(Verdict::Answered { user, status: answer.status, denied })
}

fn challenge(answer: &Answer) -> Option<Challenge> {
    let headers = answer.headers.get_all(WWW_AUTHENTICATE).iter();
    headers.filter_map(|header| header.to_str().ok()).find_map(Challenge::read)
}

/// A header that no log of HTTP shows.
fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(text).ok()?;
    header.set_sensitive(true);
    Some(header)
}

fn token_uri(realm: &str, service: Option<&str>, scope: &str) -> String {
    let service = service.map(|service| ("service", service));
    let mut uri = realm.to_owned();
    for (name, value) in service.into_iter().chain([("scope", scope)]) {
        uri.push(if uri.contains('?') { '&' } else { '?' });
        uri.push_str(name);
        uri.push('=');
        uri.push_str(&escaped(value));
    }
    uri
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Percent-encoded, but for what RFC 3986 calls unreserved.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte));
            }
            other => {
                let digit = |half: u8| char::from(HEX[usize::from(half)]);
                escaped.extend(['%', digit(other >> 4), digit(other & 15)]);
            }
        }
    }
    escaped
}

// === impl Verdict ===

impl Verdict {
    /// Whether a node can pull the image.
    pub(super) fn is_good(&self) -> bool {
        matches!(self, Self::Answered { status, .. } if status.is_success())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (user, status, denied) = match self {
            Self::NoLogin => return f.write_str("the Secret has no login for it"),
            Self::NoAnswer(why) => return why.fmt(f),
            Self::Strange(why) => return f.write_str(why),
            Self::Answered { user, status, denied } => (user.as_deref(), status, *denied),
        };
        write!(f, "{}: ", status.as_u16())?;
        match (status.as_u16(), user) {
            (200, None) => f.write_str(
                "the registry opens it, but without a login, too: that proves nothing of the login",
            ),
            (200, Some(user)) => write!(f, "the registry opens it for {user}"),
            (401, Some(user)) if denied => {
                write!(f, "the registry knows {user}, who may not pull it")
            }
            (401, Some(user)) => write!(f, "the registry does not take the password of {user}"),
            (403, Some(user)) => write!(f, "the registry knows {user}, who may not pull it"),
            (404, Some(user)) => write!(
                f,
                "the registry takes the password of {user}, but has no such image, or hides it"
            ),
            (404, None) => f.write_str("the registry has no such image"),
            (429, _) => f.write_str("the registry has had enough requests for now"),
            (500.., _) => f.write_str("the registry is in trouble itself"),
            _ => f.write_str("the registry does not open it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_escaped() {
        let realm = "https://x/t";
        assert_eq!(
            token_uri(realm, Some("a b"), "repository:a/b:pull"),
            "https://x/t?service=a%20b&scope=repository%3Aa%2Fb%3Apull"
        );
        assert_eq!(token_uri("https://x/t?a=1", None, "s"), "https://x/t?a=1&scope=s");
    }
}
