//! When logins end that people keep in Secrets. Pure: the moment is given, in seconds of the wall clock.

use k8s_openapi::jiff::Timestamp;

use super::Logins;
use crate::core::{
    expiry::{Life, Phase},
    rules::{LoginName, SecretName},
};

/// What the annotation [`EXPIRES`](crate::fetch::marks::EXPIRES) of a login's Secret says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Annotated {
    /// It is not there.
    #[default]
    Absent,
    /// When the login ends, in seconds since the Unix epoch.
    Ends(i64),
    /// It is no time.
    Unreadable,
}

/// When a login ends, and how far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expiry {
    /// What its passwords say.
    password: Option<Life>,
    annotated: Annotated,
    /// How far it was when that was looked at last.
    phase: Option<Phase>,
}

/// Logins of which something else holds now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Those that end soon or have ended, or no longer do: with their Secrets, and when they end.
    pub changed: Vec<(LoginName, SecretName, Expiry)>,
    /// When that may be so again.
    pub next: Option<i64>,
}

// === impl Expiry ===

impl Expiry {
    /// Of a login that pullcred fetches.
    #[must_use]
    pub fn of_fetched(ends: i64, phase: Phase) -> Self {
        let life = Life { issued: None, ends };
        Self { password: Some(life), annotated: Annotated::Absent, phase: Some(phase) }
    }

    /// The life of the login: what ends it first counts. `None` where nothing is known of that.
    #[must_use]
    pub fn life(&self) -> Option<Life> {
        let annotated = match self.annotated {
            Annotated::Ends(ends) => Some(Life { issued: None, ends }),
            Annotated::Absent | Annotated::Unreadable => None,
        };
        // Of two that end at once, the one whose beginning is known says more.
        [self.password, annotated].into_iter().flatten().min_by_key(|it| it.ends)
    }

    /// How far it is; [`Phase::Fresh`] where nothing is known of it.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase.unwrap_or(Phase::Fresh)
    }

    /// The end as people read it, as RFC 3339; empty where it is not known.
    #[must_use]
    pub fn until(&self) -> String {
        let ends = self.life().and_then(|it| Timestamp::from_second(it.ends).ok());
        ends.map(|it| it.to_string()).unwrap_or_default()
    }

    /// Whether the annotation is there and is no time.
    #[must_use]
    pub fn is_misread(&self) -> bool {
        self.annotated == Annotated::Unreadable
    }

    pub(super) fn set(&mut self, annotated: Annotated, password: Option<Life>) {
        (self.annotated, self.password) = (annotated, password);
    }

    pub(super) fn set_life(&mut self, password: Option<Life>) {
        self.password = password;
    }
}

// === impl Logins ===

impl Logins {
    /// Notes the moment. Answers which logins have come to another phase since, and when the next one does.
    pub fn pass_time(&mut self, now: i64) -> Passed {
        let mut passed = Passed::default();
        for (name, login) in &mut self.all {
            let life = login.expiry.life();
            let phase = life.map(|it| it.phase(now));
            let before = std::mem::replace(&mut login.expiry.phase, phase);
            if before.unwrap_or(Phase::Fresh) != phase.unwrap_or(Phase::Fresh) {
                passed.changed.push((name.clone(), login.secret.clone(), login.expiry));
            }
            let next = life.and_then(|it| it.next_phase(now));
            passed.next = passed.next.into_iter().chain(next).min();
        }
        passed
    }

    /// When a login ends that people keep.
    #[must_use]
    pub fn expiry(&self, name: &LoginName) -> Option<&Expiry> {
        self.all.get(name).filter(|it| !it.fetched).map(|it| &it.expiry)
    }

    /// When each login ends that people keep, where that is known.
    pub fn ends(&self) -> impl Iterator<Item = (&LoginName, i64)> {
        self.all.iter().filter_map(|(name, login)| Some((name, login.expiry.life()?.ends)))
    }

    /// When a login ended that people keep; `None` where it has not.
    pub(super) fn ended_at(&self, name: &LoginName) -> Option<i64> {
        Some(self.expiry(name).filter(|it| it.phase() == Phase::Ended)?.life()?.ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_first_counts() {
        let mut expiry = Expiry::default();
        assert_eq!(
            (expiry.life(), expiry.phase(), expiry.is_misread()),
            (None, Phase::Fresh, false)
        );
        let password = Life { issued: Some(0), ends: 100 };
        expiry.set(Annotated::Ends(50), Some(password));
        assert_eq!(expiry.life(), Some(Life { issued: None, ends: 50 }));
        expiry.set(Annotated::Ends(100), Some(password));
        assert_eq!(expiry.life(), Some(password));
        expiry.set(Annotated::Unreadable, Some(password));
        assert_eq!((expiry.life(), expiry.is_misread()), (Some(password), true));
    }
}
