//! Errors as text.

use std::{error::Error, iter};

/// An error and its causes, joined by colons. Leaves out a cause that the text already ends with, since some libraries print
/// their cause themselves.
#[must_use]
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in iter::successors(error.source(), |&cause| cause.source()) {
        let cause = cause.to_string();
        let printed = text.strip_suffix(cause.as_str()).is_some_and(|before| {
            before.is_empty() || before.ends_with(": ") || before.ends_with('(')
        });
        if !printed && !cause.is_empty() {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        source: Option<Box<Link>>,
    }

    fn chain(texts: &[&'static str]) -> Link {
        let (text, rest) = texts.split_first().unwrap();
        let source = (!rest.is_empty()).then(|| Box::new(chain(rest)));
        Link { text, source }
    }

    #[test]
    fn each_cause_is_printed_once() {
        for (texts, expected) in [
            (&["a", "b"][..], "a: b"),
            // Printed by the library itself.
            (&["cannot connect: refused", "refused"], "cannot connect: refused"),
            // Contained in the text by chance.
            (&["cannot read the timetable", "time"], "cannot read the timetable: time"),
            (&["no such file: x", "no such file"], "no such file: x: no such file"),
            (&["", "b"], ": b"),
        ] {
            assert_eq!(with_causes(&chain(texts)), expected);
        }
    }
}
