//! The beginning of a digest, by which people and programs tell two contents apart.

use std::fmt;

use ring::digest::{Context, SHA256, digest};

/// The first 48 bits of a SHA-256 over the digests of some contents. It shows whether two contents are the same; it
/// does not prove it against somebody who wants them to look so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 6]);

// === impl Fingerprint ===

impl Fingerprint {
    /// Of these contents, in this order.
    pub fn of<C: AsRef<[u8]>>(contents: &[C]) -> Self {
        let mut context = Context::new(&SHA256);
        for content in contents {
            context.update(digest(&SHA256, content.as_ref()).as_ref());
        }
        let mut beginning = [0; 6];
        beginning.copy_from_slice(&context.finish().as_ref()[..6]);
        Self(beginning)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
