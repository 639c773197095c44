//! The metrics of a webhook.
//!
//! No label has a namespace, Pod, image or Secret, so the number of series is fixed: see `docs/metrics.md`.

use std::fmt;

use axum::{body::Body, http::Response};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::{rejection::Rejection, reports};
use crate::{
    cluster::Watches,
    core::decide::Reason,
    http::{
        exposition::{encode, process_registry},
        observer::{HandshakeFailure, Observer},
    },
    pki::{time, validity::Validity},
};

/// Most answers take well under a millisecond, so the buckets start far below it. In seconds.
const DURATION_BUCKETS: [f64; 13] = [
    0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0,
    2.5,
];
/// From a small Pod to the largest body we read, in bytes.
const SIZE_BUCKETS: [f64; 9] =
    [1024.0, 4096.0, 8192.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0];

/// The metrics of a webhook process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    // The two most frequent counters, kept here to save the lookup by label.
    injected: Counter,
    nothing_matches: Counter,
    /// From the request's headers to its answer, in seconds.
    pub duration: Histogram,
    /// Requests in hand.
    pub in_flight: Gauge,
    /// Requests answered with 429.
    pub shed: Counter,
    /// Sizes of the bodies that were answered, in bytes.
    pub request_bytes: Histogram,
    /// Panics that were caught.
    pub panics: Counter,
    /// Open connections to the HTTPS port.
    pub connections: Gauge,
    /// The limit on open connections to the HTTPS port.
    pub connections_max: Gauge,
    connections_opened: Counter,
    connections_evicted: Counter,
    /// Connections that could not be accepted, for example because no file descriptor was free.
    pub accept_failures: Counter,
    handshake_failures: Family<ReasonLabel, Counter>,
    certificate_not_before: Gauge,
    certificate_expiry: Gauge,
    /// Loads of the serving certificate.
    pub certificate: Reloads,
    /// Loads of the mapping.
    pub config: Reloads,
}

/// Loads of the mapping or the certificate from its files.
#[derive(Debug, Clone, Default)]
pub struct Reloads {
    results: Family<ResultLabel, Counter>,
    last_success: Gauge,
    last_successful: Gauge,
}

/// What a webhook that follows reports knows of them.
#[derive(Debug, Clone)]
pub struct ReportMetrics {
    fresh: Gauge,
    namespaces: Gauge,
    pub(super) watches: Watches,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    result: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

const SUCCESS: ResultLabel = ResultLabel { result: "success" };
const FAILURE: ResultLabel = ResultLabel { result: "failure" };

// === impl Metrics ===

impl Metrics {
    /// The metrics of a process that has just started.
    #[must_use]
    pub fn new(dropped_log_lines: Counter) -> Self {
        let requests = Family::<RequestLabels, Counter>::default();
        let injected =
            requests.get_or_create_owned(&RequestLabels { result: "injected", reason: "" });
        let nothing_matches = requests.get_or_create_owned(&left(Reason::NothingMatches));
        let mut metrics = Self {
            registry: process_registry(dropped_log_lines),
            requests,
            injected,
            nothing_matches,
            duration: Histogram::new(DURATION_BUCKETS),
            in_flight: Gauge::default(),
            shed: Counter::default(),
            request_bytes: Histogram::new(SIZE_BUCKETS),
            panics: Counter::default(),
            connections: Gauge::default(),
            connections_max: Gauge::default(),
            connections_opened: Counter::default(),
            connections_evicted: Counter::default(),
            accept_failures: Counter::default(),
            handshake_failures: Family::default(),
            certificate_not_before: Gauge::default(),
            certificate_expiry: Gauge::default(),
            certificate: Reloads::default(),
            config: Reloads::default(),
        };
        metrics.create_series();
        metrics.register();
        metrics
    }

    /// Adds the metrics of a webhook that follows reports. Without reports there are none, since 0 would look like stale ones.
    pub fn with_reports(&mut self) -> ReportMetrics {
        let watches = Watches::register(&mut self.registry, &reports::RESOURCES);
        let metrics =
            ReportMetrics { fresh: Gauge::default(), namespaces: Gauge::default(), watches };
        let reports = self.registry.sub_registry_with_prefix("reports");
        reports.register(
            "fresh",
            "1 while what reports say of Secrets counts, 0 while it may be out of date",
            metrics.fresh.clone(),
        );
        reports.register(
            "namespaces",
            "Namespaces whose report is known",
            metrics.namespaces.clone(),
        );
        metrics
    }

    /// Creates every series with 0: `increase` does not see the first event of a series that starts with it.
    fn create_series(&self) {
        for reason in Reason::ALL {
            drop(self.requests.get_or_create(&left(reason)));
        }
        for reason in Rejection::REASONS {
            drop(self.requests.get_or_create(&refused(reason)));
        }
        for failure in [HandshakeFailure::Protocol, HandshakeFailure::TimedOut] {
            drop(self.handshake_failures.get_or_create(&failed(failure)));
        }
    }

    fn register(&mut self) {
        let Self {
            registry,
            requests,
            injected: _,
            nothing_matches: _,
            duration,
            in_flight,
            shed,
            request_bytes,
            panics,
            connections,
            connections_max,
            connections_opened,
            connections_evicted,
            accept_failures,
            handshake_failures,
            certificate_not_before,
            certificate_expiry,
            certificate,
            config,
        } = self;
        let admission = registry.sub_registry_with_prefix("admission");
        admission.register("requests", "Requests, by result and its reason", requests.clone());
        admission.register_with_unit(
            "duration",
            "From a request's headers to its answer",
            Unit::Seconds,
            duration.clone(),
        );
        admission.register("in_flight", "Requests in hand", in_flight.clone());
        admission.register(
            "shed",
            "Requests answered with 429 because a limit was reached",
            shed.clone(),
        );
        admission.register_with_unit(
            "request",
            "Sizes of the bodies that were answered",
            Unit::Bytes,
            request_bytes.clone(),
        );
        registry.register("panics", "Panics that were caught", panics.clone());
        registry.register("connections", "Open connections", connections.clone());
        registry.register(
            "connections_max",
            "The limit on open connections",
            connections_max.clone(),
        );
        registry.register("connections_opened", "Accepted connections", connections_opened.clone());
        registry.register(
            "connections_evicted",
            "Idle connections closed because the number of connections was near the limit",
            connections_evicted.clone(),
        );
        registry.register(
            "accept_failures",
            "Connections that could not be accepted",
            accept_failures.clone(),
        );
        registry.register(
            "tls_handshake_failures",
            "TLS handshakes that failed, by reason",
            handshake_failures.clone(),
        );
        registry.register_with_unit(
            "certificate_not_before_timestamp",
            "When the served certificate becomes valid, since the epoch",
            Unit::Seconds,
            certificate_not_before.clone(),
        );
        registry.register_with_unit(
            "certificate_expiry_timestamp",
            "When the served certificate expires, since the epoch",
            Unit::Seconds,
            certificate_expiry.clone(),
        );
        certificate.register(registry, "certificate");
        config.register(registry, "config");
    }

    /// Counts an answered request.
    pub fn answered(&self, left_because: Option<Reason>) {
        match left_because {
            None => self.injected.inc(),
            Some(Reason::NothingMatches) => self.nothing_matches.inc(),
            Some(reason) => self.requests.get_or_create(&left(reason)).inc(),
        };
    }

    /// Counts a request that got an HTTP error.
    pub fn refused(&self, reason: &'static str) {
        self.requests.get_or_create(&refused(reason)).inc();
    }

    /// Sets the validity of the certificate in use.
    pub fn certificate_serves(&self, validity: Validity) {
        self.certificate_not_before.set(validity.not_before);
        self.certificate_expiry.set(validity.not_after);
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

impl Observer for Metrics {
    fn opened(&self) {
        self.connections.inc();
        self.connections_opened.inc();
    }

    fn closed(&self) {
        self.connections.dec();
    }

    fn evicted(&self) {
        self.connections_evicted.inc();
    }

    fn accept_failed(&self) {
        self.accept_failures.inc();
    }

    fn handshake_failed(&self, failure: HandshakeFailure) {
        self.handshake_failures.get_or_create(&failed(failure)).inc();
    }

    fn panicked(&self) -> Response<Body> {
        self.panics.inc();
        self.refused(Rejection::Panicked.reason());
        Rejection::Panicked.into_response()
    }
}

// === impl ReportMetrics ===

impl ReportMetrics {
    /// Whether reports are fresh, and how many namespaces have one.
    pub(super) fn reports(&self, fresh: bool, namespaces: usize) {
        self.fresh.set(fresh.into());
        self.namespaces.set(i64::try_from(namespaces).unwrap_or(i64::MAX));
    }
}

fn refused(reason: &'static str) -> RequestLabels {
    RequestLabels { result: "refused", reason }
}

fn failed(failure: HandshakeFailure) -> ReasonLabel {
    let reason = match failure {
        HandshakeFailure::Protocol => "protocol",
        HandshakeFailure::TimedOut => "timed-out",
    };
    ReasonLabel { reason }
}

fn left(reason: Reason) -> RequestLabels {
    RequestLabels { result: "left", reason: reason.as_str() }
}

// === impl Reloads ===

impl Reloads {
    fn register(&self, registry: &mut Registry, name: &str) {
        for result in [&SUCCESS, &FAILURE] {
            drop(self.results.get_or_create(result));
        }
        let reloads = registry.sub_registry_with_prefix(name);
        reloads.register("reloads", "Loads, by result", self.results.clone());
        reloads.register_with_unit(
            "last_reload_success_timestamp",
            "When what is in force was loaded, since the epoch",
            Unit::Seconds,
            self.last_success.clone(),
        );
        reloads.register(
            "last_reload_successful",
            "1 while what the files hold is in force, 0 while it is not usable",
            self.last_successful.clone(),
        );
    }

    /// Counts a load that is now in force.
    pub fn succeeded(&self) {
        self.results.get_or_create(&SUCCESS).inc();
        self.last_successful.set(1);
        self.last_success.set(time::now());
    }

    /// Counts a load of content that is not usable.
    pub fn failed(&self) {
        self.results.get_or_create(&FAILURE).inc();
        self.last_successful.set(0);
    }
}
