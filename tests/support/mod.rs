//! What the test targets share.
#![allow(dead_code, reason = "each target compiles all of it and uses a part")]

pub(crate) mod certificates;
pub(crate) mod client;
pub(crate) mod files;
pub(crate) mod process;
pub(crate) mod review;
pub(crate) mod rfc6902;
