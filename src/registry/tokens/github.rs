//! GitHub's container registry: a token of a GitHub App's installation. The registry takes it for a login, but often opens no
//! image with it; the mapping wants an image that proves it (`verify`).

use std::fmt;

use serde::Deserialize;
use serde_json::json;

use super::{
    jwt::SigningKey,
    minted::Expiring,
    problem::{Malformed, Meaning, Problem},
    secret_text::SecretText,
    time,
    wire::{Answer, Request},
};

const API: &str = "https://api.github.com";
const USER: &str = "x-access-token";

/// How long the token lives that proves who asks, in seconds. GitHub takes no more than ten minutes, from its own clock on.
const PROOF: i64 = 540;

/// How far back the proof is dated, in seconds, as GitHub advises for clocks that are ahead.
const BACK: i64 = 60;

/// A GitHub App, with its private key.
pub struct App<'a> {
    id: &'a str,
    key: SigningKey,
}

impl<'a> App<'a> {
    /// An App by its id, or client id, and its private key in PEM.
    ///
    /// # Errors
    ///
    /// [`Problem`] where the key is none.
    pub fn new(id: &'a str, key: &SecretText) -> Result<Self, Problem> {
        let key = SigningKey::read(key).ok_or_else(unusable)?;
        Ok(Self { id, key })
    }

    /// The token by which the App proves who it is.
    ///
    /// # Errors
    ///
    /// [`Problem`] where the key does not sign.
    pub fn proof(&self, now: i64) -> Result<SecretText, Problem> {
        let claims = json!({"iat": now - BACK, "exp": now + PROOF, "iss": self.id});
        self.key.sign(&claims).ok_or_else(unusable)
    }
}

/// The id alone.
impl fmt::Debug for App<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("id", &self.id).finish_non_exhaustive()
    }
}

fn unusable() -> Problem {
    let why = "privateKey in the Secret with the keys is no RSA key in PEM: put the file there that GitHub made for the App";
    Problem::Unusable(why.to_owned())
}

/// Asks for a token of an installation that may read packages.
#[must_use]
pub fn token_request(
    endpoint: Option<&str>,
    installation: u64,
    repositories: &[Box<str>],
    proof: &SecretText,
) -> Request {
    let base = endpoint.unwrap_or(API);
    let mut body = json!({"permissions": {"packages": "read"}});
    if !repositories.is_empty() {
        body["repositories"] = json!(repositories);
    }
    let url = format!("{base}/app/installations/{installation}/access_tokens");
    Request::post(url, "application/json", body.to_string().into_bytes())
        .with("accept", "application/vnd.github+json")
        .with("x-github-api-version", "2022-11-28")
        .with_bearer(proof)
}

/// Reads the answer to [`token_request`].
///
/// # Errors
///
/// [`Problem`]
pub fn read_token(answer: &Answer) -> Result<Expiring, Problem> {
    const KEY: &str =
        "check the App's id, that the private key is the App's, and the clock of this node";
    const INSTALLATION: &str = "check the number of the installation";
    const PERMISSION: &str = "give the App the permission to read packages, let the installation accept it, and check the names of repositories";
    const OTHER: &str = "check the App's permissions, and those of its installation";
    if !answer.is_success() {
        // GitHub has no codes but the status.
        let meaning = match answer.status {
            401 => Meaning::PerhapsClock(KEY),
            404 => Meaning::Denied(INSTALLATION),
            422 => Meaning::Denied(PERMISSION),
            _ => return Err(Problem::refused(answer, None, &[], OTHER)),
        };
        return Err(Problem::refused_as(answer, &meaning));
    }
    let Installed { token, until } = answer.json()?;
    let expires_at = time::read(&until)
        .ok_or_else(|| answer.malformed(Malformed::WrongType("expires_at".to_owned())))?;
    Expiring::new(USER.into(), token, expires_at).map_err(|what| answer.malformed(what))
}

#[derive(Deserialize)]
struct Installed {
    token: SecretText,
    #[serde(rename = "expires_at")]
    until: SecretText,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_may_read_packages_and_nothing_else() {
        let request = token_request(None, 42, &[], &"pr00f".into());
        assert_eq!(request.url(), "https://api.github.com/app/installations/42/access_tokens");
        assert_eq!(request.body(), br#"{"permissions":{"packages":"read"}}"#);
        assert!(request.headers().any(|it| it == ("authorization", "Bearer pr00f")));
        let request =
            token_request(Some("https://ghe.example.com/api/v3"), 42, &["web".into()], &"p".into());
        assert_eq!(
            request.url(),
            "https://ghe.example.com/api/v3/app/installations/42/access_tokens"
        );
        assert_eq!(
            request.body(),
            br#"{"permissions":{"packages":"read"},"repositories":["web"]}"#
        );
    }

    #[test]
    fn answers_of_github_are_read() {
        let answer = Answer::new(
            201,
            r#"{"token":"ghs_1_ey.J.x","expires_at":"2016-07-11T22:14:10Z","permissions":{}}"#,
        );
        let login = read_token(&answer).unwrap();
        assert_eq!((&*login.username, &*login.password), ("x-access-token", "ghs_1_ey.J.x"));
        assert_eq!(Some(login.expires_at), time::read("2016-07-11T22:14:10Z"));
        for (status, words) in [
            (401, "401: check the App's id"),
            (404, "404: check the number"),
            (422, "422: give the App the permission"),
            (403, "403: check the App's permissions"),
            (429, "429: the service does not answer"),
        ] {
            let text = read_token(&Answer::new(status, r#"{"message":"hunter2"}"#))
                .unwrap_err()
                .to_string();
            assert!(text.starts_with(words) && !text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn a_key_that_is_none_is_not_repeated() {
        let error = App::new("1", &"hunter2".into()).unwrap_err().to_string();
        assert!(error.contains("privateKey") && !error.contains("hunter2"), "{error}");
    }
}
