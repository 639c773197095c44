//! The registries of a Pod's images: a quick look at a key, before a keyring is built from it.

use super::{is_on_docker_hub, location::without_scheme};
use crate::{docker_hub, image::ImageRef};

/// The hosts, with their ports, that keys for a Pod's images begin with.
pub(crate) struct Registries<'i>(Vec<&'i str>);

impl<'i> Registries<'i> {
    pub(crate) fn of(images: &[ImageRef<'i>]) -> Self {
        let mut hosts: Vec<&str> = images.iter().map(ImageRef::registry).collect();
        if hosts.iter().any(|host| is_on_docker_hub(host)) {
            hosts.push(docker_hub::LEGACY_HOST);
        }
        hosts.sort_unstable();
        hosts.dedup();
        Self(hosts)
    }

    /// Whether a keyring with this key may offer it for one of the images, by its text: `false` only where it does not.
    pub(crate) fn may_have(&self, key: &str) -> bool {
        let key = without_scheme(key);
        // Globs, an escape, or user information in front of the host. Without a stop at the first: that is quicker.
        let special = |found, byte| found | matches!(byte, b'*' | b'[' | b'%' | b'@');
        key.bytes().fold(false, special) || self.0.iter().any(|host| key.starts_with(host))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keyring::{Keyring, RegistryKey};

    fn of(image: &str) -> (ImageRef<'_>, Registries<'_>) {
        let image = ImageRef::parse(image).unwrap();
        let registries = Registries::of(std::slice::from_ref(&image));
        (image, registries)
    }

    proptest! {
        #[test]
        fn what_is_offered_may_be_there(
            scheme in prop::sample::select(vec!["", "https://", "http://", "HTTPS://", "u:p@", "https://u@"]),
            host in prop::sample::select(vec![
                "quay.io", "quay.io:", "*.io", "quay.io:5000", "index.docker.io", "docker.io", "[::1]:5000", "localhost",
                "q[u]ay.io", "quay.io%25", "*", "index.docker.io:",
            ]),
            path in prop::sample::select(vec!["", "/", "/v1/", "/a", "/v2/a", "?x", "#x", "/%61"]),
            image in prop::sample::select(vec![
                "quay.io/a/b", "quay.io:5000/a", "nginx", "docker.io/a/b", "localhost/a", "localhost:5000/a", "[::1]:5000/a",
                "a/b", "index.docker.io/a/b",
            ]),
        ) {
            let key = format!("{scheme}{host}{path}");
            let (image, registries) = of(image);
            let keyring = Keyring::new([("s", [RegistryKey::from(key.as_str())])]);
            if !keyring.lookup(&image).is_empty() {
                prop_assert!(registries.may_have(&key), "{key}");
            }
        }
    }

    #[test]
    fn keys_of_other_registries_are_passed_over() {
        let (_, registries) = of("reg.example.com/app");
        for key in
            ["quay.io", "https://ghcr.io", "https://index.docker.io/v1/", "reg.example.org/a"]
        {
            assert!(!registries.may_have(key), "{key}");
        }
    }
}
