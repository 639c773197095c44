//! The registries of clouds that give short-lived logins: which hosts they have, and what a host says of its registry.
//!
//! A token is sent only on behalf of a host that fits the provider's own pattern. Hosts with a port are none of them.
//! Sources: `ECRPattern` of `github.com/awslabs/amazon-ecr-credential-helper`, and the providers' lists of endpoints.

/// A host of Amazon ECR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EcrHost<'h> {
    /// The account; `None` for ECR Public, whose logins come from `us-east-1`.
    pub account: Option<&'h str>,
    /// The region, such as `eu-west-1`.
    pub region: &'h str,
    /// The domain of the APIs in the region's partition, such as `amazonaws.com`.
    pub domain: &'static str,
    /// Whether the host is that of a FIPS endpoint.
    pub fips: bool,
}

/// The clouds of Azure, each with addresses of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AzureCloud {
    /// `azurecr.io`.
    Public,
    /// `azurecr.cn`.
    China,
    /// `azurecr.us`.
    UsGovernment,
}

/// A host of Alibaba Cloud Container Registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AliyunHost<'h> {
    /// The region, such as `cn-shanghai`.
    pub region: &'h str,
    /// The edition of the registry.
    pub edition: AliyunEdition,
}

/// The editions of Alibaba Cloud Container Registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AliyunEdition {
    /// `NAME-registry.REGION.cr.aliyuncs.com`.
    Enterprise,
    /// `registry.REGION.aliyuncs.com`.
    Personal,
    /// `crpi-ID.REGION.personal.cr.aliyuncs.com`, made since 2024-09-09: it gives no short-lived logins.
    PersonalInstance,
}

// === impl EcrHost ===

impl<'h> EcrHost<'h> {
    /// The host of ECR Public.
    pub const PUBLIC: &'static str = "public.ecr.aws";

    /// The same host where IPv6 is spoken, too.
    const PUBLIC_DUAL_STACK: &'static str = "ecr-public.aws.com";

    /// The domains of registries, and that of the APIs beside each.
    const DOMAINS: [(&'static str, &'static str); 9] = [
        (".amazonaws.com", "amazonaws.com"),
        (".amazonaws.com.cn", "amazonaws.com.cn"),
        (".amazonaws.eu", "amazonaws.eu"),
        (".on.aws", "amazonaws.com"),
        (".on.amazonwebservices.com.cn", "amazonaws.com.cn"),
        (".sc2s.sgov.gov", "sc2s.sgov.gov"),
        (".c2s.ic.gov", "c2s.ic.gov"),
        (".cloud.adc-e.uk", "cloud.adc-e.uk"),
        (".csp.hci.ic.gov", "csp.hci.ic.gov"),
    ];

    /// Reads a host, in lower case.
    #[must_use]
    pub fn parse(host: &'h str) -> Option<Self> {
        if host == Self::PUBLIC || host == Self::PUBLIC_DUAL_STACK {
            let (region, domain) = ("us-east-1", "amazonaws.com");
            return Some(Self { account: None, region, domain, fips: false });
        }
        let (account, rest) = host.split_at_checked(12)?;
        let rest = rest.strip_prefix(".dkr.ecr").or_else(|| rest.strip_prefix(".dkr-ecr"))?;
        let fips = rest.strip_prefix("-fips");
        let rest = fips.unwrap_or(rest).strip_prefix('.')?;
        let (region, domain) = Self::DOMAINS
            .iter()
            .find_map(|(suffix, domain)| Some((rest.strip_suffix(suffix)?, *domain)))?;
        let is_account = account.bytes().all(|byte| byte.is_ascii_digit());
        (is_account && is_region(region)).then_some(Self {
            account: Some(account),
            region,
            domain,
            fips: fips.is_some(),
        })
    }
}

// === impl AzureCloud ===

impl AzureCloud {
    /// The cloud of a registry's host, in lower case.
    #[must_use]
    pub fn of_host(host: &str) -> Option<Self> {
        let (name, domain) = host.split_once('.')?;
        let cloud = match domain {
            "azurecr.io" => Self::Public,
            "azurecr.cn" => Self::China,
            "azurecr.us" => Self::UsGovernment,
            _ => return None,
        };
        is_label(name).then_some(cloud)
    }
}

// === impl AliyunHost ===

impl<'h> AliyunHost<'h> {
    /// Reads a host, in lower case.
    #[must_use]
    pub fn parse(host: &'h str) -> Option<Self> {
        let (name, rest) = host.strip_suffix(".aliyuncs.com")?.split_once('.')?;
        let reach = ["", "-vpc", "-internal"];
        let (region, edition) = if let Some(region) = rest.strip_suffix(".personal.cr") {
            (region, name.starts_with("crpi-").then_some(AliyunEdition::PersonalInstance))
        } else if let Some(region) = rest.strip_suffix(".cr") {
            let name = reach.iter().find_map(|reach| {
                name.strip_suffix(reach)?.strip_suffix("-registry").filter(|it| is_label(it))
            });
            (region, name.map(|_| AliyunEdition::Enterprise))
        } else {
            let name = name.strip_prefix("registry")?;
            let is_personal = reach.contains(&name.strip_prefix("-intl").unwrap_or(name));
            (rest, is_personal.then_some(AliyunEdition::Personal))
        };
        let edition = edition.filter(|_| is_region(region))?;
        Some(Self { region, edition })
    }
}

/// Whether a host, in lower case, is one of Google Artifact Registry or Container Registry.
#[must_use]
pub fn is_google(host: &str) -> bool {
    host == "gcr.io"
        || host.strip_suffix(".gcr.io").is_some_and(is_label)
        || host.strip_suffix("-docker.pkg.dev").is_some_and(is_region)
}

/// Whether a host, in lower case, is that of GitHub's registry.
#[must_use]
pub fn is_github(host: &str) -> bool {
    host == "ghcr.io"
}

/// Whether a text can be the name of a region: what is put into the address of an API.
#[must_use]
pub fn is_region(text: &str) -> bool {
    (2..=32).contains(&text.len()) && is_label(text)
}

fn is_label(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.len() <= 63
        && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_of_ecr_says_account_region_and_partition() {
        for (host, account, region, domain, fips) in [
            (
                "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
                "123456789012",
                "eu-west-1",
                "amazonaws.com",
                false,
            ),
            (
                "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
                "123456789012",
                "us-gov-west-1",
                "amazonaws.com",
                true,
            ),
            (
                "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
                "123456789012",
                "cn-north-1",
                "amazonaws.com.cn",
                false,
            ),
            (
                "123456789012.dkr-ecr.eu-west-1.on.aws",
                "123456789012",
                "eu-west-1",
                "amazonaws.com",
                false,
            ),
            (
                "123456789012.dkr-ecr-fips.us-east-2.on.aws",
                "123456789012",
                "us-east-2",
                "amazonaws.com",
                true,
            ),
            (
                "123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn",
                "123456789012",
                "cn-north-1",
                "amazonaws.com.cn",
                false,
            ),
            (
                "123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu",
                "123456789012",
                "eusc-de-east-1",
                "amazonaws.eu",
                false,
            ),
        ] {
            let account = Some(account);
            assert_eq!(
                EcrHost::parse(host),
                Some(EcrHost { account, region, domain, fips }),
                "{host}"
            );
        }
        assert_eq!(EcrHost::parse("ecr-public.aws.com"), EcrHost::parse(EcrHost::PUBLIC));
        let public = EcrHost::parse(EcrHost::PUBLIC).unwrap();
        assert_eq!((public.account, public.region), (None, "us-east-1"));
        for host in [
            "12345678901.dkr.ecr.eu-west-1.amazonaws.com",
            "1234567890123.dkr.ecr.eu-west-1.amazonaws.com",
            "12345678901a.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
            "123456789012.dkr.ecr.eu-west-1.evil.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.example.com",
            "123456789012.dkr.ecr..amazonaws.com",
            "123456789012.dkr.ecr.eu_west.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com:443",
            "public.ecr.aws.example.com",
            "12345678901é.dkr.ecr.eu-west-1.amazonaws.com",
            "",
        ] {
            assert_eq!(EcrHost::parse(host), None, "{host}");
        }
    }

    #[test]
    fn a_host_of_azure_says_its_cloud() {
        for (host, cloud) in [
            ("acme.azurecr.io", Some(AzureCloud::Public)),
            ("acme-d2gdbcd4f.azurecr.io", Some(AzureCloud::Public)),
            ("acme.azurecr.cn", Some(AzureCloud::China)),
            ("acme.azurecr.us", Some(AzureCloud::UsGovernment)),
            ("acme.westeurope.data.azurecr.io", None),
            ("azurecr.io", None),
            (".azurecr.io", None),
            ("acme.azurecr.io.example.com", None),
            ("acme.azurecr.io:443", None),
            ("acme.example.com", None),
        ] {
            assert_eq!(AzureCloud::of_host(host), cloud, "{host}");
        }
    }

    #[test]
    fn a_host_of_aliyun_says_region_and_edition() {
        use AliyunEdition::{Enterprise, Personal, PersonalInstance};
        for (host, region, edition) in [
            ("registry.cn-shanghai.aliyuncs.com", "cn-shanghai", Personal),
            ("registry-vpc.cn-shanghai.aliyuncs.com", "cn-shanghai", Personal),
            ("registry-internal.cn-shanghai.aliyuncs.com", "cn-shanghai", Personal),
            ("registry-intl.ap-southeast-1.aliyuncs.com", "ap-southeast-1", Personal),
            ("registry-intl-vpc.ap-southeast-1.aliyuncs.com", "ap-southeast-1", Personal),
            ("acme-registry.cn-beijing.cr.aliyuncs.com", "cn-beijing", Enterprise),
            ("acme-b-registry-vpc.cn-beijing.cr.aliyuncs.com", "cn-beijing", Enterprise),
            ("crpi-x1.cn-beijing.personal.cr.aliyuncs.com", "cn-beijing", PersonalInstance),
        ] {
            assert_eq!(AliyunHost::parse(host), Some(AliyunHost { region, edition }), "{host}");
        }
        for host in [
            "oss.cn-shanghai.aliyuncs.com",
            "registry-evil.cn-shanghai.aliyuncs.com",
            "registry.cn-shanghai.aliyuncs.com.example.com",
            "registry.a.b.aliyuncs.com",
            "registry.aliyuncs.com",
            "-registry.cn-beijing.cr.aliyuncs.com",
            "acme.cn-beijing.cr.aliyuncs.com",
            "acme.cn-beijing.personal.cr.aliyuncs.com",
            "registry.cn-shanghai.aliyuncs.com:443",
        ] {
            assert_eq!(AliyunHost::parse(host), None, "{host}");
        }
    }

    #[test]
    fn hosts_of_google_and_github() {
        for host in ["gcr.io", "eu.gcr.io", "europe-west1-docker.pkg.dev", "us-docker.pkg.dev"] {
            assert!(is_google(host), "{host}");
        }
        for host in
            ["docker.pkg.dev", "a.b.gcr.io", "gcr.io:443", "evilgcr.io", "us-docker.pkg.dev.x"]
        {
            assert!(!is_google(host), "{host}");
        }
        assert!(is_github("ghcr.io") && !is_github("ghcr.io:443") && !is_github("x.ghcr.io"));
    }
}
