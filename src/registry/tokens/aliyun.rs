//! Alibaba Cloud Container Registry, the Enterprise and the older Personal Edition: a session of STS for a ServiceAccount's
//! token, or an access key, and a login for it.

use serde::Deserialize;

use super::{
    minted::Expiring,
    problem::{Malformed, Meaning, Problem},
    secret_text::SecretText,
    sign::{AccessKey, acs3},
    time,
    wire::{Answer, Request},
};
use crate::registry::percent::form;

/// How long a session lives, in seconds: the most that every role allows. No login outlives its session.
const SESSION: &str = "3600";

/// A key of a session, and when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The key.
    pub key: AccessKey,
    /// Seconds since the Unix epoch.
    pub expires_at: i64,
}

/// When a request is made, and a text that no other request has.
#[derive(Debug, Clone, Copy)]
pub struct Stamp<'a> {
    /// Seconds since the Unix epoch.
    pub now: i64,
    /// Random.
    pub nonce: &'a str,
}

/// The address of STS in a region.
#[must_use]
pub fn sts(region: &str) -> String {
    format!("https://sts.{region}.aliyuncs.com")
}

/// The address of the registries' API in a region.
#[must_use]
pub fn api(region: &str) -> String {
    format!("https://cr.{region}.aliyuncs.com")
}

/// Asks STS for a session of a role, for a ServiceAccount's token. The token is in the body, since addresses are logged.
#[must_use]
pub fn session_request(
    base: &str,
    role: &str,
    provider: &str,
    session_name: &str,
    token: &SecretText,
    stamp: Stamp<'_>,
) -> Request {
    let date = time::long(stamp.now);
    let query = form(&[
        ("Action", "AssumeRoleWithOIDC"),
        ("Version", "2015-04-01"),
        ("Format", "JSON"),
        ("Timestamp", &date),
        ("SignatureNonce", stamp.nonce),
        ("RoleArn", role),
        ("OIDCProviderArn", provider),
        ("RoleSessionName", session_name),
        ("DurationSeconds", SESSION),
    ]);
    Request::post_form(format!("{base}/?{}", &**query), &[("OIDCToken", token)])
}

/// Reads the answer to [`session_request`].
///
/// # Errors
///
/// [`Problem`]
pub fn read_session(answer: &Answer) -> Result<Session, Problem> {
    const TRUST: &str = "let the trust policy of the role allow the token's issuer (oidc:iss), audience (oidc:aud) and subject (oidc:sub), \
                         and let the OIDC provider have the issuer, its certificate's fingerprint and the audience";
    if !answer.is_success() {
        return Err(refused(answer, TRUST));
    }
    let Sessions { credentials } = answer.json()?;
    let is_text = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let wrong = |name: &str| answer.malformed(Malformed::WrongType(format!("Credentials.{name}")));
    if !is_text(&credentials.id) {
        return Err(wrong("AccessKeyId"));
    }
    if !is_text(&credentials.session) {
        return Err(wrong("SecurityToken"));
    }
    let expires_at = time::read(&credentials.until).ok_or_else(|| wrong("Expiration"))?;
    let key = AccessKey {
        id: credentials.id.to_string(),
        secret: credentials.secret,
        session: Some(credentials.session),
    };
    Ok(Session { key, expires_at })
}

/// Asks for a login to an instance of the Enterprise Edition.
#[must_use]
pub fn enterprise_request(
    base: &str,
    instance: &str,
    key: &AccessKey,
    stamp: Stamp<'_>,
) -> Request {
    let query = form(&[("InstanceId", instance)]);
    let request = Request::new(hyper::Method::POST, format!("{base}/?{}", &**query), Vec::new());
    acs3(request, key, ("GetAuthorizationToken", "2018-12-01"), stamp.now, stamp.nonce)
}

/// Reads the answer to [`enterprise_request`].
///
/// # Errors
///
/// [`Problem`]
pub fn read_enterprise(answer: &Answer) -> Result<Expiring, Problem> {
    const POLICY: &str = "let the policy of the role or user allow cr:GetAuthorizationToken and cr:PullRepository, and check the id of the \
                          instance";
    if !answer.is_success() {
        return Err(refused(answer, POLICY));
    }
    if let Some(Verdict { is_success: false }) = answer.json_if_any() {
        return Err(refused(answer, POLICY));
    }
    let EnterpriseLogin { username, token, expires } = answer.json()?;
    login(answer, username, token, expires)
}

/// Asks for a login to the Personal Edition of a region, as it was made before 2024-09-09.
#[must_use]
pub fn personal_request(base: &str, key: &AccessKey, stamp: Stamp<'_>) -> Request {
    let request = Request::get(format!("{base}/tokens"));
    acs3(request, key, ("GetAuthorizationToken", "2016-06-07"), stamp.now, stamp.nonce)
}

/// Reads the answer to [`personal_request`].
///
/// # Errors
///
/// [`Problem`]
pub fn read_personal(answer: &Answer) -> Result<Expiring, Problem> {
    const POLICY: &str = "let the policy of the role or user allow cr:GetAuthorizationToken and cr:PullRepository, and check that the \
                          Personal Edition is activated in this region";
    if !answer.is_success() {
        return Err(refused(answer, POLICY));
    }
    let PersonalAnswer { data: PersonalLogin { username, token, expires } } = answer.json()?;
    login(answer, username, token, expires)
}

/// A login whose end is in milliseconds.
fn login(
    answer: &Answer,
    username: SecretText,
    token: SecretText,
    milliseconds: i64,
) -> Result<Expiring, Problem> {
    let expires_at = milliseconds.div_euclid(1000);
    Expiring::new(username, token, expires_at).map_err(|what| answer.malformed(what))
}

fn refused(answer: &Answer, otherwise: &'static str) -> Problem {
    const KEY: Meaning = Meaning::Denied(
        "Alibaba Cloud does not know the access key: check the keys' Secret, or the session",
    );
    const CLOCK: Meaning = Meaning::PerhapsClock("set the clock of this node");
    let known = [
        ("IllegalTimestamp", CLOCK),
        ("InvalidTimeStamp", CLOCK),
        (
            "SignatureDoesNotMatch",
            Meaning::PerhapsClock(
                "Alibaba Cloud computes another signature: check the secret half of the access key, and the clock of this node",
            ),
        ),
        ("InvalidAccessKeyId", KEY),
        ("InvalidSecurityToken", KEY),
        ("EntityNotExist", Meaning::Denied("check the ARNs of the role and of the OIDC provider")),
        ("SignatureNonceUsed", Meaning::Busy),
        ("Throttling", Meaning::Busy),
        ("ServiceUnavailable", Meaning::Busy),
        ("InternalError", Meaning::Busy),
    ];
    let reason = answer.json_if_any::<Reason>().map(|it| it.code);
    Problem::refused(answer, reason.as_deref(), &known, otherwise)
}

#[derive(Deserialize)]
struct Sessions {
    #[serde(rename = "Credentials")]
    credentials: Credentials,
}

#[derive(Deserialize)]
struct Credentials {
    #[serde(rename = "AccessKeyId")]
    id: SecretText,
    #[serde(rename = "AccessKeySecret")]
    secret: SecretText,
    #[serde(rename = "SecurityToken")]
    session: SecretText,
    #[serde(rename = "Expiration")]
    until: SecretText,
}

#[derive(Deserialize)]
struct EnterpriseLogin {
    #[serde(rename = "TempUsername")]
    username: SecretText,
    #[serde(rename = "AuthorizationToken")]
    token: SecretText,
    #[serde(rename = "ExpireTime")]
    expires: i64,
}

#[derive(Deserialize)]
struct PersonalAnswer {
    data: PersonalLogin,
}

#[derive(Deserialize)]
struct PersonalLogin {
    #[serde(rename = "tempUserName")]
    username: SecretText,
    #[serde(rename = "authorizationToken")]
    token: SecretText,
    #[serde(rename = "expireDate")]
    expires: i64,
}

#[derive(Deserialize)]
struct Verdict {
    #[serde(rename = "IsSuccess")]
    is_success: bool,
}

/// The API of the Personal Edition begins its names with small letters.
#[derive(Deserialize)]
struct Reason {
    #[serde(rename = "Code", alias = "code")]
    code: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp<'_> = Stamp { now: 1_700_000_000, nonce: "0n0nce" };

    fn key() -> AccessKey {
        AccessKey {
            id: "AKID".to_owned(),
            secret: "s3cret".into(),
            session: Some("session".into()),
        }
    }

    #[test]
    fn the_token_is_in_the_body_and_nothing_is_signed() {
        let request = session_request(
            &sts("cn-shanghai"),
            "acs:ram::1:role/pull",
            "acs:ram::1:oidc-provider/c1",
            "pullcred",
            &"ey.J".into(),
            STAMP,
        );
        assert_eq!(
            request.url(),
            "https://sts.cn-shanghai.aliyuncs.com/?Action=AssumeRoleWithOIDC&Version=2015-04-01&Format=JSON&\
             Timestamp=2023-11-14T22%3A13%3A20Z&SignatureNonce=0n0nce&RoleArn=acs%3Aram%3A%3A1%3Arole%2Fpull&\
             OIDCProviderArn=acs%3Aram%3A%3A1%3Aoidc-provider%2Fc1&RoleSessionName=pullcred&DurationSeconds=3600"
        );
        assert_eq!(request.body(), b"OIDCToken=ey.J");
        assert!(request.headers().all(|(name, _)| name != "authorization"));
    }

    #[test]
    fn logins_are_asked_for_with_every_header_of_the_api_signed() {
        let enterprise = enterprise_request(&api("cn-shanghai"), "cri-1", &key(), STAMP);
        let personal = personal_request(&api("cn-shanghai"), &key(), STAMP);
        for (request, method, url, version) in [
            (
                enterprise,
                "POST",
                "https://cr.cn-shanghai.aliyuncs.com/?InstanceId=cri-1",
                "2018-12-01",
            ),
            (personal, "GET", "https://cr.cn-shanghai.aliyuncs.com/tokens", "2016-06-07"),
        ] {
            assert_eq!((request.method(), request.url()), (method, url));
            let header = |name| request.headers().find(|(it, _)| *it == name).map(|(_, it)| it);
            assert_eq!(header("x-acs-version"), Some(version));
            assert_eq!(header("x-acs-action"), Some("GetAuthorizationToken"));
            assert_eq!(header("x-acs-security-token"), Some("session"));
            assert!(header("authorization").unwrap().contains(
                "SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-security-token;\
                 x-acs-signature-nonce;x-acs-version,"
            ));
        }
    }

    #[test]
    fn answers_of_both_editions_are_read() {
        let session = r#"{"RequestId":"r","Credentials":{"AccessKeyId":"STS.A","AccessKeySecret":"S","SecurityToken":"T",
            "Expiration":"2023-11-14T23:13:20Z"},"AssumedRoleUser":{}}"#;
        let session = read_session(&Answer::new(200, session)).unwrap();
        assert_eq!((session.key.id.as_str(), session.expires_at), ("STS.A", 1_700_003_600));
        let enterprise = r#"{"IsSuccess":true,"Code":"success","TempUsername":"cr_temp_user","AuthorizationToken":"p","ExpireTime":1700003600000}"#;
        let personal = r#"{"data":{"tempUserName":"cr_temp_user","authorizationToken":"p","expireDate":1700003600000},"requestId":"r"}"#;
        for login in [
            read_enterprise(&Answer::new(200, enterprise)).unwrap(),
            read_personal(&Answer::new(200, personal)).unwrap(),
        ] {
            assert_eq!((&*login.username, &*login.password), ("cr_temp_user", "p"));
            assert_eq!(login.expires_at, 1_700_003_600);
        }
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let of = |status, json: &str| Answer::new(status, json);
        let refused = of(
            200,
            r#"{"IsSuccess":false,"Code":"NO_PRIVILEGE","TempUsername":"u","AuthorizationToken":"p","ExpireTime":1700003600000}"#,
        );
        let text = read_enterprise(&refused).unwrap_err().to_string();
        assert!(text.starts_with("200 NO_PRIVILEGE: let the policy"), "{text}");
        let text = read_session(&of(404, r#"{"Code":"EntityNotExist.Role"}"#)).unwrap_err();
        assert!(text.to_string().starts_with("404 EntityNotExist.Role: check the ARNs"), "{text}");
        let skewed = of(400, r#"{"Code":"IllegalTimestamp","Message":"hunter2"}"#);
        let problem = read_enterprise(&skewed).unwrap_err();
        assert!(matches!(problem, Problem::Denied { perhaps_clock: true, .. }), "{problem}");
        let busy = of(400, r#"{"Code":"Throttling.User"}"#);
        assert!(matches!(read_session(&busy), Err(Problem::Busy { .. })));
        let personal = of(403, r#"{"code":"USER_NOT_EXIST","message":"hunter2"}"#);
        let text = read_personal(&personal).unwrap_err().to_string();
        assert!(
            text.starts_with("403 USER_NOT_EXIST: let the policy") && !text.contains("hunter2")
        );
    }
}
