//! A brake for the case that somebody else writes what we write, and neither gives in.

use std::time::Duration;

/// One write in so long, and the first at once.
const BETWEEN: Duration = Duration::from_secs(1);

/// Keeps writes to one object apart. Times are since any fixed moment, by a clock that does not jump.
#[derive(Debug, Clone, Copy, Default)]
pub struct Brake {
    last: Option<Duration>,
}

impl Brake {
    /// Notes a write: by this process, or by another that does the same.
    pub fn note(&mut self, now: Duration) {
        self.last = Some(now);
    }

    /// How long a write has to wait, if it has.
    #[must_use]
    pub fn wait(self, now: Duration) -> Option<Duration> {
        let free = self.last? + BETWEEN;
        free.checked_sub(now).filter(|wait| !wait.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_write_is_free_and_the_next_waits() {
        let at = Duration::from_millis;
        let mut brake = Brake::default();
        assert_eq!(brake.wait(at(0)), None);
        brake.note(at(100));
        assert_eq!(brake.wait(at(400)), Some(at(700)));
        assert_eq!(brake.wait(at(1100)), None);
        assert_eq!(brake.wait(at(9000)), None);
    }
}
