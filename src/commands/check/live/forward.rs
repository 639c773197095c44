//! A port of a Pod, forwarded by the API server: a Service's address leads nowhere from outside of a cluster.

use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, body::Bytes, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use crate::cluster::CallError;

/// How long one exchange with a webhook may take, from the request to connect or to forward a port to its end.
pub(super) const EXCHANGE: Duration = Duration::from_secs(10);
/// How long to wait for the reason of a stream that has ended.
const REFUSAL: Duration = Duration::from_secs(1);
/// The longest answer that is read, in bytes.
const ANSWER_MAX: usize = 64 * 1024;

/// A stream to a port of a Pod.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

/// Runs `exchange` over a forwarded port of the Pod of this name.
///
/// # Errors
///
/// Why there was no exchange, in the words of the API server where it has some.
pub(super) async fn forwarded<T, E: ToString>(
    pods: &Api<Pod>,
    pod: &str,
    port: u16,
    exchange: impl AsyncFnOnce(Box<dyn Stream>) -> Result<T, E>,
) -> Result<T, String> {
    let exchange = async {
        let mut forwarder = pods.portforward(pod, &[port]).await.map_err(CallError::reason_of)?;
        let refusal = forwarder.take_error(port);
        let stream = forwarder.take_stream(port).ok_or("the stream is gone")?;
        let result = match exchange(Box::new(stream)).await {
            Ok(result) => Ok(result),
            // A stream that just ends may have its reason in the other one.
            Err(error) => {
                let refusal = async { refusal?.await };
                let refusal = timeout(REFUSAL, refusal).await.ok().flatten();
                Err(refusal.unwrap_or_else(|| error.to_string()))
            }
        };
        forwarder.abort();
        result
    };
    timeout(EXCHANGE, exchange).await.unwrap_or_else(|_| Err(too_slow()))
}

/// What a plain port answers to a GET of this path, whatever the status.
///
/// # Errors
///
/// Why there is no answer.
pub(super) async fn get(stream: Box<dyn Stream>, path: &str) -> Result<String, String> {
    let error = |error: hyper::Error| error.to_string();
    let (mut sender, connection) =
        http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await.map_err(error)?;
    let request = Request::get(path).header(HOST, "localhost").body(Empty::new());
    let request = request.map_err(|error| error.to_string())?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(error)?;
        let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        Ok(String::from_utf8_lossy(&body).into_owned())
    };
    tokio::select! {
        answer = answer => answer,
        // The connection ends by itself only where the other side ends it.
        ended = connection => Err(ended.map_or_else(error, |()| "the connection ended".to_owned())),
    }
}

/// What is said of an exchange that takes too long.
pub(super) fn too_slow() -> String {
    format!("it takes longer than {} seconds", EXCHANGE.as_secs())
}
