//! Copies of logins: the Secrets that rules name, filled from a login and kept as they should be.
//!
//! | module | what it does |
//! |---|---|
//! | [`wanted`] | which copies a mapping wants in a namespace, and what each is made of (pure) |
//! | [`seen`] | what a Secret's metadata says of it (pure) |
//! | [`plan`](mod@plan) | what is to be done about one name in one namespace (pure) |
//! | [`writes`] | the calls of one step, with what is read just before |

#[cfg(test)]
mod model;
pub mod plan;
pub mod seen;
pub mod wanted;
mod writes;
