//! The chart, rendered by real Helm: what it makes, what it refuses, and that pullcred understands it.
//!
//! Helm and the checker of manifests are built by Go, once. Where that fails, these tests fail.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "clippy knows the tests here, but not their helpers"
)]

mod access;
mod alerts;
#[path = "../support/api_server.rs"]
mod api_server;
mod credentials;
mod definitions;
mod fetched;
mod generated;
mod health;
mod helm;
mod neighbours;
mod object;
mod pods;
mod pullcred;
mod registration;
mod reports;
mod schema;
mod values;
