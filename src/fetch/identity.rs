//! What proves who asks for a login.

use std::path::Path;

use k8s_openapi::api::core::v1::Secret;
use zeroize::Zeroizing;

use super::{failure::Failure, spec::Spec, world::World};
use crate::{
    cluster::{Cluster, Collection},
    core::rules::{SecretName, TokenSource},
    registry::tokens::{Proof, SecretText},
};

/// The `ServiceAccount` of pullcred's namespace that asks for logins. It has no rights in the cluster.
pub const IDENTITY: &str = "pullcred-pull";
/// The longest token in a file, in bytes.
const TOKEN_MAX: usize = 64 * 1024;

/// Who gets proofs, and where.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The namespace of pullcred.
    pub home: &'a str,
    /// The files.
    pub world: &'a dyn World,
}

// === impl Asker ===

impl Asker<'_> {
    /// What proves who asks for a login whose Secret is in `namespace`. The token of a namespace's own identity ends with the
    /// Secret `bound`, if one is named by name and uid.
    ///
    /// # Errors
    ///
    /// [`Failure`]
    pub async fn proof(
        &self,
        spec: &Spec,
        namespace: &str,
        bound: Option<(&str, &str)>,
    ) -> Result<Proof, Failure> {
        if let Some(keys) = spec.source().keys() {
            return self.keys(keys).await;
        }
        if let Some(audience) = spec.source().audience() {
            // A token of pullcred's own identity is not bound to the Secret: that may be deleted at any time.
            let (namespace, name, bound) = match &spec.identity {
                Some(name) => (namespace, name.as_str(), bound),
                None => (self.home, IDENTITY, None),
            };
            let token = self.cluster.token(namespace, name, audience, bound).await;
            return token.map(|it| Proof::Token(it.text.as_str().into())).map_err(Failure::Token);
        }
        match spec.source().token() {
            Some(TokenSource::File(path)) => self.token_of_file(path).map(Proof::Token),
            _ => Ok(Proof::Machine),
        }
    }

    async fn keys(&self, name: &SecretName) -> Result<Proof, Failure> {
        let secrets = Collection::of::<Secret>(Some(self.home));
        let secret: Option<Secret> =
            self.cluster.get(&secrets, name.as_str()).await.map_err(Failure::Api)?;
        let data = secret.ok_or_else(|| Failure::NoKeys(name.clone()))?.data.unwrap_or_default();
        let keys = data.into_iter().map(|(key, value)| (key, Zeroizing::new(value.0)));
        Ok(Proof::Keys(keys.collect()))
    }

    fn token_of_file(&self, path: &str) -> Result<SecretText, Failure> {
        let bytes = self
            .world
            .read(Path::new(path))
            .map_err(|why| Failure::File { path: path.into(), why })?;
        let text = str::from_utf8(&bytes).map(str::trim_ascii).unwrap_or_default();
        let fits = !text.is_empty()
            && text.len() <= TOKEN_MAX
            && text.bytes().all(|it| it.is_ascii_graphic());
        if fits { Ok(text.into()) } else { Err(Failure::NoToken(path.into())) }
    }
}
