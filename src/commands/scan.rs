//! A cluster read in the large: Pods page by page, Secrets by name and several at a time, and word of how far it is.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ListMeta};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams, ObjectList},
};
use serde::Serialize;
use serde_json::Value;
use tokio::task::JoinSet;

use super::{cluster::told, manifests::SecretManifest};

/// How many objects are asked for at a time.
const PAGE: u32 = 250;
/// How many Secrets are asked for at a time.
const AT_ONCE: usize = 8;
/// How long nothing is said of the progress.
const SILENCE: Duration = Duration::from_secs(2);

/// The kubelet's reasons for a container that waits for its image (kubernetes: pkg/kubelet/images/types.go).
const PULL_REASONS: [&str; 6] = [
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImageInspectError",
    "ImagePullBackOff",
    "InvalidImageName",
    "RegistryUnavailable",
];

/// A container that waits for its image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Waiting {
    pub(super) container: String,
    /// Such as `ErrImagePull`.
    pub(super) reason: String,
    /// What the container runtime says.
    pub(super) message: String,
}

/// The Pods of a cluster, of one namespace or of all, in pages.
pub(super) struct PodPages {
    api: Api<DynamicObject>,
    /// The next page; none after the last.
    next: Option<ListParams>,
}

/// A Secret that was asked for.
pub(super) struct Asked {
    pub(super) namespace: String,
    pub(super) name: String,
    /// It, none where there is none, or why that is not known.
    pub(super) found: Result<Option<SecretManifest>, String>,
}

/// Says how far a long scan is.
pub(super) struct Progress {
    what: &'static str,
    count: usize,
    told: Instant,
}

/// The containers of a Pod that wait for their images.
pub(super) fn waiting(pod: &Value) -> Vec<Waiting> {
    let statuses = ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"];
    let statuses =
        statuses.into_iter().filter_map(|field| pod.get("status")?.get(field)?.as_array());
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    statuses
        .flatten()
        .filter_map(|status| {
            let waiting = status.get("state")?.get("waiting")?;
            Some(Waiting {
                container: text(status.get("name")),
                reason: text(waiting.get("reason")),
                message: text(waiting.get("message")),
            })
        })
        .filter(|waiting| PULL_REASONS.contains(&waiting.reason.as_str()))
        .collect()
}

/// What to ask for after a page, whose list has this metadata; none after the last.
pub(super) fn following(page: ListParams, list: ListMeta) -> Option<ListParams> {
    let token = list.continue_.filter(|token| !token.is_empty())?;
    Some(ListParams { continue_token: Some(token), ..page })
}

/// The first page of a list.
pub(super) fn first_page() -> ListParams {
    ListParams::default().limit(PAGE)
}

/// Asks for Secrets, each by its name, and gives the answers in the order in which they come.
pub(super) async fn secrets(client: &Client, mut names: Vec<(String, String)>) -> Vec<Asked> {
    let mut answers = Vec::new();
    let mut asking = JoinSet::new();
    loop {
        while asking.len() < AT_ONCE {
            let Some((namespace, name)) = names.pop() else { break };
            asking.spawn(secret(client.clone(), namespace, name));
        }
        match asking.join_next().await {
            Some(answer) => answers.extend(answer),
            None => return answers,
        }
    }
}

async fn secret(client: Client, namespace: String, name: String) -> Asked {
    let found = Api::<Secret>::namespaced(client, &namespace).get_opt(&name).await;
    let found = found
        .map_err(|error| told(&error))
        .map(|secret| secret.map(|secret| SecretManifest::from_api(&namespace, &name, secret)));
    Asked { namespace, name, found }
}

// === impl PodPages ===

impl PodPages {
    /// The Pods of a namespace, or of all.
    pub(super) fn new(client: Client, namespace: Option<&str>) -> Self {
        let resource = ApiResource::erase::<k8s_openapi::api::core::v1::Pod>(&());
        let api = match namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        };
        Self { api, next: Some(first_page()) }
    }

    /// The next page; none after the last.
    ///
    /// # Errors
    ///
    /// What the API server says instead.
    pub(super) async fn next(&mut self) -> kube::Result<Option<Vec<DynamicObject>>> {
        let Some(page) = self.next.take() else { return Ok(None) };
        let ObjectList { items, metadata, .. } = self.api.list(&page).await?;
        self.next = following(page, metadata);
        Ok(Some(items))
    }
}

// === impl Progress ===

impl Progress {
    /// Of what is read, such as `Pods`.
    pub(super) fn of(what: &'static str) -> Self {
        Self { what, count: 0, told: Instant::now() }
    }

    /// Counts some more, and says now and then how many they are.
    pub(super) fn add(&mut self, more: usize, stderr: &mut dyn Write) -> io::Result<()> {
        self.count += more;
        if self.told.elapsed() < SILENCE {
            return Ok(());
        }
        self.told = Instant::now();
        writeln!(stderr, "{} {} so far", self.count, self.what)
    }

    /// How many there were.
    pub(super) fn count(&self) -> usize {
        self.count
    }
}
