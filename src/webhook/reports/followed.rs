//! What the watches have brought so far, and until when it counts. Pure: the moment is given.

use std::time::Duration;

use tokio::time::Instant;

use crate::core::{
    knowledge::{Knowledge, ReportedSecrets},
    reports,
};

/// For how long states count without a sign of those who write reports, or without a watch.
const STALE_AFTER: Duration = Duration::from_secs(reports::STALE_AFTER);

/// What is known, and how old it is.
#[derive(Debug, Default)]
pub(super) struct Followed {
    known: Knowledge,
    /// What has come of a list that is under way; `None` after its end.
    coming: Option<Knowledge>,
    /// Whether all that there is has come.
    listed: bool,
    /// Since when the watch of reports has been broken; `None` while it stands.
    lost_at: Option<Instant>,
    lease: Option<Renewal>,
    /// When the Lease was last seen to change.
    renewed_at: Option<Instant>,
}

/// Who renewed a Lease, and when by their clock: only whether it differs counts, so clocks need not agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Renewal {
    pub(super) holder: Option<String>,
    pub(super) time: Option<String>,
}

// === impl Followed ===

impl Followed {
    /// A list of all reports begins. Until it is complete, what was known stays in use.
    pub(super) fn listing(&mut self) {
        self.coming = Some(Knowledge::default());
    }

    /// All that there is has come, and the watch stands.
    pub(super) fn listed(&mut self) {
        if let Some(coming) = self.coming.take() {
            self.known = coming;
        }
        (self.listed, self.lost_at) = (true, None);
    }

    /// A report. Returns whether there is room for it.
    pub(super) fn is(&mut self, secrets: ReportedSecrets) -> bool {
        self.latest().insert(secrets)
    }

    /// A namespace has no report, or one that says nothing.
    pub(super) fn gone(&mut self, namespace: &str) {
        self.latest().remove(namespace);
    }

    fn latest(&mut self) -> &mut Knowledge {
        self.coming.as_mut().unwrap_or(&mut self.known)
    }

    /// The watch of reports has failed.
    pub(super) fn lost(&mut self, now: Instant) {
        self.coming = None;
        self.lost_at.get_or_insert(now);
    }

    /// The API server has no reports at all.
    pub(super) fn absent(&mut self, now: Instant) {
        self.lost(now);
        (self.known, self.listed) = (Knowledge::default(), false);
    }

    /// The Lease. That it is there is no sign of life, since it may be left over; that it changes is one.
    pub(super) fn renewed(&mut self, renewal: Renewal, now: Instant) {
        let before = self.lease.replace(renewal);
        if before.is_some() && before != self.lease {
            self.renewed_at = Some(now);
        }
    }

    /// Until when states count; `None` where they do not.
    pub(super) fn fresh_until(&self, now: Instant) -> Option<Instant> {
        let renewed = self.renewed_at? + STALE_AFTER;
        let until = self.lost_at.map_or(renewed, |lost_at| renewed.min(lost_at + STALE_AFTER));
        (self.listed && now < until).then_some(until)
    }

    /// What decisions are to use now.
    pub(super) fn known(&mut self, now: Instant) -> Knowledge {
        self.known.set_fresh(self.fresh_until(now).is_some());
        self.known.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::reports::PullSecretStatus;

    fn report(namespace: &str) -> ReportedSecrets {
        ReportedSecrets::of(namespace, &PullSecretStatus::default()).unwrap()
    }

    fn renewal(number: u32) -> Renewal {
        Renewal { holder: Some("one".into()), time: Some(number.to_string()) }
    }

    #[test]
    fn states_count_for_a_minute_after_the_last_sign_of_life() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut followed = Followed::default();
        followed.renewed(renewal(1), start);
        followed.listing();
        followed.listed();
        followed.renewed(renewal(1), at(1));
        assert_eq!(followed.fresh_until(at(1)), None, "a Lease that is left over");
        followed.renewed(renewal(2), at(10));
        assert_eq!(followed.fresh_until(at(10)), Some(at(70)));
        assert_eq!(followed.fresh_until(at(70)), None);
        followed.renewed(renewal(3), at(100));
        followed.lost(at(110));
        followed.lost(at(115));
        followed.renewed(renewal(4), at(120));
        assert_eq!(followed.fresh_until(at(169)), Some(at(170)), "since the first failure");
        assert_eq!(followed.fresh_until(at(170)), None);
        followed.listing();
        assert_eq!(followed.fresh_until(at(170)), None);
        followed.listed();
        assert_eq!(followed.fresh_until(at(170)), Some(at(180)));
        followed.absent(at(171));
        assert_eq!(followed.fresh_until(at(171)), None);
    }

    #[test]
    fn a_list_replaces_what_was_known_when_it_is_complete() {
        let now = Instant::now();
        let mut followed = Followed::default();
        let namespaces = |followed: &mut Followed| {
            let known = followed.known(now);
            ["a", "b", "c"].map(|it| known.namespace(it).is_some())
        };
        followed.listing();
        followed.is(report("a"));
        followed.is(report("b"));
        assert_eq!(namespaces(&mut followed), [false; 3]);
        followed.listed();
        assert_eq!(namespaces(&mut followed), [true, true, false]);
        followed.listing();
        followed.is(report("c"));
        followed.lost(now);
        assert_eq!(namespaces(&mut followed), [true, true, false], "half a list");
        followed.listing();
        followed.is(report("b"));
        followed.is(report("c"));
        followed.gone("c");
        followed.listed();
        assert_eq!(namespaces(&mut followed), [false, true, false]);
        followed.is(report("c"));
        followed.gone("b");
        assert_eq!(namespaces(&mut followed), [false, false, true]);
        followed.absent(now);
        assert_eq!(namespaces(&mut followed), [false; 3]);
    }
}
