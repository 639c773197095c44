//! The calls that copies need, at the real API server.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use json_patch::{
    Patch as JsonPatch, PatchOperation, RemoveOperation, TestOperation, jsonptr::PointerBuf,
};
use k8s_openapi::{
    api::core::v1::{Namespace, Secret},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
    jiff::Timestamp,
};
use kube::{
    api::{Patch, PatchParams},
    core::PartialObjectMeta,
};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use serde_json::{Value, json};
use zeroize::{Zeroize, Zeroizing};

use super::{
    seen::{DATA_KEY, Ours},
    state::{Annotated, Content, LoginRead},
    writes::{Failure, Place, Secrets},
};
use crate::{
    cluster::{CallError, Cluster, Collection, Outcome},
    core::{
        copies::{ACCEPT, CONTENT, LOGIN, MANAGER, MARK},
        credentials::Credentials,
        keyring::secret::Form,
    },
    fetch::{Marks, marks::EXPIRES},
};

/// The API server, for copies.
#[derive(Debug, Clone)]
pub(super) struct Objects {
    cluster: Cluster,
    namespaces: Collection,
}

/// A copy as it is applied.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Applied<'c> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata<'c>,
    #[serde(rename = "type")]
    type_: &'static str,
    data: Data<'c>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'c> {
    name: &'c str,
    namespace: &'c str,
    labels: Pairs<'c>,
    annotations: Pairs<'c>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_version: Option<&'c str>,
}

struct Pairs<'c>(&'c [(&'static str, &'c str)]);

/// A Docker config as the value of its key.
struct Data<'c>(&'c [u8]);

/// A login's Secret. Its data is wiped as soon as it has been read.
#[derive(Deserialize)]
pub(super) struct LoginSecret {
    metadata: ObjectMeta,
    #[serde(default, rename = "type")]
    type_: String,
    #[serde(default)]
    data: std::collections::BTreeMap<String, String>,
}

// === impl Objects ===

impl Objects {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self { cluster, namespaces: Collection::of::<Namespace>(None) }
    }

    /// What a login's Secret holds; `None` where there is no such Secret.
    pub(super) async fn login(
        &self,
        namespace: &str,
        secret: &str,
    ) -> Result<Option<LoginRead>, CallError> {
        let secrets = Collection::of::<Secret>(Some(namespace));
        let secret: Option<LoginSecret> = self.cluster.get(&secrets, secret).await?;
        Ok(secret.map(LoginSecret::read))
    }

    async fn apply(
        &self,
        at: Place<'_>,
        seen: Option<&Ours>,
        content: &Content,
    ) -> Result<ObjectMeta, CallError> {
        let mut annotations =
            vec![(CONTENT, &*content.fingerprint), (LOGIN, content.login.as_str())];
        annotations.extend(content.marks.iter().flat_map(Marks::annotations));
        let patch = Applied {
            api_version: "v1",
            kind: "Secret",
            metadata: Metadata {
                name: at.secret,
                namespace: at.namespace,
                labels: Pairs(&[MARK]),
                annotations: Pairs(&annotations),
                uid: seen.map(|seen| &*seen.uid),
                resource_version: seen.map(|seen| &*seen.version),
            },
            type_: Form::DockerConfigJson.type_(),
            data: Data(&content.config.0),
        };
        let parameters = PatchParams::apply(MANAGER);
        let parameters = if seen.is_some() { parameters.force() } else { parameters };
        self.patch("write", at, &parameters, &Patch::Apply(patch)).await
    }

    async fn patch<P: Serialize + fmt::Debug>(
        &self,
        verb: &str,
        at: Place<'_>,
        parameters: &PatchParams,
        patch: &Patch<P>,
    ) -> Result<ObjectMeta, CallError> {
        let secrets = Collection::of::<Secret>(Some(at.namespace));
        let stored: PartialObjectMeta<Secret> =
            self.cluster.patch_metadata(verb, &secrets, at.secret, parameters, patch).await?;
        Ok(stored.metadata)
    }
}

impl Secrets for Objects {
    type Content = Content;
    type Error = CallError;

    async fn namespace(&self, name: &str) -> Result<Option<ObjectMeta>, CallError> {
        let found: Option<PartialObjectMeta<Namespace>> =
            self.cluster.get_metadata(&self.namespaces, name).await?;
        Ok(found.map(|it| it.metadata))
    }

    async fn metadata(&self, at: Place<'_>) -> Result<Option<ObjectMeta>, CallError> {
        let secrets = Collection::of::<Secret>(Some(at.namespace));
        let found: Option<PartialObjectMeta<Secret>> =
            self.cluster.get_metadata(&secrets, at.secret).await?;
        Ok(found.map(|it| it.metadata))
    }

    async fn create(&self, at: Place<'_>, content: &Content) -> Result<ObjectMeta, CallError> {
        self.apply(at, None, content).await
    }

    async fn update(
        &self,
        at: Place<'_>,
        seen: &Ours,
        content: &Content,
    ) -> Result<ObjectMeta, CallError> {
        self.apply(at, Some(seen), content).await
    }

    async fn strip(
        &self,
        at: Place<'_>,
        seen: &Ours,
        keys: &[Box<str>],
    ) -> Result<ObjectMeta, CallError> {
        let pointer = |tokens: &[&str]| PointerBuf::from_tokens(tokens.iter().copied());
        let test = |field: &str, value: &str| {
            PatchOperation::Test(TestOperation {
                path: pointer(&["metadata", field]),
                value: Value::from(value),
            })
        };
        let mut patch = vec![test("uid", &seen.uid), test("resourceVersion", &seen.version)];
        patch.extend(
            keys.iter().map(|key| {
                PatchOperation::Remove(RemoveOperation { path: pointer(&["data", key]) })
            }),
        );
        let parameters =
            PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        self.patch("restore", at, &parameters, &Patch::Json::<()>(JsonPatch(patch))).await
    }

    async fn release(&self, at: Place<'_>, uid: &str) -> Result<(), CallError> {
        let empty = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": at.secret, "namespace": at.namespace, "uid": uid},
        });
        let parameters = PatchParams::apply(MANAGER);
        self.patch("give back", at, &parameters, &Patch::Apply(empty)).await.map(drop)
    }

    async fn delete(&self, at: Place<'_>, seen: &Ours) -> Result<bool, CallError> {
        let secrets = Collection::of::<Secret>(Some(at.namespace));
        self.cluster.delete_as_seen(&secrets, at.secret, &seen.uid, &seen.version).await
    }
}

impl Failure for CallError {
    fn outcome(&self) -> Outcome {
        self.outcome()
    }
}

// === impl LoginSecret ===

impl LoginSecret {
    fn read(mut self) -> LoginRead {
        let uid = self.metadata.uid.take().unwrap_or_default().into();
        let version = self.metadata.resource_version.take().unwrap_or_default().into();
        let annotation = |key| self.metadata.annotations.as_ref().and_then(|it| it.get(key));
        let accept = annotation(ACCEPT).map(|it| it.as_str().into());
        let expires_at = match annotation(EXPIRES).map(|it| it.parse::<Timestamp>()) {
            None => Annotated::Absent,
            Some(Ok(at)) => Annotated::Ends(at.as_second()),
            Some(Err(_)) => Annotated::Unreadable,
        };
        let decode = |text: &String| BASE64_STANDARD.decode(text).ok().map(Zeroizing::new);
        let data: Vec<(&str, Zeroizing<Vec<u8>>)> = self
            .data
            .iter()
            .filter_map(|(key, text)| Some((key.as_str(), decode(text)?)))
            .collect();
        let credentials = Credentials::read(&self.type_, |key| {
            data.iter().find(|(it, _)| *it == key).map(|(_, value)| value.as_slice())
        });
        drop(data);
        self.data.values_mut().for_each(Zeroize::zeroize);
        LoginRead { uid, version, accept, credentials, expires_at }
    }
}

// === serialization ===

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let encoded = Zeroizing::new(BASE64_STANDARD.encode(self.0));
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(DATA_KEY, encoded.as_str())?;
        map.end()
    }
}

/// kube asks for it, and nothing of the content may be shown.
impl fmt::Debug for Applied<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Applied").field("name", &self.metadata.name).finish_non_exhaustive()
    }
}
