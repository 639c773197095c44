//! The decision: which pull Secrets a new Pod gets, and why. Pure: bytes and values in, values out.

pub mod answer;
pub mod decide;
pub mod image;
mod json;
pub mod keyring;
pub mod patch;
pub mod pod;
pub mod review;
pub mod rules;
mod warnings;

pub use json::Text;
pub(crate) use json::describe;
