//! The objects of reports at the API server, and the Lease.

use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::{
    api::{coordination::v1::Lease, core::v1::Secret},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{
    api::{Patch, PatchParams},
    core::PartialObjectMeta,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Key,
    keys::{Contents, PullSecret},
};
use crate::{
    cluster::{CallError, Cluster, Collection, Outcome},
    core::{
        copies::MANAGER,
        reports::{
            Condition, GROUP, LEASE, LOGIN_REPORT, LoginHealth, LoginStatus, PULL_SECRET_REPORT,
            PULL_SECRET_REPORT_NAME, PodSummary, PullSecretStatus, STALE_AFTER, VERSION,
        },
    },
    reports::{Kept, OfLogins, OfNamespaces, Report},
};

/// How many conditions a report has at most.
const CONDITIONS: usize = 4;

/// The longest texts of a record of checks, in bytes: moments and digits, and an image.
const TEXT_MAX: usize = 64;
/// Longer than any image that a registry serves (`NameTotalLengthMax` of the distribution project).
const IMAGE_MAX: usize = 1024;

/// What is kept of a report: no more than what tells it from another.
#[derive(Debug, Clone)]
pub(in super::super) struct Stored {
    pub(in super::super) seen: SeenReport,
    /// The record of checks, which has a writer of its own.
    pub(in super::super) health: Option<Box<LoginHealth>>,
    /// What an audit found, as the report of a namespace says it.
    pub(in super::super) pods: Option<Box<PodSummary>>,
}

/// A login's report, as it is stored.
pub(in super::super) type StoredLogin = Report<OfLogins, Stored>;

/// A namespace's report, as it is stored.
pub(in super::super) type StoredNamespace = Report<OfNamespaces, Stored>;

/// What tells the content of a report from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct SeenReport {
    /// Of its status.
    hash: u64,
    /// Since when its conditions are as they are, in their order.
    since: [Since; CONDITIONS],
}

/// A condition's status, by its first letter, and since when it has been that, in seconds since the epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Since {
    status: u8,
    seconds: u32,
}

/// What a report says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(in super::super) enum Status {
    /// Of a login.
    Login(Box<LoginStatus>),
    /// Of a namespace.
    Namespace(Box<PullSecretStatus>),
}

/// The API server, for reports.
#[derive(Debug, Clone)]
pub(super) struct Objects {
    cluster: Cluster,
    /// pullcred's namespace.
    own_namespace: String,
    /// The name of this process in the Lease.
    holder: String,
}

/// What came of a write.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) seen: SeenReport,
    pub(super) uid: String,
}

// === impl Objects ===

impl Objects {
    pub(super) fn new(cluster: Cluster, own_namespace: &str, holder: String) -> Self {
        Self { cluster, own_namespace: own_namespace.to_owned(), holder }
    }

    /// Writes a report. What somebody else has added to one is removed with it: it is deleted and made again.
    pub(super) async fn write(&self, key: &Key, status: &Status) -> Result<Written, CallError> {
        let written = self.apply(key, status).await?;
        if written.seen.hash == hash_of(status) {
            return Ok(written);
        }
        match self.delete(key).await {
            Ok(_) => self.apply(key, status).await,
            // It has changed meanwhile, which the watch brings.
            Err(error) if error.outcome() == Outcome::Conflict => Ok(written),
            Err(error) => Err(error),
        }
    }

    /// Deletes a report that is still as it is when it is looked at. Answers whether there was one.
    pub(super) async fn delete(&self, key: &Key) -> Result<bool, CallError> {
        let (of, name) = place(key);
        let found: Option<PartialObjectMeta<StoredNamespace>> =
            self.cluster.get_metadata(&of, name).await?;
        let Some(found) = found else { return Ok(false) };
        let uid = found.metadata.uid.unwrap_or_default();
        let version = found.metadata.resource_version.unwrap_or_default();
        self.cluster.delete_as_seen(&of, name, &uid, &version).await
    }

    async fn apply(&self, key: &Key, status: &Status) -> Result<Written, CallError> {
        let (of, name) = place(key);
        let (kind, namespace) = match key {
            Key::Login(_) => (LOGIN_REPORT, None),
            Key::Namespace(namespace) => (PULL_SECRET_REPORT, Some(&**namespace)),
        };
        let mut metadata = json!({"name": name});
        if let Some(namespace) = namespace {
            metadata["namespace"] = namespace.into();
        }
        let version = format!("{GROUP}/{VERSION}");
        let report =
            json!({"apiVersion": version, "kind": kind, "metadata": metadata, "status": status});
        let parameters = PatchParams::apply(MANAGER).force();
        let stored: StoredNamespace = self
            .cluster
            .patch_object("write", &of, name, &parameters, &Patch::Apply(report))
            .await?;
        let uid = stored.metadata().uid.clone().unwrap_or_default();
        Ok(Written { seen: stored.kept().seen, uid })
    }

    /// What a Secret in a namespace holds; `None` where there is none.
    pub(super) async fn contents(
        &self,
        namespace: &str,
        secret: &str,
    ) -> Result<Option<Contents>, CallError> {
        let secrets = Collection::of::<Secret>(Some(namespace));
        let found: Option<PullSecret> = self.cluster.get(&secrets, secret).await?;
        Ok(found.map(|it| it.contents))
    }

    /// Says that the reports are kept up to date.
    pub(super) async fn renew(&self) -> Result<(), CallError> {
        let leases = Collection::of::<Lease>(Some(&self.own_namespace));
        let now = MicroTime(Timestamp::now());
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": LEASE, "namespace": self.own_namespace},
            "spec": {
                "holderIdentity": self.holder, "leaseDurationSeconds": STALE_AFTER, "renewTime": now,
            },
        });
        // Another controller may hold it: any that is alive will do.
        let parameters = PatchParams::apply(MANAGER).force();
        self.cluster.patch("renew", &leases, LEASE, &parameters, &Patch::Apply(lease)).await
    }
}

fn place(key: &Key) -> (Collection, &str) {
    match key {
        Key::Login(name) => (Collection::of::<StoredLogin>(None), name),
        Key::Namespace(name) => {
            (Collection::of::<StoredNamespace>(Some(name)), PULL_SECRET_REPORT_NAME)
        }
    }
}

// === impl Status ===

impl Status {
    /// Gives the conditions their times: that of `seen` where their status is the same, and otherwise `now`.
    pub(super) fn stamp(&mut self, seen: Option<&SeenReport>, now: Timestamp) {
        let now = u32::try_from(now.as_second()).unwrap_or(u32::MAX);
        for (place, condition) in self.conditions().iter_mut().enumerate() {
            let known = seen.and_then(|seen| seen.since.get(place));
            let letter = first_letter(&condition.status);
            let known = known.filter(|it| it.status == letter && it.seconds > 0);
            let seconds = known.map_or(now, |it| it.seconds);
            let time = Timestamp::from_second(i64::from(seconds)).unwrap_or_default();
            condition.last_transition_time = time.to_string();
        }
    }

    fn conditions(&mut self) -> &mut [Condition] {
        match self {
            Self::Login(status) => &mut status.conditions,
            Self::Namespace(status) => &mut status.conditions,
        }
    }
}

/// Tells the content of a status from another; the order of its fields does not count.
pub(super) fn hash_of(status: &Status) -> u64 {
    serde_json::to_value(status).as_ref().map_or(0, hash)
}

fn hash(status: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    add(status, &mut hasher);
    hasher.finish()
}

fn add(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            ('{', members.len()).hash(hasher);
            for (name, value) in members {
                name.hash(hasher);
                add(value, hasher);
            }
        }
        Value::Array(items) => {
            ('[', items.len()).hash(hasher);
            for item in items {
                add(item, hasher);
            }
        }
        other => other.to_string().hash(hasher),
    }
}

// === impl SeenReport ===

impl SeenReport {
    /// Whether the content is this one.
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    fn of(status: &Value) -> Self {
        let mut since = [Since::default(); CONDITIONS];
        let conditions = status["conditions"].as_array().into_iter().flatten();
        for (since, condition) in since.iter_mut().zip(conditions) {
            let time = condition["lastTransitionTime"].as_str().unwrap_or_default();
            let seconds = time.parse::<Timestamp>().map_or(0, Timestamp::as_second);
            since.status = first_letter(condition["status"].as_str().unwrap_or_default());
            since.seconds = u32::try_from(seconds).unwrap_or_default();
        }
        Self { hash: hash(status), since }
    }
}

/// A record of checks, if it is one that pullcred can have written: others are not kept in memory.
fn record(value: Value) -> Option<LoginHealth> {
    let record: LoginHealth = serde_json::from_value(value).ok()?;
    let texts = [Some(&record.content), record.next_check_at.as_ref(), Some(&record.checked_at)];
    let short = texts.into_iter().flatten().all(|it| it.len() <= TEXT_MAX)
        && record.image.as_ref().is_none_or(|it| it.len() <= IMAGE_MAX);
    short.then_some(record)
}

fn first_letter(text: &str) -> u8 {
    text.bytes().next().unwrap_or_default()
}

// === impl Stored ===

impl Kept for Stored {
    fn of(_: &ObjectMeta, mut status: Value) -> Self {
        let health = status.as_object_mut().and_then(|it| it.remove("health"));
        let health = health.and_then(record).map(Box::new);
        let pods = PodSummary::deserialize(&status["pods"]).ok().map(Box::new);
        Self { seen: SeenReport::of(&status), health, pods }
    }
}
