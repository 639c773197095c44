//! The `MutatingWebhookConfiguration` that sends new Pods to pullcred, as users register it.

use std::net::SocketAddr;

use anyhow::Result;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::{api::Api, pki::Authority};

/// The label that opts a namespace in (`enabled`) and a Pod out (`disabled`).
pub(crate) const INJECT: &str = "pullcred.dev/inject";

/// Marks a namespace that brings a registration of its own, so that the common one leaves it alone.
pub(crate) const OWN_REGISTRATION: &str = "cluster.test/own-registration";

/// The webhook's name, with which the API server reports about it.
pub(crate) const WEBHOOK: &str = "inject.pullcred.dev";

pub(crate) const COLLECTION: &str =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

/// A webhook configuration with one webhook. It starts as what users install; the methods are what
/// a scenario wants different.
#[derive(Debug, Clone)]
pub(crate) struct Registration {
    name: String,
    webhook: Value,
}

// === impl Registration ===

impl Registration {
    /// For a webhook at an address of this machine.
    pub(crate) fn url(name: &str, address: SocketAddr, authority: &Authority) -> Self {
        Self::new(name, authority, &json!({"url": format!("https://{address}/mutate")}))
    }

    /// For a webhook behind a Service.
    pub(crate) fn service(
        name: &str,
        namespace: &str,
        service: &str,
        authority: &Authority,
    ) -> Self {
        let reference =
            json!({"namespace": namespace, "name": service, "path": "/mutate", "port": 443});
        Self::new(name, authority, &json!({"service": reference}))
    }

    fn new(name: &str, authority: &Authority, client_config: &Value) -> Self {
        let mut client_config = client_config.clone();
        client_config["caBundle"] = BASE64_STANDARD.encode(authority.certificate()).into();
        let not_a_mirror_pod = "!has(object.metadata.annotations) || \
                                !('kubernetes.io/config.mirror' in object.metadata.annotations)";
        let webhook = json!({
            "name": WEBHOOK,
            "clientConfig": client_config,
            "rules": [{
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["pods"],
                "scope": "Namespaced",
            }],
            "matchPolicy": "Equivalent",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "timeoutSeconds": 3,
            "failurePolicy": "Ignore",
            "reinvocationPolicy": "IfNeeded",
            "namespaceSelector": {"matchExpressions": [
                {"key": INJECT, "operator": "In", "values": ["enabled"]},
                {"key": "kubernetes.io/metadata.name", "operator": "NotIn",
                 "values": ["kube-system", "kube-public", "kube-node-lease"]},
            ]},
            "objectSelector": {"matchExpressions": [
                {"key": INJECT, "operator": "NotIn", "values": ["disabled"]},
            ]},
            "matchConditions": [{"name": "not-a-mirror-pod", "expression": not_a_mirror_pod}],
        });
        Self { name: name.to_owned(), webhook }
    }

    /// Leaves out the namespaces that have a registration of their own.
    pub(crate) fn except_own(self) -> Self {
        self.namespaces(json!({"key": OWN_REGISTRATION, "operator": "DoesNotExist"}))
    }

    /// Covers these namespaces only, if they are opted in.
    pub(crate) fn only_in(self, names: &[&str]) -> Self {
        self.namespaces(
            json!({"key": "kubernetes.io/metadata.name", "operator": "In", "values": names}),
        )
    }

    /// Drops every selector and condition and sends all operations and subresources too, so that
    /// only the webhook itself decides; then narrow it with [`Self::only_in`].
    pub(crate) fn unconditional(mut self) -> Self {
        self.webhook["rules"][0]["operations"] = json!(["*"]);
        self.webhook["rules"][0]["resources"] = json!(["pods", "pods/*"]);
        self.webhook["namespaceSelector"] = json!({"matchExpressions": []});
        self.webhook["objectSelector"] = json!({});
        self.webhook["matchConditions"] = json!([]);
        self
    }

    /// Sends mirror Pods, too.
    pub(crate) fn without_match_conditions(mut self) -> Self {
        self.webhook["matchConditions"] = json!([]);
        self
    }

    /// Refuses Pods while the webhook does not answer.
    pub(crate) fn fail_closed(mut self) -> Self {
        self.webhook["failurePolicy"] = "Fail".into();
        self
    }

    /// How long the API server waits, and tries again where it is asked to.
    pub(crate) fn timeout_seconds(mut self, seconds: u32) -> Self {
        self.webhook["timeoutSeconds"] = seconds.into();
        self
    }

    /// Leaves the `caBundle` to somebody else.
    pub(crate) fn without_ca_bundle(mut self) -> Self {
        self.webhook["clientConfig"]["caBundle"] = Value::Null;
        self
    }

    /// Renames the webhook, with which the API server reports about it.
    pub(crate) fn webhook_name(mut self, name: &str) -> Self {
        self.webhook["name"] = name.into();
        self
    }

    pub(crate) async fn create(&self, api: &Api) -> Result<()> {
        let object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": self.name},
            "webhooks": [self.webhook],
        });
        api.post(COLLECTION, &object).await?.ok().map(drop)
    }

    pub(crate) async fn delete(&self, api: &Api) -> Result<()> {
        api.delete(&format!("{COLLECTION}/{}", self.name)).await?.ok().map(drop)
    }

    fn namespaces(mut self, requirement: Value) -> Self {
        if let Some(all) = self.webhook["namespaceSelector"]["matchExpressions"].as_array_mut() {
            all.push(requirement);
        }
        self
    }
}
