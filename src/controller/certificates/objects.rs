//! The three objects at the API server: each is read by name, and written only if unchanged since.

use json_patch::Patch as JsonPatch;
use k8s_openapi::api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Secret};
use kube::{
    Api,
    api::{Patch, PatchParams},
    core::PartialObjectMeta,
};
use serde_json::Value;

use super::{
    certificate::ServingCertificate,
    secrets::{CaSecret, Content, Data, Found, OWNER_LABEL},
    snapshot::{Names, Source},
    webhook_configuration::Entries,
};
use crate::cluster::{CallError, Cluster, Collection, Outcome};

/// Who the API server notes as the writer of a field (metadata.managedFields).
const MANAGER: &str = "pullcred-controller";

/// The objects that the controller reads and writes.
#[derive(Debug, Clone)]
pub struct Objects {
    cluster: Cluster,
    names: Names,
    secrets: Collection,
    configurations: Collection,
    /// A field manager of this process alone. If several processes create an object at the same time by server-side apply, the
    /// API server lets the first own the fields and refuses the others.
    creator: PatchParams,
}

/// A failed write.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The API server refused it, or could not be reached.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The Secret lacks the label of the controller.
    #[error(
        "cannot write Secret {0}: it is not the controller's, since it lacks the label {key}={value}; delete it, or name another",
        key = OWNER_LABEL.0,
        value = OWNER_LABEL.1,
    )]
    Foreign(Box<str>),
}

// === impl Objects ===

impl Objects {
    /// The objects of these names. `process` is a unique name of this process.
    #[must_use]
    pub fn new(cluster: Cluster, names: Names, process: &str) -> Self {
        Self {
            secrets: Collection::of::<Secret>(Some(&names.namespace)),
            configurations: Collection::of::<MutatingWebhookConfiguration>(None),
            cluster,
            names,
            creator: PatchParams::apply(&format!("{MANAGER}-{process}")),
        }
    }

    /// The names of the objects.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// How far this process's clock is ahead of the API server's, in seconds, by the last answer.
    #[must_use]
    pub fn clock_ahead(&self) -> i64 {
        self.cluster.clock_ahead()
    }

    /// The Secrets without their content, to be watched.
    #[must_use]
    pub fn secrets(&self) -> Api<PartialObjectMeta<Secret>> {
        self.cluster.metadata(&self.names.namespace)
    }

    /// The webhook configurations, to be watched.
    #[must_use]
    pub fn configurations(&self) -> Api<MutatingWebhookConfiguration> {
        self.cluster.all()
    }

    /// Patches the webhook configuration if it is unchanged.
    ///
    /// # Errors
    ///
    /// [`CallError`]: 422 if it has changed, since a test of the JSON Patch fails.
    pub async fn patch_configuration(&self, patch: JsonPatch) -> Result<(), CallError> {
        let parameters =
            PatchParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
        let (name, patch) = (&self.names.configuration, Patch::Json::<()>(patch));
        self.cluster.patch("patch", &self.configurations, name, &parameters, &patch).await
    }

    /// Writes a Secret if it is unchanged.
    ///
    /// # Errors
    ///
    /// [`WriteError`]: 409 if it has changed.
    pub async fn write_secret<T, C: Content>(
        &self,
        name: &str,
        found: &Found<T>,
        content: &C,
    ) -> Result<(), WriteError> {
        match found {
            Found::Absent => Ok(self.create_secret(name, C::TYPE, &content.data()).await?),
            Found::Foreign => Err(WriteError::Foreign(name.into())),
            Found::Unusable { version, .. } | Found::Usable { version, .. } => {
                Ok(self.patch_secret(name, version, &content.data()).await?)
            }
        }
    }

    /// Name-scoped rights allow no POST, which has no name. Server-side apply creates with the name in its path.
    async fn create_secret(&self, name: &str, kind: &str, data: &Data) -> Result<(), CallError> {
        let secret = Patch::Apply(data.to_new_secret(&self.names.namespace, name, kind));
        self.cluster.patch("create", &self.secrets, name, &self.creator, &secret).await
    }

    async fn patch_secret(&self, name: &str, version: &str, data: &Data) -> Result<(), CallError> {
        let parameters =
            PatchParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
        let patch: Patch<Value> = Patch::Merge(data.to_patch(version));
        self.cluster.patch("write", &self.secrets, name, &parameters, &patch).await
    }
}

impl Source for Objects {
    type Configuration = Option<Entries>;
    type Tls = Found<ServingCertificate>;
    type Ca = Found<CaSecret>;
    type Error = CallError;

    async fn configuration(&self) -> Result<Self::Configuration, CallError> {
        let name = &self.names.configuration;
        let found: Option<MutatingWebhookConfiguration> =
            self.cluster.get(&self.configurations, name).await?;
        Ok(found.map(|found| Entries::of(&found, &self.names.ours())))
    }

    async fn tls(&self) -> Result<Self::Tls, CallError> {
        let secret: Option<Secret> =
            self.cluster.get(&self.secrets, &self.names.tls_secret).await?;
        Ok(Found::tls(secret.as_ref(), &self.names.dns()))
    }

    async fn ca(&self) -> Result<Self::Ca, CallError> {
        let secret: Option<Secret> = self.cluster.get(&self.secrets, &self.names.ca_secret).await?;
        Ok(Found::ca(secret.as_ref()))
    }
}

/// Deletes a webhook configuration. Returns whether it existed.
///
/// # Errors
///
/// [`CallError`]
pub async fn delete_configuration(cluster: &Cluster, name: &str) -> Result<bool, CallError> {
    cluster.delete(&Collection::of::<MutatingWebhookConfiguration>(None), name).await
}

// === impl WriteError ===

impl WriteError {
    /// Whether another writer may have been first. A 422 is that only for a JSON Patch, whose test of the version failed:
    /// for a Secret it is a policy that refuses it, or an immutable Secret.
    #[must_use]
    pub fn may_be_a_race(&self, json_patch: bool) -> bool {
        match self {
            Self::Call(error) => match error.outcome() {
                Outcome::Conflict | Outcome::Gone => true,
                Outcome::Invalid => json_patch && error.status() == Some(422),
                _ => false,
            },
            Self::Foreign(_) => false,
        }
    }

    /// How long the API server asks to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<std::time::Duration> {
        match self {
            Self::Call(error) => error.retry_after(),
            Self::Foreign(_) => None,
        }
    }
}
