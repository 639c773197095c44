//! What the credentials controller counts. Every series exists from the start, so that an alert sees the first event.

use std::{collections::BTreeMap, fmt};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use super::{
    audit::metrics::AuditMetrics,
    health::report::HealthMetrics,
    mint::report::FetchMetrics,
    plan::Step,
    sources::Resource,
    state::{Counts, LoginOverview},
};
use crate::{
    cluster::Watches,
    controller::metrics::Written,
    core::{
        reports::{LOGIN_REPORT, PULL_SECRET_REPORT},
        rules::LoginName,
    },
    http::exposition::{encode, process_registry},
};

/// The metrics of a credentials controller.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    copies: Family<StateLabel, Gauge>,
    writes: Family<WriteLabels, Counter>,
    latency: Histogram,
    queue: Gauge,
    oldest: Gauge,
    held: Gauge,
    usable: Family<LoginLabel, Gauge>,
    namespaces: Family<LoginStateLabels, Gauge>,
    reports: Family<KindLabel, Gauge>,
    report_writes: Family<ReportWriteLabels, Counter>,
    watches: Watches,
    mapping: Gauge,
    fetching: FetchMetrics,
    health: HealthMetrics,
    audit: AuditMetrics,
}

/// What is done to a Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A copy is made.
    Create,
    /// A copy that is no longer wanted is deleted.
    Delete,
    /// A copy is written again.
    Update,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WriteLabels {
    operation: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct LoginLabel {
    login: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LoginStateLabels {
    login: String,
    state: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReportWriteLabels {
    kind: &'static str,
    result: &'static str,
}

const RESOURCES: [&str; 4] = ["copies", "logins", "mapping", "namespaces"];
/// Those that are watched only where reports are written.
const REPORTS: [&str; 2] = ["loginreports", "pullsecretreports"];
/// How far a login is in a namespace.
const LOGIN_STATES: [&str; 4] = ["wanted", "ready", "conflict", "refused"];
/// The kinds of reports, as their keys number them.
const KINDS: [&str; 2] = [LOGIN_REPORT, PULL_SECRET_REPORT];

// === impl LoginLabel ===

impl LoginLabel {
    pub(super) fn new(login: &str) -> Self {
        Self { login: login.to_owned() }
    }
}

/// A histogram of what takes from a hundredth of a second to a minute and a half.
pub(super) fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.01, 2.5, 11))
}

// === impl Metrics ===

impl Metrics {
    /// The metrics of a process that has just started.
    #[must_use]
    pub fn new(dropped_log_lines: Counter) -> Self {
        let mut registry = process_registry(dropped_log_lines);
        let watches = Watches::register(&mut registry, &RESOURCES);
        let fetching = FetchMetrics::register(&mut registry);
        let health = HealthMetrics::register(&mut registry);
        let audit = AuditMetrics::register(&mut registry);
        let mut metrics = Self {
            registry,
            copies: Family::default(),
            writes: Family::default(),
            // From a millisecond to half an hour.
            latency: Histogram::new(exponential_buckets(0.001, 2.0, 21)),
            queue: Gauge::default(),
            oldest: Gauge::default(),
            held: Gauge::default(),
            usable: Family::default(),
            namespaces: Family::default(),
            reports: Family::default(),
            report_writes: Family::default(),
            watches,
            mapping: Gauge::default(),
            fetching,
            health,
            audit,
        };
        metrics.count(Counts::default(), 0);
        for operation in [Operation::Create, Operation::Delete, Operation::Update] {
            for result in Written::ALL {
                drop(metrics.writes.get_or_create(&WriteLabels::new(operation, result)));
            }
        }
        for kind in KINDS {
            drop(metrics.reports.get_or_create(&KindLabel { kind }));
            for result in Written::ALL {
                drop(metrics.report_writes.get_or_create(&ReportWriteLabels::new(kind, result)));
            }
        }
        metrics.register();
        metrics
    }

    /// Reports are written, so they are watched.
    pub(super) fn with_reports(&self) {
        for resource in REPORTS {
            self.watches.expect(resource);
        }
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "copies",
            "Secrets that the mapping asks for, by their state",
            self.copies.clone(),
        );
        registry.register(
            "copy_writes",
            "Writes of copies, by operation and result",
            self.writes.clone(),
        );
        registry.register_with_unit(
            "copy_latency",
            "From the moment a namespace is seen to the moment a copy is in it",
            Unit::Seconds,
            self.latency.clone(),
        );
        registry.register(
            "copy_queue_namespaces",
            "Namespaces with something to write",
            self.queue.clone(),
        );
        registry.register_with_unit(
            "copy_oldest_pending",
            "For how long the namespace that waits the longest has waited",
            Unit::Seconds,
            self.oldest.clone(),
        );
        registry.register(
            "copy_deletions_held",
            "1 while deletions wait for a person, since too many copies are unwanted at once",
            self.held.clone(),
        );
        registry.register(
            "login_usable",
            "1 if the login's Secret can be read and has a login for the registries of its rules",
            self.usable.clone(),
        );
        registry.register(
            "login_namespaces",
            "Namespaces that are to have the copy of a login, by how far they are",
            self.namespaces.clone(),
        );
        registry.register(
            "reports",
            "Reports that the API server has, by their kind",
            self.reports.clone(),
        );
        registry.register(
            "report_writes",
            "Writes and deletions of reports, by their kind and result",
            self.report_writes.clone(),
        );
        registry.register(
            "config_last_reload_successful",
            "1 if the mapping in the ConfigMap is in force",
            self.mapping.clone(),
        );
    }

    pub(super) fn count(&self, counts: Counts, refused: usize) {
        let states = [
            ("ready", counts.ready),
            ("pending", counts.pending.saturating_sub(refused)),
            ("conflict", counts.conflict),
            ("login-missing", counts.waiting),
            ("refused", refused),
        ];
        for (state, count) in states {
            self.copies.get_or_create(&StateLabel { state }).set(as_gauge(count));
        }
    }

    pub(super) fn queue(&self, namespaces: usize, oldest_seconds: u64, held: bool) {
        self.queue.set(as_gauge(namespaces));
        self.oldest.set(i64::try_from(oldest_seconds).unwrap_or(i64::MAX));
        self.held.set(i64::from(held));
    }

    pub(super) fn wrote(&self, operation: Operation, written: Written) {
        self.writes.get_or_create(&WriteLabels::new(operation, written)).inc();
    }

    pub(super) fn created_after(&self, seconds: f64) {
        self.latency.observe(seconds);
    }

    /// Those of fetched logins.
    #[must_use]
    pub fn fetching(&self) -> &FetchMetrics {
        &self.fetching
    }

    /// Those of checks of logins.
    #[must_use]
    pub fn health(&self) -> &HealthMetrics {
        &self.health
    }

    /// Those of the audit of Pods.
    #[must_use]
    pub fn audit(&self) -> &AuditMetrics {
        &self.audit
    }

    /// Whether a login of the mapping can be used.
    pub fn login(&self, name: &str, usable: bool) {
        self.usable.get_or_create(&LoginLabel::new(name)).set(i64::from(usable));
        for state in LOGIN_STATES {
            drop(self.namespaces.get_or_create(&LoginStateLabels::new(name, state)));
        }
    }

    /// How far the copies of each login are.
    pub(super) fn logins(&self, logins: &BTreeMap<LoginName, LoginOverview>) {
        for (name, login) in logins {
            let there = login.ready + login.outdated;
            let counts = [login.wanted, there, login.conflict, login.refused];
            for (state, count) in LOGIN_STATES.into_iter().zip(counts) {
                let labels = LoginStateLabels::new(name.as_str(), state);
                self.namespaces.get_or_create(&labels).set(count.into());
            }
        }
    }

    pub(super) fn reports(&self, kind: usize, count: usize) {
        self.reports.get_or_create(&KindLabel { kind: KINDS[kind] }).set(as_gauge(count));
    }

    pub(super) fn report_written(&self, kind: usize, written: Written) {
        self.report_writes.get_or_create(&ReportWriteLabels::new(KINDS[kind], written)).inc();
    }

    pub(super) fn forget_logins(&self) {
        self.usable.clear();
        self.namespaces.clear();
    }

    pub(super) fn watch(&self, resource: &Resource, connected: bool) {
        let name = name_of(resource);
        if connected { self.watches.connected(name) } else { self.watches.failed(name) }
    }

    pub(super) fn mapping(&self, in_force: bool) {
        self.mapping.set(i64::from(in_force));
    }

    /// All of it, in the OpenMetrics text format.
    ///
    /// # Errors
    ///
    /// Those of the formatter.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        encode(&self.registry)
    }
}

fn name_of(resource: &Resource) -> &'static str {
    match resource {
        Resource::Copies(_) => "copies",
        Resource::Login(_) => "logins",
        Resource::LoginReports => REPORTS[0],
        Resource::NamespaceReports => REPORTS[1],
        Resource::Mapping => "mapping",
        Resource::Namespaces => "namespaces",
    }
}

fn as_gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

// === labels ===

impl LoginStateLabels {
    fn new(login: &str, state: &'static str) -> Self {
        Self { login: login.to_owned(), state }
    }
}

impl ReportWriteLabels {
    fn new(kind: &'static str, result: Written) -> Self {
        Self { kind, result: result.as_str() }
    }
}

impl WriteLabels {
    fn new(operation: Operation, result: Written) -> Self {
        Self {
            operation: match operation {
                Operation::Create => "create",
                Operation::Delete => "delete",
                Operation::Update => "update",
            },
            result: result.as_str(),
        }
    }
}

impl Operation {
    /// The operation of a step that writes.
    pub(super) fn of(step: &Step) -> Self {
        match step {
            Step::Create => Self::Create,
            Step::Collect(_) => Self::Delete,
            _ => Self::Update,
        }
    }
}
