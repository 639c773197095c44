//! The registries of a rule: a host or a glob of hosts, perhaps with a port, perhaps with a path.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::glob;
use super::pattern_error::{PatternError, PatternProblem};
use crate::{docker_hub, image::grammar::scan_path};

/// A registry, a registry and a path, or a glob of registries, as a rule names them:
/// `host[:port][/path]`.
///
/// | part | how it is compared with an image |
/// |---|---|
/// | host | label by label, without regard to case; the number of labels is equal; `*` stands for any text, also none, within one label |
/// | port | exactly, as text; without one, only images without one |
/// | path | by whole segments from the left: `quay.io/acme` covers `quay.io/acme` and `quay.io/acme/app`, but not `quay.io/acmeevil/app`; with a slash at the end, `quay.io/acme/` covers only what is below; without one, every path |
///
/// A `*` in the host works as in the keys of a Docker config that the kubelet reads. The path is stricter than
/// the kubelet's, which compares raw prefixes, so that a rule cannot cover a stranger's path by accident. As the key
/// of a Secret, only the form with the slash is as strict: the kubelet offers a key `quay.io/acme` to
/// `quay.io/acmeevil/app`, too.
/// `index.docker.io` is the same as `docker.io`, as it is in an image. An IPv6 host stands in brackets and is
/// compared as text: `[fd00::1]` is not `[fd00:0::1]`, and no glob covers it.
///
/// Only hosts that an image can name are accepted: with a dot or a port, or `localhost`. (The first part of
/// `acme/app` is a path on Docker Hub; see `splitDockerDomain` in `github.com/distribution/reference`.)
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RegistryPattern {
    text: Box<str>,
    host: Box<str>,
    path: Box<str>,
}

// === impl RegistryPattern ===

impl RegistryPattern {
    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Host and port, in lower case, `docker.io` for Docker Hub; with `*` where the pattern is a glob.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path below the host, without a slash in front; empty where the pattern covers the whole host. It ends in a
    /// slash where the pattern covers only what is below the path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the host has a `*`, so that more than one host can fit.
    #[must_use]
    pub fn is_glob(&self) -> bool {
        self.host.contains('*')
    }

    /// Whether every image that `other` covers is covered by this pattern, too. A glob is compared label by label.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        let (name, port) = split_port(&self.host);
        let (other_name, other_port) = split_port(&other.host);
        let hosts = || {
            // A `*` of the other pattern fits only where there is one here: read as text, it is just that.
            let labels = name.split('.').count() == other_name.split('.').count();
            let covers = |(glob, label): (&str, &str)| glob::covers(glob, label);
            labels && name.split('.').zip(other_name.split('.')).all(covers)
        };
        let is_ipv6 = |host: &str| host.starts_with('[');
        let host =
            self.host == other.host || (port == other_port && !is_ipv6(other_name) && hosts());
        let whole = self.path.is_empty() || self.path.ends_with('/');
        let path = other.path.strip_prefix(&*self.path);
        host && path.is_some_and(|rest| whole || rest.is_empty() || rest.starts_with('/'))
    }

    /// An image that a pattern without a glob covers.
    #[must_use]
    pub fn example_image(&self) -> String {
        let image = format!("{}/{}", self.host, self.path);
        format!("{}/app", image.trim_end_matches('/'))
    }

    /// The pattern, or the first thing that is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, PatternProblem> {
        borrowed_from_urls_or_images(text).map_or(Ok(()), Err)?;
        let (host, path) =
            text.split_once('/').map_or((text, None), |(host, path)| (host, Some(path)));
        path.and_then(path_problem).or_else(|| host_problem(host)).map_or(Ok(()), Err)?;
        Ok(Self {
            text: text.into(),
            host: canonical_host(host).into(),
            path: path.unwrap_or_default().into(),
        })
    }

    /// The number of path segments.
    pub(super) fn segments(&self) -> usize {
        self.path.split('/').filter(|segment| !segment.is_empty()).count()
    }

    /// The number of characters of host and port that are not `*`.
    pub(super) fn literals(&self) -> usize {
        self.host.bytes().filter(|&byte| byte != b'*').count()
    }
}

impl FromStr for RegistryPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::parse(text).map_err(|problem| PatternError::new(text, problem))
    }
}

impl fmt::Display for RegistryPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The form of host and port in which patterns and images are compared. Allocates only where there is upper case.
pub(super) fn canonical_host(host: &str) -> Cow<'_, str> {
    let folded = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    };
    if docker_hub::is_named_by(&folded) { Cow::Borrowed(docker_hub::HOST) } else { folded }
}

/// Host and port apart. The port is `None` where there is no colon after the host.
pub(super) fn split_port(host: &str) -> (&str, Option<&str>) {
    let after_brackets = host.rfind(']').map_or(0, |bracket| bracket + 1);
    match host[after_brackets..].split_once(':') {
        None => (host, None),
        Some((rest, port)) => (&host[..after_brackets + rest.len()], Some(port)),
    }
}

// === grammar ===

/// What URLs and image references have, and patterns don't.
fn borrowed_from_urls_or_images(text: &str) -> Option<PatternProblem> {
    const DIGESTS: [&str; 3] = ["sha256:", "sha384:", "sha512:"];
    if text.is_empty() {
        return Some(PatternProblem::Empty);
    }
    // Before anything else, since nothing of such a text may be shown.
    if let Some((before, after)) = text.split_once('@') {
        let is_hex = |digest: &str| digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_digest =
            DIGESTS.iter().any(|algorithm| after.strip_prefix(algorithm).is_some_and(is_hex));
        return Some(if is_digest && !before.contains("://") {
            PatternProblem::Digest
        } else {
            PatternProblem::UserInfo
        });
    }
    if text.contains("://") {
        return Some(PatternProblem::Scheme);
    }
    if text.contains(char::is_whitespace) {
        return Some(PatternProblem::WhiteSpace);
    }
    None
}

fn path_problem(path: &str) -> Option<PatternProblem> {
    if path.is_empty() {
        return Some(PatternProblem::TrailingSlash);
    }
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.split('/').any(str::is_empty) {
        Some(PatternProblem::EmptySegment)
    } else if path.contains(':') {
        Some(PatternProblem::Tag)
    } else if path.contains('*') {
        Some(PatternProblem::PathWildcard)
    } else if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Some(PatternProblem::UpperCasePath)
    } else {
        path.split('/')
            .find(|segment| !is_path_segment(segment))
            .map(|segment| PatternProblem::PathSegment(segment.into()))
    }
}

fn is_path_segment(segment: &str) -> bool {
    scan_path(segment).is_ok_and(|(_, behind)| behind.is_empty())
}

fn host_problem(host: &str) -> Option<PatternProblem> {
    if host.starts_with('[') {
        return ipv6_problem(host);
    }
    if host.bytes().filter(|&byte| byte == b':').count() > 1 {
        return Some(PatternProblem::BareIpv6);
    }
    let (name, port) = split_port(host);
    if name == "*" && port.is_none() {
        return Some(PatternProblem::EveryHost);
    }
    if name.contains("**") {
        return Some(PatternProblem::DoubleStar);
    }
    if let Some(character) = name.chars().find(|&c| !is_host_character(c)) {
        return Some(PatternProblem::HostCharacter(character));
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Some(PatternProblem::EmptyLabel);
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Some(PatternProblem::DashedLabel(label.into()));
        }
    }
    if let Some(port) = port {
        return port_problem(port);
    }
    let is_host = name.contains('.') || name.eq_ignore_ascii_case("localhost");
    (!is_host).then_some(PatternProblem::NoHost)
}

fn is_host_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '*')
}

fn port_problem(port: &str) -> Option<PatternProblem> {
    if port.contains('*') {
        return Some(PatternProblem::PortWildcard);
    }
    // `u16::from_str` alone would also read "+5000".
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    let is_port = is_number && port.parse::<u16>().is_ok_and(|port| port > 0);
    (!is_port).then(|| PatternProblem::Port(port.into()))
}

fn ipv6_problem(host: &str) -> Option<PatternProblem> {
    let (address, rest) = host.split_once(']').unwrap_or((host, "?"));
    let address = &address[1..];
    let is_address = address.contains(':')
        && address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
    match rest.strip_prefix(':') {
        _ if !is_address => Some(PatternProblem::Ipv6),
        Some(port) => port_problem(port),
        None => (!rest.is_empty()).then_some(PatternProblem::Ipv6),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::image::ImageRef;

    #[test]
    fn accepts_what_an_image_can_name() {
        for (text, host, path) in [
            ("quay.io", "quay.io", ""),
            ("Quay.IO/acme", "quay.io", "acme"),
            ("ghcr.io/acme/team_a/x__y/a---b/v1.2", "ghcr.io", "acme/team_a/x__y/a---b/v1.2"),
            ("registry.internal:5000", "registry.internal:5000", ""),
            ("registry:5000/app", "registry:5000", "app"),
            ("localhost/app", "localhost", "app"),
            ("LocalHost", "localhost", ""),
            ("docker.io", "docker.io", ""),
            ("Index.Docker.io/acme", "docker.io", "acme"),
            ("index.docker.io:443", "index.docker.io:443", ""),
            ("10.0.0.1:5000", "10.0.0.1:5000", ""),
            ("[fd00::1]:5000", "[fd00::1]:5000", ""),
            ("[FD00::1]/app", "[fd00::1]", "app"),
            ("*.dkr.ecr.*.amazonaws.com", "*.dkr.ecr.*.amazonaws.com", ""),
            ("*:5000", "*:5000", ""),
            ("my-*-x.io", "my-*-x.io", ""),
            ("registry-1.docker.io", "registry-1.docker.io", ""),
            ("ghcr.io/acme/", "ghcr.io", "acme/"),
        ] {
            let pattern: RegistryPattern = text.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((pattern.host(), pattern.path()), (host, path), "{text}");
            assert_eq!(pattern.to_string(), text);
        }
    }

    #[test]
    fn a_pattern_includes_narrower_ones() {
        for (pattern, other, expected) in [
            ("quay.io", "quay.io", true),
            ("quay.io", "Quay.io/acme", true),
            ("quay.io/acme", "quay.io/acme/web", true),
            ("quay.io/acme", "quay.io/acmeevil", false),
            ("quay.io/acme", "quay.io", false),
            ("quay.io", "quay.io/acme/", true),
            ("quay.io/acme", "quay.io/acme/", true),
            ("quay.io/acme/", "quay.io/acme/", true),
            ("quay.io/acme/", "quay.io/acme/web", true),
            ("quay.io/acme/", "quay.io/acme", false),
            ("quay.io/acme/", "quay.io/acmeevil", false),
            ("quay.io", "quay.io:443", false),
            ("*.example.com", "a.example.com/x", true),
            ("*.example.com", "a-*.example.com", true),
            ("a-*.example.com", "*.example.com", false),
            ("a*.example.com", "a*b.example.com", true),
            ("*.example.com", "*.*.example.com", false),
            ("*.example.com:5000", "a.example.com:5000", true),
            ("*:5000", "[fd00::1]:5000", false),
            ("[fd00::1]:5000", "[FD00::1]:5000/app", true),
        ] {
            let read = |text: &str| text.parse::<RegistryPattern>().unwrap();
            assert_eq!(read(pattern).includes(&read(other)), expected, "{pattern} {other}");
        }
    }

    proptest! {
        // Whatever is accepted can be found in an image: no pattern is dead from the start.
        #[test]
        fn a_host_that_is_accepted_can_stand_in_an_image(
            text in "[a-zA-Z0-9.:\\[\\]/_-]{1,20}|[a-c.-]{1,6}(:[0-9]{0,6})?(/[a-b._-]{0,6})*",
        ) {
            let Ok(pattern) = text.parse::<RegistryPattern>() else { return Ok(()) };
            let image = format!("{}/app", text.trim_end_matches('/'));
            let image = ImageRef::parse(&image).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(&*canonical_host(image.registry()), pattern.host());
            let below = image.repository().into_owned();
            let path = pattern.path().trim_end_matches('/');
            prop_assert_eq!(below.strip_suffix("/app").unwrap_or_default(), path);
        }
    }
}
