//! `pullcred check --live`: what it says of a sound set-up, and of each thing that is broken in one.

mod clinic;
mod installed;
mod namespaces;
mod registration;
mod rights;
mod service;

pub(crate) use self::{
    installed::{a_real_installation, mapping_in_force},
    namespaces::{
        more_pods_than_a_page, pod_from_before, secrets_of_every_kind, unlabelled_and_mislabelled,
    },
    registration::{each_field_changed, served_by_another_leaf, sound},
    rights::{of_nobody, of_the_printed_rights},
    service::behind_a_service,
};
