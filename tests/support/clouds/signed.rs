//! Signatures of requests, recomputed from what came: AWS's and Alibaba Cloud's.

use std::fmt::Write;

use ring::{digest, hmac};

use super::Received;

/// The parts of an `Authorization` header of either kind.
pub(super) struct Signed {
    pub(super) credential: String,
    pub(super) headers: Vec<String>,
    pub(super) signature: String,
}

impl Signed {
    /// Reads the header, if it is of this algorithm.
    pub(super) fn of(request: &Received, algorithm: &str) -> Option<Self> {
        let rest = request.header("authorization").strip_prefix(algorithm)?.strip_prefix(' ')?;
        let part = |name: &str| {
            let mut parts = rest.split(',').map(str::trim);
            parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
        };
        let headers = part("SignedHeaders")?.split(';').map(str::to_owned).collect();
        Some(Self { credential: part("Credential")?, headers, signature: part("Signature")? })
    }

    pub(super) fn covers(&self, name: &str) -> bool {
        self.headers.iter().any(|it| it == name)
    }

    /// The digest of the request in canonical form, with the headers that the client says it signed.
    pub(super) fn digest(&self, request: &Received) -> String {
        let mut query: Vec<_> = request
            .uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|it| !it.is_empty())
            .collect();
        query.sort_by_key(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let mut text = format!("{}\n{}\n{}\n", request.method, request.uri.path(), query.join("&"));
        for name in &self.headers {
            writeln!(text, "{name}:{}", request.header(name).trim()).unwrap();
        }
        write!(text, "\n{}\n{}", self.headers.join(";"), sha256(&request.body)).unwrap();
        sha256(text.as_bytes())
    }

    /// Whether the signature is that of this key over this text.
    pub(super) fn is_by(&self, key: &[u8], text: &str) -> bool {
        hex(&mac(key, text)) == self.signature
    }
}

pub(super) fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}
