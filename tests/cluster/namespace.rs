//! A namespace of a scenario's own, and the Pods that the API server stored in it.

use std::{fmt, net::SocketAddr};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{
    api::{Answer, Api},
    fixtures::{Pod, pod},
    version::{Version, WEBHOOKS_BY_SLICES},
    wait::{until, until_some},
};

const SLICES: &str = "/apis/discovery.k8s.io/v1";

/// An image whose registry the mapping knows, and the Secret that the mapping names for it.
pub(crate) const PRIVATE_IMAGE: (&str, &str) =
    ("registry.cn-shanghai.aliyuncs.com/huangyisan/nginx:1", "aliyun");

/// A namespace with its default ServiceAccount in place.
#[derive(Clone)]
pub(crate) struct Namespace {
    name: String,
    api: Api,
}

/// A Pod as the API server has stored it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredPod(Value);

/// The names in a stored Pod's `spec.imagePullSecrets`, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PullSecrets(Vec<String>);

// === impl Namespace ===

impl Namespace {
    /// Creates it, and waits until Pods can be created in it.
    pub(crate) async fn create(api: &Api, name: &str, labels: &Value) -> Result<Self> {
        let object = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": labels},
        });
        api.post("/api/v1/namespaces", &object).await?.ok()?;
        let namespace = Self::existing(api, name);
        namespace.until_pods_are_possible().await?;
        Ok(namespace)
    }

    /// A namespace that is there already, such as `kube-system`.
    pub(crate) fn existing(api: &Api, name: &str) -> Self {
        Self { name: name.to_owned(), api: api.clone() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Sets a label of the namespace, or takes it away.
    pub(crate) async fn label(&self, key: &str, value: impl Into<Option<&str>>) -> Result<()> {
        let value = value.into();
        let patch = json!({"metadata": {"labels": {key: value}}});
        self.api.patch(&format!("/api/v1/namespaces/{}", self.name), &patch).await?.ok().map(drop)
    }

    /// Creates a Pod and reads back what is stored.
    pub(crate) async fn create_pod(&self, pod: Pod) -> Result<StoredPod> {
        let created = self.answer_to(pod).await?.object()?;
        let name = created["metadata"]["name"].as_str().context("the Pod has no name")?;
        self.pod(name).await
    }

    /// Creates a Pod and answers what the API server says.
    pub(crate) async fn answer_to(&self, pod: Pod) -> Result<Answer> {
        self.api.post(&self.path("/api/v1", "pods"), &pod.into_object()).await
    }

    /// What the API server would store, by `dryRun=All`.
    pub(crate) async fn dry_run(&self, pod: Pod) -> Result<Answer> {
        self.api.post(&self.path("/api/v1", "pods?dryRun=All"), &pod.into_object()).await
    }

    /// A stored Pod.
    pub(crate) async fn pod(&self, name: &str) -> Result<StoredPod> {
        Ok(StoredPod(self.answer_to_get(name).await?.object()?))
    }

    /// Patches a Pod, or a subresource of it (`NAME/ephemeralcontainers`).
    pub(crate) async fn patch_pod(&self, name: &str, change: &Value) -> Result<StoredPod> {
        let path = self.path("/api/v1", &format!("pods/{name}"));
        Ok(StoredPod(self.api.patch(&path, change).await?.object()?))
    }

    /// Deletes a Pod that has no finalizers and no node, which takes effect at once.
    pub(crate) async fn delete_pod(&self, name: &str) -> Result<()> {
        let path = self.path("/api/v1", &format!("pods/{name}"));
        self.api.delete(&path).await?.ok().map(drop)
    }

    /// What the API server says to a request for a Pod.
    pub(crate) async fn answer_to_get(&self, name: &str) -> Result<Answer> {
        self.api.get(&self.path("/api/v1", &format!("pods/{name}"))).await
    }

    /// Any object (`deployments/NAME`) of a group version (`/apis/apps/v1`).
    pub(crate) async fn object(&self, group_version: &str, resource: &str) -> Result<Value> {
        self.api.get(&self.path(group_version, resource)).await?.object()
    }

    /// Creates any object, in the collection `resource` of a group version (`/apis/apps/v1`).
    pub(crate) async fn create_object(
        &self,
        group_version: &str,
        resource: &str,
        object: &Value,
    ) -> Result<Value> {
        self.api.post(&self.path(group_version, resource), object).await?.object()
    }

    /// Patches any object or subresource (`cronjobs/NAME/status`).
    pub(crate) async fn patch_object(
        &self,
        group_version: &str,
        resource: &str,
        change: &Value,
    ) -> Result<Value> {
        self.api.patch(&self.path(group_version, resource), change).await?.object()
    }

    /// Deletes any object (`endpointslices/NAME`).
    pub(crate) async fn delete_object(&self, group_version: &str, resource: &str) -> Result<()> {
        self.api.delete(&self.path(group_version, resource)).await?.ok().map(drop)
    }

    /// Leads a Service without a selector to one more address, by an `EndpointSlice` of this name.
    pub(crate) async fn add_endpoint(
        &self,
        service: &str,
        name: &str,
        address: SocketAddr,
    ) -> Result<()> {
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": address.port(), "protocol": "TCP"}],
            "endpoints": [{"addresses": [address.ip()], "conditions": {"ready": true}}],
        });
        self.create_object(SLICES, "endpointslices", &slice).await?;
        self.copy_slices(service).await
    }

    /// Takes an address away again.
    pub(crate) async fn remove_endpoint(&self, service: &str, name: &str) -> Result<()> {
        self.delete_object(SLICES, &format!("endpointslices/{name}")).await?;
        self.copy_slices(service).await
    }

    /// Writes a Service's slices as `Endpoints`, for an API server that finds webhooks by those. Where a Service has a selector,
    /// Kubernetes makes both.
    async fn copy_slices(&self, service: &str) -> Result<()> {
        if Version::of_this_run()?.has(WEBHOOKS_BY_SLICES) {
            return Ok(());
        }
        let selector = format!("endpointslices?labelSelector=kubernetes.io/service-name={service}");
        let slices = self.object(SLICES, &selector).await?;
        let subset = |slice: &Value| {
            let ip = &slice["endpoints"][0]["addresses"][0];
            json!({"addresses": [{"ip": ip}], "ports": slice["ports"]})
        };
        let subsets: Vec<_> =
            slices["items"].as_array().into_iter().flatten().map(subset).collect();
        let endpoints = json!({
            "apiVersion": "v1", "kind": "Endpoints", "subsets": subsets,
            "metadata": {"name": service, "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        });
        let path = self.path("/api/v1", &format!("endpoints/{service}"));
        self.api.apply(&path, "fieldManager=scenario&force=true", &endpoints).await?.ok().map(drop)
    }

    /// The first Pod with the label `app: <app>`, once a controller has made one.
    pub(crate) async fn pod_of(&self, app: &str) -> Result<StoredPod> {
        let path = self.path("/api/v1", &format!("pods?labelSelector=app%3D{app}"));
        let what = format!("Pod of {app} in {}", self.name);
        until_some(&what, async || {
            let mut list = self.api.get(&path).await?.object()?;
            Ok(list["items"].get_mut(0).map(|item| StoredPod(item.take())))
        })
        .await
    }

    /// Waits for the default ServiceAccount, without which the API server refuses Pods.
    pub(crate) async fn until_pods_are_possible(&self) -> Result<()> {
        let account = self.path("/api/v1", "serviceaccounts/default");
        until(&format!("default ServiceAccount in {}", self.name), async || {
            Ok(self.api.get(&account).await?.status().is_success())
        })
        .await
    }

    /// Waits until the API server's caches know a registration and a label: until a Pod with a
    /// private image would get its Secret.
    pub(crate) async fn until_injected(&self) -> Result<()> {
        self.until_injected_for(PRIVATE_IMAGE.0).await
    }

    /// The same for an image of another registry.
    pub(crate) async fn until_injected_for(&self, image: &str) -> Result<()> {
        let what = format!("injection in namespace {}", self.name);
        until(&what, async || Ok(!self.would_get(image).await?.0.is_empty())).await
    }

    /// Waits until a Pod with this image would get nothing.
    pub(crate) async fn until_left_alone(&self, image: &str) -> Result<()> {
        let what = format!("end of the injection in namespace {}", self.name);
        until(&what, async || Ok(self.would_get(image).await?.0.is_empty())).await
    }

    /// The Secrets that a Pod with this image would get.
    async fn would_get(&self, image: &str) -> Result<PullSecrets> {
        let answer = self.dry_run(pod("probe").image(image)).await?.object()?;
        Ok(StoredPod(answer).pull_secrets())
    }

    fn path(&self, group_version: &str, resource: &str) -> String {
        format!("{group_version}/namespaces/{}/{resource}", self.name)
    }
}

// === impl StoredPod ===

impl StoredPod {
    /// The names in `spec.imagePullSecrets`.
    pub(crate) fn pull_secrets(&self) -> PullSecrets {
        let entries = self.0["spec"]["imagePullSecrets"].as_array();
        let name = |entry: &Value| entry["name"].as_str().unwrap_or_default().to_owned();
        PullSecrets(entries.into_iter().flatten().map(name).collect())
    }

    pub(crate) fn name(&self) -> &str {
        self.0["metadata"]["name"].as_str().unwrap_or_default()
    }

    pub(crate) fn namespace(&self) -> &str {
        self.0["metadata"]["namespace"].as_str().unwrap_or_default()
    }

    /// A part of the stored Pod, by a JSON Pointer (RFC 6901).
    pub(crate) fn at(&self, pointer: &str) -> Option<&Value> {
        self.0.pointer(pointer)
    }
}

impl From<Value> for StoredPod {
    fn from(object: Value) -> Self {
        Self(object)
    }
}

// === impl PullSecrets ===

impl<const N: usize> PartialEq<[&str; N]> for PullSecrets {
    fn eq(&self, other: &[&str; N]) -> bool {
        self.0 == other
    }
}

impl PartialEq<[&str]> for PullSecrets {
    fn eq(&self, other: &[&str]) -> bool {
        self.0 == other
    }
}

impl fmt::Display for PullSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        f.write_str(&self.0.join(", "))
    }
}
