//! The decision: which pull Secrets a new Pod gets, and why. Pure: bytes and values in, values out.

pub mod image;
pub mod rules;
