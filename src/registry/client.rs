//! HTTP to a registry, as much as one manifest takes.

use std::{error::Error, fmt, io, time::Duration};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    HeaderMap, Method, Request, StatusCode, Uri,
    body::Bytes,
    header::{ACCEPT, AUTHORIZATION, HeaderValue, LOCATION, USER_AGENT},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(30);
/// The longest answer that is read, in bytes: tokens have a few thousand.
const BODY_MAX: usize = 1024 * 1024;
/// How many redirections are followed.
const REDIRECTIONS: usize = 5;
/// The longest part of an address that is shown, in characters.
const SHOWN: usize = 200;

/// What manifests may be: Docker's and OCI's, of one image and of many.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// Sends requests by HTTP and HTTPS, and trusts the certificate authorities of this machine (or of `SSL_CERT_FILE`).
pub struct Http {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

/// An answer, with its body where that was asked for.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Who gave it. After redirections that is not who was asked.
    pub(super) origin: Origin,
}

/// Who is asked: scheme, host and port, the port as a number (RFC 6454, section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    https: bool,
    host: String,
    port: u16,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoAnswer {
    /// A redirection leads from HTTPS to HTTP. It is not followed.
    #[error("the registry redirects from HTTPS to HTTP, which is not followed")]
    Downgrade,
    /// There are more redirections than a registry needs.
    #[error("the registry redirects from one place to the next")]
    Loop,
    /// The connection failed: the operating system's or HTTP's own words.
    #[error("the network: {0}")]
    Network(String),
    /// The answer took too long.
    #[error("no answer within {} seconds", ANSWER.as_secs())]
    Slow,
    /// The TLS handshake failed: the words of rustls, such as `invalid peer certificate`.
    #[error("TLS: {0}")]
    Tls(String),
    /// The server does not speak TLS at all.
    #[error("TLS: the registry does not speak it")]
    TlsUnknown,
    /// The text is no URL with `http` or `https` and a host.
    #[error("{0} is not an address to ask")]
    Uri(String),
}

// === impl Http ===

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

impl Http {
    /// A client, with its TLS set up once for all requests.
    ///
    /// # Errors
    ///
    /// [`NoAnswer::Tls`] where the machine has no certificate authorities.
    pub fn new() -> Result<Self, NoAnswer> {
        let provider = rustls::crypto::ring::default_provider();
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider)
            .map_err(|error| {
                NoAnswer::Tls(format!("this machine has no certificate authorities: {error}"))
            })?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector) })
    }

    /// Asks whether there is a manifest, and follows redirections. The authorization goes to the origin of `uri` alone:
    /// neither to another host, nor to another port, nor from HTTPS to HTTP.
    pub(super) async fn head(
        &self,
        uri: &str,
        authorization: Option<&HeaderValue>,
    ) -> Result<Answer, NoAnswer> {
        let mut uri = parse(uri)?;
        let first = Origin::of(&uri);
        for _ in 0..=REDIRECTIONS {
            let origin = Origin::of(&uri);
            let authorization = authorization.filter(|_| origin == first);
            let answer = self.send(Method::HEAD, uri.clone(), authorization).await?;
            let location = answer.headers.get(LOCATION).and_then(|it| it.to_str().ok());
            let (true, Some(location)) = (answer.status.is_redirection(), location) else {
                return Ok(answer);
            };
            let next = parse(&absolute(&uri, location))?;
            // What was asked for over HTTPS does not go on in the open.
            if origin.https && !Origin::of(&next).https {
                return Err(NoAnswer::Downgrade);
            }
            uri = next;
        }
        Err(NoAnswer::Loop)
    }

    /// Gets a document. A redirection is an answer like others: it is not followed.
    pub(super) async fn get(
        &self,
        uri: &str,
        authorization: Option<&HeaderValue>,
    ) -> Result<Answer, NoAnswer> {
        self.send(Method::GET, parse(uri)?, authorization).await
    }

    async fn send(
        &self,
        method: Method,
        uri: Uri,
        authorization: Option<&HeaderValue>,
    ) -> Result<Answer, NoAnswer> {
        let shown = uri.to_string();
        let origin = Origin::of(&uri);
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header(ACCEPT, MANIFESTS)
            .header(USER_AGENT, concat!("pullcred/", env!("CARGO_PKG_VERSION")));
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Empty::new()).map_err(|_| NoAnswer::Uri(shown))?;
        let answer = async {
            let response = self.client.request(request).await.map_err(|error| why(&error))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, BODY_MAX).collect().await;
            let body = body.map_err(|error| NoAnswer::Network(error.to_string()))?.to_bytes();
            Ok(Answer { status: head.status, headers: head.headers, body, origin })
        };
        tokio::time::timeout(ANSWER, answer).await.unwrap_or(Err(NoAnswer::Slow))
    }
}

// === impl Answer ===

/// Neither headers nor body: a token server's body is a token.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, origin, .. } = self;
        f.debug_struct("Answer")
            .field("status", status)
            .field("origin", origin)
            .finish_non_exhaustive()
    }
}

// === impl Origin ===

impl Origin {
    /// The origin of an address that [`parse`] has let through.
    pub(super) fn of(uri: &Uri) -> Self {
        let https = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        Self { https, host: uri.host().unwrap_or_default().to_ascii_lowercase(), port }
    }

    /// Whether it is asked over TLS.
    pub(super) fn is_https(&self) -> bool {
        self.https
    }

    /// The name or address, without the port.
    pub(super) fn host(&self) -> &str {
        &self.host
    }
}

/// Host, and port where it is not the scheme's own.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = if self.https { 443 } else { 80 };
        f.write_str(&self.host)?;
        if self.port == own { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// Reads the address of a server. One with user information is refused: it resembles another host.
pub(super) fn parse(uri: &str) -> Result<Uri, NoAnswer> {
    // Without the part that may hold a password, and of a bounded length.
    let error = || {
        let shown = uri.rsplit_once('@').map_or(uri, |(_, behind)| behind);
        NoAnswer::Uri(shown.chars().take(SHOWN).collect())
    };
    let parsed: Uri = uri.parse().map_err(|_| error())?;
    let authority = parsed.authority().ok_or_else(error)?;
    match parsed.scheme_str() {
        Some("http" | "https")
            if !authority.host().is_empty() && !authority.as_str().contains('@') =>
        {
            Ok(parsed)
        }
        _ => Err(error()),
    }
}

/// A `Location`, which may leave out scheme and host (RFC 9110, section 10.2.2).
fn absolute(base: &Uri, location: &str) -> String {
    match (base.scheme_str(), base.authority()) {
        (Some(scheme), Some(host)) if location.starts_with('/') && !location.starts_with("//") => {
            format!("{scheme}://{host}{location}")
        }
        _ => location.to_owned(),
    }
}

/// Tells TLS from the network, which stand behind one another in one chain of causes.
fn why(error: &(dyn Error + 'static)) -> NoAnswer {
    let mut cause = Some(error);
    let mut last = error;
    while let Some(error) = cause {
        last = within(error);
        match last.downcast_ref::<rustls::Error>() {
            Some(rustls::Error::InvalidMessage(_)) => return NoAnswer::TlsUnknown,
            Some(tls) => return NoAnswer::Tls(tls.to_string()),
            None => cause = last.source(),
        }
    }
    NoAnswer::Network(last.to_string())
}

/// What an `io::Error` was made of: its `source` is that of what it was made of, and so leaves that out.
fn within<'e>(error: &'e (dyn Error + 'static)) -> &'e (dyn Error + 'static) {
    let mut error = error;
    while let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        error = inner;
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(uri: &str) -> Origin {
        Origin::of(&parse(uri).unwrap())
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for same in ["https://a.io/x", "https://A.io:443", "HTTPS://a.io/y?z"] {
            assert_eq!(origin(same), origin("https://a.io/"), "{same}");
        }
        for other in ["http://a.io", "https://a.io:444", "https://b.a.io", "http://a.io:443"] {
            assert_ne!(origin(other), origin("https://a.io/"), "{other}");
        }
    }

    #[test]
    fn what_is_no_address_is_not_asked() {
        for uri in [
            "",
            "/v2/",
            "ftp://a.io",
            "https://",
            "https://a.io@b.io/",
            "https://u:hunter2@b.io/",
            "x y",
        ] {
            let error = parse(uri).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn an_answer_shows_nothing_of_a_token() {
        let answer = Answer {
            status: StatusCode::OK,
            headers: HeaderMap::from_iter([(LOCATION, HeaderValue::from_static("hunter2"))]),
            body: Bytes::from_static(b"hunter2"),
            origin: origin("https://a.io"),
        };
        assert!(!format!("{answer:?}").contains("hunter2"));
    }
}
