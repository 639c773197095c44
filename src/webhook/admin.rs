//! The admin port of a webhook.

use std::{fmt, sync::Arc};

use tokio::sync::watch;

use super::{
    metrics::Metrics,
    sources::{InForce, Source},
};
use crate::{
    http::{
        admin::{Check, Report},
        connections::Phase,
    },
    pki::{served::ServedCertificate, time},
};

/// The state that the admin port of a webhook shows.
#[derive(Debug)]
pub struct Admin {
    /// The phase of the shutdown.
    pub phase: watch::Receiver<Phase>,
    /// The serving certificate. It must be valid for the process to be ready.
    pub served: Arc<ServedCertificate>,
    /// The mapping and the certificate in force.
    pub in_force: Arc<InForce>,
    /// The metrics of the process.
    pub metrics: Arc<Metrics>,
}

// === impl Admin ===

impl Report for Admin {
    fn checks(&self) -> Vec<Check> {
        let certificate = note(self.in_force.certificate());
        let not_valid = self.served.current().check_validity(time::now()).err();
        let no_mapping = self.in_force.config().loaded.is_empty();
        let serving = *self.phase.borrow() == Phase::Serving;
        vec![
            Check {
                name: "serving",
                failure: (!serving).then(|| "shutting down".to_owned()),
                note: "in service".to_owned(),
            },
            Check {
                name: "mapping",
                failure: no_mapping.then(|| note(self.in_force.config())),
                note: note(self.in_force.config()),
            },
            Check {
                name: "certificate",
                failure: not_valid.map(|error| format!("{error}; {certificate}")),
                note: certificate,
            },
        ]
    }

    fn metrics(&self) -> Result<String, fmt::Error> {
        self.metrics.encode()
    }
}

/// A process with an older mapping or certificate in force is ready, but the note says so.
fn note(source: Source) -> String {
    match source.problem {
        None => source.loaded,
        Some(problem) if source.loaded.is_empty() => problem,
        Some(problem) => format!("{}; not in force: {problem}", source.loaded),
    }
}
