//! The serving certificate: parsed, checked, and replaced while connections are open.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::CertifiedKey,
};
use x509_parser::parse_x509_certificate;

use super::{
    time::date,
    validity::{NotValid, Validity},
};

/// A certificate chain with its private key and the validity of its leaf.
#[derive(Clone)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    validity: Validity,
}

/// The certificate for TLS handshakes. Replacing it does not close open connections.
#[derive(Debug)]
pub struct ServedCertificate(ArcSwap<Certificate>);

/// Why a certificate and its key cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// There is no private key in the key file.
    #[error("the key file holds no private key in PEM (PKCS#8, PKCS#1 or SEC1)")]
    Key,
    /// The certificate's validity cannot be read.
    #[error("the leaf is not an X.509 certificate")]
    Leaf,
    /// The key belongs to another certificate, or rustls does not support it.
    #[error("certificate and key do not match")]
    Mismatch(#[source] rustls::Error),
    /// The chain is empty.
    #[error("the certificate file holds no certificate in PEM")]
    NoCertificate,
    /// The leaf has expired or is not valid yet.
    #[error("the certificate {0}")]
    NotValid(NotValid),
    /// The file is not PEM.
    #[error("the certificate file is not PEM")]
    Pem,
    /// A certificate could not be made in memory.
    #[error("cannot make a certificate")]
    SelfSigned(#[source] rcgen::Error),
}

impl Certificate {
    /// Parses a chain (leaf first) and its key. Does not check the validity: see [`Certificate::check_validity`].
    ///
    /// # Errors
    ///
    /// [`CertificateError`], which never contains any part of the key.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| CertificateError::Pem)?;
        if chain.is_empty() {
            return Err(CertificateError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CertificateError::Key)?;
        Self::new(chain, key)
    }

    /// Makes a self-signed certificate for `localhost`, for tests by hand.
    ///
    /// # Errors
    ///
    /// [`CertificateError::SelfSigned`].
    pub fn self_signed() -> Result<Self, CertificateError> {
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let made =
            rcgen::generate_simple_self_signed(names).map_err(CertificateError::SelfSigned)?;
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der());
        Self::new(vec![made.cert.der().clone()], key.map_err(|_| CertificateError::Leaf)?)
    }

    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, CertificateError> {
        let leaf = chain.first().ok_or(CertificateError::NoCertificate)?;
        let (_, parsed) = parse_x509_certificate(leaf).map_err(|_| CertificateError::Leaf)?;
        let validity = Validity::of(&parsed);
        let key = CertifiedKey::from_der(chain, key, &ring::default_provider())
            .map_err(CertificateError::Mismatch)?;
        Ok(Self { key: Arc::new(key), validity })
    }

    /// Whether a client with the same clock would accept the leaf at `now`, in seconds since the epoch.
    ///
    /// # Errors
    ///
    /// [`CertificateError::NotValid`].
    pub fn check_validity(&self, now: i64) -> Result<(), CertificateError> {
        self.validity.check(now).map_err(CertificateError::NotValid)
    }

    /// The validity of the leaf.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.validity
    }
}

// The key stays out of every log.
impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("not_after", &date(self.validity.not_after))
            .finish_non_exhaustive()
    }
}

// === impl ServedCertificate ===

impl ServedCertificate {
    /// Serves `certificate` until it is replaced.
    #[must_use]
    pub fn new(certificate: Certificate) -> Self {
        Self(ArcSwap::from_pointee(certificate))
    }

    /// Serves `certificate` from the next handshake on.
    pub fn replace(&self, certificate: Certificate) {
        self.0.store(Arc::new(certificate));
    }

    /// The certificate in use.
    #[must_use]
    pub fn current(&self) -> Arc<Certificate> {
        self.0.load_full()
    }
}

impl ResolvesServerCert for ServedCertificate {
    // The API server sends `<service>.<namespace>.svc` as the server name, others nothing or an address. All get the same
    // certificate and check it themselves.
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load().key.clone())
    }
}

/// The TLS configuration: TLS 1.2 and 1.3, HTTP/1.1 only.
///
/// # Errors
///
/// If the crypto provider supports neither version; ring supports both.
pub fn server_config(served: Arc<ServedCertificate>) -> Result<ServerConfig, rustls::Error> {
    let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(served);
    // The API server speaks HTTP/1.1 to webhooks (apiserver: pkg/util/webhook/client.go).
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // The API server's client (Go) resumes sessions only with a cache, and has none. Tickets would cost each handshake time
    // and each connection memory for nothing.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}
