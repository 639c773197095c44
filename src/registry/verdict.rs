//! What a registry says of an image, in words.

use std::fmt;

use super::probe::{Outcome, Probed, TokenServer};

/// What came of asking for an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Who asked.
    pub user: String,
    /// What the registry said.
    pub probed: Probed,
}

// === impl Verdict ===

impl Verdict {
    /// Whether a node can pull the image.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.probed.outcome.is_good()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, probed: Probed { outcome, token_server, .. } } = self;
        match outcome {
            Outcome::Opened => write!(f, "200: the registry opens it for {user}"),
            Outcome::Public => f.write_str(
                "200: the registry opens it, but without a login, too: that proves nothing of the login",
            ),
            Outcome::Denied { status } => {
                write!(f, "{status}: the registry knows {user}, who may not pull it")
            }
            Outcome::Refused { status } => {
                write!(f, "{status}: the registry does not take the password of {user}")
            }
            Outcome::Absent { with_login: true } => write!(
                f,
                "404: the registry takes the password of {user}, but has no such image, or hides it"
            ),
            Outcome::Absent { with_login: false } => f.write_str("404: the registry has no such image"),
            Outcome::Status { status: 429 } => {
                f.write_str("429: the registry has had enough requests for now")
            }
            Outcome::Status { status: status @ 500.. } => {
                write!(f, "{status}: the registry is in trouble itself")
            }
            Outcome::Status { status } => write!(f, "{status}: the registry does not open it"),
            Outcome::Redirected { host } => write!(
                f,
                "the registry redirects to {host}, which asks for a login: nothing was sent to it. Name that host in the \
                 image if it is the registry"
            ),
            Outcome::UnknownScheme => f.write_str("the registry wants neither a password nor a token"),
            Outcome::NoToken(TokenServer::Insecure) => {
                f.write_str("the registry's token server is not on HTTPS: nothing was sent to it")
            }
            Outcome::NoToken(TokenServer::NoUrl) => f.write_str(
                "the registry names its token server by something that is no URL: nothing was sent",
            ),
            Outcome::NoToken(TokenServer::Redirects) => f.write_str(
                "the registry's token server redirects, and a login does not follow a redirection",
            ),
            Outcome::NoToken(TokenServer::NoToken) => {
                f.write_str("the registry's token server gave no token")
            }
            Outcome::Unsendable => f.write_str("the login cannot be sent in HTTP"),
            Outcome::NoAnswer(why) => why.fmt(f),
        }?;
        match token_server {
            Some(host) => write!(f, " (the login went to its token server {host})"),
            None => Ok(()),
        }
    }
}
