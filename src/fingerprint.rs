//! A short digest, by which people and programs compare two contents.

use std::fmt;

use ring::digest::{Context, SHA256, digest};

/// The first 48 bits of a SHA-256: of one content, or over the digests of several. It detects changes; it is too short to
/// withstand a forged collision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 6]);

// === impl Fingerprint ===

impl Fingerprint {
    /// The fingerprint of these contents, in this order. For a single content it is the beginning of what `sha256sum` prints,
    /// so that people can compare it with a file, and the chart with what it renders.
    pub fn of<C: AsRef<[u8]>>(contents: &[C]) -> Self {
        let mut beginning = [0; 6];
        if let [content] = contents {
            beginning.copy_from_slice(&digest(&SHA256, content.as_ref()).as_ref()[..6]);
            return Self(beginning);
        }
        let mut context = Context::new(&SHA256);
        for content in contents {
            context.update(digest(&SHA256, content.as_ref()).as_ref());
        }
        beginning.copy_from_slice(&context.finish().as_ref()[..6]);
        Self(beginning)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Fingerprint;

    #[test]
    fn of_one_content_it_is_what_sha256sum_prints() {
        // `printf abc | sha256sum`
        assert_eq!(Fingerprint::of(&["abc"]).to_string(), "ba7816bf8f01");
    }

    #[test]
    fn where_one_content_ends_counts() {
        assert_ne!(Fingerprint::of(&["a", "bc"]), Fingerprint::of(&["ab", "c"]));
    }
}
