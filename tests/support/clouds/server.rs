//! An HTTPS server with a certificate of its own authority.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::Request,
    http::{HeaderMap, Method, Response, StatusCode, Uri},
    serve::Listener,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// A certificate authority of the test's own.
#[derive(Clone)]
pub(crate) struct Authority {
    issuer: Arc<Issuer<'static, KeyPair>>,
    /// Its certificate in PEM.
    pub(crate) pem: String,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

/// A running server. Dropping it ends it.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    _end: oneshot::Sender<()>,
}

struct State {
    handler: Box<dyn Fn(&Received) -> Reply + Send + Sync>,
    /// Answers that come before those of the handler.
    queued: Mutex<VecDeque<Reply>>,
    requests: Mutex<Vec<Received>>,
    /// Whether it takes no connection.
    away: AtomicBool,
}

// === impl Authority ===

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Arc::new(Issuer::new(params, key)), pem }
    }

    /// A TLS configuration for servers of these names.
    fn config(&self, names: &[&str]) -> ServerConfig {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &*self.issuer).unwrap();
        let chain = vec![CertificateDer::from(leaf.der().to_vec())];
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap()
    }
}

// === impl Received ===

impl Received {
    /// The text of a header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |it| it.to_str().unwrap_or(""))
    }

    /// The pairs of the query.
    pub(crate) fn query(&self) -> Vec<(String, String)> {
        pairs(self.uri.query().unwrap_or_default())
    }

    /// The pairs of a form.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        let is_form = self.header("content-type").starts_with("application/x-www-form-urlencoded");
        if is_form { pairs(str::from_utf8(&self.body).unwrap_or_default()) } else { Vec::new() }
    }
}

/// The value of a pair.
pub(crate) fn value<'p>(pairs: &'p [(String, String)], name: &str) -> &'p str {
    pairs.iter().find(|(it, _)| it == name).map_or("", |(_, value)| value)
}

fn pairs(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|it| !it.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(a, b)| (plain(a), plain(b)))
        .collect()
}

/// Text without percent-encoding and without the plus signs of forms.
fn plain(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}

// === impl Reply ===

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, body.to_string()).with("content-type", "application/json")
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

// === impl Server ===

impl Server {
    /// Serves on this machine, under `localhost` and these names, until it is dropped.
    pub(crate) fn start(
        authority: &Authority,
        names: &[&str],
        handler: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), authority, names, handler)
    }

    /// The same at an address of this machine.
    pub(crate) fn start_at(
        address: IpAddr,
        authority: &Authority,
        names: &[&str],
        handler: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let own = address.to_string();
        let names: Vec<_> = names.iter().copied().chain(["localhost", &own]).collect();
        let acceptor = TlsAcceptor::from(Arc::new(authority.config(&names)));
        Self::serve(address, Some(acceptor), handler)
    }

    /// Serves without TLS, as metadata servers do.
    pub(crate) fn start_plain(
        handler: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::serve(Ipv4Addr::LOCALHOST.into(), None, handler)
    }

    fn serve(
        address: IpAddr,
        tls: Option<TlsAcceptor>,
        handler: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let state = Arc::new(State {
            handler: Box::new(handler),
            queued: Mutex::default(),
            requests: Mutex::default(),
            away: AtomicBool::new(false),
        });
        let listener = std::net::TcpListener::bind((address, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel::<()>();
        let served = Arc::clone(&state);
        thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let tcp = TcpListener::from_std(listener).unwrap();
                let state = Arc::clone(&served);
                let router =
                    Router::new().fallback(move |request| answer(Arc::clone(&served), request));
                let serving = async move {
                    match tls {
                        Some(tls) => axum::serve(TlsListener { tcp, tls, state }, router).await,
                        None => axum::serve(tcp, router).await,
                    }
                };
                tokio::select! {
                    ended = serving => ended.unwrap(),
                    _ = ended => {}
                }
            });
        });
        Self { address, state, _end: end }
    }

    /// Its address with a name of this machine.
    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Has it go away, for requests on connections that it has, too, or come back.
    pub(crate) fn set_away(&self, away: bool) {
        self.state.away.store(away, Ordering::Relaxed);
    }

    /// Answers the next requests with these, without reading them.
    pub(crate) fn queue(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state.queued.lock().unwrap().extend(replies);
    }

    /// What came so far.
    pub(crate) fn requests(&self) -> Vec<Received> {
        self.state.requests.lock().unwrap().clone()
    }
}

async fn answer(state: Arc<State>, request: Request) -> Response<axum::body::Body> {
    if state.away.load(Ordering::Relaxed) {
        let gone = Response::builder().status(StatusCode::SERVICE_UNAVAILABLE);
        return gone.header("connection", "close").body(axum::body::Body::empty()).unwrap();
    }
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let request = Received { method: head.method, uri: head.uri, headers: head.headers, body };
    state.requests.lock().unwrap().push(request.clone());
    let queued = state.queued.lock().unwrap().pop_front();
    let reply = queued.unwrap_or_else(|| (state.handler)(&request));
    let mut response = Response::builder().status(StatusCode::from_u16(reply.status).unwrap());
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(reply.body.into()).unwrap()
}

struct TlsListener {
    tcp: TcpListener,
    tls: TlsAcceptor,
    state: Arc<State>,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, address)) = self.tcp.accept().await else { continue };
            if self.state.away.load(Ordering::Relaxed) {
                continue;
            }
            if let Ok(stream) = self.tls.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}
