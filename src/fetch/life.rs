//! How long a login lives, when it is renewed, and how failures are paced. Pure: the moment is given, in seconds of the
//! wall clock, since a monotonic clock stands still while a machine sleeps.

use std::time::Duration;

use crate::registry::tokens::Outcome;

/// The part of a life after which it is renewed: at random between these, so that processes do not meet.
const RENEWAL: (f64, f64) = (0.45, 0.55);
/// No login is renewed sooner than this after it was fetched.
pub const RENEWAL_MIN: i64 = 60;
/// The part of a life after which a missed renewal is urgent.
const URGENT: f64 = 0.8;
/// What a login must still live to be given out, or half of its life if that is less: a pull takes time.
const LEFT_MIN: i64 = 15 * 60;
/// The longest life that is believed of an annotation: no provider gives a longer one.
const LIFE_MAX: i64 = 24 * 3600;
/// The longest pause after a failure that may be over any moment.
const PAUSE_MAX: i64 = 60;
/// The longest pause after a refusal, which a person has to end.
const REFUSED_PAUSE_MAX: i64 = 300;
/// The longest pause that a service can ask for.
const ASKED_PAUSE_MAX: i64 = 3600;

/// The life of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// When it was fetched.
    pub issued: i64,
    /// When it ends.
    pub ends: i64,
    /// The life by which it is renewed: the login's, or that of the session behind it if that is shorter.
    pub renewal: i64,
}

/// How far a life has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// There is time.
    Fresh,
    /// It ends soon, and has not been renewed.
    Urgent,
    /// It has ended.
    Ended,
}

// === impl Life ===

impl Life {
    /// A life that begins at `now`, and lasts for as long as the service says by its own clock.
    #[must_use]
    pub fn new(now: i64, life: i64, renewal: i64) -> Self {
        Self { issued: now, ends: now.saturating_add(life), renewal: renewal.min(life) }
    }

    /// A life as annotations say it, which anybody may have written: it has begun, it ends after that, and it is no longer
    /// than providers give.
    #[must_use]
    pub fn stored(issued: i64, ends: i64, renew: i64, now: i64) -> Option<Self> {
        let issued = issued.min(now);
        let ends = ends.min(issued.saturating_add(LIFE_MAX));
        let life = ends.checked_sub(issued).filter(|life| *life > 0)?;
        let renewal = renew.saturating_sub(issued).saturating_mul(2).clamp(1, life);
        Some(Self { issued, ends, renewal })
    }

    /// When to renew, by a random number from 0 to 1.
    #[must_use]
    pub fn renew_at(&self, draw: f64) -> i64 {
        let part = RENEWAL.0 + (RENEWAL.1 - RENEWAL.0) * draw.clamp(0.0, 1.0);
        self.issued.saturating_add(share(self.renewal, part).max(RENEWAL_MIN))
    }

    /// The middle of the time in which it is renewed, as it is written down.
    #[must_use]
    pub fn middle(&self) -> i64 {
        self.issued.saturating_add(self.renewal / 2)
    }

    /// Whether enough is left to give the login out.
    #[must_use]
    pub fn is_publishable(&self, now: i64) -> bool {
        let life = self.ends.saturating_sub(self.issued);
        self.ends.saturating_sub(now) >= LEFT_MIN.min(life / 2).max(1)
    }

    /// How far it has gone.
    #[must_use]
    pub fn phase(&self, now: i64) -> Phase {
        if now >= self.ends {
            Phase::Ended
        } else if now >= self.issued.saturating_add(share(self.ends - self.issued, URGENT)) {
            Phase::Urgent
        } else {
            Phase::Fresh
        }
    }

    /// When the phase changes next.
    #[must_use]
    pub fn next_phase(&self, now: i64) -> Option<i64> {
        let urgent = self.issued.saturating_add(share(self.ends - self.issued, URGENT));
        [urgent, self.ends].into_iter().find(|at| *at > now)
    }
}

/// A part of a time. A life has at most as many seconds as a day, which a float holds exactly.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a day at most")]
fn share(time: i64, part: f64) -> i64 {
    (time.clamp(0, LIFE_MAX) as f64 * part) as i64
}

/// The pause after `failures` in a row, in seconds, by a random number from 0 to 1: a second, then twice as long each time,
/// shortened at random; never shorter than the service asks.
#[must_use]
pub fn pause(failures: u32, outcome: Outcome, asked: Option<Duration>, draw: f64) -> i64 {
    let most = match outcome {
        Outcome::Denied => REFUSED_PAUSE_MAX,
        _ => PAUSE_MAX,
    };
    let cap = 1_i64.checked_shl(failures.saturating_sub(1).min(20)).unwrap_or(most).min(most);
    let jittered = share(cap, draw.clamp(0.0, 1.0)).max(1);
    let asked = asked.map_or(0, |it| i64::try_from(it.as_secs()).unwrap_or(ASKED_PAUSE_MAX));
    jittered.max(asked.min(ASKED_PAUSE_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    /// Numbers from 0 to 1 that look random, and are the same in each run.
    fn draws(count: usize) -> impl Iterator<Item = f64> {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        std::iter::repeat_with(move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            f64::from(u32::try_from(state >> 32).unwrap()) / f64::from(u32::MAX)
        })
        .take(count)
    }

    #[test]
    fn renewals_are_around_the_half_of_the_life() {
        for (life, renewal) in [(12 * HOUR, HOUR), (HOUR, HOUR), (75 * 60, 75 * 60), (240, 240)] {
            let started = 1_000_000;
            let it = Life::new(started, life, renewal);
            let (mut first, mut last, mut sum) = (i64::MAX, 0, 0);
            for draw in draws(10_000) {
                let after = it.renew_at(draw) - started;
                (first, last, sum) = (first.min(after), last.max(after), sum + after);
            }
            let mean = sum / 10_000;
            println!(
                "life {life} s, renewal life {renewal} s: renewed after {first} to {last} s, {mean} s in the mean"
            );
            assert!(first >= renewal * 45 / 100 && last <= renewal * 55 / 100, "{first} {last}");
            assert!((mean - renewal / 2).abs() <= renewal / 200 + 1, "{mean}");
            // Both ends are met, and an outage of four tenths of the renewal life is survived by each.
            assert!(
                first <= renewal * 46 / 100 && last >= renewal * 54 / 100 - 1,
                "{first} {last}"
            );
            assert!(started + last + renewal * 4 / 10 < it.ends);
        }
        assert_eq!(Life::new(0, 61, 61).renew_at(0.0), RENEWAL_MIN);
    }

    #[test]
    fn only_what_lives_on_is_given_out() {
        for (life, age, publishable) in [
            (12 * HOUR, 0, true),
            (12 * HOUR, 12 * HOUR - LEFT_MIN, true),
            (12 * HOUR, 12 * HOUR - LEFT_MIN + 1, false),
            (240, 120, true),
            (240, 121, false),
            (240, 240, false),
            (1, 0, true),
            (1, 1, false),
            (0, 0, false),
            (-5, 0, false),
        ] {
            assert_eq!(Life::new(0, life, life).is_publishable(age), publishable, "{life} {age}");
        }
    }

    #[test]
    fn an_annotation_is_believed_within_bounds() {
        let now = 1_000_000;
        let of = |issued, ends, renew| Life::stored(issued, ends, renew, now);
        assert_eq!(
            of(now - 60, now + 3540, now + 1740),
            Some(Life { issued: now - 60, ends: now + 3540, renewal: HOUR })
        );
        // Written by a process whose clock was ahead, or by somebody.
        let future = of(now + 1000, now + 4600, now + 2800).unwrap();
        assert_eq!((future.issued, future.ends), (now, now + 4600));
        let long = of(now, i64::MAX, i64::MAX).unwrap();
        assert_eq!((long.ends, long.renewal), (now + LIFE_MAX, LIFE_MAX));
        assert_eq!(of(now - 10, now - 10, now), None);
        assert_eq!(of(i64::MIN, i64::MIN, 0), None);
        assert_eq!(of(i64::MIN, i64::MAX, 0).map(|it| it.phase(now)), Some(Phase::Ended));
        // Its renewal is due at once, and no sooner than a minute after it was fetched.
        assert_eq!(of(now, now + 100, now - 5).map(|it| it.renew_at(1.0)), Some(now + RENEWAL_MIN));
    }

    #[test]
    fn a_life_goes_from_fresh_to_urgent_to_ended() {
        let it = Life::new(0, 1000, 1000);
        for (now, phase, next) in [
            (0, Phase::Fresh, Some(800)),
            (799, Phase::Fresh, Some(800)),
            (800, Phase::Urgent, Some(1000)),
            (1000, Phase::Ended, None),
            (i64::MAX, Phase::Ended, None),
        ] {
            assert_eq!((it.phase(now), it.next_phase(now)), (phase, next), "{now}");
        }
    }

    #[test]
    fn failures_are_tried_ever_less_often() {
        let longest = |outcome| (1..40).map(|it| pause(it, outcome, None, 1.0)).collect::<Vec<_>>();
        assert_eq!(longest(Outcome::Unreachable)[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(longest(Outcome::Denied)[6..10], [64, 128, 256, 300]);
        for draw in draws(10_000) {
            let pause = pause(10, Outcome::Throttled, None, draw);
            assert!((1..=PAUSE_MAX).contains(&pause), "{pause}");
        }
        let asked = |seconds| pause(1, Outcome::Throttled, Some(Duration::from_secs(seconds)), 0.0);
        assert_eq!((asked(0), asked(90), asked(u64::MAX)), (1, 90, ASKED_PAUSE_MAX));
    }

    /// What an outage does, in a walk over a simulated life: renewals start at their time, and fail while it lasts.
    fn expired_seconds(life: i64, outage: (i64, i64), until: i64) -> i64 {
        let mut draw = draws(100_000);
        let mut next = || draw.next().unwrap();
        let mut current = Life::new(0, life, life);
        let (mut due, mut failures, mut expired) = (current.renew_at(next()), 0, 0);
        for now in 0..until {
            expired += i64::from(current.phase(now) == Phase::Ended);
            if now < due {
                continue;
            }
            if (outage.0..outage.1).contains(&now) {
                failures += 1;
                due = now + pause(failures, Outcome::Unreachable, None, next());
            } else {
                failures = 0;
                current = Life::new(now, life, life);
                due = current.renew_at(next());
            }
        }
        expired
    }

    #[test]
    fn an_outage_of_less_than_half_a_life_ends_no_login() {
        for life in [HOUR, 75 * 60, 12 * HOUR] {
            for start in (0..life).step_by(usize::try_from(life / 40).unwrap()) {
                // Just before the latest renewal, and as long as what is left then.
                let short = life * 44 / 100;
                assert_eq!(
                    expired_seconds(life, (start, start + short), 4 * life),
                    0,
                    "{life} {start}"
                );
            }
            let long = expired_seconds(life, (0, 2 * life), 4 * life);
            println!(
                "life {life} s, outage of twice as long: ended for {long} s, of which {} after the outage",
                long - life
            );
            assert!((life..=life + PAUSE_MAX).contains(&long), "{long}");
        }
    }

    #[test]
    fn a_machine_that_slept_renews_when_it_wakes() {
        let it = Life::new(0, HOUR, HOUR);
        let due = it.renew_at(0.5);
        // It sleeps from one minute to two hours: the wall clock says that the renewal is due.
        assert!(due > 60 && due <= 2 * HOUR);
        assert_eq!(it.phase(2 * HOUR), Phase::Ended);
    }
}
