//! Where a registry key or an image points, and whether the one covers the other.

use super::{go_glob, go_url::Url};

/// A host in labels, a port and a path: of an index key, where labels are globs, or of an image's name.
pub(super) struct Location {
    labels: Vec<Vec<u8>>,
    /// Empty where there is none.
    port: Vec<u8>,
    path: Vec<u8>,
}

/// How the location of a key differs from that of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) host: Host,
    /// The ports are the same text.
    pub(super) port: bool,
    /// The key's path is the start of the image's, as text.
    pub(super) path: bool,
}

/// How the host of a key differs from that of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Host {
    /// Label by label the key's globs match.
    Match,
    /// Some label does not match.
    Differs,
    /// One has more labels. `tail` says whether the last ones match, as far as both have them.
    Count { tail: bool },
}

/// What an entry is filed under: host and path of its key, without scheme, user information, query and
/// API version. None where the key is no URL, and the kubelet drops the entry.
pub(super) fn index_key(key: &str) -> Option<Vec<u8>> {
    let url = Url::parse(without_scheme(key).as_bytes())?;
    let path = match url.path.get(..4) {
        Some(b"/v1/" | b"/v2/") => url.path.get(3..)?,
        _ => &url.path,
    };
    let path = if path == b"/" { b"" } else { path };
    Some([&url.host, path].concat())
}

/// The key without `https://` or `http://`. Another scheme, or one in upper case, counts as a host.
pub(super) fn without_scheme(key: &str) -> &str {
    ["https://", "http://"].into_iter().find_map(|s| key.strip_prefix(s)).unwrap_or(key)
}

// === impl Location ===

impl Location {
    /// Reads an index key or an image's name. None where it is no URL.
    ///
    /// Since an index key has been a URL before, its path is decoded for the second time.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let url = Url::parse(text)?;
        let (host, port) = split_port(&url.host);
        Some(Self {
            labels: host.split(|&byte| byte == b'.').map(<[u8]>::to_vec).collect(),
            port: port.to_vec(),
            path: url.path.into_owned(),
        })
    }

    /// How `self`, of a key, differs from the location of an image.
    pub(super) fn compare(&self, image: &Self) -> Comparison {
        let mut pairs = self.labels.iter().rev().zip(image.labels.iter().rev());
        let tail = pairs.all(|(glob, label)| go_glob::matches(glob, label));
        let host = match (self.labels.len() == image.labels.len(), tail) {
            (true, true) => Host::Match,
            (true, false) => Host::Differs,
            (false, tail) => Host::Count { tail },
        };
        Comparison { host, port: self.port == image.port, path: image.path.starts_with(&self.path) }
    }

    /// Whether both name the same host, read as text and not as globs.
    pub(super) fn has_host_of(&self, image: &Self) -> bool {
        self.labels == image.labels
    }

    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }
}

// === impl Comparison ===

impl Comparison {
    pub(super) fn is_match(self) -> bool {
        self == Self { host: Host::Match, port: true, path: true }
    }
}

/// Splits the port off a host, as Go's `net.SplitHostPort` does.
///
/// An IPv6 address with a port loses its brackets. Without one it keeps them, because that function insists
/// on a port, and they are then read as a glob's class.
fn split_port(host: &[u8]) -> (&[u8], &[u8]) {
    let split = || {
        let colon = host.iter().rposition(|&byte| byte == b':')?;
        let (before, port) = (host.get(..colon)?, host.get(colon + 1..)?);
        let name = match before.strip_prefix(b"[") {
            Some(inner) => inner.strip_suffix(b"]")?,
            None => before,
        };
        // A bracket anywhere else, such as in an IPv6 zone, and Go gives up.
        let is_bracket = |byte: &u8| matches!(byte, b'[' | b']');
        (!name.iter().chain(port).any(is_bracket)).then_some((name, port))
    };
    split().unwrap_or((host, b""))
}
