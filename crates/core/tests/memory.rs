//! What a body becomes: however it is made, reading it, deciding about it and answering hold at most a multiple of its bytes.
//! The allocator of this test counts, so it has one test only.

#![cfg(test)]

use peak_alloc::PeakAlloc;
use proptest::{prelude::*, sample::select};
use pullcred_core::{
    answer,
    decide::{Knowledge, decide},
    review,
    rules::{Mapping, Rule},
};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const MIB: usize = 1 << 20;

/// The most that is held at once besides the body, in bodies: copies of texts with escapes and the buffer in which they are
/// unescaped are one body together, and a buffer that grows is there twice and has twice the room that it needs.
const BODIES: usize = 3;
/// Lists of the longest length, and the answer.
const CONSTANT: usize = 3 * MIB;

/// Where in a Pod a piece may stand again and again, and how it is ended.
const PLACES: [(&str, &str); 14] = [
    (r#"{"spec":{"containers":["#, "null]}}"),
    (r#"{"spec":{"initContainers":["#, "null]}}"),
    (r#"{"spec":{"ephemeralContainers":["#, "null]}}"),
    (r#"{"spec":{"volumes":["#, "null]}}"),
    (r#"{"spec":{"imagePullSecrets":["#, "null]}}"),
    (r#"{"metadata":{"ownerReferences":["#, r#"null]},"spec":{"containers":[{"image":"a.b/c"}]}}"#),
    (r#"{"metadata":{"managedFields":["#, r#"null]},"spec":{"containers":[{"image":"a.b/c"}]}}"#),
    (r#"{"spec":{"containers":"#, "null}}"),
    (r#"{"spec":{"containers":[{"image":""#, r#""}]}}"#),
    (r#"{"spec":{"containers":[{"name":""#, r#"","image":"-"}]}}"#),
    (r#"{"metadata":{"generateName":""#, r#""},"spec":{"containers":[{"image":"a.b/c"}]}}"#),
    (r#"{"metadata":{"labels":""#, r#""}}"#),
    (r#"{"metadata":{"labels":{"\n"#, r#"":"x"}}}"#),
    (r#"{"spec":{"containers":""#, r#""}}"#),
];

const PIECES: [&str; 17] = [
    "{},",
    "[],",
    "null,",
    r#"{"image":"a.b/c"},"#,
    r#"{"image":"\u0061.b/c"},"#,
    r#"{"name":"\u0061","image":"\n"},"#,
    r#"{"name":"\u0061","image":{"reference":"\u0061.b/c"}},"#,
    r#"{"kind":"\u0061","controller":true},"#,
    r#"{"image":{"reference":"a.b/c"}},"#,
    r#""a","#,
    "[",
    r#"{"a":"#,
    "a",
    "a.",
    "\x7f",
    "\\u0001",
    "\u{1f980}",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_a_body_becomes_is_bounded_by_its_bytes(
        (before, after) in select(&PLACES[..]),
        piece in prop_oneof![
            4 => select(&PIECES[..]).prop_map(str::to_owned),
            // Texts at and around the longest that are copied.
            1 => (65_500..65_600_usize).prop_map(|n| format!(r#"{{"image":"\u0061{}"}},"#, "a".repeat(n))),
            1 => "[\\PC]{1,8}",
        ],
        uid in select(&["705ab4f5", "long"][..]),
    ) {
        let known = known();
        let uid = if uid == "long" { "u".repeat(2 * MIB) } else { uid.to_owned() };
        let pieces = piece.repeat(2 * MIB / piece.len());
        let body = format!(
            r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"{uid}","kind":{{"kind":"Pod"}},"namespace":"shop","operation":"CREATE","object":{before}{pieces}{after}}}}}"#
        );
        drop(pieces);
        let at_rest = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        let outcome = match review::parse(body.as_bytes()) {
            Ok(request) => {
                let answer = answer::respond(&request.uid, &decide(&request, &known)).unwrap();
                prop_assert!(answer.len() < 16 << 10, "an answer of {} bytes", answer.len());
                "answered"
            }
            Err(error) => {
                prop_assert!(error.to_string().len() < 1024, "a long error");
                "refused"
            }
        };
        let held = ALLOCATOR.peak_usage() - at_rest;
        prop_assert!(held <= BODIES * body.len() + CONSTANT, "{outcome}: {held} bytes for {}", body.len());
    }
}

/// A mapping with a hundred rules for any image of a short host, so that what is found for each image would add up.
fn known() -> Knowledge {
    let rule = |n: u32| Rule {
        patterns: vec!["*.b".parse().unwrap()],
        secret: format!("robot-{n}").parse().unwrap(),
        namespaces: Vec::new(),
        line: n,
    };
    Knowledge {
        mapping: Mapping::new((1..=100).map(rule).collect(), Vec::new()),
        own_namespace: None,
    }
}
