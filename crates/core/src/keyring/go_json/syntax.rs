//! The syntax of JSON, as Go checks it before it reads a document.

/// How deep Go lets objects and lists be nested.
const MAX_DEPTH: usize = 10_000;

/// Why a text is no JSON document. Offsets are in bytes, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// Objects or lists are nested deeper than Go allows.
    #[error("it is nested deeper than {MAX_DEPTH} levels at byte {at}")]
    Depth {
        /// Where the first bracket too many stands.
        at: usize,
    },
    /// The text ends within the document.
    #[error("it ends too early, at byte {at}")]
    End {
        /// The length of the text.
        at: usize,
    },
    /// The text does not start as any document does.
    #[error(
        "it starts like no JSON at all: is it YAML, or base64 that was encoded once too often?"
    )]
    Start,
    /// There is more behind the document.
    #[error("there is more behind the document, at byte {at}")]
    Trailing {
        /// Where the rest starts.
        at: usize,
    },
    /// A byte that cannot stand where it stands.
    #[error("byte {at} cannot stand where it does")]
    Unexpected {
        /// Where the byte stands.
        at: usize,
    },
}

/// Walks through a text and checks its syntax, without recursion: it may be nested deep.
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

/// What an open bracket belongs to.
#[derive(Clone, Copy, PartialEq)]
enum Open {
    List,
    Object,
}

// === impl Scanner ===

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// Checks that the text is exactly one document.
    pub(super) fn document(mut self) -> Result<(), SyntaxError> {
        let mut open = Vec::new();
        loop {
            // Here a value must stand.
            self.space();
            let opened = match self.peek() {
                Some(b'{') => Some(Open::Object),
                Some(b'[') => Some(Open::List),
                _ => None,
            };
            let Some(kind) = opened else {
                self.scalar()?;
                if self.close(&mut open)? {
                    return Ok(());
                }
                continue;
            };
            open.push(kind);
            if open.len() > MAX_DEPTH {
                return Err(SyntaxError::Depth { at: self.at });
            }
            self.at += 1;
            self.space();
            match (kind, self.peek()) {
                (Open::Object, Some(b'}')) | (Open::List, Some(b']')) => {
                    if self.close(&mut open)? {
                        return Ok(());
                    }
                }
                (Open::Object, _) => self.name()?,
                (Open::List, _) => {}
            }
        }
    }

    /// Goes on behind a value: closes what ends, up to a comma with another value behind it. True where the
    /// document ends here.
    fn close(&mut self, open: &mut Vec<Open>) -> Result<bool, SyntaxError> {
        loop {
            self.space();
            match (open.last(), self.peek()) {
                (None, None) => return Ok(true),
                (None, Some(_)) => return Err(SyntaxError::Trailing { at: self.at }),
                (Some(Open::Object), Some(b'}')) | (Some(Open::List), Some(b']')) => {
                    open.pop();
                    self.at += 1;
                }
                (Some(Open::List), Some(b',')) => {
                    self.at += 1;
                    return Ok(false);
                }
                (Some(Open::Object), Some(b',')) => {
                    self.at += 1;
                    self.space();
                    self.name()?;
                    return Ok(false);
                }
                _ => return Err(self.unexpected()),
            }
        }
    }

    /// A member's name and its colon.
    fn name(&mut self) -> Result<(), SyntaxError> {
        self.string()?;
        self.space();
        self.byte(|byte| byte == b':')
    }

    fn scalar(&mut self) -> Result<(), SyntaxError> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), SyntaxError> {
        word.iter().try_for_each(|&want| self.byte(|byte| byte == want))
    }

    fn number(&mut self) -> Result<(), SyntaxError> {
        self.skip(b"-");
        if !self.skip(b"0") {
            self.digits()?;
        }
        if self.skip(b".") {
            self.digits()?;
        }
        if self.skip(b"eE") {
            self.skip(b"+-");
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), SyntaxError> {
        self.byte(|byte| byte.is_ascii_digit())?;
        while self.skip(b"0123456789") {}
        Ok(())
    }

    fn string(&mut self) -> Result<(), SyntaxError> {
        self.byte(|byte| byte == b'"')?;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    let is_unicode = self.peek() == Some(b'u');
                    self.byte(|byte| b"\"\\/bfnrtu".contains(&byte))?;
                    if is_unicode {
                        (0..4).try_for_each(|_| self.byte(|byte| byte.is_ascii_hexdigit()))?;
                    }
                }
                _ => self.byte(|byte| byte >= b' ')?,
            }
        }
    }

    fn space(&mut self) {
        while self.skip(b" \t\r\n") {}
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Goes past one byte if it is one of these.
    fn skip(&mut self, any: &[u8]) -> bool {
        let is_one = self.peek().is_some_and(|byte| any.contains(&byte));
        self.at += usize::from(is_one);
        is_one
    }

    /// Goes past one byte, which must be there and fit.
    fn byte(&mut self, fits: impl FnOnce(u8) -> bool) -> Result<(), SyntaxError> {
        if !self.peek().is_some_and(fits) {
            return Err(self.unexpected());
        }
        self.at += 1;
        Ok(())
    }

    fn unexpected(&self) -> SyntaxError {
        match self.peek() {
            Some(_) if self.text.trim_ascii_start().len() + self.at == self.text.len() => {
                SyntaxError::Start
            }
            Some(_) => SyntaxError::Unexpected { at: self.at },
            None => SyntaxError::End { at: self.at },
        }
    }
}
