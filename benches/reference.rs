//! The servers that `benches/run.sh` compares pullcred with, on the same stack of axum, hyper, tokio and rustls.
//!
//! `echo` reads a body and sends it back: the upper limit of this stack. `typed` is a webhook in the usual form: kube's
//! `AdmissionReview<Pod>`, a changed copy of the Pod, and the difference of the two as a JSON Patch. Neither has limits, logs or metrics.

use std::{env, error::Error, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{Response, header},
    routing::post,
};
use http_body_util::BodyExt;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{LocalObjectReference, Pod};
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview};
use pullcred::pki::served::{Certificate, ServedCertificate, server_config};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [role, address, workers] = arguments.as_slice() else {
        return Err("usage: reference echo|typed ADDRESS WORKERS".into());
    };
    let router = match role.as_str() {
        "echo" => Router::new().route("/mutate", post(echo)),
        "typed" => Router::new().route("/mutate", post(typed)),
        other => return Err(format!("{other:?} is neither echo nor typed").into()),
    };
    let address = address.parse()?;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers.parse()?)
        .enable_all()
        .build()?
        .block_on(serve(router, address))
}

async fn serve(router: Router, address: SocketAddr) -> Result<()> {
    let certificate = ServedCertificate::new(Certificate::self_signed()?);
    let tls = TlsAcceptor::from(Arc::new(server_config(Arc::new(certificate))?));
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _client) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (tls, router) = (tls.clone(), router.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| router.clone().oneshot(request));
            if let Ok(stream) = tls.accept(stream).await {
                // A client that disconnects is not an error here.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            }
        });
    }
}

async fn echo(body: Body) -> Response<Body> {
    json(read(body).await)
}

async fn typed(body: Body) -> Response<Body> {
    json(review(&read(body).await).unwrap_or_default())
}

async fn read(body: Body) -> Bytes {
    body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default()
}

fn review(body: &[u8]) -> Result<Bytes> {
    let review: AdmissionReview<Pod> = serde_json::from_slice(body)?;
    let request: AdmissionRequest<Pod> = review.try_into()?;
    let response = AdmissionResponse::from(&request);
    let before = request.object.ok_or("no Pod")?;
    let mut after = before.clone();
    let aliyun = LocalObjectReference { name: "aliyun".to_owned() };
    after.spec.get_or_insert_default().image_pull_secrets.get_or_insert_default().push(aliyun);
    let patch = json_patch::diff(&serde_json::to_value(before)?, &serde_json::to_value(after)?);
    let response = response.with_patch(patch)?;
    Ok(serde_json::to_vec(&response.into_review())?.into())
}

fn json(body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    let value = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, value);
    response
}
