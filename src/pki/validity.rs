//! The validity of a certificate: one rule for what is served, issued and checked.

use x509_parser::{certificate::X509Certificate, parse_x509_certificate};

use super::time::date;

/// The validity of a certificate, in seconds since the Unix epoch. Both ends are included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Validity {
    /// The first second in which it is valid.
    pub not_before: i64,
    /// The last second in which it is valid.
    pub not_after: i64,
}

/// Why a client with the same clock rejects a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotValid {
    /// The last second has passed. This is it.
    #[error("expired on {}", date(*.0))]
    Expired(i64),
    /// The first second is in the future. This is it.
    #[error("is valid only from {}", date(*.0))]
    NotYet(i64),
}

impl Validity {
    /// The validity that a certificate states.
    #[must_use]
    pub fn of(certificate: &X509Certificate<'_>) -> Self {
        let validity = certificate.validity();
        Self {
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
        }
    }

    /// The validity that a certificate in DER states; `None` where it is no X.509 certificate.
    #[must_use]
    pub fn of_der(certificate: &[u8]) -> Option<Self> {
        let (_, certificate) = parse_x509_certificate(certificate).ok()?;
        Some(Self::of(&certificate))
    }

    /// Whether a client whose clock says `now` accepts the certificate.
    ///
    /// # Errors
    ///
    /// [`NotValid`], with the date.
    pub fn check(self, now: i64) -> Result<(), NotValid> {
        if self.is_over(now) {
            Err(NotValid::Expired(self.not_after))
        } else if !self.is_begun(now) {
            Err(NotValid::NotYet(self.not_before))
        } else {
            Ok(())
        }
    }

    /// Whether the first second has come.
    #[must_use]
    pub fn is_begun(self, now: i64) -> bool {
        now >= self.not_before
    }

    /// Whether the last second has passed.
    #[must_use]
    pub fn is_over(self, now: i64) -> bool {
        now > self.not_after
    }

    /// Whether it is valid now.
    #[must_use]
    pub fn is_in_force(self, now: i64) -> bool {
        self.is_begun(now) && !self.is_over(now)
    }

    /// Whether it is time for a successor: two thirds of the time are over, or the first second is still to come.
    #[must_use]
    pub fn is_due(self, now: i64) -> bool {
        !self.is_begun(now) || now >= self.not_after - self.duration() / 3
    }

    /// Whether less than `part` of the whole time is left.
    #[must_use]
    pub fn has_less_than_a_part_left(self, part: i64, now: i64) -> bool {
        self.not_after.saturating_sub(now) < self.duration() / part
    }

    /// From the first second to the last, in seconds.
    #[must_use]
    pub fn duration(self) -> i64 {
        self.not_after.saturating_sub(self.not_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_second_are_valid() {
        let validity = Validity { not_before: 10, not_after: 20 };
        assert_eq!(validity.check(9), Err(NotValid::NotYet(10)));
        assert_eq!(validity.check(10), Ok(()));
        assert_eq!(validity.check(20), Ok(()));
        assert_eq!(validity.check(21), Err(NotValid::Expired(20)));
    }
}
