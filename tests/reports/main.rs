//! The webhook with reports, against an API server in this process: what decisions know, and what they do not depend on.

#![cfg(test)]

#[path = "../support/cli.rs"]
mod cli;
mod rows;
#[path = "../support/scripted/mod.rs"]
mod scripted;
mod trouble;
mod webhook;
