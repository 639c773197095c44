//! Somebody else's HTTPS server.

use std::{io, net::SocketAddr, sync::Arc};

use anyhow::Result;
use axum::{Router, serve::Listener};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::pki::Identity;

/// A running server. Dropping it ends it.
pub(crate) struct TlsServer(AbortHandle);

/// Accepts connections with TLS on them; those that fail the handshake are forgotten.
struct TlsListener {
    tcp: TcpListener,
    tls: TlsAcceptor,
}

// === impl TlsServer ===

impl TlsServer {
    /// Serves `router` at `address`.
    pub(crate) async fn serve(
        address: SocketAddr,
        identity: &Identity,
        router: Router,
    ) -> Result<Self> {
        let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes())?];
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        let listener = TlsListener {
            tcp: TcpListener::bind(address).await?,
            tls: TlsAcceptor::from(Arc::new(config)),
        };
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self(server.abort_handle()))
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

// === impl TlsListener ===

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.tcp).await;
            if let Ok(stream) = self.tls.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
