//! What a login is fetched from, as it is written: exactly one source, with values that the provider could take.

use std::collections::BTreeMap;

use serde_saphyr::Spanned;

use super::{
    Reader,
    error::Place,
    yaml::place,
    yaml_login::{RawAliyun, RawAws, RawAzure, RawGithub, RawGoogle, RawLogin, RawPlugin, Text},
};
use crate::core::{
    clouds::is_region,
    rules::{
        Aliyun, AliyunAccess, Aws, AwsAccess, Azure, AzureAccess, Github, Google, GoogleAccess,
        LoginSource, Plugin, TokenSource,
    },
};

const KINDS: &str = "`secret`, `aws`, `google`, `azure`, `aliyun`, `github`, `plugin` or `file`";

const AWS_ROLE: &str = "the ARN of a role, such as \"arn:aws:iam::123456789012:role/pull\"";
const ALIYUN_ROLE: &str = "the ARN of a role, such as \"acs:ram::123456789:role/pull\"";
const OIDC: &str =
    "the ARN of the cluster's OIDC provider, such as \"acs:ram::123456789:oidc-provider/c1\"";
const PROVIDER: &str = "\"projects/1234/locations/global/workloadIdentityPools/POOL/providers/PROVIDER\", or on GKE \
                        \"identitynamespace:PROJECT.svc.id.goog:ISSUER\"";
const UUID: &str = "an id, such as \"11111111-2222-3333-4444-555555555555\"";

// === impl Reader ===

impl Reader<'_> {
    /// The one source of a login.
    pub(super) fn source(&mut self, written: &Spanned<RawLogin>) -> Option<LoginSource> {
        let RawLogin { name, secret, aws, google, azure, aliyun, github, plugin, file } =
            &written.value;
        let places = [
            secret.as_ref().map(|it| ("secret", it.referenced)),
            aws.as_ref().map(|it| ("aws", it.referenced)),
            google.as_ref().map(|it| ("google", it.referenced)),
            azure.as_ref().map(|it| ("azure", it.referenced)),
            aliyun.as_ref().map(|it| ("aliyun", it.referenced)),
            github.as_ref().map(|it| ("github", it.referenced)),
            plugin.as_ref().map(|it| ("plugin", it.referenced)),
            file.as_ref().map(|it| ("file", it.referenced)),
        ];
        let found: Vec<(&str, Place)> =
            places.into_iter().flatten().map(|(kind, at)| (kind, place(at))).collect();
        match found.as_slice() {
            [] => {
                let message = format!(
                    "the login has no source: write one of {KINDS}, as in `secret: acme-robot`"
                );
                self.refuse(place(name.referenced), message);
                return None;
            }
            [_] => {}
            [(first, _), others @ ..] => {
                for (other, at) in others {
                    let message = format!(
                        "the login has `{first}` and `{other}`, but one source: remove one, or write two logins"
                    );
                    self.refuse(*at, message);
                }
                return None;
            }
        }
        if let Some(secret) = secret {
            return Some(LoginSource::Secret(self.name(secret)?));
        }
        if let Some(file) = file {
            return Some(LoginSource::File(self.path(file)?));
        }
        let aws = aws.as_ref().and_then(|it| self.aws(it)).map(LoginSource::Aws);
        let google = google.as_ref().and_then(|it| self.google(it)).map(LoginSource::Google);
        let azure = azure.as_ref().and_then(|it| self.azure(it)).map(LoginSource::Azure);
        let aliyun = aliyun.as_ref().and_then(|it| self.aliyun(it)).map(LoginSource::Aliyun);
        let github = github.as_ref().and_then(|it| self.github(it)).map(LoginSource::Github);
        let plugin = plugin.as_ref().and_then(|it| self.plugin(it)).map(LoginSource::Plugin);
        [aws, google, azure, aliyun, github, plugin].into_iter().flatten().next()
    }

    fn aws(&mut self, written: &Spanned<RawAws>) -> Option<Aws> {
        let RawAws { role, keys, ambient, audience, token_file, endpoints, ca_bundle } =
            &written.value;
        let ways = [
            role.as_ref().map(|it| ("role", it.referenced)),
            keys.as_ref().map(|it| ("keys", it.referenced)),
            ambient.as_ref().map(|it| ("ambient", it.referenced)),
        ];
        let write = format!(
            "`role` with {AWS_ROLE}, `keys: {{secret: NAME}}`, or `ambient: eks-pod-identity`"
        );
        let way = self.way(
            place(written.referenced),
            ways.map(|it| it.map(|(key, at)| (key, place(at)))),
            &write,
        );
        let token = self.token("role", role, audience, token_file, "sts.amazonaws.com");
        let endpoints = self.endpoints(endpoints.as_ref(), ca_bundle.as_ref());
        let access = match way? {
            "role" => {
                let is_role = |it: &str| {
                    it.starts_with("arn:aws") && it.contains(":iam::") && it.contains(":role/")
                };
                AwsAccess::Role {
                    role: self.text(role.as_ref()?, is_role, AWS_ROLE)?,
                    token: token?,
                }
            }
            "keys" => AwsAccess::Keys(self.keys(keys.as_ref()?)?),
            _ => {
                self.ambient(ambient.as_ref()?, "eks-pod-identity")?;
                AwsAccess::PodIdentity
            }
        };
        Some(Aws { access, endpoints: endpoints? })
    }

    fn google(&mut self, written: &Spanned<RawGoogle>) -> Option<Google> {
        let RawGoogle {
            provider,
            impersonate,
            ambient,
            audience,
            token_file,
            endpoints,
            ca_bundle,
        } = &written.value;
        let ways = [
            provider.as_ref().map(|it| ("provider", place(it.referenced))),
            ambient.as_ref().map(|it| ("ambient", place(it.referenced))),
        ];
        let write = format!("`provider` with {PROVIDER}, or `ambient: gke`");
        let way = self.way(place(written.referenced), ways, &write);
        let usual = provider.as_ref().map_or_else(String::new, |it| google_audience(&it.value));
        let token = self.token("provider", provider, audience, token_file, &usual);
        let endpoints = self.endpoints(endpoints.as_ref(), ca_bundle.as_ref());
        let is_email =
            |it: &str| it.split_once('@').is_some_and(|(a, b)| !a.is_empty() && b.contains('.'));
        let impersonate = match impersonate {
            Some(it) => Some(self.text(it, is_email, "the email address of a service account")?),
            None => None,
        };
        let access = if way? == "provider" {
            let provider = self.text(provider.as_ref()?, is_google_provider, PROVIDER)?;
            GoogleAccess::Federation { provider, token: token? }
        } else {
            self.ambient(ambient.as_ref()?, "gke")?;
            GoogleAccess::Metadata
        };
        Some(Google { access, impersonate, endpoints: endpoints? })
    }

    fn azure(&mut self, written: &Spanned<RawAzure>) -> Option<Azure> {
        let RawAzure { tenant, client, ambient, audience, token_file, hosts, endpoints, ca_bundle } =
            &written.value;
        let ways = [
            tenant.as_ref().map(|it| ("tenant", place(it.referenced))),
            ambient.as_ref().map(|it| ("ambient", place(it.referenced))),
        ];
        let write = format!("`tenant` and `client`, each with {UUID}, or `ambient: imds`");
        let at = place(written.referenced);
        let way = self.way(at, ways, &write);
        let token =
            self.token("tenant", tenant, audience, token_file, "api://AzureADTokenExchange");
        let endpoints = self.endpoints(endpoints.as_ref(), ca_bundle.as_ref());
        let hosts = hosts.as_ref().map_or(Some(Vec::new()), |hosts| self.hosts(hosts));
        let client = match client {
            Some(it) => Some(self.text(it, is_uuid, UUID)?),
            None => None,
        };
        let access = if way? == "tenant" {
            let tenant = self.text(tenant.as_ref()?, is_uuid, UUID)?;
            let Some(client) = client else {
                self.refuse(at, "`client` is missing: write the client id of the application or managed identity");
                return None;
            };
            AzureAccess::Federation { tenant, client, token: token? }
        } else {
            self.ambient(ambient.as_ref()?, "imds")?;
            AzureAccess::Metadata { client }
        };
        Some(Azure { access, hosts: hosts?, endpoints: endpoints? })
    }

    fn aliyun(&mut self, written: &Spanned<RawAliyun>) -> Option<Aliyun> {
        let RawAliyun {
            role,
            oidc_provider,
            keys,
            instance,
            region,
            audience,
            token_file,
            hosts,
            ..
        } = &written.value;
        let ways = [
            role.as_ref().map(|it| ("role", place(it.referenced))),
            keys.as_ref().map(|it| ("keys", place(it.referenced))),
        ];
        let write =
            format!("`role` with {ALIYUN_ROLE} and `oidcProvider`, or `keys: {{secret: NAME}}`");
        let at = place(written.referenced);
        let way = self.way(at, ways, &write);
        let token = self.token("role", role, audience, token_file, "sts.aliyuncs.com");
        let endpoints =
            self.endpoints(written.value.endpoints.as_ref(), written.value.ca_bundle.as_ref());
        let own_hosts = hosts.as_ref().map_or(Some(Vec::new()), |hosts| self.hosts(hosts));
        let is_instance = |it: &str| {
            it.starts_with("cri-") && it.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        };
        let instance = match instance {
            Some(it) => {
                Some(self.text(it, is_instance, "the id of an instance, such as cri-abc123")?)
            }
            None => None,
        };
        let region = match region {
            Some(it) => Some(self.text(it, is_region, "a region, such as cn-shanghai")?),
            None => None,
        };
        if let (Some(hosts), None) = (hosts, &region) {
            self.refuse(
                place(hosts.referenced),
                "such hosts do not say their region: write `region`, such as cn-shanghai, too",
            );
            return None;
        }
        let access = if way? == "role" {
            let is_role = |it: &str| it.starts_with("acs:ram::") && it.contains(":role/");
            let role = self.text(role.as_ref()?, is_role, ALIYUN_ROLE)?;
            let Some(oidc_provider) = oidc_provider else {
                self.refuse(at, format!("`oidcProvider` is missing: write {OIDC}"));
                return None;
            };
            let is_oidc = |it: &str| it.starts_with("acs:ram::") && it.contains(":oidc-provider/");
            let oidc_provider = self.text(oidc_provider, is_oidc, OIDC)?;
            AliyunAccess::Role { role, oidc_provider, token: token? }
        } else {
            if let Some(it) = oidc_provider {
                self.refuse(place(it.referenced), "`oidcProvider` belongs to a `role`: remove it");
                return None;
            }
            AliyunAccess::Keys(self.keys(keys.as_ref()?)?)
        };
        Some(Aliyun { access, instance, region, hosts: own_hosts?, endpoints: endpoints? })
    }

    fn github(&mut self, written: &Spanned<RawGithub>) -> Option<Github> {
        let RawGithub { app, installation, keys, repositories, hosts, endpoints, ca_bundle } =
            &written.value;
        let (Some(app), Some(installation), Some(keys)) = (app, installation, keys) else {
            let message = "a login to GitHub has the id of an App, that of its installation, and the Secret with the App's \
                           private key: write {app: 123, installation: 456, keys: {secret: NAME}}";
            self.refuse(place(written.referenced), message);
            return None;
        };
        let is_name = |it: &str| it.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
        let app = self.text(app, is_name, "the id or the client id of an App");
        let is_id = |it: &str| it.parse::<u64>().is_ok();
        let installation =
            self.text(installation, is_id, "the id of the App's installation, a number");
        let keys = self.keys(keys);
        let endpoints = self.endpoints(endpoints.as_ref(), ca_bundle.as_ref());
        let hosts = hosts.as_ref().map_or(Some(Vec::new()), |hosts| self.hosts(hosts));
        let repositories: Option<Vec<_>> = repositories.as_ref().map_or(Some(Vec::new()), |it| {
            let name = |it| self.text(it, is_name, "the name of a repository, without its owner");
            it.value.iter().map(name).collect()
        });
        Some(Github {
            app: app?,
            installation: installation?.parse().ok()?,
            repositories: repositories?,
            keys: keys?,
            hosts: hosts?,
            endpoints: endpoints?,
        })
    }

    fn plugin(&mut self, written: &Spanned<RawPlugin>) -> Option<Plugin> {
        let RawPlugin { name, args, env, audience, refresh } = &written.value;
        let Some(name) = name else {
            self.refuse(place(written.referenced), "the plugin has no `name`: write that of its program, such as ecr-credential-provider");
            return None;
        };
        let is_file_name = |it: &str| {
            !it.starts_with('.')
                && it.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
        };
        let name = self.text(name, is_file_name, "the name of a program, without a folder");
        let args: Option<Vec<_>> = args.as_ref().map_or(Some(Vec::new()), |args| {
            args.value.iter().map(|it| self.argument(it)).collect()
        });
        let env: Option<BTreeMap<_, _>> = env
            .iter()
            .flat_map(|it| &it.value)
            .map(|(key, value)| self.variable(key, value))
            .collect();
        let audience = match audience {
            Some(it) => Some(self.audience(it, "the one that the plugin's registry asks for")?),
            None => None,
        };
        let refresh = match refresh {
            Some(it) => Some(self.refresh(it)?),
            None => None,
        };
        Some(Plugin { name: name?, args: args?, env: env?, audience, refresh })
    }

    /// The one way by which the provider is asked, of those that may be written.
    fn way<const N: usize>(
        &mut self,
        at: Place,
        ways: [Option<(&'static str, Place)>; N],
        write: &str,
    ) -> Option<&'static str> {
        let found: Vec<_> = ways.into_iter().flatten().collect();
        match found.as_slice() {
            [] => {
                self.refuse(at, format!("it is not said who asks for the login: write {write}"));
                None
            }
            [(way, _)] => Some(way),
            [(first, _), (other, at), ..] => {
                let message = format!(
                    "`{first}` and `{other}` are two ways to ask for the login: remove one"
                );
                self.refuse(*at, message);
                None
            }
        }
    }

    /// Whose token is exchanged; only beside the key `way`, which has the value `with`.
    fn token(
        &mut self,
        way: &str,
        with: &Text,
        audience: &Text,
        file: &Text,
        usual: &str,
    ) -> Option<TokenSource> {
        if with.is_none() {
            for (key, it) in [("audience", audience), ("tokenFile", file)] {
                if let Some(it) = it {
                    let message = format!(
                        "`{key}` is about the token that is exchanged for a `{way}`: remove it"
                    );
                    self.refuse(place(it.referenced), message);
                }
            }
            return None;
        }
        match (audience, file) {
            (Some(audience), Some(_)) => {
                let message = "the token of a file has the audience that the Pod gives it: remove `audience` or `tokenFile`";
                self.refuse(place(audience.referenced), message);
                None
            }
            (None, Some(file)) => Some(TokenSource::File(self.path(file)?)),
            (Some(it), None) => {
                Some(TokenSource::ServiceAccount { audience: self.audience(it, usual)? })
            }
            (None, None) => Some(TokenSource::ServiceAccount { audience: usual.into() }),
        }
    }
}

/// The audience of a token for Workload Identity Federation.
fn google_audience(provider: &str) -> String {
    match provider.strip_prefix("identitynamespace:").and_then(|it| it.split_once(':')) {
        Some((pool, _)) => pool.to_owned(),
        None => format!("//iam.googleapis.com/{provider}"),
    }
}

fn is_google_provider(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix("identitynamespace:") {
        return rest.split_once(':').is_some_and(|(pool, issuer)| {
            pool.ends_with(".svc.id.goog") && issuer.starts_with("https://")
        });
    }
    let parts: Vec<&str> = text.split('/').collect();
    matches!(
        parts.as_slice(),
        ["projects", number, "locations", "global", "workloadIdentityPools", pool, "providers", provider]
            if number.bytes().all(|byte| byte.is_ascii_digit())
                && ![number, pool, provider].iter().any(|it| it.is_empty())
    )
}

fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}
