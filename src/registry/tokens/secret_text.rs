//! Text that is secret.

use std::{fmt, ops::Deref};

use serde::{Deserialize, Deserializer, de};
use zeroize::Zeroizing;

/// A token, key or password. It is overwritten in memory when dropped, and no `Debug` shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

// === impl SecretText ===

impl From<&str> for SecretText {
    fn from(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl Deref for SecretText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

struct Text;

impl de::Visitor<'_> for Text {
    type Value = SecretText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<SecretText, E> {
        if text.is_empty() { Err(E::custom("empty")) } else { Ok(text.into()) }
    }
}
