//! Whether a registry takes a login, and opens an image for it, asked as a node would: containerd's rules say where and how.

use hyper::{HeaderMap, StatusCode, header::RETRY_AFTER};
use serde::Deserialize;

use super::{
    address::{Origin, parse},
    challenge::Challenge,
    client::{Answer, Http, NoAnswer},
    is_loopback,
    login::{Login, secret_header},
    percent::escaped,
};
use crate::core::{docker_hub, image::ImageRef};

/// What a registry is asked of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Whether it opens an image.
    Image,
    /// Whether the registry takes it, by an image. Where that is open to anybody, or the token server denies it, the login is
    /// tried alone, too: some token servers say 403 to a wrong password.
    LoginByImage,
    /// Whether the registry takes it, without an image.
    LoginAlone,
}

/// What came of asking for an image, as data: the words for it are the caller's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// What the registry said.
    pub outcome: Outcome,
    /// The token server that got the login, where that is another host than the registry.
    pub token_server: Option<String>,
    /// Whether the token server said it, and the registry was not asked with a token.
    pub by_token_server: bool,
    /// For how many seconds the last answer asks to wait.
    pub retry_after: Option<u32>,
}

/// What a registry says of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The registry opens it with the login.
    Opened,
    /// The registry opens it for anybody, so the login was not sent.
    Public,
    /// The registry knows the user, who may not pull this image.
    Denied {
        /// 401 or 403: registries differ.
        status: u16,
    },
    /// The registry does not take the password.
    Refused {
        /// The registry's or the token server's.
        status: u16,
    },
    /// There is no such image, or it is hidden.
    Absent {
        /// Whether the login was taken before.
        with_login: bool,
    },
    /// Any other status.
    Status {
        /// As it was answered.
        status: u16,
    },
    /// A redirection leads to another host, which asks for a login. Nothing was sent to it.
    Redirected {
        /// The other host.
        host: String,
    },
    /// The registry asks for a login in a way that is neither Basic nor Bearer.
    UnknownScheme,
    /// The token server that the registry names gave no token.
    NoToken(TokenServer),
    /// The login has characters that HTTP cannot carry.
    Unsendable,
    /// There is no answer.
    NoAnswer(NoAnswer),
}

/// Why a token server gave no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenServer {
    /// It is not on HTTPS, and not on the machine itself as the registry is. Nothing was sent to it.
    Insecure,
    /// The registry names it by something that is no URL. Nothing was sent to it.
    NoUrl,
    /// It redirects. The login does not follow.
    Redirects,
    /// It answers something else than a token.
    NoToken,
}

/// What a token server answers. Some write the one, some the other.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

// === impl Outcome ===

impl Outcome {
    /// Whether a node can pull the image.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Opened | Self::Public)
    }

    /// What the status says where the login was not sent.
    fn without_login(status: StatusCode) -> Self {
        match status.as_u16() {
            200..300 => Self::Public,
            404 => Self::Absent { with_login: false },
            status => Self::Status { status },
        }
    }

    /// What the status says of the login.
    fn with_login(status: StatusCode, denied: bool) -> Self {
        match status.as_u16() {
            200..300 => Self::Opened,
            404 => Self::Absent { with_login: true },
            status @ 401 if !denied => Self::Refused { status },
            status @ (401 | 403) => Self::Denied { status },
            status => Self::Status { status },
        }
    }
}

impl From<Outcome> for Probed {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, token_server: None, by_token_server: false, retry_after: None }
    }
}

/// Asks the registry of `image`, over HTTPS; where a registry on this machine does not speak that, over
/// HTTP, as containerd does.
///
/// The login goes to the registry itself and to the token server that the registry names, and nowhere else. What another
/// host says, to which a redirection led, never decides where it goes.
pub async fn probe(http: &Http, image: &ImageRef<'_>, question: Question, login: &Login) -> Probed {
    if question == Question::LoginAlone {
        return alone(http, image, login).await;
    }
    let probed = asked(http, image, true, login).await;
    match probed.outcome {
        _ if question == Question::Image => probed,
        Outcome::Public | Outcome::Absent { with_login: false } => alone(http, image, login).await,
        Outcome::Denied { .. } if probed.by_token_server => {
            let alone = alone(http, image, login).await;
            if matches!(alone.outcome, Outcome::Refused { .. }) { alone } else { probed }
        }
        _ => probed,
    }
}

/// Tries a login alone. A token server that denies a token without a scope can mean nothing but the login.
async fn alone(http: &Http, image: &ImageRef<'_>, login: &Login) -> Probed {
    let probed = asked(http, image, false, login).await;
    match probed.outcome {
        Outcome::Denied { status } if probed.by_token_server => {
            Probed { outcome: Outcome::Refused { status }, ..probed }
        }
        _ => probed,
    }
}

/// Asks for an image, or only for the registry itself.
async fn asked(http: &Http, image: &ImageRef<'_>, named: bool, login: &Login) -> Probed {
    let mut probed = ask("https", http, image, named, login).await;
    if matches!(probed, Err(NoAnswer::TlsUnknown)) && is_loopback(image.registry()) {
        probed = ask("http", http, image, named, login).await;
    }
    probed.unwrap_or_else(|why| Outcome::NoAnswer(why).into())
}

async fn ask(
    scheme: &str,
    http: &Http,
    image: &ImageRef<'_>,
    named: bool,
    login: &Login,
) -> Result<Probed, NoAnswer> {
    let host = docker_hub::pulled_from(image.registry());
    let (repository, tag) =
        (image.repository(), image.digest().or(image.tag()).unwrap_or("latest"));
    let (uri, usual_scope) = if named {
        let uri = format!("{scheme}://{host}/v2/{repository}/manifests/{tag}");
        (uri, Some(format!("repository:{repository}:pull")))
    } else {
        (format!("{scheme}://{host}/v2/"), None)
    };
    let request = async |authorization| {
        if named {
            http.head(&uri, authorization).await
        } else {
            http.get(&uri, authorization).await
        }
    };
    let registry = Origin::of(&parse(&uri)?);
    let answer = request(None).await?;
    if answer.status != StatusCode::UNAUTHORIZED {
        let outcome = Outcome::without_login(answer.status);
        return Ok(Probed { retry_after: retry_after(&answer.headers), ..outcome.into() });
    }
    if answer.origin != registry {
        return Ok(Outcome::Redirected { host: answer.origin.to_string() }.into());
    }
    let Some(challenge) = Challenge::of(&answer.headers) else {
        return Ok(Outcome::UnknownScheme.into());
    };
    let Some(basic) = login.basic() else { return Ok(Outcome::Unsendable.into()) };
    let (authorization, token_server) = match challenge {
        Challenge::Basic => (basic, None),
        Challenge::Bearer { realm, service, scope, .. } => {
            let server = match token_server(&realm, &registry) {
                Ok(server) => server,
                Err(why) => return Ok(Outcome::NoToken(why).into()),
            };
            let elsewhere = (server.host() != registry.host()).then(|| server.to_string());
            let scope = scope.or(usual_scope);
            let uri = token_uri(&realm, service.as_deref(), scope.as_deref());
            let answer = http.get(&uri, Some(&basic)).await?;
            match token(&answer) {
                Ok(token) => (token, elsewhere),
                Err(outcome) => {
                    let retry_after = retry_after(&answer.headers);
                    let (token_server, by_token_server) = (elsewhere, true);
                    return Ok(Probed { outcome, token_server, by_token_server, retry_after });
                }
            }
        }
    };
    let answer = request(Some(&authorization)).await?;
    if answer.origin != registry && answer.status == StatusCode::UNAUTHORIZED {
        let outcome = Outcome::Redirected { host: answer.origin.to_string() };
        return Ok(Probed { token_server, ..outcome.into() });
    }
    // With a token that does not reach so far, some say 401 and some 403.
    let denied = matches!(
        Challenge::of(&answer.headers),
        Some(Challenge::Bearer { error: Some(error), .. }) if error == "insufficient_scope"
    );
    let outcome = Outcome::with_login(answer.status, denied);
    let retry_after = retry_after(&answer.headers);
    Ok(Probed { outcome, token_server, by_token_server: false, retry_after })
}

/// For how many seconds an answer asks to wait. A date in it is left out, since no registry writes one.
fn retry_after(headers: &HeaderMap) -> Option<u32> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

/// The token server that a registry names. It may be another host, as Docker Hub's is: a node sends the login there, too.
/// But it is on HTTPS; only a registry on this machine that speaks HTTP itself may have one on this machine that does.
fn token_server(realm: &str, registry: &Origin) -> Result<Origin, TokenServer> {
    let server = parse(realm).map_err(|_| TokenServer::NoUrl)?;
    let server = Origin::of(&server);
    let both_here =
        !registry.is_https() && is_loopback(registry.host()) && is_loopback(server.host());
    if server.is_https() || both_here { Ok(server) } else { Err(TokenServer::Insecure) }
}

/// The header with the token in an answer of a token server.
fn token(answer: &Answer) -> Result<hyper::header::HeaderValue, Outcome> {
    if answer.status.is_redirection() {
        return Err(Outcome::NoToken(TokenServer::Redirects));
    }
    if answer.status != StatusCode::OK {
        return Err(match Outcome::with_login(answer.status, false) {
            // Nothing was asked of the registry yet.
            Outcome::Opened | Outcome::Absent { .. } => Outcome::NoToken(TokenServer::NoToken),
            outcome => outcome,
        });
    }
    let token = serde_json::from_slice(&answer.body).ok();
    let token = token.and_then(|Token { token, access_token }| token.or(access_token));
    let header = token.and_then(|token| secret_header(&format!("Bearer {token}")));
    header.ok_or(Outcome::NoToken(TokenServer::NoToken))
}

/// The address to ask for a token.
fn token_uri(realm: &str, service: Option<&str>, scope: Option<&str>) -> String {
    let service = service.map(|service| ("service", service));
    let scope = scope.map(|scope| ("scope", scope));
    // What stands behind a `#` is never sent, so nothing may be put there.
    let mut uri = realm.split('#').next().unwrap_or(realm).to_owned();
    for (name, value) in service.into_iter().chain(scope) {
        uri.push(if uri.contains('?') { '&' } else { '?' });
        uri.push_str(name);
        uri.push('=');
        uri.push_str(&escaped(value));
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_escaped() {
        let realm = "https://x/t";
        assert_eq!(
            token_uri(realm, Some("a b"), Some("repository:a/b:pull")),
            "https://x/t?service=a%20b&scope=repository%3Aa%2Fb%3Apull"
        );
        assert_eq!(token_uri("https://x/t?a=1", None, Some("s")), "https://x/t?a=1&scope=s");
        assert_eq!(token_uri("https://x/t#a", None, Some("s")), "https://x/t?scope=s");
        assert_eq!(token_uri("https://x/t", None, None), "https://x/t");
    }

    #[test]
    fn a_login_goes_to_token_servers_on_https() {
        let origin = |uri: &str| Origin::of(&parse(uri).unwrap());
        for (realm, registry, taken) in [
            ("https://auth.docker.io/token", "https://registry-1.docker.io", Ok(())),
            ("HTTPS://auth.example.com", "https://registry.example.com", Ok(())),
            ("https://auth.example.com", "http://localhost:5000", Ok(())),
            ("http://127.0.0.1:5001/token", "http://localhost:5000", Ok(())),
            (
                "http://registry.example.com/token",
                "https://registry.example.com",
                Err(TokenServer::Insecure),
            ),
            ("http://auth.example.com", "http://localhost:5000", Err(TokenServer::Insecure)),
            ("http://127.0.0.1.nip.io", "http://localhost:5000", Err(TokenServer::Insecure)),
            ("http://localhost:1", "https://registry.example.com", Err(TokenServer::Insecure)),
            ("https://a.io@b.io/", "https://a.io", Err(TokenServer::NoUrl)),
            ("//a.io/token", "https://a.io", Err(TokenServer::NoUrl)),
            ("token", "https://a.io", Err(TokenServer::NoUrl)),
        ] {
            assert_eq!(token_server(realm, &origin(registry)).map(|_| ()), taken, "{realm}");
        }
    }
}
