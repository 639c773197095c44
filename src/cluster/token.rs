//! Tokens of `ServiceAccount`s, asked of the API server.

use std::fmt;

use k8s_openapi::{
    api::{
        authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
        core::v1::ServiceAccount,
    },
    jiff::Timestamp,
};
use kube::{
    api::PostParams,
    core::{Request as Requests, request},
};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{
    CallError, Cluster, Collection,
    calls::{OBJECT, decode},
};

/// How long a token is asked to live, in seconds. Google's exchange takes none that lives shorter.
const LIFE: i64 = 3600;

/// A token of a `ServiceAccount`. It is wiped when it is dropped, and no `Debug` shows it.
pub struct Token {
    /// The token.
    pub text: Zeroizing<String>,
    /// When it ends, in seconds since the Unix epoch, by the API server.
    pub ends: i64,
}

/// The answer to a request for a token, as far as it counts.
#[derive(Deserialize)]
struct Answered {
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    token: String,
    expiration_timestamp: Timestamp,
}

// === impl Cluster ===

impl Cluster {
    /// Asks for a token of a `ServiceAccount` for one audience. It ends with the Secret `bound`, if one is named by name and
    /// uid.
    ///
    /// # Errors
    ///
    /// [`CallError`]
    pub async fn token(
        &self,
        namespace: &str,
        service_account: &str,
        audience: &str,
        bound: Option<(&str, &str)>,
    ) -> Result<Token, CallError> {
        let accounts = Collection::of::<ServiceAccount>(Some(namespace));
        let bound = bound.map(|(name, uid)| BoundObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Secret".to_owned()),
            name: Some(name.to_owned()),
            uid: Some(uid.to_owned()),
        });
        let spec = TokenRequestSpec {
            audiences: vec![audience.to_owned()],
            bound_object_ref: bound,
            expiration_seconds: Some(LIFE),
        };
        let body = TokenRequest { spec, ..TokenRequest::default() };
        let request =
            serde_json::to_vec(&body).map_err(request::Error::SerializeBody).and_then(|body| {
                let requests = Requests::new(&accounts.url);
                requests.create_subresource("token", service_account, &PostParams::default(), body)
            });
        let answer = self.once(request, OBJECT).await.and_then(|it| decode::<Answered>(&it));
        let Answered { status } =
            answer.map_err(|cause| accounts.error("get a token of", service_account, cause))?;
        Ok(Token {
            text: Zeroizing::new(status.token),
            ends: status.expiration_timestamp.as_second(),
        })
    }
}

// === impl Token ===

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("ends", &self.ends).finish_non_exhaustive()
    }
}
