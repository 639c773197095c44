//! Google Artifact Registry and Container Registry: a token of Google's STS for a ServiceAccount's token, or that of the
//! metadata server, and perhaps the token of a service account that it may impersonate.

use serde::Deserialize;

use super::{
    minted::Expiring,
    problem::{Malformed, Meaning, Problem},
    secret_text::SecretText,
    time,
    wire::{Answer, Request},
};
use crate::registry::percent::escaped;

/// The user of every registry of Google.
const USER: &str = "oauth2accesstoken";

const STS: &str = "https://sts.googleapis.com";
const IAM: &str = "https://iamcredentials.googleapis.com";
const SCOPES: &str = "https://www.googleapis.com/auth/";

/// A token, and how many seconds it lives from the answer on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The token.
    pub token: SecretText,
    /// Seconds.
    pub life: i64,
}

/// Asks Google's STS for a token.
#[must_use]
pub fn token_request(
    endpoint: Option<&str>,
    provider: &str,
    token: &SecretText,
    impersonates: bool,
) -> Request {
    const TYPES: &str = "urn:ietf:params:oauth:token-type:";
    let audience = if provider.starts_with("identitynamespace:") {
        provider.to_owned()
    } else {
        format!("//iam.googleapis.com/{provider}")
    };
    // What impersonates needs no other right.
    let scope = format!("{SCOPES}{}", if impersonates { "iam" } else { "cloud-platform" });
    let (requested, subject) = (format!("{TYPES}access_token"), format!("{TYPES}jwt"));
    let pairs = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("audience", audience.as_str()),
        ("scope", scope.as_str()),
        ("requested_token_type", requested.as_str()),
        ("subject_token_type", subject.as_str()),
        ("subject_token", token),
    ];
    Request::post_form(format!("{}/v1/token", endpoint.unwrap_or(STS)), &pairs)
}

/// Reads the answer to [`token_request`].
///
/// # Errors
///
/// [`Problem`]
pub fn read_token(answer: &Answer) -> Result<Token, Problem> {
    const GRANT: &str = "let the provider of the workload identity pool accept the token: its issuer, its audience, its keys, and \
                         the attribute condition";
    const PROVIDER: &str = "check the name of the provider, projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER";
    if answer.is_success() {
        return read_bearer(answer);
    }
    let known = [
        ("invalid_grant", Meaning::Denied(GRANT)),
        ("invalid_target", Meaning::Denied(PROVIDER)),
        ("invalid_request", Meaning::Denied(PROVIDER)),
    ];
    let reason = answer.json_if_any::<OAuthReason>().map(|it| it.error);
    Err(Problem::refused(answer, reason.as_deref(), &known, GRANT))
}

/// Asks for a token of a service account, with the token of who may impersonate it.
#[must_use]
pub fn impersonation_request(endpoint: Option<&str>, account: &str, token: &SecretText) -> Request {
    let account = escaped(account).replace("%40", "@");
    let base = endpoint.unwrap_or(IAM);
    let url = format!("{base}/v1/projects/-/serviceAccounts/{account}:generateAccessToken");
    let body = format!(r#"{{"scope":["{SCOPES}cloud-platform.read-only"],"lifetime":"3600s"}}"#);
    Request::post(url, "application/json", body.into_bytes()).with_bearer(token)
}

/// Reads the answer to [`impersonation_request`].
///
/// # Errors
///
/// [`Problem`]
pub fn read_impersonation(answer: &Answer) -> Result<Expiring, Problem> {
    const GRANT: &str = "grant roles/iam.workloadIdentityUser on the service account to the identity, and enable the API iamcredentials.googleapis.com";
    if !answer.is_success() {
        let known = [
            ("NOT_FOUND", Meaning::Denied("check the mail address of the service account")),
            ("RESOURCE_EXHAUSTED", Meaning::Busy),
            ("UNAVAILABLE", Meaning::Busy),
        ];
        let reason = answer.json_if_any::<ApiReason>().map(|it| it.error.status);
        return Err(Problem::refused(answer, reason.as_deref(), &known, GRANT));
    }
    let Impersonated { token, until } = answer.json()?;
    let expires_at = time::read(&until)
        .ok_or_else(|| answer.malformed(Malformed::WrongType("expireTime".to_owned())))?;
    Expiring::new(USER.into(), token, expires_at).map_err(|what| answer.malformed(what))
}

/// Asks the metadata server of a machine of Google's for a token.
#[must_use]
pub fn metadata_request(base: &str) -> Request {
    Request::get(format!("{base}/computeMetadata/v1/instance/service-accounts/default/token"))
        .with("metadata-flavor", "Google")
}

/// Reads the answer to [`metadata_request`].
///
/// # Errors
///
/// [`Problem`]
pub fn read_metadata(answer: &Answer) -> Result<Token, Problem> {
    const ADVICE: &str = "let the node or the Kubernetes ServiceAccount of this Pod have a service account of Google (Workload Identity)";
    if answer.is_success() {
        return read_bearer(answer);
    }
    Err(Problem::refused(answer, None, &[], ADVICE))
}

fn read_bearer(answer: &Answer) -> Result<Token, Problem> {
    let Bearer { access_token, expires_in } = answer.json()?;
    Ok(Token { token: access_token, life: expires_in })
}

// === impl Token ===

impl Token {
    /// The login with this token, which was answered at a time.
    ///
    /// # Errors
    ///
    /// What of the token cannot be in a login.
    pub fn login(&self, at: i64) -> Result<Expiring, Malformed> {
        Expiring::new(USER.into(), self.token.clone(), at.saturating_add(self.life))
    }
}

#[derive(Deserialize)]
struct Bearer {
    access_token: SecretText,
    expires_in: i64,
}

#[derive(Deserialize)]
struct Impersonated {
    #[serde(rename = "accessToken")]
    token: SecretText,
    #[serde(rename = "expireTime")]
    until: SecretText,
}

#[derive(Deserialize)]
struct OAuthReason {
    error: String,
}

#[derive(Deserialize)]
struct ApiReason {
    error: ApiError,
}

#[derive(Deserialize)]
struct ApiError {
    status: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(request: &Request) -> &str {
        str::from_utf8(request.body()).unwrap()
    }

    #[test]
    fn a_token_is_exchanged_for_the_provider() {
        let provider = "projects/1/locations/global/workloadIdentityPools/p/providers/k8s";
        let request = token_request(None, provider, &"ey.J".into(), false);
        assert_eq!(
            (request.method(), request.url()),
            ("POST", "https://sts.googleapis.com/v1/token")
        );
        assert_eq!(
            body(&request),
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&\
             audience=%2F%2Fiam.googleapis.com%2Fprojects%2F1%2Flocations%2Fglobal%2FworkloadIdentityPools%2Fp%2Fproviders%2Fk8s&\
             scope=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform&\
             requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token&\
             subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt&subject_token=ey.J"
        );
        // Google says not to send this header here.
        assert!(request.headers().all(|(name, _)| name != "authorization"));
        let gke = "identitynamespace:acme.svc.id.goog:https://container.googleapis.com/v1/x";
        let request = token_request(Some("https://sts.example.com"), gke, &"t".into(), true);
        assert_eq!(request.url(), "https://sts.example.com/v1/token");
        assert!(body(&request).contains("audience=identitynamespace%3Aacme.svc.id.goog%3Ahttps"));
        assert!(body(&request).contains("auth%2Fiam&"));
    }

    #[test]
    fn a_service_account_is_impersonated_with_the_bearer() {
        let account = "pull@acme.iam.gserviceaccount.com";
        let request = impersonation_request(None, account, &"t0ken".into());
        assert_eq!(
            request.url(),
            "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/pull@acme.iam.gserviceaccount.com:generateAccessToken"
        );
        assert_eq!(
            body(&request),
            r#"{"scope":["https://www.googleapis.com/auth/cloud-platform.read-only"],"lifetime":"3600s"}"#
        );
        assert!(request.headers().any(|it| it == ("authorization", "Bearer t0ken")));
        let escaping = impersonation_request(None, "../../evil?x", &"t".into());
        assert!(
            escaping.url().contains("/serviceAccounts/..%2F..%2Fevil%3Fx:generate"),
            "{escaping:?}"
        );
    }

    #[test]
    fn answers_of_google_are_read() {
        let answer = Answer::new(
            200,
            r#"{"access_token":"ya29.x","issued_token_type":"urn","token_type":"Bearer","expires_in":3599}"#,
        );
        let token = read_token(&answer).unwrap();
        assert_eq!((&*token.token, token.life), ("ya29.x", 3599));
        assert_eq!(token.login(100).unwrap().expires_at, 3699);
        assert_eq!(read_metadata(&answer).unwrap(), token);
        let answer =
            Answer::new(200, r#"{"accessToken":"ya29.y","expireTime":"2014-10-02T15:01:23Z"}"#);
        let login = read_impersonation(&answer).unwrap();
        assert_eq!((&*login.username, &*login.password), ("oauth2accesstoken", "ya29.y"));
        assert_eq!(Some(login.expires_at), time::read("2014-10-02T15:01:23Z"));
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let text = |problem: Problem| problem.to_string();
        let refused =
            Answer::new(400, r#"{"error":"invalid_grant","error_description":"hunter2"}"#);
        let words = text(read_token(&refused).unwrap_err());
        assert!(words.starts_with("400 invalid_grant: let the provider"), "{words}");
        let denied = Answer::new(
            403,
            r#"{"error":{"code":403,"message":"hunter2","status":"PERMISSION_DENIED"}}"#,
        );
        let words = text(read_impersonation(&denied).unwrap_err());
        assert!(words.starts_with("403 PERMISSION_DENIED: grant roles/iam.workloadIdentityUser"));
        assert!(!words.contains("hunter2"));
        let busy = Answer::new(429, r#"{"error":{"status":"RESOURCE_EXHAUSTED"}}"#);
        assert!(matches!(read_impersonation(&busy), Err(Problem::Busy { .. })));
    }
}
