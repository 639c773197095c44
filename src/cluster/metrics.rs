//! What a process counts of its watches.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// The metrics of watches, by what is watched.
#[derive(Debug, Clone)]
pub struct Watches {
    connected: Family<ResourceLabel, Gauge>,
    restarts: Family<ResourceLabel, Counter>,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResourceLabel {
    resource: &'static str,
}

// === impl Watches ===

impl Watches {
    /// The series of these resources exist from the start, so that an alert sees the first event.
    pub fn register(registry: &mut Registry, resources: &[&'static str]) -> Self {
        let watches = Self { connected: Family::default(), restarts: Family::default() };
        for &resource in resources {
            watches.expect(resource);
        }
        registry.register(
            "watch_restarts",
            "Watches that failed and were restarted, by what is watched",
            watches.restarts.clone(),
        );
        registry.register(
            "watch_connected",
            "1 while the watch is established, by what is watched",
            watches.connected.clone(),
        );
        watches
    }

    /// The series of this resource exist from now on.
    pub fn expect(&self, resource: &'static str) {
        let label = ResourceLabel { resource };
        drop(self.connected.get_or_create(&label));
        drop(self.restarts.get_or_create(&label));
    }

    /// Records that a watch is established.
    pub fn connected(&self, resource: &'static str) {
        self.connected.get_or_create(&ResourceLabel { resource }).set(1);
    }

    /// Counts a watch that failed.
    pub fn failed(&self, resource: &'static str) {
        let label = ResourceLabel { resource };
        self.restarts.get_or_create(&label).inc();
        self.connected.get_or_create(&label).set(0);
    }
}
