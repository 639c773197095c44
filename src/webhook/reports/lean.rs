//! Reports as their watch brings them, reduced to what decisions use as they are decoded.

use std::borrow::Cow;

use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::Resource;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::core::{
    knowledge::{ReportedSecrets, Unusable},
    reports::{GROUP, PULL_SECRET_REPORT, PULL_SECRET_REPORT_NAME, PullSecretStatus, VERSION},
};

/// The resource of namespaces' reports.
pub(super) const PULL_SECRET_REPORTS: &str = "pullsecretreports";

/// A namespace's report.
///
/// Decoding fails for no content, so that one report cannot spoil a list of all.
#[derive(Debug, Clone)]
pub(super) struct LeanReport {
    /// Name, namespace and version.
    metadata: ObjectMeta,
    secrets: Result<ReportedSecrets, Unusable>,
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
    name: String,
    namespace: String,
    resource_version: String,
}

// === impl LeanReport ===

impl LeanReport {
    /// The namespace and what is said of its Secrets; `None` for an object of another name, which is no report of pullcred's.
    pub(super) fn into_secrets(self) -> Option<(Box<str>, Result<ReportedSecrets, Unusable>)> {
        let Self { metadata: ObjectMeta { name, namespace, .. }, secrets } = self;
        let is_report = name.as_deref() == Some(PULL_SECRET_REPORT_NAME);
        Some((namespace.filter(|_| is_report)?.into(), secrets))
    }
}

impl<'de> Deserialize<'de> for LeanReport {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Answer { metadata, status } = Answer::deserialize(deserializer)?;
        let secrets = PullSecretStatus::deserialize(status)
            .map_err(|_| Unusable::Malformed)
            .and_then(|status| ReportedSecrets::of(&metadata.namespace, &status));
        let metadata = ObjectMeta {
            name: Some(metadata.name),
            namespace: Some(metadata.namespace),
            resource_version: Some(metadata.resource_version),
            ..ObjectMeta::default()
        };
        Ok(Self { metadata, secrets })
    }
}

impl Resource for LeanReport {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        PULL_SECRET_REPORT.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        VERSION.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        PULL_SECRET_REPORTS.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(name: &str, status: &Value) -> Option<Result<usize, Unusable>> {
        let report = json!({
            "apiVersion": "pullcred.dev/v1alpha1", "kind": "PullSecretReport", "status": status,
            "metadata": {"name": name, "namespace": "shop", "resourceVersion": "7", "managedFields": [{}]},
        });
        let report: LeanReport = serde_json::from_value(report).unwrap();
        assert_eq!(report.meta().resource_version.as_deref(), Some("7"));
        let (namespace, secrets) = report.into_secrets()?;
        assert_eq!(&*namespace, "shop");
        Some(secrets.map(|it| {
            assert_eq!(it.namespace(), "shop");
            format!("{it:?}").matches("Ready").count()
        }))
    }

    #[test]
    fn no_content_of_a_report_fails_its_list() {
        let ready = json!({"secrets": [{"name": "a", "state": "Ready"}], "conditions": []});
        assert_eq!(read("pullcred", &ready), Some(Ok(1)));
        assert_eq!(read("another", &ready), None);
        assert_eq!(read("pullcred", &json!({"field": "of tomorrow"})), Some(Ok(0)));
        for garbage in [
            json!(null),
            json!("text"),
            json!({"secrets": {}}),
            json!({"secrets": [{"name": "a"}]}),
            json!({"secrets": [{"name": 7, "state": "Ready"}]}),
            json!({"secrets": [{"name": "a", "state": "Ready", "keys": "quay.io"}]}),
            json!({"secrets": [{"name": "", "state": "Ready"}]}),
        ] {
            assert_eq!(read("pullcred", &garbage), Some(Err(Unusable::Malformed)), "{garbage}");
        }
        assert!(serde_json::from_value::<LeanReport>(json!({})).is_ok());
    }
}
