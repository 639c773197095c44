//! Logins from standard input, and logins that end by themselves.

use std::io::{self, Read};

use crate::registry::{Login, LoginError};

/// The longest password that is read, in bytes. The longest tokens have a few thousand.
const PASSWORD_MAX: u64 = 64 * 1024;

/// Users whose password is a token that somebody made for a while, how long it lives, and where they are known.
const SHORT_LIVED: [(&str, &str, &str); 7] = [
    ("00000000-0000-0000-0000-000000000000", ".azurecr.cn", "a few hours"),
    ("00000000-0000-0000-0000-000000000000", ".azurecr.io", "a few hours"),
    ("00000000-0000-0000-0000-000000000000", ".azurecr.us", "a few hours"),
    ("AWS", ".amazonaws.com", "12 hours"),
    ("AWS", ".amazonaws.com.cn", "12 hours"),
    ("AWS", "public.ecr.aws", "12 hours"),
    ("oauth2accesstoken", "", "an hour"),
];

/// Why there is no password on standard input.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum StdinError {
    /// User and password are no login.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// Standard input cannot be read.
    #[error("cannot read the password from standard input: {0}")]
    Read(#[source] io::Error),
    /// There is more than a password on standard input.
    #[error("there are more than {PASSWORD_MAX} bytes on standard input: that is no password")]
    TooLong,
    /// The password is not text.
    #[error("the password on standard input is not UTF-8 text")]
    Utf8,
}

/// A login with the password on standard input, of which one line break at the end is taken off.
pub(super) fn read(username: String, stdin: &mut dyn io::BufRead) -> Result<Login, StdinError> {
    let mut bytes = Vec::new();
    stdin.take(PASSWORD_MAX + 1).read_to_end(&mut bytes).map_err(StdinError::Read)?;
    if bytes.len() as u64 > PASSWORD_MAX {
        return Err(StdinError::TooLong);
    }
    let text = String::from_utf8(bytes).map_err(|_| StdinError::Utf8)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    Ok(Login::new(username, text.to_owned())?)
}

/// How long the password is good for, where its user says so.
pub(super) fn lives(login: &Login, host: &str) -> Option<&'static str> {
    let known = SHORT_LIVED
        .iter()
        .find(|(user, domain, _)| login.username() == *user && host.ends_with(domain));
    known.map(|(_, _, time)| *time)
}

#[cfg(test)]
mod tests {
    use base64::{Engine, prelude::BASE64_STANDARD};

    use super::*;

    #[test]
    fn one_line_break_is_taken_off() {
        for (text, password) in
            [("p w", "p w"), ("p\n", "p"), ("p\r\n", "p"), ("p\n\n", "p\n"), ("a:b", "a:b")]
        {
            let login = read("u".to_owned(), &mut text.as_bytes()).unwrap();
            assert_eq!(login.auth(), BASE64_STANDARD.encode(format!("u:{password}")));
            assert_eq!(format!("{login:?}"), "Login { .. }");
        }
    }

    #[test]
    fn half_a_login_is_none() {
        for (user, stdin, message) in [
            ("", "p", "the user is empty"),
            ("u", "\n", "the password is empty"),
            ("u:x", "p", "a user with a colon in it cannot log in: the colon would end the name"),
        ] {
            let error = read(user.to_owned(), &mut stdin.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
        let long = "p".repeat(usize::try_from(PASSWORD_MAX).unwrap() + 1);
        assert!(read("u".to_owned(), &mut long.as_bytes()).is_err());
        assert!(read("u".to_owned(), &mut &b"\xff"[..]).is_err());
    }

    #[test]
    fn some_logins_do_not_live_long() {
        let login = |user: &str| Login::new(user.to_owned(), "p".to_owned()).unwrap();
        let host = "1.dkr.ecr.eu-west-1.amazonaws.com";
        assert_eq!(lives(&login("AWS"), host), Some("12 hours"));
        assert_eq!(lives(&login("AWS"), "1.dkr.ecr.cn-north-1.amazonaws.com.cn"), Some("12 hours"));
        assert_eq!(lives(&login("AWS"), "quay.io"), None);
        assert_eq!(lives(&login("robot"), host), None);
    }
}
