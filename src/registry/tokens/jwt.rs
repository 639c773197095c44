//! What is needed of JSON Web Tokens: whose one is, and one signed for GitHub.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    rsa,
    signature::{self, RsaEncoding},
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use serde::Deserialize;

use super::secret_text::SecretText;
use crate::core::expiry::claims;

/// Who issued a token, and to whom, as it says itself; nothing is verified. None where the text is no such token.
#[must_use]
pub fn holder(token: &str) -> Option<Holder> {
    claims(token)
}

/// Whose token it is. Nothing of this is secret.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Holder {
    /// Who issued it.
    #[serde(rename = "iss")]
    pub issuer: String,
    /// To whom.
    #[serde(rename = "sub")]
    pub subject: String,
}

/// A private key of RSA.
pub(super) struct SigningKey(rsa::KeyPair);

impl SigningKey {
    /// The first key of a PEM text, in PKCS#1 as GitHub hands it out, or in PKCS#8.
    pub(super) fn read(pem: &str) -> Option<Self> {
        let pair = match PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok()? {
            PrivateKeyDer::Pkcs1(der) => rsa::KeyPair::from_der(der.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(der) => rsa::KeyPair::from_pkcs8(der.secret_pkcs8_der()),
            _ => return None,
        };
        pair.ok().map(Self)
    }

    /// A token with these claims, signed by RS256.
    pub(super) fn sign(&self, claims: &serde_json::Value) -> Option<SecretText> {
        const RS256: &dyn RsaEncoding = &signature::RSA_PKCS1_SHA256;
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let header = encode(br#"{"alg":"RS256","typ":"JWT"}"#);
        let text = format!("{header}.{}", encode(claims.to_string().as_bytes()));
        let mut signature = vec![0; self.0.public().modulus_len()];
        self.0.sign(RS256, &SystemRandom::new(), text.as_bytes(), &mut signature).ok()?;
        Some(format!("{text}.{}", encode(&signature)).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_whose_it_is() {
        let token = |claims: &str| format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims));
        let holder = holder(&token(r#"{"iss":"https://c1","sub":"system:serviceaccount:a:b"}"#));
        let expected =
            Holder { issuer: "https://c1".into(), subject: "system:serviceaccount:a:b".into() };
        assert_eq!(holder, Some(expected));
        for text in [token(r#"{"iss":"https://c1"}"#), token("[]"), "opaque".to_owned()] {
            assert_eq!(super::holder(&text), None, "{text}");
        }
    }
}
