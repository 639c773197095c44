//! The ends of logins that people keep: they come by themselves, without an event.

use std::time::Duration;

use tokio::time::Instant;

use super::Engine;

/// The longest time between two looks at the wall clock, which may be set, or stand still while a machine sleeps.
const LOOK_AGAIN: u64 = 600;

impl Engine {
    /// Notes the moment: what has ended is reported. Answers when that may be so again.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Instant> {
        let seconds = self.clock.now();
        let passed = self.state.logins_mut().pass_time(seconds);
        for (login, secret, expiry) in &passed.changed {
            self.status.login_ends(login, secret, expiry);
        }
        if !passed.changed.is_empty() {
            self.want_reports(now);
        }
        let ahead = u64::try_from(passed.next?.saturating_sub(seconds)).unwrap_or_default();
        Some(now + Duration::from_secs(ahead.clamp(1, LOOK_AGAIN)))
    }
}
