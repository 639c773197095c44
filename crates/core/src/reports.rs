//! The reports: what pullcred knows of logins and of the Secrets in a namespace, as objects of the API server.
//!
//! They are output only: the credentials controller writes them, and the webhook and people read them. The chart has their
//! CRDs; a test holds the two against each other.

use serde::{Deserialize, Serialize};

/// The API group of both kinds.
pub const GROUP: &str = "pullcred.dev";
/// Their version.
pub const VERSION: &str = "v1alpha1";
/// The kind of a login's report; it has the name of the login, and no namespace.
pub const LOGIN_REPORT: &str = "LoginReport";
/// The kind of a namespace's report.
pub const PULL_SECRET_REPORT: &str = "PullSecretReport";
/// The name of every namespace's report.
pub const PULL_SECRET_REPORT_NAME: &str = "pullcred";
/// The Lease in pullcred's namespace that a controller renews while its watches are live.
pub const LEASE: &str = "pullcred-reports";
/// After so many seconds without a renewal of [`LEASE`] the reports are stale. It is renewed every ten.
pub const STALE_AFTER: u64 = 60;
/// The reason of a Secret whose login a registry refuses.
pub const LOGIN_REFUSED: &str = "LoginRefused";
/// The reason of a Secret for which a quota leaves no room.
pub const QUOTA_EXCEEDED: &str = "QuotaExceeded";

/// What is known of the Secrets in an opted-in namespace. It never has a user name, a hash or a login.
///
/// It does not say which mapping it was made by: a change of the mapping would then write it in every namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PullSecretStatus {
    /// Whether all is as it should be: the condition `Ready`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Numbers for the columns of `kubectl get`.
    pub summary: SecretSummary,
    /// The Secrets that the mapping names here or that were found here, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<ReportedSecret>,
    /// Whether the namespace lets pullcred look for its pull Secrets; absent where the mapping does not ask for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovery: Option<Discovery>,
    /// The Pods that an audit found; absent where Pods are not audited, or have not been yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodSummary>,
}

/// What an audit found of the running and waiting Pods of a namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSummary {
    /// How many were looked at: those that have not ended.
    pub seen: u32,
    /// How many lack a Secret that they would get if they were created now.
    pub without: u32,
    /// How many wait for an image that a registry does not give them.
    pub failing: u32,
    /// When the audit ended, as RFC 3339.
    pub seen_at: String,
    /// What made the Pods that lack a Secret or wait for an image: the first 10, by kind and name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<PodOwner>,
}

/// What made Pods that lack a Secret or wait for an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodOwner {
    /// The kind, such as `Deployment`; `Pod` for one that nothing made.
    pub kind: String,
    /// The name, as the Pods write it.
    pub name: String,
    /// How many of its Pods lack a Secret.
    pub without: u32,
    /// How many of its Pods wait for an image.
    pub failing: u32,
    /// How its Pods are created again. What is in it as a command is safe to paste.
    pub remedy: String,
}

/// How many Secrets a report has, and how many of them are not as they should be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecretSummary {
    /// All.
    pub secrets: u32,
    /// Those in the states `Pending` and `Missing`.
    pub missing: u32,
    /// Those in any other state than `Ready`, `Pending` and `Missing`.
    pub unhealthy: u32,
}

/// A Secret in a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportedSecret {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: ReportedState,
    /// Why it is not `Ready`, as one word, where the state does not say it: `LoginMissing`, `QuotaExceeded`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When its login ended, as RFC 3339, where its state is `Expired` and that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired_at: Option<String>,
    /// The registry keys of its Docker config, as they are written there, where the mapping does not imply them: of a Secret
    /// that people made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Vec<String>>,
}

/// The state of a Secret in a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ReportedState {
    /// A kubelet can read it.
    Ready,
    /// pullcred is about to write it.
    Pending,
    /// It does not exist: its login cannot be had, or people have not made it.
    Missing,
    /// A kubelet passes over its type.
    WrongType,
    /// A kubelet cannot read it, and fails every pull of a Pod that lists it.
    Unreadable,
    /// Somebody else made a Secret of this name, and pullcred leaves it alone.
    Conflict,
    /// The registry refuses its login.
    Refused,
    /// Its login has expired.
    Expired,
    /// A state that this version does not know.
    #[serde(other)]
    Unknown,
}

/// Whether a namespace lets pullcred look for its pull Secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Discovery {
    /// It does.
    Permitted,
    /// No `RoleBinding` there gives pullcred the role.
    NotPermitted,
    /// A state that this version does not know.
    #[serde(other)]
    Unknown,
}

/// What is known of a login.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoginStatus {
    /// The SHA-256 of the mapping that it was made by, in hexadecimal digits.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub observed_mapping: String,
    /// What the login is, by the mapping's key: `secret`, `aws`, `file`, …
    pub kind: String,
    /// The conditions `Ready`, `Progressing`, `Healthy` and, where the end is known, `Expiring`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The namespaces that its rules hold in.
    pub namespaces: NamespaceSummary,
    /// Of the namespaces that lack a copy, the first 10 by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failing: Vec<FailingNamespace>,
    /// The registries of its rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub registries: Vec<String>,
    /// When it ends, as RFC 3339; absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// What the registries say of it; absent where pullcred has not asked them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Box<LoginHealth>>,
}

/// What the registries say of a login, and how the checks go on: a process that starts, or a second one, reads it here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoginHealth {
    /// The worst of what they say; absent before the first check of a login has ended, and after one refusal of a login that
    /// was not tried before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<HealthVerdict>,
    /// When they were asked last, as RFC 3339.
    pub checked_at: String,
    /// When they are asked next, as RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_check_at: Option<String>,
    /// The image that was asked for; absent where the login alone was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// How many times in a row the login was refused. A try whose end was not recorded counts as one.
    pub refusals: u32,
    /// The first 12 hexadecimal digits of the fingerprint of the login's content: what is known of one content says nothing of
    /// another. The annotation `pullcred.dev/accept` has it as its value.
    pub content: String,
    /// Whether no copy is written from this content, since a registry refuses it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// Whether a try has begun at `checked_at` whose end is not recorded.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub trying: bool,
}

/// What a registry says of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum HealthVerdict {
    /// It takes the login, and opens the image, where one was asked for.
    Accepted,
    /// It takes the login; the image does not exist, or is hidden from it.
    NotVisible,
    /// It has had enough requests for now.
    RateLimited,
    /// It does not answer, or is in trouble itself.
    Unreachable,
    /// It takes the login, which may not pull the image.
    Forbidden,
    /// It does not take the login, also at a second try.
    Refused,
    /// A verdict that this version does not know.
    #[serde(other)]
    Unknown,
}

/// How far the copies of a login are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NamespaceSummary {
    /// `READY/WANTED`, for the column of `kubectl get`.
    pub copied: String,
    /// How many are to have a copy.
    pub wanted: u32,
    /// How many have one.
    pub ready: u32,
    /// In how many somebody else's Secret has the name.
    pub conflict: u32,
    /// In how many the copy cannot be written.
    pub refused: u32,
}

/// A namespace that lacks a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailingNamespace {
    /// Its name.
    pub namespace: String,
    /// Why, as one word: `NameConflict`, `QuotaExceeded`, `Denied`, …
    pub reason: String,
}

/// A condition (`k8s.io/apimachinery/pkg/apis/meta/v1`, `Condition`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Ready`, `Progressing`, `Healthy` or `Expiring`.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, as one word.
    pub reason: String,
    /// Why, for people.
    pub message: String,
    /// When `status` last changed, as RFC 3339.
    pub last_transition_time: String,
}

// === impl ReportedState ===

impl ReportedState {
    /// All that this version knows.
    pub const KNOWN: [Self; 8] = [
        Self::Ready,
        Self::Pending,
        Self::Missing,
        Self::WrongType,
        Self::Unreadable,
        Self::Conflict,
        Self::Refused,
        Self::Expired,
    ];
}
