//! Azure Container Registry: a token of Entra for a ServiceAccount's token, or that of the machine, which the registry itself
//! exchanges for its login.

use serde::Deserialize;

use super::{
    minted::Expiring,
    problem::{Malformed, Meaning, Problem},
    secret_text::SecretText,
    wire::{Answer, Request},
};
use crate::{
    core::{clouds::AzureCloud, expiry::Life},
    registry::percent::form,
};

/// The user of every login that is a token.
const USER: &str = "00000000-0000-0000-0000-000000000000";

/// The registries' own audience: registries may refuse tokens for that of the resource manager.
const AUDIENCE: &str = "https://containerregistry.azure.net/";

/// The address of Entra in a cloud.
#[must_use]
pub fn entra(cloud: AzureCloud) -> &'static str {
    match cloud {
        AzureCloud::Public => "https://login.microsoftonline.com",
        AzureCloud::China => "https://login.chinacloudapi.cn",
        AzureCloud::UsGovernment => "https://login.microsoftonline.us",
    }
}

/// Asks Entra for a token of an application or managed identity, for a ServiceAccount's token.
#[must_use]
pub fn token_request(base: &str, tenant: &str, client: &str, token: &SecretText) -> Request {
    let scope = format!("{AUDIENCE}.default");
    let pairs = [
        ("client_id", client),
        ("scope", scope.as_str()),
        ("grant_type", "client_credentials"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", token),
    ];
    Request::post_form(format!("{base}/{tenant}/oauth2/v2.0/token"), &pairs)
}

/// Reads the answer to [`token_request`].
///
/// # Errors
///
/// [`Problem`]
pub fn read_token(answer: &Answer) -> Result<SecretText, Problem> {
    const CREDENTIAL: &str = "let a federated credential of the identity have the token's issuer, its subject \
                              (system:serviceaccount:NAMESPACE:NAME) and its audience";
    const CLIENT: &str = "check the client id, and that the identity is in this tenant";
    if answer.is_success() {
        return Ok(answer.json::<Bearer>()?.access_token);
    }
    let known = [
        ("AADSTS700016", Meaning::Denied(CLIENT)),
        ("AADSTS90002", Meaning::Denied("check the id of the tenant")),
        (
            "AADSTS700024",
            Meaning::Denied(
                "the ServiceAccount's token is not valid now for Entra: check the clock of the API server",
            ),
        ),
        ("AADSTS90033", Meaning::Busy),
        ("temporarily_unavailable", Meaning::Busy),
    ];
    let reason = answer.json_if_any::<EntraReason>().map(|it| match it.error_codes.first() {
        Some(number) => format!("AADSTS{number}"),
        None => it.error,
    });
    Err(Problem::refused(answer, reason.as_deref(), &known, CREDENTIAL))
}

/// Asks the machine for a token, of one of its identities.
#[must_use]
pub fn metadata_request(base: &str, client: Option<&str>) -> Request {
    let mut pairs = vec![("api-version", "2018-02-01"), ("resource", AUDIENCE)];
    pairs.extend(client.map(|client| ("client_id", client)));
    let query = form(&pairs);
    Request::get(format!("{base}/metadata/identity/oauth2/token?{}", &**query))
        .with("metadata", "true")
}

/// Reads the answer to [`metadata_request`].
///
/// # Errors
///
/// [`Problem`]
pub fn read_metadata(answer: &Answer) -> Result<SecretText, Problem> {
    const ADVICE: &str = "give the node a managed identity; where it has several, write its client id in the mapping";
    if answer.is_success() {
        return Ok(answer.json::<Bearer>()?.access_token);
    }
    let reason = answer.json_if_any::<EntraReason>().map(|it| it.error);
    Err(Problem::refused(answer, reason.as_deref(), &[], ADVICE))
}

/// Asks a registry for its login, at this address or else at its own.
#[must_use]
pub fn login_request(endpoint: Option<&str>, registry: &str, token: &SecretText) -> Request {
    let pairs = [("grant_type", "access_token"), ("service", registry), ("access_token", token)];
    let url = match endpoint {
        Some(base) => format!("{base}/oauth2/exchange"),
        None => format!("https://{registry}/oauth2/exchange"),
    };
    Request::post_form(url, &pairs)
}

/// Reads the answer to [`login_request`].
///
/// # Errors
///
/// [`Problem`]
pub fn read_login(answer: &Answer) -> Result<Expiring, Problem> {
    const ADVICE: &str = "assign AcrPull on the registry (with ABAC: Container Registry Repository Reader) to the identity, and check \
                          that the registry is in the identity's tenant";
    if !answer.is_success() {
        let reason = answer.json_if_any::<RegistryReason>();
        let reason = reason.and_then(|it| it.errors.into_iter().next()).map(|it| it.code);
        let known = [("TOOMANYREQUESTS", Meaning::Busy)];
        return Err(Problem::refused(answer, reason.as_deref(), &known, ADVICE));
    }
    let Exchanged { refresh_token } = answer.json()?;
    // Documents say three hours, tokens say 75 minutes.
    let expires_at = Life::of_token(&refresh_token).map(|it| it.ends).ok_or_else(|| {
        answer.malformed(Malformed::Missing("exp in its refresh_token".to_owned()))
    })?;
    Expiring::new(USER.into(), refresh_token, expires_at).map_err(|what| answer.malformed(what))
}

#[derive(Deserialize)]
struct Bearer {
    access_token: SecretText,
}

#[derive(Deserialize)]
struct Exchanged {
    refresh_token: SecretText,
}

#[derive(Deserialize)]
struct EntraReason {
    error: String,
    #[serde(default)]
    error_codes: Vec<u32>,
}

#[derive(Deserialize)]
struct RegistryReason {
    errors: Vec<RegistryError>,
}

#[derive(Deserialize)]
struct RegistryError {
    code: String,
}

#[cfg(test)]
mod tests {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

    use super::*;

    fn body(request: &Request) -> &str {
        str::from_utf8(request.body()).unwrap()
    }

    #[test]
    fn entra_is_asked_for_the_audience_of_registries() {
        let request =
            token_request(entra(AzureCloud::Public), "ten-ant", "cli-ent", &"ey.J".into());
        assert_eq!(request.url(), "https://login.microsoftonline.com/ten-ant/oauth2/v2.0/token");
        assert_eq!(
            body(&request),
            "client_id=cli-ent&scope=https%3A%2F%2Fcontainerregistry.azure.net%2F.default&grant_type=client_credentials&\
             client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=ey.J"
        );
        assert_eq!(entra(AzureCloud::UsGovernment), "https://login.microsoftonline.us");
    }

    #[test]
    fn the_machine_is_asked_with_its_header() {
        let request = metadata_request("http://169.254.169.254", Some("cli-ent"));
        assert_eq!(
            request.url(),
            "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&\
             resource=https%3A%2F%2Fcontainerregistry.azure.net%2F&client_id=cli-ent"
        );
        assert!(request.headers().any(|it| it == ("metadata", "true")));
        let answer =
            Answer::new(200, r#"{"access_token":"t","expires_in":"86399","expires_on":"1"}"#);
        assert_eq!(&*read_metadata(&answer).unwrap(), "t");
    }

    #[test]
    fn the_registry_itself_gives_the_login() {
        let request = login_request(None, "acme.azurecr.io", &"t0ken".into());
        assert_eq!(request.url(), "https://acme.azurecr.io/oauth2/exchange");
        assert_eq!(
            body(&request),
            "grant_type=access_token&service=acme.azurecr.io&access_token=t0ken"
        );
        let token = format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(r#"{"exp":1700004500}"#));
        let answer = Answer::new(200, format!(r#"{{"refresh_token":"{token}"}}"#));
        let login = read_login(&answer).unwrap();
        assert_eq!((&*login.username, &*login.password), (USER, token.as_str()));
        assert_eq!(login.expires_at, 1_700_004_500);
        let endless = Answer::new(200, r#"{"refresh_token":"a.e30.c"}"#);
        assert!(read_login(&endless).unwrap_err().to_string().contains("exp in its refresh_token"));
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        for (status, json, words) in [
            (
                400,
                r#"{"error":"invalid_client","error_codes":[700213]}"#,
                "400 AADSTS700213: let a federated credential",
            ),
            (
                400,
                r#"{"error":"unauthorized_client","error_codes":[700016]}"#,
                "400 AADSTS700016: check the client id",
            ),
            (
                401,
                r#"{"error":"invalid_client"}"#,
                "401 invalid_client: let a federated credential",
            ),
            (503, "", "503: the service does not answer requests now"),
        ] {
            let text = read_token(&Answer::new(status, json)).unwrap_err().to_string();
            assert!(text.starts_with(words), "{text}");
        }
        let refused =
            Answer::new(401, r#"{"errors":[{"code":"UNAUTHORIZED","message":"hunter2"}]}"#);
        let text = read_login(&refused).unwrap_err().to_string();
        assert!(text.starts_with("401 UNAUTHORIZED: assign AcrPull") && !text.contains("hunter2"));
    }
}
