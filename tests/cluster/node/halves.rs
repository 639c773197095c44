//! A registry that two accounts of a cloud share: each has a half of the paths, and the cloud's logins open their account's half
//! until they end.
//!
//! The registry asks a token server, as registries of clouds do. A token is for one pull: containerd asks for another for the
//! next.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use anyhow::Result;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{
    NodeCluster,
    registry::{SHARED, USER, serve},
};
use crate::{
    clouds::{Ledger, Received, Reply, Server, aliyun, identity::Key},
    process::Process,
};

/// What the paths of each half begin with.
pub(crate) const HALVES: [&str; 2] = ["acme-a/", "acme-b/"];

/// Who the registry believes.
const ISSUER: &str = "halves";

/// How long a token lives, in seconds.
const LIFE: i64 = 60;

/// A running registry and its token server. Dropping it ends both.
pub(crate) struct Halves {
    _registry: Process,
    _server: Server,
    state: Arc<State>,
}

struct State {
    ledgers: [Ledger; 2],
    key: Key,
    refused: AtomicUsize,
}

// === impl NodeCluster ===

impl NodeCluster {
    /// Starts the registry that two accounts share, which gave or will give these logins.
    pub(crate) async fn start_halves(&self, ledgers: [Ledger; 2]) -> Result<Halves> {
        let key = Key::read("stranger");
        let keys = self.folder().join("halves.jwks");
        std::fs::write(&keys, key.jwks().to_string())?;
        let state = Arc::new(State { ledgers, key, refused: AtomicUsize::new(0) });
        let answering = Arc::clone(&state);
        let server = Server::start(self.clouds(), &[], move |it| answering.answer(it));
        let auth = json!({"token": {
            "realm": format!("{}/token", server.url()), "service": SHARED.host, "issuer": ISSUER, "jwks": keys,
        }});
        let program = &self.programs().registry;
        let registry = serve(program, SHARED, &auth, self.authority(), self.folder()).await?;
        Ok(Halves { _registry: registry, _server: server, state })
    }
}

// === impl Halves ===

impl Halves {
    /// Whether a login opens a repository now.
    pub(crate) fn opens(&self, user: &str, password: &str, repository: &str) -> bool {
        self.state.opens(user, password, repository)
    }

    /// How many requests for tokens were refused.
    pub(crate) fn refused(&self) -> usize {
        self.state.refused.load(Ordering::Relaxed)
    }
}

// === impl State ===

impl State {
    fn answer(&self, request: &Received) -> Reply {
        if request.method != "GET" {
            // As servers do that know only one of the two ways to ask: containerd then takes the other.
            return Reply::new(404, "");
        }
        let (user, password) = basic(request.header("authorization")).unwrap_or_default();
        let query = request.query();
        let scopes = query.iter().filter(|(name, _)| name == "scope");
        let scopes = scopes.flat_map(|(_, value)| value.split(' '));
        let access: Vec<Value> =
            scopes.filter_map(|scope| self.access(&user, &password, scope)).collect();
        if access.is_empty() {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Reply::new(401, "");
        }
        let [ledger, _] = &self.ledgers;
        let now = ledger.now();
        let claims = json!({
            "iss": ISSUER, "sub": user, "aud": SHARED.host, "jti": ledger.unique("t"),
            "iat": now, "nbf": now, "exp": now + LIFE, "access": access,
        });
        let token = self.key.token(&json!({"typ": "JWT", "alg": "RS256", "kid": "1"}), &claims);
        Reply::json(200, &json!({"token": token, "expires_in": LIFE}))
    }

    /// What of a scope, `repository:NAME:ACTION,…`, a login may do.
    fn access(&self, user: &str, password: &str, scope: &str) -> Option<Value> {
        let (name, actions) = scope.strip_prefix("repository:")?.rsplit_once(':')?;
        let actions: Vec<&str> = if (user, password) == (USER, SHARED.password) {
            actions.split(',').collect()
        } else if self.opens(user, password, name) {
            vec!["pull"]
        } else {
            return None;
        };
        Some(json!({"type": "repository", "name": name, "actions": actions}))
    }

    fn opens(&self, user: &str, password: &str, repository: &str) -> bool {
        let half = HALVES.iter().position(|half| repository.starts_with(half));
        half.is_some_and(|half| {
            let ledger = &self.ledgers[half];
            let now = ledger.now();
            let logins = aliyun::logins(ledger);
            logins
                .iter()
                .any(|it| (&*it.user, &*it.password) == (user, password) && now < it.expires_at)
        })
    }
}

/// User and password of an `Authorization` header.
fn basic(header: &str) -> Option<(String, String)> {
    let bytes = BASE64_STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}
