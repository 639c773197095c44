//! A `ServiceAccount` with rights of its own, and programs that act as it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use kube::{Client, Config, config::KubeConfigOptions};
use serde_json::{Value, json};

use crate::{api::Api, control_plane::ControlPlane, namespace::Namespace, pki::User};

const RBAC: &str = "rbac.authorization.k8s.io";

/// A `ServiceAccount` in a namespace.
pub(crate) struct Account {
    name: String,
    namespace: Namespace,
    /// Address and CA of the API server, as in a kubeconfig.
    server: Value,
    folder: PathBuf,
}

// === impl Account ===

impl Account {
    /// Creates it, without rights.
    pub(crate) async fn create(
        control_plane: &ControlPlane,
        namespace: &Namespace,
        name: &str,
    ) -> Result<Self> {
        let object = json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name},
        });
        namespace.create_object("/api/v1", "serviceaccounts", &object).await?;
        let template = control_plane.kubeconfig(User::ADMIN)?;
        let template: Value = serde_json::from_str(&fs::read_to_string(template)?)?;
        let server = template["clusters"][0]["cluster"].clone();
        let folder = control_plane.folder().to_owned();
        Ok(Self { name: name.to_owned(), namespace: namespace.clone(), server, folder })
    }

    /// The API server's address.
    pub(crate) fn server(&self) -> Result<&str> {
        self.server["server"].as_str().context("no server")
    }

    /// The name that the API server knows it by.
    pub(crate) fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace.name(), self.name)
    }

    /// Gives it the rules of a role of this kind.
    pub(crate) async fn bind(&self, api: &Api, kind: &str, rules: Value) -> Result<()> {
        let name = format!("{}-{}", self.namespace.name(), self.name);
        let collection = match kind {
            "Role" => format!("/apis/{RBAC}/v1/namespaces/{}/role", self.namespace.name()),
            _ => format!("/apis/{RBAC}/v1/clusterrole"),
        };
        let role = json!({
            "apiVersion": format!("{RBAC}/v1"), "kind": kind,
            "metadata": {"name": name}, "rules": rules,
        });
        api.post(&format!("{collection}s"), &role).await?.ok()?;
        let subject = json!({
            "kind": "ServiceAccount", "name": self.name, "namespace": self.namespace.name(),
        });
        let binding = json!({
            "apiVersion": format!("{RBAC}/v1"), "kind": format!("{kind}Binding"),
            "metadata": {"name": name}, "subjects": [subject],
            "roleRef": {"apiGroup": RBAC, "kind": kind, "name": name},
        });
        api.post(&format!("{collection}bindings"), &binding).await?.ok().map(drop)
    }

    /// Deletes the cluster's role of it, which would outlast its namespace.
    pub(crate) async fn unbind(&self, api: &Api) -> Result<()> {
        let name = format!("{}-{}", self.namespace.name(), self.name);
        for collection in ["clusterrolebindings", "clusterroles"] {
            api.delete(&format!("/apis/{RBAC}/v1/{collection}/{name}")).await?.ok()?;
        }
        Ok(())
    }

    /// Writes a kubeconfig with a token of it, for an API server at this address.
    pub(crate) async fn kubeconfig(&self, server: &str, file: &str) -> Result<PathBuf> {
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600},
        });
        let path = format!("serviceaccounts/{}/token", self.name);
        let token = self.namespace.create_object("/api/v1", &path, &request).await?;
        let mut cluster = self.server.clone();
        cluster["server"] = server.into();
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": self.name}}],
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": self.name, "user": {"token": token["status"]["token"]}}],
        });
        let path = self.folder.join(format!("{file}.kubeconfig"));
        fs::write(&path, config.to_string())?;
        Ok(path)
    }
}

/// The API with what a kubeconfig holds.
pub(crate) async fn api_with(kubeconfig: &Path) -> Result<Api> {
    Ok(Api::new(client_with(kubeconfig).await?))
}

/// A client with what a kubeconfig holds.
pub(crate) async fn client_with(kubeconfig: &Path) -> Result<Client> {
    let document: Value = serde_json::from_str(&fs::read_to_string(kubeconfig)?)?;
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(serde_json::from_value(document)?, &options);
    Ok(Client::try_from(config.await?)?)
}
