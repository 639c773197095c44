//! The text formats of metrics, and the metrics that every process has.

use std::{collections::HashMap, fmt};

use prometheus_client::{
    encoding::text,
    metrics::{counter::Counter, info::Info},
    registry::Registry,
};

/// A registry with the version and the dropped log lines of the process.
#[must_use]
pub fn process_registry(dropped_log_lines: Counter) -> Registry {
    let mut registry = Registry::with_prefix("pullcred");
    let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "The running version", version);
    registry.register(
        "log_lines_dropped",
        "Log lines dropped because their sink was too slow",
        dropped_log_lines,
    );
    registry
}

/// A registry's metrics, in the OpenMetrics text format.
///
/// # Errors
///
/// [`fmt::Error`] from the encoder.
pub fn encode(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    text::encode(&mut text, registry)?;
    Ok(text)
}

/// The same metrics in the text format of Prometheus, version 0.0.4, from their OpenMetrics form.
///
/// The formats differ in what describes a family: here it has the full name of its samples, an `info` is a gauge, and there is neither
/// a unit nor an end mark (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
#[must_use]
pub fn text_format(openmetrics: &str) -> String {
    let kind = |line: &str| {
        let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
        Some((name.to_owned(), kind.to_owned()))
    };
    let kinds: HashMap<String, String> = openmetrics.lines().filter_map(kind).collect();
    let mut text = String::with_capacity(openmetrics.len());
    for line in openmetrics.lines() {
        let Some(comment) = line.strip_prefix("# ") else {
            text.extend([line, "\n"]);
            continue;
        };
        let mut words = comment.splitn(3, ' ');
        let (Some(keyword), Some(name), Some(rest)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        let (ending, type_of) = match kinds.get(name).map_or("", String::as_str) {
            "counter" => ("_total", "counter"),
            "info" => ("_info", "gauge"),
            "unknown" => ("", "untyped"),
            other => ("", other),
        };
        match keyword {
            "HELP" => text.extend(["# HELP ", name, ending, " ", rest, "\n"]),
            "TYPE" => text.extend(["# TYPE ", name, ending, " ", type_of, "\n"]),
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_format_names_families_as_their_samples() {
        let openmetrics = "\
# HELP pullcred_build The running version.
# TYPE pullcred_build info
pullcred_build_info{version=\"1\"} 1
# HELP a_seconds Times, in seconds.
# TYPE a_seconds gauge
# UNIT a_seconds seconds
a_seconds 1
# HELP b Counts.
# TYPE b counter
b_total{x=\"# TYPE b gauge\"} 2
# EOF
";
        let expected = "\
# HELP pullcred_build_info The running version.
# TYPE pullcred_build_info gauge
pullcred_build_info{version=\"1\"} 1
# HELP a_seconds Times, in seconds.
# TYPE a_seconds gauge
a_seconds 1
# HELP b_total Counts.
# TYPE b_total counter
b_total{x=\"# TYPE b gauge\"} 2
";
        assert_eq!(text_format(openmetrics), expected);
    }
}
