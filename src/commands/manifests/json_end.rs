//! Where a JSON document ends in a stream that has nothing between its documents, as `jq` writes it.

/// Follows the brackets of one JSON document, line by line.
///
/// YAML's flow style begins like JSON. Where it shows itself, by a quote or comment that JSON does not have, the
/// document is left to end where YAML says: at a `---`.
#[derive(Debug, Default)]
pub(super) struct JsonEnd {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

/// What is known behind a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The document goes on.
    Open,
    /// The document is complete.
    Closed,
    /// It is no JSON after all.
    Yaml,
}

// === impl JsonEnd ===

impl JsonEnd {
    /// Takes the next line, whose first bracket opens the document if none did before.
    pub(super) fn line(&mut self, line: &[u8]) -> State {
        for (at, &byte) in line.iter().enumerate() {
            if self.in_string {
                (self.in_string, self.escaped) = match byte {
                    _ if self.escaped => (true, false),
                    b'\\' => (true, true),
                    byte => (byte != b'"', false),
                };
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        let rest = line.get(at + 1..).unwrap_or_default();
                        return if rest.trim_ascii().is_empty() {
                            State::Closed
                        } else {
                            State::Yaml
                        };
                    }
                }
                b'\'' | b'#' => return State::Yaml,
                _ => {}
            }
        }
        State::Open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(lines: &[&str]) -> Vec<State> {
        let mut end = JsonEnd::default();
        lines.iter().map(|line| end.line(line.as_bytes())).collect()
    }

    #[test]
    fn brackets_close_a_document() {
        use State::{Closed, Open, Yaml};
        assert_eq!(states(&["{}\n"]), [Closed]);
        assert_eq!(states(&["{\n", "\"a\": [1, {}]\n", "}\n"]), [Open, Open, Closed]);
        assert_eq!(states(&[r#"{"a": "}\"}\\", "#, "\n", "}"]), [Open, Open, Closed]);
        assert_eq!(states(&["{a: 'it}'}"]), [Yaml]);
        assert_eq!(states(&["{ # }\n"]), [Yaml]);
        assert_eq!(states(&["{} {}\n"]), [Yaml]);
    }
}
