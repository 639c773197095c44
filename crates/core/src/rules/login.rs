//! Logins: where the credentials of a rule's Secret come from.

mod endpoint;
mod who;

use std::collections::BTreeMap;
use std::fmt;

pub use self::endpoint::{Endpoint, EndpointError};
use super::name::{LoginName, SecretName};
use super::pattern::RegistryPattern;
use crate::clouds::{AliyunEdition, AliyunHost, AzureCloud, EcrHost, is_github, is_google};

/// What the name of the Secret begins with in which pullcred keeps a short-lived login.
const MINTED_PREFIX: &str = "pullcred-login-";

/// Where credentials come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The name by which rules refer to it.
    pub name: LoginName,
    /// What gives the credentials.
    pub source: LoginSource,
    /// Where the login begins in the file: its line, counted from 1.
    pub line: u32,
}

/// What gives the credentials of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginSource {
    /// A pull Secret in pullcred's own namespace, which people keep.
    Secret(SecretName),
    /// Amazon ECR.
    Aws(Aws),
    /// Google Artifact Registry.
    Google(Google),
    /// Azure Container Registry.
    Azure(Azure),
    /// Alibaba Cloud Container Registry.
    Aliyun(Aliyun),
    /// GitHub's container registry, by a GitHub App.
    Github(Github),
    /// A credential provider plugin of the kubelet.
    Plugin(Plugin),
    /// The path of a file with a Docker config, which others renew.
    File(Box<str>),
}

/// A login to Amazon ECR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aws {
    /// Who asks for it.
    pub access: AwsAccess,
    /// Addresses other than AWS's own.
    pub endpoints: Endpoints,
}

/// Who asks for a login to Amazon ECR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AwsAccess {
    /// A role that trusts the tokens of a ServiceAccount.
    Role {
        /// The ARN of the role.
        role: Box<str>,
        /// Whose token is exchanged.
        token: TokenSource,
    },
    /// EKS Pod Identity, the agent on the node.
    PodIdentity,
    /// An access key, in this Secret of pullcred's namespace.
    Keys(SecretName),
}

/// A login to Google Artifact Registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Google {
    /// Who asks for it.
    pub access: GoogleAccess,
    /// The email address of a service account to impersonate.
    pub impersonate: Option<Box<str>>,
    /// Addresses other than Google's own.
    pub endpoints: Endpoints,
}

/// Who asks for a login to Google Artifact Registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GoogleAccess {
    /// Workload Identity Federation.
    Federation {
        /// `projects/N/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`, or on GKE
        /// `identitynamespace:PROJECT.svc.id.goog:ISSUER`.
        provider: Box<str>,
        /// Whose token is exchanged.
        token: TokenSource,
    },
    /// The metadata server of GKE or GCE.
    Metadata,
}

/// A login to Azure Container Registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Azure {
    /// Who asks for it.
    pub access: AzureAccess,
    /// Hosts of registries under domains of their own, which get a token of Entra, too.
    pub hosts: Vec<Box<str>>,
    /// Addresses other than Azure's own.
    pub endpoints: Endpoints,
}

/// Who asks for a login to Azure Container Registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AzureAccess {
    /// An application or managed identity with a federated credential.
    Federation {
        /// The id of the tenant.
        tenant: Box<str>,
        /// The client id of the application or managed identity.
        client: Box<str>,
        /// Whose token is exchanged.
        token: TokenSource,
    },
    /// The metadata server of the node.
    Metadata {
        /// The client id of one of the node's identities, where it has several.
        client: Option<Box<str>>,
    },
}

/// A login to Alibaba Cloud Container Registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aliyun {
    /// Who asks for it.
    pub access: AliyunAccess,
    /// The id of the instance, for the Enterprise Edition.
    pub instance: Option<Box<str>>,
    /// The region, where hosts do not say it.
    pub region: Option<Box<str>>,
    /// Hosts of the instance under domains of its own.
    pub hosts: Vec<Box<str>>,
    /// Addresses other than Alibaba Cloud's own.
    pub endpoints: Endpoints,
}

/// Who asks for a login to Alibaba Cloud Container Registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AliyunAccess {
    /// A role that trusts the tokens of a ServiceAccount (RRSA).
    Role {
        /// The ARN of the role.
        role: Box<str>,
        /// The ARN of the OIDC provider that stands for the cluster.
        oidc_provider: Box<str>,
        /// Whose token is exchanged.
        token: TokenSource,
    },
    /// An access key, in this Secret of pullcred's namespace.
    Keys(SecretName),
}

/// A login to GitHub's container registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Github {
    /// The id or the client id of the GitHub App.
    pub app: Box<str>,
    /// The id of its installation.
    pub installation: u64,
    /// The repositories that the token is for; all of the installation's if there are none.
    pub repositories: Vec<Box<str>>,
    /// The Secret of pullcred's namespace with the App's private key.
    pub keys: SecretName,
    /// Hosts of registries other than `ghcr.io`.
    pub hosts: Vec<Box<str>>,
    /// Addresses other than GitHub's own.
    pub endpoints: Endpoints,
}

/// A login that a credential provider plugin of the kubelet gives.
#[derive(Clone, PartialEq, Eq)]
pub struct Plugin {
    /// The name of the program, in the folder of plugins.
    pub name: Box<str>,
    /// Its arguments.
    pub args: Vec<Box<str>>,
    /// Its environment, all of it.
    pub env: BTreeMap<Box<str>, Box<str>>,
    /// The audience of the ServiceAccount's token that it gets; none without.
    pub audience: Option<Box<str>>,
    /// How often to ask again, in seconds, where the answer does not say it.
    pub refresh: Option<u32>,
}

/// Whose token is exchanged for a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// A ServiceAccount's, asked of the API server.
    ServiceAccount {
        /// The one audience of the token. Never empty.
        audience: Box<str>,
    },
    /// The token in this file, which the kubelet renews.
    File(Box<str>),
}

/// Addresses that take the place of the provider's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Where tokens are exchanged.
    pub token: Option<Endpoint>,
    /// Where the login is asked for.
    pub api: Option<Endpoint>,
    /// Certificates that are trusted there, as PEM.
    pub ca_bundle: Option<Box<str>>,
}

/// Why a login does not give credentials for a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostMismatch {
    /// It is no host of the provider.
    #[error("it is no host of {0}")]
    Provider(&'static str),
    /// The edition of the registry has no short-lived logins.
    #[error(
        "this edition of the registry gives no short-lived logins: keep its password in a Secret"
    )]
    NoShortLived,
    /// The Enterprise Edition needs the id of the instance.
    #[error(
        "a registry of the Enterprise Edition needs the id of its instance: write `instance: cri-…` for the login"
    )]
    NoInstance,
    /// The Personal Edition has no instances.
    #[error(
        "the login is for an instance of the Enterprise Edition, and this host is one of the Personal Edition: remove `instance`"
    )]
    Instance,
}

// === impl Login ===

impl Login {
    /// The Secret of pullcred's namespace with the credentials: the one that people keep, or the one in which pullcred keeps
    /// what it fetched.
    #[must_use]
    pub fn secret(&self) -> SecretName {
        match &self.source {
            LoginSource::Secret(secret) => secret.clone(),
            _ => SecretName::of_login(MINTED_PREFIX, &self.name),
        }
    }

    /// Whether pullcred fetches the credentials, and keeps them in a Secret of its own.
    #[must_use]
    pub fn is_fetched(&self) -> bool {
        !matches!(self.source, LoginSource::Secret(_))
    }
}

// === impl LoginSource ===

impl LoginSource {
    /// The key of the mapping by which the source is written.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Secret(_) => "secret",
            Self::Aws(_) => "aws",
            Self::Google(_) => "google",
            Self::Azure(_) => "azure",
            Self::Aliyun(_) => "aliyun",
            Self::Github(_) => "github",
            Self::Plugin(_) => "plugin",
            Self::File(_) => "file",
        }
    }

    /// Whether the credentials are a token for certain hosts, and not whatever a Docker config holds.
    #[must_use]
    pub fn is_token(&self) -> bool {
        !matches!(self, Self::Secret(_) | Self::File(_))
    }

    /// The Secret of pullcred's namespace with the keys by which the login is fetched.
    #[must_use]
    pub fn keys(&self) -> Option<&SecretName> {
        match self {
            Self::Aws(Aws { access: AwsAccess::Keys(keys), .. })
            | Self::Aliyun(Aliyun { access: AliyunAccess::Keys(keys), .. })
            | Self::Github(Github { keys, .. }) => Some(keys),
            _ => None,
        }
    }

    /// Whose token is exchanged for the login at its provider; `None` where there is no such token.
    #[must_use]
    pub fn token(&self) -> Option<&TokenSource> {
        match self {
            Self::Aws(Aws { access: AwsAccess::Role { token, .. }, .. })
            | Self::Google(Google { access: GoogleAccess::Federation { token, .. }, .. })
            | Self::Azure(Azure { access: AzureAccess::Federation { token, .. }, .. })
            | Self::Aliyun(Aliyun { access: AliyunAccess::Role { token, .. }, .. }) => Some(token),
            _ => None,
        }
    }

    /// The audience of the `ServiceAccount`'s token that is sent to the provider or given to the plugin; `None` where there is
    /// no such token.
    #[must_use]
    pub fn audience(&self) -> Option<&str> {
        match (self, self.token()) {
            (Self::Plugin(Plugin { audience, .. }), _) => audience.as_deref(),
            (_, Some(TokenSource::ServiceAccount { audience })) => Some(audience),
            _ => None,
        }
    }

    /// The addresses that take the place of the provider's own; `None` where nothing is asked over the network.
    #[must_use]
    pub fn endpoints(&self) -> Option<&Endpoints> {
        match self {
            Self::Aws(Aws { endpoints, .. })
            | Self::Google(Google { endpoints, .. })
            | Self::Azure(Azure { endpoints, .. })
            | Self::Aliyun(Aliyun { endpoints, .. })
            | Self::Github(Github { endpoints, .. }) => Some(endpoints),
            Self::Secret(_) | Self::Plugin(_) | Self::File(_) => None,
        }
    }

    /// Whether the source gives credentials for the host, which is in lower case and may have a port.
    ///
    /// # Errors
    ///
    /// [`HostMismatch`]
    pub fn serves(&self, host: &str) -> Result<(), HostMismatch> {
        let named = |hosts: &[Box<str>]| hosts.iter().any(|it| **it == *host);
        let (is_served, provider) = match self {
            Self::Secret(_) | Self::File(_) | Self::Plugin(_) => return Ok(()),
            Self::Aws(_) => (EcrHost::parse(host).is_some(), "Amazon ECR"),
            Self::Google(_) => (is_google(host), "Google Artifact Registry"),
            Self::Azure(Azure { hosts, .. }) => {
                (AzureCloud::of_host(host).is_some() || named(hosts), "Azure Container Registry")
            }
            Self::Github(Github { hosts, .. }) => {
                (is_github(host) || named(hosts), "GitHub's container registry")
            }
            Self::Aliyun(aliyun) => return aliyun.serves(host),
        };
        if is_served { Ok(()) } else { Err(HostMismatch::Provider(provider)) }
    }

    /// The first of the patterns for which the source gives no credentials, and why.
    pub fn unserved<'p>(
        &self,
        patterns: &'p [RegistryPattern],
    ) -> impl Iterator<Item = (&'p RegistryPattern, HostMismatch)> {
        let why =
            |pattern: &'p RegistryPattern| Some((pattern, self.serves(pattern.host()).err()?));
        patterns.iter().filter(|it| !it.is_glob()).filter_map(why)
    }
}

impl Aliyun {
    fn serves(&self, host: &str) -> Result<(), HostMismatch> {
        if self.hosts.iter().any(|it| **it == *host) {
            return if self.instance.is_some() { Ok(()) } else { Err(HostMismatch::NoInstance) };
        }
        let Some(host) = AliyunHost::parse(host) else {
            return Err(HostMismatch::Provider("Alibaba Cloud Container Registry"));
        };
        match (host.edition, &self.instance) {
            (AliyunEdition::PersonalInstance, _) => Err(HostMismatch::NoShortLived),
            (AliyunEdition::Enterprise, None) => Err(HostMismatch::NoInstance),
            (AliyunEdition::Personal, Some(_)) => Err(HostMismatch::Instance),
            (AliyunEdition::Enterprise, Some(_)) | (AliyunEdition::Personal, None) => Ok(()),
        }
    }
}

// === impl Plugin ===

/// Without the values of the environment.
impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, args, env, audience, refresh } = self;
        f.debug_struct("Plugin")
            .field("name", name)
            .field("args", args)
            .field("env", &env.keys())
            .field("audience", audience)
            .field("refresh", refresh)
            .finish()
    }
}

#[cfg(test)]
mod tests;
