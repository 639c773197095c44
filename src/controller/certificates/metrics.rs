//! The metrics of the certificate controller. Every series exists from the start, so that an alert sees the first event.

use std::fmt;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::plan::Validity;
use crate::{
    cluster::Watches,
    controller::metrics::Written,
    http::exposition::{encode, process_registry},
};

/// The metrics of a controller process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    writes: Family<WriteLabels, Counter>,
    expiry: Family<KindLabel, Gauge>,
    not_before: Family<KindLabel, Gauge>,
    rotating: Gauge,
    watches: Watches,
    errors: Counter,
    successful: Gauge,
    last_success: Gauge,
    present: Gauge,
    trusts_ca: Gauge,
}

/// One of the three objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Object {
    /// The CA Secret.
    Ca,
    /// The TLS Secret.
    Serving,
    /// The webhook configuration.
    WebhookConfiguration,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WriteLabels {
    object: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

/// The state that a reconciliation read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// The validity of the newest CA; `None` without a usable CA Secret.
    pub ca: Option<Validity>,
    /// The validity of the leaf; `None` without a usable TLS Secret.
    pub leaf: Option<Validity>,
    /// Whether the CA Secret still has an old CA.
    pub rotating: bool,
    /// Whether the webhook configuration exists and has a webhook of ours.
    pub present: bool,
    /// Whether every `caBundle` of ours holds the newest CA.
    pub trusts_ca: bool,
}

impl Metrics {
    /// The metrics of a process that has just started.
    #[must_use]
    pub fn new(dropped_log_lines: Counter) -> Self {
        let mut registry = process_registry(dropped_log_lines);
        let watches = Watches::register(&mut registry, &Object::ALL.map(Object::as_str));
        let mut metrics = Self {
            registry,
            writes: Family::default(),
            expiry: Family::default(),
            not_before: Family::default(),
            rotating: Gauge::default(),
            watches,
            errors: Counter::default(),
            successful: Gauge::default(),
            last_success: Gauge::default(),
            present: Gauge::default(),
            trusts_ca: Gauge::default(),
        };
        metrics.create_series();
        metrics.register_certificates();
        metrics.register_reconciliation();
        metrics
    }

    fn create_series(&self) {
        for object in Object::ALL.map(Object::as_str) {
            for result in Written::ALL {
                drop(self.writes.get_or_create(&WriteLabels { object, result: result.as_str() }));
            }
        }
    }

    fn register_certificates(&mut self) {
        let certificate = self.registry.sub_registry_with_prefix("certificate");
        certificate.register(
            "writes",
            "Writes to the Secrets and to the webhook configuration's caBundle, by object and result",
            self.writes.clone(),
        );
        certificate.register_with_unit(
            "expiry_timestamp",
            "When the CA and the serving certificate in the Secrets expire, since the epoch",
            Unit::Seconds,
            self.expiry.clone(),
        );
        certificate.register_with_unit(
            "not_before_timestamp",
            "When the CA and the serving certificate in the Secrets begin to be valid, since the epoch",
            Unit::Seconds,
            self.not_before.clone(),
        );
        certificate.register(
            "rotation_in_progress",
            "1 while an old CA is still trusted beside the new one",
            self.rotating.clone(),
        );
    }

    fn register_reconciliation(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "reconcile_errors",
            "Reconciliations in which an object could not be read, or a write was refused",
            self.errors.clone(),
        );
        registry.register(
            "last_reconcile_successful",
            "1 if everything was read, and is in order",
            self.successful.clone(),
        );
        registry.register_with_unit(
            "reconcile_last_success_timestamp",
            "When everything was last read, written and in order, since the epoch",
            Unit::Seconds,
            self.last_success.clone(),
        );
        registry.register(
            "webhook_configuration_present",
            "1 if there is a webhook configuration that calls the webhook",
            self.present.clone(),
        );
        registry.register(
            "webhook_configuration_trusts_ca",
            "1 if every caBundle that calls the webhook holds the newest CA",
            self.trusts_ca.clone(),
        );
    }

    /// Counts a write.
    pub fn wrote(&self, object: Object, written: Written) {
        let label = WriteLabels { object: object.as_str(), result: written.as_str() };
        self.writes.get_or_create(&label).inc();
    }

    /// The metrics of the watches.
    #[must_use]
    pub fn watches(&self) -> &Watches {
        &self.watches
    }

    /// Counts a reconciliation that failed.
    pub fn failed(&self) {
        self.errors.inc();
        self.successful.set(0);
    }

    /// Records that everything is in order at `now`, in seconds since the epoch.
    pub fn in_order(&self, now: i64) {
        self.successful.set(1);
        self.last_success.set(now);
    }

    /// Records what a reconciliation read.
    pub fn read(&self, seen: &Seen) {
        self.rotating.set(seen.rotating.into());
        self.present.set(seen.present.into());
        self.trusts_ca.set(seen.trusts_ca.into());
        for (object, validity) in [(Object::Ca, seen.ca), (Object::Serving, seen.leaf)] {
            let label = KindLabel { kind: object.as_str() };
            if let Some(validity) = validity {
                self.expiry.get_or_create(&label).set(validity.not_after);
                self.not_before.get_or_create(&label).set(validity.not_before);
            } else {
                self.expiry.remove(&label);
                self.not_before.remove(&label);
            }
        }
    }

    /// The metrics in the OpenMetrics text format.
    ///
    /// # Errors
    ///
    /// [`fmt::Error`] from the encoder.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        encode(&self.registry)
    }
}

// === impl Object ===

impl Object {
    /// All objects.
    pub const ALL: [Self; 3] = [Self::Ca, Self::Serving, Self::WebhookConfiguration];

    /// The name in labels and log lines.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ca => "ca",
            Self::Serving => "serving",
            Self::WebhookConfiguration => "webhook-configuration",
        }
    }
}
