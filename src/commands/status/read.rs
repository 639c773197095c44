//! Reads reports: page by page from a cluster, or from manifests. No more is kept than the summary keeps.

use std::{collections::HashSet, io::BufRead};

use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Options, moments,
    summary::{Freshness, Summary},
    worst::Level,
};
use crate::{
    cluster::{CallError, Cluster, Collection, Outcome, client::block_on},
    commands::{
        DEFAULT_NAMESPACE, Failure, FileOrLive,
        explain::home,
        manifests::{ManifestError, Object, Source, objects},
        reports::{self, Age},
    },
    core::reports::{
        GROUP, LEASE, LOGIN_REPORT, LoginStatus, PULL_SECRET_REPORT, PULL_SECRET_REPORT_NAME,
        PullSecretStatus, VERSION,
    },
    errors::with_causes,
    reports::{LoginReport, NamespaceReport},
};

/// What a file should have.
const AS_A_FILE: &str =
    "kubectl get loginreports,pullsecretreports,leases --all-namespaces --output yaml";

/// The summary of what `options` name, read at `now`.
///
/// # Errors
///
/// Where the cluster or a file cannot be read, and where there are no reports in it.
pub(super) fn summary(
    options: &Options,
    (now, program): (Timestamp, &'static str),
    stdin: &mut dyn BufRead,
) -> Result<Summary, Failure> {
    match &options.reports {
        FileOrLive::Live => block_on(live(options, now, program)),
        FileOrLive::Manifests(source) => manifests(source, options, (now, program), stdin),
    }
}

// === of a cluster ===

async fn live(
    options: &Options,
    now: Timestamp,
    program: &'static str,
) -> Result<Summary, Failure> {
    let cluster = options.cluster.connect().await?.patient();
    let namespace = options.namespace.as_deref();
    let mut summary = Summary::new(now, program, "live".to_owned(), options.namespace.clone());
    if namespace.is_none() {
        let mut unreadable = 0;
        let listed = list(&cluster, None, |it: LoginReport| {
            let name = it.name().to_owned();
            match it.into_kept() {
                Some(status) => summary.add_login(name, status),
                None => unreadable += 1,
            }
        });
        match listed.await {
            Ok(()) => {}
            Err(error) if error.outcome() == Outcome::Denied => {
                summary.logins = None;
                let message = format!("The logins could not be looked at: {}", error.reason());
                summary.remark(Level::Note, message);
            }
            Err(error) => return Err(not_listed(&error, namespace)),
        }
        summary.unreadable(unreadable, LOGIN_REPORT);
    }
    let mut unreadable = 0;
    let listed = list(&cluster, namespace, |it: NamespaceReport| {
        if it.name() != PULL_SECRET_REPORT_NAME {
            return;
        }
        let namespace = it.namespace().to_owned();
        match it.into_kept() {
            Some(status) => summary.add_namespace(namespace, status),
            None => unreadable += 1,
        }
    });
    listed.await.map_err(|error| not_listed(&error, namespace))?;
    summary.unreadable(unreadable, PULL_SECRET_REPORT);
    let home = match &options.installed_in {
        Some(home) => Ok(Some(home.clone())),
        None => home(&cluster).await,
    };
    let hint = "name pullcred's namespace with --installed-in";
    let age = match &home {
        Ok(Some(home)) => reports::age(&cluster, Some(home)).await,
        Ok(None) => Age::NotSeen(format!("no webhook of pullcred is there; {hint}")),
        Err(error) => Age::NotSeen(format!("{}; {hint}", error.reason())),
    };
    summary.set_age(age);
    let home = home.ok().flatten();
    Ok(summary.finish(home.as_deref()))
}

/// Takes in the reports of a kind page by page, in one namespace or, without one, all.
async fn list<R: Resource<DynamicType = ()> + DeserializeOwned + Clone>(
    cluster: &Cluster,
    namespace: Option<&str>,
    mut take: impl FnMut(R),
) -> Result<(), CallError> {
    let mut pages = cluster.list(Collection::of::<R>(namespace), None);
    while let Some(page) = pages.next().await? {
        page.into_iter().for_each(&mut take);
    }
    Ok(())
}

/// Why reports could not be listed, and what to do.
fn not_listed(error: &CallError, namespace: Option<&str>) -> Failure {
    let what = with_causes(error);
    Failure::trouble(match error.outcome() {
        Outcome::Gone => "this cluster has no reports: install the chart with `reports.enabled: true` and a mapping that has \
                          `logins` or `discover`"
            .to_owned(),
        Outcome::Denied if namespace.is_none() => {
            format!("{what}: name a namespace that you may view with --namespace")
        }
        Outcome::Denied => format!("{what}: the ClusterRole `view` in the namespace is enough"),
        _ => what,
    })
}

// === of manifests ===

fn manifests(
    source: &Source,
    options: &Options,
    (now, program): (Timestamp, &'static str),
    stdin: &mut dyn BufRead,
) -> Result<Summary, Failure> {
    // When the reports were renewed comes first: all else is as of then.
    let mut found = Found::default();
    for source in Source::expand(std::slice::from_ref(source))? {
        for document in source.open(stdin)? {
            let document = document?;
            let error = |problem| ManifestError::new(&source, problem);
            let value = document.value().map_err(error)?;
            for object in objects(&value, document.content_line()).map_err(error)? {
                found.take(&object, options);
            }
        }
    }
    let at = found.renewed.map_or(now, |it| it.min(now));
    let mut summary = Summary::new(at, program, source.to_string(), options.namespace.clone());
    summary.freshness = Freshness::File;
    if found.is_empty() {
        let what = format!("no report found in {source}: write it by `{AS_A_FILE}`");
        return Err(Failure::trouble(what));
    }
    if found.renewed.is_none() {
        let what = format!(
            "{source} does not say how old it is, as it has no Lease {LEASE}: write it by `{AS_A_FILE}`"
        );
        summary.remark(Level::Note, what);
    }
    summary.unreadable(found.unreadable, "report");
    found.logins.into_iter().for_each(|(name, status)| summary.add_login(name, status));
    for (namespace, status) in found.namespaces {
        summary.add_namespace(namespace, status);
    }
    Ok(summary.finish(options.installed_in.as_deref()))
}

/// What was found in manifests.
#[derive(Default)]
struct Found {
    logins: Vec<(String, LoginStatus)>,
    namespaces: Vec<(String, PullSecretStatus)>,
    /// The kinds and names that were seen: the same file may be named twice.
    seen: HashSet<(&'static str, String)>,
    unreadable: u32,
    renewed: Option<Timestamp>,
}

// === impl Found ===

impl Found {
    fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    fn take(&mut self, object: &Object<'_>, options: &Options) {
        let namespace = object.namespace().unwrap_or(DEFAULT_NAMESPACE);
        match (object.group(), object.kind()) {
            ("coordination.k8s.io", "Lease") if object.name() == LEASE => {
                let renewed = object.value().pointer("/spec/renewTime").and_then(Value::as_str);
                let is_home = options.installed_in.as_deref().is_none_or(|it| it == namespace);
                let renewed = renewed.and_then(moments::parse).filter(|_| is_home);
                self.renewed = self.renewed.max(renewed);
            }
            (GROUP, LOGIN_REPORT) if self.is_new(LOGIN_REPORT, object.name()) => {
                let status = self.status(object);
                self.logins.extend(status.map(|it| (object.name().to_owned(), it)));
            }
            (GROUP, PULL_SECRET_REPORT)
                if object.name() == PULL_SECRET_REPORT_NAME
                    && self.is_new(PULL_SECRET_REPORT, namespace)
                    && options.namespace.as_deref().is_none_or(|it| it == namespace) =>
            {
                let status = self.status(object);
                self.namespaces.extend(status.map(|it| (namespace.to_owned(), it)));
            }
            _ => {}
        }
    }

    fn is_new(&mut self, kind: &'static str, name: &str) -> bool {
        self.seen.insert((kind, name.to_owned()))
    }

    /// The status of a report; `None` where it cannot be read, which is counted.
    fn status<S: DeserializeOwned>(&mut self, report: &Object<'_>) -> Option<S> {
        let version = report.value().get("apiVersion").and_then(Value::as_str);
        let is_known = version == Some(&format!("{GROUP}/{VERSION}"));
        let status = report.value().get("status").filter(|_| is_known);
        let status = status.and_then(|it| S::deserialize(it).ok());
        self.unreadable += u32::from(status.is_none());
        status
    }
}
