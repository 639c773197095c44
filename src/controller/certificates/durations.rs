//! The validity of certificates, and the time that a write takes to reach every API server and replica.

use std::{fmt, time::Duration};

/// With less, reading the objects could take longer than the longest pause between two reads.
const PROPAGATION_MIN: Duration = Duration::from_secs(1);
/// No propagation takes longer.
const PROPAGATION_MAX: Duration = Duration::from_secs(24 * 3600);
/// A hundred years. X.509 ends with the year 9999, and some TLS libraries much sooner.
const VALIDITY_MAX: Duration = Duration::from_secs(876_000 * 3600);

/// Validated durations: they leave time for a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durations {
    ca: Duration,
    leaf: Duration,
    propagation: Duration,
}

/// A duration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// A certificate would expire before its successor is in use.
    #[error("{flag} is {}, too short{because}: write at least {}", Hours(*given), Hours(*least))]
    TooShort {
        /// Such as `--ca-duration`.
        flag: &'static str,
        /// The given value.
        given: Duration,
        /// The shortest valid value.
        least: Duration,
        /// The reason for the limit, as part of the message.
        because: String,
    },
    /// No certificate can be valid for so long.
    #[error("{flag} is {}, too long: write at most {}", Hours(*given), Hours(*most))]
    TooLong {
        /// Such as `--ca-duration`.
        flag: &'static str,
        /// The given value.
        given: Duration,
        /// The longest valid value.
        most: Duration,
    },
}

/// A duration as Go and Kubernetes write it: `8760h`, `90s`.
struct Hours(Duration);

// === impl Durations ===

impl Durations {
    /// Checks the validity of CAs and leaves against `propagation`: how long a write to a Secret or to the webhook
    /// configuration takes to reach every API server and replica.
    ///
    /// # Errors
    ///
    /// [`DurationError`]. A successor is made after two thirds of the validity. In the last third, a new CA needs
    /// `propagation` twice (callers must trust it, replicas must serve by it) and a new leaf once, and the controller needs
    /// time to notice.
    pub fn new(ca: Duration, leaf: Duration, propagation: Duration) -> Result<Self, DurationError> {
        const PROPAGATION: &str = "--propagation";
        check(PROPAGATION, propagation, PROPAGATION_MIN, PROPAGATION_MAX, "")?;
        let with = format!(" with a {PROPAGATION} of {}", Hours(propagation));
        check("--ca-duration", ca, 8 * propagation, VALIDITY_MAX, &with)?;
        check("--leaf-duration", leaf, 4 * propagation, VALIDITY_MAX, &with)?;
        Ok(Self { ca, leaf, propagation })
    }

    /// The validity of a CA.
    #[must_use]
    pub fn ca(self) -> Duration {
        self.ca
    }

    /// The validity of a leaf.
    #[must_use]
    pub fn leaf(self) -> Duration {
        self.leaf
    }

    /// How long a write takes to reach every API server and replica.
    #[must_use]
    pub fn propagation(self) -> Duration {
        self.propagation
    }

    /// How often to reconcile without a trigger.
    #[must_use]
    pub fn pace(self) -> Duration {
        self.propagation / 8
    }

    /// The longest time between two reads that still counts as continuous observation.
    #[must_use]
    pub fn longest_pause(self) -> Duration {
        self.propagation / 2
    }
}

fn check(
    flag: &'static str,
    given: Duration,
    least: Duration,
    most: Duration,
    because: &str,
) -> Result<(), DurationError> {
    if given < least {
        return Err(DurationError::TooShort { flag, given, least, because: because.to_owned() });
    }
    if given > most {
        return Err(DurationError::TooLong { flag, given, most });
    }
    Ok(())
}

// === impl Hours ===

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        if self.0.subsec_nanos() == 0 && seconds > 0 && seconds.is_multiple_of(3600) {
            write!(f, "{}h", seconds / 3600)
        } else {
            write!(f, "{}s", self.0.as_secs_f64())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn durations_leave_time_for_a_rotation() {
        Durations::new(30 * SECOND, 15 * SECOND, 3 * SECOND).unwrap();
        for (ca, leaf, propagation, message) in [
            (
                23 * SECOND,
                15 * SECOND,
                3 * SECOND,
                "--ca-duration is 23s, too short with a --propagation of 3s: write at least 24s",
            ),
            (
                24 * SECOND,
                11 * SECOND,
                3 * SECOND,
                "--leaf-duration is 11s, too short with a --propagation of 3s: write at least 12s",
            ),
            (
                30 * SECOND,
                15 * SECOND,
                SECOND / 2,
                "--propagation is 0.5s, too short: write at least 1s",
            ),
            (
                30 * SECOND,
                15 * SECOND,
                Duration::MAX,
                "--propagation is 18446744073709552000s, too long: write at most 24h",
            ),
            (
                1_000_000 * HOUR,
                HOUR,
                SECOND,
                "--ca-duration is 1000000h, too long: write at most 876000h",
            ),
        ] {
            let error = Durations::new(ca, leaf, propagation).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }
}
