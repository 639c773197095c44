//! Signatures of requests: Signature Version 4 of AWS, and ACS3-HMAC-SHA256 of Alibaba Cloud.
//!
//! Both sign a request in the same canonical form. They differ in the key, in what is signed of the date, and in the headers.

use ring::{digest, hmac};

use super::{secret_text::SecretText, time, wire::Request};

/// An access key, long-lived or of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// Its public half.
    pub id: String,
    /// Its secret half.
    pub secret: SecretText,
    /// The token of the session, without which a key of a session is nothing.
    pub session: Option<SecretText>,
}

/// What a signature of AWS is good for.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Such as `eu-west-1`.
    pub region: &'a str,
    /// Such as `ecr`.
    pub service: &'a str,
}

/// A request in canonical form, and the names of the headers in it.
struct Canonical {
    text: String,
    signed: String,
}

impl Canonical {
    /// The canonical form of a request with the headers that `is_signed`; `host` always is.
    fn of(request: &Request, is_signed: impl Fn(&str) -> bool) -> Self {
        let (path, query) = request.target();
        let mut pairs: Vec<_> = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .collect();
        pairs.sort_unstable();
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();

        let mut headers = vec![("host", request.authority().to_owned())];
        for (name, value) in request.headers().filter(|(name, _)| is_signed(name)) {
            let value = value.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
            match headers.iter_mut().find(|(it, _)| *it == name) {
                Some((_, values)) => values.extend([",", &value]),
                None => headers.push((name, value)),
            }
        }
        headers.sort_unstable_by_key(|(name, _)| *name);
        let signed: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
        let signed = signed.join(";");
        let lines: Vec<_> = headers
            .iter()
            .map(|(name, value)| {
                format!(
                    "{name}:{value}
"
                )
            })
            .collect();
        let text = [
            request.method(),
            path,
            &pairs.join("&"),
            &lines.concat(),
            &signed,
            &hex(digest::digest(&digest::SHA256, request.body()).as_ref()),
        ]
        .join("\n");
        Self { text, signed }
    }

    fn digest(&self) -> String {
        hex(digest::digest(&digest::SHA256, self.text.as_bytes()).as_ref())
    }
}

/// Signs a request to AWS with every header that it has, as of `now`.
#[must_use]
pub fn sigv4(mut request: Request, key: &AccessKey, scope: Scope<'_>, now: i64) -> Request {
    const ALGORITHM: &str = "AWS4-HMAC-SHA256";
    let date = time::compact(now);
    let day = date.get(..8).unwrap_or_default();
    request = request.with("x-amz-date", date.as_str());
    if let Some(session) = &key.session {
        request = request.with("x-amz-security-token", session.clone());
    }
    let canonical = Canonical::of(&request, |_| true);
    let Scope { region, service } = scope;
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let text = [ALGORITHM, &date, &scope, &canonical.digest()].join("\n");

    let secret = SecretText::from(format!("AWS4{}", &*key.secret));
    let mut derived = hmac_sha256(secret.as_bytes(), day.as_bytes());
    for part in [region, service, "aws4_request"] {
        derived = hmac_sha256(derived.as_ref(), part.as_bytes());
    }
    let signature = hex(hmac_sha256(derived.as_ref(), text.as_bytes()).as_ref());
    let (id, signed) = (&key.id, &canonical.signed);
    let value = format!(
        "{ALGORITHM} Credential={id}/{scope}, SignedHeaders={signed}, Signature={signature}"
    );
    request.with("authorization", value)
}

/// Signs a request to Alibaba Cloud for an action of an API's version, as of `now`, with a nonce that is never used again.
#[must_use]
pub fn acs3(
    mut request: Request,
    key: &AccessKey,
    (action, version): (&str, &str),
    now: i64,
    nonce: &str,
) -> Request {
    const ALGORITHM: &str = "ACS3-HMAC-SHA256";
    let content = hex(digest::digest(&digest::SHA256, request.body()).as_ref());
    request = request
        .with("x-acs-action", action)
        .with("x-acs-content-sha256", content)
        .with("x-acs-date", time::long(now))
        .with("x-acs-signature-nonce", nonce)
        .with("x-acs-version", version);
    if let Some(session) = &key.session {
        request = request.with("x-acs-security-token", session.clone());
    }
    let is_signed = |name: &str| name.starts_with("x-acs-") || name == "content-type";
    let canonical = Canonical::of(&request, is_signed);
    let text = [ALGORITHM, &canonical.digest()].join("\n");
    let signature = hex(hmac_sha256(key.secret.as_bytes(), text.as_bytes()).as_ref());
    let (id, signed) = (&key.id, &canonical.signed);
    let value = format!("{ALGORITHM} Credential={id},SignedHeaders={signed},Signature={signature}");
    request.with("authorization", value)
}

fn hmac_sha256(key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text)
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

#[cfg(test)]
mod tests;
