//! Metrics as the admin port shows them, and those that every process has.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{counter::ConstCounter, info::Info},
    registry::Registry,
};
use tracing_appender::non_blocking::ErrorCounter;

/// Log lines that were dropped because their sink was too slow.
#[derive(Debug)]
struct DroppedLogLines(ErrorCounter);

/// A registry with what every process reports of itself; `dropped_log_lines` is read at each scrape.
#[must_use]
pub fn process_registry(dropped_log_lines: ErrorCounter) -> Registry {
    let mut registry = Registry::with_prefix("pullcred");
    let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "The running version", version);
    registry.register_collector(Box::new(DroppedLogLines(dropped_log_lines)));
    registry
}

/// A registry's metrics, in the OpenMetrics text format.
///
/// # Errors
///
/// Those of the formatter.
pub fn encode(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    text::encode(&mut text, registry)?;
    Ok(text)
}

// === impl DroppedLogLines ===

impl Collector for DroppedLogLines {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let dropped = ConstCounter::new(self.0.dropped_lines() as u64);
        let descriptor = encoder.encode_descriptor(
            "log_lines_dropped",
            "Log lines dropped because their sink was too slow",
            None,
            dropped.metric_type(),
        )?;
        dropped.encode(descriptor)
    }
}
