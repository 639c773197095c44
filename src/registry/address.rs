//! Addresses of servers, and who is asked there.

use std::fmt;

use hyper::Uri;

use super::client::NoAnswer;

/// The longest part of an address that is shown, in characters.
const SHOWN: usize = 200;

/// Who is asked: scheme, host and port, the port as a number (RFC 6454, section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    https: bool,
    host: String,
    port: u16,
}

// === impl Origin ===

impl Origin {
    /// The origin of an address that [`parse`] has let through.
    pub(super) fn of(uri: &Uri) -> Self {
        let https = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        Self { https, host: uri.host().unwrap_or_default().to_ascii_lowercase(), port }
    }

    /// Whether it is asked over TLS.
    pub(super) fn is_https(&self) -> bool {
        self.https
    }

    /// The port, that of the scheme where the address has none.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The name or address, without the port.
    pub(super) fn host(&self) -> &str {
        &self.host
    }
}

/// Host, and port where it is not the scheme's own.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = if self.https { 443 } else { 80 };
        f.write_str(&self.host)?;
        if self.port == own { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// Reads the address of a server. One with user information is refused: it resembles another host.
pub(super) fn parse(uri: &str) -> Result<Uri, NoAnswer> {
    // Without the part that may hold a password, and of a bounded length.
    let error = || {
        let shown = uri.rsplit_once('@').map_or(uri, |(_, behind)| behind);
        NoAnswer::Uri(shown.chars().take(SHOWN).collect())
    };
    let parsed: Uri = uri.parse().map_err(|_| error())?;
    let authority = parsed.authority().ok_or_else(error)?;
    match parsed.scheme_str() {
        Some("http" | "https")
            if !authority.host().is_empty() && !authority.as_str().contains('@') =>
        {
            Ok(parsed)
        }
        _ => Err(error()),
    }
}

/// A `Location`, which may leave out scheme and host (RFC 9110, section 10.2.2).
pub(super) fn absolute(base: &Uri, location: &str) -> String {
    match (base.scheme_str(), base.authority()) {
        (Some(scheme), Some(host)) if location.starts_with('/') && !location.starts_with("//") => {
            format!("{scheme}://{host}{location}")
        }
        _ => location.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(uri: &str) -> Origin {
        Origin::of(&parse(uri).unwrap())
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for same in ["https://a.io/x", "https://A.io:443", "HTTPS://a.io/y?z"] {
            assert_eq!(origin(same), origin("https://a.io/"), "{same}");
        }
        for other in ["http://a.io", "https://a.io:444", "https://b.a.io", "http://a.io:443"] {
            assert_ne!(origin(other), origin("https://a.io/"), "{other}");
        }
    }

    #[test]
    fn what_is_no_address_is_not_asked() {
        for uri in [
            "",
            "/v2/",
            "ftp://a.io",
            "https://",
            "https://a.io@b.io/",
            "https://u:hunter2@b.io/",
            "x y",
        ] {
            let error = parse(uri).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
