//! Who asks for a login, in words.

use super::{
    Aliyun, AliyunAccess, Aws, AwsAccess, Azure, AzureAccess, Github, Google, GoogleAccess,
    LoginSource, Plugin,
};

impl LoginSource {
    /// As whom the provider knows us, or what else gives the credentials: for people.
    #[must_use]
    pub fn who(&self) -> String {
        match self {
            Self::Secret(secret) => format!("Secret {secret}"),
            Self::Aws(Aws { access, .. }) => match access {
                AwsAccess::Role { role, .. } => format!("role {role}"),
                AwsAccess::PodIdentity => "EKS Pod Identity".to_owned(),
                AwsAccess::Keys(keys) => format!("the access key in Secret {keys}"),
            },
            Self::Google(Google { access, impersonate, .. }) => {
                let who = match access {
                    GoogleAccess::Federation { provider, .. } => format!("provider {provider}"),
                    GoogleAccess::Metadata => "the identity of the metadata server".to_owned(),
                };
                match impersonate {
                    Some(account) => format!("{account} by {who}"),
                    None => who,
                }
            }
            Self::Azure(Azure { access, .. }) => match access {
                AzureAccess::Federation { tenant, client, .. } => {
                    format!("client {client} of tenant {tenant}")
                }
                AzureAccess::Metadata { client: Some(client) } => {
                    format!("client {client} of the node")
                }
                AzureAccess::Metadata { client: None } => "the identity of the node".to_owned(),
            },
            Self::Aliyun(Aliyun { access, .. }) => match access {
                AliyunAccess::Role { role, .. } => format!("role {role}"),
                AliyunAccess::Keys(keys) => format!("the access key in Secret {keys}"),
            },
            Self::Github(Github { app, installation, .. }) => {
                format!("app {app} by its installation {installation}")
            }
            Self::Plugin(Plugin { name, .. }) => format!("plugin {name}"),
            Self::File(path) => format!("file {path}"),
        }
    }
}
