//! HTTP as both servers of the crate need it: a listener's connections, their limits, the admin port, the drain.
//!
//! Nothing here knows what is served. Connections report to an [`observer::Observer`].

mod activity;
pub mod admin;
pub mod connections;
pub mod descriptors;
pub mod drain;
pub mod exposition;
pub mod listen;
pub mod observer;
mod records;
mod slots;
