//! pullcred gives every new Pod of an opted-in Kubernetes namespace the `imagePullSecrets` that its
//! images need, chosen by registry from a mapping file.
//!
//! # Layout
//!
//! | module | what it is |
//! |---|---|
//! | [`core`] | the crate `pullcred-core`: the decision and all it is made of; no I/O, no clock, no logging |
//! | [`mapping`] | the text of a mapping file to a [`core::rules::Mapping`], with errors that help |
//! | [`http`] | a listener's connections and their limits, the admin port, the drain; does not know what is served |
//! | [`pki`] | the validity of certificates, the wall clock, and the served certificate |
//! | [`webhook`] | admission over HTTPS: the router, bodies, the mapping and certificate files, its metrics |
//! | [`controller`] | manages the serving certificate and the webhook configuration's `caBundle` in a cluster |
//! | [`cluster`] | the one way to the API server: client, calls, pages, watches |
//! | [`registry`] | a client of container registries, and of the clouds that give short-lived logins to them |
//! | [`commands`] | what people and pipelines run: manifests in, explanations and manifests out |
//! | `duration` | durations as Go writes them |
//! | [`fetch`] | short-lived logins: what to fetch, who asks, how long it lives |
//! | `fingerprint` | a short digest that shows whether two files are the same |
//! | [`cli`] | the command line, as types |
//! | `paste`, `pods` | commands that are safe to paste; what made a Pod, what replaces it, and what it waits for |
//! | `reports` | reports as objects of the API server |
//! | [`errors`] | errors as text |
//! | [`supervise`], [`privacy`] | background tasks that must not end; no core dumps |
//! | [`allocator`], [`telemetry`], [`shutdown`] | the process: its memory, its log, its signals |
//!
//! A module with submodules is `foo/mod.rs`. A module whose only other file is its tests is `foo.rs` with `foo/tests.rs`.
//!
//! # The dependency rule
//!
//! `main -> cli -> {commands, controller, webhook} -> {cluster, http, pki, mapping, registry} -> core`: arrows go down only. `core` is a
//! crate of its own, which knows neither tokio, axum nor kube. `tests/architecture.rs` reads the `use` lines and enforces the
//! rest.
//!
//! # One way through
//!
//! ```text
//! bytes --review::parse--> Request --images--> &str --ImageRef::parse--> ImageRef
//!       --Mapping::lookup--> names --patch::plan--> Option<Additions> --answer::respond--> bytes
//! ```
//!
//! `docs/architecture.md` has the way of a request and of a reconciliation, function by function.

pub mod allocator;
pub mod cli;
pub mod cluster;
pub mod commands;
pub mod controller;
mod duration;
pub mod errors;
pub mod fetch;
mod fingerprint;
pub mod http;
pub use pullcred_core as core;
pub mod mapping;
mod paste;
pub mod pki;
mod pods;
pub mod privacy;
pub mod registry;
mod reports;
pub mod shutdown;
pub mod supervise;
pub mod telemetry;
pub mod webhook;
