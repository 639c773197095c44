//! What a cluster decides by: its webhook configuration, and the mapping that the webhook's Pods are given.

use std::path::Path;

use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration, ServiceReference},
    core::v1::Service,
};

use crate::{
    cluster::{CallError, Cluster, Collection},
    commands::check::{GivenText, NotGiven, WEBHOOK, selected},
    core::rules::{Mapping, Rule},
    mapping,
};

/// What was found in a cluster.
#[derive(Debug)]
pub(in crate::commands) struct InForce {
    /// Whether there is a webhook configuration of ours; none where that could not be read.
    pub(super) webhook: Option<bool>,
    /// The namespace of its Service, whose Pods get nothing.
    pub(in crate::commands) namespace: Option<String>,
    /// What the webhook's Pods are given, or why that is not known.
    pub(super) given: Result<Given, String>,
}

/// A mapping in a cluster.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) mapping: Mapping,
    /// Such as `configmap pullcred/pullcred-mapping`.
    pub(super) place: String,
}

// === impl InForce ===

impl InForce {
    /// Reads the webhook configuration, its Service, that Service's Pods, and the ConfigMap that they have mounted.
    pub(in crate::commands) async fn read(cluster: &Cluster) -> Self {
        let webhook = match webhook(cluster).await {
            Ok(Some(webhook)) => webhook,
            Ok(None) => {
                let given =
                    Err(format!("no MutatingWebhookConfiguration has the webhook {WEBHOOK}"));
                return Self { webhook: Some(false), namespace: None, given };
            }
            Err(error) => {
                return Self { webhook: None, namespace: None, given: Err(error.reason()) };
            }
        };
        let Some(service) = webhook.client_config.service else {
            let given = Err("the webhook is not behind a Service of this cluster".to_owned());
            return Self { webhook: Some(true), namespace: None, given };
        };
        let given = Given::behind(cluster, &service).await;
        Self { webhook: Some(true), namespace: Some(service.namespace), given }
    }
}

/// The namespace of the webhook's Service, where pullcred is; `None` where there is no such webhook.
pub(in crate::commands) async fn home(cluster: &Cluster) -> Result<Option<String>, CallError> {
    let service = webhook(cluster).await?.and_then(|it| it.client_config.service);
    Ok(service.map(|it| it.namespace))
}

/// Our webhook, as the API server has it.
async fn webhook(cluster: &Cluster) -> Result<Option<MutatingWebhook>, CallError> {
    let all = Collection::of::<MutatingWebhookConfiguration>(None);
    let found: Vec<MutatingWebhookConfiguration> = cluster.list(all, None).all().await?;
    let mut webhooks = found.into_iter().flat_map(|it| it.webhooks.unwrap_or_default());
    Ok(webhooks.find(|it| it.name == WEBHOOK))
}

impl Given {
    async fn behind(cluster: &Cluster, service: &ServiceReference) -> Result<Self, String> {
        let ServiceReference { namespace, name, .. } = service;
        let services = Collection::of::<Service>(Some(namespace));
        let found =
            cluster.get::<Service>(&services, name).await.map_err(|error| error.reason())?;
        let spec = found.and_then(|it| it.spec);
        let selector = spec.and_then(|it| it.selector).filter(|it| !it.is_empty());
        let selector =
            selector.ok_or_else(|| format!("Service {namespace}/{name} selects no Pods"))?;
        let pods = selected(cluster, namespace, &selector).await;
        let pods = pods.map_err(|error| error.reason())?;
        let given = GivenText::read(cluster, &pods).await.map_err(|why| match why {
            NotGiven::NoPod => "no Pod of the webhook has a mapping mounted".to_owned(),
            NotGiven::Unread(place, why) => format!("{place}: {why}"),
            NotGiven::NoKey(place, key) => format!("{place} has no key {key:?}"),
        })?;
        let (place, text) = (given.place(), given.text);
        let mapping = mapping::parse(&text).map_err(|error| {
            format!(
                "the webhook refuses that of {place}: line {}: {}",
                error.line(),
                error.message()
            )
        })?;
        Ok(Self { mapping, place })
    }

    /// What to say where the mapping of a file is another one. Lines and spellings do not count.
    pub(super) fn difference(&self, mapping: &Mapping, file: &Path) -> Option<String> {
        let rule = |rule: &Rule| {
            let patterns =
                rule.patterns.iter().map(|it| (it.host().to_owned(), it.path().to_owned()));
            let (secret, namespaces) = (rule.secret.clone(), rule.namespaces.clone());
            (patterns.collect::<Vec<_>>(), secret, namespaces, rule.fill.clone())
        };
        let rules = |it: &Mapping| it.rules().iter().map(rule).collect::<Vec<_>>();
        let logins = |it: &Mapping| {
            let logins = it.logins().iter().map(|it| (it.name.clone(), it.source.clone()));
            logins.collect::<Vec<_>>()
        };
        let is_same = rules(mapping) == rules(&self.mapping)
            && mapping.always() == self.mapping.always()
            && logins(mapping) == logins(&self.mapping);
        (!is_same).then(|| {
            format!(
                "warning: {} is not the mapping of {}, which new Pods get their Secrets by: what follows is by {}",
                file.display(),
                self.place,
                file.display()
            )
        })
    }
}
