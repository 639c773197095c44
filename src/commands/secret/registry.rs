//! A registry whose login goes into a Secret.

use std::{fmt, str::FromStr};

use crate::core::{
    docker_hub,
    keyring::RegistryKey,
    rules::{PatternError, RegistryPattern},
};

/// One registry, or one path of it: `host[:port][/path]`, without a glob.
///
/// A glob would have the kubelet send the login to unintended hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry(RegistryPattern);

/// Why a text is no registry to log in to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// A glob.
    #[error(
        "{0} stands for many hosts, and each of them could be sent the login: name the registries"
    )]
    Glob(RegistryPattern),
    /// No registry at all.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

// === impl Registry ===

impl Registry {
    /// Host and port, in lower case; `docker.io` for Docker Hub.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host()
    }

    /// Whether this is Docker Hub, or a path of it.
    #[must_use]
    pub fn is_docker_hub(&self) -> bool {
        self.host() == docker_hub::HOST
    }

    /// The key under which a Secret has the login, and which the kubelet compares with images.
    #[must_use]
    pub fn key(&self) -> RegistryKey {
        RegistryKey::from(self.to_string())
    }

    /// Itself, and the registries above it, as they may be written in a Docker config: the narrowest first.
    ///
    /// podman has logins for paths (containers-auth.json(5)); Docker has hosts only, and knows Docker Hub by a URL.
    #[must_use]
    pub(super) fn spellings(&self) -> Vec<String> {
        let mut paths = Vec::new();
        let mut rest = self.0.path();
        while !rest.is_empty() {
            paths.push(format!("{}/{rest}", self.host()));
            rest = rest.rsplit_once('/').map_or("", |(above, _)| above);
        }
        if self.is_docker_hub() {
            paths.extend(docker_hub::login_keys().map(ToOwned::to_owned));
        } else {
            paths.push(self.host().to_owned());
            paths.push(format!("https://{}", self.host()));
        }
        paths
    }
}

impl Registry {
    /// Whether Docker takes a key of a config for one of this host: it cuts off the scheme, and all from the first slash.
    pub(super) fn is_named_by(&self, key: &str) -> bool {
        let host = Self::without_scheme(key).split('/').next().unwrap_or_default();
        let host = host.to_ascii_lowercase();
        host == self.host() || (self.is_docker_hub() && docker_hub::is_any(&host))
    }

    pub(super) fn without_scheme(key: &str) -> &str {
        ["https://", "http://"].into_iter().find_map(|it| key.strip_prefix(it)).unwrap_or(key)
    }
}

impl FromStr for Registry {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let pattern: RegistryPattern = text.parse()?;
        if pattern.is_glob() { Err(RegistryError::Glob(pattern)) } else { Ok(Self(pattern)) }
    }
}

/// Host, port and path, in the form in which the kubelet compares them.
impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.host())?;
        match self.0.path() {
            "" => Ok(()),
            path => write!(f, "/{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(text: &str) -> Registry {
        text.parse().unwrap()
    }

    #[test]
    fn a_key_is_what_the_kubelet_compares() {
        for (text, key) in [
            ("Quay.io/acme", "quay.io/acme"),
            ("index.docker.io", "docker.io"),
            ("registry.internal:5000", "registry.internal:5000"),
        ] {
            assert_eq!(registry(text).key().as_str(), key);
        }
        assert!("*.example.com".parse::<Registry>().is_err());
        assert!("https://quay.io".parse::<Registry>().is_err());
    }

    #[test]
    fn a_config_may_spell_it_otherwise() {
        assert_eq!(
            registry("quay.io/acme/web").spellings(),
            ["quay.io/acme/web", "quay.io/acme", "quay.io", "https://quay.io"]
        );
        assert_eq!(
            registry("docker.io/acme").spellings()[..2],
            ["docker.io/acme", "https://index.docker.io/v1/"]
        );
    }
}
