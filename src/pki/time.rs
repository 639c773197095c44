//! The wall clock, which certificates live by.

use std::time::{SystemTime, UNIX_EPOCH};

use x509_parser::time::ASN1Time;

/// Now, in seconds since the epoch: certificates live by the wall clock.
#[must_use]
pub fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

/// A time in seconds since the epoch as people read it.
#[must_use]
pub fn date(timestamp: i64) -> String {
    ASN1Time::from_timestamp(timestamp)
        .map_or_else(|_| timestamp.to_string(), |time| time.to_string())
}
