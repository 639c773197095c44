//! `pullcred controller` against a real API server, with the rights that the chart gives it.

mod alerts;
mod bootstrap;
mod home;
mod mount;
mod rights;
mod rotation;
mod webhook_configuration;
mod witness;

pub(crate) use self::{
    alerts::alerts,
    bootstrap::{five_at_once, secrets_of_somebody_else},
    rights::rights,
    rotation::{killed_in_a_rotation, rotations, secrets_deleted},
    webhook_configuration::{
        deleted_webhook_configuration, edits_by_others, emptied_ca_bundle, overwritten_ca_bundle,
        unreachable_api_server,
    },
};
