//! Accounts of a cloud, as a release of pullcred uses them: whom they trust, and the mapping with their logins.

use std::fs;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{NodeCluster, release::VALUES};
use crate::clouds::{aliyun::Aliyun, identity::Trust};

/// The audience of tokens for Alibaba Cloud.
pub(crate) const AUDIENCE: &str = "sts.aliyuncs.com";

impl NodeCluster {
    /// The trust in tokens that the API server's own keys signed, for one ServiceAccount and one audience.
    pub(crate) async fn trust(&self, subject: &str) -> Result<Trust> {
        let get = async |path: &str| -> Result<Value> {
            let text = self.control_plane().kubectl(&["get", "--raw", path]).await?;
            Ok(serde_json::from_str(&text)?)
        };
        let about = get("/.well-known/openid-configuration").await?;
        let issuer = about["issuer"].as_str().context("no issuer")?.to_owned();
        let jwks = get("/openid/v1/jwks").await?;
        let (audience, subject) = (AUDIENCE.to_owned(), subject.to_owned());
        Ok(Trust { jwks, issuer, audience, subject })
    }

    /// The login of an account in a mapping, with the address of its cloud.
    pub(crate) fn login(
        &self,
        name: &str,
        (role, provider): (&str, &str),
        cloud: &Aliyun,
    ) -> Value {
        let url = format!("https://{}", cloud.server.address);
        json!({"name": name, "aliyun": {
            "role": role, "oidcProvider": provider,
            "endpoints": {"token": url, "api": url}, "caBundle": self.clouds().pem,
        }})
    }

    /// The path of the tests' values with these logins and rules beside theirs.
    pub(crate) fn values_with(
        &self,
        file: &str,
        logins: &[Value],
        rules: &[Value],
    ) -> Result<String> {
        let mut values: Value = serde_saphyr::from_str(&fs::read_to_string(VALUES)?)?;
        for (key, more) in [("logins", logins), ("rules", rules)] {
            let list = values["mapping"][key].as_array_mut().context(key.to_owned())?;
            list.extend(more.iter().cloned());
        }
        let file = self.folder().join(format!("{file}.yaml"));
        // JSON is YAML.
        fs::write(&file, values.to_string())?;
        Ok(file.display().to_string())
    }

    /// Goes back to the tests' values, and leaves nothing of fetched logins in the release's namespace.
    pub(crate) async fn helm_upgrade_without(&self, logins: &[&str]) -> Result<()> {
        self.helm_upgrade_with(&["--values", VALUES]).await?;
        for login in logins {
            let secret = format!("pullcred-login-{login}");
            let delete = ["delete", "secret", &secret, "--ignore-not-found"];
            self.kubectl(&[delete.as_slice(), &["--namespace", super::HOME]].concat()).await?;
        }
        Ok(())
    }
}
