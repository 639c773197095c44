//! Times for people: how long until then, or since.

use k8s_openapi::jiff::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A time of a report; `None` where it is not RFC 3339.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// A time as RFC 3339, in whole seconds.
pub(super) fn rfc3339(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

/// `2026-11-26 08:20 UTC`
pub(super) fn date(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// `3 d ago`, or `in 20 min`.
pub(super) fn relative(at: Timestamp, now: Timestamp) -> String {
    match at.as_second() - now.as_second() {
        0 => "now".to_owned(),
        ahead @ 1.. => format!("in {}", span(ahead)),
        behind => format!("{} ago", span(-behind)),
    }
}

/// So many seconds in the largest unit that leaves two of it, rounded down: a time to the end is never made longer.
pub(super) fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (count, unit) = if seconds < 2 * MINUTE {
        (seconds, "s")
    } else if seconds < 2 * HOUR {
        (seconds / MINUTE, "min")
    } else if seconds < 2 * DAY {
        (seconds / HOUR, "h")
    } else {
        (seconds / DAY, "d")
    };
    format!("{count} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_the_unit_that_says_enough() {
        for (seconds, text) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7_199, "119 min"),
            (7_200, "2 h"),
            (172_799, "47 h"),
            (172_800, "2 d"),
            (i64::MAX, "106751991167300 d"),
        ] {
            assert_eq!(span(seconds), text);
        }
        let now = parse("2026-11-26T08:20:14.5Z").unwrap();
        let at = |text| relative(parse(text).unwrap(), now);
        assert_eq!(at("2026-11-26T08:20:14Z"), "now");
        assert_eq!(at("2026-11-29T09:20:14+01:00"), "in 3 d");
        assert_eq!(at("2026-11-26T05:20:00Z"), "3 h ago");
        assert_eq!((rfc3339(now).as_str(), parse("soon")), ("2026-11-26T08:20:14Z", None));
        assert_eq!(date(now), "2026-11-26 08:20 UTC");
    }
}
