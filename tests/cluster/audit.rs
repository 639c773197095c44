//! What the API server wrote down about a request: its audit log.

use std::{collections::HashSet, fs, path::Path};

use anyhow::Result;
use serde_json::Value;

use crate::{namespace::StoredPod, wait::until_some};

/// An account all of whose requests are written down, with their answers.
pub(crate) const WATCHED_ACCOUNT: &str =
    "system:serviceaccount:copies-restart:pullcred-credentials";

/// The policy: every Pod that somebody creates, with what each webhook did to it (the annotations
/// `patch.webhook.admission.k8s.io/…` need level Request), and all that [`WATCHED_ACCOUNT`] asks for.
pub(crate) const POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Request, verbs: [create], resources: [{group: '', resources: [pods]}]}
- {level: RequestResponse, users: ['system:serviceaccount:copies-restart:pullcred-credentials']}
- {level: None}
";

/// One event of the log.
#[derive(Debug)]
pub(crate) struct AuditEvent(Value);

impl AuditEvent {
    /// The creation of a Pod, once it is in the log.
    pub(crate) async fn of_creation(log: &Path, pod: &StoredPod) -> Result<Self> {
        let (namespace, name) = (pod.namespace(), pod.name());
        let what = format!("audit event of the creation of {namespace}/{name}");
        until_some(&what, async || {
            let log = fs::read_to_string(log)?;
            let events = log.lines().filter_map(|line| serde_json::from_str(line).ok());
            let mut of_pod = events.filter(|event: &Value| {
                event["objectRef"]["namespace"] == namespace
                    && event["objectRef"]["name"] == name
                    && event["objectRef"]["subresource"].is_null()
                    && !event["requestURI"].as_str().is_some_and(|uri| uri.contains("dryRun"))
            });
            Ok(of_pod.next().map(Self))
        })
        .await
    }

    /// The requests of [`WATCHED_ACCOUNT`] so far, each once. A watch is there from its first answer on.
    pub(crate) fn of_watched_account(log: &Path) -> Result<Vec<Self>> {
        let log = fs::read_to_string(log)?;
        let mut seen = HashSet::new();
        let events = log.lines().filter_map(|line| serde_json::from_str(line).ok());
        let theirs = events.filter(|event: &Value| event["user"]["username"] == WATCHED_ACCOUNT);
        let once = theirs.filter(|event| seen.insert(event["auditID"].to_string()));
        Ok(once.map(Self).collect())
    }

    /// `GET /path?query`.
    pub(crate) fn request(&self) -> String {
        let text = |field: &str| self.0[field].as_str().unwrap_or_default();
        format!("{} {}", text("verb"), text("requestURI"))
    }

    /// The object that was answered; null where it was not one.
    pub(crate) fn answered(&self) -> &Value {
        &self.0["responseObject"]
    }

    /// What a webhook annotated under `key` and eight digits, once or more often.
    pub(crate) fn annotations(&self, webhook: &str, key: &str) -> Vec<&str> {
        let beginning = format!("{webhook}/{key}-");
        let annotations = self.0["annotations"].as_object().into_iter().flatten();
        annotations
            .filter(|(key, _)| key.strip_prefix(&beginning).is_some_and(|it| it.len() == 8))
            .filter_map(|(_, value)| value.as_str())
            .collect()
    }

    /// What a webhook annotated under `key` and eight digits, if only once.
    pub(crate) fn annotation(&self, webhook: &str, key: &str) -> Option<&str> {
        match *self.annotations(webhook, key) {
            [only] => Some(only),
            _ => None,
        }
    }

    /// In which rounds of admission a webhook changed the Pod; the second is the reinvocation.
    pub(crate) fn rounds_changed_by(&self, webhook: &str) -> Vec<u32> {
        let annotations = self.0["annotations"].as_object().into_iter().flatten();
        let mut rounds: Vec<u32> = annotations
            .filter_map(|(key, value)| {
                let place = key.strip_prefix("mutation.webhook.admission.k8s.io/round_")?;
                let said: Value = serde_json::from_str(value.as_str()?).ok()?;
                let changed = said["webhook"] == webhook && said["mutated"] == true;
                changed.then(|| place.split_once('_')?.0.parse().ok())?
            })
            .collect();
        rounds.sort_unstable();
        rounds
    }
}
