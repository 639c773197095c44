//! Look, decide, write, and again.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::runtime::{utils::Backoff, watcher::DefaultBackoff};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout},
};
use tracing::info;

use super::{
    brake::Brake,
    certificate::CertificateError,
    metrics::{Object, Written},
    objects::{CallError, Objects},
    plan::{Action, Authorities, CaId, Registration, Steady, Timestamp, Trust, plan},
    registration::Entries,
    secrets::TlsContent,
    snapshot::{Names, Snapshot},
    status::Status,
    steady::SteadyValue,
    times::Times,
    wake::Wake,
};
use crate::pki::time;

/// Changes that come faster than this are looked at together.
const TOGETHER: Duration = Duration::from_millis(50);
/// Nothing that fails is tried again sooner, whatever calls for it.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// After so many conflicts in a row it is no other process that was faster, but something that is wrong.
const CONFLICTS: u32 = 10;

/// Keeps the three objects in order.
pub(super) struct Reconciler {
    objects: Objects,
    names: Names,
    times: Times,
    status: Arc<Status>,
    started: Instant,
    trust: SteadyValue<Trust>,
    issuer: SteadyValue<Option<CaId>>,
    brakes: Brakes,
    authorities: Option<Authorities>,
    backoff: DefaultBackoff,
    conflicts: u32,
}

#[derive(Default)]
struct Brakes {
    ca: Brake,
    registration: Brake,
    serving: Brake,
}

/// How a look ended.
enum Outcome {
    /// An object is to be written, but not so soon again.
    Braked(Duration),
    /// An object was not as it was read.
    Conflict,
    /// Something failed.
    Failed(String),
    /// Nothing is left to do.
    InOrder,
    /// Something was written, which may call for more.
    Wrote,
}

#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

// === impl Reconciler ===

impl Reconciler {
    pub(super) fn new(objects: Objects, names: Names, times: Times, status: Arc<Status>) -> Self {
        let pause = times.longest_pause();
        Self {
            objects,
            names,
            times,
            status,
            started: Instant::now(),
            trust: SteadyValue::new(pause),
            issuer: SteadyValue::new(pause),
            brakes: Brakes::default(),
            authorities: None,
            backoff: DefaultBackoff::default(),
            conflicts: 0,
        }
    }

    /// Goes on for as long as the process lives.
    pub(super) async fn run(mut self, mut wakes: mpsc::Receiver<Wake>) {
        loop {
            let look = Instant::now();
            let outcome = self.look().await;
            let (pause, floor) = match outcome {
                Outcome::Braked(wait) => (wait, wait),
                Outcome::Conflict => (TOGETHER, TOGETHER),
                Outcome::Failed(failure) => {
                    self.status.failed(&failure);
                    let pause = self.backoff.next().unwrap_or(AFTER_FAILURE);
                    (pause, AFTER_FAILURE)
                }
                Outcome::InOrder => (self.times.pace(), TOGETHER),
                Outcome::Wrote => (Duration::ZERO, Duration::ZERO),
            };
            self.pause(pause, look + floor, &mut wakes).await;
        }
    }

    /// Waits until it is time or something calls, but not less than until `floor`.
    async fn pause(&mut self, pause: Duration, floor: Instant, wakes: &mut mpsc::Receiver<Wake>) {
        match timeout(pause, wakes.recv()).await {
            Ok(Some(wake)) => self.note(wake),
            Ok(None) => sleep(pause).await,
            Err(_elapsed) => {}
        }
        sleep_until(floor).await;
        while let Ok(wake) = wakes.try_recv() {
            self.note(wake);
        }
    }

    /// Takes note of how the registration was at some moment: also of what has been put right since.
    fn note(&mut self, wake: Wake) {
        let Wake::Registration(registration) = wake else { return };
        let now = self.started.elapsed();
        let registration = self.registration(registration.as_deref());
        self.trust.see(registration.trust(), now);
        let right = self.authorities.as_ref().is_some_and(|it| registration.trusts_exactly(it));
        if right && !registration.0.is_empty() {
            self.brakes.registration.note(now);
        }
    }

    fn registration(&self, registration: Option<&MutatingWebhookConfiguration>) -> Registration {
        let entries = registration.map(|it| Entries::of(it, &self.names.ours()));
        entries.map_or_else(Registration::default, |entries| entries.registration())
    }

    async fn look(&mut self) -> Outcome {
        let snapshot = match Snapshot::take(&self.objects, &self.names).await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                self.trust.lose_sight();
                self.issuer.lose_sight();
                return Outcome::Failed(error.to_string());
            }
        };
        let (now, at) = (time::now(), self.started.elapsed());
        let observed = snapshot.observed();
        let steady = Steady {
            trust: self.trust.see(observed.registration.trust(), at),
            issuer: self.issuer.see(observed.leaf.and_then(|leaf| leaf.issuer), at),
        };
        self.status.looked(&snapshot, &observed, now);
        let actions = plan(&observed, steady, self.times.propagation(), now);
        self.authorities = observed.authorities;
        self.act(&snapshot, &actions, now).await
    }

    /// Takes all actions: each is good without the others. What went worst is the outcome.
    async fn act(&mut self, snapshot: &Snapshot, actions: &[Action], now: Timestamp) -> Outcome {
        let (mut wrote, mut conflict, mut braked, mut failed) = (false, false, None, None);
        for action in actions {
            let object = object_of(action);
            let at = self.started.elapsed();
            if let Some(wait) = self.brakes.of(object).wait(at) {
                braked = Some(braked.map_or(wait, |least: Duration| least.min(wait)));
                continue;
            }
            let written = match self.write(snapshot, action, now).await {
                Ok(()) => {
                    self.brakes.of(object).note(at);
                    wrote = true;
                    Written::Success
                }
                Err(WriteError::Call(error))
                    if error.is_conflict() && self.conflicts < CONFLICTS =>
                {
                    conflict = true;
                    Written::Conflict
                }
                Err(error) => {
                    failed = Some(error.to_string());
                    Written::Failure
                }
            };
            self.status.wrote(object, written);
        }
        self.conflicts = if conflict { self.conflicts + 1 } else { 0 };
        if let Some(failure) = failed {
            return Outcome::Failed(failure);
        }
        self.backoff.reset();
        self.status.succeeded();
        match braked {
            _ if conflict => Outcome::Conflict,
            _ if wrote => Outcome::Wrote,
            Some(wait) => Outcome::Braked(wait),
            None => Outcome::InOrder,
        }
    }

    async fn write(
        &self,
        snapshot: &Snapshot,
        action: &Action,
        now: Timestamp,
    ) -> Result<(), WriteError> {
        let Names { ca_secret, tls_secret, registration, .. } = &self.names;
        match action {
            Action::AdoptPrevious(_) | Action::DropPrevious | Action::MakeAuthority { .. } => {
                let Some(ca) = snapshot.ca_after(action, self.times, now)? else { return Ok(()) };
                self.objects.write_secret(ca_secret, &snapshot.ca, &ca).await?;
                let newest = ca.newest.certificate().id();
                info!(secret = ca_secret, ca = %newest, older = ca.previous.len(), "CA Secret written: {}", purpose(action));
            }
            Action::IssueLeaf(issuer) => {
                let Some(signer) = snapshot.signer(*issuer) else { return Ok(()) };
                let leaf = signer.issue(&self.names.dns(), now, self.times.leaf_life())?;
                let content = TlsContent { leaf: &leaf, issuer: signer.certificate() };
                self.objects.write_secret(tls_secret, &snapshot.tls, &content).await?;
                let expires = time::date(leaf.validity().not_after);
                info!(secret = tls_secret, ca = %content.issuer.id(), expires, "TLS Secret written: a new certificate");
            }
            Action::Publish => {
                let (Some(entries), Some(ca)) = (&snapshot.entries, snapshot.ca.usable()) else {
                    return Ok(());
                };
                self.objects.patch_registration(entries.patch(&ca.bundle())).await?;
                let cas = ca.previous.len() + 1;
                info!(registration, cas, "caBundle written");
            }
        }
        Ok(())
    }
}

// === impl Brakes ===

impl Brakes {
    fn of(&mut self, object: Object) -> &mut Brake {
        match object {
            Object::Ca => &mut self.ca,
            Object::Registration => &mut self.registration,
            Object::Serving => &mut self.serving,
        }
    }
}

fn object_of(action: &Action) -> Object {
    match action {
        Action::AdoptPrevious(_) | Action::DropPrevious | Action::MakeAuthority { .. } => {
            Object::Ca
        }
        Action::IssueLeaf(_) => Object::Serving,
        Action::Publish => Object::Registration,
    }
}

fn purpose(action: &Action) -> &'static str {
    match action {
        Action::AdoptPrevious(_) => "keeps a CA that is still in use",
        Action::DropPrevious => "the old CA is no longer needed",
        Action::MakeAuthority { .. } => "a new CA",
        Action::IssueLeaf(_) | Action::Publish => "",
    }
}
