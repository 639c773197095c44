//! What is watched: the mapping, namespaces, copies and logins, each with the narrowest right.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    future::pending,
    sync::Arc,
};

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::{Api, core::PartialObjectMeta};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{mpsc::Sender, watch::Receiver},
    task::{AbortHandle, JoinSet},
};

use super::{
    lean::{Lean, NamespaceSeen},
    reports::{
        Key,
        objects::{SeenReport, Stored, StoredLogin, StoredNamespace},
    },
    seen::Seen,
    status::Status,
};
use crate::{
    cluster::{
        CallError, Cluster,
        watch::{Selection, WatchEvent, watch},
    },
    core::{
        pod::{INJECT_LABEL, OPTED_IN},
        reports::{LoginHealth, PULL_SECRET_REPORT_NAME, PodSummary},
    },
};

/// The key of the mapping in its ConfigMap.
const MAPPING_KEY: &str = "pullcred.yaml";
/// The annotation of that ConfigMap with which a person lets a mass deletion go on. Its value is the fingerprint of the
/// mapping for which that holds.
const COLLECT: &str = "pullcred.dev/collect";

/// Something that is watched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Resource {
    /// The Secrets of this name in all namespaces.
    Copies(Arc<str>),
    /// The Secret of a login.
    Login(Arc<str>),
    /// The reports of logins.
    LoginReports,
    /// The ConfigMap with the mapping.
    Mapping,
    /// The reports of namespaces.
    NamespaceReports,
    /// The namespaces that have opted in.
    Namespaces,
}

/// What a watch brings.
#[derive(Debug)]
pub(super) enum Event {
    /// What there is follows, up to [`Event::Listed`].
    Listing(Resource),
    /// All that there is has come.
    Listed(Resource),
    /// The watch has failed, and starts again.
    Failed(Resource, CallError),
    /// The text of the mapping, and the annotation [`COLLECT`].
    Mapping { text: Option<String>, collect: Option<String> },
    /// The labels of an opted-in namespace and whether it is being deleted; `None` where it is gone or no longer opted in.
    Namespace { name: Box<str>, found: Option<(BTreeMap<String, String>, bool)> },
    /// A Secret under the name of a copy.
    Copy { secret: Arc<str>, namespace: Box<str>, seen: Option<Seen> },
    /// A login's Secret has changed.
    Login { secret: Arc<str> },
    /// A report is like this, with what it says of checks or of Pods; `None` where it is gone.
    Report {
        key: Key,
        seen: Option<SeenReport>,
        health: Option<Box<LoginHealth>>,
        pods: Option<Box<PodSummary>>,
    },
}

/// The watches, and how complete what they brought is.
pub(super) struct Sources {
    cluster: Cluster,
    namespace: Arc<str>,
    sender: Sender<Event>,
    reachable: Receiver<()>,
    status: Arc<Status>,
    tasks: JoinSet<()>,
    watches: BTreeMap<Resource, Watch>,
    labels: BTreeSet<Box<str>>,
}

struct Watch {
    task: AbortHandle,
    /// Whether all that there is has come once.
    listed: bool,
    /// Whether it has not failed since.
    live: bool,
    /// What has come of a list that is under way; `None` after its end.
    coming: Option<BTreeSet<Box<str>>>,
}

// === impl Sources ===

impl Sources {
    /// Watches the mapping. The rest is watched when it says what.
    pub(super) fn start(
        cluster: Cluster,
        namespace: &str,
        mapping: &str,
        sender: Sender<Event>,
        reachable: Receiver<()>,
        status: Arc<Status>,
    ) -> Self {
        let mut sources = Self {
            cluster,
            namespace: namespace.into(),
            sender,
            reachable,
            status,
            tasks: JoinSet::new(),
            watches: BTreeMap::new(),
            labels: BTreeSet::new(),
        };
        sources.watch_mapping(mapping);
        sources
    }

    /// Watches the copies of these names, the Secrets of these logins and, where anything is wanted in them, the namespaces that
    /// have opted in; and no longer what is not among them. `labels` are the keys of namespaces' labels that count: others may
    /// have been dropped.
    pub(super) fn follow(
        &mut self,
        copies: Vec<Arc<str>>,
        logins: Vec<Arc<str>>,
        namespaces: bool,
        labels: BTreeSet<Box<str>>,
    ) {
        let copies: BTreeSet<_> = copies.into_iter().map(Resource::Copies).collect();
        let logins: BTreeSet<_> = logins.into_iter().map(Resource::Login).collect();
        let same_labels = labels == self.labels;
        self.labels = labels;
        self.watches.retain(|resource, watch| {
            let keep = match resource {
                Resource::Mapping | Resource::LoginReports | Resource::NamespaceReports => true,
                Resource::Namespaces => same_labels && namespaces,
                _ => copies.contains(resource) || logins.contains(resource),
            };
            if !keep {
                watch.task.abort();
            }
            keep
        });
        if namespaces && !self.watches.contains_key(&Resource::Namespaces) {
            self.watch_namespaces();
        }
        for resource in copies.into_iter().chain(logins) {
            if !self.watches.contains_key(&resource) {
                match resource {
                    Resource::Copies(secret) => self.watch_copies(secret),
                    Resource::Login(secret) => self.watch_login(secret),
                    _ => {}
                }
            }
        }
    }

    /// A list begins.
    pub(super) fn listing(&mut self, resource: &Resource) {
        if let Some(watch) = self.watches.get_mut(resource) {
            watch.coming = Some(BTreeSet::new());
        }
    }

    /// Notes the name of something that has come, while a list is under way.
    pub(super) fn saw(&mut self, resource: &Resource, name: &str) {
        let watch = self.watches.get_mut(resource);
        if let Some(coming) = watch.and_then(|watch| watch.coming.as_mut()) {
            coming.insert(name.into());
        }
    }

    /// A list is complete. Answers the names in it.
    pub(super) fn listed(&mut self, resource: &Resource) -> BTreeSet<Box<str>> {
        self.status.watch_connected(resource);
        let Some(watch) = self.watches.get_mut(resource) else { return BTreeSet::new() };
        (watch.listed, watch.live) = (true, true);
        watch.coming.take().unwrap_or_default()
    }

    pub(super) fn failed(&mut self, resource: &Resource, error: &CallError) {
        if let Some(watch) = self.watches.get_mut(resource) {
            watch.live = false;
        }
        self.status.watch_failed(resource, error);
    }

    /// Whether all of this has been listed once: before that, what is not known may be there.
    pub(super) fn is_listed(&self, resource: &Resource) -> bool {
        self.watches.get(resource).is_some_and(|watch| watch.listed)
    }

    /// Whether all that is watched, but for reports, has been listed once.
    pub(super) fn are_listed(&self) -> bool {
        self.watches.iter().all(|(resource, watch)| watch.listed || resource.is_reports())
    }

    /// Whether every watch stands, but for that of the reports of logins, which only people read.
    pub(super) fn are_live(&self) -> bool {
        self.watches.iter().all(|(it, watch)| watch.live || *it == Resource::LoginReports)
    }

    /// Ends when a watch has ended that should not: by a panic.
    pub(super) async fn ended(&mut self) {
        loop {
            match self.tasks.join_next().await {
                Some(Err(error)) if error.is_cancelled() => {}
                Some(_) => return,
                None => pending().await,
            }
        }
    }

    fn watch_mapping(&mut self, name: &str) {
        let api = self.cluster.namespaced::<ConfigMap>(&self.namespace);
        self.watch(Resource::Mapping, api, Selection::name(name), |it: ConfigMap, there| {
            let data = it.data.filter(|_| there);
            let annotations = it.metadata.annotations.filter(|_| there);
            Event::Mapping {
                text: data.and_then(|mut data| data.remove(MAPPING_KEY)),
                collect: annotations.and_then(|mut it| it.remove(COLLECT)),
            }
        });
    }

    /// Watches the reports. `reachable` ends the pause after a failure.
    pub(super) fn watch_reports(&mut self, reachable: Receiver<()>) {
        let everywhere = std::mem::replace(&mut self.reachable, reachable);
        let api = self.cluster.all::<StoredLogin>();
        let selection = Selection::all("LoginReports");
        self.watch(Resource::LoginReports, api, selection, |it: StoredLogin, there| {
            let key = Key::Login(it.name().into());
            let Stored { seen, health, .. } = it.into_kept();
            let (seen, health) = (there.then_some(seen), health.filter(|_| there));
            Event::Report { key, seen, health, pods: None }
        });
        let api = self.cluster.all::<StoredNamespace>();
        let selection = Selection::all("PullSecretReports").and_name(PULL_SECRET_REPORT_NAME);
        self.watch(Resource::NamespaceReports, api, selection, |it: StoredNamespace, there| {
            let key = Key::Namespace(it.namespace().into());
            let Stored { seen, pods, .. } = it.into_kept();
            let (seen, pods) = (there.then_some(seen), pods.filter(|_| there));
            Event::Report { key, seen, health: None, pods }
        });
        self.reachable = everywhere;
    }

    fn watch_namespaces(&mut self) {
        let api = self.cluster.all::<Lean<Namespace, NamespaceSeen>>();
        let selection = Selection::labels(&format!("{INJECT_LABEL}={OPTED_IN}"));
        self.watch(Resource::Namespaces, api, selection, |it: Lean<_, _>, there| {
            let name = it.name().into();
            let NamespaceSeen { labels, terminating } = it.into_kept();
            Event::Namespace { name, found: there.then_some((labels, terminating)) }
        });
    }

    fn watch_copies(&mut self, secret: Arc<str>) {
        let api = self.cluster.all::<Lean<Secret, Seen>>();
        let selection = Selection::name(&secret);
        let resource = Resource::Copies(Arc::clone(&secret));
        self.watch(resource, api, selection, move |it: Lean<_, _>, there| Event::Copy {
            secret: Arc::clone(&secret),
            namespace: it.namespace().into(),
            seen: there.then(|| it.into_kept()),
        });
    }

    fn watch_login(&mut self, secret: Arc<str>) {
        let api = self.cluster.metadata::<Secret>(&self.namespace);
        let selection = Selection::name(&secret);
        let resource = Resource::Login(Arc::clone(&secret));
        self.watch(resource, api, selection, move |_: PartialObjectMeta<_>, _| Event::Login {
            secret: Arc::clone(&secret),
        });
    }

    /// Starts a watch; `event` makes an event of an object and of whether it exists.
    fn watch<K>(
        &mut self,
        resource: Resource,
        api: Api<K>,
        selection: Selection,
        event: impl Fn(K, bool) -> Event + Send + 'static,
    ) where
        K: kube::Resource + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
    {
        let of = resource.clone();
        let translate = move |news| {
            Some(match news {
                WatchEvent::Listing => Event::Listing(of.clone()),
                WatchEvent::Connected => Event::Listed(of.clone()),
                WatchEvent::Failed(error) => Event::Failed(of.clone(), error),
                WatchEvent::Is(it) => event(it, true),
                WatchEvent::Gone(it) => event(it, false),
            })
        };
        let task = watch(api, selection, self.reachable.clone(), self.sender.clone(), translate);
        let task = self.tasks.spawn(task);
        self.watches.insert(resource, Watch { task, listed: false, live: false, coming: None });
    }
}

// === impl Resource ===

impl Resource {
    /// Whether it is one of the kinds of reports, which copies do not need.
    pub(super) fn is_reports(&self) -> bool {
        matches!(self, Self::LoginReports | Self::NamespaceReports)
    }
}
