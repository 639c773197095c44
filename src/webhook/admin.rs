//! What a webhook shows on its admin port.

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

/// What the plain port of a webhook tells of.
#[derive(Debug)]
pub struct Admin {
    /// Where the process is in its life.
    pub phase: watch::Receiver<Phase>,
    /// The certificate that clients must accept for the process to be ready.
    pub served: Arc<ServedCertificate>,
    /// What is in force.
    pub in_force: Arc<InForce>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

// === impl Admin ===

impl Report for Admin {
    fn checks(&self) -> Vec<Check> {
        let certificate = note(self.in_force.certificate());
        let not_valid = self.served.current().check_validity(time::now()).err();
        let none_yet = self.in_force.config().loaded.is_empty();
        let serving = *self.phase.borrow() == Phase::Serving;
        vec![
            Check {
                name: "serving",
                failure: (!serving).then(|| "shutting down".to_owned()),
                note: "in service".to_owned(),
            },
            Check {
                name: "mapping",
                failure: none_yet.then(|| note(self.in_force.config())),
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

/// An old mapping or certificate that is in force is good enough to be ready with, but people must be able to see it.
fn note(source: Source) -> String {
    match source.trouble {
        None => source.loaded,
        Some(trouble) if source.loaded.is_empty() => trouble,
        Some(trouble) => format!("{}; not in force: {trouble}", source.loaded),
    }
}
