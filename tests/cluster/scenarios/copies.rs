//! `pullcred credentials` against a real API server, with the rights that the chart gives it.

mod drift;
mod fetched;
mod follow;
mod foreign;
mod granted;
pub(super) mod home;
mod lifetime;
pub(super) mod login;
mod policy;
mod policy_beside;
mod privacy;
mod rights;
mod together;

pub(crate) use self::{
    drift::drift,
    fetched::fetched,
    follow::{audience, follow, removal},
    foreign::{foreign, joined},
    lifetime::{namespace_deletion, restart},
    policy::policy,
    policy_beside::policy_beside_others,
    privacy::privacy,
    rights::rights,
    together::two_processes,
};
