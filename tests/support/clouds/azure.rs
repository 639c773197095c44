//! Azure: Entra, a registry, and the metadata of a machine.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde_json::json;

use super::{
    Authority, Issued, Ledger, Received, Reply, Server,
    identity::{Distrust, Key, Trust},
    server::value,
};

pub(crate) const TENANT: &str = "11111111-2222-3333-4444-555555555555";
pub(crate) const CLIENT: &str = "66666666-7777-8888-9999-000000000000";
pub(crate) const REGISTRY: &str = "acme.azurecr.io";
pub(crate) const NAMES: [&str; 2] = ["login.microsoftonline.com", REGISTRY];

const AUDIENCE: &str = "https://containerregistry.azure.net/";

/// A running Azure.
pub(crate) struct Azure {
    pub(crate) server: Server,
    pub(crate) metadata: Server,
    pub(crate) ledger: Ledger,
    state: Arc<State>,
}

struct State {
    ledger: Ledger,
    trust: Trust,
    /// Access tokens, and until when.
    tokens: Mutex<BTreeMap<String, i64>>,
    signer: Key,
}

impl Azure {
    /// A tenant with one identity and one registry.
    pub(crate) fn start(authority: &Authority, trust: Trust) -> Self {
        let ledger = Ledger::default();
        let (tokens, signer) = (Mutex::default(), Key::read("stranger"));
        let state = Arc::new(State { ledger: ledger.clone(), trust, tokens, signer });
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
        match (request.method.as_str(), request.uri.path()) {
            ("POST", "/oauth2/exchange") => self.exchange(request),
            ("POST", path) => match path.strip_suffix("/oauth2/v2.0/token") {
                Some(tenant) if tenant == format!("/{TENANT}") => self.entra(request),
                Some(_) => entra_error(400, "invalid_request", 90002),
                None => Reply::new(404, ""),
            },
            _ => Reply::new(405, ""),
        }
    }

    fn token(&self) -> String {
        let (token, until) = (self.ledger.unique("entra."), self.ledger.now() + 3599);
        self.tokens.lock().unwrap().insert(token.clone(), until);
        let (user, to) = (CLIENT.to_owned(), CLIENT.to_owned());
        self.ledger.issue(Issued { user, password: token.clone(), to, expires_at: until });
        token
    }

    fn entra(&self, request: &Received) -> Reply {
        let form = request.form();
        let of = |name: &str| value(&form, name);
        if of("grant_type") != "client_credentials" {
            return entra_error(400, "unsupported_grant_type", 70003);
        }
        if of("client_id") != CLIENT {
            return entra_error(400, "unauthorized_client", 700_016);
        }
        // The resource manager's audience is refused, as registries of careful people do.
        if of("scope") != format!("{AUDIENCE}.default") {
            return entra_error(400, "invalid_scope", 70011);
        }
        if of("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
            return entra_error(401, "invalid_client", 7_000_216);
        }
        match self.trust.verify(of("client_assertion"), self.ledger.now()) {
            Ok(_) => {
                let (token, life) = (self.token(), 3599);
                Reply::json(
                    200,
                    &json!({"token_type": "Bearer", "expires_in": life, "access_token": token}),
                )
            }
            Err(Distrust::Expired) => entra_error(401, "invalid_client", 700_024),
            Err(Distrust::Signature | Distrust::Algorithm | Distrust::Malformed) => {
                entra_error(401, "invalid_client", 7_000_272)
            }
            Err(_) => entra_error(400, "invalid_client", 700_213),
        }
    }

    fn exchange(&self, request: &Received) -> Reply {
        let form = request.form();
        let of = |name: &str| value(&form, name);
        let until = self.tokens.lock().unwrap().get(of("access_token")).copied();
        if of("grant_type") != "access_token" || of("service") != REGISTRY {
            return registry_error(400, "UNSUPPORTED");
        }
        if until.is_none_or(|until| until <= self.ledger.now()) {
            return registry_error(401, "UNAUTHORIZED");
        }
        let now = self.ledger.now();
        let expires_at = now + self.ledger.life(4500);
        let claims = json!({"jti": self.ledger.unique("jti"), "aud": REGISTRY, "exp": expires_at, "iat": now});
        let password = self.signer.token(&json!({"alg": "RS256", "typ": "JWT"}), &claims);
        let user = "00000000-0000-0000-0000-000000000000".to_owned();
        self.ledger.issue(Issued {
            user,
            password: password.clone(),
            to: REGISTRY.to_owned(),
            expires_at,
        });
        Reply::json(200, &json!({"refresh_token": password}))
    }

    fn metadata(&self, request: &Received) -> Reply {
        let query = request.query();
        let is_path = request.uri.path() == "/metadata/identity/oauth2/token";
        if request.header("metadata") != "true"
            || !is_path
            || value(&query, "api-version") != "2018-02-01"
        {
            return Reply::json(400, &json!({"error": "invalid_request"}));
        }
        let client = value(&query, "client_id");
        if value(&query, "resource") != AUDIENCE || !(client.is_empty() || client == CLIENT) {
            return Reply::json(400, &json!({"error": "invalid_request"}));
        }
        let body =
            json!({"access_token": self.token(), "expires_in": "86399", "token_type": "Bearer"});
        Reply::json(200, &body)
    }
}

fn entra_error(status: u16, error: &str, number: u32) -> Reply {
    Reply::json(
        status,
        &json!({"error": error, "error_codes": [number], "error_description": "no"}),
    )
}

fn registry_error(status: u16, code: &str) -> Reply {
    Reply::json(status, &json!({"errors": [{"code": code, "message": "no"}]}))
}
