//! Checks of a cluster: the webhook configuration, what it points to, and the namespaces that have opted in.
//!
//! | module | what it checks |
//! |---|---|
//! | [`registration`] | the MutatingWebhookConfiguration, field by field |
//! | [`certificates`], [`handshake`] | what the API server trusts, and what is served |
//! | [`serving`] | the Service and the Pods behind it |
//! | [`replicas`] | Pods of pullcred that are not ready |
//! | [`mounted`], [`in_force`], `wait` | which mapping they are given, and which one they decide by |
//! | [`forward`] | a port of a Pod, through the API server |
//! | [`policy`] | a policy in place of the webhook, and one on the label |
//! | [`copies`] | the logins, the controller that copies them, and the copies |
//! | [`reports`] | whether reports are there and count, for a mapping that decides by them |
//! | [`reach`] | whether there is anything to judge |
//! | [`namespaces`], [`pods`], [`secrets`] | who has opted in, who needs what, and whether it would work |
//!
//! Each of them turns what was read into findings. What may not be read is a note, and nothing else stops for it.

mod certificates;
mod copies;
mod forward;
mod handshake;
mod in_force;
mod mounted;
mod namespaces;
mod pods;
mod policy;
mod reach;
mod registration;
mod replicas;
mod reports;
mod secrets;
mod serving;
mod wait;

use std::{collections::BTreeMap, io::Write, time::Duration};

use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration},
    core::v1::Pod,
};
use serde_json::Value;

use self::{
    certificates::Bundle,
    copies::{Logins, Settled},
    in_force::Given,
    namespaces::LabelState,
    pods::Usage,
    secrets::{NamespaceSecrets, Spare},
    serving::Serving,
};
use super::{Check, finding::Report};
use crate::{
    cluster::{CallError, Cluster, ClusterOptions, Collection, client::block_on},
    commands::{
        Failure,
        keeper::Audience,
        scan::{self, Progress},
    },
    core::rules::Mapping,
    mapping,
    pki::time,
};

pub(in crate::commands) use self::{
    in_force::{Given as GivenText, NotGiven},
    registration::WEBHOOK,
    serving::selected,
};

/// Which part of which cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// The cluster.
    pub cluster: ClusterOptions,
    /// The one namespace whose Pods and Secrets to check; without one, all.
    pub namespace: Option<String>,
    /// The one webhook configuration; without one, those that have pullcred's webhook.
    pub registration: Option<String>,
    /// How long to wait until every webhook Pod decides by the mapping that it is given; without one, not at all.
    pub wait: Option<Duration>,
}

/// Checks a cluster, by `mapping` or by that of the webhook's Pods.
pub(super) fn check(
    live: &Live,
    mapping: Option<Mapping>,
    report: &mut Report,
    stderr: &mut dyn Write,
) -> Result<(), Failure> {
    block_on(async {
        let cluster = live.cluster.connect().await?.patient();
        let check = LiveCheck { live, cluster };
        if let Some(limit) = live.wait {
            check.wait(limit, stderr).await?;
        }
        let installed = check.registrations(mapping.is_some(), report).await?;
        let given = check.given(&installed, mapping.is_none(), report).await;
        let mapping = mapping.or(given);
        if let Some(mapping) = &mapping {
            super::mapping::check(mapping, report);
        }
        let mapping = mapping.unwrap_or_default();
        let mut own_namespace = installed.namespace.clone();
        // Without logins, nothing is asked for their sake.
        if !mapping.logins().is_empty() {
            let found = check.credentials_controller(own_namespace.as_deref(), report).await;
            own_namespace = own_namespace.or(found);
        }
        let mapping = mapping.with_own_namespace(own_namespace.map(Into::into));
        check.reports(&mapping, report).await;
        let logins = if mapping.logins().is_empty() {
            Logins::default()
        } else {
            check.logins(&mapping, report).await
        };
        check.namespaces(&installed.webhooks, &mapping, &logins, report, stderr).await
    })
}

struct LiveCheck<'l> {
    live: &'l Live,
    cluster: Cluster,
}

/// What there is of pullcred in the cluster.
#[derive(Debug, Default)]
struct Installed {
    webhooks: Vec<MutatingWebhook>,
    /// That of the Service.
    namespace: Option<String>,
    pods: Vec<Pod>,
    /// Whether a policy injects, and no webhook.
    by_policy: bool,
}

// === impl LiveCheck ===

impl LiveCheck<'_> {
    /// Checks the webhook configurations, and what they point to. This is the first that is asked of the API server, so where
    /// it does not answer at all, there is nothing to report.
    async fn registrations(
        &self,
        has_mapping: bool,
        report: &mut Report,
    ) -> Result<Installed, Failure> {
        let mut installed = Installed::default();
        let found = match self.configurations().await {
            Ok(found) => found,
            Err(error) if error.is_refusal() => {
                report.not_seen("registration", &error.reason());
                return Ok(installed);
            }
            Err(error) => return Err(error.into()),
        };
        let now = time::now();
        for configuration in found.iter().filter(|it| !ours(it, self.live).is_empty()) {
            registration::judge_whole(configuration, self.live.registration.is_some(), report);
        }
        for (name, webhook) in found.iter().flat_map(|found| ours(found, self.live)) {
            registration::judge(name, webhook, report);
            let text = webhook.client_config.ca_bundle.as_ref().map_or(&[][..], |it| &it.0);
            let bundle = Bundle::judge(&registration::place(name), text, now, report);
            let serving = Serving { cluster: &self.cluster, webhook, bundle: &bundle, now };
            installed.pods.extend(serving.judge(report).await);
            let service = webhook.client_config.service.as_ref();
            installed.namespace =
                installed.namespace.or_else(|| service.map(|it| it.namespace.clone()));
            installed.webhooks.push(webhook.clone());
        }
        installed.by_policy = installed.webhooks.is_empty()
            && policy::in_place_of_a_webhook(&self.cluster, has_mapping, report).await;
        if installed.webhooks.is_empty() && !installed.by_policy {
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

    async fn configurations(&self) -> Result<Vec<MutatingWebhookConfiguration>, CallError> {
        let all = Collection::of::<MutatingWebhookConfiguration>(None);
        match &self.live.registration {
            Some(name) => Ok(self.cluster.get(&all, name).await?.into_iter().collect()),
            None => self.cluster.list(all, None).all().await,
        }
    }

    /// The mapping that the webhook's Pods are given; none where that is not known. Says whether it is in force, and, where
    /// it is `needed` and not known, why.
    async fn given(
        &self,
        installed: &Installed,
        needed: bool,
        report: &mut Report,
    ) -> Option<Mapping> {
        let given = match Given::read(&self.cluster, &installed.pods).await {
            Ok(given) => given,
            Err(not_given) => {
                not_given.report(needed && !installed.by_policy, report);
                return None;
            }
        };
        match mapping::parse(&given.text) {
            Ok(mapping) => {
                let in_force = given.in_force(&self.cluster, &installed.pods).await;
                in_force.judge(&given.place(), report);
                Some(mapping)
            }
            Err(error) => {
                given.refused(&error, report);
                None
            }
        }
    }

    async fn namespaces(
        &self,
        webhooks: &[MutatingWebhook],
        mapping: &Mapping,
        logins: &Logins,
        report: &mut Report,
        stderr: &mut dyn Write,
    ) -> Result<(), Failure> {
        let only = self.live.namespace.as_deref();
        let labels = match namespaces::read(&self.cluster, only).await {
            Ok(labels) => labels,
            Err(error) => {
                let place =
                    only.map_or("namespaces".to_owned(), |name| format!("namespace {name}"));
                report.not_seen(place, &error.reason());
                return Ok(());
            }
        };
        if let Some(name) = only.filter(|_| labels.is_empty()) {
            return Err(Failure::trouble(format!("there is no namespace {name}")));
        }
        policy::on_the_label(&self.cluster, &labels, report).await;
        let judged = labels.iter().filter(|(_, it)| !it.is_of_the_test()).map(|(name, it)| {
            (name.as_str(), namespaces::judge(name, &it.labels, webhooks, mapping, report))
        });
        let states: BTreeMap<&str, LabelState> = judged.collect();
        // Without a mapping no Pod needs anything.
        if mapping.rules().is_empty() && mapping.always().is_empty() {
            return Ok(());
        }
        let covered: Vec<&str> = states
            .iter()
            .filter(|(_, state)| **state == LabelState::Covered)
            .map(|(name, _)| *name)
            .collect();
        reach::judge(&covered, only, mapping, report);
        let Some(usage) = self.pods(&states, mapping, report, stderr).await? else {
            return Ok(());
        };
        let settled = if mapping.logins().is_empty() {
            Settled::new()
        } else {
            self.copies(&labels, logins, &usage, mapping, report).await
        };
        let audience = |namespace| Audience {
            mapping,
            namespace,
            labels: labels.get(namespace).map(|it| &it.labels),
        };
        let audiences: Vec<Audience<'_>> = covered.iter().map(|name| audience(*name)).collect();
        self.secrets(&audiences, &usage, &settled, report, stderr).await?;
        let may_opt_in = |name: &str| states.get(name) == Some(&LabelState::NotOptedIn);
        usage.report(may_opt_in, report);
        Ok(())
    }

    /// Reads the Pods, page by page. `None` where not all could be read: what no Pod of a part needs is not yet spare.
    async fn pods(
        &self,
        states: &BTreeMap<&str, LabelState>,
        mapping: &Mapping,
        report: &mut Report,
        stderr: &mut dyn Write,
    ) -> Result<Option<Usage>, Failure> {
        let mut usage = Usage::default();
        let only = self.live.namespace.as_deref();
        let mut pages = scan::pods(&self.cluster, only);
        let mut progress = Progress::of("Pods");
        loop {
            let page = match pages.next::<Value>().await {
                Ok(Some(page)) => page,
                Ok(None) => return Ok(Some(usage)),
                Err(error) => {
                    let place = only.map_or("pods".to_owned(), |name| format!("pods of {name}"));
                    let why = format!(
                        "{}. Without all Pods it is not known which Secrets they need",
                        error.reason()
                    );
                    report.not_seen(place, &why);
                    return Ok(None);
                }
            };
            progress.add(page.len(), stderr)?;
            for pod in page {
                let namespace = pod.pointer("/metadata/namespace").and_then(|it| it.as_str());
                let state = namespace.and_then(|namespace| states.get(namespace));
                usage.add(&pod, state == Some(&LabelState::Covered), mapping);
            }
        }
    }

    /// Reads the Secrets of each namespace, by their names.
    async fn secrets(
        &self,
        audiences: &[Audience<'_>],
        usage: &Usage,
        settled: &Settled,
        report: &mut Report,
        stderr: &mut dyn Write,
    ) -> Result<(), Failure> {
        let none = BTreeMap::new();
        let mut progress = Progress::of("Secrets");
        let mut spare = Spare::default();
        for audience in audiences {
            let needs = usage.needs.get(audience.namespace).unwrap_or(&none);
            let secrets = NamespaceSecrets::new(*audience, needs, settled);
            let found = scan::secrets(&self.cluster, secrets.names()).await;
            progress.add(found.len(), stderr)?;
            secrets.judge(found, &mut spare, report);
        }
        spare.report(report);
        Ok(())
    }
}

/// The webhooks of a configuration that are pullcred's, each with the configuration's name. One that was asked for by name
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
