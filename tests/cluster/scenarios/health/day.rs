//! A day of a login and its namespaces: the registry, pullcred, and what people see.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::registry::{IMAGE, Registry};
use crate::{
    clouds::Authority,
    cluster::Cluster,
    controller::Controller,
    namespace::Namespace,
    scenarios::{
        copies::{home::Home, login::DockerConfig},
        reports::house::{self, HOME},
    },
    wait::{time_until, until},
};

pub(super) const LOGIN: &str = "acme";
pub(super) const SECRET: &str = "acme-robot";
pub(super) const COPY: &str = "acme";
/// Namespaces that have opted in before.
pub(super) const NAMESPACES: [&str; 5] = ["team-a", "team-b", "team-c", "team-d", "team-e"];
/// A second try comes 60 to 72 seconds after the first.
pub(super) const AGAIN: Duration = Duration::from_secs(120);
/// For a check, a report, or a copy.
pub(super) const SOON: Duration = Duration::from_secs(30);
const REPORTS: &str = "/apis/pullcred.dev/v1alpha1/loginreports";

/// All that a story has.
pub(super) struct Day {
    pub(super) home: Home,
    pub(super) registry: Registry,
    /// What of the registry the rule is for.
    key: String,
    pub(super) mapping: String,
    pub(super) namespaces: Vec<Namespace>,
}

// === impl Day ===

impl Day {
    /// The registry takes `password`, which the login has, and the namespaces have opted in.
    pub(super) async fn begin(cluster: &Arc<Cluster>, password: &str) -> Result<Self> {
        let authority = Authority::new();
        let registry = Registry::start(&authority, password);
        let host = registry.host();
        let key = format!("{host}/acme");
        let mapping = format!(
            "logins: [{{name: {LOGIN}, secret: {SECRET}}}]\n\
             rules:\n- {{registries: ['{key}'], secret: {COPY}, login: {LOGIN}, namespaces: ['team-*'], \
             verify: '{host}/{IMAGE}:stable'}}\n"
        );
        let (copies, logins) = ([COPY], [SECRET]);
        let cluster = Arc::clone(cluster);
        let home = Home::with_health(cluster, HOME, &mapping, &copies, &logins, &authority).await?;
        let mut namespaces = Vec::new();
        for name in NAMESPACES {
            namespaces.push(house::opted_in(home.api(), name).await?);
        }
        let day = Self { home, registry, key, mapping, namespaces };
        day.home.create_login(SECRET, &day.login(password)).await?;
        Ok(day)
    }

    /// A login with this password, as its Secret and copies have it.
    pub(super) fn login<'d>(&'d self, password: &'d str) -> [(&'d str, &'d str); 1] {
        [(&self.key, password)]
    }

    /// Changes the login, as people do who rotate a password.
    pub(super) async fn rotate(&self, password: &str) -> Result<()> {
        self.home.rotate_login(SECRET, &self.login(password)).await
    }

    /// Waits until all namespaces have a copy with this password, and answers how long that took.
    pub(super) async fn copied(&self, begin: Instant, password: &str) -> Result<Duration> {
        let mut slowest = Duration::ZERO;
        let expected = DockerConfig::new(&self.login(password));
        for namespace in &self.namespaces {
            let what = format!("new copy in {}", namespace.name());
            let took = time_until(begin, AGAIN, &what, async || {
                let found = self.home.secret(namespace, COPY).await?;
                Ok(found.is_some_and(|it| DockerConfig::of(&it).is_ok_and(|it| it == expected)))
            });
            slowest = slowest.max(took.await?);
        }
        Ok(slowest)
    }

    /// The `resourceVersion` of each copy.
    pub(super) async fn versions(&self) -> Result<Vec<String>> {
        let mut versions = Vec::new();
        for namespace in &self.namespaces {
            let copy = self.home.secret(namespace, COPY).await?.context("the copy has gone")?;
            versions.push(copy["metadata"]["resourceVersion"].as_str().unwrap_or("").to_owned());
        }
        Ok(versions)
    }

    /// The report of the login.
    pub(super) async fn report(&self) -> Result<Value> {
        let path = format!("{REPORTS}/{LOGIN}");
        Ok(self.home.api().get(&path).await?.found()?.unwrap_or_default())
    }

    /// Writes a record into it, as checks do.
    pub(super) async fn write_record(&self, record: &Value) -> Result<()> {
        let report = json!({
            "apiVersion": "pullcred.dev/v1alpha1", "kind": "LoginReport",
            "metadata": {"name": LOGIN}, "status": {"health": record},
        });
        let path = format!("{REPORTS}/{LOGIN}");
        let query = "fieldManager=pullcred-health&force=true";
        self.home.api().apply(&path, query, &report).await?.ok().map(drop)
    }

    /// Waits until the report says that so many namespaces of so many have a copy.
    pub(super) async fn until_copied(&self, copied: &str) -> Result<()> {
        until(&format!("report of {copied} copies"), async || {
            Ok(self.report().await?["status"]["namespaces"]["copied"] == copied)
        })
        .await
    }

    /// Waits until the report says `Healthy` with this reason, and answers how long that took.
    pub(super) async fn until_health(
        &self,
        begin: Instant,
        limit: Duration,
        reason: &str,
    ) -> Result<Duration> {
        let what = format!("reason {reason} of Healthy");
        let mut last = Value::Null;
        let took = time_until(begin, limit, &what, async || {
            last = self.report().await?;
            let conditions = last["status"]["conditions"].as_array().into_iter().flatten();
            let mut healthy = conditions.filter(|it| it["type"] == "Healthy");
            Ok(healthy.any(|it| it["reason"] == reason))
        });
        took.await.with_context(|| format!("{}", last["status"]))
    }

    /// Waits for an Event of this reason with these words on the login's Secret, and answers its text and how long that took.
    pub(super) async fn until_event(
        &self,
        begin: Instant,
        reason: &str,
        words: &str,
    ) -> Result<(String, Duration)> {
        let mut note = String::new();
        let what = format!("Event {reason}");
        let took = time_until(begin, AGAIN + SOON, &what, async || {
            let list = self.home.namespace.object("/apis/events.k8s.io/v1", "events").await?;
            let items = list["items"].as_array().into_iter().flatten();
            let of_it =
                items.filter(|it| it["reason"] == reason && it["regarding"]["name"] == SECRET);
            let mut notes = of_it.filter_map(|it| it["note"].as_str());
            let found = notes.rfind(|it| it.contains(words));
            found.unwrap_or_default().clone_into(&mut note);
            Ok(found.is_some())
        });
        let took = took.await?;
        Ok((note, took))
    }

    /// Waits until the metric of a verdict or of another series is 1.
    pub(super) async fn until_metric(
        &self,
        begin: Instant,
        controller: &Controller,
        series: &str,
    ) -> Result<Duration> {
        let what = format!("1 for {series}");
        let look = async || Ok(controller.metric(series).await? == 1);
        time_until(begin, AGAIN + SOON, &what, look).await
    }

    /// The report of the login as one is after half an hour and more: what was to come next is due.
    pub(super) async fn half_an_hour_passes(&self) -> Result<()> {
        let earlier = "2020-01-01T00:00:00Z";
        let mut health = self.report().await?["status"]["health"].take();
        health["checkedAt"] = earlier.into();
        health["nextCheckAt"] = earlier.into();
        let report = json!({
            "apiVersion": "pullcred.dev/v1alpha1", "kind": "LoginReport", "metadata": {"name": LOGIN},
            "status": {"health": health},
        });
        // In the name of the one that writes it: what two have written, one cannot remove.
        let path = format!("{REPORTS}/{LOGIN}");
        self.home
            .api()
            .apply(&path, "fieldManager=pullcred-health&force=true", &report)
            .await?
            .ok()?;
        let now = self.report().await?;
        ensure!(now["status"]["health"]["nextCheckAt"] == earlier, "{now}");
        Ok(())
    }
}
