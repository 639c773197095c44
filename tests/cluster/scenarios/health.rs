//! Checks of logins on a real API server, with the definitions and rights of the chart, against a registry that really checks
//! passwords.

mod day;
mod registry;
mod story;

pub(crate) use self::story::story;
