//! What a controller counts.

use std::fmt;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};
use tracing_appender::non_blocking::ErrorCounter;

use crate::http::exposition::{encode, process_registry};

/// The metrics of a controller process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    writes: Family<WriteLabels, Counter>,
    expiry: Family<KindLabel, Gauge>,
    watch_restarts: Family<ResourceLabel, Counter>,
    failed_looks: Counter,
    last_look: Gauge,
    rotating: Gauge,
    registered: Gauge,
}

/// One of the three objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Object {
    /// The CA Secret.
    Ca,
    /// The registration.
    Registration,
    /// The TLS Secret.
    Serving,
}

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The object was no longer as it was read.
    Conflict,
    /// It failed.
    Failure,
    /// It is written.
    Success,
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

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResourceLabel {
    resource: &'static str,
}

impl Metrics {
    /// The metrics of a process that has just started; `dropped_log_lines` is read at each scrape.
    #[must_use]
    pub fn new(dropped_log_lines: ErrorCounter) -> Self {
        let mut metrics = Self {
            registry: process_registry(dropped_log_lines),
            writes: Family::default(),
            expiry: Family::default(),
            watch_restarts: Family::default(),
            failed_looks: Counter::default(),
            last_look: Gauge::default(),
            rotating: Gauge::default(),
            registered: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let Self {
            registry,
            writes,
            expiry,
            watch_restarts,
            failed_looks,
            last_look,
            rotating,
            registered,
        } = self;
        let certificate = registry.sub_registry_with_prefix("certificate");
        certificate.register(
            "writes",
            "Writes to the Secrets and to the registration's caBundle, by object and result",
            writes.clone(),
        );
        certificate.register_with_unit(
            "expiry_timestamp",
            "When the CA and the serving certificate in the Secrets expire, since the epoch",
            Unit::Seconds,
            expiry.clone(),
        );
        certificate.register(
            "rotation_in_progress",
            "1 while an old CA is still trusted beside the new one",
            rotating.clone(),
        );
        registry.register(
            "watch_restarts",
            "Watches that broke and were started again, by what is watched",
            watch_restarts.clone(),
        );
        registry.register(
            "failed_looks",
            "Times that the state of the cluster could not be read or not be put right",
            failed_looks.clone(),
        );
        registry.register_with_unit(
            "last_look_success_timestamp",
            "When Secrets and registration were last read, since the epoch",
            Unit::Seconds,
            last_look.clone(),
        );
        registry.register(
            "registered",
            "1 if there is a registration that calls the webhook",
            registered.clone(),
        );
    }

    /// Counts a write.
    pub fn wrote(&self, object: Object, written: Written) {
        let result = match written {
            Written::Conflict => "conflict",
            Written::Failure => "failure",
            Written::Success => "success",
        };
        self.writes.get_or_create(&WriteLabels { object: object.as_str(), result }).inc();
    }

    /// Counts a watch that broke.
    pub fn watch_restarted(&self, object: Object) {
        self.watch_restarts.get_or_create(&ResourceLabel { resource: object.as_str() }).inc();
    }

    /// Counts a look at the cluster that failed.
    pub fn look_failed(&self) {
        self.failed_looks.inc();
    }

    /// Notes what a look at the cluster at `now` showed. Times are in seconds since the epoch.
    pub fn looked(&self, now: i64, seen: &Seen) {
        self.last_look.set(now);
        self.rotating.set(seen.rotating.into());
        self.registered.set(seen.registered.into());
        for (object, expiry) in [(Object::Ca, seen.ca), (Object::Serving, seen.leaf)] {
            let label = KindLabel { kind: object.as_str() };
            match expiry {
                Some(expiry) => {
                    self.expiry.get_or_create(&label).set(expiry);
                }
                None => {
                    self.expiry.remove(&label);
                }
            }
        }
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

/// What a look at the cluster showed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// When the CA expires.
    pub ca: Option<i64>,
    /// When the leaf expires.
    pub leaf: Option<i64>,
    /// Whether an old CA is still trusted.
    pub rotating: bool,
    /// Whether there is a registration.
    pub registered: bool,
}

// === impl Object ===

impl Object {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ca => "ca",
            Self::Registration => "registration",
            Self::Serving => "serving",
        }
    }
}
