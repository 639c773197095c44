//! Checks of logins on a real API server, with the definitions and rights of the chart, against a registry that really checks
//! passwords.

mod audit;
mod day;
mod hurried;
mod registry;
mod story;

pub(crate) use self::{audit::audit, story::story};
