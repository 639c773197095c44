//! Checks of logins: whether their registries take them, from time to time and before a new content is copied.
//!
//! | module | what it does |
//! |---|---|
//! | [`verdict`] | what an answer says of a login (pure) |
//! | [`schedule`] | when a login is tried again, and what is known after a try (pure) |
//! | `plan` | what is asked of which registry (pure) |
//! | `record` | the record in the report of a login |
//! | `job` | one check, step by step |
//! | `checks` | the loop: which check is due |
//! | `board` | what the engine and the checks say to each other |
//! | `former` | where logins are no longer checked: the end of former verdicts |
//! | [`report`] | what the outside sees: metrics, the log, Events |
//!
//! The loop is a task of its own: a registry that hangs holds up nothing but the checks of its host.

pub(super) mod board;
mod checks;
mod former;
mod job;
pub(super) mod plan;
mod record;
pub mod report;
pub mod schedule;
pub mod verdict;

pub(super) use self::{
    board::{Board, Content, Health},
    checks::Checks,
    former::Former,
    plan::Plan,
};
