//! What the controller asked the API server for, by the audit log of its user.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;

use crate::control_plane::Options;

const LOG: &str = "audit.log";

/// The audit log of one user.
pub(super) struct AuditLog(PathBuf);

/// A place in the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark(u64);

/// Requests that have been answered.
#[derive(Debug)]
pub(super) struct Requests(Vec<Request>);

#[derive(Debug, Deserialize)]
struct Request {
    stage: String,
    verb: String,
    #[serde(rename = "requestURI")]
    uri: String,
    #[serde(rename = "requestReceivedTimestamp")]
    received: Timestamp,
}

// === impl AuditLog ===

impl AuditLog {
    /// Has the API server write down the requests of one ServiceAccount, without their bodies.
    pub(super) fn of_user(
        options: Options,
        folder: &Path,
        namespace: &str,
        account: &str,
    ) -> Result<Options> {
        let policy = folder.join("audit-policy.yaml");
        let user = format!("system:serviceaccount:{namespace}:{account}");
        fs::write(
            &policy,
            format!(
                "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n\
                 - {{level: Metadata, users: ['{user}']}}\n- {{level: None}}\n"
            ),
        )?;
        let log: OsString = folder.join(LOG).into();
        Ok(options.api_server("--audit-policy-file", policy).api_server("--audit-log-path", log))
    }

    pub(super) fn in_folder(folder: &Path) -> Self {
        Self(folder.join(LOG))
    }

    /// Where the log ends now.
    pub(super) fn mark(&self) -> Mark {
        Mark(fs::metadata(&self.0).map_or(0, |it| it.len()))
    }

    /// The requests since then. A watch counts when it begins.
    pub(super) fn since(&self, mark: Mark) -> Result<Requests> {
        let mut file = File::open(&self.0)?;
        file.seek(SeekFrom::Start(mark.0))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let mut requests = Vec::new();
        for line in text.lines() {
            let request: Request = serde_json::from_str(line).context("the audit log")?;
            let stage =
                if request.verb == "watch" { "ResponseStarted" } else { "ResponseComplete" };
            if request.stage == stage {
                requests.push(request);
            }
        }
        Ok(Requests(requests))
    }
}

// === impl Requests ===

impl Requests {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many of them were to change something.
    pub(super) fn writes(&self) -> usize {
        self.0.iter().filter(|it| it.changes()).count()
    }

    /// The same of objects whose paths begin so.
    pub(super) fn writes_of(&self, path: &str) -> usize {
        self.0.iter().filter(|it| it.changes() && it.uri.starts_with(path)).count()
    }

    /// How many of them read what is at paths that end so.
    pub(super) fn reads_of(&self, end: &str) -> usize {
        let ends = |it: &Request| it.uri.split('?').next().is_some_and(|it| it.ends_with(end));
        self.0.iter().filter(|it| !it.changes() && ends(it)).count()
    }

    /// From a moment to the last request.
    pub(super) fn last_after(&self, begin: Timestamp) -> Duration {
        let last = self.0.iter().map(|it| it.received).max().unwrap_or(begin);
        Duration::try_from(last.duration_since(begin)).unwrap_or_default()
    }

    /// The requests in short, for the message of a failure.
    pub(super) fn to_text(&self) -> String {
        let line = |it: &Request| format!("{} {}", it.verb, it.uri);
        self.0.iter().take(20).map(line).collect::<Vec<_>>().join("\n")
    }
}

impl Request {
    fn changes(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }
}
