//! The host names of Docker Hub: the default registry of image references, with several hosts.

/// The host in image references, and the default where a reference has no registry.
pub const HOST: &str = "docker.io";

/// The former host, which images and mappings may still have instead of [`HOST`].
pub const LEGACY_HOST: &str = "index.docker.io";

/// The host that a node pulls from (containerd, `core/remotes/docker/config/hosts.go`).
pub const REGISTRY_HOST: &str = "registry-1.docker.io";

/// The key of the login in the config of `docker login`. To the kubelet it is the fallback for all images of Docker Hub.
pub const LOGIN_KEY: &str = "https://index.docker.io/v1/";

/// The path prefix of images with a single name, such as `nginx`.
pub const OFFICIAL: &str = "library/";

/// Hosts of Docker Hub that its image references do not name.
const OTHER_HOSTS: [&str; 4] =
    [REGISTRY_HOST, "hub.docker.com", "registry.hub.docker.com", "www.docker.com"];

/// Whether a host is [`HOST`] or [`LEGACY_HOST`]. Upper case or a port makes a different host.
#[must_use]
pub fn is_named_by(host: &str) -> bool {
    matches!(host, HOST | LEGACY_HOST)
}

/// Whether a host, in any case and with or without a port, belongs to Docker Hub although no image on Docker Hub names it.
#[must_use]
pub fn is_beside(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let (name, port) = host.split_once(':').unwrap_or((&host, ""));
    (is_named_by(name) && !port.is_empty()) || OTHER_HOSTS.contains(&name)
}

/// Whether a host, in any case and with any port, belongs to Docker Hub.
#[must_use]
pub fn is_any(host: &str) -> bool {
    let name = host.split(':').next().unwrap_or_default();
    is_named_by(&name.to_ascii_lowercase()) || is_beside(host)
}

/// The host, with its port, from which a node pulls images of `registry`.
#[must_use]
pub fn pulled_from(registry: &str) -> &str {
    if registry == HOST { REGISTRY_HOST } else { registry }
}

/// The keys under which a Docker config may have the login, in the order of lookup.
#[must_use]
pub fn login_keys() -> [&'static str; 4] {
    [LOGIN_KEY, LEGACY_HOST, HOST, REGISTRY_HOST]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_hosts_that_no_image_names() {
        for (host, beside) in [
            ("docker.io", false),
            ("index.docker.io", false),
            ("Index.Docker.io", false),
            ("docker.io:443", true),
            ("registry-1.docker.io", true),
            ("hub.docker.com:443", true),
            ("WWW.docker.com", true),
            ("quay.io:443", false),
            ("docker.io.example.com", false),
        ] {
            assert_eq!(is_beside(host), beside, "{host}");
            assert_eq!(
                is_any(host),
                host.to_ascii_lowercase().contains("docker.") && !host.contains("example"),
                "{host}"
            );
        }
    }
}
