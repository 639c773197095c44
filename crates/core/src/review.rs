//! The request: an AdmissionReview v1, borrowed from the bytes of its body.

use serde::{Deserialize, de::IgnoredAny};

use super::{
    json::{Flag, Object, Text, describe},
    pod::Pod,
};

/// The only `apiVersion` that is supported: `admissionReviewVersions: ["v1"]` in the webhook configuration asks for it.
pub const API_VERSION: &str = "admission.k8s.io/v1";
/// The URL path to which the API server posts reviews.
pub const PATH: &str = "/mutate";
/// The longest uid, in bytes, because the answer repeats it. The API server's have 36 (apiserver:
/// admission/plugin/webhook/request/admissionreview.go).
pub const UID_MAX: usize = 128;
/// The longest namespace, in bytes: an RFC 1123 label. The API server checks that it exists before it calls the webhook. A
/// Pod's own names have no such limit, since the API server checks them after the call.
pub const NAMESPACE_MAX: usize = 63;
/// The `kind` of a review, in requests and responses.
pub(super) const KIND: &str = "AdmissionReview";

/// The `request` of an AdmissionReview.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The id of this request, which the response must repeat. Empty only in offline requests.
    pub uid: Text<'a>,
    /// Group and kind to which the API server converted `object`.
    pub kind: GroupKind<'a>,
    /// Such as `status`; empty for the Pod itself.
    pub sub_resource: Text<'a>,
    /// The namespace of the Pod. `object.metadata.namespace` may be empty on creation.
    pub namespace: Text<'a>,
    /// Such as `CREATE`.
    pub operation: Text<'a>,
    /// Whether the API server stores nothing (`dryRun`).
    pub dry_run: bool,
    /// The Pod as the API server would store it, or why it cannot be read.
    pub object: Result<Pod<'a>, UnreadablePod>,
}

/// Group and kind; the group of core types is empty.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct GroupKind<'a> {
    /// The API group.
    #[serde(borrow, default)]
    pub group: Text<'a>,
    /// The kind, such as `Pod`.
    #[serde(borrow, default)]
    pub kind: Text<'a>,
}

/// Why a body gets no response: it has no uid that a response could repeat.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReviewError {
    /// The bytes are not JSON, or a field around the Pod has the wrong type.
    #[error("the body is not an AdmissionReview: {}", describe(.0))]
    Json(serde_json::Error),
    /// JSON of another kind or version.
    #[error(
        "the body must have apiVersion {API_VERSION} and kind {KIND}, as `admissionReviewVersions: [\"v1\"]` asks for"
    )]
    Kind,
    /// A review without `request`, such as a response.
    #[error("the AdmissionReview has no request")]
    NoRequest,
    /// `request.uid` is absent or empty.
    #[error("the AdmissionReview's request has no uid")]
    NoUid,
    /// `request.uid` or `request.namespace` is longer than any that an API server sends.
    #[error("request.{field} has more than {max} bytes: no API server sends that")]
    TooLong {
        /// The field.
        field: &'static str,
        /// The most bytes that it may have.
        max: usize,
    },
    /// JSON is UTF-8 (RFC 8259, section 8.1).
    #[error("the body is not JSON: {0}")]
    Utf8(#[from] std::str::Utf8Error),
}

/// Why `request.object` cannot be read, although the rest of the request can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnreadablePod(String);

/// Reads an AdmissionReview.
///
/// # Errors
///
/// [`ReviewError`] where no response is possible. A Pod that cannot be read is an `Err` in [`Request::object`] instead: with
/// a valid uid, the request must get a response.
pub fn parse(body: &[u8]) -> Result<Request<'_>, ReviewError> {
    let text = std::str::from_utf8(body)?;
    match serde_json::from_str::<Object<RawReview<'_, Pod<'_>>>>(text) {
        Ok(Object(review)) => review.into_request(|pod| {
            pod.ok_or_else(|| UnreadablePod("request.object is absent".to_owned()))
        }),
        // JSON, but with an unexpected type. It may be within the Pod: read the rest, to keep the uid.
        Err(error) if error.is_data() => {
            serde_json::from_str::<Object<RawReview<'_, IgnoredAny>>>(text)
                .map_err(ReviewError::Json)?
                .0
                .into_request(|_| Err(UnreadablePod(describe(&error))))
        }
        Err(error) => Err(ReviewError::Json(error)),
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "P: Deserialize<'de> + Default"))]
struct RawReview<'a, P> {
    #[serde(borrow, default)]
    api_version: Text<'a>,
    #[serde(borrow, default)]
    kind: Text<'a>,
    #[serde(borrow)]
    request: Option<Object<RawRequest<'a, P>>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "P: Deserialize<'de> + Default"))]
struct RawRequest<'a, P> {
    #[serde(borrow, default)]
    uid: Text<'a>,
    #[serde(borrow, default)]
    kind: Object<GroupKind<'a>>,
    #[serde(borrow, default)]
    sub_resource: Text<'a>,
    #[serde(borrow, default)]
    namespace: Text<'a>,
    #[serde(borrow, default)]
    operation: Text<'a>,
    #[serde(default)]
    dry_run: Flag,
    object: Option<P>,
}

// === impl RawReview ===

impl<'a, P> RawReview<'a, P> {
    fn into_request(
        self,
        pod: impl FnOnce(Option<P>) -> Result<Pod<'a>, UnreadablePod>,
    ) -> Result<Request<'a>, ReviewError> {
        if &*self.api_version != API_VERSION || &*self.kind != KIND {
            return Err(ReviewError::Kind);
        }
        let request = self.request.ok_or(ReviewError::NoRequest)?.0;
        if request.uid.is_empty() {
            return Err(ReviewError::NoUid);
        }
        for (field, text, max) in
            [("uid", &request.uid, UID_MAX), ("namespace", &request.namespace, NAMESPACE_MAX)]
        {
            if text.len() > max {
                return Err(ReviewError::TooLong { field, max });
            }
        }
        Ok(Request {
            uid: request.uid,
            kind: request.kind.0,
            sub_resource: request.sub_resource,
            namespace: request.namespace,
            operation: request.operation,
            dry_run: request.dry_run.0,
            object: pod(request.object),
        })
    }
}

// === impl Request ===

impl<'a> Request<'a> {
    /// A request to create `pod` in `namespace`, for offline use.
    #[must_use]
    pub fn create(namespace: &'a str, pod: Pod<'a>) -> Self {
        Self {
            uid: Text::default(),
            kind: GroupKind { group: Text::default(), kind: Text::from("Pod") },
            sub_resource: Text::default(),
            namespace: Text::from(namespace),
            operation: Text::from("CREATE"),
            dry_run: false,
            object: Ok(pod),
        }
    }
}
