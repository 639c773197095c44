//! The grammar of `distribution/reference`, one scanner for each part of a reference.
//!
//! The scanners that take text from the front return what they took and what is left.

use super::ImageError;

/// The longest tag, in bytes.
const MAX_TAG: usize = 128;

/// Checks `host`, `host:port`, `[IPv6]` or `[IPv6]:port`.
pub(super) fn scan_registry(text: &str) -> Result<(), ImageError> {
    let (host, port) = match text.strip_prefix('[') {
        Some(inner) => {
            let (address, behind) = inner.split_once(']').ok_or(ImageError::Ipv6)?;
            // Not checked for being an address: the grammar does not either, and lets `[:]` pass.
            if address.is_empty() || !address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':') {
                return Err(ImageError::Ipv6);
            }
            match behind.strip_prefix(':') {
                Some(port) => (None, Some(port)),
                None if behind.is_empty() => (None, None),
                None => return Err(ImageError::Ipv6),
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(text), None),
        },
    };
    if let Some(host) = host {
        scan_host(host)?;
    }
    match port {
        Some(port) if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) => {
            Err(ImageError::Port)
        }
        _ => Ok(()),
    }
}

/// Checks labels of letters, digits and inner dashes, joined by dots.
fn scan_host(host: &str) -> Result<(), ImageError> {
    let mut before = b'.';
    for (at, byte) in host.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => {}
            b'-' if before != b'.' => {}
            b'.' if before != b'.' && before != b'-' => {}
            b'-' | b'.' => return Err(ImageError::HostLabel),
            _ => return Err(ImageError::HostCharacter(char_at(host, at))),
        }
        before = byte;
    }
    if matches!(before, b'.' | b'-') { Err(ImageError::HostLabel) } else { Ok(()) }
}

/// What may follow in a path component.
#[derive(Clone, Copy, PartialEq)]
enum After {
    Slash,
    Alphanumeric,
    Dot,
    Underscore,
    TwoUnderscores,
    Dash,
}

/// Takes a path: components of lower-case letters and digits, joined within by one of `.`, `_`, `__` or
/// any number of `-`, and with each other by `/`. Ends at `:`, `@` or the end of the text.
pub(crate) fn scan_path(text: &str) -> Result<(&str, &str), ImageError> {
    let mut after = After::Slash;
    let mut end = text.len();
    for (at, byte) in text.bytes().enumerate() {
        after = match (byte, after) {
            (b'a'..=b'z' | b'0'..=b'9', _) => After::Alphanumeric,
            (b'/', After::Alphanumeric) => After::Slash,
            (b'.', After::Alphanumeric) => After::Dot,
            (b'_', After::Alphanumeric) => After::Underscore,
            (b'_', After::Underscore) => After::TwoUnderscores,
            (b'-', After::Alphanumeric | After::Dash) => After::Dash,
            (b':' | b'@', _) => {
                end = at;
                break;
            }
            (b'/', After::Slash) => return Err(ImageError::PathEmpty),
            (b'/' | b'.' | b'_' | b'-', _) => return Err(ImageError::PathSeparator),
            (b'A'..=b'Z', _) => return Err(ImageError::PathUpperCase(char::from(byte))),
            _ => return Err(ImageError::PathCharacter(char_at(text, at))),
        };
    }
    match after {
        After::Alphanumeric => Ok(text.split_at(end)),
        After::Slash => Err(ImageError::PathEmpty),
        _ => Err(ImageError::PathSeparator),
    }
}

/// Takes `:tag` if there is one.
pub(super) fn scan_tag(text: &str) -> Result<(Option<&str>, &str), ImageError> {
    let Some(text) = text.strip_prefix(':') else {
        return Ok((None, text));
    };
    let (tag, rest) = text.split_at(text.find('@').unwrap_or(text.len()));
    for (at, byte) in tag.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => {}
            b'.' | b'-' if at > 0 => {}
            b'.' | b'-' => return Err(ImageError::TagStart(char::from(byte))),
            _ => return Err(ImageError::TagCharacter(char_at(tag, at))),
        }
    }
    match tag.len() {
        0 => Err(ImageError::TagEmpty),
        1..=MAX_TAG => Ok((Some(tag), rest)),
        length => Err(ImageError::TagTooLong { length }),
    }
}

/// Takes `@digest` if there is one, which must then be the rest of the text.
///
/// The grammar allows any algorithm, but then only the registered ones count: sha256, sha384, sha512.
pub(super) fn scan_digest(text: &str) -> Result<Option<&str>, ImageError> {
    let Some(digest) = text.strip_prefix('@') else {
        return Ok(None);
    };
    let (algorithm, hex) = digest.split_once(':').ok_or(ImageError::DigestForm)?;
    let want = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Err(ImageError::DigestAlgorithm),
    };
    if let Some(at) = hex.bytes().position(|b| !matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(ImageError::DigestCharacter(char_at(hex, at)));
    }
    if hex.len() != want {
        return Err(ImageError::DigestLength { want, length: hex.len() });
    }
    Ok(Some(digest))
}

/// The character that starts at a byte. All bytes before it are ASCII, so it is a boundary.
fn char_at(text: &str, at: usize) -> char {
    text.get(at..).and_then(|rest| rest.chars().next()).unwrap_or(char::REPLACEMENT_CHARACTER)
}
