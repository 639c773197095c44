//! JSON as the admission path reads it: whole documents checked, few fields kept, nothing copied.
//!
//! Most of a review is of no interest to us (`managedFields` alone is often a third), so what counts is how fast a value
//! is passed over. This reader does so at more than twice the speed of `serde_json` and still checks every byte of it; the numbers are in
//! `docs/performance.md`. That both accept the same documents is a property in `tests/json.rs`.

mod de;
mod scan;
mod text;

pub(super) use self::text::Nullable;
pub use self::{de::from_str, scan::JsonError, text::Text};
