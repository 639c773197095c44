//! Requests to the API server, each with a time limit.
//!
//! kube's own `get`, `list` and `patch` are not used: they log an answer that they cannot decode, and it may be a Secret.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use axum::http::{
    Request,
    header::{DATE, RETRY_AFTER},
};
use http_body_util::{BodyExt, Collected, Limited};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams, Preconditions},
    client::Body,
    core::{
        ApiResource, DynamicObject, NamespaceResourceScope, PartialObjectMeta, Request as Requests,
        Status, request,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{sleep, timeout};

use super::{
    error::{CallError, Cause, Outcome},
    pages::Pages,
};

/// The time limit of a request for one object. A healthy API server answers in milliseconds.
pub(super) const OBJECT: Duration = Duration::from_secs(10);
/// The time limit of a page of a list. A page of Pods is a megabyte or two.
pub(super) const PAGE: Duration = Duration::from_secs(60);
/// The longest answer that is read, in bytes: a page of the largest Pods.
const ANSWER_MAX: usize = 256 << 20;
/// How often a command repeats a read that the API server asks to repeat (429, 503).
const PATIENT_TRIES: u32 = 4;
/// The longest pause before such a repetition.
const PATIENT_PAUSE: Duration = Duration::from_secs(5);

/// A cluster that can be called.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    namespace: String,
    tries: u32,
    /// How far this process's clock is ahead of the API server's, in seconds, by its last answer.
    clock_ahead: Arc<AtomicI64>,
}

/// All objects of one kind, of a namespace or of all.
#[derive(Debug, Clone)]
pub struct Collection {
    pub(super) url: String,
    kind: String,
    namespace: Option<String>,
}

// === impl Cluster ===

impl Cluster {
    /// The cluster of a client, with a default namespace. A failed request is not repeated.
    #[must_use]
    pub fn new(client: Client, namespace: String) -> Self {
        Self { client, namespace, tries: 1, clock_ahead: Arc::default() }
    }

    /// The same cluster for a command that a person runs: reads are repeated a few times where the API server is busy.
    #[must_use]
    pub fn patient(self) -> Self {
        Self { tries: PATIENT_TRIES, ..self }
    }

    /// The namespace of the kubeconfig's context, or of the Pod; `default` where it names none.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// kube's view of the objects in a namespace, for what is not one request: watches and port-forwards.
    #[must_use]
    pub fn namespaced<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// kube's view of all objects of a kind, for watches.
    #[must_use]
    pub fn all<K: Resource<DynamicType = ()>>(&self) -> Api<K> {
        Api::all(self.client.clone())
    }

    /// kube's view of the metadata of objects in a namespace, for watches: the content never comes here.
    #[must_use]
    pub fn metadata<K>(&self, namespace: &str) -> Api<PartialObjectMeta<K>>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// How far this process's clock is ahead of the API server's, in seconds, by the `Date` of its last answer; 0 before the
    /// first.
    #[must_use]
    pub fn clock_ahead(&self) -> i64 {
        self.clock_ahead.load(Ordering::Relaxed)
    }

    /// Reads an object; `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// [`CallError`]
    pub async fn get<T: DeserializeOwned>(
        &self,
        from: &Collection,
        name: &str,
    ) -> Result<Option<T>, CallError> {
        let request = || Requests::new(&from.url).get(name, &GetParams::default());
        self.read_one(from, name, request).await
    }

    /// Reads the metadata of an object; `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// [`CallError`]
    pub async fn get_metadata<T: DeserializeOwned>(
        &self,
        from: &Collection,
        name: &str,
    ) -> Result<Option<T>, CallError> {
        let request = || Requests::new(&from.url).get_metadata(name, &GetParams::default());
        self.read_one(from, name, request).await
    }

    /// Lists in pages.
    #[must_use]
    pub fn list(&self, from: Collection, labels: Option<&str>) -> Pages {
        Pages::new(self.clone(), from, labels, false)
    }

    /// Lists the metadata of the objects in pages.
    #[must_use]
    pub fn list_metadata(&self, from: Collection) -> Pages {
        Pages::new(self.clone(), from, None, true)
    }

    /// Patches an object, or creates it by server-side apply.
    ///
    /// # Errors
    ///
    /// [`CallError`]
    pub async fn patch<P: Serialize + fmt::Debug>(
        &self,
        verb: &str,
        to: &Collection,
        name: &str,
        parameters: &PatchParams,
        patch: &Patch<P>,
    ) -> Result<(), CallError> {
        let request = Requests::new(&to.url).patch(name, parameters, patch);
        self.once(request, OBJECT).await.map(drop).map_err(|it| to.error(verb, name, it))
    }

    /// As [`Self::patch`]; returns what is stored then.
    ///
    /// # Errors
    ///
    /// [`CallError`]
    pub async fn patch_object<T: DeserializeOwned, P: Serialize + fmt::Debug>(
        &self,
        verb: &str,
        to: &Collection,
        name: &str,
        parameters: &PatchParams,
        patch: &Patch<P>,
    ) -> Result<T, CallError> {
        let request = Requests::new(&to.url).patch(name, parameters, patch);
        let answer = self.once(request, OBJECT).await.and_then(|it| decode(&it));
        answer.map_err(|it| to.error(verb, name, it))
    }

    /// As [`Self::patch`]; returns the metadata of what is stored then, and nothing of its content.
    ///
    /// # Errors
    ///
    /// [`CallError`]
    pub async fn patch_metadata<T: DeserializeOwned, P: Serialize + fmt::Debug>(
        &self,
        verb: &str,
        to: &Collection,
        name: &str,
        parameters: &PatchParams,
        patch: &Patch<P>,
    ) -> Result<T, CallError> {
        let request = Requests::new(&to.url).patch_metadata(name, parameters, patch);
        let answer = self.once(request, OBJECT).await.and_then(|it| decode(&it));
        answer.map_err(|it| to.error(verb, name, it))
    }

    /// Creates an object, whose name the API server makes from `metadata.generateName`.
    ///
    /// # Errors
    ///
    /// [`CallError`]
    pub async fn create<T: Serialize>(&self, to: &Collection, object: &T) -> Result<(), CallError> {
        let request = serde_json::to_vec(object)
            .map_err(request::Error::SerializeBody)
            .and_then(|body| Requests::new(&to.url).create(&PostParams::default(), body));
        self.once(request, OBJECT).await.map(drop).map_err(|it| to.error("create", "", it))
    }

    /// Deletes an object if it is still as it was seen. Returns whether it existed.
    ///
    /// # Errors
    ///
    /// [`CallError`]: 409 where it has changed since, or is another one of that name.
    pub async fn delete_as_seen(
        &self,
        from: &Collection,
        name: &str,
        uid: &str,
        version: &str,
    ) -> Result<bool, CallError> {
        let preconditions =
            Preconditions { uid: Some(uid.to_owned()), resource_version: Some(version.to_owned()) };
        let parameters =
            DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        self.delete_with(from, name, &parameters).await
    }

    /// Deletes an object. Returns whether it existed.
    ///
    /// # Errors
    ///
    /// [`CallError`]
    pub async fn delete(&self, from: &Collection, name: &str) -> Result<bool, CallError> {
        self.delete_with(from, name, &DeleteParams::default()).await
    }

    async fn delete_with(
        &self,
        from: &Collection,
        name: &str,
        parameters: &DeleteParams,
    ) -> Result<bool, CallError> {
        let request = Requests::new(&from.url).delete(name, parameters);
        let answer = self.once(request, OBJECT).await.map_err(|it| from.error("delete", name, it));
        match answer {
            Ok(_) => Ok(true),
            Err(error) if error.outcome() == Outcome::Gone => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// One page of a list.
    pub(super) async fn page(
        &self,
        from: &Collection,
        page: &ListParams,
        metadata: bool,
    ) -> Result<Answer, CallError> {
        let requests = Requests::new(&from.url);
        let request = || if metadata { requests.list_metadata(page) } else { requests.list(page) };
        self.read(request, PAGE).await.map_err(|cause| from.list_error(cause))
    }

    async fn read_one<T: DeserializeOwned>(
        &self,
        from: &Collection,
        name: &str,
        request: impl Fn() -> Built,
    ) -> Result<Option<T>, CallError> {
        let answer = self.read(request, OBJECT).await.and_then(|it| decode(&it));
        match answer.map_err(|cause| from.error("read", name, cause)) {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.outcome() == Outcome::Gone => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a read, which may be repeated.
    async fn read(&self, request: impl Fn() -> Built, limit: Duration) -> Result<Answer, Cause> {
        let mut tries = self.tries;
        loop {
            tries = tries.saturating_sub(1);
            let answer = self.once(request(), limit).await;
            match &answer {
                Err(Cause::Refused { code: 429 | 503, retry_after, .. }) if tries > 0 => {
                    let pause = retry_after.unwrap_or(Duration::from_secs(1));
                    sleep(pause.min(PATIENT_PAUSE)).await;
                }
                _ => return answer,
            }
        }
    }

    pub(super) async fn once(&self, request: Built, limit: Duration) -> Result<Answer, Cause> {
        let request =
            request.map_err(|error| Cause::Request(Box::new(kube::Error::BuildRequest(error))))?;
        let answered = timeout(limit, self.answer(request.map(Body::from)));
        answered.await.unwrap_or(Err(Cause::TimedOut(limit)))
    }

    async fn answer(&self, request: Request<Body>) -> Result<Answer, Cause> {
        let response = self.client.send(request).await?;
        let code = response.status();
        let date = response.headers().get(DATE).and_then(|it| it.to_str().ok());
        if let Some(date) = date.and_then(|it| httpdate::parse_http_date(it).ok()) {
            self.clock_ahead.store(seconds_between(date, SystemTime::now()), Ordering::Relaxed);
        }
        let seconds = response.headers().get(RETRY_AFTER).and_then(|it| it.to_str().ok());
        let retry_after = seconds.and_then(|it| it.parse().ok()).map(Duration::from_secs);
        let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
        if code.is_client_error() || code.is_server_error() {
            // A body that is not a Status, such as the page of a proxy, is ignored.
            let status: Option<Status> =
                body.ok().and_then(|it| serde_json::from_slice(&it.to_bytes()).ok());
            return Err(Cause::refused(code.as_u16(), status, retry_after));
        }
        body.map(Collected::to_bytes).map_err(|_| Cause::TooLong(ANSWER_MAX))
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

pub(super) type Answer = hyper::body::Bytes;
pub(super) type Built = Result<Request<Vec<u8>>, request::Error>;

/// The seconds from one time to another; negative if the other is earlier.
fn seconds_between(from: SystemTime, to: SystemTime) -> i64 {
    let seconds = |it: Duration| i64::try_from(it.as_secs()).unwrap_or(i64::MAX);
    match to.duration_since(from) {
        Ok(ahead) => seconds(ahead),
        Err(error) => -seconds(error.duration()),
    }
}

pub(super) fn decode<T: DeserializeOwned>(answer: &[u8]) -> Result<T, Cause> {
    serde_json::from_slice(answer).map_err(|error| kube::Error::SerdeError(error).into())
}

// === impl Collection ===

impl Collection {
    /// The objects of a kind, in one namespace or, without one, all.
    #[must_use]
    pub fn of<K: Resource<DynamicType = ()>>(namespace: Option<&str>) -> Self {
        Self {
            url: K::url_path(&(), namespace),
            kind: K::kind(&()).into_owned(),
            namespace: namespace.map(ToOwned::to_owned),
        }
    }

    /// The objects of a kind that the API server may not know, such as one of a newer Kubernetes, in one namespace or, without
    /// one, all.
    #[must_use]
    pub fn of_resource(resource: &ApiResource, namespace: Option<&str>) -> Self {
        Self {
            url: DynamicObject::url_path(resource, namespace),
            kind: resource.kind.clone(),
            namespace: namespace.map(ToOwned::to_owned),
        }
    }

    pub(super) fn error(&self, verb: &str, name: &str, cause: Cause) -> CallError {
        let kind = &self.kind;
        let attempt = match &self.namespace {
            Some(namespace) => format!("{verb} {kind} {namespace}/{name}"),
            None => format!("{verb} {kind} {name}"),
        };
        CallError::new(attempt, cause)
    }

    pub(super) fn list_error(&self, cause: Cause) -> CallError {
        let Self { kind, namespace, .. } = self;
        let attempt = match namespace {
            Some(namespace) => format!("list the {kind}s of {namespace}"),
            None => format!("list the {kind}s of all namespaces"),
        };
        CallError::new(attempt, cause)
    }
}
