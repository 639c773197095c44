//! The position of a stream in its TLS records (RFC 8446, section 5.1). A record is a header of five bytes, the last two of
//! which are a length, and a payload of that length. TLS hands on a record only when it is complete.

/// The size of a header in bytes: type, version, length.
const HEADER: usize = 5;

/// Counts bytes into records.
#[derive(Debug, Default)]
pub(super) struct Records {
    header: [u8; HEADER],
    /// How many bytes of the header have arrived.
    header_len: usize,
    /// How many bytes of the payload are missing.
    left: usize,
}

impl Records {
    /// Takes in the next bytes of the stream.
    pub(super) fn advance(&mut self, mut bytes: &[u8]) {
        while let [first, rest @ ..] = bytes {
            if self.header_len < HEADER {
                self.header[self.header_len] = *first;
                self.header_len += 1;
                bytes = rest;
                self.left = usize::from(u16::from_be_bytes([self.header[3], self.header[4]]));
            } else {
                let read = self.left.min(bytes.len());
                self.left -= read;
                bytes = &bytes[read..];
            }
            if self.header_len == HEADER && self.left == 0 {
                self.header_len = 0;
            }
        }
    }

    /// Whether the last byte was inside a record, not at its end.
    pub(super) fn is_within(&self) -> bool {
        self.header_len > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_byte_of_a_record_ends_it() {
        let records = [&[22, 3, 3, 0, 3, 1, 2, 3][..], &[20, 3, 3, 0, 0], &[23, 3, 3, 1, 0]];
        let mut bytes = records.concat();
        bytes.extend([0; 256]);
        let ends = [8, 13, bytes.len()];
        for size in [1, 2, 3, 7, 300] {
            let mut records = Records::default();
            let mut at = 0;
            for part in bytes.chunks(size) {
                records.advance(part);
                at += part.len();
                assert_eq!(!records.is_within(), ends.contains(&at), "{at} of {size} at a time");
            }
        }
    }
}
