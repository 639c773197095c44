//! When a login is tried again, and what is known of it after a try. Pure: the record is carried by the report of the login, so that
//! a process that starts, or a second one, goes on where the last one was.

use k8s_openapi::jiff::Timestamp;

use super::verdict::Said;
use crate::core::reports::{HealthVerdict, LoginHealth};

/// Between two checks of a login that is taken, in seconds; a fifth more or less.
const INTERVAL: i64 = 30 * 60;
/// After the first, second and third refusal in a row, in seconds, and after each further one; up to a fifth more. Registries
/// lock accounts after a few failures.
const PAUSES: [i64; 4] = [60, 5 * 60, 30 * 60, 6 * 3600];
/// After a check that a registry did not answer, in seconds: what it counts meanwhile is not known.
const UNREACHABLE: i64 = 10 * 60;
/// The longest time for which a registry can make a check wait, in seconds.
const WAIT_MAX: i64 = 24 * 3600;
/// A try that has not ended after so many seconds will not: its process has gone.
const TRY_MAX: i64 = 60;
/// After so many refusals in a row, a new content waits, too.
const CHANGES: u32 = 3;
/// For so many seconds after the last try.
const CHANGE_PAUSE: i64 = 30 * 60;

/// Whether copies are written from a content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Trial {
    /// They are.
    #[default]
    Passed,
    /// They wait until it was tried.
    Waiting,
    /// A registry has refused it: copies stay as they are.
    Held,
}

/// What a check is about.
#[derive(Debug, Clone, Copy)]
pub struct Tried<'t> {
    /// The digits of the content.
    pub content: &'t str,
    /// Whether a person lets it be copied although it is refused.
    pub accepted: bool,
    /// The image that is asked for; `None` where the login alone is tried.
    pub image: Option<&'t str>,
}

/// The record that holds of a content: the one in the report; where that is of another content, or of a try of this process
/// whose end could not be written, the one of this process.
#[must_use]
pub fn in_force<'r>(
    record: Option<&'r LoginHealth>,
    own: Option<&'r LoginHealth>,
    content: &str,
) -> Option<&'r LoginHealth> {
    let own = own.filter(|it| it.content == content);
    match (record, own) {
        // A report that is gone was deleted by somebody, who wants it to be tried again.
        (None, _) => None,
        (Some(record), Some(own)) if record.content != content => Some(own),
        (Some(record), Some(own)) if record.trying && record.checked_at <= own.checked_at => {
            Some(own)
        }
        (record, _) => record,
    }
}

/// Whether copies may be written from a content, by what is recorded.
#[must_use]
pub fn trial(record: Option<&LoginHealth>, content: &str, accepted: bool) -> Trial {
    match record.filter(|it| it.content == content) {
        _ if accepted => Trial::Passed,
        Some(record) if record.held => Trial::Held,
        // Without a verdict, it was tried before checks were turned off, and has been copied since.
        Some(record) if record.verdict.is_some() || !record.trying => Trial::Passed,
        _ => Trial::Waiting,
    }
}

/// When a content is due to be tried, in seconds since the Unix epoch; in the past where that is now.
#[must_use]
pub fn due(record: Option<&LoginHealth>, content: &str, now: i64) -> i64 {
    let Some(record) = record else { return now };
    let Some(last) = seconds(&record.checked_at) else { return now };
    let at = if record.trying && now < last + TRY_MAX {
        last + TRY_MAX
    } else if record.content != content {
        let waits = counted(record) >= CHANGES;
        last + if waits { CHANGE_PAUSE } else { 0 }
    } else if record.trying {
        last + pause(counted(record))
    } else {
        record.next_check_at.as_deref().and_then(seconds).unwrap_or(last + INTERVAL)
    };
    // A clock may have been wrong.
    at.min(now + WAIT_MAX)
}

/// The record of a try that begins now.
#[must_use]
pub fn begun(before: Option<&LoginHealth>, tried: &Tried<'_>, now: i64) -> LoginHealth {
    let same = before.filter(|it| it.content == tried.content);
    LoginHealth {
        verdict: same.and_then(|it| it.verdict),
        checked_at: text(now),
        next_check_at: None,
        image: tried.image.map(str::to_owned),
        refusals: before.map_or(0, counted),
        content: tried.content.to_owned(),
        held: same.is_some_and(|it| it.held),
        trying: true,
    }
}

/// The record of a try that has ended now; `before` is that from before it began, `draw` a random number from 0 to 1.
#[must_use]
pub fn ended(
    before: Option<&LoginHealth>,
    tried: &Tried<'_>,
    said: &Said,
    now: i64,
    draw: f64,
) -> LoginHealth {
    use HealthVerdict::{RateLimited, Refused, Unreachable};
    let begun = begun(before, tried, now);
    let was_refused = before.is_some_and(|it| it.content == tried.content) && begun.refusals > 0;
    let LoginHealth { verdict: known, mut held, mut refusals, .. } = begun;
    let wait = i64::from(said.retry_after.unwrap_or_default()).min(WAIT_MAX);
    let usual = || INTERVAL * 4 / 5 + share(INTERVAL * 2 / 5, draw);
    let (verdict, next) = match said.verdict {
        Refused => {
            refusals = refusals.saturating_add(1);
            held = (held || known.is_none()) && !tried.accepted;
            let verdict = if was_refused { Some(Refused) } else { known };
            let pause = pause(refusals);
            (verdict, pause + share(pause / 5, draw))
        }
        // What is refused stays so, until it is taken.
        RateLimited | Unreachable if held || known == Some(Refused) => {
            (known, pause(refusals).max(UNREACHABLE))
        }
        RateLimited => (known.or(Some(RateLimited)), usual().max(pause(refusals))),
        Unreachable => (Some(Unreachable), pause(refusals).max(UNREACHABLE)),
        taken => {
            (held, refusals) = (false, 0);
            (Some(taken), usual())
        }
    };
    let next = text(now + next.max(wait));
    LoginHealth { verdict, held, refusals, next_check_at: Some(next), trying: false, ..begun }
}

/// What stays of a record where logins are no longer checked: what counts tries, so that checks that are turned on again go on
/// from there. `None` where nothing is to be counted: there was no refusal, and the next check would be due.
#[must_use]
pub fn without_verdict(record: &LoginHealth, now: i64) -> Option<LoginHealth> {
    let counts = counted(record) > 0 || due(Some(record), &record.content, now) > now;
    counts.then(|| LoginHealth { verdict: None, held: false, image: None, ..record.clone() })
}

/// The refusals in a row, with a try whose end was not recorded.
fn counted(record: &LoginHealth) -> u32 {
    record.refusals.saturating_add(u32::from(record.trying))
}

/// How long to wait after so many refusals in a row.
fn pause(refusals: u32) -> i64 {
    let last = PAUSES.len() - 1;
    let place =
        refusals.checked_sub(1).map(|it| usize::try_from(it).map_or(last, |it| it.min(last)));
    place.map_or(0, |place| PAUSES[place])
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a few hours")]
fn share(most: i64, draw: f64) -> i64 {
    (most as f64 * draw.clamp(0.0, 1.0)) as i64
}

/// A moment as reports have it.
fn text(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

/// A moment of a report.
pub(super) fn seconds(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_second)
}

#[cfg(test)]
mod tests;
