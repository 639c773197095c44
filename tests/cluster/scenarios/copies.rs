//! `pullcred credentials` against a real API server, with the rights that it is to have and no others.

mod drift;
mod follow;
mod foreign;
mod home;
mod lifetime;
mod login;
mod privacy;
mod rights;
mod together;

pub(crate) use self::{
    drift::drift,
    follow::{audience, follow, removal},
    foreign::{foreign, joined},
    lifetime::{namespace_deletion, restart},
    privacy::privacy,
    rights::rights,
    together::two_processes,
};
