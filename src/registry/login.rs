//! A login, which shows nothing of itself.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use hyper::header::HeaderValue;
use zeroize::Zeroizing;

use crate::core::keyring::secret::Oddity;

/// A user and a password, both not empty. They are overwritten in memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    username: Zeroizing<String>,
    password: Zeroizing<String>,
}

/// Why a user and a password are no login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// A colon ends the user in `auth` and in Basic authentication.
    #[error("a user with a colon in it cannot log in: the colon would end the name")]
    Colon,
    /// The user is the empty text.
    #[error("the user is empty")]
    NoUser,
    /// The password is the empty text.
    #[error("the password is empty")]
    NoPassword,
}

// === impl Login ===

impl Login {
    /// A login of a user and a password, of which any text is taken as it is.
    ///
    /// # Errors
    ///
    /// [`LoginError`] where Basic authentication cannot carry it.
    pub fn new(username: String, password: String) -> Result<Self, LoginError> {
        if username.is_empty() {
            Err(LoginError::NoUser)
        } else if username.contains(':') {
            Err(LoginError::Colon)
        } else if password.is_empty() {
            Err(LoginError::NoPassword)
        } else {
            Ok(Self { username: username.into(), password: password.into() })
        }
    }

    /// Who logs in.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    /// What in it was most likely not meant, such as a line break at the end of the password.
    #[must_use]
    pub fn oddities(&self) -> Vec<Oddity> {
        Oddity::of(self.username.as_bytes(), self.password.as_bytes())
    }

    /// The base64 of `user:password`, as the kubelet and RFC 7617 (Basic authentication) have it.
    #[must_use]
    pub fn auth(&self) -> String {
        let pair = Zeroizing::new(format!("{}:{}", *self.username, *self.password));
        BASE64_STANDARD.encode(&*pair)
    }

    /// The value of the header `Authorization` for Basic authentication, which no log of HTTP shows.
    pub(super) fn basic(&self) -> Option<HeaderValue> {
        let auth = Zeroizing::new(self.auth());
        secret_header(&Zeroizing::new(format!("Basic {}", *auth)))
    }
}

/// A header that no log of HTTP shows; none where the text cannot be one.
pub(super) fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(text).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// Nothing of it: some registries take a token for the user's name.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}
