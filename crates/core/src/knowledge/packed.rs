//! The Secrets of one report, packed into one allocation: there may be ten thousand reports.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::reports::{
    LOGIN_REFUSED, PullSecretStatus, QUOTA_EXCEEDED, ReportedSecret, ReportedState,
};

/// The longest name of a namespace or a Secret, in bytes.
const NAME_MAX: usize = 253;
/// The longest registry key, in bytes. An image's name is shorter.
const KEY_MAX: usize = 512;
/// The most Secrets of a namespace.
const SECRETS_MAX: usize = 256;
/// The most registry keys of all its Secrets.
const KEYS_MAX: usize = 512;
/// The most bytes of a namespace.
const PACKED_MAX: usize = 16 << 10;
/// The length of a moment in a report, such as `2026-01-01T00:00:00Z`.
const MOMENT: usize = 20;
/// What stands for the number of keys where keys are not known.
const NO_KEYS: u16 = u16::MAX;

/// What a report says of the Secrets in a namespace.
#[derive(Clone, PartialEq, Eq)]
pub struct ReportedSecrets(Arc<[u8]>);

/// What is known of a Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownSecret<'k> {
    /// Its name.
    pub name: &'k str,
    /// Its state; never [`ReportedState::Unknown`].
    pub state: ReportedState,
    /// What keeps pullcred from making it; `None` where nothing does.
    pub obstacle: Option<Obstacle>,
    /// When its login ended, as RFC 3339, where its state is [`ReportedState::Expired`]; `None` where that is not known.
    pub expired_at: Option<&'k str>,
    /// The registry keys of its logins; `None` where they are not known, as of copies of pullcred.
    pub keys: Option<Keys<'k>>,
}

/// Why a Secret that is not there is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Obstacle {
    /// A registry refuses its login.
    LoginRefused,
    /// Another reason.
    Other,
    /// A quota of the namespace leaves no room for it.
    Quota,
}

/// The registry keys of a Secret, in the order of the report.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Keys<'k> {
    count: u16,
    bytes: &'k [u8],
}

/// Why a report says nothing of its namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It has another form than reports have, or a name or a key that is empty or longer than any can be.
    #[error("it is not a report that this version can read")]
    Malformed,
    /// It is larger than the webhook holds of one namespace.
    #[error(
        "it has more than {SECRETS_MAX} Secrets, {KEYS_MAX} registry keys or {PACKED_MAX} bytes"
    )]
    TooLarge,
}

// === impl ReportedSecrets ===

impl ReportedSecrets {
    /// Packs a report. Secrets in a state that this version does not know are left out, as are those that the report has
    /// twice: nothing is known of them.
    ///
    /// # Errors
    ///
    /// [`Unusable`]
    pub fn of(namespace: &str, status: &PullSecretStatus) -> Result<Self, Unusable> {
        let secrets = &status.secrets;
        let keys: usize = secrets.iter().filter_map(|it| it.keys.as_ref()).map(Vec::len).sum();
        if secrets.len() > SECRETS_MAX || keys > KEYS_MAX {
            return Err(Unusable::TooLarge);
        }
        let mut sorted: Vec<&ReportedSecret> = secrets.iter().collect();
        sorted.sort_by(|one, other| one.name.cmp(&other.name));
        let mut bytes = Vec::new();
        text::<1>(&mut bytes, namespace, NAME_MAX)?;
        for same in sorted.chunk_by(|one, other| one.name == other.name) {
            if let [secret] = same {
                pack(&mut bytes, secret)?;
            }
        }
        if bytes.len() > PACKED_MAX {
            return Err(Unusable::TooLarge);
        }
        Ok(Self(bytes.into()))
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        Reader(&self.0).text::<1>().unwrap_or_default()
    }

    /// What it takes, in bytes.
    pub(super) fn size(&self) -> usize {
        self.0.len()
    }

    /// How its namespace's name compares with another.
    pub(super) fn compare(&self, namespace: &str) -> Ordering {
        Reader(&self.0).bytes::<1>().cmp(&Some(namespace.as_bytes()))
    }

    pub(super) fn find<'k>(&'k self, name: &'k str) -> Option<KnownSecret<'k>> {
        let mut reader = self.reader();
        loop {
            let mut secret = Reader(reader.bytes::<2>()?);
            if secret.bytes::<1>()? == name.as_bytes() {
                return secret.state_and_keys(name);
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = KnownSecret<'_>> {
        let mut reader = self.reader();
        std::iter::from_fn(move || Reader(reader.bytes::<2>()?).secret())
    }

    /// Behind the namespace.
    fn reader(&self) -> Reader<'_> {
        let mut reader = Reader(&self.0);
        reader.bytes::<1>();
        reader
    }
}

impl fmt::Debug for ReportedSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secrets: Vec<_> = self.iter().map(|it| (it.name, it.state)).collect();
        f.debug_tuple(self.namespace()).field(&secrets).finish()
    }
}

// === impl KnownSecret ===

impl KnownSecret<'_> {
    /// Whether its keys are known and a kubelet reads it.
    pub(super) fn is_readable(&self) -> bool {
        use ReportedState::{Conflict, Expired, Ready, Refused};
        self.keys.is_some() && matches!(self.state, Ready | Conflict | Expired | Refused)
    }
}

// === impl Keys ===

impl<'k> Keys<'k> {
    /// The keys as they are written in the Secret.
    pub fn iter(self) -> impl Iterator<Item = &'k str> + use<'k> {
        let mut reader = Reader(self.bytes);
        (0..self.count).map_while(move |_| reader.text::<2>())
    }
}

/// How many there are. A key may hold a credential by mistake, so none is shown.
impl fmt::Debug for Keys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.count)
    }
}

// === the format ===
//
// The namespace, and then each Secret: its name, its state, the obstacle, the number of its keys, if it has expired when that was, and the
// keys. A text has its length in front, in one byte or, of a key, in two; and so has a whole Secret, so that a search can pass over it.

fn pack(bytes: &mut Vec<u8>, secret: &ReportedSecret) -> Result<(), Unusable> {
    let Some(state) = ReportedState::KNOWN.iter().position(|it| *it == secret.state) else {
        return Ok(());
    };
    let mut packed = Vec::new();
    text::<1>(&mut packed, &secret.name, NAME_MAX)?;
    packed.extend(u8::try_from(state));
    packed.push(match secret.reason.as_deref() {
        None => 0,
        Some(QUOTA_EXCEEDED) => 1,
        Some(LOGIN_REFUSED) => 2,
        Some(_) => 3,
    });
    let count = secret.keys.as_ref().map_or(Ok(NO_KEYS), |keys| u16::try_from(keys.len()));
    packed.extend(count.unwrap_or(NO_KEYS).to_be_bytes());
    if secret.state == ReportedState::Expired {
        let moment = secret.expired_at.as_deref().filter(|it| is_moment(it)).unwrap_or_default();
        packed.extend(u8::try_from(moment.len()));
        packed.extend(moment.as_bytes());
    }
    for key in secret.keys.iter().flatten() {
        text::<2>(&mut packed, key, KEY_MAX)?;
    }
    let length = u16::try_from(packed.len()).map_err(|_| Unusable::TooLarge)?;
    bytes.extend(length.to_be_bytes());
    bytes.append(&mut packed);
    Ok(())
}

/// Whether a text has the form of a moment as reports have it. It comes to be shown to people.
fn is_moment(text: &str) -> bool {
    text.len() == MOMENT && text.bytes().all(|it| it.is_ascii_digit() || b"-:TZ".contains(&it))
}

/// Writes a text and before it its length, in `N` bytes.
fn text<const N: usize>(bytes: &mut Vec<u8>, text: &str, most: usize) -> Result<(), Unusable> {
    if text.is_empty() || text.len() > most {
        return Err(Unusable::Malformed);
    }
    let length = text.len().to_be_bytes();
    bytes.extend(&length[length.len() - N..]);
    bytes.extend(text.as_bytes());
    Ok(())
}

struct Reader<'k>(&'k [u8]);

impl<'k> Reader<'k> {
    fn take(&mut self, length: usize) -> Option<&'k [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number<const N: usize>(&mut self) -> Option<usize> {
        let (number, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(number.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    fn bytes<const N: usize>(&mut self) -> Option<&'k [u8]> {
        let length = self.number::<N>()?;
        self.take(length)
    }

    fn text<const N: usize>(&mut self) -> Option<&'k str> {
        str::from_utf8(self.bytes::<N>()?).ok()
    }

    /// A whole Secret.
    fn secret(mut self) -> Option<KnownSecret<'k>> {
        let name = self.text::<1>()?;
        self.state_and_keys(name)
    }

    /// What stands behind the name of a Secret.
    fn state_and_keys(self, name: &'k str) -> Option<KnownSecret<'k>> {
        let (&[state, obstacle, high, low], rest) = self.0.split_first_chunk()?;
        let state = *ReportedState::KNOWN.get(usize::from(state))?;
        let obstacle = match obstacle {
            0 => None,
            1 => Some(Obstacle::Quota),
            2 => Some(Obstacle::LoginRefused),
            _ => Some(Obstacle::Other),
        };
        let mut rest = Reader(rest);
        let expired_at = match state {
            ReportedState::Expired => Some(rest.text::<1>()?).filter(|it| !it.is_empty()),
            _ => None,
        };
        let count = u16::from_be_bytes([high, low]);
        let keys = (count != NO_KEYS).then_some(Keys { count, bytes: rest.0 });
        Some(KnownSecret { name, state, obstacle, expired_at, keys })
    }
}
