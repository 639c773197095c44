//! The way to a server: at once, or through the proxy of the environment.

use std::{
    env,
    error::Error,
    fmt,
    future::Future,
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use hyper::{Uri, header::HeaderValue};
use hyper_util::{
    client::legacy::connect::{HttpConnector, proxy::Tunnel},
    rt::TokioIo,
};
use tokio::net::TcpStream;
use tower::Service;

use super::{
    address::{Origin, parse},
    client::NoAnswer,
    is_loopback,
    login::secret_header,
};

/// A proxy that connects to servers on HTTPS (`CONNECT`, RFC 9110, section 9.3.6), and the servers that are asked without it.
#[derive(Clone)]
pub struct Proxy {
    address: Uri,
    authorization: Option<HeaderValue>,
    except: Vec<Except>,
}

/// Why a proxy cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// The text is no address of a proxy.
    #[error(
        "HTTPS_PROXY is not the address of a proxy: write one such as http://proxy.example.com:3128"
    )]
    Address,
    /// The proxy is to be asked by other means than HTTP.
    #[error(
        "HTTPS_PROXY must be an address with http://: the connection to the server is encrypted within it"
    )]
    Scheme,
}

/// An entry of `NO_PROXY`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Except {
    All,
    Address { network: IpAddr, bits: u32, port: Option<u16> },
    Name { suffix: String, itself: bool, port: Option<u16> },
}

/// Connects to servers.
#[derive(Clone)]
pub(super) struct Route {
    direct: HttpConnector,
    proxy: Option<Proxy>,
}

// === impl Proxy ===

impl Proxy {
    /// The proxy of `HTTPS_PROXY` or `https_proxy`, without which there is none, and the exceptions of `NO_PROXY` or
    /// `no_proxy`.
    ///
    /// # Errors
    ///
    /// [`ProxyError`] where that is no address.
    pub fn from_env() -> Result<Option<Self>, ProxyError> {
        let variable = |names: [&str; 2]| {
            names.into_iter().filter_map(|it| env::var(it).ok()).find(|it| !it.is_empty())
        };
        let Some(address) = variable(["HTTPS_PROXY", "https_proxy"]) else { return Ok(None) };
        let except = variable(["NO_PROXY", "no_proxy"]).unwrap_or_default();
        Self::new(&address, &except).map(Some)
    }

    /// The proxy of an address such as `http://user:password@proxy:3128`, and the servers that are asked without it, written
    /// as in `NO_PROXY`: names, `.name` for what is below it, addresses, networks such as `10.0.0.0/8`, each perhaps with a
    /// port; `*` stands for all.
    ///
    /// # Errors
    ///
    /// [`ProxyError`] where that is no address.
    pub fn new(address: &str, except: &str) -> Result<Self, ProxyError> {
        let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(ProxyError::Scheme);
        }
        let (user, rest) = rest.rsplit_once('@').map_or((None, rest), |(a, b)| (Some(a), b));
        let authority = rest.trim_end_matches('/');
        let port = if authority.rsplit(':').next().is_some_and(|it| it.parse::<u16>().is_ok()) {
            ""
        } else {
            ":80"
        };
        let address =
            parse(&format!("http://{authority}{port}")).map_err(|_| ProxyError::Address)?;
        let authorization = user.map(basic).transpose()?;
        let except = except.split([',', ' ']).filter_map(Except::read).collect();
        Ok(Self { address, authorization, except })
    }

    /// Whether the server is asked through the proxy. This machine never is.
    fn serves(&self, server: &Origin) -> bool {
        server.is_https()
            && !is_loopback(server.host())
            && !self.except.iter().any(|it| it.covers(server))
    }
}

/// The header for a user and a password, percent-encoded as in any URL.
fn basic(user: &str) -> Result<HeaderValue, ProxyError> {
    let mut plain = Vec::with_capacity(user.len());
    let mut bytes = user.bytes();
    while let Some(byte) = bytes.next() {
        plain.push(if byte == b'%' {
            let mut digit = || bytes.next().and_then(|it| char::from(it).to_digit(16));
            let (high, low) = (digit(), digit());
            let byte = high.zip(low).and_then(|(high, low)| u8::try_from(16 * high + low).ok());
            byte.ok_or(ProxyError::Address)?
        } else {
            byte
        });
    }
    if !plain.contains(&b':') {
        plain.push(b':');
    }
    secret_header(&format!("Basic {}", BASE64_STANDARD.encode(plain))).ok_or(ProxyError::Address)
}

/// Without user and password.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, except, .. } = self;
        f.debug_struct("Proxy")
            .field("address", address)
            .field("except", except)
            .finish_non_exhaustive()
    }
}

// === impl Except ===

impl Except {
    fn read(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        if text.is_empty() {
            return None;
        }
        if text == "*" {
            return Some(Self::All);
        }
        if let Some((network, bits)) = text.split_once('/') {
            let network: IpAddr = network.parse().ok()?;
            let bits = bits.parse().ok().filter(|bits| *bits <= width(network))?;
            return Some(Self::Address { network, bits, port: None });
        }
        if let Ok(network) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Some(Self::Address { network, bits: width(network), port: None });
        }
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().ok()?)),
            None => (text.as_str(), None),
        };
        if let Ok(network) = name.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Some(Self::Address { network, bits: width(network), port });
        }
        let below = name.strip_prefix('*').unwrap_or(name).strip_prefix('.');
        Some(Self::Name { suffix: below.unwrap_or(name).to_owned(), itself: below.is_none(), port })
    }

    fn covers(&self, server: &Origin) -> bool {
        let fits = |port: &Option<u16>| port.is_none_or(|port| port == server.port());
        match self {
            Self::All => true,
            Self::Address { network, bits, port } => {
                let host = server.host().trim_matches(['[', ']']).parse::<IpAddr>();
                fits(port) && host.is_ok_and(|host| is_in(host, *network, *bits))
            }
            Self::Name { suffix, itself, port } => {
                let below = server.host().strip_suffix(suffix.as_str());
                fits(port)
                    && below.is_some_and(|it| it.ends_with('.') || (*itself && it.is_empty()))
            }
        }
    }
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn is_in(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let first = |value: u128, width: u32| value.checked_shr(width - bits).unwrap_or(0);
    match (address.to_canonical(), network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            first(a.to_bits().into(), 32) == first(b.to_bits().into(), 32)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => first(a.to_bits(), 128) == first(b.to_bits(), 128),
        _ => false,
    }
}

// === impl Route ===

impl Route {
    pub(super) fn new(proxy: Option<Proxy>) -> Self {
        let mut direct = HttpConnector::new();
        direct.enforce_http(false);
        Self { direct, proxy }
    }
}

impl Service<Uri> for Route {
    type Response = TokioIo<TcpStream>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.direct.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        let proxy = self.proxy.as_ref().filter(|proxy| proxy.serves(&Origin::of(&server)));
        let Some(Proxy { address, authorization, .. }) = proxy else {
            let connecting = self.direct.call(server);
            return Box::pin(async { connecting.await.map_err(Into::into) });
        };
        let mut tunnel = Tunnel::new(address.clone(), self.direct.clone());
        if let Some(authorization) = authorization {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        let proxy = Origin::of(address).to_string();
        let connecting = tunnel.call(server);
        Box::pin(async {
            connecting.await.map_err(|error| {
                let why = crate::errors::with_causes(&error);
                NoAnswer::Proxy { proxy, why }.into()
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serves(except: &str, server: &str) -> bool {
        let proxy = Proxy::new("http://proxy.example.com:3128", except).unwrap();
        proxy.serves(&Origin::of(&parse(server).unwrap()))
    }

    #[test]
    fn exceptions_are_read_as_other_programs_read_them() {
        for (except, server, by_proxy) in [
            ("", "https://sts.amazonaws.com", true),
            // Nothing is encrypted there, so nothing secret may pass through others.
            ("", "http://metadata.google.internal", false),
            ("", "http://169.254.169.254", false),
            ("", "https://localhost:8443", false),
            ("", "https://127.0.0.1", false),
            ("", "https://[::1]", false),
            ("*", "https://sts.amazonaws.com", false),
            ("amazonaws.com", "https://sts.amazonaws.com", false),
            ("amazonaws.com", "https://amazonaws.com", false),
            (".amazonaws.com", "https://amazonaws.com", true),
            ("*.amazonaws.com", "https://STS.amazonaws.com", false),
            ("amazonaws.com", "https://evilamazonaws.com", true),
            ("amazonaws.com:8443", "https://sts.amazonaws.com", true),
            ("amazonaws.com:8443", "https://sts.amazonaws.com:8443", false),
            ("x.io, 10.0.0.0/8", "https://10.1.2.3", false),
            ("10.0.0.0/8", "https://11.1.2.3", true),
            ("10.0.0.0/8", "https://10.example.com", true),
            ("0.0.0.0/0", "https://11.1.2.3", false),
            ("10.0.0.1", "https://10.0.0.1:444", false),
            ("10.0.0.1:443", "https://10.0.0.1:444", true),
            ("fd00::/8", "https://[fd12::1]", false),
            ("::1/128,fd00::1", "https://[fd00::2]", true),
            ("10.0.0.0/33,/8,:x,", "https://10.0.0.1", true),
        ] {
            assert_eq!(serves(except, server), by_proxy, "{except} {server}");
        }
    }

    #[test]
    fn a_proxy_is_an_address_with_http() {
        for (text, address) in [
            ("http://proxy:3128", Ok("http://proxy:3128/")),
            ("proxy:3128/", Ok("http://proxy:3128/")),
            ("http://proxy", Ok("http://proxy:80/")),
            ("HTTP://u:p%40ss@proxy:1", Ok("http://proxy:1/")),
            ("https://proxy:3128", Err(ProxyError::Scheme)),
            ("socks5://proxy:3128", Err(ProxyError::Scheme)),
            ("http://", Err(ProxyError::Address)),
            ("http://a b", Err(ProxyError::Address)),
            ("http://u:%zz@proxy", Err(ProxyError::Address)),
        ] {
            let proxy = Proxy::new(text, "");
            assert_eq!(
                proxy.map(|it| it.address.to_string()),
                address.map(str::to_owned),
                "{text}"
            );
        }
        let proxy = Proxy::new("http://u:hunter%32@proxy", "").unwrap();
        let header = proxy.authorization.clone().unwrap();
        assert_eq!(header, format!("Basic {}", BASE64_STANDARD.encode("u:hunter2")).as_str());
        assert!(!format!("{proxy:?}").contains("hunter"));
    }
}
