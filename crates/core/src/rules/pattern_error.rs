//! What is wrong with a registry pattern, and what to write instead.

use crate::docker_hub::{HOST, OFFICIAL};
use std::fmt;

use super::name::Quoted;
use super::pattern::RegistryPattern;

/// The longest suggestion, in bytes: a message stays short however long the text is.
const SUGGESTION_MAX: usize = 120;

/// How many problems of one text are repaired on the way to a suggestion.
const REPAIRS_MAX: usize = 8;

/// Why a text is not a [`RegistryPattern`], and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError {
    text: Box<str>,
    problem: PatternProblem,
    write: Option<Box<str>>,
}

/// The first thing that is wrong with a registry pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PatternProblem {
    /// An IPv6 address outside brackets: its last group would read as a port.
    BareIpv6,
    /// A label of the host that starts or ends with a dash.
    DashedLabel(Box<str>),
    /// A digest, as an image reference has.
    Digest,
    /// `**`, which other tools read as several labels.
    DoubleStar,
    /// Nothing at all.
    Empty,
    /// A host with two dots side by side, or with one at an end.
    EmptyLabel,
    /// A path with two slashes side by side.
    EmptySegment,
    /// `*` alone: every host of one label, which is hardly what is meant.
    EveryHost,
    /// A character that no host in an image has.
    HostCharacter(char),
    /// Brackets around something other than an IPv6 address.
    Ipv6,
    /// A first part that images use for a path on Docker Hub.
    NoHost,
    /// A path segment that no image has.
    PathSegment(Box<str>),
    /// `*` in the path.
    PathWildcard,
    /// A port that is not a number from 1 to 65535.
    Port(Box<str>),
    /// `*` in the port.
    PortWildcard,
    /// A scheme, as a URL has.
    Scheme,
    /// A tag, as an image reference has.
    Tag,
    /// A slash behind the host and nothing below it.
    TrailingSlash,
    /// Upper case in the path; no image has any.
    UpperCasePath,
    /// A user before `@`, perhaps with a password.
    UserInfo,
    /// White space.
    WhiteSpace,
}

// === impl PatternError ===

impl PatternError {
    pub(super) fn new(text: &str, problem: PatternProblem) -> Self {
        let write = suggestion(text, &problem).map(Into::into);
        // A text with a user in it may hold a password: not even `Debug` may show it.
        let text = if problem == PatternProblem::UserInfo { "" } else { text };
        Self { text: text.into(), problem, write }
    }

    /// What is wrong.
    #[must_use]
    pub fn problem(&self) -> &PatternProblem {
        &self.problem
    }

    /// A pattern that would be accepted and is probably meant.
    #[must_use]
    pub fn suggestion(&self) -> Option<&str> {
        self.write.as_deref()
    }

    /// Whether the text may hold a credential, so that it must not be shown.
    #[must_use]
    pub fn is_confidential(&self) -> bool {
        self.problem == PatternProblem::UserInfo
    }
}

impl std::error::Error for PatternError {}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_confidential() {
            return f.write_str(
                "the registry has a user before \"@\": a mapping holds no credentials, \
                 write the host alone, such as quay.io",
            );
        }
        write!(f, "{} {}", Quoted(&self.text), self.problem)?;
        let otherwise = self.problem.advice();
        match &self.write {
            None if self.problem == PatternProblem::NoHost => write!(f, ": write {otherwise}"),
            None => write!(f, ": {otherwise}"),
            Some(write) if self.problem == PatternProblem::NoHost => {
                write!(f, ": write {write} for what is on Docker Hub, or else {otherwise}")
            }
            Some(write) => write!(f, ": write {write}"),
        }
    }
}

/// `text` without this problem and those that it hides, if that makes a pattern of presentable length.
fn suggestion(text: &str, problem: &PatternProblem) -> Option<String> {
    let mut candidate = problem.repair(text)?;
    for _ in 0..REPAIRS_MAX {
        match RegistryPattern::parse(&candidate) {
            Ok(_) => return Some(candidate).filter(|candidate| candidate.len() <= SUGGESTION_MAX),
            Err(problem) => candidate = problem.repair(&candidate)?,
        }
    }
    None
}

// === impl PatternProblem ===

impl PatternProblem {
    /// `text` without this problem, where there is an obvious way.
    fn repair(&self, text: &str) -> Option<String> {
        let head = |end: &str| text.split(end).next().map(str::to_owned);
        match self {
            Self::BareIpv6 => match text.split_once('/') {
                None => Some(format!("[{text}]")),
                Some((host, path)) => Some(format!("[{host}]/{path}")),
            },
            Self::Digest => head("@"),
            Self::EmptyLabel if text.starts_with('.') => Some(format!("*{text}")),
            Self::EmptyLabel => {
                let (host, path) = text.split_at(text.find('/').unwrap_or(text.len()));
                let labels: Vec<_> = host.split('.').filter(|label| !label.is_empty()).collect();
                Some(labels.join(".") + path)
            }
            Self::EmptySegment => {
                let segments: Vec<_> = text.split('/').filter(|part| !part.is_empty()).collect();
                Some(segments.join("/"))
            }
            Self::NoHost if text.contains('*') => None,
            Self::NoHost if text.contains('/') => Some(format!("{HOST}/{text}")),
            Self::NoHost => Some(format!("{HOST}/{OFFICIAL}{text}")),
            Self::PathWildcard => {
                let plain: Vec<_> =
                    text.split('/').take_while(|part| !part.contains('*')).collect();
                Some(plain.join("/"))
            }
            Self::Port(_) => {
                let (host, path) = text.split_once('/').unwrap_or((text, ""));
                let name = &host[..host.rfind(':')?];
                Some(if path.is_empty() { name.to_owned() } else { format!("{name}/{path}") })
            }
            Self::Scheme => {
                let rest = text.rsplit("://").next()?.trim_end_matches('/');
                // Docker configs name Docker Hub by the URL of an API that has long gone.
                let is_api = |version: &&str| matches!(*version, "/v1" | "/v2");
                let api = rest.get(rest.len().saturating_sub(3)..).filter(is_api);
                Some(rest.strip_suffix(api.unwrap_or_default())?.to_owned())
            }
            Self::Tag => {
                let slash = text.find('/')?;
                let colon = text[slash..].find(':')?;
                Some(text[..slash + colon].to_owned())
            }
            Self::TrailingSlash => Some(text.trim_end_matches('/').to_owned()),
            Self::UpperCasePath => Some(text.to_ascii_lowercase()),
            Self::WhiteSpace => Some(text.trim().to_owned()).filter(|trimmed| trimmed != text),
            Self::DashedLabel(_)
            | Self::DoubleStar
            | Self::Empty
            | Self::EveryHost
            | Self::HostCharacter(_)
            | Self::Ipv6
            | Self::PathSegment(_)
            | Self::PortWildcard
            | Self::UserInfo => None,
        }
    }

    /// What to do where no pattern can be suggested.
    fn advice(&self) -> &'static str {
        match self {
            Self::BareIpv6 | Self::Ipv6 => "write it as [fd00::1] or [fd00::1]:5000",
            Self::DoubleStar => {
                "write one pattern for each number of labels, such as *.example.com and *.*.example.com"
            }
            Self::EveryHost => {
                "name the registries, or list the Secret under `always` for every Pod"
            }
            Self::HostCharacter('_') => {
                "an image such as my_host.io/app names no host, so no rule can cover it; \
                 give the registry a name without `_`"
            }
            Self::HostCharacter(c) if !c.is_ascii() => {
                "write the host as it is in DNS, in ASCII (xn--…)"
            }
            Self::NoHost => "the host in full, such as registry.example.com or registry:5000",
            Self::PathSegment(_) => {
                "write lower-case letters and digits, joined by `.`, `_`, `__` or dashes"
            }
            Self::Port(_) | Self::PortWildcard => {
                "write the port in digits, and one pattern for each port"
            }
            Self::DashedLabel(_)
            | Self::Digest
            | Self::Empty
            | Self::EmptyLabel
            | Self::EmptySegment
            | Self::HostCharacter(_)
            | Self::PathWildcard
            | Self::Scheme
            | Self::Tag
            | Self::TrailingSlash
            | Self::UpperCasePath
            | Self::UserInfo
            | Self::WhiteSpace => "write a registry such as quay.io, quay.io/acme or registry:5000",
        }
    }
}

impl fmt::Display for PatternProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BareIpv6 => "has an IPv6 address without brackets",
            Self::DashedLabel(label) => {
                return write!(f, "has {} in its host, with a dash at an end", Quoted(label));
            }
            Self::Digest => "has a digest",
            Self::DoubleStar => "has `**`, but `*` stays within one label of the host",
            Self::Empty => "is empty",
            Self::EmptyLabel => "has a dot too many in its host",
            Self::EmptySegment => "has an empty segment in its path",
            Self::EveryHost => "names no registry",
            Self::HostCharacter(c) => return write!(f, "has {c:?} in its host"),
            Self::Ipv6 => "has brackets that do not hold just an IPv6 address",
            Self::NoHost => "has no host (a host has a dot or a port)",
            Self::PathSegment(segment) => {
                return write!(f, "has {} in its path, which no image can have", Quoted(segment));
            }
            Self::PathWildcard => {
                "has a wildcard in its path, but a path covers all below it anyway"
            }
            Self::Port(port) => {
                let port = Quoted(port);
                return write!(f, "has the port {port}, which is not a number from 1 to 65535");
            }
            Self::PortWildcard => "has a wildcard in its port",
            Self::Scheme => "has a scheme",
            Self::Tag => "has a tag",
            Self::TrailingSlash => "ends with a slash",
            Self::UpperCasePath => "has upper case in its path, which no image can have",
            Self::UserInfo => "has a user before \"@\"",
            Self::WhiteSpace => "has white space",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::pattern::RegistryPattern;

    fn refused(text: &str) -> String {
        text.parse::<RegistryPattern>().expect_err(text).to_string()
    }

    #[test]
    fn suggests_what_is_probably_meant() {
        for (text, suggestion) in [
            ("https://quay.io", Some("quay.io")),
            ("https://index.docker.io/v1/", Some("index.docker.io")),
            ("http://registry:5000/v2/", Some("registry:5000")),
            ("https://https://Quay.io/Acme/App:1.0//", Some("quay.io/acme/app")),
            ("quay.io/acme/app:1.0", Some("quay.io/acme/app")),
            ("quay.io/acme@sha256:0123", Some("quay.io/acme")),
            ("quay.io:latest", Some("quay.io")),
            ("quay.io:70000/acme", Some("quay.io/acme")),
            ("quay.io/", Some("quay.io")),
            ("quay.io//acme", Some("quay.io/acme")),
            ("quay.io/*", Some("quay.io")),
            ("quay.io/acme/**/app-*", Some("quay.io/acme")),
            ("quay.io/Acme", Some("quay.io/acme")),
            (".example.com", Some("*.example.com")),
            ("quay.io./acme", Some("quay.io/acme")),
            (" quay.io", Some("quay.io")),
            ("acme/app", Some("docker.io/acme/app")),
            ("nginx:1.25", Some("docker.io/library/nginx")),
            ("myregistry", Some("docker.io/library/myregistry")),
            ("fd00::1/app", Some("[fd00::1]/app")),
            ("quay..io:/acme", Some("quay.io/acme")),
            ("..", None),
            ("", None),
            ("*", None),
            ("registry*", None),
            ("quay.io:*", None),
            ("**.example.com", None),
            ("my_host.io", None),
            ("bücher.example", None),
            ("-a.io", None),
            ("[fd00::1", None),
            ("[fd00::1]x", None),
            ("[quay.io]", None),
            ("quay.io/a___b", None),
            ("quay.io, ghcr.io", None),
            ("quay.io?x", None),
        ] {
            let error = text.parse::<RegistryPattern>().expect_err(text);
            assert_eq!(error.suggestion(), suggestion, "{error}");
        }
    }

    #[test]
    fn says_what_is_wrong_and_what_to_write() {
        assert_eq!(refused("https://quay.io"), "\"https://quay.io\" has a scheme: write quay.io");
        assert_eq!(
            refused("quay.io:x"),
            "\"quay.io:x\" has the port \"x\", which is not a number from 1 to 65535: write quay.io"
        );
        assert_eq!(
            refused("acme/app"),
            "\"acme/app\" has no host (a host has a dot or a port): \
             write docker.io/acme/app for what is on Docker Hub, \
             or else the host in full, such as registry.example.com or registry:5000"
        );
    }

    #[test]
    fn never_repeats_a_credential() {
        for text in [
            "robot:hunter2@quay.io",
            "https://robot:hunter2@quay.io/acme",
            "https://robot:hunt/er2@quay.io",
            "https://robot:x@quay.io/app@sha256:hunter2",
            "quay.io@hunter2",
            "robot:hunter2@sha256:5000@quay.io",
        ] {
            let error = text.parse::<RegistryPattern>().expect_err(text);
            assert!(error.is_confidential(), "{text}");
            assert!(!format!("{error} {error:?}").contains("hunt"), "{error:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        let message = refused(&format!("https://{}", "a".repeat(100_000)));
        assert!(message.len() < 300, "{message}");
    }
}
