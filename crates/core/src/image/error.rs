//! What can be wrong with an image reference, for people.

/// Why a text is no image reference, and what to write.
///
/// The messages quote at most one character of the text, so they are safe to log and short enough for
/// an admission warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A digest of an algorithm other than sha256, sha384 or sha512.
    #[error("unknown digest algorithm: write `@sha256:…`, `@sha384:…` or `@sha512:…`")]
    DigestAlgorithm,
    /// A character that is no lower-case hexadecimal digit.
    #[error("{0:?} in the digest: behind `sha256:` only the digits 0-9 and a-f may stand")]
    DigestCharacter(char),
    /// No `algorithm:digits` behind the `@`.
    #[error("no digest behind the `@`: write `@sha256:` and 64 hexadecimal digits")]
    DigestForm,
    /// The wrong number of digits for the algorithm.
    #[error("the digest has {length} digits instead of {want}: it was cut off or mixed up")]
    DigestLength {
        /// How many digits the algorithm has.
        want: usize,
        /// How many digits stand there.
        length: usize,
    },
    /// The text is empty.
    #[error("the image is empty: write a name such as `nginx:1.27`")]
    Empty,
    /// A character that no host name has.
    #[error("{0:?} in the registry's host: only letters, digits, `-` and `.` may stand there")]
    HostCharacter(char),
    /// A label of the host is empty, or starts or ends with a dash.
    #[error(
        "each part of the registry's host between the dots must start and end with a letter or digit"
    )]
    HostLabel,
    /// Exactly 64 hexadecimal digits: reserved for image IDs.
    #[error("64 hexadecimal digits are an image ID, not a name: write `name@sha256:…`")]
    ImageId,
    /// Text in brackets that is no IPv6 address, or an opening bracket without its end.
    #[error("the registry is no IPv6 address in brackets: write `[2001:db8::1]:5000/name`")]
    Ipv6,
    /// A character that no repository name has.
    #[error("{0:?} in the repository name: only a-z, 0-9, `.`, `_`, `-` and `/` may stand there")]
    PathCharacter(char),
    /// A path component without any character.
    #[error(
        "part of the repository name is missing: write `registry/name`, with single slashes between parts"
    )]
    PathEmpty,
    /// A separator at the start or end of a component, or separators that do not go together.
    #[error(
        "`.`, `_`, `__` and dashes of a repository name must stand singly between letters or digits"
    )]
    PathSeparator,
    /// The repository's path is over 255 bytes.
    #[error(
        "the repository name has {length} characters: at most 255 are allowed, `library/` included"
    )]
    PathTooLong {
        /// How many bytes the path has, `library/` included.
        length: usize,
    },
    /// An upper-case letter in the repository's path.
    #[error("upper-case letter {0:?} in the repository name: write it in lower case")]
    PathUpperCase(char),
    /// A placeholder of some template language.
    #[error(
        "the image still has a template's placeholder: it was not filled in before the Pod was made"
    )]
    Placeholder,
    /// The registry's port is empty or not all digits.
    #[error("the registry's port must be digits only: write `host:5000/name`")]
    Port,
    /// A URL, or a reference with a transport in front.
    #[error("the image starts with a scheme: leave out all up to and with the `://`")]
    Scheme,
    /// A character that no tag has.
    #[error("{0:?} in the tag: only letters, digits, `_`, `.` and `-` may stand there")]
    TagCharacter(char),
    /// A colon without a tag behind it.
    #[error("no tag behind the `:`: write one, or leave out the colon")]
    TagEmpty,
    /// A tag that starts with a dot or dash.
    #[error("the tag starts with {0:?}: it must start with a letter, digit or `_`")]
    TagStart(char),
    /// The tag is over 128 bytes.
    #[error("the tag has {length} characters: at most 128 are allowed")]
    TagTooLong {
        /// How many bytes the tag has.
        length: usize,
    },
    /// White space or a line break at either end.
    #[error("white space around the image: remove it")]
    WhiteSpace,
}

// === impl ImageError ===

impl ImageError {
    /// The error of the whole text where that says more than the error of one of its parts.
    pub(super) fn or_clearer(self, image: &str) -> Self {
        if image.trim() != image {
            Self::WhiteSpace
        } else if ["{{", "${", "$("].iter().any(|mark| image.contains(mark)) {
            Self::Placeholder
        } else if image.contains("://") {
            Self::Scheme
        } else {
            self
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::image::ImageRef;

    /// The message for an image that is refused.
    fn message(image: &str) -> String {
        ImageRef::parse(image).expect_err("not a reference").to_string()
    }

    #[test]
    fn messages_say_what_to_write() {
        assert_eq!(
            message("quay.io/Team/app"),
            "upper-case letter 'T' in the repository name: write it in lower case"
        );
        assert_eq!(
            message("https://quay.io/team/app"),
            "the image starts with a scheme: leave out all up to and with the `://`"
        );
        assert_eq!(
            message("quay.io/team/app:"),
            "no tag behind the `:`: write one, or leave out the colon"
        );
        assert_eq!(message("nginx\n"), "white space around the image: remove it");
        assert!(message("quay.io/team/app:{{ .Values.tag }}").contains("placeholder"));
        assert!(message("nginx@sha256:0123").contains("has 4 digits instead of 64"));
    }

    #[test]
    fn a_message_is_short_whatever_the_image() {
        let long = "é\u{7}".repeat(10_000);
        for image in
            [long.clone(), format!("a:{long}"), format!("h.io:5/{long}"), format!("a@{long}")]
        {
            assert!(message(&image).chars().count() <= 120);
        }
    }
}
