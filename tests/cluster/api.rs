//! The API server's answers as they are: status, warnings and JSON, with no type of ours between.

use anyhow::{Result, bail};
use axum::http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use serde_json::Value;

/// Sends requests to an API server as one user.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client,
}

/// An answer of the API server, good or bad.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    warnings: Vec<String>,
    body: String,
}

// === impl Api ===

impl Api {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer> {
        self.send("GET", path, "application/json", String::new()).await
    }

    pub(crate) async fn post(&self, path: &str, object: &Value) -> Result<Answer> {
        self.send("POST", path, "application/json", object.to_string()).await
    }

    /// A strategic merge patch, as `kubectl` sends for `label`, `annotate`, `debug` and `patch`.
    pub(crate) async fn patch(&self, path: &str, change: &Value) -> Result<Answer> {
        let content = "application/strategic-merge-patch+json";
        self.send("PATCH", path, content, change.to_string()).await
    }

    /// A server-side apply, with a query such as `fieldManager=somebody&force=true`.
    pub(crate) async fn apply(&self, path: &str, query: &str, object: &Value) -> Result<Answer> {
        let path = format!("{path}?{query}");
        self.send("PATCH", &path, "application/apply-patch+yaml", object.to_string()).await
    }

    pub(crate) async fn put(&self, path: &str, object: &Value) -> Result<Answer> {
        self.send("PUT", path, "application/json", object.to_string()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Answer> {
        self.send("DELETE", path, "application/json", String::new()).await
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: String,
    ) -> Result<Answer> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, content_type)
            .header(header::ACCEPT, "application/json")
            .body(Body::from(body.into_bytes()))?;
        let response = self.client.send(request).await?;
        let (head, body) = response.into_parts();
        let body = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
        Ok(Answer { status: head.status, warnings: warnings(&head.headers), body })
    }
}

// === impl Answer ===

impl Answer {
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// What kubectl would print after `Warning: `.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The body of a success; of anything else an error with the API server's words.
    pub(crate) fn ok(self) -> Result<String> {
        if !self.status.is_success() {
            bail!("the API server answered {}: {}", self.status, self.message());
        }
        Ok(self.body)
    }

    /// The object of a success.
    pub(crate) fn object(self) -> Result<Value> {
        Ok(serde_json::from_str(&self.ok()?)?)
    }

    /// The object, where there is one.
    pub(crate) fn found(self) -> Result<Option<Value>> {
        if self.status == StatusCode::NOT_FOUND { Ok(None) } else { self.object().map(Some) }
    }

    /// Why the API server refused, in its words.
    pub(crate) fn refusal(self) -> Result<String> {
        if self.status.is_success() {
            bail!("the API server answered {} where a refusal was expected", self.status);
        }
        Ok(self.message())
    }

    fn message(&self) -> String {
        let status: Value = serde_json::from_str(&self.body).unwrap_or_default();
        status["message"].as_str().map_or_else(|| self.body.clone(), str::to_owned)
    }
}

/// The texts of `Warning: 299 - "…"` headers (RFC 7234, section 5.5). They are UTF-8, not ASCII.
fn warnings(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(header::WARNING)
        .iter()
        .filter_map(|value| {
            let value = String::from_utf8_lossy(value.as_bytes());
            let text = value.split_once('"')?.1.strip_suffix('"')?;
            Some(text.replace("\\\"", "\"").replace("\\\\", "\\"))
        })
        .collect()
}
