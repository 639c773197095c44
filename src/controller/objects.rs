//! The three objects at the API server: each read by its name, and written only as it was read.

use std::time::Duration;

use axum::http::Request;
use json_patch::Patch as JsonPatch;
use k8s_openapi::api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Secret};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, GetParams, Patch, PatchParams},
    core::{PartialObjectMeta, Request as Requests, Status, request},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use super::secrets::{Content, Data, Found, OWNER_LABEL};
use crate::errors::with_causes;

/// For one request. The API server gives up on a write after a minute; a healthy one takes milliseconds.
const REQUEST: Duration = Duration::from_secs(10);

/// Who the API server notes as the writer of a field (metadata.managedFields).
const MANAGER: &str = "pullcred-controller";

/// The objects that the controller reads and writes, and no others.
#[derive(Clone)]
pub struct Objects {
    client: Client,
    secrets: Api<Secret>,
    registrations: Api<MutatingWebhookConfiguration>,
    namespace: String,
    registration: String,
    /// A manager of this process's own. Where several create an object at once, each by server-side apply and with other
    /// content, the API server lets the first own the fields and refuses the others.
    creator: PatchParams,
}

/// A call to the API server that did not do what it should. No content of a Secret is ever part of it.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {object}: {trouble}")]
pub struct CallError {
    verb: &'static str,
    object: Box<str>,
    trouble: Trouble,
}

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("the answer cannot be read (line {line}, column {column})")]
    Answer { line: usize, column: usize },
    #[error("it is not the controller's, since it lacks the label {}={}: delete it, or name another", OWNER_LABEL.0, OWNER_LABEL.1)]
    Foreign,
    #[error("{message} ({code} {reason})")]
    Refused { code: u16, reason: String, message: String },
    #[error("no answer within {} s", REQUEST.as_secs())]
    TimedOut,
    #[error("{0}")]
    Unreachable(String),
}

// === impl Objects ===

impl Objects {
    /// The registration of that name and the Secrets of that namespace. `process` tells this process from all others.
    #[must_use]
    pub fn new(client: Client, namespace: &str, registration: &str, process: &str) -> Self {
        Self {
            secrets: Api::namespaced(client.clone(), namespace),
            registrations: Api::all(client.clone()),
            client,
            namespace: namespace.to_owned(),
            registration: registration.to_owned(),
            creator: PatchParams::apply(&format!("{MANAGER}-{process}")),
        }
    }

    /// The Secrets without their content, to be watched.
    #[must_use]
    pub fn secrets(&self) -> Api<PartialObjectMeta<Secret>> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The registrations, to be watched.
    #[must_use]
    pub fn registrations(&self) -> Api<MutatingWebhookConfiguration> {
        self.registrations.clone()
    }

    /// Reads the registration.
    ///
    /// # Errors
    ///
    /// [`CallError`]; that there is none is no error.
    pub async fn registration(&self) -> Result<Option<MutatingWebhookConfiguration>, CallError> {
        get(&self.client, &self.registrations, &self.registration).await
    }

    /// Patches the registration, if it is as the patch expects it.
    ///
    /// # Errors
    ///
    /// [`CallError`], which is [a conflict](CallError::is_conflict) where it is not.
    pub async fn patch_registration(&self, patch: JsonPatch) -> Result<(), CallError> {
        let patch = Patch::Json::<()>(patch);
        let parameters =
            PatchParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
        let name = &self.registration;
        let request =
            Requests::new(self.registrations.resource_url()).patch(name, &parameters, &patch);
        let object = described::<MutatingWebhookConfiguration>(name);
        call(&self.client, "patch", object, request).await.map(drop)
    }

    /// Deletes the registration. Answers whether there was one.
    ///
    /// # Errors
    ///
    /// [`CallError`]
    pub async fn delete_registration(&self) -> Result<bool, CallError> {
        let name = &self.registration;
        let request =
            Requests::new(self.registrations.resource_url()).delete(name, &DeleteParams::default());
        let object = described::<MutatingWebhookConfiguration>(name);
        match call(&self.client, "delete", object, request).await {
            Ok(_) => Ok(true),
            Err(error) if error.status() == Some(404) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads a Secret.
    ///
    /// # Errors
    ///
    /// [`CallError`]; that there is none is no error.
    pub async fn secret(&self, name: &str) -> Result<Option<Secret>, CallError> {
        get(&self.client, &self.secrets, name).await
    }

    /// Writes a Secret, if it is still as it was found.
    ///
    /// # Errors
    ///
    /// [`CallError`], which is [a conflict](CallError::is_conflict) where it is not.
    pub async fn write_secret<T, C: Content>(
        &self,
        name: &str,
        found: &Found<T>,
        content: &C,
    ) -> Result<(), CallError> {
        match found {
            Found::Absent => self.create_secret(name, C::TYPE, &content.data()).await,
            Found::Foreign => Err(CallError {
                verb: "write",
                object: described::<Secret>(name),
                trouble: Trouble::Foreign,
            }),
            Found::Unusable { version, .. } | Found::Usable { version, .. } => {
                self.patch_secret(name, version, &content.data()).await
            }
        }
    }

    /// Name-scoped rights allow no POST, which has no name. Server-side apply creates with the name in its path.
    async fn create_secret(&self, name: &str, kind: &str, data: &Data) -> Result<(), CallError> {
        let secret = Patch::Apply(data.to_new_secret(&self.namespace, name, kind));
        self.send_secret("create", name, &self.creator, &secret).await
    }

    async fn patch_secret(&self, name: &str, version: &str, data: &Data) -> Result<(), CallError> {
        let parameters =
            PatchParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
        self.send_secret("write", name, &parameters, &Patch::Merge(data.to_patch(version))).await
    }

    async fn send_secret(
        &self,
        verb: &'static str,
        name: &str,
        parameters: &PatchParams,
        patch: &Patch<Value>,
    ) -> Result<(), CallError> {
        let request = Requests::new(self.secrets.resource_url()).patch(name, parameters, patch);
        call(&self.client, verb, described::<Secret>(name), request).await.map(drop)
    }
}

// kube's own `get` logs the whole answer when it cannot read it: here it may be a Secret.
async fn get<K>(client: &Client, api: &Api<K>, name: &str) -> Result<Option<K>, CallError>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    const VERB: &str = "read";
    let object = described::<K>(name);
    let request = Requests::new(api.resource_url()).get(name, &GetParams::default());
    let answer = match call(client, VERB, object.clone(), request).await {
        Ok(answer) => answer,
        Err(error) if error.status() == Some(404) => return Ok(None),
        Err(error) => return Err(error),
    };
    serde_json::from_str(&answer).map(Some).map_err(|error| {
        // The error's own words may quote what they are about.
        let trouble = Trouble::Answer { line: error.line(), column: error.column() };
        CallError { verb: VERB, object, trouble }
    })
}

async fn call(
    client: &Client,
    verb: &'static str,
    object: Box<str>,
    request: Result<Request<Vec<u8>>, request::Error>,
) -> Result<String, CallError> {
    let request = request.map_err(kube::Error::BuildRequest);
    let answer = async { client.request_text(request?).await };
    let trouble = match timeout(REQUEST, answer).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => error.into(),
        Err(_elapsed) => Trouble::TimedOut,
    };
    Err(CallError { verb, object, trouble })
}

fn described<K: Resource<DynamicType = ()>>(name: &str) -> Box<str> {
    format!("{} {name}", K::kind(&())).into()
}

// === impl CallError ===

impl CallError {
    /// Whether the object is not as it was read: another process, or a person, was first. A test of a JSON Patch that
    /// fails is 422, and an object that has gone 404.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self.status(), Some(404 | 409 | 422))
    }

    fn status(&self) -> Option<u16> {
        match self.trouble {
            Trouble::Refused { code, .. } => Some(code),
            _ => None,
        }
    }
}

// === impl Trouble ===

impl From<kube::Error> for Trouble {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                let Status { code, reason, message, .. } = *status;
                Self::Refused { code, reason, message }
            }
            error => Self::Unreachable(with_causes(&error)),
        }
    }
}
