//! The wall clock. Certificates are valid by it.

use std::time::{SystemTime, UNIX_EPOCH};

use x509_parser::time::ASN1Time;

/// The current time, in seconds since the Unix epoch.
#[must_use]
pub fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

/// A time in seconds since the Unix epoch as text for people.
#[must_use]
pub fn date(timestamp: i64) -> String {
    ASN1Time::from_timestamp(timestamp)
        .map_or_else(|_| timestamp.to_string(), |time| time.to_string())
}
