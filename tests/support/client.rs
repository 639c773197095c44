//! An HTTPS client with its hands on the connection: one that can be kept, and asked again.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use hyper::{HeaderMap, Request, StatusCode, client::conn::http1::SendRequest, header};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection on which one request is asked at a time.
pub(crate) struct Connection {
    sender: SendRequest<Body>,
    host: String,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Connection {
    /// Connects over TLS, whatever certificate is served.
    pub(crate) async fn tls(address: SocketAddr) -> Self {
        Self::over(tls(address, any_certificate()).await.unwrap(), address).await
    }

    /// Connects in the clear.
    pub(crate) async fn plain(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap(), address).await
    }

    async fn over<S>(stream: S, address: SocketAddr) -> Self
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender, host: address.to_string() }
    }

    /// Sends a review and reads its answer.
    pub(crate) async fn review(&mut self, body: impl Into<Body>) -> Result<Answer, hyper::Error> {
        let request = Request::post("/mutate")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::HOST, &self.host);
        self.send(request.body(body.into()).unwrap()).await
    }

    /// Asks for a page.
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        let request = Request::get(path).header(header::HOST, &self.host);
        self.send(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn send(&mut self, request: Request<Body>) -> Result<Answer, hyper::Error> {
        let exchange = async {
            self.sender.ready().await?;
            let (parts, body) = self.sender.send_request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(Answer { status: parts.status, headers: parts.headers, body })
        };
        tokio::time::timeout(PATIENCE, exchange).await.expect("an answer in time")
    }
}

/// A page of the plain port, as text.
pub(crate) async fn page(address: SocketAddr, path: &str) -> (StatusCode, String) {
    let answer = Connection::plain(address).await.get(path).await;
    (answer.status, String::from_utf8(answer.body.to_vec()).unwrap())
}

/// A TLS connection with `config`, the server's name being `localhost`.
pub(crate) async fn tls(
    address: SocketAddr,
    config: ClientConfig,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// A client that accepts any certificate: what is served is looked at by the test itself.
pub(crate) fn any_certificate() -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(no_verifier())
        .with_no_client_auth()
}

/// Accepts any certificate.
pub(crate) fn no_verifier() -> Arc<dyn ServerCertVerifier> {
    Arc::new(AnyCertificate)
}

#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
