//! Logins that were fetched.

use std::fmt;

use super::{
    problem::{Lifetime, Malformed},
    secret_text::SecretText,
};

/// The longest user or password, in bytes. Headers of HTTP that hold more are refused by most registries.
const LENGTH_MAX: usize = 32 * 1024;

/// The shortest life of a login that is of use, in seconds.
const LIFE_MIN: i64 = 60;

/// Logins that were fetched, and how long they live.
#[derive(Debug)]
pub struct Minted {
    /// A login for each host.
    pub logins: Vec<HostLogin>,
    /// When the first of them ends, by the service's clock: seconds since the Unix epoch.
    pub expires_at: i64,
    /// How long that is from the answer on, in seconds.
    pub life: i64,
    /// When to renew.
    pub renewal: Renewal,
    /// The service's clock less ours, in seconds, where the service says the time.
    pub skew: Option<i64>,
}

/// When a login is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// At about half of so many seconds: the life of the login, or of the session behind it if that is shorter.
    Half(i64),
    /// After so many seconds.
    After(i64),
}

/// A user and a password for a host.
#[derive(Clone, PartialEq, Eq)]
pub struct HostLogin {
    /// The registry's host, as it was asked for.
    pub host: Box<str>,
    /// Who logs in.
    pub username: SecretText,
    /// With which password.
    pub password: SecretText,
}

/// A user and a password of a service, and when they end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiring {
    /// Who logs in.
    pub username: SecretText,
    /// With which password.
    pub password: SecretText,
    /// Seconds since the Unix epoch, by the service's clock.
    pub expires_at: i64,
}

// === impl Renewal ===

impl Renewal {
    /// In how many seconds from the answer on to renew, for a random number from 0 to 1: between 45 and 55 percent of the
    /// life, so that many logins of one age are not renewed at once. Never sooner than after a minute.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "lives are far below 2^52 seconds"
    )]
    pub fn delay(self, random: f64) -> i64 {
        const SOONEST: i64 = 60;
        let delay = match self {
            Self::Half(life) => (life as f64 * (0.45 + 0.1 * random.clamp(0.0, 1.0))) as i64,
            Self::After(seconds) => seconds,
        };
        delay.max(SOONEST)
    }
}

// === impl HostLogin ===

/// The host alone.
impl fmt::Debug for HostLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostLogin").field("host", &self.host).finish_non_exhaustive()
    }
}

// === impl Expiring ===

impl Expiring {
    /// A login, if a Secret and Basic authentication can carry it.
    pub(super) fn new(
        username: SecretText,
        password: SecretText,
        expires_at: i64,
    ) -> Result<Self, Malformed> {
        let is_text =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if username.contains(':') {
            Err(Malformed::Login("its user has a colon"))
        } else if username.len().max(password.len()) > LENGTH_MAX {
            Err(Malformed::Login("it has more than 32 KiB"))
        } else if !is_text(&username) || !is_text(&password) {
            Err(Malformed::Login("it has characters that no token has"))
        } else {
            Ok(Self { username, password, expires_at })
        }
    }

    /// The login for a host.
    pub(super) fn at(&self, host: &str) -> HostLogin {
        let Self { username, password, .. } = self;
        HostLogin { host: host.into(), username: username.clone(), password: password.clone() }
    }
}

/// Seconds with a fraction, without it.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
pub(super) fn whole(seconds: f64) -> Option<i64> {
    const MAX: f64 = 1e15;
    (0.0..MAX).contains(&seconds).then_some(seconds as i64)
}

/// How long what ends at `expires_at` lives from `now` on, if that is believed. `longest` is more than the service gives.
pub(super) fn life(expires_at: i64, now: i64, longest: i64) -> Result<i64, Lifetime> {
    let life = expires_at.saturating_sub(now);
    match life {
        ..=0 => Err(Lifetime::Over(life.saturating_neg())),
        1..LIFE_MIN => Err(Lifetime::Short(life)),
        _ if life > longest => Err(Lifetime::Long(life)),
        _ => Ok(life),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_believed_within_bounds() {
        for (expires_at, expected) in [
            (160, Ok(60)),
            (1100, Ok(1000)),
            (1101, Err(Lifetime::Long(1001))),
            (159, Err(Lifetime::Short(59))),
            (101, Err(Lifetime::Short(1))),
            (100, Err(Lifetime::Over(0))),
            (40, Err(Lifetime::Over(60))),
            (i64::MIN, Err(Lifetime::Over(i64::MAX))),
            (i64::MAX, Err(Lifetime::Long(i64::MAX - 100))),
        ] {
            assert_eq!(life(expires_at, 100, 1000), expected, "{expires_at}");
        }
    }

    #[test]
    fn a_login_is_renewed_at_half_of_its_life() {
        for (renewal, random, expected) in [
            (Renewal::Half(1000), 0.0, 450),
            (Renewal::Half(1000), 0.5, 500),
            (Renewal::Half(1000), 1.0, 550),
            (Renewal::Half(1000), f64::INFINITY, 550),
            (Renewal::Half(80), 1.0, 60),
            (Renewal::After(1000), 0.5, 1000),
            (Renewal::After(1), 0.5, 60),
        ] {
            assert_eq!(renewal.delay(random), expected, "{renewal:?} {random}");
        }
    }

    #[test]
    fn a_login_is_what_a_secret_can_carry() {
        let long = "x".repeat(LENGTH_MAX + 1);
        for (user, password, is_login) in [
            ("AWS", "ey.J+/=", true),
            // Only the user ends at a colon.
            ("AWS", "a:b", true),
            ("A:WS", "x", false),
            ("", "x", false),
            ("AWS", "", false),
            ("AWS", "x\n", false),
            ("AWS", "x y", false),
            ("AWS", "é", false),
            ("AWS", long.as_str(), false),
            (long.as_str(), "x", false),
        ] {
            assert_eq!(Expiring::new(user.into(), password.into(), 0).is_ok(), is_login, "{user}");
        }
    }
}
