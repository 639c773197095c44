//! Reports as objects of the API server, for those who write, follow and show them.
//!
//! Decoding fails for no content of a status: one report must not spoil a list of all. Each report is cut down to what its
//! reader keeps as it is decoded, since the fields of its managers are longer than all the rest.

use std::{borrow::Cow, marker::PhantomData};

use k8s_openapi::{
    ClusterResourceScope, NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::Resource;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

use crate::core::{
    knowledge::{ReportedSecrets, Unusable},
    reports::{GROUP, LOGIN_REPORT, LoginStatus, PULL_SECRET_REPORT, PullSecretStatus, VERSION},
};

/// A kind of report.
pub(crate) trait Kind: Send + Sync + 'static {
    /// Its name.
    const NAME: &'static str;
    /// Its name in URLs.
    const PLURAL: &'static str;
    /// Whether its objects are in namespaces.
    type Scope;
}

/// Reports of logins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OfLogins;

/// Reports of namespaces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OfNamespaces;

/// A report of kind `K`, of whose status no more is kept than a `T`.
#[derive(Debug, Clone)]
pub(crate) struct Report<K, T> {
    /// Name, namespace, version and uid.
    metadata: ObjectMeta,
    kept: T,
    kind: PhantomData<fn() -> K>,
}

/// A login's report, with its whole status; `None` where that cannot be read.
pub(crate) type LoginReport = Report<OfLogins, Option<LoginStatus>>;

/// A namespace's report, with its whole status; `None` where that cannot be read.
pub(crate) type NamespaceReport = Report<OfNamespaces, Option<PullSecretStatus>>;

/// A namespace's report, of which what decisions use is kept.
pub(crate) type SecretsReport = Report<OfNamespaces, Result<ReportedSecrets, Unusable>>;

/// What is kept of a status.
pub(crate) trait Kept {
    /// Of the status of the report with this metadata; null where it has none.
    fn of(metadata: &ObjectMeta, status: Value) -> Self;
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    status: Value,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    resource_version: Option<String>,
    uid: Option<String>,
}

// === impl Report ===

impl<K, T> Report<K, T> {
    pub(crate) fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    pub(crate) fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    pub(crate) fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    pub(crate) fn kept(&self) -> &T {
        &self.kept
    }

    pub(crate) fn into_kept(self) -> T {
        self.kept
    }
}

impl<'de, K, T: Kept> Deserialize<'de> for Report<K, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Answer { metadata, status } = Answer::deserialize(deserializer)?;
        let Metadata { name, namespace, resource_version, uid } = metadata;
        let metadata =
            ObjectMeta { name, namespace, resource_version, uid, ..ObjectMeta::default() };
        let kept = T::of(&metadata, status);
        Ok(Self { metadata, kept, kind: PhantomData })
    }
}

impl<K: Kind, T> Resource for Report<K, T> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        K::NAME.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        VERSION.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Kind for OfLogins {
    const NAME: &'static str = LOGIN_REPORT;
    const PLURAL: &'static str = "loginreports";
    type Scope = ClusterResourceScope;
}

impl Kind for OfNamespaces {
    const NAME: &'static str = PULL_SECRET_REPORT;
    const PLURAL: &'static str = "pullsecretreports";
    type Scope = NamespaceResourceScope;
}

// === what is kept ===

impl<S: DeserializeOwned> Kept for Option<S> {
    fn of(_: &ObjectMeta, status: Value) -> Self {
        S::deserialize(status).ok()
    }
}

impl Kept for Result<ReportedSecrets, Unusable> {
    fn of(metadata: &ObjectMeta, status: Value) -> Self {
        secrets(metadata.namespace.as_deref().unwrap_or_default(), status)
    }
}

/// What the status of a namespace's report says of its Secrets.
///
/// # Errors
///
/// [`Unusable`]
pub(crate) fn secrets<'de>(
    namespace: &str,
    status: impl Deserializer<'de>,
) -> Result<ReportedSecrets, Unusable> {
    let status = PullSecretStatus::deserialize(status).map_err(|_| Unusable::Malformed)?;
    ReportedSecrets::of(namespace, &status)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(status: &Value) -> Result<usize, Unusable> {
        let report = json!({
            "apiVersion": "pullcred.dev/v1alpha1", "kind": "PullSecretReport", "status": status,
            "metadata": {
                "name": "pullcred", "namespace": "shop", "resourceVersion": "7", "uid": "u", "managedFields": [{}],
            },
        });
        let report: SecretsReport = serde_json::from_value(report).unwrap();
        assert_eq!((report.name(), report.namespace()), ("pullcred", "shop"));
        let metadata = report.meta();
        assert_eq!(metadata.resource_version.as_deref(), Some("7"));
        assert!(metadata.uid.as_deref() == Some("u") && metadata.managed_fields.is_none());
        report.into_kept().map(|it| {
            assert_eq!(it.namespace(), "shop");
            format!("{it:?}").matches("Ready").count()
        })
    }

    #[test]
    fn no_content_of_a_report_fails_its_list() {
        let ready = json!({"secrets": [{"name": "a", "state": "Ready"}], "conditions": []});
        assert_eq!(read(&ready), Ok(1));
        assert_eq!(read(&json!({"field": "of tomorrow"})), Ok(0));
        for garbage in [
            json!(null),
            json!("text"),
            json!({"secrets": {}}),
            json!({"secrets": [{"name": "a"}]}),
            json!({"secrets": [{"name": 7, "state": "Ready"}]}),
            json!({"secrets": [{"name": "a", "state": "Ready", "keys": "quay.io"}]}),
            json!({"secrets": [{"name": "", "state": "Ready"}]}),
        ] {
            assert_eq!(read(&garbage), Err(Unusable::Malformed), "{garbage}");
        }
        assert!(serde_json::from_value::<SecretsReport>(json!({})).is_ok());
    }
}
