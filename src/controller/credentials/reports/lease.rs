//! The Lease: it is renewed only while the reports can be trusted.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Reports, Work};
use crate::cluster::CallError;

/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(10);
/// How soon it is tried again where the reports are late.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// When the Lease is renewed.
#[derive(Debug)]
pub(super) struct Renewal {
    next: Instant,
    under_way: bool,
}

// === impl Renewal ===

impl Renewal {
    pub(super) fn new(now: Instant) -> Self {
        Self { next: now, under_way: false }
    }
}

// === impl Reports ===

impl Reports {
    /// Renews the Lease if it is time, and if `is_live` says that all is known that reports are made of. Answers when it is
    /// time again.
    pub(in super::super) fn renew(&mut self, is_live: bool, now: Instant) -> Option<Instant> {
        if self.renewal.under_way || !is_live {
            return None;
        }
        if self.renewal.next <= now && !self.is_up_to_date(now) {
            self.renewal.next = now + LOOK_AGAIN;
        }
        if self.renewal.next <= now {
            self.renewal = Renewal { next: now + RENEW, under_way: true };
            let objects = Arc::clone(&self.objects);
            self.work.push(Box::pin(async move { Work::Renewed(objects.renew().await) }));
        }
        Some(self.renewal.next)
    }

    pub(super) fn renewed(&mut self, error: Option<&CallError>) {
        self.renewal.under_way = false;
        self.status.lease_renewed(error);
    }
}
