//! Tokens of Kubernetes: who issues them, and who trusts which.

use std::{fs, path::Path};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{rand::SystemRandom, rsa, signature};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://cluster.example.com";
pub(crate) const SUBJECT: &str = "system:serviceaccount:pullcred:pullcred-pull";

/// A key that signs tokens: in a cluster, the API server's.
pub(crate) struct Key(rsa::KeyPair);

/// Whose tokens are taken: keys, issuer, audience and subject.
#[derive(Debug, Clone)]
pub(crate) struct Trust {
    /// A set of keys as an API server serves it under `/openid/v1/jwks`.
    pub(crate) jwks: Value,
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) subject: String,
}

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Distrust {
    Malformed,
    Algorithm,
    Signature,
    Issuer,
    Audience,
    Subject,
    Expired,
}

// === impl Key ===

impl Key {
    /// A key of the test data: `issuer`, `stranger` or `app`.
    pub(crate) fn read(name: &str) -> Self {
        let pem = pem(name);
        match PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap() {
            PrivateKeyDer::Pkcs1(der) => {
                Self(rsa::KeyPair::from_der(der.secret_pkcs1_der()).unwrap())
            }
            _ => panic!("{name} is not in PKCS#1"),
        }
    }

    /// The public half, as a set of keys.
    pub(crate) fn jwks(&self) -> Value {
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let public: rsa::PublicKeyComponents<Vec<u8>> = self.0.public().into();
        let (n, e) = (encode(&public.n), encode(&public.e));
        json!({"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1", "n": n, "e": e}]})
    }

    /// A token with any header and claims.
    pub(crate) fn token(&self, header: &Value, claims: &Value) -> String {
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let text = format!(
            "{}.{}",
            encode(header.to_string().as_bytes()),
            encode(claims.to_string().as_bytes())
        );
        let mut signed = vec![0; self.0.public().modulus_len()];
        let (padding, random) = (&signature::RSA_PKCS1_SHA256, SystemRandom::new());
        self.0.sign(padding, &random, text.as_bytes(), &mut signed).unwrap();
        format!("{text}.{}", encode(&signed))
    }

    /// A token as the API server gives it to a ServiceAccount.
    pub(crate) fn service_account(&self, audience: &str, subject: &str, issued: i64) -> String {
        let claims = json!({
            "iss": ISSUER, "aud": [audience], "sub": subject,
            "iat": issued, "nbf": issued, "exp": issued + 3600,
        });
        self.token(&json!({"alg": "RS256", "kid": "1"}), &claims)
    }
}

/// The text of a key of the test data.
pub(crate) fn pem(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testdata/tokens");
    fs::read_to_string(folder.join(format!("{name}.pem"))).unwrap()
}

// === impl Trust ===

impl Trust {
    /// The trust in the test's own issuer, for this audience.
    pub(crate) fn of(audience: &str) -> Self {
        Self {
            jwks: Key::read("issuer").jwks(),
            issuer: ISSUER.to_owned(),
            audience: audience.to_owned(),
            subject: SUBJECT.to_owned(),
        }
    }

    /// Verifies a token at a time, and returns its subject.
    pub(crate) fn verify(&self, token: &str, now: i64) -> Result<String, Distrust> {
        let claims = verified(&self.jwks, token)?;
        let text = |name: &str| claims[name].as_str().unwrap_or_default().to_owned();
        let audiences = match &claims["aud"] {
            Value::Array(all) => all.clone(),
            one => vec![one.clone()],
        };
        if text("iss") != self.issuer {
            return Err(Distrust::Issuer);
        }
        if audiences != [Value::from(self.audience.as_str())] {
            return Err(Distrust::Audience);
        }
        if text("sub") != self.subject {
            return Err(Distrust::Subject);
        }
        let (from, until) = (claims["nbf"].as_i64(), claims["exp"].as_i64());
        if from.is_some_and(|from| from > now + 60) || until.is_none_or(|until| until <= now) {
            return Err(Distrust::Expired);
        }
        Ok(text("sub"))
    }
}

/// The claims of a token that one of the keys signed by RS256.
pub(crate) fn verified(jwks: &Value, token: &str) -> Result<Value, Distrust> {
    let parts: Vec<_> = token.split('.').collect();
    let [header, claims, signed] = parts[..] else { return Err(Distrust::Malformed) };
    let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| Distrust::Malformed);
    let json = |part: &str| -> Result<Value, Distrust> {
        serde_json::from_slice(&decode(part)?).map_err(|_| Distrust::Malformed)
    };
    let head = json(header)?;
    if head["alg"] != "RS256" {
        return Err(Distrust::Algorithm);
    }
    let text = format!("{header}.{claims}");
    let signed = decode(signed)?;
    let keys = jwks["keys"].as_array().cloned().unwrap_or_default();
    let is_signed =
        keys.iter().filter(|key| head["kid"].is_null() || key["kid"] == head["kid"]).any(|key| {
            let part = |name: &str| decode(key[name].as_str().unwrap_or_default()).unwrap();
            let public = signature::RsaPublicKeyComponents { n: part("n"), e: part("e") };
            public.verify(&signature::RSA_PKCS1_2048_8192_SHA256, text.as_bytes(), &signed).is_ok()
        });
    if is_signed { json(claims) } else { Err(Distrust::Signature) }
}
