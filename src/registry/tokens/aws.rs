//! Amazon ECR and ECR Public: a session of STS for a ServiceAccount's token, and a login for the session.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{
    minted::{Expiring, whole},
    problem::{Malformed, Meaning, Problem},
    secret_text::SecretText,
    sign::{AccessKey, Scope, sigv4},
    time,
    wire::{Answer, Request},
    xml,
};
use crate::core::clouds::EcrHost;

/// How long a session of a role lives, in seconds, if the role allows no less: the most that every role allows.
const SESSION: &str = "3600";

/// A session, and when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its key.
    pub key: AccessKey,
    /// Seconds since the Unix epoch.
    pub expires_at: i64,
}

/// The service that gives logins to some hosts of ECR: one login opens all registries of a region that its role may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service<'h> {
    public: bool,
    region: &'h str,
    domain: &'static str,
    fips: bool,
}

// === impl Service ===

impl<'h> Service<'h> {
    /// The service for a host.
    #[must_use]
    pub fn of(host: EcrHost<'h>) -> Self {
        let EcrHost { account, region, domain, fips } = host;
        Self { public: account.is_none(), region, domain, fips }
    }

    /// The address of STS in the same region.
    #[must_use]
    pub fn sts(&self) -> String {
        format!("https://sts.{}.{}", self.region, self.domain)
    }

    fn api(&self) -> String {
        let Self { public, region, domain, fips } = self;
        match (public, fips) {
            (true, _) => format!("https://api.ecr-public.{region}.{domain}"),
            (false, true) => format!("https://ecr-fips.{region}.{domain}"),
            (false, false) => format!("https://api.ecr.{region}.{domain}"),
        }
    }

    /// Asks for a login, at this address or else at AWS's own.
    #[must_use]
    pub fn login_request(&self, endpoint: Option<&str>, key: &AccessKey, now: i64) -> Request {
        let (service, target) = if self.public {
            ("ecr-public", "SpencerFrontendService.GetAuthorizationToken")
        } else {
            ("ecr", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken")
        };
        let base = endpoint.map_or_else(|| self.api(), str::to_owned);
        let json = "application/x-amz-json-1.1";
        let request =
            Request::post(format!("{base}/"), json, b"{}".to_vec()).with("x-amz-target", target);
        sigv4(request, key, Scope { region: self.region, service }, now)
    }

    /// Reads the answer to [`Self::login_request`].
    ///
    /// # Errors
    ///
    /// [`Problem`]
    pub fn read_login(&self, answer: &Answer) -> Result<Expiring, Problem> {
        if !answer.is_success() {
            return Err(self.refused(answer));
        }
        let (token, expires_at) = if self.public {
            let PublicLogins { data } = answer.json()?;
            (data.token, data.expires_at)
        } else {
            let Logins { data } = answer.json()?;
            let first = data.into_iter().next();
            let first = first.ok_or_else(|| {
                answer.malformed(Malformed::Missing("authorizationData[0]".to_owned()))
            })?;
            (first.token, first.expires_at)
        };
        let wrong = |name: &str| answer.malformed(Malformed::WrongType(name.to_owned()));
        let pair = BASE64_STANDARD.decode(token.as_bytes()).map(Zeroizing::new);
        let pair = pair.map_err(|_| wrong("authorizationToken"))?;
        let pair = str::from_utf8(&pair).ok().and_then(|pair| pair.split_once(':'));
        let (user, password) = pair.ok_or_else(|| wrong("authorizationToken"))?;
        let expires_at = whole(expires_at).ok_or_else(|| wrong("expiresAt"))?;
        Expiring::new(user.into(), password.into(), expires_at)
            .map_err(|what| answer.malformed(what))
    }

    fn refused(&self, answer: &Answer) -> Problem {
        const KEY: Meaning = Meaning::Denied(
            "AWS does not know the access key: check the keys' Secret, or the session",
        );
        const SIGNATURE: Meaning = Meaning::PerhapsClock(
            "AWS computes another signature: check the secret key, and the clock of this node",
        );
        const PRIVATE: &str =
            "let the policy of the role or user allow ecr:GetAuthorizationToken on *";
        const PUBLIC: &str = "let the policy of the role or user allow ecr-public:GetAuthorizationToken and \
                              sts:GetServiceBearerToken on *";
        let advice = if self.public { PUBLIC } else { PRIVATE };
        let known = [
            ("UnrecognizedClientException", KEY),
            ("InvalidClientTokenId", KEY),
            ("ExpiredTokenException", KEY),
            ("InvalidSignatureException", SIGNATURE),
            ("SignatureDoesNotMatch", SIGNATURE),
            ("RequestTimeTooSkewed", SIGNATURE),
            ("RequestExpired", SIGNATURE),
            ("ThrottlingException", Meaning::Busy),
            ("ServerException", Meaning::Busy),
        ];
        let reason = answer.json_if_any::<JsonReason>().map(|it| it.kind);
        let reason = reason.as_deref().map(|it| it.rsplit_once('#').map_or(it, |(_, name)| name));
        Problem::refused(answer, reason, &known, advice)
    }
}

/// Asks STS for a session of a role, for a ServiceAccount's token.
#[must_use]
pub fn session_request(base: &str, role: &str, session_name: &str, token: &SecretText) -> Request {
    let pairs = [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("RoleArn", role),
        ("RoleSessionName", session_name),
        ("DurationSeconds", SESSION),
        ("WebIdentityToken", token),
    ];
    Request::post_form(format!("{base}/"), &pairs)
}

/// Reads the answer to [`session_request`].
///
/// # Errors
///
/// [`Problem`]
pub fn read_session(answer: &Answer) -> Result<Session, Problem> {
    const CREDENTIALS: [&str; 3] =
        ["AssumeRoleWithWebIdentityResponse", "AssumeRoleWithWebIdentityResult", "Credentials"];
    if !answer.is_success() {
        return Err(sts_refused(answer));
    }
    let paths = ["AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"].map(|name| {
        let [response, result, credentials] = CREDENTIALS;
        [response, result, credentials, name]
    });
    let [id, secret, session, until] = &paths;
    let found = xml::texts(&answer.body, [&id[..], &secret[..], &session[..], &until[..]]);
    let [id, secret, session, until] = found.map_err(|why| {
        answer.malformed(if answer.is_html() { Malformed::Html } else { Malformed::NotXml(why) })
    })?;
    let full = |text: Option<SecretText>, name: &str| {
        let text = text.filter(|it| !it.is_empty());
        text.ok_or_else(|| answer.malformed(Malformed::Missing(name.to_owned())))
    };
    let key = AccessKey {
        id: full(id, "AccessKeyId")?.to_string(),
        secret: full(secret, "SecretAccessKey")?,
        session: Some(full(session, "SessionToken")?),
    };
    session_of(answer, key, &full(until, "Expiration")?)
}

fn sts_refused(answer: &Answer) -> Problem {
    const TRUST: &str = "let the trust policy of the role allow the token's issuer, its audience (aud) and its subject (sub), \
                         system:serviceaccount:NAMESPACE:NAME";
    let known = [
        (
            "InvalidIdentityToken",
            Meaning::Denied(
                "register the issuer of the cluster's tokens as an OIDC provider of the AWS account, with the token's audience",
            ),
        ),
        (
            "ExpiredTokenException",
            Meaning::Denied(
                "the ServiceAccount's token has ended for AWS: check the clocks of this node and of the API server",
            ),
        ),
        (
            "ValidationError",
            Meaning::Denied(
                "check the ARN of the role, such as arn:aws:iam::123456789012:role/pull",
            ),
        ),
        (
            "RegionDisabledException",
            Meaning::Denied("enable STS in this region of the AWS account"),
        ),
        ("IDPCommunicationError", Meaning::Busy),
        ("Throttling", Meaning::Busy),
        ("ThrottlingException", Meaning::Busy),
        ("ServiceUnavailable", Meaning::Busy),
    ];
    let reason = xml::texts(&answer.body, [&["ErrorResponse", "Error", "Code"]]);
    let [reason] = reason.unwrap_or([None]);
    Problem::refused(answer, reason.as_deref(), &known, TRUST)
}

/// Asks the agent of EKS Pod Identity for a session. The token is the content of its file.
#[must_use]
pub fn agent_request(url: &str, token: &str) -> Request {
    Request::get(url).with("authorization", token)
}

/// Reads the answer to [`agent_request`].
///
/// # Errors
///
/// [`Problem`]
pub fn read_agent(answer: &Answer) -> Result<Session, Problem> {
    const ADVICE: &str =
        "make a Pod Identity association for the ServiceAccount of this Pod, and restart the Pod";
    if !answer.is_success() {
        return Err(Problem::refused(answer, None, &[], ADVICE));
    }
    let AgentSession { id, secret, session, until } = answer.json()?;
    let key = AccessKey { id: id.to_string(), secret, session: Some(session) };
    session_of(answer, key, &until)
}

fn session_of(answer: &Answer, key: AccessKey, until: &str) -> Result<Session, Problem> {
    let is_text = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let wrong = |name: &str| answer.malformed(Malformed::WrongType(name.to_owned()));
    if !is_text(&key.id) {
        return Err(wrong("AccessKeyId"));
    }
    if !key.session.as_deref().is_none_or(is_text) {
        return Err(wrong("SessionToken"));
    }
    let expires_at = time::read(until).ok_or_else(|| wrong("Expiration"))?;
    Ok(Session { key, expires_at })
}

#[derive(Deserialize)]
struct Logins {
    #[serde(rename = "authorizationData")]
    data: Vec<EcrLogin>,
}

#[derive(Deserialize)]
struct PublicLogins {
    #[serde(rename = "authorizationData")]
    data: EcrLogin,
}

#[derive(Deserialize)]
struct EcrLogin {
    #[serde(rename = "authorizationToken")]
    token: SecretText,
    #[serde(rename = "expiresAt")]
    expires_at: f64,
}

#[derive(Deserialize)]
struct AgentSession {
    #[serde(rename = "AccessKeyId")]
    id: SecretText,
    #[serde(rename = "SecretAccessKey")]
    secret: SecretText,
    #[serde(rename = "Token")]
    session: SecretText,
    #[serde(rename = "Expiration")]
    until: SecretText,
}

#[derive(Deserialize)]
struct JsonReason {
    #[serde(rename = "__type")]
    kind: String,
}

#[cfg(test)]
mod tests;
