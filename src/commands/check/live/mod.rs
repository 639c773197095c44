//! The doctor of a cluster: the registration, what it points to, and the namespaces that have opted in.
//!
//! | module | what it looks at |
//! |---|---|
//! | [`registration`] | the MutatingWebhookConfiguration, field by field |
//! | [`certificates`], [`handshake`] | what the API server trusts, and what is served |
//! | [`serving`] | the Service and the Pods behind it |
//! | [`mounted`] | which mapping they run with |
//! | [`namespaces`], [`pods`], [`secrets`] | who has opted in, who needs what, and whether it would work |
//!
//! Each of them turns what was read into findings. What may not be read is a note, and nothing else stops for it.

mod certificates;
mod handshake;
mod mounted;
mod namespaces;
mod pods;
mod registration;
mod secrets;
mod serving;

use std::{collections::BTreeMap, io::Write};

use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration},
    core::v1::{ConfigMap, Pod},
};
use kube::{Api, Client, api::ListParams};

use self::{
    certificates::Bundle,
    mounted::{Source, file_of},
    namespaces::Standing,
    pods::Usage,
    registration::WEBHOOK,
    secrets::Shelf,
    serving::Serving,
};
use super::{Check, finding::Report};
use crate::{
    commands::{
        Failure,
        cluster::{ClusterError, ClusterOptions, block_on, told},
        scan::{self, PodPages, Progress},
    },
    core::{decide::Knowledge, rules::Mapping},
    mapping,
};

/// Which part of which cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// The cluster.
    pub cluster: ClusterOptions,
    /// The one namespace to look at for Pods and Secrets; without one, all.
    pub namespace: Option<String>,
    /// The one registration; without one, those that have pullcred's webhook.
    pub registration: Option<String>,
}

/// Looks at a cluster, by `mapping` or by that of the webhook's Pods.
pub(super) fn check(
    live: &Live,
    mapping: Option<Mapping>,
    report: &mut Report,
    stderr: &mut dyn Write,
) -> Result<(), Failure> {
    block_on(async {
        let client = live.cluster.connect().await?.client;
        let doctor = Doctor { live, client };
        let installed = doctor.registrations(report).await?;
        let mapping = match mapping {
            Some(mapping) => Some(mapping),
            None => doctor.mapping(&installed, report).await,
        };
        if let Some(mapping) = &mapping {
            super::mapping::check(mapping, report);
        }
        let known = Knowledge {
            own_namespace: installed.namespace.as_deref().map(Into::into),
            mapping: mapping.unwrap_or_default(),
        };
        doctor.namespaces(&installed.webhooks, &known, report, stderr).await
    })
}

struct Doctor<'l> {
    live: &'l Live,
    client: Client,
}

/// What there is of pullcred in the cluster.
#[derive(Debug, Default)]
struct Installed {
    webhooks: Vec<MutatingWebhook>,
    /// That of the Service.
    namespace: Option<String>,
    pods: Vec<Pod>,
}

// === impl Doctor ===

impl Doctor<'_> {
    /// Looks at the registrations, and at what they point to. This is the first that is asked of the API server, so where
    /// it does not answer at all, there is nothing to report.
    async fn registrations(&self, report: &mut Report) -> Result<Installed, Failure> {
        let mut installed = Installed::default();
        let found = match self.configurations().await {
            Ok(found) => found,
            Err(kube::Error::Api(status)) => {
                report.not_seen("registration", &status.message);
                return Ok(installed);
            }
            Err(source) => {
                let attempt = "read the MutatingWebhookConfigurations".to_owned();
                return Err(ClusterError::Request { attempt, source }.into());
            }
        };
        let now = certificates::now();
        for (name, webhook) in found.iter().flat_map(|found| ours(found, self.live)) {
            registration::judge(name, webhook, report);
            let text = webhook.client_config.ca_bundle.as_ref().map_or(&[][..], |it| &it.0);
            let bundle = Bundle::judge(&registration::place(name), text, now, report);
            let serving = Serving { client: &self.client, webhook, bundle: &bundle, now };
            installed.pods.extend(serving.judge(report).await);
            let service = webhook.client_config.service.as_ref();
            installed.namespace =
                installed.namespace.or_else(|| service.map(|it| it.namespace.clone()));
            installed.webhooks.push(webhook.clone());
        }
        if installed.webhooks.is_empty() {
            let (place, message) = match &self.live.registration {
                Some(name) => (
                    registration::place(name),
                    "there is no such MutatingWebhookConfiguration, or it has no webhook: no Pod gets a Secret. Install it, \
                     or name another one"
                        .to_owned(),
                ),
                None => (
                    "registration".to_owned(),
                    format!(
                        "no MutatingWebhookConfiguration has the webhook {WEBHOOK}: no Pod gets a Secret. Install pullcred, \
                         or name it by --webhook-config"
                    ),
                ),
            };
            report.error(Check::Registration, place, message);
        }
        Ok(installed)
    }

    async fn configurations(&self) -> kube::Result<Vec<MutatingWebhookConfiguration>> {
        let api = Api::all(self.client.clone());
        match &self.live.registration {
            Some(name) => Ok(api.get_opt(name).await?.into_iter().collect()),
            None => Ok(api.list(&ListParams::default()).await?.items),
        }
    }

    /// The mapping that the webhook's Pods run with; none where that is not known.
    async fn mapping(&self, installed: &Installed, report: &mut Report) -> Option<Mapping> {
        let found = installed.pods.iter().find_map(|pod| {
            let file = file_of(pod, "--config", "PULLCRED_CONFIG")?;
            match file.source {
                Source::ConfigMap(name) => {
                    Some((pod.metadata.namespace.as_deref()?, name, file.key))
                }
                Source::Secret(_) => None,
            }
        });
        let Some((namespace, name, key)) = found else {
            let why = "no Pod of the webhook tells which one it has. Without it neither Secrets nor Pods are judged: \
                       write --config FILE";
            report.not_seen("mapping", why);
            return None;
        };
        let place = format!("configmap {namespace}/{name}");
        let map =
            match Api::<ConfigMap>::namespaced(self.client.clone(), namespace).get(&name).await {
                Ok(map) => map,
                Err(error) => {
                    report.not_seen(place, &format!("{}. Write --config FILE", told(&error)));
                    return None;
                }
            };
        let Some(text) = map.data.unwrap_or_default().remove(&key) else {
            report.error(
                Check::Mapping,
                place,
                format!("it has no key {key}, which the webhook reads"),
            );
            return None;
        };
        match mapping::parse(&text) {
            Ok(mapping) => Some(mapping),
            Err(error) => {
                let message = format!(
                    "the webhook does not take it, and goes on with the last good one: {error:#}"
                );
                report.error(Check::Mapping, place, message);
                None
            }
        }
    }

    async fn namespaces(
        &self,
        webhooks: &[MutatingWebhook],
        known: &Knowledge,
        report: &mut Report,
        stderr: &mut dyn Write,
    ) -> Result<(), Failure> {
        let only = self.live.namespace.as_deref();
        let labels = match namespaces::read(&self.client, only).await {
            Ok(labels) => labels,
            Err(kube::Error::Api(status)) if status.is_not_found() => {
                return Err(Failure::trouble(status.message.clone()));
            }
            Err(error) => {
                let place =
                    only.map_or("namespaces".to_owned(), |name| format!("namespace {name}"));
                report.not_seen(place, &told(&error));
                return Ok(());
            }
        };
        let judged = labels.iter().map(|(name, labels)| {
            (name.as_str(), namespaces::judge(name, labels, webhooks, known, report))
        });
        let standings: BTreeMap<&str, Standing> = judged.collect();
        // Without a mapping no Pod needs anything.
        if known.mapping.rules().is_empty() && known.mapping.always().is_empty() {
            return Ok(());
        }
        let usage = self.pods(&standings, known, report, stderr).await?;
        self.secrets(&standings, &usage, known, report, stderr).await?;
        let may_opt_in = |name: &str| standings.get(name) == Some(&Standing::NotOptedIn);
        usage.report(may_opt_in, report);
        Ok(())
    }

    /// Reads the Pods, page by page.
    async fn pods(
        &self,
        standings: &BTreeMap<&str, Standing>,
        known: &Knowledge,
        report: &mut Report,
        stderr: &mut dyn Write,
    ) -> Result<Usage, Failure> {
        let mut usage = Usage::default();
        let only = self.live.namespace.as_deref();
        let mut pages = PodPages::new(self.client.clone(), only);
        let mut progress = Progress::of("Pods");
        loop {
            let page = match pages.next().await {
                Ok(Some(page)) => page,
                Ok(None) => return Ok(usage),
                Err(error) => {
                    let place = only.map_or("pods".to_owned(), |name| format!("pods of {name}"));
                    report.not_seen(place, &told(&error));
                    return Ok(usage);
                }
            };
            progress.add(page.len(), stderr)?;
            for pod in page {
                let Ok(pod) = serde_json::to_value(pod) else { continue };
                let namespace = pod.pointer("/metadata/namespace").and_then(|it| it.as_str());
                let standing = namespace.and_then(|namespace| standings.get(namespace));
                usage.add(&pod, standing == Some(&Standing::Covered), known);
            }
        }
    }

    /// Reads the Secrets of each namespace, by their names.
    async fn secrets(
        &self,
        standings: &BTreeMap<&str, Standing>,
        usage: &Usage,
        known: &Knowledge,
        report: &mut Report,
        stderr: &mut dyn Write,
    ) -> Result<(), Failure> {
        let none = BTreeMap::new();
        let mut progress = Progress::of("Secrets");
        let covered = standings.iter().filter(|(_, standing)| **standing == Standing::Covered);
        for (namespace, _) in covered {
            let needs = usage.needs.get(*namespace).unwrap_or(&none);
            let secrets = Shelf::new(namespace, &known.mapping, needs);
            let found = scan::secrets(&self.client, secrets.names()).await;
            progress.add(found.len(), stderr)?;
            secrets.judge(found, report);
        }
        Ok(())
    }
}

/// The webhooks of a registration that are pullcred's, each with the registration's name. One that was asked for by name
/// may call its webhooks otherwise.
fn ours<'c>(
    configuration: &'c MutatingWebhookConfiguration,
    live: &Live,
) -> Vec<(&'c str, &'c MutatingWebhook)> {
    let name = configuration.metadata.name.as_deref().unwrap_or_default();
    let all = || configuration.webhooks.iter().flatten();
    let named: Vec<_> = all().filter(|it| it.name == WEBHOOK).collect();
    let ours =
        if named.is_empty() && live.registration.is_some() { all().collect() } else { named };
    ours.into_iter().map(|webhook| (name, webhook)).collect()
}
