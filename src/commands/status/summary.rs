//! What all reports say together: the one thing that every output is made from. Pure.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::{
    logins::Login,
    moments,
    namespaces::{Namespace, Owner},
    next::Step,
    worst::{Level, Worst, counted},
};
use crate::{
    commands::reports::Age,
    core::reports::{LoginStatus, PullSecretStatus},
};

/// The version of the JSON.
const API_VERSION: &str = "pullcred.dev/status/v1alpha1";
/// The most logins that are shown.
const LOGINS: usize = 100;
/// The most namespaces that are shown.
const NAMESPACES: usize = 50;
/// The most makers of Pods that are shown.
const OWNERS: usize = 20;

/// What is to be known at a glance.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    api_version: &'static str,
    kind: &'static str,
    /// The level of the worst of all.
    pub(super) level: Level,
    /// All in one sentence.
    pub(super) headline: String,
    /// What the reports are as of, as RFC 3339.
    at: String,
    #[serde(skip)]
    pub(super) now: Timestamp,
    /// How the command line calls itself.
    #[serde(skip)]
    pub(super) program: &'static str,
    /// `live`, or the file.
    pub(super) source: String,
    /// The one namespace that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<String>,
    pub(super) freshness: Freshness,
    /// What is to be known before all else.
    pub(super) remarks: Vec<Remark>,
    /// Absent where one namespace was asked for, or they may not be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logins: Option<Worst<Login>>,
    /// The copies of all logins.
    pub(super) copies: AllCopies,
    pub(super) namespaces: Worst<Namespace>,
    /// How many Secrets are in each state.
    pub(super) secrets: BTreeMap<String, u32>,
    /// Absent where Pods were not audited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pods: Option<Pods>,
    /// What to do, the most urgent first.
    pub(super) next: Vec<Step>,
}

/// Whether the reports are kept up to date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all_fields = "camelCase")]
pub(super) enum Freshness {
    /// A controller has renewed them within a minute.
    Fresh,
    /// No controller has.
    Stale {
        /// Absent where none ever has.
        #[serde(skip_serializing_if = "Option::is_none")]
        renewed_seconds_ago: Option<i64>,
    },
    /// They are from a file, and as of when it was written.
    File,
    /// It could not be looked at.
    Unknown,
}

/// Something to be known before all else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Remark {
    pub(super) level: Level,
    pub(super) message: String,
}

/// How many copies there are to be, and how many are there.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct AllCopies {
    pub(super) wanted: u64,
    pub(super) ready: u64,
}

/// The Pods of all audited namespaces.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pods {
    /// How many namespaces were audited.
    pub(super) namespaces: u32,
    pub(super) seen: u32,
    pub(super) without: u32,
    pub(super) failing: u32,
    /// The end of the first audit, as RFC 3339.
    pub(super) from: String,
    /// The end of the last one.
    pub(super) to: String,
    /// What made those that need attention.
    pub(super) owners: Worst<Owner>,
}

// === impl Summary ===

impl Summary {
    /// Of no report yet. They are read at `now`, from `source`; with a namespace, only its own will be.
    pub(super) fn new(
        now: Timestamp,
        program: &'static str,
        source: String,
        namespace: Option<String>,
    ) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "Status",
            level: Level::Ok,
            headline: String::new(),
            at: moments::rfc3339(now),
            now,
            program,
            source,
            logins: namespace.is_none().then(|| Worst::of(LOGINS)),
            namespace,
            copies: AllCopies::default(),
            freshness: Freshness::Unknown,
            remarks: Vec::new(),
            namespaces: Worst::of(NAMESPACES),
            secrets: BTreeMap::new(),
            pods: None,
            next: Vec::new(),
        }
    }

    /// Takes in the report of a login.
    pub(super) fn add_login(&mut self, name: String, status: LoginStatus) {
        if let Some(logins) = &mut self.logins {
            self.copies.wanted += u64::from(status.namespaces.wanted);
            self.copies.ready += u64::from(status.namespaces.ready);
            logins.add(Login::of(name, status, self.now));
        }
    }

    /// Takes in the report of a namespace.
    pub(super) fn add_namespace(&mut self, name: String, mut status: PullSecretStatus) {
        for secret in &status.secrets {
            // The name of a state is its word in the report.
            *self.secrets.entry(format!("{:?}", secret.state)).or_default() += 1;
        }
        if let Some(pods) = &mut status.pods {
            let all = self.pods.get_or_insert_with(Pods::none);
            all.namespaces += 1;
            all.seen = all.seen.saturating_add(pods.seen);
            all.without = all.without.saturating_add(pods.without);
            all.failing = all.failing.saturating_add(pods.failing);
            if all.from.is_empty() || pods.seen_at < all.from {
                all.from.clone_from(&pods.seen_at);
            }
            if pods.seen_at > all.to {
                all.to.clone_from(&pods.seen_at);
            }
            for owner in std::mem::take(&mut pods.owners) {
                all.owners.add(Owner::of(&name, owner));
            }
        }
        let one = self.namespace.is_some();
        let namespace = Namespace::of(name, status, one);
        if one || namespace.level.is_finding() {
            self.namespaces.add(namespace);
        } else {
            self.namespaces.count(namespace.level);
        }
    }

    /// Says something before all else.
    pub(super) fn remark(&mut self, level: Level, message: impl Into<String>) {
        self.remarks.push(Remark { level, message: message.into() });
    }

    /// Says that so many reports of a kind cannot be read.
    pub(super) fn unreadable(&mut self, count: u32, kind: &str) {
        if count > 0 {
            let count = counted_as(count, kind);
            self.remark(
                Level::Warning,
                format!("{count} cannot be read: update the command line, or look at them"),
            );
        }
    }

    /// How old the reports of a cluster are.
    pub(super) fn set_age(&mut self, age: Age) {
        let then = "what follows is as of then";
        match age {
            Age::Fresh => self.freshness = Freshness::Fresh,
            Age::Stale(renewed_seconds_ago) => {
                self.freshness = Freshness::Stale { renewed_seconds_ago };
                let message = match renewed_seconds_ago {
                    Some(seconds) => format!(
                        "The reports are stale: last renewed {} ago; {then}",
                        moments::span(seconds)
                    ),
                    None => {
                        "No controller has renewed the reports: what follows may be old".to_owned()
                    }
                };
                self.remark(Level::Error, message);
            }
            Age::NotSeen(why) => {
                let message =
                    format!("Whether the reports are fresh could not be looked at: {why}");
                self.remark(Level::Note, message);
            }
        }
    }

    /// Sorts what was taken in, and says what it comes to. `home` is pullcred's namespace.
    pub(super) fn finish(mut self, home: Option<&str>) -> Self {
        if let Some(logins) = &mut self.logins {
            logins.sort();
        }
        self.namespaces.sort();
        if let Some(pods) = &mut self.pods {
            pods.owners.sort();
        }
        if self.is_empty() {
            let message = match &self.namespace {
                Some(name) => format!(
                    "Namespace {name} has no report: it has not opted in, or pullcred reports nothing yet"
                ),
                None => "There is no report yet: look at the log of the credentials controller"
                    .to_owned(),
            };
            self.remark(Level::Warning, message);
        }
        self.remarks.sort_by_key(|it| std::cmp::Reverse(it.level));
        let of_remarks = self.remarks.iter().map(|it| it.level);
        let of_logins = self.logins.iter().map(Worst::level);
        let all = of_remarks.chain(of_logins).chain([self.namespaces.level()]);
        self.level = all.max().unwrap_or_default();
        self.headline = self.headline();
        self.next = super::next::steps(&self, home);
        self
    }

    /// Whether there is no report at all.
    pub(super) fn is_empty(&self) -> bool {
        self.namespaces.total == 0 && self.logins.as_ref().is_none_or(|it| it.total == 0)
    }

    fn headline(&self) -> String {
        if self.is_empty() {
            return "nothing is reported".to_owned();
        }
        let (mut parts, mut in_need) = (Vec::new(), Vec::new());
        let mut count = 0;
        if let Some(logins) = &self.logins {
            if logins.errors > 0 {
                let verb = verb(logins.errors, "fail");
                parts.push(format!("{} {verb}", counted_as(logins.errors, "login")));
            }
            if logins.warnings > 0 {
                in_need.push(counted_as(logins.warnings, "login"));
                count += logins.warnings;
            }
        }
        match (&self.namespace, self.namespaces.shown.first()) {
            (Some(_), Some(one)) => {
                let bad = counted(one.secrets.iter().filter(|it| it.level.is_finding()).count());
                in_need.extend((bad > 0).then(|| counted_as(bad, "Secret")));
                count += bad;
            }
            (None, Some(_)) => {
                let (findings, total) = (self.namespaces.findings(), self.namespaces.total);
                in_need.push(format!("{} of {}", number(findings), counted_as(total, "namespace")));
                count += findings;
            }
            (_, None) => {}
        }
        if count > 0 {
            parts.push(format!("{} {} attention", in_need.join(" and "), verb(count, "need")));
        }
        if let Some(pods) = &self.pods {
            let lacking = super::text::lacking(pods.without, pods.failing);
            parts.extend(Some(lacking).filter(|it| !it.is_empty()));
        }
        match (parts.is_empty(), self.level) {
            (false, _) => parts.join(", "),
            (true, Level::Error | Level::Warning) => "nothing else needs attention".to_owned(),
            (true, _) => "all is well".to_owned(),
        }
    }
}

// === impl Pods ===

impl Pods {
    fn none() -> Self {
        Self {
            namespaces: 0,
            seen: 0,
            without: 0,
            failing: 0,
            from: String::new(),
            to: String::new(),
            owners: Worst::of(OWNERS),
        }
    }
}

// === numbers ===

/// A number with a comma between thousands.
pub(super) fn number(number: impl Into<u64>) -> String {
    let digits = number.into().to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 login`, `1,000 logins`
pub(super) fn counted_as(count: u32, noun: &str) -> String {
    format!("{} {noun}{}", number(count), if count == 1 { "" } else { "s" })
}

/// A verb of so many.
fn verb(count: u32, verb: &str) -> String {
    if count == 1 { format!("{verb}s") } else { verb.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_can_be_read() {
        for (count, text) in
            [(0_u32, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")]
        {
            assert_eq!(number(count), text);
        }
        assert_eq!(counted_as(1, "login"), "1 login");
        assert_eq!(counted_as(1_000, "Pod"), "1,000 Pods");
    }
}
