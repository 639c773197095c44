//! What an audit counts.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::super::metrics::durations;

/// The metrics of the audit of Pods.
#[derive(Debug, Clone)]
pub struct AuditMetrics {
    without: Gauge,
    failing: Gauge,
    seconds: Histogram,
    audits: Family<ResultLabel, Counter>,
}

/// How the audit of a namespace ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audited {
    /// Its Pods were counted.
    Success,
    /// pullcred may not list them.
    Denied,
    /// The API server did not give all of them.
    Failure,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

// === impl AuditMetrics ===

impl AuditMetrics {
    /// Makes them, and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            without: Gauge::default(),
            failing: Gauge::default(),
            seconds: durations(),
            audits: Family::default(),
        };
        for audited in [Audited::Success, Audited::Denied, Audited::Failure] {
            drop(metrics.audits.get_or_create(&audited.label()));
        }
        registry.register(
            "pods_without_secret",
            "Pods that lack a Secret which they would get if they were created now, by the last audit of each namespace",
            metrics.without.clone(),
        );
        registry.register(
            "pods_image_failing",
            "Pods that wait for an image which a registry does not give them, by the last audit of each namespace",
            metrics.failing.clone(),
        );
        registry.register_with_unit(
            "audit",
            "How long the audit of a namespace took",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        registry.register(
            "audits",
            "Audits of the Pods of a namespace, by result",
            metrics.audits.clone(),
        );
        metrics
    }

    pub(super) fn audited(&self, audited: Audited, seconds: f64) {
        self.audits.get_or_create(&audited.label()).inc();
        if audited == Audited::Success {
            self.seconds.observe(seconds);
        }
    }

    pub(super) fn pods(&self, without: i64, failing: i64) {
        self.without.set(without);
        self.failing.set(failing);
    }
}

// === impl Audited ===

impl Audited {
    fn label(self) -> ResultLabel {
        let result = match self {
            Self::Success => "success",
            Self::Denied => "denied",
            Self::Failure => "failure",
        };
        ResultLabel { result }
    }
}
