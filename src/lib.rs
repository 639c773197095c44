//! pullcred gives every new Pod of an opted-in Kubernetes namespace the `imagePullSecrets` that its
//! images need, chosen by registry from a mapping file.
//!
//! # Layout
//!
//! | module | what it is |
//! |---|---|
//! | [`core`] | the crate `pullcred-core`: the decision and all it is made of; no I/O, no clock, no logging |
//! | [`mapping`] | the text of a mapping file to a [`core::rules::Mapping`], with errors that help |
//! | [`server`] | admission over HTTPS: the router, connections, TLS, drain, the admin port |
//! | [`controller`] | the serving certificate and the registration's `caBundle`, kept in order in a cluster |
//! | [`commands`] | what people and pipelines run: manifests in, explanations and manifests out |
//! | [`cli`] | the command line, as types |
//! | [`metrics`], [`telemetry`], [`shutdown`] | what the outside sees of a running process |
//!
//! # The dependency rule
//!
//! `main -> cli -> {commands, controller, server} -> core` and `mapping -> core`; the controller borrows the admin port and
//! its connections from `server`; `core` is a crate of its own, which
//! knows neither tokio, axum nor kube. `tests/architecture.rs` reads the `use` lines and enforces the rest.
//!
//! # One way through
//!
//! ```text
//! bytes --review::parse--> Request --images--> &str --ImageRef::parse--> ImageRef
//!       --Mapping::matches--> names --patch::plan--> Option<Patch> --answer::respond--> bytes
//! ```

pub mod cli;
pub mod commands;
pub mod controller;
pub use pullcred_core as core;
pub mod mapping;
pub mod metrics;
pub mod server;
pub mod shutdown;
pub mod telemetry;
