//! A registry with a token server that really checks passwords, counts, and locks the account after five failures, as Artifactory
//! does.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;

use crate::clouds::{Authority, Received, Reply, Server};

/// The user of every login of these tests.
const USER: &str = "robot";
/// The image that checks ask for.
pub(super) const IMAGE: &str = "acme/base";
/// After so many failures without a success in between, nothing opens the account again.
const FAILURES: usize = 5;

/// A running registry. Dropping it ends it.
pub(super) struct Registry {
    server: Server,
    books: Arc<Mutex<Books>>,
}

/// What it knows, and what it was asked.
#[derive(Default)]
struct Books {
    password: String,
    tokens: HashSet<String>,
    /// Since the last success.
    failures: usize,
    accepted: usize,
    refused: usize,
}

// === impl Registry ===

impl Registry {
    /// One that takes this password.
    pub(super) fn start(authority: &Authority, password: &str) -> Self {
        let books = Books { password: password.to_owned(), ..Books::default() };
        let books = Arc::new(Mutex::new(books));
        let answering = Arc::clone(&books);
        let server = Server::start(authority, &[], move |request| {
            let mut books = answering.lock().unwrap_or_else(PoisonError::into_inner);
            books.answer(request)
        });
        Self { server, books }
    }

    /// Its name in images.
    pub(super) fn host(&self) -> String {
        format!("localhost:{}", self.server.address.port())
    }

    /// From now on it takes this password and no other.
    pub(super) fn accept(&self, password: &str) {
        let mut books = self.books();
        password.clone_into(&mut books.password);
        books.tokens.clear();
    }

    /// Goes away, or comes back.
    pub(super) fn set_away(&self, away: bool) {
        self.server.set_away(away);
    }

    /// How often the login was accepted, and how often it was refused.
    pub(super) fn tries(&self) -> (usize, usize) {
        let books = self.books();
        (books.accepted, books.refused)
    }

    /// How many requests came, with a login or without.
    pub(super) fn requests(&self) -> usize {
        self.server.requests().len()
    }

    /// Whether the account is locked.
    pub(super) fn is_locked(&self) -> bool {
        self.books().is_locked()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Books ===

impl Books {
    fn answer(&mut self, request: &Received) -> Reply {
        let path = request.uri.path();
        if path == "/token" {
            return self.token(request.header("authorization"));
        }
        let token = request.header("authorization").strip_prefix("Bearer ");
        if !token.is_some_and(|token| self.tokens.contains(token)) {
            let host = request.header("host");
            let scope = path.strip_prefix("/v2/").and_then(|rest| rest.split_once("/manifests/"));
            let scope = scope
                .map_or(String::new(), |(name, _)| format!(",scope=\"repository:{name}:pull\""));
            let challenge =
                format!("Bearer realm=\"https://{host}/token\",service=\"{host}\"{scope}");
            return Reply::new(401, "").with("www-authenticate", challenge);
        }
        let there = path == "/v2/" || path.starts_with(&format!("/v2/{IMAGE}/manifests/"));
        Reply::new(if there { 200 } else { 404 }, "")
    }

    /// A token for the right password, while the account is not locked.
    fn token(&mut self, authorization: &str) -> Reply {
        let right = BASE64_STANDARD.encode(format!("{USER}:{}", self.password));
        if authorization != format!("Basic {right}") || self.is_locked() {
            self.failures += 1;
            self.refused += 1;
            return Reply::new(401, "");
        }
        self.failures = 0;
        self.accepted += 1;
        let token = format!("token-{}", self.accepted);
        self.tokens.insert(token.clone());
        Reply::json(200, &json!({"token": token}))
    }

    fn is_locked(&self) -> bool {
        self.failures >= FAILURES
    }
}
