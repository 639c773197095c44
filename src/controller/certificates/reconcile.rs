//! The reconcile loop: read, decide, write.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until, timeout},
};
use tracing::info;

use super::{
    attempts::Attempts,
    certificate::CertificateError,
    durations::Durations,
    metrics::Object,
    objects::{Objects, WriteError},
    plan::{Action, Authorities, Bundles, Timestamp, plan},
    secrets::TlsContent,
    snapshot::{Names, Snapshot},
    stable::Stability,
    status::{Publish, Status},
    triggers::Trigger,
    webhook_configuration::Entries,
};
use crate::{cluster::Backoff, controller::metrics::Written, errors::with_causes, pki::time};

/// Changes within this time are handled together.
const TOGETHER: Duration = Duration::from_millis(50);
/// The shortest pause after a failed read, whatever triggers the next one.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// The longest pause while the API server cannot be reached.
const UNREACHABLE_MAX: Duration = Duration::from_secs(30);
/// The longest `Retry-After` that is respected.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
/// The largest accepted difference to the API server's clock, in seconds. Certificates are valid from an hour before they are
/// made.
const CLOCK_TOLERANCE: i64 = 1800;

/// Reconciles the three objects.
pub(super) struct Reconciler {
    objects: Objects,
    durations: Durations,
    publish: Publish,
    status: Arc<Status>,
    started: Instant,
    stability: Stability,
    attempts: PerObject,
    authorities: Option<Authorities>,
    unreadable: Backoff,
    reachable: watch::Sender<()>,
}

#[derive(Default)]
struct PerObject {
    ca: Attempts,
    serving: Attempts,
    configuration: Attempts,
}

/// The result of a reconciliation.
enum Outcome {
    /// An object could not be read. The API server may have asked to wait.
    Unreadable { failure: String, retry_after: Option<Duration> },
    /// Everything is in order.
    InOrder,
    /// An object was written, which may require further writes.
    Wrote,
    /// A write is pending: a rate limit or a back-off delays it.
    Waiting { wait: Duration, failure: Option<String>, everything: bool },
}

#[derive(Debug, thiserror::Error)]
enum ActionError {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

// === impl Reconciler ===

impl Reconciler {
    /// `reachable` changes when the API server can be reached again.
    pub(super) fn new(
        objects: Objects,
        durations: Durations,
        publish: Publish,
        status: Arc<Status>,
        reachable: watch::Sender<()>,
    ) -> Self {
        Self {
            objects,
            durations,
            publish,
            status,
            started: Instant::now(),
            stability: Stability::new(durations.longest_pause()),
            attempts: PerObject::default(),
            authorities: None,
            unreadable: Backoff::new(AFTER_FAILURE, UNREACHABLE_MAX),
            reachable,
        }
    }

    /// Runs for the lifetime of the process.
    pub(super) async fn run(mut self, mut triggers: mpsc::Receiver<Trigger>) {
        loop {
            let began = Instant::now();
            let (pause, floor) = match self.reconcile().await {
                Outcome::Unreadable { failure, retry_after } => {
                    self.status.failed(&failure);
                    let asked = retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
                    (self.unreadable.fail().max(asked), asked.max(AFTER_FAILURE))
                }
                Outcome::InOrder => {
                    self.status.in_order(time::now());
                    (self.durations.pace(), TOGETHER)
                }
                Outcome::Wrote => (Duration::ZERO, Duration::ZERO),
                Outcome::Waiting { wait, failure, everything } => {
                    if let Some(failure) = failure {
                        self.status.failed(&failure);
                    }
                    // Reading continues meanwhile: the cause may go away, and the other objects must not wait.
                    let floor = if everything { wait } else { TOGETHER };
                    (wait.min(self.durations.pace()).max(floor), floor)
                }
            };
            self.pause(pause, began + floor, &mut triggers).await;
        }
    }

    /// Waits for `pause` or a trigger, but at least until `floor`.
    async fn pause(
        &mut self,
        pause: Duration,
        floor: Instant,
        triggers: &mut mpsc::Receiver<Trigger>,
    ) {
        match timeout(pause, triggers.recv()).await {
            Ok(Some(trigger)) => self.handle(trigger),
            Ok(None) => sleep(pause).await,
            Err(_elapsed) => {}
        }
        sleep_until(floor).await;
        while let Ok(trigger) = triggers.try_recv() {
            self.handle(trigger);
        }
    }

    /// Records a state of the webhook configuration, also one that has changed again since.
    fn handle(&mut self, trigger: Trigger) {
        let Trigger::Configuration(configuration) = trigger else { return };
        let bundles = self.bundles(configuration.as_deref());
        self.stability.trust_was(&bundles.trust());
        let in_order = self.authorities.as_ref().is_some_and(|it| bundles.trusts_exactly(it));
        if in_order && !bundles.0.is_empty() && self.attempts.configuration.failure().is_none() {
            self.attempts.configuration.succeeded(self.started.elapsed());
        }
    }

    fn bundles(&self, configuration: Option<&MutatingWebhookConfiguration>) -> Bundles {
        let entries = configuration.map(|it| Entries::of(it, &self.objects.names().ours()));
        entries.map_or_else(Bundles::default, |entries| entries.bundles())
    }

    async fn reconcile(&mut self) -> Outcome {
        let began = self.started.elapsed();
        let snapshot = match Snapshot::take(&self.objects).await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                self.stability.reset();
                let retry_after = error.retry_after();
                return Outcome::Unreadable { failure: with_causes(&error), retry_after };
            }
        };
        if self.unreadable.attempts() > 0 {
            self.unreadable.succeed();
            self.reachable.send_replace(());
        }
        let (now, ended) = (time::now(), self.started.elapsed());
        let observed = snapshot.observed();
        let stable = self.stability.sample(&observed, began, ended);
        self.status.read(&snapshot, &observed, now);
        let ahead = self.objects.clock_ahead();
        if ahead.abs() > CLOCK_TOLERANCE {
            return Outcome::Waiting {
                wait: self.durations.pace(),
                failure: Some(wrong_clock(ahead)),
                everything: true,
            };
        }
        let mut actions = plan(&observed, stable, self.durations.propagation(), now);
        if self.publish == Publish::Never {
            actions.retain(|action| *action != Action::Publish);
        }
        self.authorities = observed.authorities;
        self.act(&snapshot, &actions, now, began).await
    }

    /// Takes all actions, which are independent.
    async fn act(
        &mut self,
        snapshot: &Snapshot,
        actions: &[Action],
        now: Timestamp,
        began: Duration,
    ) -> Outcome {
        for object in Object::ALL {
            if !actions.iter().any(|action| object_of(action) == object) {
                self.attempts.of(object).not_needed();
            }
        }
        let (mut wrote, mut least_wait, mut asked) = (false, None::<Duration>, None::<Duration>);
        for action in actions {
            let object = object_of(action);
            let version = snapshot.version(object);
            let at = self.started.elapsed();
            if asked.is_none()
                && self.attempts.of(object).wait(version, at).is_none()
                && self.stability.is_current(began, at)
            {
                match self.write(snapshot, action, now).await {
                    Ok(()) => {
                        self.attempts.of(object).succeeded(at);
                        self.status.wrote(object, Written::Success);
                        wrote = true;
                    }
                    Err(error) => asked = self.refused(object, version, &error),
                }
            }
            let after = self.started.elapsed();
            let wait = self.attempts.of(object).wait(version, after).unwrap_or_default();
            least_wait = Some(least_wait.map_or(wait, |least| least.min(wait)));
        }
        let failures =
            Object::ALL.map(|object| self.attempts.of(object).failure().map(ToOwned::to_owned));
        let failures: Vec<String> = failures.into_iter().flatten().collect();
        let failure = (!failures.is_empty()).then(|| failures.join("; "));
        match least_wait {
            _ if asked.is_some() => {
                let wait = asked.unwrap_or_default().min(RETRY_AFTER_MAX);
                Outcome::Waiting { wait, failure, everything: true }
            }
            None => Outcome::InOrder,
            Some(_) if wrote && failure.is_none() => Outcome::Wrote,
            Some(wait) => Outcome::Waiting { wait: wait.max(TOGETHER), failure, everything: false },
        }
    }

    /// Records a failed write. Returns how long the API server asks to wait.
    fn refused(&mut self, object: Object, version: &str, error: &ActionError) -> Option<Duration> {
        let after = self.started.elapsed();
        let attempts = self.attempts.of(object);
        let (race, retry_after) = match error {
            ActionError::Write(error) => {
                let json_patch = object == Object::WebhookConfiguration;
                (error.may_be_a_race(json_patch), error.retry_after())
            }
            ActionError::Certificate(_) => (false, None),
        };
        if race && attempts.conflicted(version, after) {
            self.status.wrote(object, Written::Conflict);
            return None;
        }
        let asked = retry_after.map(|it| it.min(RETRY_AFTER_MAX));
        attempts.refused(version, with_causes(error), asked, after);
        self.status.wrote(object, Written::Failure);
        asked
    }

    async fn write(
        &self,
        snapshot: &Snapshot,
        action: &Action,
        now: Timestamp,
    ) -> Result<(), ActionError> {
        let Names { ca_secret, tls_secret, configuration, .. } = self.objects.names();
        match action {
            Action::AdoptPrevious(_) | Action::DropPrevious | Action::MakeAuthority { .. } => {
                let Some(ca) = snapshot.ca_after(action, self.durations, now)? else {
                    return Ok(());
                };
                self.objects.write_secret(ca_secret, &snapshot.ca, &ca).await?;
                let newest = ca.newest.certificate().id();
                info!(secret = ca_secret, ca = %newest, older = ca.previous.len(), "CA Secret written: {}", purpose(action));
            }
            Action::IssueLeaf(issuer) => {
                let Some(signer) = snapshot.signer(*issuer) else { return Ok(()) };
                let leaf = signer.issue(&self.objects.names().dns(), now, self.durations.leaf())?;
                let content = TlsContent { leaf: &leaf, issuer: signer.certificate() };
                self.objects.write_secret(tls_secret, &snapshot.tls, &content).await?;
                let expires = time::date(leaf.validity().not_after);
                info!(secret = tls_secret, ca = %content.issuer.id(), expires, "TLS Secret written: a new certificate was issued");
            }
            Action::Publish => {
                let (Some(entries), Some(ca)) = (&snapshot.entries, snapshot.ca.usable()) else {
                    return Ok(());
                };
                let patch = entries.patch(&ca.bundle());
                self.objects.patch_configuration(patch).await.map_err(WriteError::from)?;
                let cas = ca.previous.len() + 1;
                info!(configuration, cas, "caBundle written");
            }
        }
        Ok(())
    }
}

// === impl PerObject ===

impl PerObject {
    fn of(&mut self, object: Object) -> &mut Attempts {
        match object {
            Object::Ca => &mut self.ca,
            Object::Serving => &mut self.serving,
            Object::WebhookConfiguration => &mut self.configuration,
        }
    }
}

fn object_of(action: &Action) -> Object {
    match action {
        Action::AdoptPrevious(_) | Action::DropPrevious | Action::MakeAuthority { .. } => {
            Object::Ca
        }
        Action::IssueLeaf(_) => Object::Serving,
        Action::Publish => Object::WebhookConfiguration,
    }
}

fn purpose(action: &Action) -> &'static str {
    match action {
        Action::AdoptPrevious(_) => "an older CA that is still in use was added",
        Action::DropPrevious => "the old CA was removed",
        Action::MakeAuthority { .. } => "a new CA was made",
        Action::IssueLeaf(_) | Action::Publish => "",
    }
}

fn wrong_clock(ahead: i64) -> String {
    let (minutes, how) = (ahead.abs() / 60, if ahead > 0 { "ahead of" } else { "behind" });
    format!(
        "this clock is {minutes} minutes {how} the API server's, so no certificate is written: set the clock of the node"
    )
}
