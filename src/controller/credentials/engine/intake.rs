//! What watches bring, and what follows from it for the state and the queue.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::time::Instant;

use super::{
    super::{
        reports::Key,
        seen::Seen,
        sources::{Event, Resource},
        state::Namespace,
    },
    Engine,
};
use crate::{cluster::Urgency, core::rules::Mapping, fingerprint::Fingerprint, mapping};

impl Engine {
    pub(super) fn take_in(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Listing(resource) => self.sources.listing(&resource),
            Event::Listed(resource) => {
                self.outage_is_over(now);
                if !resource.is_reports() {
                    self.reports_reachable.send_replace(());
                }
                self.listed(&resource, now);
            }
            Event::Failed(resource, error) => {
                self.sources.failed(&resource, &error);
                self.reports_failed(&resource, &error);
            }
            Event::Report { key, seen, health, pods } => {
                self.pods_reported(&key, pods, now);
                if let Key::Login(login) = &key {
                    self.record_seen(login, health);
                }
                self.report_seen(key, seen, now);
            }
            Event::Mapping { text, collect } => {
                self.sources.saw(&Resource::Mapping, "");
                self.take_mapping(text.as_deref(), collect.as_deref(), now);
            }
            Event::Namespace { name, found } => {
                let namespace = found.map(|(labels, terminating)| Namespace {
                    labels: self.labels(labels),
                    terminating,
                    since: now,
                });
                self.sources.saw(&Resource::Namespaces, &name);
                if namespace.is_none() {
                    self.forget_refused(&name);
                }
                let has_changed = self.state.set_namespace(&name, namespace);
                self.cover(&name, now);
                if has_changed {
                    let urgency = if self.sources.is_listed(&Resource::Namespaces) {
                        Urgency::New
                    } else {
                        Urgency::Bulk
                    };
                    self.schedule.want(Arc::from(&*name), urgency, now);
                }
            }
            Event::Copy { secret, namespace, seen } => {
                self.sources.saw(&Resource::Copies(Arc::clone(&secret)), &namespace);
                if let (Some(reports), Some(Seen::Foreign)) = (&mut self.reports, &seen) {
                    reports.foreign_changed(&namespace, &secret);
                }
                self.state.set_seen(&namespace, &secret, seen, now);
                self.schedule.want(Arc::from(&*namespace), Urgency::Changed, now);
            }
            Event::Login { secret } => {
                self.sources.saw(&Resource::Login(Arc::clone(&secret)), "");
                self.logins_changed(&secret);
            }
        }
    }

    /// A list is complete: what was known and is not in it has gone.
    fn listed(&mut self, resource: &Resource, now: Instant) {
        let was_known = self.sources.is_listed(resource);
        let listed = self.sources.listed(resource);
        match resource {
            Resource::Namespaces => {
                let known: Vec<_> = self.state.opted_in().map(Arc::clone).collect();
                for name in known.into_iter().filter(|name| !listed.contains(&**name)) {
                    self.state.set_namespace(&name, None);
                    self.cover(&name, now);
                    self.forget_refused(&name);
                    self.schedule.want(name, Urgency::Changed, now);
                }
            }
            Resource::Copies(secret) => {
                let known: Vec<_> = self.state.namespaces_with(secret).map(Arc::clone).collect();
                for name in known.into_iter().filter(|name| !listed.contains(&**name)) {
                    self.state.set_seen(&name, secret, None, now);
                    self.schedule.want(name, Urgency::Changed, now);
                }
                self.state.set_listed(secret);
            }
            Resource::Login(secret) if listed.is_empty() => self.logins_changed(secret),
            Resource::Mapping if listed.is_empty() => self.take_mapping(None, None, now),
            Resource::LoginReports | Resource::NamespaceReports => {
                self.reports_listed(resource, &listed, now);
            }
            Resource::Login(_) | Resource::Mapping => {}
        }
        if !was_known && !resource.is_reports() {
            self.want_all(Urgency::Bulk, now);
        }
    }

    /// The Secret of some logins has changed, or has gone.
    fn logins_changed(&mut self, secret: &Arc<str>) {
        self.fetching.changed(secret);
        let names: Vec<_> = self.state.logins().in_secret(secret).cloned().collect();
        for name in names {
            self.login_changed(name);
        }
    }

    fn take_mapping(&mut self, text: Option<&str>, collect: Option<&str>, now: Instant) {
        let Some(text) = text else {
            self.status.mapping_failed("the ConfigMap has no key pullcred.yaml, or is not there");
            return;
        };
        let mapping: Mapping = match mapping::parse(text) {
            Ok(mapping) => mapping,
            Err(error) => return self.status.mapping_failed(&error.to_string()),
        };
        let fingerprint = Fingerprint::of(&[text]).to_string();
        self.status.mapping_in_force(&fingerprint, mapping.logins().len());
        if self.mapping.as_deref() != Some(&*fingerprint) {
            self.state.set_mapping(&mapping, &self.own_namespace);
            self.mapping = Some(fingerprint.as_str().into());
            let secrets = self.state.copies().secrets().map(|it| Arc::from(it.as_str())).collect();
            self.fetching.set_mapping(&mapping);
            self.plan_checks(&mapping);
            let keys = mapping.logins().iter().filter_map(|login| login.source.keys());
            let logins = self.state.logins().secrets().map(|(_, it)| it).chain(keys);
            let logins = logins.map(|it| Arc::from(it.as_str())).collect();
            let labels = self.state.copies().label_keys().map(Into::into).collect();
            let discovers = self.discovery.is_some() && !mapping.discover().is_empty();
            let namespaces = discovers || self.state.copies().secrets().len() > 0;
            self.sources.follow(secrets, logins, namespaces, labels);
            let mapping = mapping.with_own_namespace(Some((*self.own_namespace).into()));
            let mapping = Arc::new(mapping);
            if let Some(audit) = &mut self.audit {
                audit.set_mapping(Arc::clone(&mapping), now);
            }
            self.discovers = discovers.then_some(mapping);
            self.cover_all(now);
            self.want_reports(now);
        }
        self.state.release_collection(collect == self.mapping.as_deref());
        self.want_all(Urgency::Bulk, now);
    }

    /// Of a namespace's labels, those that rules ask for.
    fn labels(&self, labels: BTreeMap<String, String>) -> Vec<(Box<str>, Box<str>)> {
        let keys: BTreeSet<&str> = self.state.copies().label_keys().collect();
        let asked = labels.into_iter().filter(|(key, _)| keys.contains(key.as_str()));
        asked.map(|(key, value)| (key.into(), value.into())).collect()
    }

    pub(super) fn want_all(&mut self, urgency: Urgency, now: Instant) {
        let names: Vec<_> = self.state.namespaces().map(Arc::clone).collect();
        for name in names {
            self.schedule.want(name, urgency, now);
        }
    }
}
