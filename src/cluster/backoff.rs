//! Exponential back-off.

use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

/// Pauses between failed attempts. Each is twice as long as the one before, up to a limit, and shortened at random by up to a
/// fifth, so that many processes do not retry at the same moment.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    attempts: u32,
}

// === impl Backoff ===

impl Backoff {
    /// Pauses from `first` to `most`.
    #[must_use]
    pub const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, attempts: 0 }
    }

    /// How many attempts have failed since the last success.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The pause after one more failure.
    pub fn fail(&mut self) -> Duration {
        let pause = self.first.saturating_mul(1 << self.attempts.min(20)).min(self.most);
        self.attempts = self.attempts.saturating_add(1);
        pause.saturating_sub(pause.mul_f64(jitter() / 5.0))
    }

    /// After a success the next pause is the first again.
    pub fn succeed(&mut self) {
        self.attempts = 0;
    }
}

/// A random number from 0 to 1; 0 if the operating system has no random bytes.
fn jitter() -> f64 {
    let mut byte = [0_u8; 2];
    let filled = SystemRandom::new().fill(&mut byte);
    filled.map_or(0.0, |()| f64::from(u16::from_ne_bytes(byte)) / f64::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_most_and_differ_by_a_fifth() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        for most in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
            let pause = backoff.fail().as_secs_f64();
            assert!(pause <= most && pause >= most * 0.8, "{pause} of {most}");
        }
        for _ in 0..100 {
            assert!(backoff.fail() <= Duration::from_secs(60));
        }
        backoff.succeed();
        assert!(backoff.fail() <= Duration::from_secs(1));
    }
}
