//! Somebody else's webhook: it puts a proxy beside the containers of a Pod, as service meshes do.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use axum::{
    Router,
    body::Bytes,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::post,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::{pki::Identity, tls_server::TlsServer};

/// The image of the proxy that it injects.
pub(crate) const PROXY_IMAGE: &str = "mesh.example.com/proxy:1";

/// The running injector. Dropping it ends it.
pub(crate) struct SidecarInjector {
    _server: TlsServer,
}

// === impl SidecarInjector ===

impl SidecarInjector {
    /// Serves `POST /mutate` at `address`.
    pub(crate) async fn serve(address: SocketAddr, identity: &Identity) -> Result<Self> {
        let router = Router::new().route("/mutate", post(mutate));
        Ok(Self { _server: TlsServer::serve(address, identity, router).await? })
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
