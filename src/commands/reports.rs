//! What reports say, for the commands that decide as the webhook does.

use std::{
    collections::HashSet,
    io::{self, BufRead, Write},
};

use k8s_openapi::{api::coordination::v1::Lease, jiff::Timestamp};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{
    DEFAULT_NAMESPACE, Failure, FileOrLive,
    explain::InForce,
    manifests::{ManifestError, Source, objects},
    printable::Printable,
};
use crate::{
    cluster::{CallError, Cluster, ClusterOptions, Collection, client::runtime},
    core::{
        knowledge::Knowledge,
        reports::{
            GROUP, LEASE, PULL_SECRET_REPORT, PULL_SECRET_REPORT_NAME, STALE_AFTER, VERSION,
        },
    },
    reports::{SecretsReport, secrets},
};

/// The reports at hand.
#[derive(Debug, Default)]
pub(super) struct Reports {
    known: Knowledge,
    live: Option<LiveReports>,
}

/// Those of a cluster, asked for one by one: that needs rights in the namespaces of the Pods only.
#[derive(Debug)]
struct LiveReports {
    /// The client works only within it.
    runtime: Runtime,
    cluster: Cluster,
    asked: HashSet<String>,
}

/// How old the reports of a cluster are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Age {
    Fresh,
    /// There is no Lease of those who write reports, or it was last renewed so many seconds ago.
    Stale(Option<i64>),
    /// That could not be looked at, and why.
    NotSeen(String),
}

// === impl Reports ===

impl Reports {
    /// Those that `source` names; without one, none. Objects that name no namespace are in `namespace`.
    ///
    /// # Errors
    ///
    /// Where a file or the kubeconfig cannot be read. The cluster is asked for reports later.
    pub(super) fn new(
        source: Option<&FileOrLive>,
        options: &ClusterOptions,
        namespace: Option<&str>,
        stdin: &mut dyn BufRead,
        stderr: &mut dyn Write,
    ) -> Result<Self, Failure> {
        let mut known = Knowledge::default();
        match source {
            None => Ok(Self::default()),
            Some(FileOrLive::Manifests(source)) => {
                known.set_fresh(true);
                let namespace = namespace.unwrap_or(DEFAULT_NAMESPACE);
                for source in Source::expand(std::slice::from_ref(source))? {
                    read(&source, namespace, &mut known, stdin, stderr)?;
                }
                if known.namespaces() == 0 {
                    writeln!(stderr, "no PullSecretReport found in what --reports names")?;
                }
                Ok(Self { known, live: None })
            }
            Some(FileOrLive::Live) => {
                let runtime = runtime()?;
                let (cluster, age) = runtime.block_on(async {
                    let cluster = options.connect().await?.patient();
                    let home = InForce::read(&cluster).await.namespace;
                    let age = age(&cluster, home.as_deref()).await;
                    Ok::<_, Failure>((cluster, age))
                })?;
                known.set_fresh(age.counts(stderr)?);
                let live = LiveReports { runtime, cluster, asked: HashSet::new() };
                Ok(Self { known, live: Some(live) })
            }
        }
    }

    /// Those of manifests; none where `source` names the cluster or nothing.
    ///
    /// # Errors
    ///
    /// Where a file cannot be read.
    pub(super) fn of_manifests(
        source: Option<&FileOrLive>,
        namespace: Option<&str>,
        stdin: &mut dyn BufRead,
        stderr: &mut dyn Write,
    ) -> Result<Knowledge, Failure> {
        let source = source.filter(|source| source.manifests().is_some());
        let reports = Self::new(source, &ClusterOptions::default(), namespace, stdin, stderr)?;
        Ok(reports.known)
    }

    /// What is known, in any case of `namespace`.
    ///
    /// # Errors
    ///
    /// Where the cluster does not answer.
    pub(super) fn knowledge(&mut self, namespace: &str) -> Result<Knowledge, CallError> {
        if let Some(live) = &mut self.live
            && live.asked.insert(namespace.to_owned())
        {
            live.runtime.block_on(look_up(&live.cluster, namespace, &mut self.known))?;
        }
        Ok(self.known.clone())
    }
}

// === impl Age ===

impl Age {
    /// Whether states count, as for the webhook. Says where they may not.
    pub(super) fn counts(&self, stderr: &mut dyn Write) -> io::Result<bool> {
        match self {
            Self::Fresh => return Ok(true),
            Self::Stale(Some(age)) => writeln!(
                stderr,
                "warning: the reports are stale, last renewed {age} s ago: as the webhook does, Secrets are taken for present"
            )?,
            Self::Stale(None) => writeln!(
                stderr,
                "warning: no controller has renewed reports: as the webhook does, Secrets are taken for present"
            )?,
            Self::NotSeen(why) => {
                writeln!(
                    stderr,
                    "note: whether reports are fresh could not be looked at, they are taken for it: {why}"
                )?;
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// How old the reports of a cluster are, by the Lease in pullcred's namespace `home`.
pub(super) async fn age(cluster: &Cluster, home: Option<&str>) -> Age {
    let Some(home) = home else {
        return Age::NotSeen("it is not known in which namespace pullcred is".to_owned());
    };
    let leases = Collection::of::<Lease>(Some(home));
    let lease = match cluster.get::<Lease>(&leases, LEASE).await {
        Ok(lease) => lease.and_then(|lease| lease.spec?.renew_time),
        Err(error) => return Age::NotSeen(error.reason()),
    };
    let Some(renewed) = lease else { return Age::Stale(None) };
    let now = Timestamp::now().as_second() - cluster.clock_ahead();
    match now - renewed.0.as_second() {
        age if age > STALE_AFTER.cast_signed() => Age::Stale(Some(age)),
        _ => Age::Fresh,
    }
}

/// Reads the report of a namespace, if it has one.
pub(super) async fn look_up(
    cluster: &Cluster,
    namespace: &str,
    known: &mut Knowledge,
) -> Result<(), CallError> {
    let reports = Collection::of::<SecretsReport>(Some(namespace));
    let found = cluster.get::<SecretsReport>(&reports, PULL_SECRET_REPORT_NAME).await?;
    if let Some(Ok(secrets)) = found.map(SecretsReport::into_kept) {
        known.insert(secrets);
    }
    Ok(())
}

/// Takes in the reports of a source. One that cannot be used is said, and its namespace stays unknown, as for the webhook.
fn read(
    source: &Source,
    namespace: &str,
    known: &mut Knowledge,
    stdin: &mut dyn BufRead,
    stderr: &mut dyn Write,
) -> Result<(), Failure> {
    let api_version = format!("{GROUP}/{VERSION}");
    for document in source.open(stdin)? {
        let document = document?;
        let error = |problem| ManifestError::new(source, problem);
        let value = document.value().map_err(error)?;
        for object in objects(&value, document.content_line()).map_err(error)? {
            let is_report = object.group() == GROUP && object.kind() == PULL_SECRET_REPORT;
            if !is_report || object.name() != PULL_SECRET_REPORT_NAME {
                continue;
            }
            let namespace = object.namespace().unwrap_or(namespace);
            let written = object.value().get("apiVersion").and_then(Value::as_str);
            let why = if written.is_some_and(|it| it != api_version) {
                format!("it is not of version {VERSION}")
            } else {
                match secrets(namespace, object.value().get("status").unwrap_or(&Value::Null)) {
                    Ok(secrets) => {
                        if known.insert(secrets) {
                            continue;
                        }
                        "all reports together are too large".to_owned()
                    }
                    Err(error) => error.to_string(),
                }
            };
            let namespace = Printable(namespace);
            writeln!(stderr, "warning: {source}: the report of {namespace} cannot be used: {why}")?;
        }
    }
    Ok(())
}
