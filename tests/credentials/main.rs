//! The credentials controller's loop against an API server that refuses.

#![cfg(test)]

mod audit;
mod basics;
mod collection;
mod discovery;
mod expiry;
mod fetched;
mod fetched_reports;
mod foreign;
mod health;
mod logged;
mod logins;
mod outages;
mod own_identity;
mod refusals;
mod registries;
mod report_troubles;
mod reports;
mod running;
#[path = "../support/scripted/mod.rs"]
mod scripted;
mod secrecy;
mod world;
