//! The scanner as a serde `Deserializer`, so that the view is a few derived structs.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize,
    de::{self, DeserializeSeed, Expected, MapAccess, SeqAccess, Unexpected, Visitor},
    forward_to_deserialize_any,
};

use super::scan::{JsonError, Scanner};

/// Reads a JSON text, all of which is checked.
///
/// # Errors
///
/// [`JsonError`]: no JSON, or not of the type.
pub fn from_str<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, JsonError> {
    let mut reader = Reader(Scanner::new(text));
    let value = T::deserialize(&mut reader)?;
    reader.0.end()?;
    Ok(value)
}

struct Reader<'de>(Scanner<'de>);

/// The members of an object or the items of an array, one of which may have been read already.
struct Elements<'r, 'de> {
    reader: &'r mut Reader<'de>,
    first: bool,
}

// === impl Reader ===

impl<'de> Reader<'de> {
    /// Adds where a type error was found to what serde says about it.
    fn placed<T>(&self, result: Result<T, JsonError>) -> Result<T, JsonError> {
        result.map_err(|error| match error {
            JsonError::Data { message, at: 0 } => JsonError::Data { message, at: self.0.at() },
            other => other,
        })
    }

    fn map<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, JsonError> {
        self.0.enter()?;
        let value = visitor.visit_map(Elements { reader: self, first: true })?;
        self.0.leave();
        Ok(value)
    }

    fn sequence<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, JsonError> {
        self.0.enter()?;
        let value = visitor.visit_seq(Elements { reader: self, first: true })?;
        self.0.leave();
        Ok(value)
    }

    fn scalar<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, JsonError> {
        let first = self.0.peek();
        self.0.skip_scalar()?;
        match first {
            b'n' => visitor.visit_unit(),
            b't' | b'f' => visitor.visit_bool(first == b't'),
            _ => Err(de::Error::invalid_type(Unexpected::Other("number"), &visitor)),
        }
    }
}

impl<'de> de::Deserializer<'de> for &mut Reader<'de> {
    type Error = JsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        let value = match self.0.peek() {
            b'"' => match self.0.string()? {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            },
            b'{' => self.map(visitor),
            b'[' => self.sequence(visitor),
            _ => self.scalar(visitor),
        };
        self.placed(value)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        if self.0.peek() == b'n' {
            self.0.skip_scalar()?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    /// Passes over the value: the way of all fields that we do not know.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        self.0.skip()?;
        visitor.visit_unit()
    }

    /// An object: serde would also take an array, field by field.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        if self.0.peek() == b'[' {
            return self.placed(Err(de::Error::invalid_type(Unexpected::Seq, &"an object")));
        }
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct seq
        tuple tuple_struct map enum identifier
    }
}

// === impl Elements ===

impl Elements<'_, '_> {
    /// Whether there is another element before `end`, to which the scanner then points.
    fn more(&mut self, end: u8, expected: &'static str) -> Result<bool, JsonError> {
        let scanner = &mut self.reader.0;
        let first = std::mem::take(&mut self.first);
        match scanner.peek() {
            byte if byte == end => Ok(false),
            _ if first => Ok(true),
            b',' => {
                scanner.bump();
                Ok(true)
            }
            _ => scanner.expected(expected),
        }
    }
}

impl<'de> MapAccess<'de> for Elements<'_, 'de> {
    type Error = JsonError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, JsonError> {
        if !self.more(b'}', "`,` or `}`")? {
            return Ok(None);
        }
        seed.deserialize(Key(self.reader.0.key()?)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, JsonError> {
        seed.deserialize(&mut *self.reader)
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = JsonError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, JsonError> {
        if !self.more(b']', "`,` or `]`")? {
            return Ok(None);
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }
}

/// The key of a member.
struct Key<'de>(Cow<'de, str>);

impl<'de> de::Deserializer<'de> for Key<'de> {
    type Error = JsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        match self.0 {
            Cow::Borrowed(key) => visitor.visit_borrowed_str(key),
            Cow::Owned(key) => visitor.visit_string(key),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

// === impl JsonError ===

impl JsonError {
    /// Whether the text is JSON as far as it was read, but not of the types that were asked for.
    #[must_use]
    pub fn is_data(&self) -> bool {
        matches!(self, Self::Data { .. })
    }
}

impl de::Error for JsonError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Data { message: message.to_string(), at: 0 }
    }

    // serde would quote what stands there, which may be anything.
    fn invalid_type(_unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("expected {expected}"))
    }

    fn invalid_value(_unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("expected {expected}"))
    }
}
