//! The webhook configuration: the `MutatingWebhookConfiguration`, of which the controller writes only `caBundle`.

use std::{collections::BTreeMap, iter};

use base64::{Engine, prelude::BASE64_STANDARD};
use json_patch::{AddOperation, Patch, PatchOperation, TestOperation, jsonptr::PointerBuf};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhook, MutatingWebhookConfiguration, ServiceReference,
};

use super::{
    certificate::CaCertificate,
    plan::{Bundles, CaId},
};

/// Which webhooks of the configuration are ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ours {
    /// Those that call this Service.
    Calling {
        /// The namespace of the Service.
        namespace: String,
        /// The name of the Service.
        service: String,
    },
    /// The one with this name.
    Named(String),
}

/// The webhooks of the configuration that are ours, as they were read.
#[derive(Debug)]
pub struct Entries {
    version: String,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    index: usize,
    name: String,
    bundle: Vec<CaCertificate>,
}

// === impl Ours ===

impl Ours {
    fn covers(&self, webhook: &MutatingWebhook) -> bool {
        match self {
            Self::Calling { namespace, service } => {
                let is_it = |reference: &ServiceReference| {
                    reference.namespace == *namespace && reference.name == *service
                };
                webhook.client_config.service.as_ref().is_some_and(is_it)
            }
            Self::Named(name) => webhook.name == *name,
        }
    }
}

// === impl Entries ===

impl Entries {
    /// Selects the webhooks that are ours, which may be none.
    #[must_use]
    pub fn of(configuration: &MutatingWebhookConfiguration, ours: &Ours) -> Self {
        let webhooks = configuration.webhooks.iter().flatten().enumerate();
        let entry = |(index, webhook): (usize, &MutatingWebhook)| {
            let bundle = webhook.client_config.ca_bundle.as_ref();
            ours.covers(webhook).then(|| Entry {
                index,
                name: webhook.name.clone(),
                bundle: CaCertificate::all_from_pem(bundle.map_or(&[], |bundle| &bundle.0)),
            })
        };
        Self {
            version: configuration.metadata.resource_version.clone().unwrap_or_default(),
            entries: webhooks.filter_map(entry).collect(),
        }
    }

    /// The resourceVersion of the configuration.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether the configuration has no webhook of ours.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The view of the plan on them.
    #[must_use]
    pub fn bundles(&self) -> Bundles {
        let bundle = |entry: &Entry| {
            let certificates = entry.bundle.iter();
            certificates.map(|it| (it.id(), it.validity())).collect::<BTreeMap<_, _>>()
        };
        Bundles(self.entries.iter().map(bundle).collect())
    }

    /// All CA certificates that some caller trusts.
    pub fn certificates(&self) -> impl Iterator<Item = &CaCertificate> {
        self.entries.iter().flat_map(|entry| &entry.bundle)
    }

    /// The certificate of this CA, if some caller trusts it.
    #[must_use]
    pub fn certificate(&self, id: CaId) -> Option<&CaCertificate> {
        self.certificates().find(|certificate| certificate.id() == id)
    }

    /// A patch that writes `bundle` into every webhook that is ours, and nothing else. It applies only to the configuration as it
    /// was read: after a change, a webhook may have another index.
    #[must_use]
    pub fn patch(&self, bundle: &str) -> Patch {
        let bundle = BASE64_STANDARD.encode(bundle);
        let unchanged =
            test(PointerBuf::from_tokens(["metadata", "resourceVersion"]), &self.version);
        let write = |entry: &Entry| {
            let index = entry.index.to_string();
            let name = PointerBuf::from_tokens(["webhooks", &index, "name"]);
            let path = PointerBuf::from_tokens(["webhooks", &index, "clientConfig", "caBundle"]);
            let value = bundle.as_str().into();
            [test(name, &entry.name), PatchOperation::Add(AddOperation { path, value })]
        };
        Patch(iter::once(unchanged).chain(self.entries.iter().flat_map(write)).collect())
    }
}

fn test(path: PointerBuf, value: &str) -> PatchOperation {
    PatchOperation::Test(TestOperation { path, value: value.into() })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::controller::certificates::certificate::CertificateAuthority;

    fn configuration(bundle: &str) -> Value {
        let service = |name: &str| json!({"service": {"namespace": "system", "name": name}});
        let mut ours = service("pullcred");
        ours["caBundle"] = BASE64_STANDARD.encode(bundle).into();
        let webhook = |name: &str, client_config: Value| {
            json!({
                "name": name, "clientConfig": client_config,
                "sideEffects": "None", "admissionReviewVersions": ["v1"],
            })
        };
        json!({
            "metadata": {"name": "pullcred", "resourceVersion": "7"},
            "webhooks": [
                webhook("first.example.com", service("somebody")),
                webhook("inject.pullcred.dev", ours),
                webhook("by.url", json!({"url": "https://127.0.0.1:1/mutate"})),
            ],
        })
    }

    fn read(configuration: &Value, ours: &Ours) -> Entries {
        Entries::of(&serde_json::from_value(configuration.clone()).unwrap(), ours)
    }

    fn calling(service: &str) -> Ours {
        Ours::Calling { namespace: "system".to_owned(), service: service.to_owned() }
    }

    fn named(name: &str) -> Ours {
        Ours::Named(name.to_owned())
    }

    #[test]
    fn our_webhook_is_found_by_its_service_or_its_name() {
        let authority = CertificateAuthority::make(0, Duration::from_secs(60)).unwrap();
        let configuration = configuration(&authority.certificate().to_pem());
        for ours in [calling("pullcred"), named("inject.pullcred.dev")] {
            let entries = read(&configuration, &ours);
            let found: Vec<_> = entries.certificates().collect();
            assert_eq!(found, [authority.certificate()]);
        }
        for foreign in [calling("other"), named("other")] {
            assert!(read(&configuration, &foreign).is_empty());
        }
    }

    #[test]
    fn the_patch_writes_one_field_of_our_webhook() {
        let before = configuration("");
        for (ours, index) in [(calling("pullcred"), 1), (named("by.url"), 2)] {
            let mut after = before.clone();
            json_patch::patch(&mut after, &read(&before, &ours).patch("new")).unwrap();
            let mut expected = before.clone();
            expected["webhooks"][index]["clientConfig"]["caBundle"] = "bmV3".into();
            assert_eq!(after, expected);
        }
    }

    #[test]
    fn the_patch_does_not_apply_to_a_changed_configuration() {
        let before = configuration("");
        let patch = read(&before, &named("by.url")).patch("new");
        let mut other_version = before.clone();
        other_version["metadata"]["resourceVersion"] = "8".into();
        let mut other_order = before.clone();
        other_order["webhooks"].as_array_mut().unwrap().swap(0, 2);
        for mut changed in [other_version, other_order] {
            json_patch::patch(&mut changed, &patch).unwrap_err();
        }
    }
}
