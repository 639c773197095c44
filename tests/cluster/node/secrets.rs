//! Pull Secrets, made as people make them: by kubectl.

use std::{fs, path::Path};

use anyhow::Result;
use serde_json::Value;

use super::{
    NodeCluster,
    registry::{Account, USER},
};
use crate::namespace::Namespace;

/// The type that a kubelet reads.
const TYPE: &str = "--type=kubernetes.io/dockerconfigjson";

impl NodeCluster {
    /// `kubectl create secret docker-registry`: asks for server, user and password.
    pub(crate) async fn secret_by_login(
        &self,
        namespace: &Namespace,
        name: &str,
        account: Account,
        password: &str,
    ) -> Result<()> {
        let login = [
            &format!("--docker-server={}", account.host),
            &format!("--docker-username={USER}"),
            &format!("--docker-password={password}"),
        ];
        let create = ["create", "secret", "docker-registry", name, "--namespace", namespace.name()];
        self.kubectl(&[create.as_slice(), &login.map(String::as_str)].concat()).await
    }

    /// `kubectl create secret generic --from-file`, as many guides have it: a Docker configuration
    /// under the right key, and with the right type.
    pub(crate) async fn secret_from_file(
        &self,
        namespace: &Namespace,
        name: &str,
        docker_config: &Value,
    ) -> Result<()> {
        self.secret_from_any_file(namespace, name, docker_config, &[TYPE]).await
    }

    /// The same with the type forgotten, which makes it `Opaque`.
    pub(crate) async fn opaque_secret_from_file(
        &self,
        namespace: &Namespace,
        name: &str,
        docker_config: &Value,
    ) -> Result<()> {
        self.secret_from_any_file(namespace, name, docker_config, &[]).await
    }

    async fn secret_from_any_file(
        &self,
        namespace: &Namespace,
        name: &str,
        docker_config: &Value,
        kind: &[&str],
    ) -> Result<()> {
        let file = self.folder().join(format!("{}-{name}-config.json", namespace.name()));
        fs::write(&file, docker_config.to_string())?;
        let from = format!("--from-file=.dockerconfigjson={}", Path::display(&file));
        let create = ["create", "secret", "generic", name, "--namespace", namespace.name(), &from];
        self.kubectl(&[create.as_slice(), kind].concat()).await
    }

    /// Runs kubectl as the administrator.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> Result<()> {
        self.control_plane().kubectl(arguments).await.map(drop)
    }
}
