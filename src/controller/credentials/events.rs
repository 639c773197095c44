//! Events of Kubernetes about logins: on the login's Secret in pullcred's namespace, or on the `ServiceAccount` of another
//! namespace that fetches its own.

use std::{collections::HashMap, time::Duration};

use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use tokio::{sync::mpsc::Receiver, time::Instant};
use tracing::debug;

use super::{mint::Key, state::LoginProblem};
use crate::{
    cluster::{Cluster, Collection},
    core::{
        expiry::Phase,
        rules::{LoginName, SecretName},
    },
    errors::with_causes,
    fetch::Spec,
};

/// The same is reported at most so often.
const QUIET: Duration = Duration::from_secs(600);
/// How many that were reported are remembered.
const REMEMBERED: usize = 1024;
/// How many of these at most where they are about other namespaces.
const REMEMBERED_ELSEWHERE: usize = 768;
/// The longest note, in characters (`k8s.io/kubernetes/pkg/apis/core/validation/events.go`, 1 kB).
const NOTE_MAX: usize = 1000;

/// Something that people should hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    about: About,
    reason: &'static str,
    note: String,
    type_: &'static str,
}

/// What a notice is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum About {
    /// pullcred's ConfigMap.
    Mapping,
    /// A Secret of pullcred's namespace.
    Secret(String),
    /// A `ServiceAccount` of another namespace.
    ServiceAccount { namespace: String, name: String },
}

const WARNING: &str = "Warning";
const NORMAL: &str = "Normal";

// === impl Notice ===

impl Notice {
    pub(super) fn of_login(problem: &LoginProblem, text: &str) -> Self {
        let (secret, reason) = match problem {
            LoginProblem::Missing(secret) => (secret, "LoginMissing"),
            LoginProblem::Unreadable { secret, .. } | LoginProblem::TooLong(secret) => {
                (secret, "LoginUnreadable")
            }
            LoginProblem::NotFor { secret, .. } => (secret, "NoLoginForRegistry"),
        };
        let note = format!("{text}; copies stay as they are");
        Self { about: About::Secret(secret.to_string()), reason, note, type_: WARNING }
    }

    /// A login that people keep ends soon, or has ended.
    pub(super) fn of_end(
        login: &LoginName,
        secret: &SecretName,
        phase: Phase,
        until: &str,
    ) -> Option<Self> {
        let (reason, note) = match phase {
            Phase::Fresh => return None,
            Phase::EndsSoon => {
                ("LoginExpiring", format!("login {login} ends at {until}: renew it"))
            }
            Phase::Ended => (
                "LoginExpired",
                format!(
                    "login {login} ended at {until}: pulls fail until a new one is in this Secret"
                ),
            ),
        };
        Some(Self { about: About::Secret(secret.to_string()), reason, note, type_: WARNING })
    }

    pub(super) fn conflict(secret: &str, names: &str) -> Self {
        let note =
            format!("Secrets of somebody else have the name of a copy and are left alone: {names}");
        let about = About::Secret(secret.to_owned());
        Self { about, reason: "NameConflict", note, type_: WARNING }
    }

    pub(super) fn refused(namespace: &str, secret: &str, why: &str) -> Self {
        let note = format!("the copy {namespace}/{secret} cannot be written: {why}");
        Self { about: About::Mapping, reason: "CopyRefused", note, type_: WARNING }
    }

    pub(super) fn refresh_failed(key: &Key, spec: &Spec, why: &str) -> Self {
        let note = format!("{} cannot be fetched, and what is stored stays: {why}", of(key, spec));
        Self::of_fetched(key, spec, "LoginRefreshFailed", note, WARNING)
    }

    pub(super) fn expired(key: &Key, spec: &Spec, why: Option<&str>) -> Self {
        let why = why.unwrap_or("no attempt to renew it has ended yet");
        let note = format!("{} has ended, and what is stored stays: {why}", of(key, spec));
        Self::of_fetched(key, spec, "LoginExpired", note, WARNING)
    }

    pub(super) fn refreshed(key: &Key, spec: &Spec, until: &str) -> Self {
        let note = format!("{} is fresh again, until {until}", of(key, spec));
        Self::of_fetched(key, spec, "LoginRefreshed", note, NORMAL)
    }

    /// Of a login in pullcred's namespace it is about the Secret; of one elsewhere, about the identity that fetches it.
    fn of_fetched(
        key: &Key,
        spec: &Spec,
        reason: &'static str,
        note: String,
        type_: &'static str,
    ) -> Self {
        let about = match &spec.identity {
            None => About::Secret(key.1.to_string()),
            Some(identity) => {
                About::ServiceAccount { namespace: key.0.to_string(), name: identity.to_string() }
            }
        };
        Self { about, reason, note, type_ }
    }

    pub(super) fn held_back(secret: &SecretName, note: &str) -> Self {
        Self::of_checked(secret, "LoginHeldBack", note, WARNING)
    }

    pub(super) fn login_refused(secret: &SecretName, note: &str) -> Self {
        Self::of_checked(secret, "LoginRefused", note, WARNING)
    }

    pub(super) fn login_accepted(secret: &SecretName, note: &str) -> Self {
        Self::of_checked(secret, "LoginAccepted", note, NORMAL)
    }

    fn of_checked(
        secret: &SecretName,
        reason: &'static str,
        note: &str,
        type_: &'static str,
    ) -> Self {
        let about = About::Secret(secret.to_string());
        Self { about, reason, note: note.to_owned(), type_ }
    }

    pub(super) fn held(unwanted: usize) -> Self {
        let note = format!(
            "{unwanted} copies are no longer wanted, more than a fifth of all: they stay until a person lets them go"
        );
        Self { about: About::Mapping, reason: "DeletionHeld", note, type_: WARNING }
    }
}

// === impl About ===

impl About {
    fn is_elsewhere(&self) -> bool {
        matches!(self, Self::ServiceAccount { .. })
    }
}

/// A fetched login in words.
fn of((namespace, _): &Key, spec: &Spec) -> String {
    let name = &spec.login.name;
    match &spec.identity {
        Some(identity) => format!("login {name} of ServiceAccount {namespace}/{identity}"),
        None => format!("login {name}"),
    }
}

/// Writes notices as Events for as long as there are any. One that cannot be written is only logged. `everywhere` says whether
/// Events may be made in all namespaces: otherwise those about another namespace are made in pullcred's, about its mapping.
pub(super) async fn write(
    cluster: Cluster,
    namespace: String,
    mapping: String,
    everywhere: bool,
    mut notices: Receiver<Notice>,
) {
    let mut written: HashMap<(About, &'static str), Instant> = HashMap::new();
    while let Some(notice) = notices.recv().await {
        let now = Instant::now();
        written.retain(|_, at| now < *at + QUIET);
        let key = (notice.about.clone(), notice.reason);
        // Many namespaces leave room for what is about all.
        let most = if notice.about.is_elsewhere() { REMEMBERED_ELSEWHERE } else { REMEMBERED };
        if written.contains_key(&key) || written.len() >= most {
            continue;
        }
        written.insert(key, now);
        let event = event_of(&namespace, &mapping, everywhere, notice);
        let events = Collection::of::<Event>(event.metadata.namespace.as_deref());
        if let Err(error) = cluster.create(&events, &event).await {
            debug!(error = with_causes(&error), "an Event could not be written");
        }
    }
}

fn event_of(own_namespace: &str, mapping: &str, everywhere: bool, notice: Notice) -> Event {
    let (namespace, kind, name) = match notice.about {
        About::Secret(secret) => (own_namespace.to_owned(), "Secret", secret),
        About::ServiceAccount { namespace, name } if everywhere => {
            (namespace, "ServiceAccount", name)
        }
        About::Mapping | About::ServiceAccount { .. } => {
            (own_namespace.to_owned(), "ConfigMap", mapping.to_owned())
        }
    };
    let about = ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some(kind.to_owned()),
        name: Some(name),
        namespace: Some(namespace.clone()),
        ..ObjectReference::default()
    };
    event(&namespace, about, notice.type_, notice.reason, &notice.note)
}

/// An Event in a namespace about one of its objects.
pub(super) fn event(
    namespace: &str,
    about: ObjectReference,
    type_: &str,
    reason: &str,
    note: &str,
) -> Event {
    Event {
        action: Some("Copy".to_owned()),
        event_time: Some(MicroTime(Timestamp::now())),
        metadata: ObjectMeta {
            generate_name: Some("pullcred-credentials-".to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        note: Some(note.chars().take(NOTE_MAX).collect()),
        reason: Some(reason.to_owned()),
        regarding: Some(about),
        reporting_controller: Some("pullcred.dev/credentials".to_owned()),
        reporting_instance: Some("pullcred-credentials".to_owned()),
        type_: Some(type_.to_owned()),
        ..Event::default()
    }
}
