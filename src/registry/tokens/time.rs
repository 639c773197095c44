//! Dates as the clouds write them.

use k8s_openapi::jiff::Timestamp;

/// The seconds since the Unix epoch of a date such as `2026-11-26T10:00:00Z` (RFC 3339).
pub(super) fn read(text: &str) -> Option<i64> {
    text.parse().ok().map(Timestamp::as_second)
}

/// A date such as `2026-11-26T10:00:00Z`.
pub(super) fn long(seconds: i64) -> String {
    format(seconds, "%Y-%m-%dT%H:%M:%SZ")
}

/// A date such as `20261126T100000Z`.
pub(super) fn compact(seconds: i64) -> String {
    format(seconds, "%Y%m%dT%H%M%SZ")
}

fn format(seconds: i64, format: &str) -> String {
    let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_and_written() {
        assert_eq!(read("2015-08-30T12:36:00Z"), Some(1_440_938_160));
        assert_eq!(read("2015-08-30T12:36:00.25+02:00"), Some(1_440_938_160 - 7200));
        for text in ["", "2015-08-30", "2015-08-30T12:36:00", "1440938160", "2015-13-30T12:36:00Z"]
        {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(long(1_440_938_160), "2015-08-30T12:36:00Z");
        assert_eq!(compact(1_440_938_160), "20150830T123600Z");
        assert_eq!(long(i64::MAX), "1970-01-01T00:00:00Z");
    }
}
