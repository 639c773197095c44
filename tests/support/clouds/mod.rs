//! The clouds that give logins, in this process: each checks what it is sent as the real one does, and refuses the rest.
//!
//! They verify the signatures of tokens against public keys, recompute the signatures of requests from what came, check
//! audiences, subjects, dates and nonces, and hand out logins that end. They know nothing of the code under test.
#![allow(dead_code, reason = "each target compiles all of it and uses a part")]

pub(crate) mod aliyun;
pub(crate) mod aws;
pub(crate) mod azure;
pub(crate) mod github;
pub(crate) mod google;
pub(crate) mod identity;
pub(crate) mod proxy;
mod server;
mod signed;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

pub(crate) use self::server::{Authority, Received, Reply, Server};

/// A cloud's clock, which may differ from ours, and the logins that it gave.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Inner>);

#[derive(Default)]
struct Inner {
    ahead: AtomicI64,
    life: AtomicI64,
    count: AtomicU64,
    issued: Mutex<Vec<Issued>>,
}

/// What a cloud handed out. Nothing of it may be in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Issued {
    pub(crate) user: String,
    pub(crate) password: String,
    /// Who got it, such as a role's name.
    pub(crate) to: String,
    pub(crate) expires_at: i64,
}

// === impl Ledger ===

impl Ledger {
    /// The time by the cloud's clock.
    pub(crate) fn now(&self) -> i64 {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        i64::try_from(now).unwrap() + self.0.ahead.load(Ordering::Relaxed)
    }

    /// Sets the cloud's clock ahead of ours by so many seconds.
    pub(crate) fn set_ahead(&self, seconds: i64) {
        self.0.ahead.store(seconds, Ordering::Relaxed);
    }

    /// Has logins live for so many seconds, and no longer for the cloud's own time.
    pub(crate) fn set_life(&self, seconds: i64) {
        self.0.life.store(seconds, Ordering::Relaxed);
    }

    /// How long a login lives that would live for `usual` seconds.
    pub(crate) fn life(&self, usual: i64) -> i64 {
        match self.0.life.load(Ordering::Relaxed) {
            0 => usual,
            life => life,
        }
    }

    /// A text that was not used before, and looks like nothing else.
    pub(crate) fn unique(&self, kind: &str) -> String {
        let count = self.0.count.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [0; 12];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes).unwrap();
        format!("{kind}{count}{}", signed::hex(&bytes))
    }

    /// Notes a login, which is secret from then on.
    pub(crate) fn issue(&self, issued: Issued) {
        self.0.issued.lock().unwrap().push(issued);
    }

    /// All that was handed out so far.
    pub(crate) fn issued(&self) -> Vec<Issued> {
        self.0.issued.lock().unwrap().clone()
    }

    /// Whether a user and a password are a login now.
    pub(crate) fn admits(&self, user: &str, password: &str) -> bool {
        let now = self.now();
        let is = |it: &Issued| it.user == user && it.password == password && now < it.expires_at;
        self.0.issued.lock().unwrap().iter().any(is)
    }
}
