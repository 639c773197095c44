//! HTTP for both servers of the crate: a listener's connections and their limits, the admin port, the drain.
//!
//! This module does not know what is served. Connections report events to an [`observer::Observer`].

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
