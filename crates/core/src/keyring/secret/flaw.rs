//! Probable mistakes in a Secret that the kubelet accepts without an error.

use std::fmt;

use super::{Contents, Entry, Form, Value};
use crate::keyring::RegistryKey;

/// A probable mistake in a Secret that the kubelet can read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// Entries at the top level, as in the older form, in a Secret of the newer form. The kubelet ignores them.
    OlderForm,
    /// `auths` in a Secret of the older form, where the kubelet reads it as a registry key.
    NewerForm,
    /// The manifest of a Secret in place of the Docker config.
    Manifest {
        /// The data key that was read.
        data_key: &'static str,
    },
    /// An entry without a login.
    NoLogin {
        /// The key of the entry.
        key: RegistryKey,
    },
    /// An entry with a user or a password only.
    HalfLogin {
        /// The key of the entry.
        key: RegistryKey,
        /// The part that is empty.
        missing: Part,
    },
    /// An entry whose user or password has a probable mistake.
    Odd {
        /// The key of the entry.
        key: RegistryKey,
        /// The mistake, and in which part of the login.
        oddity: Oddity,
    },
}

/// A part of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The user's name.
    User,
    /// The password.
    Password,
}

/// A probable mistake in a user or password. A registry compares every byte, so the login fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Oddity {
    part: Part,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// A line break at the end, as `echo` writes it.
    LineBreakAtEnd,
    /// A line break somewhere else.
    LineBreak,
    /// A byte order mark at the start, as some editors write it.
    Mark,
    /// A character without width, often copied from a web page.
    Invisible,
    /// White space at either end.
    WhiteSpace,
    /// A control character.
    Control,
    /// Bytes that are not UTF-8, as of a file in UTF-16.
    NotUtf8,
}

/// The probable mistakes in a Secret of this type and data, which the kubelet reads as `contents`.
#[must_use]
pub fn flaws<'d>(
    type_: &str,
    data: impl Fn(&str) -> Option<&'d [u8]>,
    contents: &Contents,
) -> Vec<Flaw> {
    let (Some(form), Contents::Entries(entries)) = (Form::of_type(type_), contents) else {
        return Vec::new();
    };
    let members = data(form.data_key()).and_then(|text| Value::parse(text).ok()?.members().ok()?);
    let names: Vec<(String, Value<'_>)> = members.into_iter().flatten().collect();
    let has = |name: &str| names.iter().any(|(it, _)| super::go_json::is_named(it, name));
    // A member with the form of an entry: a host as the name, and an object with a login.
    let is_entry = |(name, value): &(String, Value<'_>)| {
        let members = value.members().ok().flatten();
        name.contains(['.', ':'])
            && members
                .is_some_and(|mut it| it.any(|(name, _)| matches!(&*name, "auth" | "username")))
    };
    if has("kind") && has("apiVersion") {
        return vec![Flaw::Manifest { data_key: form.data_key() }];
    }
    let mut flaws = Vec::new();
    match form {
        Form::DockerConfigJson if !has("auths") && names.iter().any(is_entry) => {
            flaws.push(Flaw::OlderForm);
        }
        Form::DockerCfg if has("auths") => flaws.push(Flaw::NewerForm),
        _ => {}
    }
    let is_no_key =
        |entry: &&Entry| flaws == [Flaw::NewerForm] && !entry.key.as_str().contains(['.', ':']);
    let of_entries: Vec<Flaw> =
        entries.iter().filter(|entry| !is_no_key(entry)).flat_map(of_entry).collect();
    flaws.extend(of_entries);
    flaws
}

fn of_entry(Entry { key, login }: &Entry) -> Vec<Flaw> {
    let key = || key.clone();
    if login.is_empty() {
        return vec![Flaw::NoLogin { key: key() }];
    }
    let missing = match (login.username().is_empty(), login.has_password()) {
        (true, _) => Some(Part::User),
        (_, false) => Some(Part::Password),
        _ => None,
    };
    let half = missing.map(|missing| Flaw::HalfLogin { key: key(), missing });
    let odd = login.oddities().iter().map(|&oddity| Flaw::Odd { key: key(), oddity });
    half.into_iter().chain(odd).collect()
}

// === impl Oddity ===

impl Oddity {
    /// The first probable mistake in the user, and the first in the password.
    #[must_use]
    pub fn of(username: &[u8], password: &[u8]) -> Vec<Self> {
        let parts = [(Part::User, username), (Part::Password, password)];
        parts
            .into_iter()
            .filter_map(|(part, text)| Some(Self { part, what: What::of(text)? }))
            .collect()
    }
}

impl What {
    fn of(text: &[u8]) -> Option<Self> {
        let Ok(text) = str::from_utf8(text) else { return Some(Self::NotUtf8) };
        let invisible = |c: char| {
            matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}')
        };
        if text.ends_with(['\n', '\r']) {
            Some(Self::LineBreakAtEnd)
        } else if text.contains(['\n', '\r']) {
            Some(Self::LineBreak)
        } else if text.starts_with('\u{feff}') {
            Some(Self::Mark)
        } else if text.contains(invisible) {
            Some(Self::Invisible)
        } else if text.trim() != text {
            Some(Self::WhiteSpace)
        } else if text.contains(char::is_control) {
            Some(Self::Control)
        } else {
            None
        }
    }
}

// === texts ===

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Password => "password",
        })
    }
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = self.part;
        match self.what {
            What::LineBreakAtEnd => write!(
                f,
                "the {part} ends with a line break, which the registry compares as well: write it with `printf %s`, not `echo`"
            ),
            What::LineBreak => write!(f, "there is a line break in the {part}"),
            What::Mark => write!(
                f,
                "the {part} begins with a byte order mark: save its file as UTF-8 without a mark"
            ),
            What::Invisible => write!(f, "there is an invisible character in the {part}"),
            What::WhiteSpace => write!(f, "the {part} begins or ends with white space"),
            What::Control => write!(f, "there is a control character in the {part}"),
            What::NotUtf8 => write!(f, "the {part} is not UTF-8 text"),
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (json, cfg) = (Form::DockerConfigJson, Form::DockerCfg);
        match self {
            Self::OlderForm => write!(
                f,
                "`{}` has its entries at the top, as in the older form, and the kubelet ignores them: put them under \
                 `auths`, or use the type `{}` with `{}`",
                json.data_key(),
                cfg.type_(),
                cfg.data_key(),
            ),
            Self::NewerForm => write!(
                f,
                "`{}` has `auths` in it, as in the newer form, and the kubelet reads that as a registry: use the type `{}` \
                 with `{}`",
                cfg.data_key(),
                json.type_(),
                json.data_key(),
            ),
            Self::Manifest { data_key } => write!(
                f,
                "`{data_key}` holds a whole manifest of a Secret: put the Docker config there, with `auths`"
            ),
            Self::NoLogin { key } => write!(
                f,
                "{key}: there is no login, so the registry is asked without one. Docker keeps it elsewhere where `credsStore` \
                 is set: make the Secret with pullcred secret"
            ),
            Self::HalfLogin { key, missing } => write!(f, "{key}: the {missing} is empty"),
            Self::Odd { key, oddity } => write!(f, "{key}: {oddity}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::read, *};

    fn shown(form: Form, text: &str) -> Vec<String> {
        let data = |key: &str| (key == form.data_key()).then_some(text.as_bytes());
        let contents = read(form.type_(), data).expect("readable");
        flaws(form.type_(), data, &contents).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_was_not_meant_in_a_login() {
        for (user, password, odd) in [
            ("robot", "pw", None),
            ("robot", "p w: \"é\"", None),
            ("robot", "pw\n", Some((Part::Password, What::LineBreakAtEnd))),
            ("robot", "pw\r\n", Some((Part::Password, What::LineBreakAtEnd))),
            ("robot\n", "pw", Some((Part::User, What::LineBreakAtEnd))),
            ("robot", "p\nw", Some((Part::Password, What::LineBreak))),
            ("\u{feff}robot", "pw", Some((Part::User, What::Mark))),
            ("robot", "\u{feff}pw", Some((Part::Password, What::Mark))),
            ("robot", "p\u{200b}w", Some((Part::Password, What::Invisible))),
            ("robot ", "pw", Some((Part::User, What::WhiteSpace))),
            ("robot", "\tpw", Some((Part::Password, What::WhiteSpace))),
            ("robot", "\u{a0}pw", Some((Part::Password, What::WhiteSpace))),
            ("robot", "p\u{1b}w", Some((Part::Password, What::Control))),
        ] {
            let expected: Vec<_> =
                odd.map(|(part, what)| Oddity { part, what }).into_iter().collect();
            assert_eq!(
                Oddity::of(user.as_bytes(), password.as_bytes()),
                expected,
                "{user:?} {password:?}"
            );
        }
        assert_eq!(Oddity::of(b"robot", b"\xff\xfep\0w\0")[0].what, What::NotUtf8);
    }

    #[test]
    fn the_form_of_the_other_type_is_named() {
        let entries = r#"{"registry.example.com": {"auth": "cm9ib3Q6cHc="}}"#;
        let auths = format!(r#"{{"auths": {entries}}}"#);
        let texts = shown(Form::DockerConfigJson, entries);
        assert!(texts.len() == 1 && texts[0].contains("as in the older form"), "{texts:?}");
        let texts = shown(Form::DockerCfg, &auths);
        assert!(texts.len() == 1 && texts[0].contains("as in the newer form"), "{texts:?}");
        let texts = shown(Form::DockerConfigJson, r#"{"apiVersion": "v1", "kind": "Secret"}"#);
        assert!(texts.len() == 1 && texts[0].contains("a whole manifest"), "{texts:?}");
        assert!(shown(Form::DockerConfigJson, &auths).is_empty());
        assert!(shown(Form::DockerCfg, entries).is_empty());
        assert!(shown(Form::DockerConfigJson, "{}").is_empty());
        assert!(shown(Form::DockerConfigJson, "null").is_empty());
    }

    #[test]
    fn an_entry_without_a_login_is_named() {
        let texts =
            shown(Form::DockerConfigJson, r#"{"auths": {"a.io": {}, "b.io": {"email": "x"}}}"#);
        assert!(
            texts.len() == 2 && texts.iter().all(|it| it.contains("there is no login")),
            "{texts:?}"
        );
        let texts = shown(Form::DockerConfigJson, r#"{"auths": {"a.io": {"username": "x"}}}"#);
        assert_eq!(texts, ["a.io: the password is empty"]);
    }
}
