//! The JSON reader against `serde_json`: both accept the same documents and read the same strings.

#![cfg(test)]

use proptest::{collection::vec, prelude::*, sample::select};
use pullcred::core::json::{JsonError, Text, from_str};
use serde::de::IgnoredAny;
use serde_json::Value;

const REVIEW: &str = include_str!("../examples/admission-review.json");

/// What JSON is made of, and what it must not hold.
const PIECES: [&str; 40] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "\\\"",
    "\\u",
    "\\u00e9",
    "\\ud83d\\ude00",
    "\\n",
    "\\x",
    "true",
    "false",
    "null",
    "nul",
    "0",
    "-",
    "-0",
    "01",
    "1.5",
    "1.",
    ".5",
    "1e9",
    "1e",
    "1E+9",
    "1e999",
    " ",
    "\n",
    "\t",
    "\u{b}",
    "\u{1}",
    "é",
    "😀",
    "\"a\":",
    "{}",
    "[]",
    "NaN",
];

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

fn agree(text: &str) -> Result<(), TestCaseError> {
    let ours = from_str::<IgnoredAny>(text);
    let theirs = serde_json::from_str::<IgnoredAny>(text);
    prop_assert_eq!(
        ours.is_ok(),
        theirs.is_ok(),
        "{:?}: {:?}, {:?}",
        text,
        ours.err(),
        theirs.err()
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn any_document_is_accepted(value in json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        agree(&text.unwrap())?;
    }

    #[test]
    fn any_pieces_are_judged_alike(pieces in vec(select(&PIECES[..]), 0..12)) {
        agree(&pieces.concat())?;
    }

    #[test]
    fn a_damaged_review_is_judged_alike(at in 0..REVIEW.len(), gone in 0_usize..3, piece in select(&PIECES[..])) {
        let mut text = REVIEW.to_owned();
        let end = (at + gone).min(text.len());
        prop_assume!(text.is_char_boundary(at) && text.is_char_boundary(end));
        text.replace_range(at..end, piece);
        agree(&text)?;
    }

    #[test]
    fn strings_are_read_alike(string in any::<String>(), ascii in any::<bool>()) {
        let mut text = serde_json::to_string(&string).unwrap();
        if ascii {
            text = text.chars().flat_map(|c| if c.is_ascii() { vec![c] } else { escaped(c) }).collect();
        }
        let read: Text<'_> = from_str(&text).unwrap();
        prop_assert_eq!(&*read, string);
    }
}

fn escaped(c: char) -> Vec<char> {
    let mut units = [0; 2];
    let units = c.encode_utf16(&mut units);
    units.iter().flat_map(|unit| format!("\\u{unit:04x}").chars().collect::<Vec<_>>()).collect()
}

#[test]
fn every_place_of_a_quote_and_a_control_character_is_found() {
    for length in 0..40 {
        let plain = "é".repeat(length);
        assert!(from_str::<IgnoredAny>(&format!("\"{plain}\"")).is_ok());
        for bad in ["\u{0}", "\u{1f}", "\n", "\""] {
            let text = format!("\"{plain}{bad}{plain}\"");
            assert!(from_str::<IgnoredAny>(&text).is_err(), "{text:?}");
        }
        for fine in ["\u{7f}", "\u{80}", "\u{10ffff}", " ", "!", "[", "]"] {
            let text = format!("\"{plain}{fine}{plain}\"");
            assert!(from_str::<IgnoredAny>(&text).is_ok(), "{text:?}");
        }
    }
}

#[test]
fn nesting_is_bounded_in_what_is_read_and_in_what_is_passed_over() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(from_str::<IgnoredAny>(&nested(128)).is_ok());
    for depth in [129, 1_000_000] {
        assert!(matches!(from_str::<IgnoredAny>(&nested(depth)), Err(JsonError::Syntax { .. })));
        assert!(from_str::<Vec<Vec<IgnoredAny>>>(&nested(depth)).is_err());
    }
    let objects = |depth: usize| format!("{}0{}", r#"{"a":["#.repeat(depth), "]}".repeat(depth));
    assert!(from_str::<IgnoredAny>(&objects(64)).is_ok());
    assert!(from_str::<IgnoredAny>(&objects(65)).is_err());
}

#[test]
fn errors_say_where_and_never_what_stands_there() {
    let error = |text: &str| from_str::<Vec<Text<'_>>>(text).unwrap_err().to_string();
    assert_eq!(error(r#"["a" "b"]"#), "expected `,` or `]` at byte 5");
    assert_eq!(error(r#"["a","b"] x"#), "expected the end of the text at byte 10");
    assert_eq!(error(r#"["a","hunter2\q"]"#), "expected a valid escape at byte 13");
    let data = from_str::<Vec<bool>>(r#"[true,"hunter2"]"#).unwrap_err();
    assert!(data.is_data());
    assert_eq!(data.to_string(), "expected a boolean at byte 15");
    assert!(from_str::<Vec<Text<'_>>>("{}").unwrap_err().is_data());
}
