//! What came of the work on reports.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::Instant;

use super::{
    FAILURES, Key, ReportStatus, Reports, WRITE_PAUSE, Work, events::Notice, objects::Written,
};
use crate::{
    cluster::{CallError, Outcome, Urgency, Worked},
    controller::metrics,
};

impl Reports {
    /// Waits until some work has ended, and takes in what came of it; for ever where none is under way.
    pub(in super::super) async fn work(&mut self) {
        match self.work.next().await {
            Some(work) => self.finish(work, Instant::now()),
            None => std::future::pending().await,
        }
    }

    fn finish(&mut self, work: Work, now: Instant) {
        match work {
            Work::Wrote(key, status, Ok(written)) => self.wrote(&key, &status, &written, now),
            Work::Deleted(key, Ok(_)) => {
                self.set_seen(&key, None);
                self.succeeded(&key, now);
                // What is known of it is forgotten then.
                self.schedule.want_at(key, Urgency::Bulk, now + WRITE_PAUSE, now);
            }
            Work::Wrote(key, _, Err(error)) | Work::Deleted(key, Err(error)) => {
                self.failed(&key, &error, now);
            }
            Work::Read(place, reading, read) => self.read(place, reading, read, now),
            Work::Renewed(renewed) => self.renewed(renewed.as_ref().err()),
        }
    }

    fn wrote(&mut self, key: &Key, status: &ReportStatus, written: &Written, now: Instant) {
        self.set_seen(key, Some(written.seen));
        if let Some(wrote) = self.known.get_mut(key).and_then(|it| it.wrote.as_mut()) {
            wrote.stored = written.seen.hash();
        }
        self.succeeded(key, now);
        if let (Key::Namespace(namespace), ReportStatus::Namespace(status)) = (key, status) {
            let copied = self.copied.remove(namespace).unwrap_or_default();
            let audited = self.audited.remove(namespace).then_some(status.pods.as_ref()).flatten();
            let pods = audited.and_then(|pods| Notice::of_pods(namespace, &written.uid, pods));
            let notices = Notice::of_report(namespace, &written.uid, status, &copied);
            for notice in notices.into_iter().chain(pods) {
                // Where Events cannot be written as fast, the report has it all the same.
                let _ = self.notices.try_send(notice);
            }
        }
    }

    fn succeeded(&mut self, key: &Key, now: Instant) {
        self.failures = 0;
        self.pace.end(true);
        self.schedule.worked(key, Worked::Done, now);
        self.status.report_written(key.kind(), metrics::Written::Success, None);
    }

    fn failed(&mut self, key: &Key, error: &CallError, now: Instant) {
        let is_conflict = error.outcome() == Outcome::Conflict;
        self.failures = self.failures.saturating_add(u32::from(!is_conflict));
        let all_fail = error.is_outage() || self.failures >= FAILURES;
        self.pace.end(!all_fail);
        if all_fail {
            self.pace.pause(error.retry_after().unwrap_or_default(), now);
        }
        self.schedule.worked(key, Worked::Failed(Duration::ZERO), now);
        let written =
            if is_conflict { metrics::Written::Conflict } else { metrics::Written::Failure };
        self.status.report_written(key.kind(), written, Some(error));
    }
}
