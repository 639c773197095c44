//! The version of Kubernetes that a run has, and what older ones lack.
//!
//! `PULLCRED_KUBERNETES=1.30` chooses an older one, for the scenarios that it can have. The others are not in the list of trials, so
//! that none of them counts as passed.

use std::{collections::BTreeMap, env, fmt};

use anyhow::{Context, Result};
use libtest_mimic::Trial;

use crate::{scenarios::Slot, setting::Setting, stage::Scenario, turns::Queue};

/// Names the version; `kubernetes/binaries.sh` builds it.
const VARIABLE: &str = "PULLCRED_KUBERNETES";

/// What the newest one is built from.
const NEWEST: &str = include_str!("kubernetes/go.mod");

/// Before, only those with Endpoints are called.
pub(crate) const WEBHOOKS_BY_SLICES: Since =
    Since { version: Version(33), what: "webhooks behind a Service with EndpointSlices" };
pub(crate) const IMAGE_VOLUMES: Since = Since { version: Version(35), what: "image volumes" };
pub(crate) const HOSTNAME_OVERRIDE: Since =
    Since { version: Version(35), what: "hostnameOverride in a Pod" };
pub(crate) const MUTATING_POLICIES: Since =
    Since { version: Version(36), what: "MutatingAdmissionPolicy as a stable API" };
pub(crate) const STATIC_POLICIES: Since =
    Since { version: Version(37), what: "policies from files of the API server" };
/// Which old kubelet runs with which containerd is not a question about pullcred.
pub(crate) const NODE: Since =
    Since { version: Version(37), what: "a node, which is set up for the newest only" };

/// A minor version of Kubernetes 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(u32);

/// Something that versions before this one do not have, or not switched on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Since {
    version: Version,
    what: &'static str,
}

/// Makes trials of the scenarios that a version can have, and notes the others.
pub(crate) struct Selection {
    slot: Slot,
    version: Version,
    left_out: Vec<(&'static str, Since)>,
}

// === impl Version ===

impl Version {
    /// The one that the environment asks for, or the newest.
    pub(crate) fn of_this_run() -> Result<Self> {
        let Ok(version) = env::var(VARIABLE) else { return Self::newest() };
        Self::parse(&version)
            .with_context(|| format!("{VARIABLE}={version}: not a version such as 1.30"))
    }

    fn newest() -> Result<Self> {
        let (_, version) = NEWEST.split_once("k8s.io/kubernetes v1.").context("no Kubernetes")?;
        let (minor, _patch) = version.split_once('.').context("no minor version")?;
        Ok(Self(minor.parse()?))
    }

    fn parse(version: &str) -> Option<Self> {
        version.strip_prefix("1.")?.parse().ok().map(Self)
    }

    pub(crate) fn has(self, feature: Since) -> bool {
        self >= feature.version
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (since {})", self.what, self.version)
    }
}

// === impl Selection ===

impl Selection {
    pub(crate) fn new(slot: &Slot, version: Version) -> Self {
        Self { slot: Slot::clone(slot), version, left_out: Vec::new() }
    }

    /// Where trials find the stage.
    pub(crate) fn slot(&self) -> &Slot {
        &self.slot
    }

    /// The trials of those that this version can have. They wait for their turns in `queue`.
    pub(crate) fn trials<S: Setting>(
        &mut self,
        queue: &mut Queue,
        scenarios: impl IntoIterator<Item = Scenario<S>>,
    ) -> Vec<Trial> {
        let mut can_have = |scenario: &Scenario<S>| {
            scenario.needed().is_none_or(|needed| self.can_have(scenario.name(), needed))
        };
        let scenarios: Vec<_> = scenarios.into_iter().filter(|it| can_have(it)).collect();
        scenarios.into_iter().map(|scenario| scenario.into_trial(&self.slot, queue)).collect()
    }

    /// Whether this version can have a trial that needs something; where it cannot, that is noted.
    pub(crate) fn can_have(&mut self, name: &'static str, needed: Since) -> bool {
        let has = self.version.has(needed);
        if !has {
            self.left_out.push((name, needed));
        }
        has
    }

    /// What this version cannot have, one line for each reason. No further trial is made, so that they alone have the stage.
    pub(crate) fn into_left_out(self) -> Vec<String> {
        let mut lines = BTreeMap::<String, Vec<&str>>::new();
        for (name, needed) in self.left_out {
            lines.entry(needed.to_string()).or_default().push(name);
        }
        let line = |(needed, names): (String, Vec<&str>)| {
            format!(
                "left out on Kubernetes {}, without {needed}: {}",
                self.version,
                names.join(" ")
            )
        };
        lines.into_iter().map(line).collect()
    }
}
