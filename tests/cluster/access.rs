//! Ways into a cluster: kubeconfigs and clients, for any user.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::Result;
use base64::{Engine, prelude::BASE64_STANDARD};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};

use crate::pki::{Authority, User};

/// No answer of a test's API server takes longer.
const ANSWER: Duration = Duration::from_secs(60);

/// The API server's address and the authority that signs its users.
#[derive(Debug)]
pub(crate) struct Access {
    authority: Authority,
    address: SocketAddr,
    folder: PathBuf,
}

impl Access {
    /// Kubeconfigs go to `folder`.
    pub(crate) fn new(authority: Authority, address: SocketAddr, folder: &Path) -> Self {
        Self { authority, address, folder: folder.to_owned() }
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A client that acts as `user`.
    pub(crate) async fn client(&self, user: User) -> Result<Client> {
        let kubeconfig: Kubeconfig = serde_json::from_value(self.document(user)?)?;
        let options = KubeConfigOptions::default();
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        config.read_timeout = Some(ANSWER);
        Ok(Client::try_from(config)?)
    }

    /// Writes a kubeconfig with which a program acts as `user`.
    pub(crate) fn kubeconfig(&self, user: User) -> Result<PathBuf> {
        self.write(user.name, &self.document(user)?)
    }

    /// Writes a kubeconfig with which a program acts as the one whose token it is.
    pub(crate) fn kubeconfig_of_token(&self, name: &str, token: &str) -> Result<PathBuf> {
        self.write(name, &self.document_with(name, &json!({"token": token})))
    }

    fn write(&self, name: &str, document: &Value) -> Result<PathBuf> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let path = self.folder.join(format!("{}.kubeconfig", name.replace(':', "-")));
        // Another program may be reading the last one.
        let new = path.with_extension(COUNT.fetch_add(1, Ordering::Relaxed).to_string());
        fs::write(&new, document.to_string())?;
        fs::rename(new, &path)?;
        Ok(path)
    }

    fn document(&self, user: User) -> Result<Value> {
        let identity = self.authority.client(user)?;
        let proof = json!({
            "client-certificate-data": BASE64_STANDARD.encode(identity.certificate),
            "client-key-data": BASE64_STANDARD.encode(identity.key),
        });
        Ok(self.document_with(user.name, &proof))
    }

    fn document_with(&self, name: &str, proof: &Value) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
            "clusters": [{"name": "test", "cluster": {
                "server": format!("https://{}", self.address),
                "certificate-authority-data": BASE64_STANDARD.encode(self.authority.certificate()),
            }}],
            "users": [{"name": name, "user": proof}],
        })
    }
}
