//! The addresses of endpoints.

use std::fmt;
use std::str::FromStr;

use super::super::name::Quoted;
use super::super::pattern::RegistryPattern;

/// An address that begins with `https://`, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(Box<str>);

/// Why a text is not the address of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It does not begin with `https://`.
    #[error("a token goes only over HTTPS: write an address such as https://sts.example.com")]
    NoHttps,
    /// It has what no address of an endpoint has.
    #[error("{} is not the address of an endpoint: write scheme, host and perhaps port and path, such as https://sts.example.com:8443", Quoted(.0))]
    Malformed(Box<str>),
    /// It has a user name or password.
    #[error("the address of an endpoint has no user name, password, query or fragment")]
    UserInfo,
}

// === impl Endpoint ===

impl Endpoint {
    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Host and port.
    #[must_use]
    pub fn authority(&self) -> &str {
        let rest = self.0.trim_start_matches(Self::SCHEME);
        rest.split_once('/').map_or(rest, |(authority, _)| authority)
    }

    const SCHEME: &str = "https://";
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let rest = text.strip_prefix(Self::SCHEME).ok_or(EndpointError::NoHttps)?;
        if text.contains(['@', '?', '#']) {
            return Err(EndpointError::UserInfo);
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (authority, path) = rest.split_once('/').map_or((rest, None), |(a, b)| (a, Some(b)));
        // A pattern of a registry that needs no dot: `localhost` with a port is one, too.
        let host = authority.parse::<RegistryPattern>().is_ok_and(|it| !it.is_glob());
        let in_path = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
        let path = path.is_none_or(|it| {
            it.chars().all(in_path) && it.split('/').all(|part| !matches!(part, "" | "." | ".."))
        });
        if host && path {
            Ok(Self(format!("{}{rest}", Self::SCHEME).into()))
        } else {
            Err(EndpointError::Malformed(text.into()))
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
