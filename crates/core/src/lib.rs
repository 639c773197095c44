#![doc = include_str!("../README.md")]
//! ## Modules
//!
//! | module | contents |
//! |---|---|
//! | [`image`] | what an image reference names, by the grammar that the kubelet uses |
//! | [`keyring`] | which logins of which pull Secrets the kubelet offers for an image, in its order |
//! | [`credentials`] | the logins of a pull Secret, reduced to the registries of a rule |
//! | [`copies`] | which Secrets a mapping fills in a namespace, and from which login |
//! | [`clouds`] | the hosts of registries that give short-lived logins |
//! | [`expiry`] | when a login ends, as its password says |
//! | [`docker_hub`] | the hosts and keys of Docker Hub, which images leave out |
//! | [`rules`] | which Secrets an image needs, by a mapping of registries |
//! | [`review`], [`pod`] | the parts of an admission review that a decision needs, borrowed from its bytes |
//! | [`knowledge`] | the state of the Secrets in a namespace, as far as it is known |
//! | [`reports`] | the objects in which pullcred says what it knows of logins and Secrets |
//! | [`decide`](mod@decide) | which Secrets a Pod gets, and why |
//! | [`patch`], [`answer`] | the decision as a JSON Patch, and as the bytes of a response |

pub mod answer;
pub mod clouds;
pub mod copies;
pub mod credentials;
pub mod decide;
pub mod docker_hub;
pub mod expiry;
pub mod image;
mod json;
pub mod keyring;
pub mod knowledge;
pub mod patch;
pub mod pod;
pub mod reports;
pub mod review;
pub mod rules;
mod warnings;

pub use json::{COPY_MAX, LIST_MAX, Text, describe, shorten};
