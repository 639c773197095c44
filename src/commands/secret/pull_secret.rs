//! The Secret that is made, and the proof that a node can use it.

use std::{collections::BTreeMap, fmt, io::Cursor};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;

use super::registry::Registry;
use crate::{
    commands::manifests::{Documents, SecretManifest, Source, objects},
    core::{
        image::ImageRef,
        keyring::{
            Keyring,
            secret::{Contents, Form},
        },
        rules::SecretName,
    },
    registry::Login,
};

/// The type of a Secret with a Docker config in it, and where its data has the config.
pub(super) const TYPE: &str = Form::DockerConfigJson.type_();
const DATA_KEY: &str = Form::DockerConfigJson.data_key();

/// A Secret of the type `kubernetes.io/dockerconfigjson`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PullSecret {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    #[serde(rename = "type")]
    type_: &'static str,
    data: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
struct Metadata {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", rename = "resourceVersion")]
    version: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'static str, String>,
}

/// The document behind [`DATA_KEY`]. Nothing else of a Docker config means something to the kubelet.
#[derive(Serialize)]
struct Config {
    auths: BTreeMap<String, Auth>,
}

#[derive(Serialize)]
struct Auth {
    auth: String,
}

/// A Secret that would not do what it is made for. It is not written.
#[derive(Debug, thiserror::Error)]
#[error("the Secret would not open {registry}, and was not written: {why}")]
pub(super) struct UnusableLogin {
    registry: String,
    why: String,
}

// === impl PullSecret ===

impl PullSecret {
    /// A Secret with these logins and no others.
    pub(super) fn new(
        name: &SecretName,
        namespace: Option<String>,
        logins: &[(Registry, Login)],
    ) -> serde_json::Result<Self> {
        let auths = logins.iter().map(|(registry, login)| {
            (registry.key().as_str().to_owned(), Auth { auth: login.auth() })
        });
        let config = serde_json::to_vec(&Config { auths: auths.collect() })?;
        Ok(Self::of_config(name, namespace, &config))
    }

    /// A Secret with this Docker config.
    pub(super) fn of_config(name: &SecretName, namespace: Option<String>, config: &[u8]) -> Self {
        let (labels, annotations) = (BTreeMap::new(), BTreeMap::new());
        Self {
            api_version: "v1",
            kind: "Secret",
            metadata: Metadata {
                name: name.to_string(),
                namespace,
                uid: None,
                version: None,
                labels,
                annotations,
            },
            type_: TYPE,
            data: BTreeMap::from([(DATA_KEY, BASE64_STANDARD.encode(config))]),
        }
    }

    /// The same Secret with these labels and annotations.
    pub(super) fn marked(
        mut self,
        labels: BTreeMap<&'static str, String>,
        annotations: BTreeMap<&'static str, String>,
    ) -> Self {
        self.metadata = Metadata { labels, annotations, ..self.metadata };
        self
    }

    /// The same Secret, to be applied only to the one of this uid, as it was at this version.
    pub(super) fn over(mut self, uid: Option<String>, version: Option<String>) -> Self {
        self.metadata = Metadata { uid, version, ..self.metadata };
        self
    }
}

/// Nothing of the data.
impl fmt::Debug for PullSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PullSecret").field("name", &self.metadata.name).finish_non_exhaustive()
    }
}

/// Reads a written Secret as the kubelet would, and checks whether it opens an image of each registry.
pub(super) fn prove(written: &str, logins: &[(Registry, Login)]) -> Result<(), UnusableLogin> {
    let unusable = |registry: &Registry, why| UnusableLogin { registry: registry.to_string(), why };
    let Some((first, _)) = logins.first() else { return Ok(()) };
    let keyring = keyring(written).map_err(|why| unusable(first, why))?;
    for (registry, _) in logins {
        let key = registry.key();
        let image = registry.to_string();
        let image = format!("{}/app", image.trim_end_matches('/'));
        let image =
            ImageRef::parse(&image).map_err(|error| unusable(registry, error.to_string()))?;
        if !keyring.lookup(&image).iter().any(|offer| *offer.key == key) {
            let why = "the kubelet matches this key with no image. An IPv6 address needs a port"
                .to_owned();
            return Err(unusable(registry, why));
        }
    }
    Ok(())
}

fn keyring(written: &str) -> Result<Keyring, String> {
    let mut documents = Documents::new(Source::Stdin, Cursor::new(written.as_bytes()));
    let document = documents.next().ok_or("nothing was written")?.map_err(|it| it.to_string())?;
    let value = document.value().map_err(|it| it.to_string())?;
    let objects = objects(&value, 1).map_err(|it| it.to_string())?;
    let object = objects.first().ok_or("no object was written")?;
    let secret = SecretManifest::from_object(object, 1).map_err(|it| it.to_string())?;
    let secret = secret.ok_or("something else than a Secret was written")?;
    match secret.contents().map_err(|it| it.to_string())? {
        Contents::Entries(entries) => {
            let keys = entries.into_iter().map(|entry| entry.key);
            Ok(Keyring::new([(&*secret.name, keys)]))
        }
        Contents::Ignored(why) => Err(why.to_string()),
    }
}
