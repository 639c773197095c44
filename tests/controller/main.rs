//! The certificate controller's loop against an API server that refuses.

#![cfg(test)]

mod refusals;
mod scripted;
