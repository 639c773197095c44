//! Short-lived logins: fetched, renewed around the half of their life, and kept in one Secret each, from which they are copied
//! as any login is. A login of a namespace's own identity goes straight into its Secret there.
//!
//! | module | what it does |
//! |---|---|
//! | [`fetch`](crate::fetch) | what is fetched, by whose word, and how long it lives |
//! | `known` | what is known of each, for reports |
//! | `job` | one renewal, step by step |
//! | `renewals` | the loop: which renewal is due |
//! | [`report`] | what the outside sees: metrics, readiness, Events |
//!
//! Several processes may run. Before each renewal the Secret's annotations are read, so that what another process has renewed
//! is taken over; and a write names the version that was read, so that of two only one succeeds. A creation
//! can name none: the Secret is read once more just before it. Of two within that moment the later one stays, which is as good.

mod job;
mod known;
mod orders;
mod renewals;
pub mod report;

pub(super) use self::{
    orders::{Orders, Own},
    renewals::{Key, Renewals},
};
