//! Logins as people keep them, and copies as a kubelet reads them.

use std::fmt;

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use pullcred::core::{credentials::Credentials, image::ImageRef, keyring::Keyring};
use serde_json::{Map, Value, json};

/// The type that a kubelet reads.
pub(in super::super) const TYPE: &str = "kubernetes.io/dockerconfigjson";
/// The key of its data.
pub(in super::super) const KEY: &str = ".dockerconfigjson";
/// The only user of every registry.
const USER: &str = "robot";

/// A Docker config, by registry and password.
#[derive(Clone)]
pub(in super::super) struct DockerConfig(Value);

// === impl DockerConfig ===

impl DockerConfig {
    /// With these passwords, by registry key.
    pub(in super::super) fn new(logins: &[(&str, &str)]) -> Self {
        let auths =
            logins.iter().map(|(key, password)| (key.to_string(), json!({"auth": auth(password)})));
        Self(json!({"auths": auths.collect::<Map<_, _>>()}))
    }

    /// As it stands in a Secret.
    pub(in super::super) fn encoded(&self) -> String {
        BASE64_STANDARD.encode(self.0.to_string())
    }

    /// A Secret with it, as `kubectl create secret docker-registry` makes one.
    pub(in super::super) fn secret(&self, name: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": TYPE,
            "metadata": {"name": name}, "data": {KEY: self.encoded()},
        })
    }

    /// The config of a stored Secret.
    pub(in super::super) fn of(secret: &Value) -> Result<Self> {
        let text = secret["data"][KEY].as_str().context("no Docker config")?;
        Ok(Self(serde_json::from_slice(&BASE64_STANDARD.decode(text)?)?))
    }
}

impl PartialEq for DockerConfig {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

/// The registry keys, as a test's message may show them.
impl fmt::Debug for DockerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let auths = self.0["auths"].as_object().into_iter().flatten();
        f.debug_list().entries(auths.map(|(key, _)| key)).finish()
    }
}

/// The user and a password, as a Docker config has them.
pub(in super::super) fn auth(password: &str) -> String {
    BASE64_STANDARD.encode(format!("{USER}:{password}"))
}

/// A kubelet offers the logins of this Secret for the first images, and for none of the second.
pub(in super::super) fn opens(secret: &Value, these: &[&str], but_none_of: &[&str]) -> Result<()> {
    let type_ = secret["type"].as_str().unwrap_or_default();
    let config = secret["data"][KEY].as_str().context("no Docker config")?;
    let config = BASE64_STANDARD.decode(config)?;
    let credentials = Credentials::read(type_, |key| (key == KEY).then_some(&*config))?;
    let keyring = Keyring::new([("copy", credentials.keys().cloned())]);
    let offered =
        |image: &str| Ok::<_, anyhow::Error>(!keyring.lookup(&ImageRef::parse(image)?).is_empty());
    for image in these {
        ensure!(offered(image)?, "{image} is not opened by {credentials:?}");
    }
    for image in but_none_of {
        ensure!(!offered(image)?, "{image} is opened by {credentials:?}");
    }
    Ok(())
}
