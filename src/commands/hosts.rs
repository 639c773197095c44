//! Hosts of registries that mean something particular.

/// Hosts of Docker Hub that its images do not name: to the kubelet all of them are on `docker.io`.
const OTHER_HOSTS_OF_DOCKER_HUB: [&str; 4] =
    ["hub.docker.com", "registry-1.docker.io", "registry.hub.docker.com", "www.docker.com"];

/// Whether a host, perhaps with a port, belongs to Docker Hub, though images on Docker Hub do not name it.
pub(super) fn is_beside_docker_hub(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, ""));
    let with_port = matches!(name, "docker.io" | "index.docker.io") && !port.is_empty();
    with_port || OTHER_HOSTS_OF_DOCKER_HUB.contains(&name)
}

/// Whether a host, perhaps with a port, is the machine that asks for it: on each node another.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let name = if name.starts_with('[') && !name.ends_with(']') { host } else { name };
    name == "localhost" || name == "[::1]" || name.starts_with("127.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_registries_are_on_the_node_itself() {
        for (host, local) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("127.0.0.1:5000", true),
            ("[::1]:5000", true),
            ("[::1]", true),
            ("[fd00::1]", false),
            ("registry.localhost.io", false),
        ] {
            assert_eq!(is_loopback(host), local, "{host}");
        }
    }

    #[test]
    fn docker_hub_has_hosts_that_no_image_names() {
        for (host, beside) in [
            ("docker.io", false),
            ("index.docker.io", false),
            ("docker.io:443", true),
            ("registry-1.docker.io", true),
            ("hub.docker.com:443", true),
            ("quay.io:443", false),
        ] {
            assert_eq!(is_beside_docker_hub(host), beside, "{host}");
        }
    }
}
