//! Hosts that providers give to one registry, or to one login: public, internal, by region, by country, by protocol.
//!
//! To the kubelet each of them is a registry of its own. Sources: the providers' lists of endpoints, of Alibaba Cloud (ACR),
//! AWS (ECR), Azure, Google Cloud, GitHub and Tencent Cloud.

use super::go_glob;

/// What several hosts have in common: the provider, and the labels that tell its registries apart.
#[derive(Debug, PartialEq, Eq)]
struct Family<'h> {
    provider: &'static str,
    labels: Vec<&'h str>,
}

/// Whether two hosts, of which the first may be a glob, differ but belong to one registry, or take one login. Hosts with a
/// port are never such.
#[must_use]
pub fn are_siblings(host: &str, other: &str) -> bool {
    if host == other {
        return false;
    }
    let (Some(one), Some(two)) = (family(host), family(other)) else { return false };
    let labels = || one.labels.iter().zip(&two.labels);
    one.provider == two.provider
        && one.labels.len() == two.labels.len()
        && labels().all(|(glob, label)| go_glob::matches(glob.as_bytes(), label.as_bytes()))
}

fn family(host: &str) -> Option<Family<'_>> {
    if let Some(rest) = host.strip_suffix(".aliyuncs.com") {
        // registry, registry-vpc, registry-internal and registry-intl of a region; NAME-registry and NAME-registry-vpc of
        // a region's `cr`, and crpi-… of its `personal.cr`.
        let (first, region) = rest.split_once('.')?;
        let is_registry = first.contains("registry") || first == "*" || region.ends_with("cr");
        return is_registry
            .then(|| Family { provider: "aliyun", labels: vec![plain(first), region] });
    }
    if let Some(rest) = host.strip_suffix(".tencentcloudcr.com") {
        return Some(Family { provider: "tencent", labels: vec![plain(rest)] });
    }
    let ecr = [".amazonaws.com", ".amazonaws.com.cn", ".on.aws", ".on.amazonwebservices.com.cn"];
    if let Some(rest) = ecr.into_iter().find_map(|domain| host.strip_suffix(domain)) {
        // ACCOUNT.dkr.ecr.REGION, ACCOUNT.dkr.ecr-fips.REGION, and with both protocols of IP ACCOUNT.dkr-ecr.REGION.
        let (account, region) = [".dkr.ecr.", ".dkr.ecr-fips.", ".dkr-ecr.", ".dkr-ecr-fips."]
            .into_iter()
            .find_map(|service| rest.split_once(service))?;
        return Some(Family { provider: "ecr", labels: vec![account, region] });
    }
    let azure = [".azurecr.io", ".azurecr.cn", ".azurecr.us"];
    if let Some(rest) = azure.into_iter().find_map(|domain| host.strip_suffix(domain)) {
        // NAME, and of a region NAME.REGION.geo or NAME.REGION.data.
        return Some(Family { provider: "azure", labels: vec![rest.split('.').next()?] });
    }
    let (provider, is_one) = [
        ("gcr", host == "gcr.io" || host.ends_with(".gcr.io")),
        ("pkg.dev", host.ends_with("-docker.pkg.dev")),
        (
            "github",
            matches!(host, "ghcr.io" | "docker.pkg.github.com" | "containers.pkg.github.com"),
        ),
    ]
    .into_iter()
    .find(|(_, is_one)| *is_one)?;
    is_one.then_some(Family { provider, labels: Vec::new() })
}

/// The first label of a host without what says from where it is reached.
fn plain(label: &str) -> &str {
    let mut plain = label;
    while let Some(rest) =
        ["-vpc", "-internal", "-intl"].into_iter().find_map(|suffix| plain.strip_suffix(suffix))
    {
        plain = rest;
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_one_registry_are_siblings() {
        let hangzhou = ["registry", "registry-vpc", "registry-internal", "registry-intl"]
            .map(|first| format!("{first}.cn-hangzhou.aliyuncs.com"));
        let families: [&[&str]; 8] = [
            &hangzhou.each_ref().map(String::as_str),
            &[
                "acme-registry.cn-beijing.cr.aliyuncs.com",
                "acme-registry-vpc.cn-beijing.cr.aliyuncs.com",
            ],
            &[
                "crpi-x1.cn-beijing.personal.cr.aliyuncs.com",
                "crpi-x1-vpc.cn-beijing.personal.cr.aliyuncs.com",
            ],
            &[
                "1.dkr.ecr.us-east-1.amazonaws.com",
                "1.dkr.ecr-fips.us-east-1.amazonaws.com",
                "1.dkr-ecr.us-east-1.on.aws",
                "1.dkr-ecr-fips.us-east-1.on.aws",
            ],
            &[
                "1.dkr.ecr.cn-north-1.amazonaws.com",
                "1.dkr.ecr.cn-north-1.amazonaws.com.cn",
                "1.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn",
            ],
            &[
                "acme.azurecr.io",
                "acme.azurecr.cn",
                "acme.azurecr.us",
                "acme.westeurope.geo.azurecr.io",
            ],
            &["gcr.io", "us.gcr.io", "eu.gcr.io", "asia.gcr.io"],
            &["us-docker.pkg.dev", "europe-west1-docker.pkg.dev"],
        ];
        for family in families {
            for (one, two) in family.iter().flat_map(|one| family.iter().map(move |two| (one, two)))
            {
                assert_eq!(are_siblings(one, two), one != two, "{one} {two}");
            }
        }
        for (one, two) in [
            ("registry.cn-hangzhou.aliyuncs.com", "registry-vpc.cn-beijing.aliyuncs.com"),
            (
                "acme-registry.cn-beijing.cr.aliyuncs.com",
                "other-registry-vpc.cn-beijing.cr.aliyuncs.com",
            ),
            ("oss-cn-hangzhou.aliyuncs.com", "registry.cn-hangzhou.aliyuncs.com"),
            ("1.dkr.ecr.us-east-1.amazonaws.com", "2.dkr.ecr-fips.us-east-1.amazonaws.com"),
            ("1.dkr.ecr.us-east-1.amazonaws.com", "1.dkr.ecr-fips.us-east-2.amazonaws.com"),
            ("acme.azurecr.io", "other.azurecr.cn"),
            ("quay.io", "gcr.io"),
            ("registry.cn-hangzhou.aliyuncs.com:443", "registry-vpc.cn-hangzhou.aliyuncs.com"),
        ] {
            assert!(!are_siblings(one, two), "{one} {two}");
        }
        assert!(are_siblings("*.dkr.ecr.*.amazonaws.com", "1.dkr.ecr.cn-north-1.amazonaws.com.cn"));
        assert!(are_siblings(
            "*.dkr.ecr.*.amazonaws.com",
            "1.dkr.ecr-fips.us-east-1.amazonaws.com"
        ));
        assert!(are_siblings("*.azurecr.io", "acme.azurecr.cn"));
    }
}
