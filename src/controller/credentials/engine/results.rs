//! What came of the work at the API server.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tracing::warn;

use super::{
    super::{
        metrics::Operation,
        plan::Step,
        seen::Seen,
        state::{LoginRead, Refusal, Task},
        writes::Done,
    },
    Engine, OUTAGE_PAUSES, QUOTA_PAUSE, STALE_PAUSE, STALE_SHOWN,
};
use crate::{
    cluster::{Backoff, CallError, Outcome, Urgency, Worked},
    controller::metrics::Written,
    core::rules::LoginName,
};

impl Engine {
    pub(super) fn login_read(
        &mut self,
        name: LoginName,
        read: Result<Option<LoginRead>, CallError>,
        now: Instant,
    ) {
        let again = self.reading.remove(&name).unwrap_or_default();
        let changed = match read {
            // What was read may be the older.
            Ok(_) if again => return self.read_login(name),
            Ok(read) => {
                self.reachable.send_replace(());
                self.retries.remove(&name);
                self.status.login_read(&name);
                let changed = self.state.set_login(&name, read);
                self.contents_read();
                changed
            }
            Err(error) => {
                self.status.login_failed(&name, &error);
                if error.is_outage() {
                    self.pace.pause(error.retry_after().unwrap_or_default(), now);
                }
                let first = Backoff::new(OUTAGE_PAUSES.0, OUTAGE_PAUSES.1);
                let (at, backoff) = self.retries.entry(name).or_insert((now, first));
                *at = now + backoff.fail();
                return;
            }
        };
        for namespace in self.blocked.remove(&name).into_iter().flatten() {
            self.schedule.want(namespace, Urgency::Bulk, now);
        }
        if changed {
            self.want_all(Urgency::Bulk, now);
        }
    }

    pub(super) fn namespace_done(
        &mut self,
        name: &Arc<str>,
        tasks: Vec<(Task, Result<Done, CallError>)>,
        now: Instant,
    ) {
        let mut worked = Worked::Done;
        let mut answered = false;
        for (task, result) in tasks {
            let operation = Operation::of(&task.step);
            match result {
                Ok(done) => {
                    answered = true;
                    if done != Done::Stale {
                        self.status.allowed(name, &task.secret);
                        self.state.set_refused(name, &task.secret, None);
                    }
                    match done {
                        Done::Is(seen) => {
                            let since = self.state.known_since(name);
                            if let (Step::Create, Some(since)) = (&task.step, since) {
                                self.status.created_after(now - since);
                                self.copied(name, &task.secret);
                            }
                            self.status.wrote(operation, Written::Success);
                            self.state.set_seen(name, &task.secret, seen, now);
                        }
                        Done::Conflict => {
                            self.status.wrote(operation, Written::Conflict);
                            self.state.set_seen(name, &task.secret, Some(Seen::Foreign), now);
                        }
                        Done::Stale => {
                            self.status.wrote(operation, Written::Conflict);
                            worked = Worked::Stale(STALE_PAUSE);
                            if self.schedule.failures(name) >= STALE_SHOWN {
                                let why = "each write meets a conflict: somebody else changes it";
                                self.status.refused(name, &task.secret, why);
                            }
                        }
                        Done::NotNow => {}
                    }
                }
                Err(error) if self.is_left_behind(&task, &error) => {
                    answered = true;
                    let (namespace, secret) = (&**name, &*task.secret);
                    warn!(
                        namespace,
                        secret, "no rule names this copy, and it may not be deleted: it stays"
                    );
                    self.state.set_seen(name, &task.secret, None, now);
                }
                Err(error) => {
                    let reason = error.reason();
                    self.status.wrote(operation, Written::Failure);
                    self.status.refused(name, &task.secret, &reason);
                    let quota = reason.contains("exceeded quota");
                    self.state.set_refused(name, &task.secret, refusal(&error, quota));
                    if error.is_outage() {
                        self.no_answer(name, error.retry_after(), now);
                    } else {
                        answered = true;
                    }
                    worked = Worked::Failed(if quota { QUOTA_PAUSE } else { Duration::ZERO });
                }
            }
        }
        self.want_report(name, now);
        self.pace.end(answered);
        if answered {
            self.reachable.send_replace(());
            self.first_unanswered = None;
            self.unanswered.remove(name);
        }
        self.schedule.worked(name, worked, now);
        if worked == Worked::Done
            && let Some(later) = self.state.tasks(name, now).later
        {
            self.schedule.want_at(Arc::clone(name), Urgency::Bulk, later, now);
        }
    }

    /// A write got no answer. Where that is so in one namespace alone, it may have a webhook that hangs: its own back-off is
    /// enough. Where it is so in another, too, all wait.
    fn no_answer(&mut self, name: &Arc<str>, asked: Option<Duration>, now: Instant) {
        if let Some(asked) = asked {
            self.pace.wait(asked, now);
        }
        self.unanswered.insert(Arc::clone(name));
        let first = self.first_unanswered.get_or_insert_with(|| Arc::clone(name));
        if first != name {
            self.pace.pause(Duration::ZERO, now);
        }
    }

    /// A watch stands again: the API server answers.
    pub(super) fn outage_is_over(&mut self, now: Instant) {
        self.pace.resume(now);
        for name in std::mem::take(&mut self.unanswered) {
            self.schedule.release(&name);
        }
    }

    /// Whether a copy stays because no rule names it any more, and with the rule the right to delete it has gone.
    fn is_left_behind(&self, task: &Task, error: &CallError) -> bool {
        matches!(task.step, Step::Collect(_))
            && error.outcome() == Outcome::Denied
            && !self.state.copies().secrets().any(|name| name.as_str() == &*task.secret)
    }
}

/// Why a write of a copy is refused; `None` where it only got no answer.
fn refusal(error: &CallError, is_quota: bool) -> Option<Refusal> {
    match error.outcome() {
        Outcome::Denied if is_quota => Some(Refusal::QuotaExceeded),
        Outcome::Denied | Outcome::Invalid => Some(Refusal::Denied),
        _ if error.is_outage() => None,
        _ => Some(Refusal::WriteFailed),
    }
}
