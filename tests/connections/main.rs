//! Connections of every kind: slow, silent, greedy, half-closed, many. Real sockets, and limits that are small enough to
//! be met within a test.

#![cfg(test)]

mod crowd;
mod http;
mod limits;
mod server;
mod slow;
#[path = "../support/mod.rs"]
mod support;
