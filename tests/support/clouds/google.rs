//! Google: the token exchange of a workload identity pool, the tokens of service accounts, and a metadata server.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use super::{
    Authority, Issued, Ledger, Received, Reply, Server,
    identity::{Distrust, Trust},
    server::value,
};

pub(crate) const PROVIDER: &str =
    "projects/1/locations/global/workloadIdentityPools/p/providers/k8s";
pub(crate) const ACCOUNT: &str = "pull@acme.iam.gserviceaccount.com";
pub(crate) const NAMES: [&str; 2] = ["sts.googleapis.com", "iamcredentials.googleapis.com"];

const USER: &str = "oauth2accesstoken";
const SCOPES: &str = "https://www.googleapis.com/auth/";

/// A running Google.
pub(crate) struct Google {
    pub(crate) server: Server,
    pub(crate) metadata: Server,
    pub(crate) ledger: Ledger,
    state: Arc<State>,
}

struct State {
    ledger: Ledger,
    trust: Trust,
    /// Access tokens: for which scope, and until when.
    tokens: Mutex<BTreeMap<String, (String, i64)>>,
}

impl Google {
    /// A pool with one provider, and a service account that its identity may impersonate.
    pub(crate) fn start(authority: &Authority, trust: Trust) -> Self {
        let ledger = Ledger::default();
        let state = Arc::new(State { ledger: ledger.clone(), trust, tokens: Mutex::default() });
        let (answering, machine) = (Arc::clone(&state), Arc::clone(&state));
        let server = Server::start(authority, &NAMES, move |request| answering.answer(request));
        let metadata = Server::start_plain(move |request| machine.metadata(request));
        Self { server, metadata, ledger, state }
    }

    /// What it answers, without a network.
    pub(crate) fn ask(&self, request: &Received) -> Reply {
        self.state.answer(request)
    }
}

impl State {
    fn answer(&self, request: &Received) -> Reply {
        let impersonation = format!("/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken");
        match (request.method.as_str(), request.uri.path()) {
            ("POST", "/v1/token") => self.exchange(request),
            ("POST", path) if path == impersonation => self.impersonate(request),
            ("POST", path) if path.ends_with(":generateAccessToken") => api_error(404, "NOT_FOUND"),
            _ => Reply::new(
                404,
                "<!DOCTYPE html><html><title>Error 404 (Not Found)!!1</title></html>",
            ),
        }
    }

    fn token(&self, scope: &str, seconds: i64) -> (String, i64) {
        let (token, until) = (self.ledger.unique("ya29."), self.ledger.now() + seconds);
        self.tokens.lock().unwrap().insert(token.clone(), (scope.to_owned(), until));
        let issued = Issued {
            user: USER.to_owned(),
            password: token.clone(),
            to: scope.to_owned(),
            expires_at: until,
        };
        self.ledger.issue(issued);
        (token, until)
    }

    fn exchange(&self, request: &Received) -> Reply {
        let form = request.form();
        let of = |name: &str| value(&form, name);
        let kind = "urn:ietf:params:oauth:token-type:";
        if !request.header("authorization").is_empty() {
            return oauth_error("invalid_client");
        }
        if of("grant_type") != "urn:ietf:params:oauth:grant-type:token-exchange"
            || of("requested_token_type") != format!("{kind}access_token")
            || of("subject_token_type") != format!("{kind}jwt")
        {
            return oauth_error("invalid_request");
        }
        if of("audience") != format!("//iam.googleapis.com/{PROVIDER}") {
            return oauth_error("invalid_target");
        }
        let scope = of("scope").strip_prefix(SCOPES).unwrap_or_default();
        if !matches!(scope, "iam" | "cloud-platform") {
            return oauth_error("invalid_scope");
        }
        if let Err(distrust) = self.trust.verify(of("subject_token"), self.ledger.now()) {
            let code =
                if distrust == Distrust::Subject { "unauthorized_client" } else { "invalid_grant" };
            return oauth_error(code);
        }
        let life = self.ledger.life(3600);
        let (token, _) = self.token(scope, life);
        let body = json!({
            "access_token": token,
            "issued_token_type": format!("{kind}access_token"),
            "token_type": "Bearer",
            "expires_in": life,
        });
        Reply::json(200, &body)
    }

    fn impersonate(&self, request: &Received) -> Reply {
        let token = request.header("authorization").strip_prefix("Bearer ").unwrap_or_default();
        let (scope, until) = self.tokens.lock().unwrap().get(token).cloned().unwrap_or_default();
        if until <= self.ledger.now() {
            return api_error(401, "UNAUTHENTICATED");
        }
        if !matches!(scope.as_str(), "iam" | "cloud-platform") {
            return api_error(403, "PERMISSION_DENIED");
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let is_read_only = body["scope"] == json!([format!("{SCOPES}cloud-platform.read-only")]);
        if !is_read_only || body["lifetime"] != "3600s" {
            return api_error(400, "INVALID_ARGUMENT");
        }
        let (token, until) = self.token("impersonated", self.ledger.life(3600));
        let until = k8s_openapi::jiff::Timestamp::from_second(until).unwrap();
        Reply::json(200, &json!({"accessToken": token, "expireTime": until.to_string()}))
    }

    fn metadata(&self, request: &Received) -> Reply {
        let path = "/computeMetadata/v1/instance/service-accounts/default/token";
        if request.header("metadata-flavor") != "Google" || request.uri.path() != path {
            return Reply::new(
                403,
                "<!DOCTYPE html><html><title>Error 403 (Forbidden)!!1</title></html>",
            );
        }
        let life = self.ledger.life(3599);
        let (token, _) = self.token("cloud-platform", life);
        Reply::json(
            200,
            &json!({"access_token": token, "expires_in": life, "token_type": "Bearer"}),
        )
    }
}

fn oauth_error(code: &str) -> Reply {
    Reply::json(400, &json!({"error": code, "error_description": "no"}))
}

fn api_error(status: u16, code: &str) -> Reply {
    Reply::json(status, &json!({"error": {"code": status, "message": "no", "status": code}}))
}
