//! Why a key that was meant for an image does not match it.

use std::fmt;

use super::{
    DOCKER_HUB_KEY,
    cloud::are_siblings,
    is_on_docker_hub,
    key::RegistryKey,
    location::{Comparison, Host, Location, index_key, without_scheme},
};
use crate::{docker_hub, image::ImageRef};

/// The one thing that keeps a key from matching an image.
///
/// Its text goes on after "`KEY` does not match `NAME`: ".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NearMiss {
    /// The path is the API version without the slash behind it.
    ApiVersion,
    /// Upper and lower case differ.
    Case,
    /// The key is meant for Docker Hub but is not the one that the kubelet falls back to.
    DockerHub,
    /// The key is the fallback for Docker Hub, and another key matches.
    DockerHubHidden,
    /// The key is no URL.
    Dropped,
    /// Both name the same IPv6 address, without a port.
    Ipv6,
    /// The hosts have a different number of labels.
    LabelCount,
    /// The path lacks Docker Hub's `library/`.
    Library,
    /// The path is not the start of the image's path.
    Path,
    /// The path has a wildcard in it.
    PathWildcard,
    /// The ports differ.
    Port,
    /// The key has a `?` for a wildcard.
    QuestionMark,
    /// The key has a scheme that is not taken off.
    Scheme,
    /// The key names another host of the same registry or of its provider.
    Sibling,
    /// The path has a tag or digest behind it.
    TagOrDigest,
}

/// Why a key does not match an image though only one thing about it is wrong. None where the kubelet tries
/// the key for the image, and where the key is for something else.
///
/// It knows one key only, and so never says [`NearMiss::DockerHubHidden`].
#[must_use]
pub fn near_miss(key: &RegistryKey, image: &ImageRef<'_>) -> Option<NearMiss> {
    let key = key.as_str();
    let name = image.name();
    let Some((index_key, location)) =
        index_key(key).and_then(|key| Location::parse(&key).map(|location| (key, location)))
    else {
        return Some(NearMiss::Dropped);
    };
    if is_on_docker_hub(&name) {
        if index_key == DOCKER_HUB_KEY {
            return None;
        }
        if image.registry() == docker_hub::HOST && is_other_docker_hub(&index_key) {
            return Some(NearMiss::DockerHub);
        }
    }
    let is_sibling = || {
        let index_key = String::from_utf8_lossy(&index_key);
        let (host, path) = index_key.split_once('/').unwrap_or((&index_key, ""));
        image.repository().starts_with(path) && are_siblings(host, image.registry())
    };
    // An image without a location matches no key, so no key is near.
    let at = Location::parse(name.as_bytes())?;

    match location.compare(&at) {
        Comparison { host: Host::Match, port: true, path: true } => None,
        Comparison { host: Host::Match, port: true, path: false } => {
            Some(path(location.path(), image))
        }
        Comparison { host: Host::Match, port: false, path: true } => Some(NearMiss::Port),
        Comparison { host: Host::Count { tail: true }, port: true, path: true } => {
            Some(NearMiss::LabelCount)
        }
        Comparison { port: true, path: true, .. } if is_same_ipv6(&location, image, &at) => {
            Some(NearMiss::Ipv6)
        }
        _ => mistyped(key, &name).or_else(|| is_sibling().then_some(NearMiss::Sibling)),
    }
}

/// What is wrong with a path where host and port are right.
fn path(path: &[u8], image: &ImageRef<'_>) -> NearMiss {
    let repository = format!("/{}", image.repository());
    let is_start_up_to = |mark: &[u8]| {
        let at = path.iter().position(|byte| mark.contains(byte));
        at.and_then(|at| path.get(..at)).is_some_and(|path| repository.as_bytes().starts_with(path))
    };
    if matches!(path, b"/v1" | b"/v2") {
        NearMiss::ApiVersion
    } else if is_start_up_to(b"*") {
        NearMiss::PathWildcard
    } else if is_start_up_to(b":@") {
        NearMiss::TagOrDigest
    } else if image.is_official() && format!("/{}", image.path()).as_bytes().starts_with(path) {
        NearMiss::Library
    } else if repository.as_bytes().starts_with(&path.to_ascii_lowercase()) {
        NearMiss::Case
    } else {
        NearMiss::Path
    }
}

/// Whether the key would match if it were written a little differently.
fn mistyped(key: &str, name: &str) -> Option<NearMiss> {
    let would_match = |key: &str, name: &str| {
        let key = index_key(key).and_then(|key| Location::parse(&key));
        let image = Location::parse(name.as_bytes());
        key.zip(image).is_some_and(|(key, image)| key.compare(&image).is_match())
    };
    let without_other_scheme = || {
        let rest = without_scheme(key);
        rest.split_once("://").map(|(_, rest)| rest).or_else(|| rest.strip_prefix("//"))
    };
    if would_match(&key.to_ascii_lowercase(), &name.to_ascii_lowercase()) {
        // In lower case a scheme is taken off, too.
        let is_scheme = without_other_scheme().is_some_and(|key| would_match(key, name));
        Some(if is_scheme { NearMiss::Scheme } else { NearMiss::Case })
    } else if without_other_scheme().is_some_and(|key| would_match(key, name)) {
        Some(NearMiss::Scheme)
    } else if key.contains('?') && would_match(&key.replace('?', "*"), name) {
        Some(NearMiss::QuestionMark)
    } else {
        None
    }
}

/// Whether an index key names a host of Docker Hub, in any case and with any port or path.
fn is_other_docker_hub(index_key: &[u8]) -> bool {
    let index_key = String::from_utf8_lossy(index_key).to_ascii_lowercase();
    let host = index_key.split('/').next().unwrap_or_default();
    // What names the host as images do has another fault, such as its port or path.
    docker_hub::is_any(host) && host.split(':').next() != Some(docker_hub::HOST)
}

fn is_same_ipv6(key: &Location, image: &ImageRef<'_>, at: &Location) -> bool {
    image.registry().starts_with('[') && key.has_host_of(at)
}

impl fmt::Display for NearMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ApiVersion => "`/v1` and `/v2` are taken off only with a slash behind them",
            Self::Case => "upper and lower case must be the same, in hosts too",
            Self::DockerHub => "the key for all of Docker Hub is `https://index.docker.io/v1/`",
            Self::DockerHubHidden => "it is tried only where no other key matches, and one does",
            Self::Dropped => {
                "it cannot be read as a URL, so the kubelet drops it: write `host`, `host:port` or `host/path`"
            }
            Self::Ipv6 => "an IPv6 address without a port is read as a pattern, and matches no address",
            Self::LabelCount => {
                "hosts must have the same number of parts between dots, and a `*` is within one of them"
            }
            Self::Library => "the path of an official image starts with `library/`",
            Self::Path => "the key's path must be the start of the image's path",
            Self::PathWildcard => "a `*` means nothing in a path: the start of the path is enough",
            Self::Port => "ports are compared as text, and one that is left out equals no other, not even 443",
            Self::QuestionMark => "a `?` starts a URL's query: the only wildcard is `*`",
            Self::Scheme => "only `https://` and `http://` in lower case may stand in front",
            Self::Sibling => {
                "it is another host of the same provider, and to the kubelet public, internal and regional hosts have nothing \
                 in common: name each host that images name"
            }
            Self::TagOrDigest => "a key names a repository, without tag or digest",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_wrong() {
        for (key, image, reason) in [
            ("quay.io", "quay.io/team/app", None),
            ("ghcr.io", "quay.io/team/app", None),
            ("https://index.docker.io/v1/", "nginx", None),
            ("index.docker.io/team", "quay.io/team/app", None),
            ("quay.io:443/other", "quay.io/team/app", None),
            ("https://quay.io/v2", "quay.io/team/app", Some(NearMiss::ApiVersion)),
            ("Quay.io", "quay.io/team/app", Some(NearMiss::Case)),
            ("quay.io/Team", "quay.io/team/app", Some(NearMiss::Case)),
            ("quay.io", "QUAY.io/team/app", Some(NearMiss::Case)),
            ("https://index.docker.io/v1", "nginx", Some(NearMiss::DockerHub)),
            ("https://Index.docker.io/v1/", "nginx", Some(NearMiss::DockerHub)),
            ("registry-1.docker.io", "team/app", Some(NearMiss::DockerHub)),
            ("quay.io:*", "quay.io/team/app", Some(NearMiss::Dropped)),
            ("[::1]", "[::1]/app", Some(NearMiss::Ipv6)),
            ("*.example.com", "example.com/app", Some(NearMiss::LabelCount)),
            ("*.example.com", "a.b.example.com/app", Some(NearMiss::LabelCount)),
            ("docker.io/nginx", "nginx", Some(NearMiss::Library)),
            ("quay.io/other", "quay.io/team/app", Some(NearMiss::Path)),
            ("quay.io/team/*", "quay.io/team/app", Some(NearMiss::PathWildcard)),
            ("registry.example.com:443", "registry.example.com/app", Some(NearMiss::Port)),
            ("reg?.example.com", "reg1.example.com/app", Some(NearMiss::QuestionMark)),
            ("HTTPS://quay.io", "quay.io/team/app", Some(NearMiss::Scheme)),
            ("docker://quay.io", "quay.io/team/app", Some(NearMiss::Scheme)),
            ("quay.io/team/app:1", "quay.io/team/app:1", Some(NearMiss::TagOrDigest)),
        ] {
            let image = ImageRef::parse(image).expect("a reference");
            assert_eq!(near_miss(&key.into(), &image), reason, "{key} for {image}");
        }
    }
}
