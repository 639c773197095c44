//! A TLS handshake as a caller makes it: does it trust the server?

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

/// Nobody here takes longer to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// Connects to `address` and asks for `host`, trusting the CAs of `bundle`, in PEM, and no others.
pub(crate) async fn handshake(address: SocketAddr, host: &str, bundle: &str) -> Result<()> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from(host.to_owned())?;
    let connect = async {
        let stream = TcpStream::connect(address).await.context("cannot connect")?;
        connector.connect(name, stream).await.map(drop).context("handshake")
    };
    timeout(ANSWER, connect).await.context("no answer")?
}
