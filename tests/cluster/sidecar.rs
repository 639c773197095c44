//! Somebody else's webhook: it puts a proxy beside the containers of a Pod, as service meshes do.

use std::{io, net::SocketAddr, sync::Arc};

use anyhow::{Context, Result};
use axum::{
    Router,
    body::Bytes,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::post,
    serve::Listener,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::pki::Identity;

/// The image of the proxy that it injects.
pub(crate) const PROXY_IMAGE: &str = "mesh.example.com/proxy:1";

/// The running injector. Dropping it ends it.
pub(crate) struct SidecarInjector(AbortHandle);

/// Accepts connections with TLS on them; those that fail the hand-shake are forgotten.
struct TlsListener {
    tcp: TcpListener,
    tls: TlsAcceptor,
}

// === impl SidecarInjector ===

impl SidecarInjector {
    /// Serves `POST /mutate` at `address`.
    pub(crate) async fn serve(address: SocketAddr, identity: &Identity) -> Result<Self> {
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
        let router = Router::new().route("/mutate", post(mutate));
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self(server.abort_handle()))
    }
}

impl Drop for SidecarInjector {
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

async fn mutate(body: Bytes) -> impl IntoResponse {
    match add_proxy(&body) {
        Ok(answer) => {
            (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], answer.to_string())
        }
        Err(error) => (
            StatusCode::BAD_REQUEST,
            [(header::CONTENT_TYPE, "text/plain")],
            format!("not a review: {error:#}"),
        ),
    }
}

/// The answer to a review: one more container, unless it is there already.
fn add_proxy(review: &[u8]) -> Result<Value> {
    let review: Value = serde_json::from_slice(review)?;
    let request = &review["request"];
    let containers = request["object"]["spec"]["containers"].as_array().context("no containers")?;
    let mut response = json!({"uid": request["uid"], "allowed": true});
    if !containers.iter().any(|container| container["image"] == PROXY_IMAGE) {
        let proxy = json!({"name": "proxy", "image": PROXY_IMAGE});
        let patch = json!([{"op": "add", "path": "/spec/containers/-", "value": proxy}]);
        response["patchType"] = "JSONPatch".into();
        response["patch"] = BASE64_STANDARD.encode(patch.to_string()).into();
    }
    Ok(json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": response,
    }))
}
