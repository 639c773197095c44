//! The tokens of a JSON text (RFC 8259), and how to pass over a whole value.

use std::borrow::Cow;

/// How deep values may nest, as in `serde_json`.
const DEPTH: u32 = 128;

/// What is wrong with a JSON text, and at which byte of it, counted from 0. It never quotes the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// JSON, but not of the types that were asked for.
    #[error("{message} at byte {at}")]
    Data {
        /// What was expected.
        message: String,
        /// Where.
        at: usize,
    },
    /// No JSON.
    #[error("expected {expected} at byte {at}")]
    Syntax {
        /// What was expected.
        expected: &'static str,
        /// Where.
        at: usize,
    },
}

/// A place in a JSON text.
#[derive(Debug)]
pub(super) struct Scanner<'t> {
    text: &'t str,
    at: usize,
    depth: u32,
}

type Result<T> = std::result::Result<T, JsonError>;

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn expected<T>(&self, expected: &'static str) -> Result<T> {
        Err(JsonError::Syntax { expected, at: self.at })
    }

    /// The next byte that is no white space, which stays where it is; 0, which no token begins with, at the end.
    pub(super) fn peek(&mut self) -> u8 {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            // The API server writes no white space at all.
            if byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return byte;
            }
            self.at += 1;
        }
        0
    }

    /// Passes over the byte that was peeked at.
    pub(super) fn bump(&mut self) {
        self.at += 1;
    }

    pub(super) fn take(&mut self, byte: u8, expected: &'static str) -> Result<()> {
        if self.peek() != byte {
            return self.expected(expected);
        }
        self.at += 1;
        Ok(())
    }

    /// Enters an array or object.
    pub(super) fn enter(&mut self) -> Result<()> {
        self.at += 1;
        self.depth += 1;
        if self.depth > DEPTH {
            return self.expected("less deep nesting");
        }
        Ok(())
    }

    /// Leaves an array or object.
    pub(super) fn leave(&mut self) {
        self.at += 1;
        self.depth -= 1;
    }

    /// Checks that nothing but white space is left.
    pub(super) fn end(&mut self) -> Result<()> {
        self.peek();
        if self.at == self.text.len() { Ok(()) } else { self.expected("the end of the text") }
    }

    /// A string, borrowed unless it holds escapes.
    pub(super) fn string(&mut self) -> Result<Cow<'t, str>> {
        let start = self.at;
        let escaped = self.skip_string()?;
        let quoted = self.text.get(start..self.at).unwrap_or_default();
        if escaped {
            // Rare, and so none of our business.
            serde_json::from_str(quoted)
                .map(Cow::Owned)
                .map_err(|_| JsonError::Syntax { expected: "whole surrogate pairs", at: start })
        } else {
            Ok(Cow::Borrowed(quoted.get(1..quoted.len() - 1).unwrap_or_default()))
        }
    }

    /// A key and the colon behind it.
    pub(super) fn key(&mut self) -> Result<Cow<'t, str>> {
        if self.peek() != b'"' {
            return self.expected("a key in double quotes");
        }
        let key = self.string()?;
        self.take(b':', "`:`")?;
        Ok(key)
    }

    /// Passes over a value of any kind, checking all of it.
    pub(super) fn skip(&mut self) -> Result<()> {
        // The kinds of the values that are open, the innermost in the lowest bit: 1 for an object. They are as many as
        // `depth` says, and `DEPTH` is what there are bits for.
        let outside = self.depth;
        let mut objects: u128 = 0;
        loop {
            match self.peek() {
                b'"' => self.skip_string().map(drop)?,
                b'{' => {
                    self.enter()?;
                    objects = objects << 1 | 1;
                    if self.peek() != b'}' {
                        self.skip_key()?;
                        continue;
                    }
                    self.leave();
                    objects >>= 1;
                }
                b'[' => {
                    self.enter()?;
                    objects <<= 1;
                    if self.peek() != b']' {
                        continue;
                    }
                    self.leave();
                    objects >>= 1;
                }
                _ => self.skip_scalar()?,
            }
            // A value has ended, and with it perhaps those around it.
            loop {
                if self.depth == outside {
                    return Ok(());
                }
                let in_object = objects & 1 == 1;
                match (self.peek(), in_object) {
                    (b',', true) => {
                        self.bump();
                        self.skip_key()?;
                        break;
                    }
                    (b',', false) => {
                        self.bump();
                        break;
                    }
                    (b'}', true) | (b']', false) => {
                        self.leave();
                        objects >>= 1;
                    }
                    (_, true) => return self.expected("`,` or `}`"),
                    (_, false) => return self.expected("`,` or `]`"),
                }
            }
        }
    }

    fn skip_key(&mut self) -> Result<()> {
        if self.peek() != b'"' {
            return self.expected("a key in double quotes");
        }
        self.skip_string()?;
        self.take(b':', "`:`")
    }

    /// Passes over a number, `true`, `false` or `null`.
    pub(super) fn skip_scalar(&mut self) -> Result<()> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        for word in ["null", "true", "false"] {
            if rest.starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(());
            }
        }
        self.skip_number(rest)
    }

    fn skip_number(&mut self, rest: &[u8]) -> Result<()> {
        let digits =
            |from: usize| rest.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
        let mut length = usize::from(rest.first() == Some(&b'-'));
        match digits(length) {
            0 => return self.expected("a value"),
            1 => length += 1,
            _ if rest.get(length) == Some(&b'0') => {
                return self.expected("a number without leading zeros");
            }
            more => length += more,
        }
        if rest.get(length) == Some(&b'.') {
            match digits(length + 1) {
                0 => return self.expected("digits behind the decimal point"),
                more => length += 1 + more,
            }
        }
        if matches!(rest.get(length), Some(b'e' | b'E')) {
            length += 1 + usize::from(matches!(rest.get(length + 1), Some(b'+' | b'-')));
            match digits(length) {
                0 => return self.expected("digits in the exponent"),
                more => length += more,
            }
        }
        self.at += length;
        Ok(())
    }

    /// Passes over a string, whose opening quote is at hand. Tells whether it holds escapes.
    fn skip_string(&mut self) -> Result<bool> {
        let bytes = self.text.as_bytes();
        let mut at = self.at + 1;
        let mut escaped = false;
        loop {
            at = plain_until(bytes, at);
            match bytes.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    at += match escape_length(bytes.get(at + 1..).unwrap_or_default()) {
                        Some(length) => 1 + length,
                        None => {
                            self.at = at;
                            return self.expected("a valid escape");
                        }
                    };
                }
                Some(_) => {
                    self.at = at;
                    return self.expected("no control character within a string");
                }
                None => {
                    self.at = at;
                    return self.expected("the end of the string");
                }
            }
        }
    }
}

/// The length of an escape behind its backslash; none where it is none.
fn escape_length(rest: &[u8]) -> Option<usize> {
    match rest.first()? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(1),
        b'u' => rest.get(1..5)?.iter().all(u8::is_ascii_hexdigit).then_some(5),
        _ => None,
    }
}

/// The first place from `at` on that holds a quote, a backslash or a control character; the end where there is none.
///
/// Eight bytes are looked at in one go (see "Bit Twiddling Hacks", "Determine if a word has a byte less than n"): `x - 0x01…`
/// borrows into the high bit of a byte that is zero, and `!x` keeps that to bytes below 0x80. A borrow that runs on can only mark
/// bytes behind the first one, and the first one is all that is asked for.
fn plain_until(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let below = |x: u64, n: u64| x.wrapping_sub(ONES * n) & !x & HIGH;
    while let Some(&chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let x = u64::from_le_bytes(chunk);
        let quote = below(x ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(x ^ (ONES * u64::from(b'\\')), 1);
        let found = quote | backslash | below(x, 0x20);
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|&&byte| byte >= 0x20 && byte != b'"' && byte != b'\\').count()
}
