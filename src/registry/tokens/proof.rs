//! Who asks: what the requests to a cloud prove it with.

use std::{collections::BTreeMap, env, fmt, fs, net::IpAddr, path::PathBuf};

use hyper::Uri;
use zeroize::Zeroizing;

use super::{problem::Problem, secret_text::SecretText, sign::AccessKey};
use crate::registry::is_loopback;

/// The longest token in a file, in bytes.
const TOKEN_MAX: u64 = 64 * 1024;

/// What proves who asks for a login.
#[derive(Clone)]
pub enum Proof {
    /// A token of a ServiceAccount.
    Token(SecretText),
    /// The data of the Secret with the keys.
    Keys(BTreeMap<String, Zeroizing<Vec<u8>>>),
    /// What the machine has. The mapping says what.
    Machine,
}

/// The addresses at which a machine says who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Google's metadata server.
    pub google: Box<str>,
    /// Azure's.
    pub azure: Box<str>,
    /// The agent of EKS Pod Identity, and the file with the token for it.
    pub eks: Option<(Box<str>, PathBuf)>,
}

// === impl Proof ===

/// Nothing but which kind it is.
impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token",
            Self::Keys(_) => "Keys",
            Self::Machine => "Machine",
        })
    }
}

impl Proof {
    /// The token.
    pub(super) fn token(&self) -> Result<&SecretText, Problem> {
        match self {
            Self::Token(token) => Ok(token),
            Self::Keys(_) | Self::Machine => {
                Err(Problem::Unusable("the login needs a token of a ServiceAccount".to_owned()))
            }
        }
    }

    /// The value of a key of the Secret, without white space around it.
    pub(super) fn key(&self, name: &str) -> Result<SecretText, Problem> {
        let Self::Keys(keys) = self else {
            return Err(Problem::Unusable("the login needs the Secret with its keys".to_owned()));
        };
        let value = keys.get(name).and_then(|it| str::from_utf8(it).ok()).map(str::trim_ascii);
        let value = value.filter(|it| !it.is_empty());
        let value = value.ok_or_else(|| {
            Problem::Unusable(format!("the Secret with the keys has no text under {name}: add it"))
        })?;
        Ok(value.into())
    }

    /// An access key, whose secret half is under this name.
    pub(super) fn access_key(&self, secret: &str) -> Result<AccessKey, Problem> {
        let id = self.key("accessKeyId")?;
        if !id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        {
            let why = "accessKeyId in the Secret with the keys is no access key: check that it is not the secret half";
            return Err(Problem::Unusable(why.to_owned()));
        }
        let session = self.key("sessionToken").ok();
        Ok(AccessKey { id: id.to_string(), secret: self.key(secret)?, session })
    }
}

// === impl Machine ===

impl Default for Machine {
    fn default() -> Self {
        let (google, azure) = ("http://metadata.google.internal", "http://169.254.169.254");
        Self { google: google.into(), azure: azure.into(), eks: None }
    }
}

impl Machine {
    /// The usual addresses, and the agent of EKS Pod Identity where the environment names it.
    #[must_use]
    pub fn from_env() -> Self {
        let url = env::var("AWS_CONTAINER_CREDENTIALS_FULL_URI").ok();
        let file = env::var_os("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
        let eks = url.zip(file).map(|(url, file)| (url.into(), file.into()));
        Self { eks, ..Self::default() }
    }

    /// The address of the agent of EKS Pod Identity, and the token for it, which the kubelet renews.
    pub(super) fn eks_agent(&self) -> Result<(&str, SecretText), Problem> {
        let unusable = |why: &str| Problem::Unusable(why.to_owned());
        let (url, file) = self.eks.as_ref().ok_or_else(|| {
            unusable("this Pod has no EKS Pod Identity: make an association for its ServiceAccount, and restart the Pod")
        })?;
        if !is_agent(url) {
            return Err(unusable(
                "AWS_CONTAINER_CREDENTIALS_FULL_URI is not the address of the EKS Pod Identity agent: no token was sent",
            ));
        }
        let token = read_token(file).ok_or_else(|| {
            unusable("the file of AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE has no token: check the EKS Pod Identity agent")
        })?;
        Ok((url, token))
    }
}

/// Whether an address is that of the agent: on the link of this node, or on this machine.
fn is_agent(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let (Some("http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return false;
    };
    let host = authority.host().trim_matches(['[', ']']);
    let agents = ["169.254.170.23", "fd00:ec2::23"].map(|it| it.parse::<IpAddr>().ok());
    !authority.as_str().contains('@')
        && (is_loopback(authority.host())
            || agents.contains(&host.parse().ok()) && host.parse::<IpAddr>().is_ok())
}

/// The token in a file, if that is a line of text.
fn read_token(file: &PathBuf) -> Option<SecretText> {
    if fs::metadata(file).ok()?.len() > TOKEN_MAX {
        return None;
    }
    let text = Zeroizing::new(fs::read_to_string(file).ok()?);
    let token = text.trim_ascii();
    let fits = !token.is_empty() && token.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    fits.then(|| token.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_is_on_this_machine() {
        for (url, fits) in [
            ("http://169.254.170.23/v1/credentials", true),
            ("http://[fd00:ec2::23]/v1/credentials", true),
            ("http://[fd00:ec2:0:0::23]/v1/credentials", true),
            ("http://127.0.0.1:8080/x", true),
            ("http://localhost/x", true),
            ("http://169.254.170.2/v1/credentials", false),
            ("http://169.254.170.23.example.com/", false),
            ("http://169.254.170.23@example.com/", false),
            ("http://example.com/", false),
            ("http://example.com/?169.254.170.23", false),
            ("file:///etc/passwd", false),
            ("/v1/credentials", false),
            ("", false),
        ] {
            assert_eq!(is_agent(url), fits, "{url}");
        }
    }

    #[test]
    fn keys_are_read_without_the_line_break_of_an_editor() {
        let keys = [("accessKeyId", "AKID\n"), ("secretAccessKey", " s3cret/+\r\n")];
        let keys =
            keys.map(|(name, value)| (name.to_owned(), Zeroizing::new(value.as_bytes().to_vec())));
        let proof = Proof::Keys(keys.into());
        let key = proof.access_key("secretAccessKey").unwrap();
        assert_eq!((key.id.as_str(), &*key.secret), ("AKID", "s3cret/+"));
        let error = proof.access_key("accessKeySecret").unwrap_err().to_string();
        assert!(error.contains("accessKeySecret") && !error.contains("s3cret"), "{error}");
        assert!(!format!("{proof:?} {key:?}").contains("s3cret"));
    }

    #[test]
    fn a_secret_half_is_not_sent_as_a_name() {
        let keys = ["accessKeyId", "secretAccessKey"];
        let keys = keys.map(|name| (name.to_owned(), Zeroizing::new(b"wJalr/+hunter2".to_vec())));
        let error = Proof::Keys(keys.into()).access_key("secretAccessKey").unwrap_err().to_string();
        assert!(error.contains("accessKeyId") && !error.contains("hunter2"), "{error}");
    }
}
