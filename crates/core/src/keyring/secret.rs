//! Reads the data of one Secret into the entries that the kubelet finds in it.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use zeroize::Zeroizing;

use super::go_json::{self, Members, Value};
use super::key::RegistryKey;
use crate::expiry::Life;

pub use super::go_json::{Kind, SyntaxError};

mod flaw;
mod form;
#[cfg(test)]
mod tests;

pub use flaw::{Flaw, Oddity, Part, flaws};
pub use form::Form;

/// The content of a Secret, as the kubelet reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contents {
    /// The entries, sorted by key. The list may be empty.
    Entries(Vec<Entry>),
    /// The kubelet ignores the Secret. The Pod's other Secrets still count.
    Ignored(Ignored),
}

/// Why the kubelet ignores a Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ignored {
    /// The data under the key of its type is empty.
    Empty {
        /// The key of the Secret's type.
        data_key: &'static str,
    },
    /// There is no data under the key of its type.
    NoData {
        /// The key of the Secret's type.
        data_key: &'static str,
        /// Whether there is data under the key of the other type.
        other: Option<&'static str>,
    },
    /// The Secret has this type, which is not one of the two pull Secret types.
    Type(Box<str>),
}

/// One entry of a Secret: a registry and the login for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key, as it is written in the Secret.
    pub key: RegistryKey,
    /// The user, and whether there is a password.
    pub login: Login,
}

/// The login of an entry, without the password itself. The user is overwritten in memory when dropped: some registries accept
/// a token as the user name.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Login {
    username: Zeroizing<Vec<u8>>,
    has_password: bool,
    life: Option<Life>,
    oddities: Vec<Oddity>,
}

/// Why a Secret cannot be read. With one such Secret, the kubelet fails every pull of the Pod.
///
/// The messages name registry keys, without credentials in them, and types and offsets, but no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// `auth` of an entry is not base64 that Go decodes.
    #[error("`auth` of the entry `{key}` is not base64: write the base64 of `user:password`")]
    AuthBase64 {
        /// The key of the entry.
        key: RegistryKey,
    },
    /// `auth` of an entry holds no user and password.
    #[error("`auth` of the entry `{key}` has no colon in it: write the base64 of `user:password`")]
    AuthColon {
        /// The key of the entry.
        key: RegistryKey,
    },
    /// The document is not an object.
    #[error("`{data_key}` must hold an object, not {found}")]
    Document {
        /// The data key that was read.
        data_key: &'static str,
        /// The JSON type in its place.
        found: Kind,
    },
    /// An entry is not an object.
    #[error("the entry `{key}` must be an object such as {{\"auth\": …}}, not {found}")]
    Entry {
        /// The key of the entry.
        key: RegistryKey,
        /// The JSON type in its place.
        found: Kind,
    },
    /// A member of an entry is not a string.
    #[error("`{member}` of the entry `{key}` must be a string in quotes, not {found}")]
    EntryMember {
        /// The key of the entry.
        key: RegistryKey,
        /// The member's name.
        member: &'static str,
        /// The JSON type in its place.
        found: Kind,
    },
    /// A value of `HttpHeaders` is not a string.
    #[error("every value of `HttpHeaders` must be a string in quotes, not {found}")]
    Header {
        /// The JSON type in its place.
        found: Kind,
    },
    /// The document starts with a byte order mark, which Go's decoder does not accept.
    #[error(
        "`{data_key}` begins with a byte order mark, which the kubelet does not read: save the file as UTF-8 without it"
    )]
    Mark {
        /// The data key that was read.
        data_key: &'static str,
    },
    /// `auths` or `HttpHeaders` is not an object.
    #[error("`{member}` must be an object, not {found}")]
    Member {
        /// The member's name.
        member: &'static str,
        /// The JSON type in its place.
        found: Kind,
    },
    /// The data is not one JSON document.
    #[error("`{data_key}` is not JSON: {fault}")]
    Syntax {
        /// The data key that was read.
        data_key: &'static str,
        /// The syntax error, with its offset in bytes.
        fault: SyntaxError,
    },
}

/// The byte order marks of UTF-8 and UTF-16.
const MARKS: [&[u8]; 3] = [b"\xef\xbb\xbf", b"\xfe\xff", b"\xff\xfe"];

/// User and password of an entry, byte for byte as the kubelet sends them. Overwritten in memory when dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Credential {
    pub(crate) username: Zeroizing<Vec<u8>>,
    pub(crate) password: Zeroizing<Vec<u8>>,
}

/// Entries by key: a later one replaces an earlier one.
pub(crate) type Entries = BTreeMap<String, Credential>;

/// Reads a Secret as the kubelet does, from its type and its data, which `data` finds by key.
///
/// # Errors
///
/// [`SecretError`] where the kubelet cannot read the Secret: it then pulls no image of the Pod.
pub fn read<'d>(
    type_: &str,
    data: impl Fn(&str) -> Option<&'d [u8]>,
) -> Result<Contents, SecretError> {
    let entries = match entries(type_, data)? {
        Ok(entries) => entries,
        Err(ignored) => return Ok(Contents::Ignored(ignored)),
    };
    let entries = entries.into_iter().map(|(key, credential)| Entry {
        key: key.into(),
        login: Login::of(&credential.username, &credential.password),
    });
    Ok(Contents::Entries(entries.collect()))
}

/// As [`read`], with the passwords.
pub(crate) fn entries<'d>(
    type_: &str,
    data: impl Fn(&str) -> Option<&'d [u8]>,
) -> Result<Result<Entries, Ignored>, SecretError> {
    let Some(form) = Form::of_type(type_) else {
        return Ok(Err(Ignored::Type(type_.into())));
    };
    let data_key = form.data_key();
    let text = match data(data_key) {
        None => {
            let other = Some(form.other().data_key()).filter(|key| data(key).is_some());
            return Ok(Err(Ignored::NoData { data_key, other }));
        }
        Some([]) => return Ok(Err(Ignored::Empty { data_key })),
        Some(text) => text,
    };

    if MARKS.iter().any(|mark| text.starts_with(mark)) {
        return Err(SecretError::Mark { data_key });
    }
    let document = Value::parse(text).map_err(|fault| SecretError::Syntax { data_key, fault })?;
    let members = document.members().map_err(|found| SecretError::Document { data_key, found })?;
    let mut entries = Entries::new();
    if let Some(members) = members {
        match form {
            Form::DockerConfigJson => read_config(members, &mut entries)?,
            Form::DockerCfg => read_entries(members, &mut entries)?,
        }
    }
    Ok(Ok(entries))
}

/// Reads the members of a whole Docker configuration.
fn read_config(members: Members<'_>, entries: &mut Entries) -> Result<(), SecretError> {
    for (name, value) in members {
        if go_json::is_named(&name, "auths") {
            match object("auths", value)? {
                Some(members) => read_entries(members, entries)?,
                // Go clears a map when it decodes `null` into it.
                None => entries.clear(),
            }
        } else if go_json::is_named(&name, "HttpHeaders") {
            for (_, header) in object("HttpHeaders", value)?.into_iter().flatten() {
                header.text().map_err(|found| SecretError::Header { found })?;
            }
        }
    }
    Ok(())
}

fn object<'a>(member: &'static str, value: Value<'a>) -> Result<Option<Members<'a>>, SecretError> {
    value.members().map_err(|found| SecretError::Member { member, found })
}

fn read_entries(members: Members<'_>, entries: &mut Entries) -> Result<(), SecretError> {
    for (key, value) in members {
        let credential = read_login(&key, value)?;
        entries.insert(key, credential);
    }
    Ok(())
}

fn read_login(key: &str, entry: Value<'_>) -> Result<Credential, SecretError> {
    let [mut username, mut password, mut email, mut auth]: [Zeroizing<String>; 4] =
        Default::default();
    let members = entry.members().map_err(|found| SecretError::Entry { key: key.into(), found })?;
    for (name, value) in members.into_iter().flatten() {
        let fields = [
            ("username", &mut username),
            ("password", &mut password),
            ("email", &mut email),
            ("auth", &mut auth),
        ];
        let Some((member, field)) = fields.into_iter().find(|(it, _)| go_json::is_named(&name, it))
        else {
            continue;
        };
        let text = value.text();
        let text =
            text.map_err(|found| SecretError::EntryMember { key: key.into(), member, found });
        // A `null` keeps the value of an earlier member of the same name.
        if let Some(text) = text? {
            *field = Zeroizing::new(text);
        }
    }
    if auth.is_empty() {
        let bytes = |text: &str| Zeroizing::new(text.as_bytes().to_vec());
        return Ok(Credential { username: bytes(&username), password: bytes(&password) });
    }

    let pair = decode_auth(&auth).map(Zeroizing::new);
    let pair = pair.ok_or_else(|| SecretError::AuthBase64 { key: key.into() })?;
    let colon = pair.iter().position(|&byte| byte == b':');
    let colon = colon.ok_or_else(|| SecretError::AuthColon { key: key.into() })?;
    let (username, colon_and_password) = pair.split_at(colon);
    let bytes = |bytes: &[u8]| Zeroizing::new(bytes.to_vec());
    let password = colon_and_password.get(1..).unwrap_or_default();
    Ok(Credential { username: bytes(username), password: bytes(password) })
}

/// Decodes base64 as Go does: skips line breaks, accepts complete or no padding, ignores unused bits.
fn decode_auth(auth: &str) -> Option<Vec<u8>> {
    const PADDED: GeneralPurpose = engine(DecodePaddingMode::RequireCanonical);
    const UNPADDED: GeneralPurpose = engine(DecodePaddingMode::RequireNone);

    let auth = Zeroizing::new(auth.replace(['\r', '\n'], ""));
    let engine = if auth.ends_with('=') { PADDED } else { UNPADDED };
    engine.decode(&*auth).ok()
}

const fn engine(padding: DecodePaddingMode) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(padding);
    GeneralPurpose::new(&alphabet::STANDARD, config)
}

// === impl Login ===

impl Login {
    fn of(username: &[u8], password: &[u8]) -> Self {
        let oddities = Oddity::of(username, password);
        let (has_password, life) = (!password.is_empty(), Life::of_password(password));
        Self { username: Zeroizing::new(username.to_vec()), has_password, life, oddities }
    }

    /// Whether both user and password are empty: the kubelet then sends no login.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.username.is_empty() && !self.has_password
    }

    /// Probable mistakes in user and password.
    #[must_use]
    pub fn oddities(&self) -> &[Oddity] {
        &self.oddities
    }

    /// The user's name; empty where the entry has none. Bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn username(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.username)
    }

    /// Whether the password is not empty.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.has_password
    }

    /// The life of the password, as far as it says it itself.
    #[must_use]
    pub fn life(&self) -> Option<Life> {
        self.life
    }
}

/// Shows no values: some registries accept a token as the user name.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("has_username", &!self.username.is_empty())
            .field("has_password", &self.has_password)
            .finish_non_exhaustive()
    }
}

// === impl Ignored ===

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty { data_key } => write!(f, "its `{data_key}` is empty"),
            Self::NoData { data_key, other: None } => {
                write!(f, "it has no `{data_key}`, which is what the kubelet reads for its type")
            }
            Self::NoData { data_key, other: Some(other) } => write!(
                f,
                "it has `{other}`, but for its type the kubelet reads `{data_key}`: data key and type belong together"
            ),
            Self::Type(type_) => {
                let (json, cfg) = (Form::DockerConfigJson.type_(), Form::DockerCfg.type_());
                write!(
                    f,
                    "it is of type `{type_:.64}`, and the kubelet reads only `{json}` and `{cfg}`"
                )
            }
        }
    }
}
