//! GitHub: the tokens of an App's installation.

use serde_json::{Value, json};

use super::{
    Authority, Issued, Ledger, Received, Reply, Server,
    identity::{Key, verified},
};

pub(crate) const APP: &str = "Iv23liAPPAPPAPP";
pub(crate) const INSTALLATION: u64 = 42;
pub(crate) const NAMES: [&str; 1] = ["api.github.com"];

/// A running GitHub.
pub(crate) struct Github {
    pub(crate) server: Server,
    pub(crate) ledger: Ledger,
}

impl Github {
    /// An App with the key `app`, installed once, for the repository `web`.
    pub(crate) fn start(authority: &Authority) -> Self {
        let ledger = Ledger::default();
        let noted = ledger.clone();
        let server = Server::start(authority, &NAMES, move |request| answer(&noted, request));
        Self { server, ledger }
    }

    /// What it answers, without a network.
    pub(crate) fn ask(&self, request: &Received) -> Reply {
        answer(&self.ledger, request)
    }
}

fn answer(ledger: &Ledger, request: &Received) -> Reply {
    let date = std::time::UNIX_EPOCH + std::time::Duration::from_secs(ledger.now().unsigned_abs());
    let date = httpdate::fmt_http_date(date);
    match token(ledger, &Key::read("app").jwks(), request) {
        Ok(body) => Reply::json(201, &body),
        Err(status) => Reply::json(status, &json!({"message": "no", "status": status.to_string()})),
    }
    .with("date", date)
}

fn token(ledger: &Ledger, jwks: &Value, request: &Received) -> Result<Value, u16> {
    let path = format!("/app/installations/{INSTALLATION}/access_tokens");
    if request.header("user-agent").is_empty() {
        return Err(403);
    }
    let proof = request.header("authorization").strip_prefix("Bearer ").ok_or(401_u16)?;
    let claims = verified(jwks, proof).map_err(|_| 401_u16)?;
    let (from, until) =
        (claims["iat"].as_i64().ok_or(401_u16)?, claims["exp"].as_i64().ok_or(401_u16)?);
    let now = ledger.now();
    if claims["iss"] != APP || from > now || until <= now || until > now + 600 {
        return Err(401);
    }
    if request.method != "POST" || request.uri.path() != path {
        return Err(404);
    }
    if request.header("accept") != "application/vnd.github+json" {
        return Err(415);
    }
    let body: Value = serde_json::from_slice(&request.body).map_err(|_| 400_u16)?;
    let repositories = body["repositories"].as_array().cloned().unwrap_or_default();
    if body["permissions"] != json!({"packages": "read"})
        || repositories.iter().any(|it| it != "web")
    {
        return Err(422);
    }
    let expires_at = now + ledger.life(3600);
    let password = ledger.unique("ghs_1_ey");
    let until = k8s_openapi::jiff::Timestamp::from_second(expires_at).unwrap().to_string();
    let (user, to) = ("x-access-token".to_owned(), INSTALLATION.to_string());
    ledger.issue(Issued { user, password: password.clone(), to, expires_at });
    Ok(json!({"token": password, "expires_at": until, "permissions": {"packages": "read"}}))
}
