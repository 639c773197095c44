//! Go's `net/url`, as far as a keyring needs it: the host and path of an `https://` URL.
//!
//! The rules are those of Go 1.26, in which a host may hold one colon only and brackets must hold an IPv6
//! address. Go's strings are bytes, and a percent escape may bring any byte into a path, so this is bytes too.

use ::core::net::Ipv6Addr;
use std::borrow::Cow;

/// Where a URL points: what stands between user information and query.
pub(super) struct Url<'a> {
    /// The host with its port, if any; an IPv6 address in its brackets.
    pub(super) host: Cow<'a, [u8]>,
    /// The decoded path; empty, or with a slash in front.
    pub(super) path: Cow<'a, [u8]>,
}

/// A part of a URL, which says what a percent escape may stand for in it.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    /// Any byte, escaped or not.
    Any,
    /// A host: no separators, and of ASCII only the percent sign may be escaped.
    Host,
    /// The zone of an IPv6 address: as a host, but what stands there may also be escaped.
    Zone,
}

// === impl Url ===

impl<'a> Url<'a> {
    /// Reads what stands behind `https://`. None where Go refuses the URL.
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        let (text, fragment) = cut(text, b'#');
        if text.iter().any(u8::is_ascii_control) {
            return None;
        }
        decode(fragment, Part::Any)?;
        let (text, _query) = cut(text, b'?');
        let slash = text.iter().position(|&byte| byte == b'/').unwrap_or(text.len());
        let (authority, path) = text.split_at(slash);
        let host = match authority.iter().rposition(|&byte| byte == b'@') {
            Some(at) => {
                let (user, host) = authority.split_at(at);
                check_user(user)?;
                host.get(1..)?
            }
            None => authority,
        };
        Some(Self { host: decode_host(host)?, path: decode(path, Part::Any)? })
    }
}

/// Splits at the first separator, which goes.
fn cut(text: &[u8], separator: u8) -> (&[u8], &[u8]) {
    let mut parts = text.splitn(2, |&byte| byte == separator);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

fn check_user(user: &[u8]) -> Option<()> {
    let is_allowed =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(byte);
    user.iter().all(is_allowed).then_some(())?;
    decode(user, Part::Any).map(drop)
}

fn decode_host(host: &[u8]) -> Option<Cow<'_, [u8]>> {
    match host.iter().rposition(|&byte| byte == b'[') {
        Some(0) => decode_ipv6(host),
        Some(_) => None,
        None => {
            let colon = host.iter().position(|&byte| byte == b':').unwrap_or(host.len());
            check_port(host.get(colon..)?)?;
            decode(host, Part::Host)
        }
    }
}

/// Reads `[address]` or `[address%25zone]`, each with or without a port.
fn decode_ipv6(host: &[u8]) -> Option<Cow<'_, [u8]>> {
    let close = host.iter().rposition(|&byte| byte == b']')?;
    let inner = host.get(1..close)?;
    let port = host.get(close + 1..)?;
    check_port(port)?;

    let zone = inner.windows(3).position(|window| window == b"%25").unwrap_or(inner.len());
    let (address, zone) = inner.split_at(zone);
    let decoded = [decode(address, Part::Host)?, decode(zone, Part::Zone)?].concat();

    // The percent sign may also have come in another way: only the decoded text counts.
    let (address, zone) = match decoded.iter().position(|&byte| byte == b'%') {
        Some(at) => (decoded.get(..at)?, decoded.get(at + 1..)),
        None => (decoded.as_slice(), None),
    };
    if zone.is_some_and(<[u8]>::is_empty) {
        return None;
    }
    str::from_utf8(address).ok()?.parse::<Ipv6Addr>().ok()?;
    Some(Cow::Owned([b"[", decoded.as_slice(), b"]", port].concat()))
}

/// Checks that a port is a colon and digits, or nothing at all. There may be no digits.
fn check_port(port: &[u8]) -> Option<()> {
    match port.split_first() {
        None => Some(()),
        Some((b':', digits)) if digits.iter().all(u8::is_ascii_digit) => Some(()),
        Some(_) => None,
    }
}

/// Decodes percent escapes. None where one is cut off, or where the part does not allow what stands there.
fn decode(text: &[u8], part: Part) -> Option<Cow<'_, [u8]>> {
    let mut decoded = Vec::new();
    let mut plain = text;
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        if byte != b'%' {
            if part != Part::Any && byte.is_ascii() && !is_host_byte(byte) {
                return None;
            }
            rest = behind;
            continue;
        }
        let value = hex(*behind.first()?)? << 4 | hex(*behind.get(1)?)?;
        let is_allowed = match part {
            Part::Any => true,
            Part::Host => value == b'%' || !value.is_ascii(),
            Part::Zone => matches!(value, b'%' | b' ') || is_host_byte(value),
        };
        if !is_allowed {
            return None;
        }
        decoded.extend_from_slice(plain.get(..plain.len() - rest.len())?);
        decoded.push(value);
        rest = behind.get(2..)?;
        plain = rest;
    }
    if plain.len() == text.len() {
        return Some(Cow::Borrowed(text));
    }
    decoded.extend_from_slice(plain);
    Some(Cow::Owned(decoded))
}

/// The ASCII that Go lets stand in a host as it is.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"".contains(&byte)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Url;

    /// The answers are those of Go 1.26 for `https://` and this text: host and path, or an error.
    #[test]
    fn reads_what_go_reads() {
        for (text, answer) in [
            ("", Some(("", ""))),
            ("quay.io/team", Some(("quay.io", "/team"))),
            ("quay.io:", Some(("quay.io:", ""))),
            ("quay.io:443x", None),
            ("a:1:2", None),
            ("user:p@ss@quay.io:5000/a%2Fb?q#f", Some(("quay.io:5000", "/a/b"))),
            ("us er@h", None),
            ("u%zz@h", None),
            ("quay.io#%zz", None),
            ("quay.io#\n", Some(("quay.io", ""))),
            ("quay.io/%zz", None),
            ("quay.io/a b", Some(("quay.io", "/a b"))),
            ("qu%61y.io", None),
            ("b%C3%BCcher.example%25", Some(("bücher.example%", ""))),
            ("a{b", None),
            ("a\x7f", None),
            ("a]b", Some(("a]b", ""))),
            ("[::1]:5000/x", Some(("[::1]:5000", "/x"))),
            ("[::1]x", None),
            ("[1.2.3.4]", None),
            ("[::ffff:1.2.3.4]", Some(("[::ffff:1.2.3.4]", ""))),
            ("[1:2:3:4:5:6:7:8::]", None),
            ("[fe80::1%25eth0]", Some(("[fe80::1%eth0]", ""))),
            ("[fe80::1%25]", None),
            ("[fe80::1%25%20%61]", Some(("[fe80::1% a]", ""))),
            ("[fe80::1%25%5e]", None),
        ] {
            let url = Url::parse(text.as_bytes());
            let ours = url.as_ref().map(|url| (&*url.host, &*url.path));
            let go = answer.map(|(host, path)| (host.as_bytes(), path.as_bytes()));
            assert_eq!(ours, go, "{text:?}");
        }
    }
}
