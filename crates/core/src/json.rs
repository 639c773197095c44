//! JSON building blocks of the borrowed view. Each has a bound on what it keeps, and none repeats a value in an error:
//! serde's own message for a wrong type holds the whole value, with escapes, which may be six times as long.
//!
//! | block | keeps at most |
//! |---|---|
//! | [`Text`] | nothing, since it borrows; with escapes, a copy of up to [`COPY_MAX`] bytes |
//! | [`List`] | [`LIST_MAX`] entries |
//! | [`Object`], [`Flag`] | what their type has |
//!
//! So what is kept of a body is at most the body again, plus a constant. `docs/decisions/007-what-a-request-costs.md` has
//! the sum.

use std::{borrow::Cow, fmt, marker::PhantomData, ops::Deref};

use serde::{
    Deserialize, Deserializer,
    de::{self, value::MapAccessDeserializer},
};

/// The most entries that a list of a Pod may have. Kubernetes has no such limit, and etcd could store a Pod with more (a
/// container with its defaults takes some 150 bytes, of 1.5 MiB), but no node is known to run one.
pub const LIST_MAX: usize = 4096;

/// The longest text with escapes, in bytes: it is unescaped in a buffer and then copied, which would be the body three times
/// over. No field that is read may have such characters in it once the API server has checked it, and without escapes a
/// text costs nothing, however long.
pub const COPY_MAX: usize = 64 << 10;

/// A JSON string, borrowed from the body unless it holds escapes. `null` is empty, as Go's decoder has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text<'a>(Cow<'a, str>);

/// A JSON array of at most [`LIST_MAX`] entries. `null` is empty: Go encodes a nil slice, such as `containers`, as `null`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct List<T>(Vec<T>);

/// A JSON object. `null` is one without members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Object<T>(pub(super) T);

/// `true`, or `false` and `null`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Flag(pub(super) bool);

/// What is wrong with a document, and where, without the value that stands there: it may be anything.
#[must_use]
pub fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(", expected ") {
        Some((_value, expected)) => format!("expected {expected}"),
        None => text,
    }
}

/// `text`, or its beginning and an ellipsis, at most `characters` in all.
#[must_use]
pub fn shorten(text: &str, characters: usize) -> Cow<'_, str> {
    if text.chars().nth(characters).is_none() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().take(characters.saturating_sub(1)).chain(['…']).collect())
}

// === impl Text ===

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                if text.len() > COPY_MAX {
                    return Err(E::custom(format_args!(
                        "a text with escapes has more than {COPY_MAX} bytes"
                    )));
                }
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Text<'de>, E> {
                Ok(Text::default())
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

// === impl List ===

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<List<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = seq.next_element()? {
                    if entries.len() == LIST_MAX {
                        return Err(de::Error::custom(format_args!(
                            "a list has more than {LIST_MAX} entries"
                        )));
                    }
                    entries.push(entry);
                }
                Ok(List(entries))
            }

            fn visit_unit<E: de::Error>(self) -> Result<List<T>, E> {
                Ok(List::default())
            }

            fn visit_str<E: de::Error>(self, _text: &str) -> Result<List<T>, E> {
                Err(E::custom(NoString("a sequence")))
            }
        }

        deserializer.deserialize_any(Visitor(PhantomData))
    }
}

// === impl Object ===

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de> + Default> de::Visitor<'de> for Visitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }

            fn visit_unit<E: de::Error>(self) -> Result<Object<T>, E> {
                Ok(Object(T::default()))
            }

            fn visit_str<E: de::Error>(self, _text: &str) -> Result<Object<T>, E> {
                Err(E::custom(NoString("an object")))
            }
        }

        deserializer.deserialize_any(Visitor(PhantomData))
    }
}

// === impl Flag ===

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Flag;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a boolean")
            }

            fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Flag, E> {
                Ok(Flag(flag))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Flag, E> {
                Ok(Flag(false))
            }

            fn visit_str<E: de::Error>(self, _text: &str) -> Result<Flag, E> {
                Err(E::custom(NoString("a boolean")))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// serde's message for a string in the wrong place, without the string.
struct NoString(&'static str);

impl fmt::Display for NoString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid type: string, expected {}", self.0)
    }
}
