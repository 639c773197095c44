//! HTTP to registries, and to the services that give logins to them.

use std::{error::Error, fmt, io, time::Duration};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    HeaderMap, Method, Request, StatusCode, Uri,
    body::{Body, Bytes, Incoming},
    header::{ACCEPT, AUTHORIZATION, HeaderValue, LOCATION, USER_AGENT},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use zeroize::Zeroizing;

use super::{
    address::{Origin, absolute, parse},
    proxy::{Proxy, ProxyError, Route},
};

/// How long one answer of a registry may take.
const ANSWER: Duration = Duration::from_secs(30);
/// The longest answer that is read, in bytes: tokens have a few thousand.
pub(super) const BODY_MAX: usize = 1024 * 1024;
/// How many redirections are followed.
const REDIRECTIONS: usize = 5;

/// What manifests may be: Docker's and OCI's, of one image and of many.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// Sends requests by HTTP and HTTPS, and trusts the certificate authorities of this machine (or of `SSL_CERT_FILE`).
pub struct Http {
    client: Client<HttpsConnector<Route>, Full<Bytes>>,
    proxy: Option<Proxy>,
}

/// An answer, with its body where that was asked for.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Zeroizing<Vec<u8>>,
    /// Who gave it. After redirections that is not who was asked.
    pub(super) origin: Origin,
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
    /// The address of the proxy cannot be used.
    #[error(transparent)]
    ProxyAddress(#[from] ProxyError),
    /// The proxy did not connect: its address, and why.
    #[error("the proxy {proxy} did not connect: {why}")]
    Proxy {
        /// Host and port.
        proxy: String,
        /// Its answer, or the network's.
        why: String,
    },
    /// The answer took too long.
    #[error("no answer within {} seconds", .0.as_secs())]
    Slow(Duration),
    /// The answer is longer than any that is expected.
    #[error("the answer has more than {} KiB", BODY_MAX / 1024)]
    TooLong,
    /// The TLS handshake failed: the words of rustls, such as `invalid peer certificate`.
    #[error("TLS: {0}")]
    Tls(String),
    /// The server does not speak TLS at all.
    #[error("TLS: the server does not speak it")]
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
    /// A client, with its TLS set up once for all requests. It uses the proxy that the environment names.
    ///
    /// # Errors
    ///
    /// [`NoAnswer::Tls`] where the machine has no certificate authorities, [`NoAnswer::ProxyAddress`] where the address of
    /// the proxy is none.
    pub fn new() -> Result<Self, NoAnswer> {
        Self::with(Proxy::from_env()?, None)
    }

    /// A client with this proxy, which also trusts the certificates of a bundle in PEM.
    ///
    /// # Errors
    ///
    /// [`NoAnswer::Tls`] where nothing is trusted, or the bundle is not PEM.
    pub fn with(proxy: Option<Proxy>, bundle: Option<&[u8]>) -> Result<Self, NoAnswer> {
        let config =
            ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
                .with_safe_default_protocol_versions()
                .map_err(|error| NoAnswer::Tls(error.to_string()))?
                .with_root_certificates(roots(bundle)?)
                .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .wrap_connector(Route::new(proxy.clone()));
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector), proxy })
    }

    /// A client with the same proxy, which trusts this machine's authorities and the certificates of a bundle in PEM.
    ///
    /// # Errors
    ///
    /// [`NoAnswer::Tls`] where the bundle is not PEM.
    pub fn trusting(&self, bundle: &[u8]) -> Result<Self, NoAnswer> {
        Self::with(self.proxy.clone(), Some(bundle))
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
            if origin.is_https() && !Origin::of(&next).is_https() {
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
        let mut request = Request::builder().method(method).uri(uri).header(ACCEPT, MANIFESTS);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Full::default()).map_err(|_| NoAnswer::Uri(shown))?;
        let (status, headers, body) = self.exchange(request, ANSWER).await?;
        Ok(Answer { status, headers, body, origin })
    }

    /// Sends one request, and reads the whole answer within a time.
    pub(super) async fn exchange(
        &self,
        mut request: Request<Full<Bytes>>,
        limit: Duration,
    ) -> Result<(StatusCode, HeaderMap, Zeroizing<Vec<u8>>), NoAnswer> {
        let agent = HeaderValue::from_static(concat!("pullcred/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().entry(USER_AGENT).or_insert(agent);
        let answer = async {
            let response = self.client.request(request).await.map_err(|error| why(&error))?;
            let (head, body) = response.into_parts();
            Ok((head.status, head.headers, read(body).await?))
        };
        tokio::time::timeout(limit, answer).await.unwrap_or(Err(NoAnswer::Slow(limit)))
    }
}

/// The certificates of this machine's authorities and of a bundle.
fn roots(bundle: Option<&[u8]>) -> Result<RootCertStore, NoAnswer> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if let Some(bundle) = bundle {
        for certificate in CertificateDer::pem_slice_iter(bundle) {
            let added = certificate.ok().and_then(|it| roots.add(it).ok());
            added.ok_or_else(|| {
                NoAnswer::Tls("the CA bundle is not certificates in PEM".to_owned())
            })?;
        }
    }
    if roots.is_empty() {
        let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(NoAnswer::Tls(format!("this machine has no certificate authorities{why}")));
    }
    Ok(roots)
}

/// Reads a body of a bounded length into one buffer, which is overwritten when dropped.
async fn read(body: Incoming) -> Result<Zeroizing<Vec<u8>>, NoAnswer> {
    const USUAL: usize = 16 * 1024;
    let length = body.size_hint().exact().and_then(|it| usize::try_from(it).ok());
    let mut bytes = Zeroizing::new(Vec::with_capacity(length.unwrap_or(USUAL).min(BODY_MAX)));
    let mut body = Limited::new(body, BODY_MAX);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() {
                NoAnswer::TooLong
            } else {
                NoAnswer::Network(error.to_string())
            }
        })?;
        let Some(data) = frame.data_ref() else { continue };
        let needed = bytes.len() + data.len();
        if needed > bytes.capacity() {
            // A vector that grows by itself leaves a copy behind.
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(2 * bytes.capacity())));
            larger.extend_from_slice(&bytes);
            bytes = larger;
        }
        bytes.extend_from_slice(data);
    }
    Ok(bytes)
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

/// Tells TLS from the network, which stand behind one another in one chain of causes.
fn why(error: &(dyn Error + 'static)) -> NoAnswer {
    let mut cause = Some(error);
    let mut last = error;
    while let Some(error) = cause {
        last = within(error);
        if let Some(error) = last.downcast_ref::<NoAnswer>() {
            return error.clone();
        }
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

    #[test]
    fn an_answer_shows_nothing_of_a_token() {
        let answer = Answer {
            status: StatusCode::OK,
            headers: HeaderMap::from_iter([(LOCATION, HeaderValue::from_static("hunter2"))]),
            body: Zeroizing::new(b"hunter2".to_vec()),
            origin: Origin::of(&parse("https://a.io").unwrap()),
        };
        assert!(!format!("{answer:?}").contains("hunter2"));
    }
}
