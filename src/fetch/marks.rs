//! What the annotations of a Secret say of the life of its login. Moments are written by the clock of the service that gave
//! the login, and read by the clock of the API server, so that a process with a wrong clock does no harm.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;

use super::life::Life;

/// The annotation with the moment at which the login ends.
pub const EXPIRES: &str = "pullcred.dev/expires-at";
/// The annotation with the moment at which the login was fetched.
pub const ISSUED: &str = "pullcred.dev/issued-at";
/// The annotation with the moment around which the login is renewed.
pub const RENEW: &str = "pullcred.dev/renew-at";

/// The life of a login, as it is written into annotations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    /// When it ends.
    pub expires: String,
    /// When it was fetched.
    pub issued: String,
    /// The middle of the time in which it is renewed.
    pub renew: String,
}

// === impl Marks ===

impl Marks {
    /// The marks of a life that ends at `ends` by the service's clock; `None` for moments that no calendar has.
    #[must_use]
    pub fn new(life: &Life, ends: i64) -> Option<Self> {
        let ahead = life.ends.saturating_sub(ends);
        let text =
            |at: i64| Some(Timestamp::from_second(at.saturating_sub(ahead)).ok()?.to_string());
        Some(Self {
            expires: text(life.ends)?,
            issued: text(life.issued)?,
            renew: text(life.middle())?,
        })
    }

    /// The annotations.
    #[must_use]
    pub fn annotations(&self) -> [(&'static str, &str); 3] {
        [(EXPIRES, &self.expires), (ISSUED, &self.issued), (RENEW, &self.renew)]
    }
}

/// The life that annotations tell, at `now` by a clock that is `ahead` of the API server's by so many seconds.
#[must_use]
pub fn life(annotations: &BTreeMap<String, String>, now: i64, ahead: i64) -> Option<Life> {
    let moment = |key: &str| {
        let at: Timestamp = annotations.get(key)?.parse().ok()?;
        Some(at.as_second().saturating_add(ahead))
    };
    let (ends, issued) = (moment(EXPIRES)?, moment(ISSUED)?);
    let renew = moment(RENEW).unwrap_or(issued);
    Life::stored(issued, ends, renew, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_by_any_clock() {
        let now = 1_790_000_000;
        let it = Life::new(now, 43_200, 3600);
        // The service's clock is 20 s behind ours.
        let marks = Marks::new(&it, it.ends - 20).unwrap();
        let annotations: BTreeMap<String, String> =
            marks.annotations().map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        assert_eq!(annotations[EXPIRES], "2026-09-22T02:13:00Z");
        assert_eq!(life(&annotations, now, 20), Some(it));
        // A process whose clock is 300 s ahead.
        let other = life(&annotations, now + 280, 300).unwrap();
        assert_eq!(
            (other.issued, other.ends - other.issued, other.renewal),
            (now + 280, 43_200, 3600)
        );
    }

    #[test]
    fn what_is_no_life_is_fetched_again() {
        let read = |issued: &str, ends: &str| {
            let annotations = [(ISSUED, issued), (EXPIRES, ends)];
            let annotations = annotations.map(|(key, value)| (key.to_owned(), value.to_owned()));
            life(&annotations.into(), 1_790_000_000, 0)
        };
        for (issued, ends) in [
            ("", ""),
            ("2026-09-21T14:13:00Z", "soon"),
            ("yesterday", "2026-09-21T14:13:00Z"),
            ("2026-09-21T14:13:00Z", "2026-09-21T14:13:00Z"),
            ("2026-09-21T14:13:00Z", "2015-01-01T00:00:00Z"),
            ("2026-09-21T14:13:00", "2026-09-21T15:13:00"),
        ] {
            assert_eq!(read(issued, ends), None, "{issued} {ends}");
        }
        // A year is no life: it is cut to a day.
        let long = read("2026-09-21T13:00:00Z", "2027-09-21T13:00:00Z").unwrap();
        assert_eq!(long.ends - long.issued, 24 * 3600);
        assert_eq!(life(&BTreeMap::new(), 0, 0), None);
    }
}
