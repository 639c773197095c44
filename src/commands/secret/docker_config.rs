//! The logins of a Docker config: in the file itself, or with the helpers that it names.

use std::{
    collections::BTreeMap,
    env, fmt, fs, io,
    path::{Path, PathBuf},
};

use docker_credential::{
    CredentialRetrievalError as Trouble, DockerCredential, get_credential_from_reader,
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{docker_login, registry::Registry};
use crate::{
    core::keyring::RegistryKey,
    registry::{Login, LoginError},
};

/// The user for which Docker and its helpers have an identity token in place of a password
/// (github.com/docker/docker-credential-helpers, `credentials.TokenUsername`).
const TOKEN_USER: &str = "<token>";

/// What a helper says where it has nothing (github.com/docker/docker-credential-helpers, `credentials/error.go`).
const NOT_FOUND: &str = "credentials not found";

/// A file that `docker login` or `podman login` has written.
pub(super) struct DockerConfig {
    path: PathBuf,
    /// The outline, for the library.
    text: Vec<u8>,
    outline: Outline,
}

/// What a config says, as the library can read it: to Docker an empty text and `null` are the same as nothing, to the
/// library they are a login or a mistake. Hosts are in lower case, as those that are asked for.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    #[serde(default, deserialize_with = "entries")]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: Option<BTreeMap<String, String>>,
    #[serde(default, deserialize_with = "filled")]
    creds_store: Option<String>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Entry {
    #[serde(deserialize_with = "filled")]
    auth: Option<String>,
    #[serde(deserialize_with = "filled")]
    username: Option<String>,
    #[serde(deserialize_with = "filled")]
    password: Option<String>,
    #[serde(deserialize_with = "filled")]
    identitytoken: Option<String>,
    #[serde(deserialize_with = "filled")]
    registrytoken: Option<String>,
}

fn filled<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}

fn entries<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Entry>, D::Error> {
    let entries = Option::<BTreeMap<String, Option<Entry>>>::deserialize(deserializer)?;
    let entries = entries.into_iter().flatten();
    // Of two that differ by case alone, the one in lower case sorts last, and so is kept.
    Ok(entries.map(|(key, entry)| (key.to_ascii_lowercase(), entry.unwrap_or_default())).collect())
}

/// Why a Docker config cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum ConfigError {
    /// There is no home to find one in.
    #[error(
        "there is no Docker config to read: name one with --from-docker-config, or set DOCKER_CONFIG or HOME"
    )]
    NoHome,
    /// It is not there.
    #[error(
        "there is no Docker config {}: run `docker login` first, name another one with --from-docker-config, \
         or give a login with --username and --password-stdin",
        path.display()
    )]
    Absent { path: PathBuf },
    /// It cannot be read.
    #[error("cannot read the Docker config {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// It is something else that has logins in it.
    #[error("{} {what}", path.display())]
    Mistaken { path: PathBuf, what: Mistaken },
    /// It is no Docker config. The library's own text would repeat what stands there.
    #[error("{} is not a Docker config: line {line}, column {column} is not what `docker login` writes", path.display())]
    Syntax { path: PathBuf, line: usize, column: usize },
}

/// What was given in place of a Docker config.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mistaken {
    /// The older form, with the entries at the top.
    OlderForm,
    /// A Kubernetes Secret.
    Manifest,
    /// A config behind a byte order mark.
    Mark,
}

// === impl Mistaken ===

impl Mistaken {
    fn of(text: &[u8]) -> Option<Self> {
        let Ok(Value::Object(members)) = serde_json::from_slice(text) else {
            let is_yaml =
                |line: &&[u8]| line.starts_with(b"apiVersion:") || line.starts_with(b"kind:");
            return text
                .split(|&byte| byte == b'\n')
                .any(|line| is_yaml(&line))
                .then_some(Self::Manifest);
        };
        let is_entry = |(name, value): (&String, &Value)| {
            name.contains(['.', ':'])
                && (value.get("auth").is_some() || value.get("username").is_some())
        };
        if members.contains_key("kind") && members.contains_key("apiVersion") {
            Some(Self::Manifest)
        } else if !members.contains_key("auths") && members.iter().any(is_entry) {
            Some(Self::OlderForm)
        } else {
            None
        }
    }
}

impl fmt::Display for Mistaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OlderForm => {
                "is a .dockercfg, the older form with its entries at the top: put them under `auths`, as in {\"auths\": …}"
            }
            Self::Manifest => {
                "is a manifest, and not a Docker config: `pullcred secret show` shows what a Secret has, and \
                 `kubectl get secret NAME -o jsonpath='{.data.\\.dockerconfigjson}' | base64 -d` writes its config"
            }
            Self::Mark => "begins with a byte order mark, which Docker does not read: save it as UTF-8 without one",
        })
    }
}

/// Why there is no login that works on a node.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum NoLogin {
    #[error(
        "`auth` and `username` with `password` differ in the entry for it: remove one of them, or log in again"
    )]
    Ambiguous,
    #[error(
        "the helper docker-credential-{0} has failed: `docker-credential-{0} get` says why, with the registry on its standard input"
    )]
    HelperFailed(String),
    // The library does not tell one from the other.
    #[error(
        "the helper docker-credential-{0} cannot be run, or does not read what it is asked: it must be in the PATH"
    )]
    HelperMissing(String),
    #[error("the helper docker-credential-{0} has answered something else than a login")]
    HelperSyntax(String),
    #[error(
        "the login is an identity token, which the kubelet does not read: make an access token or a robot account, and give it with --username and --password-stdin"
    )]
    IdentityToken,
    #[error("the login is no user with a password: {0}")]
    Login(#[from] LoginError),
    #[error(
        "there is no login for it: run `{}`, or give one with --username and --password-stdin{}",
        docker_login(host),
        others(found)
    )]
    Missing { host: String, found: Vec<RegistryKey> },
    #[error(
        "the login is a registry token, which the kubelet does not read: give a user and password with --username and --password-stdin"
    )]
    RegistryToken,
    #[error("`auth` of the entry for it is not the base64 of `user:password`: log in again")]
    Undecodable,
}

/// Whether a key has a path that is no API version, such as `/acme` of podman.
fn has_path(key: &str) -> bool {
    let path = Registry::without_scheme(key).split_once('/').map_or("", |(_, path)| path);
    !matches!(path.trim_end_matches('/'), "" | "v1" | "v2")
}

/// The registries that there are logins for.
fn others(found: &[RegistryKey]) -> String {
    const MAX_REPORTED: usize = 5;
    match found {
        [] => String::new(),
        some => {
            let mut names: Vec<_> =
                some.iter().take(MAX_REPORTED).map(ToString::to_string).collect();
            if some.len() > MAX_REPORTED {
                names.push("…".to_owned());
            }
            format!(". The config has logins for {}", names.join(", "))
        }
    }
}

// === impl DockerConfig ===

impl DockerConfig {
    /// Where Docker has its config: `$DOCKER_CONFIG/config.json`, or `~/.docker/config.json`.
    pub(super) fn usual_path() -> Result<PathBuf, ConfigError> {
        let folder = env::var_os("DOCKER_CONFIG").filter(|it| !it.is_empty()).map(PathBuf::from);
        let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".docker"));
        Ok(folder.or_else(home).ok_or(ConfigError::NoHome)?.join("config.json"))
    }

    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ConfigError::Absent { path: path.to_owned() },
            _ => ConfigError::Read { path: path.to_owned(), source },
        })?;
        let syntax = |error: serde_json::Error| ConfigError::Syntax {
            path: path.to_owned(),
            line: error.line(),
            column: error.column(),
        };
        let mistaken = |what| ConfigError::Mistaken { path: path.to_owned(), what };
        let is_marked = [&b"\xef\xbb\xbf"[..], b"\xfe\xff", b"\xff\xfe"];
        if is_marked.iter().any(|mark| text.starts_with(mark)) {
            return Err(mistaken(Mistaken::Mark));
        }
        if let Some(what) = Mistaken::of(&text) {
            return Err(mistaken(what));
        }
        let outline: Outline = serde_json::from_slice(&text).map_err(syntax)?;
        let text = serde_json::to_vec(&outline).map_err(syntax)?;
        Ok(Self { path: path.to_owned(), text, outline })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The login for a registry, or for the closest path above it, and the key of the config that it is from where that
    /// says something else. Asks the helpers that the config names.
    pub(super) fn login(
        &self,
        registry: &Registry,
    ) -> Result<(Login, Option<RegistryKey>), NoLogin> {
        let mut spellings = registry.spellings();
        let usual = spellings.len();
        // Docker cuts a key at its first slash (cli/config/credentials, `ConvertToHostname`), and takes the first that
        // fits; what is behind the slash is an API version in nearly all of them, so those come first.
        let mut cut: Vec<&String> = self.outline.auths.keys().collect();
        cut.retain(|key| registry.is_named_by(key) && !spellings.contains(key));
        cut.sort_by_key(|key| has_path(key));
        spellings.extend(cut.into_iter().cloned());
        for (at, spelling) in spellings.into_iter().enumerate() {
            let trouble = match get_credential_from_reader(&*self.text, &spelling) {
                Ok(DockerCredential::UsernamePassword(user, _)) if user == TOKEN_USER => {
                    return Err(NoLogin::IdentityToken);
                }
                Ok(DockerCredential::UsernamePassword(user, password)) => {
                    let from =
                        (at >= usual && has_path(&spelling)).then(|| spelling.as_str().into());
                    return Ok((Login::new(user, password)?, from));
                }
                Ok(DockerCredential::IdentityToken(_)) => return Err(NoLogin::IdentityToken),
                Err(trouble) => trouble,
            };
            if let Some(why) = self.why(trouble, &spelling) {
                return Err(why);
            }
            if self.has_registry_token(&spelling) {
                return Err(NoLogin::RegistryToken);
            }
        }
        let has_login = |entry: &Entry| entry.auth.is_some() || entry.username.is_some();
        let auths = self.outline.auths.iter().filter(|(_, entry)| has_login(entry));
        let auths = auths.map(|(key, _)| key);
        let helpers = self.outline.cred_helpers.iter().flat_map(BTreeMap::keys);
        let found = auths.chain(helpers).map(|key| RegistryKey::from(key.as_str())).collect();
        Err(NoLogin::Missing { host: registry.host().to_owned(), found })
    }

    /// Why an entry has no usable login; `None` where the entry is absent or fine.
    ///
    /// Of a helper's output only the one known sentence is looked for, and nothing is repeated: who knows what it says.
    fn why(&self, trouble: Trouble, spelling: &str) -> Option<NoLogin> {
        let helper = || {
            let helpers = self.outline.cred_helpers.as_ref();
            let own = helpers.and_then(|helpers| helpers.get(spelling)).filter(|it| !it.is_empty());
            own.or(self.outline.creds_store.as_ref()).cloned().unwrap_or_default()
        };
        match trouble {
            Trouble::HelperFailure { stdout, .. } if stdout.contains(NOT_FOUND) => None,
            Trouble::HelperFailure { .. } => Some(NoLogin::HelperFailed(helper())),
            Trouble::HelperCommunicationError => Some(NoLogin::HelperMissing(helper())),
            Trouble::MalformedHelperResponse => Some(NoLogin::HelperSyntax(helper())),
            Trouble::CredentialMismatchError => Some(NoLogin::Ambiguous),
            Trouble::CredentialDecodingError => Some(NoLogin::Undecodable),
            // The text is at hand, and written from what was read, so the last two do not come.
            Trouble::NoCredentialConfigured
            | Trouble::ConfigNotFound
            | Trouble::ConfigReadError => None,
        }
    }

    fn has_registry_token(&self, spelling: &str) -> bool {
        self.outline.auths.get(spelling).is_some_and(|entry| entry.registrytoken.is_some())
    }
}
