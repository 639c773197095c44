//! The one way to the API server, for the controller and for commands.
//!
//! | module | what it does |
//! |---|---|
//! | [`client`] | finds the API server and sets up the connection, with one set of time-outs |
//! | [`calls`] | one request, with a time limit; no body is ever logged or part of an error |
//! | [`error`] | why a request failed, as a type: [`Outcome`] |
//! | [`pages`] | a list in pages, which continues when its snapshot expires |
//! | [`metrics`] | the metrics of watches |
//! | [`token`] | a token of a `ServiceAccount` for one audience |
//! | [`watch`] | a watch that restarts after failures, with back-off |
//! | [`backoff`] | exponential back-off with jitter |
//! | [`schedule`] | a queue by key, with urgency and a back-off for each key (pure) |
//! | [`pace`] | a rate limit for writes, and one pause for all of them after an outage (pure) |

pub mod backoff;
pub mod calls;
pub mod client;
pub mod error;
pub mod metrics;
pub mod pace;
pub mod pages;
pub mod schedule;
pub mod token;
pub mod watch;

pub use self::{
    backoff::Backoff,
    calls::{Cluster, Collection},
    client::{ClusterError, ClusterOptions},
    error::{CallError, Outcome},
    metrics::Watches,
    pace::Pace,
    pages::{Page, Pages},
    schedule::{Schedule, Urgency, Worked},
};
