//! Reports on a real API server, with the definitions and rights of the chart: what people see, and what the webhook does with
//! them.

mod discovery;
pub(crate) mod house;
pub(super) mod kubectl;
mod releases;
mod rights;
mod rows;
mod status;
mod story;
mod unknown;

pub(crate) use self::{
    discovery::discovery, releases::releases, rights::rights, rows::rows, status::status,
    story::story, unknown::unknown,
};
