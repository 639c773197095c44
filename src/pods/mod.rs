//! Pods that exist: what made them and so what replaces them, and what they wait for.

mod owner;
mod stored;

pub(crate) use self::{
    owner::{Owner, Replaced},
    stored::{StoredPod, Waiting},
};
