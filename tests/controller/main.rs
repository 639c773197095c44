//! The certificate controller's loop against an API server that refuses.

#![cfg(test)]

mod refusals;
#[path = "../support/scripted/mod.rs"]
mod scripted;
