//! HTTP to a registry, as much as one manifest takes.

use std::{error::Error, io, time::Duration};

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

/// What manifests may be: Docker's and OCI's, of one image and of many.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// Speaks HTTP and HTTPS, with the certificate authorities of this machine (or of `SSL_CERT_FILE`).
pub(in crate::commands::secret) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

/// An answer, with its body where that was asked for.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub(in crate::commands::secret) enum NoAnswer {
    #[error("the registry sends us from one place to the next")]
    Loop,
    #[error("the network: {0}")]
    Network(String),
    #[error("no answer within {} seconds", ANSWER.as_secs())]
    Slow,
    #[error("TLS: {0}")]
    Tls(String),
    /// What answers does not speak TLS at all.
    #[error("TLS: the registry does not speak it")]
    TlsUnknown,
    #[error("{0} is not an address to ask")]
    Uri(String),
}

// === impl Http ===

impl Http {
    pub(in crate::commands::secret) fn new() -> Result<Self, NoAnswer> {
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

    /// Asks whether there is a manifest. Follows redirections; who asks is told to the first host only.
    pub(super) async fn head(
        &self,
        uri: &str,
        authorization: Option<&HeaderValue>,
    ) -> Result<Answer, NoAnswer> {
        let mut uri = parse(uri)?;
        let first = uri.authority().cloned();
        for _ in 0..=REDIRECTIONS {
            let told = authorization.filter(|_| uri.authority() == first.as_ref());
            let answer = self.send(Method::HEAD, uri.clone(), told).await?;
            let location = answer.headers.get(LOCATION).and_then(|it| it.to_str().ok());
            let (true, Some(location)) = (answer.status.is_redirection(), location) else {
                return Ok(answer);
            };
            let next = parse(&absolute(&uri, location))?;
            // Nothing that was asked for in secret goes on in the open.
            if uri.scheme_str() == Some("https") && next.scheme_str() != Some("https") {
                return Err(NoAnswer::Loop);
            }
            uri = next;
        }
        Err(NoAnswer::Loop)
    }

    /// Gets a document.
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
            Ok(Answer { status: head.status, headers: head.headers, body })
        };
        tokio::time::timeout(ANSWER, answer).await.unwrap_or(Err(NoAnswer::Slow))
    }
}

fn parse(uri: &str) -> Result<Uri, NoAnswer> {
    let parsed: Uri = uri.parse().map_err(|_| NoAnswer::Uri(uri.to_owned()))?;
    match parsed.scheme_str() {
        Some("http" | "https") if parsed.authority().is_some() => Ok(parsed),
        _ => Err(NoAnswer::Uri(uri.to_owned())),
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
