//! pullcred gives every new Pod of an opted-in Kubernetes namespace the `imagePullSecrets` that its
//! images need, chosen by registry from a mapping file.
//!
//! # Layout
//!
//! | module | what it is |
//! |---|---|
//! | [`core`] | the crate `pullcred-core`: the decision and all it is made of; no I/O, no clock, no logging |
//! | [`mapping`] | the text of a mapping file to a [`core::rules::Mapping`], with errors that help |
//! | [`http`] | a listener's connections and their limits, the admin port, the drain; knows nothing of what is served |
//! | [`pki`] | certificates and the wall clock; the certificate that TLS handshakes are answered with |
//! | [`webhook`] | admission over HTTPS: the router, bodies, the mapping and certificate files, its metrics |
//! | [`controller`] | the serving certificate and the registration's `caBundle`, kept in order in a cluster |
//! | [`cluster`] | the one way to the API server: client, calls, pages, watches |
//! | [`registry`] | a client to container registries: whether a login opens an image |
//! | [`commands`] | what people and pipelines run: manifests in, explanations and manifests out |
//! | `fingerprint` | whether two files are the same, in twelve digits |
//! | [`cli`] | the command line, as types |
//! | [`errors`] | errors as text |
//! | [`supervise`], [`privacy`] | tasks that must not end; memory that is not dumped |
//! | [`allocator`], [`telemetry`], [`shutdown`] | the process: its memory, what the outside sees of it, its signals |
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
//!       --Mapping::lookup--> names --patch::plan--> Option<Patch> --answer::respond--> bytes
//! ```
//!
//! `docs/architecture.md` has the way of a request and of a reconciliation, function by function.

pub mod allocator;
pub mod cli;
pub mod cluster;
pub mod commands;
pub mod controller;
pub mod errors;
mod fingerprint;
pub mod http;
pub use pullcred_core as core;
pub mod mapping;
pub mod pki;
pub mod privacy;
pub mod registry;
pub mod shutdown;
pub mod supervise;
pub mod telemetry;
pub mod webhook;
