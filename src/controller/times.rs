//! How long certificates live, and how long writes take to be heard of.

use std::time::Duration;

/// With less, a look at the cluster could take longer than the pauses that are allowed between looks.
const LEAST_PROPAGATION: Duration = Duration::from_secs(1);

/// Lifetimes that leave time for a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    ca_life: Duration,
    leaf_life: Duration,
    propagation: Duration,
}

/// Certificates would be over before their successors are in use, or a change before it is heard of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{flag} is {} s, too short{because}: write at least {} s", given.as_secs_f64(), least.as_secs_f64())]
pub struct TooShort {
    flag: &'static str,
    given: Duration,
    least: Duration,
    because: String,
}

impl Times {
    /// Takes lifetimes of CA and leaf, and the time after which everyone has heard of a write to a Secret or to the
    /// registration.
    ///
    /// # Errors
    ///
    /// [`TooShort`]: a successor is made when two thirds of a life are over. In the last third a CA's needs
    /// `propagation` twice, for callers to trust it and for replicas to serve by it, and a leaf's once; and time to notice.
    pub fn new(
        ca_life: Duration,
        leaf_life: Duration,
        propagation: Duration,
    ) -> Result<Self, TooShort> {
        let with = format!(" with a --propagation of {} s", propagation.as_secs_f64());
        for (flag, given, least, because) in [
            ("--propagation", propagation, LEAST_PROPAGATION, String::new()),
            ("--ca-life", ca_life, 8 * propagation, with.clone()),
            ("--leaf-life", leaf_life, 4 * propagation, with),
        ] {
            if given < least {
                return Err(TooShort { flag, given, least, because });
            }
        }
        Ok(Self { ca_life, leaf_life, propagation })
    }

    /// How long a CA lives.
    #[must_use]
    pub fn ca_life(self) -> Duration {
        self.ca_life
    }

    /// How long a leaf lives.
    #[must_use]
    pub fn leaf_life(self) -> Duration {
        self.leaf_life
    }

    /// After how long everyone has heard of a write.
    #[must_use]
    pub fn propagation(self) -> Duration {
        self.propagation
    }

    /// How often to look where nothing calls for it.
    #[must_use]
    pub fn pace(self) -> Duration {
        self.propagation / 8
    }

    /// Two looks further apart do not show that nothing happened between them.
    #[must_use]
    pub fn longest_pause(self) -> Duration {
        self.propagation / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn lives_leave_time_for_a_rotation() {
        Times::new(30 * SECOND, 15 * SECOND, 3 * SECOND).unwrap();
        let ca = Times::new(23 * SECOND, 15 * SECOND, 3 * SECOND).unwrap_err();
        assert_eq!(
            ca.to_string(),
            "--ca-life is 23 s, too short with a --propagation of 3 s: write at least 24 s"
        );
        let leaf = Times::new(24 * SECOND, 11 * SECOND, 3 * SECOND).unwrap_err();
        assert!(leaf.to_string().starts_with("--leaf-life is 11 s"), "{leaf}");
        let hasty = Times::new(30 * SECOND, 15 * SECOND, SECOND / 2).unwrap_err();
        assert_eq!(hasty.to_string(), "--propagation is 0.5 s, too short: write at least 1 s");
    }
}
