//! A cluster read in the large: Pods page by page, Secrets by name and several at a time, and word of how far it is.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use k8s_openapi::{
    api::core::v1::{Pod, Secret},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::core::PartialObjectMeta;
use serde_json::Value;

use super::manifests::SecretManifest;
use crate::cluster::{Cluster, Collection, Pages};

/// Where `kubectl apply` without `--server-side` keeps a copy of what it applied.
pub(super) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// How many Secrets are asked for at a time.
const AT_ONCE: usize = 8;
/// How long nothing is said of the progress.
const SILENCE: Duration = Duration::from_secs(2);

/// A Secret that was asked for.
pub(super) struct Asked {
    pub(super) namespace: String,
    pub(super) name: String,
    /// The Secret; `None` where it does not exist; or why it could not be read.
    pub(super) found: Result<Option<SecretManifest>, String>,
    /// Whether an annotation of it repeats its logins.
    pub(super) is_in_annotation: bool,
}

/// The metadata of a Secret that was asked for.
pub(super) struct AskedMetadata {
    pub(super) name: String,
    /// `None` where it does not exist; or why it could not be read.
    pub(super) found: Result<Option<ObjectMeta>, String>,
}

/// Says how far a long scan is.
pub(super) struct Progress {
    what: &'static str,
    count: usize,
    reported_at: Instant,
}

/// The Pods of a namespace, or of all, page by page.
pub(super) fn pods(cluster: &Cluster, namespace: Option<&str>) -> Pages {
    cluster.list(Collection::of::<Pod>(namespace), None)
}

/// Asks for Secrets, each by its name, and gives the answers in the order in which they come.
pub(super) async fn secrets(cluster: &Cluster, names: Vec<(String, String)>) -> Vec<Asked> {
    let secret = async |(namespace, name): (String, String)| {
        let from = Collection::of::<Secret>(Some(&namespace));
        let found = cluster.get::<Secret>(&from, &name).await;
        let is_in_annotation =
            found.as_ref().is_ok_and(|it| it.as_ref().is_some_and(repeats_logins));
        let found = found
            .map_err(|error| error.reason())
            .map(|secret| secret.map(|it| SecretManifest::from_api(&namespace, &name, it)));
        Asked { namespace, name, found, is_in_annotation }
    };
    stream::iter(names).map(secret).buffer_unordered(AT_ONCE).collect().await
}

/// Asks for the metadata of Secrets, each by its name, and gives the answers in the order in which they come.
pub(super) async fn secrets_metadata(
    cluster: &Cluster,
    names: Vec<(String, String)>,
) -> Vec<AskedMetadata> {
    let metadata = async |(namespace, name): (String, String)| {
        let from = Collection::of::<Secret>(Some(&namespace));
        let found = cluster.get_metadata::<PartialObjectMeta<Secret>>(&from, &name).await;
        let found = found.map(|it| it.map(|it| it.metadata)).map_err(|error| error.reason());
        AskedMetadata { name, found }
    };
    stream::iter(names).map(metadata).buffer_unordered(AT_ONCE).collect().await
}

/// Whether `kubectl apply` left the data of a Secret in an annotation, which tools that hide `data` do not hide.
fn repeats_logins(secret: &Secret) -> bool {
    let applied = secret.metadata.annotations.as_ref().and_then(|it| it.get(LAST_APPLIED));
    let applied = applied.and_then(|it| serde_json::from_str::<Value>(it).ok());
    applied.is_some_and(|it| ["data", "stringData"].iter().any(|field| !it[*field].is_null()))
}

// === impl Progress ===

impl Progress {
    /// Of what is read, such as `Pods`.
    pub(super) fn of(what: &'static str) -> Self {
        Self { what, count: 0, reported_at: Instant::now() }
    }

    /// Counts some more, and says now and then how many they are.
    pub(super) fn add(&mut self, more: usize, stderr: &mut dyn Write) -> io::Result<()> {
        self.count += more;
        if self.reported_at.elapsed() < SILENCE {
            return Ok(());
        }
        self.reported_at = Instant::now();
        writeln!(stderr, "{} {} so far", self.count, self.what)
    }

    /// How many there were.
    pub(super) fn count(&self) -> usize {
        self.count
    }
}
