//! Requests and answers, as values: who builds and reads them does no I/O.

use std::time::SystemTime;

use hyper::{
    HeaderMap, Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderValue, LOCATION, RETRY_AFTER},
};
use serde::de::{DeserializeOwned, IgnoredAny};
use zeroize::Zeroizing;

use super::{
    problem::{Malformed, Problem},
    secret_text::SecretText,
};
use crate::registry::{address::parse, percent::form};

/// The longest wait that an answer can ask for, in seconds.
const WAIT_MAX: u32 = 3600;

/// A request to a service that gives tokens.
#[derive(Clone)]
pub struct Request {
    method: Method,
    url: String,
    headers: Vec<(&'static str, SecretText)>,
    body: Zeroizing<Vec<u8>>,
}

/// An answer, read as a whole.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body, which may hold a token.
    pub body: Zeroizing<Vec<u8>>,
    /// When it was given, by the server's clock: seconds since the Unix epoch.
    pub date: Option<i64>,
    /// How many seconds to wait before the next request.
    pub retry_after: Option<u32>,
    /// The host of a redirection.
    pub location: Option<String>,
}

// === impl Request ===

impl Request {
    /// A request without a body.
    pub(super) fn get(url: impl Into<String>) -> Self {
        Self::new(Method::GET, url.into(), Vec::new())
    }

    /// A request with a form.
    pub(super) fn post_form(url: impl Into<String>, pairs: &[(&str, &str)]) -> Self {
        let mut text = form(pairs);
        let body = std::mem::take(&mut *text).into_bytes();
        Self::new(Method::POST, url.into(), body)
            .with(CONTENT_TYPE.as_str(), "application/x-www-form-urlencoded")
    }

    /// A request with any body.
    pub(super) fn post(url: impl Into<String>, content_type: &str, body: Vec<u8>) -> Self {
        Self::new(Method::POST, url.into(), body).with(CONTENT_TYPE.as_str(), content_type)
    }

    /// A request with a body of no type.
    pub(super) fn new(method: Method, url: String, body: Vec<u8>) -> Self {
        Self { method, url, headers: Vec::new(), body: Zeroizing::new(body) }
    }

    /// The request with one more header, its name in lower case.
    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: impl Into<SecretText>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The request with a bearer token.
    #[must_use]
    pub(super) fn with_bearer(self, token: &str) -> Self {
        self.with(AUTHORIZATION.as_str(), format!("Bearer {token}"))
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        self.method.as_str()
    }

    /// The address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Host, and port where the address has one: the header `host`.
    #[must_use]
    pub fn authority(&self) -> &str {
        let rest = self.url.split_once("://").map_or("", |(_, rest)| rest);
        rest.split(['/', '?']).next().unwrap_or_default()
    }

    /// The path, which is never empty, and the query.
    #[must_use]
    pub fn target(&self) -> (&str, &str) {
        let rest = self.url.split_once("://").map_or("", |(_, rest)| rest);
        let rest = &rest[self.authority().len()..];
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        (if path.is_empty() { "/" } else { path }, query)
    }

    /// The headers but `host`, by their names in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (*name, &**value))
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The request as HTTP has it. No log of HTTP shows its headers.
    pub(super) fn into_http(
        self,
    ) -> Option<hyper::Request<http_body_util::Full<hyper::body::Bytes>>> {
        let uri = parse(&self.url).ok()?;
        let mut request = hyper::Request::builder().method(self.method).uri(uri);
        for (name, value) in &self.headers {
            let mut value = HeaderValue::from_str(value).ok()?;
            value.set_sensitive(true);
            request = request.header(*name, value);
        }
        request.body(hyper::body::Bytes::from_owner(self.body).into()).ok()
    }
}

/// The method and the host: addresses may hold names of accounts, headers and bodies hold tokens.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("host", &self.authority())
            .finish_non_exhaustive()
    }
}

// === impl Answer ===

impl Answer {
    /// An answer of a status and a body alone.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let body = Zeroizing::new(body.into());
        Self { status, body, date: None, retry_after: None, location: None }
    }

    pub(super) fn of_http(
        status: StatusCode,
        headers: &HeaderMap,
        body: Zeroizing<Vec<u8>>,
    ) -> Self {
        let text = |name| headers.get(name).and_then(|it| it.to_str().ok());
        let date = text(DATE).and_then(|it| httpdate::parse_http_date(it).ok());
        let retry_after = text(RETRY_AFTER).and_then(|it| it.trim().parse().ok());
        let location = text(LOCATION).and_then(|it| parse(it).ok());
        Self {
            status: status.as_u16(),
            body,
            date: date.map(seconds),
            retry_after: retry_after.map(|it: u32| it.min(WAIT_MAX)),
            location: location.and_then(|it| it.host().map(str::to_owned)),
        }
    }

    /// Whether the status says that the request was carried out.
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Reads the body as JSON.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        if !self.is_object() {
            return Err(self.malformed(match () {
                () if self.is_html() => Malformed::Html,
                () if serde_json::from_slice::<IgnoredAny>(&self.body).is_ok() => {
                    Malformed::NotAnObject
                }
                () => Malformed::NotJson,
            }));
        }
        let mut reader = serde_json::Deserializer::from_slice(&self.body);
        let read = serde_path_to_error::deserialize(&mut reader);
        let read = read.map_err(|error| self.not_json(&error))?;
        reader.end().map_err(|_| self.malformed(Malformed::NotJson))?;
        Ok(read)
    }

    /// Reads the body as JSON if it is that: the codes of refusals are optional.
    pub(super) fn json_if_any<T: DeserializeOwned>(&self) -> Option<T> {
        self.is_object().then(|| serde_json::from_slice(&self.body).ok()).flatten()
    }

    /// Whether the body begins as an object. Without this, a list would be read as the fields in their order.
    fn is_object(&self) -> bool {
        self.body.trim_ascii_start().starts_with(b"{")
    }

    /// What of the body is wrong. The words of the reader are not repeated: they quote the value, which may be a token.
    fn not_json(&self, error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
        if !error.inner().is_data() {
            return self.malformed(Malformed::NotJson);
        }
        let path = error.path().to_string();
        let path = if path == "." { String::new() } else { path };
        let text = error.inner().to_string();
        // The name comes from the type that is read, not from the answer.
        let missing = text.strip_prefix("missing field `").and_then(|it| it.split_once('`'));
        self.malformed(match missing {
            Some((name, _)) if path.is_empty() => Malformed::Missing(name.to_owned()),
            Some((name, _)) => Malformed::Missing(format!("{path}.{name}")),
            None => Malformed::WrongType(path),
        })
    }

    /// Whether the body is a page for people, as proxies and wrong addresses send.
    pub(super) fn is_html(&self) -> bool {
        let start = self.body.trim_ascii_start();
        let start = start[..start.len().min(512)].to_ascii_lowercase();
        let has = |needle: &[u8]| start.windows(needle.len()).any(|it| it == needle);
        start.starts_with(b"<") && (has(b"<html") || has(b"<!doctype html"))
    }

    pub(super) fn malformed(&self, what: Malformed) -> Problem {
        Problem::Malformed { status: self.status, what }
    }
}

/// The status alone: the body may be a token.
impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
