//! What the outside sees of checks: metrics, log lines and Events. Nothing of a login is in any of them.

use std::sync::Arc;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::{
    board::Health,
    job::Try,
    plan::Plan,
    schedule::{Trial, seconds},
};
use crate::{
    cluster::CallError,
    controller::credentials::{events::Notice, metrics::LoginLabel},
    core::{
        copies::ACCEPT,
        reports::{HealthVerdict, LoginHealth},
        rules::{LoginName, SecretName},
    },
    errors::with_causes,
};

/// The metrics of checks.
#[derive(Debug, Clone, Default)]
pub struct HealthMetrics {
    health: Family<VerdictLabels, Gauge>,
    checks: Family<VerdictLabel, Counter>,
    held: Family<LoginLabel, Gauge>,
    checked: Family<LoginLabel, Gauge>,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VerdictLabels {
    login: String,
    verdict: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VerdictLabel {
    verdict: &'static str,
}

/// What checks report.
pub(super) struct Report {
    metrics: HealthMetrics,
    notices: mpsc::Sender<Notice>,
    namespace: Arc<str>,
}

const VERDICTS: [(HealthVerdict, &str); 6] = [
    (HealthVerdict::Accepted, "Accepted"),
    (HealthVerdict::NotVisible, "NotVisible"),
    (HealthVerdict::RateLimited, "RateLimited"),
    (HealthVerdict::Unreachable, "Unreachable"),
    (HealthVerdict::Forbidden, "Forbidden"),
    (HealthVerdict::Refused, "Refused"),
];

// === impl HealthMetrics ===

impl HealthMetrics {
    /// Makes them, and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "login_health",
            "1 for what the registries say of a login, 0 for what they do not",
            metrics.health.clone(),
        );
        registry.register(
            "health_checks",
            "Answers of registries to checks of logins, by what they say",
            metrics.checks.clone(),
        );
        registry.register(
            "login_held",
            "1 while no copy is written from the login's content, since a registry refuses it or was not asked yet",
            metrics.held.clone(),
        );
        registry.register_with_unit(
            "login_checked_timestamp",
            "When the registries of a login were asked last",
            Unit::Seconds,
            metrics.checked.clone(),
        );
        metrics
    }

    /// Counts checks from now on.
    pub fn start(&self) {
        for (_, verdict) in VERDICTS {
            drop(self.checks.get_or_create(&VerdictLabel { verdict }));
        }
    }

    /// What is known of a login.
    pub fn set(&self, login: &str, record: Option<&LoginHealth>, held: bool) {
        let is = record.and_then(|it| it.verdict);
        for (of, verdict) in VERDICTS {
            let labels = VerdictLabels { login: login.to_owned(), verdict };
            self.health.get_or_create(&labels).set(i64::from(is == Some(of)));
        }
        let label = LoginLabel::new(login);
        self.held.get_or_create(&label).set(i64::from(held));
        if let Some(at) = record.and_then(|it| seconds(&it.checked_at)) {
            self.checked.get_or_create(&label).set(at);
        }
    }

    fn forget(&self, login: &str) {
        for (_, verdict) in VERDICTS {
            self.health.remove(&VerdictLabels { login: login.to_owned(), verdict });
        }
        let label = LoginLabel::new(login);
        self.held.remove(&label);
        self.checked.remove(&label);
    }

    fn count(&self, of: HealthVerdict) {
        if let Some((_, verdict)) = VERDICTS.into_iter().find(|(it, _)| *it == of) {
            self.checks.get_or_create(&VerdictLabel { verdict }).inc();
        }
    }
}

// === impl Report ===

impl Report {
    pub(super) fn new(
        metrics: HealthMetrics,
        notices: mpsc::Sender<Notice>,
        namespace: Arc<str>,
    ) -> Self {
        metrics.start();
        Self { metrics, notices, namespace }
    }

    pub(super) fn show(&self, login: &LoginName, health: Option<&Health>) {
        match health {
            Some(Health { trial, record, .. }) => {
                self.metrics.set(login.as_str(), record.as_ref(), *trial != Trial::Passed);
            }
            None => self.metrics.forget(login.as_str()),
        }
    }

    /// A try of this process has ended.
    pub(super) fn tried(&self, plan: &Plan, tried: &Try) {
        let Try { before, record, said } = tried;
        for (_, verdict) in said {
            self.metrics.count(*verdict);
        }
        let login = plan.login.as_str();
        let refusing = said.iter().filter(|(_, it)| *it == HealthVerdict::Refused);
        let refusing = refusing.map(|(host, _)| &**host).collect::<Vec<_>>().join(", ");
        let before = before.as_ref();
        let same = before.filter(|it| it.content == record.content);
        let is_refused = |it: &LoginHealth| it.verdict == Some(HealthVerdict::Refused);
        let next = record.next_check_at.as_deref().unwrap_or_default();
        if record.held && same.is_none_or(|it| !it.held) {
            warn!(
                login,
                registries = refusing,
                "a registry refuses the changed login: it is not copied"
            );
            self.notify(Notice::held_back(&plan.secret, &format!(
                "login {login}: {refusing} refuses what has changed, so copies stay as they are; it is tried again at {next}. \
                 {}", to_copy(&self.namespace, &plan.secret, &record.content),
            )));
        } else if is_refused(record) && !same.is_some_and(is_refused) {
            let copies = if record.held { "no copy is written from it" } else { "its copies stay" };
            warn!(login, registries = refusing, "a registry refuses the login");
            self.notify(Notice::login_refused(&plan.secret, &format!(
                "login {login}: {refusing} refuses it, also at a second try: {copies}; it is tried again at {next}"
            )));
        } else if record.refusals == 0 && before.is_some_and(|it| it.held || is_refused(it)) {
            info!(login, "the registries take the login again");
            self.notify(Notice::login_accepted(
                &plan.secret,
                &format!("login {login}: its registries take it again"),
            ));
        }
    }

    fn notify(&self, notice: Notice) {
        // Where Events cannot be written as fast, the log and the report have it all the same.
        let _ = self.notices.try_send(notice);
    }
}

/// What lets a content be copied that a registry refuses.
pub(in super::super) fn to_copy(namespace: &str, secret: &SecretName, content: &str) -> String {
    format!(
        "To copy it all the same: kubectl -n {namespace} annotate --overwrite secret {secret} {ACCEPT}={content}"
    )
}

/// A content is copied that could not be tried in time.
pub(super) fn untried(login: &LoginName) {
    warn!(
        login = login.as_str(),
        "the changed login could not be tried in time: it is copied all the same"
    );
}

/// A check cannot be recorded, so none is made.
pub(super) fn unrecorded(login: &LoginName, error: Option<&CallError>) {
    let error = error.map_or_else(
        || {
            "the definition of LoginReports is older than this version: apply the chart's"
                .to_owned()
        },
        |error| with_causes(error),
    );
    warn!(login = login.as_str(), error, "no check can be recorded, so the login is not tried");
}
