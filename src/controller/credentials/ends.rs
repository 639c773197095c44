//! What the outside sees of the ends of logins that people keep: a metric, log lines and Events.

use std::collections::BTreeMap;

use tracing::{info, warn};

use super::{
    events::Notice,
    mint::report::FetchMetrics,
    state::{Expiry, Logins},
};
use crate::core::{
    expiry::Phase,
    rules::{LoginName, SecretName},
};

/// The ends that the metric has, in seconds since the Unix epoch.
#[derive(Debug, Default)]
pub(super) struct Ends(BTreeMap<String, i64>);

// === impl Ends ===

impl Ends {
    /// Takes over when logins end.
    pub(super) fn show(&mut self, logins: &Logins, metrics: &FetchMetrics) {
        let ends = logins.ends().map(|(name, at)| (name.to_string(), at));
        let before = std::mem::replace(&mut self.0, ends.collect());
        for name in before.keys().filter(|name| !self.0.contains_key(*name)) {
            metrics.has_no_end(name);
        }
        for (name, at) in &self.0 {
            metrics.ends(name, *at);
        }
    }
}

/// Logs that a login ends soon or has ended, or no longer does, and makes of it what people should hear of.
pub(super) fn say(name: &LoginName, secret: &SecretName, expiry: &Expiry) -> Option<Notice> {
    let (login, until) = (name.as_str(), expiry.until());
    match expiry.phase() {
        Phase::Fresh => info!(login, until, "the login no longer ends soon"),
        Phase::EndsSoon => warn!(login, until, "the login ends soon: renew it"),
        Phase::Ended => {
            warn!(login, until, "the login has ended: its Secrets stay, and pulls fail");
        }
    }
    Notice::of_end(name, secret, expiry.phase(), &until)
}
