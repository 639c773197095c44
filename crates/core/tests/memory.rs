//! What a body becomes: however it is made, reading it, deciding about it and answering hold at most a multiple of its bytes.
//! The allocator of this test counts, so it has one test only.

#![cfg(test)]

use peak_alloc::PeakAlloc;
use pullcred_core::{
    COPY_MAX, LIST_MAX, answer,
    decide::decide,
    review,
    rules::{Mapping, Rule, WhenMissing},
};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const MIB: usize = 1 << 20;

/// The largest allocation at any time beside the body, in bodies: copies of texts with escapes and the buffer in which they
/// are unescaped are one body together; a growing buffer exists twice and has twice the capacity that it needs.
const BODIES: usize = 3;
/// Lists of the longest length, and the answer.
const CONSTANT: usize = 3 * MIB;

/// Where in a Pod a piece may stand again and again, and how it is ended.
const PLACES: [(&str, &str); 15] = [
    (r#"{"spec":{"containers":["#, "null]}}"),
    (r#"{"spec":{"initContainers":["#, "null]}}"),
    (r#"{"spec":{"ephemeralContainers":["#, "null]}}"),
    (r#"{"spec":{"volumes":["#, "null]}}"),
    (r#"{"spec":{"imagePullSecrets":["#, "null]}}"),
    (r#"{"metadata":{"ownerReferences":["#, r#"null]},"spec":{"containers":[{"image":"a.b/c"}]}}"#),
    (r#"{"metadata":{"managedFields":["#, r#"null]},"spec":{"containers":[{"image":"a.b/c"}]}}"#),
    (r#"{"spec":{"containers":"#, "null}}"),
    (r#"{"spec":{"containers":[{"image":""#, r#""}]}}"#),
    // A registry that a rule covers.
    (r#"{"spec":{"containers":[{"image":""#, r#".b/c"}]}}"#),
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

#[test]
fn what_a_body_becomes_is_bounded_by_its_bytes() {
    let mapping = mapping();
    // Texts at and just beyond the longest that are copied.
    let texts =
        [COPY_MAX, COPY_MAX + 1].map(|n| format!(r#"{{"image":"\u0061{}"}},"#, "a".repeat(n - 1)));
    let pieces = PIECES.into_iter().chain(texts.iter().map(String::as_str));
    for piece in pieces {
        for (before, after) in PLACES {
            // A mebibyte of it, and as often as the longest list may have it, of which `null` is the last.
            for times in [MIB / piece.len(), LIST_MAX - 1] {
                let body = review("705ab4f5", before, piece, times.min(MIB / piece.len()), after);
                check(&body, &mapping, &format!("{before}{piece:.40}…{after}, {times} times"));
            }
        }
    }
    let (before, after) = PLACES[0];
    check(&review(&"u".repeat(MIB), before, "{},", 1, after), &mapping, "a long uid");
}

/// A review whose Pod has `piece` so many times.
fn review(uid: &str, before: &str, piece: &str, times: usize, after: &str) -> String {
    let pieces = piece.repeat(times);
    format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"{uid}","kind":{{"kind":"Pod"}},"namespace":"shop","operation":"CREATE","object":{before}{pieces}{after}}}}}"#
    )
}

fn check(body: &str, mapping: &Mapping, about: &str) {
    let at_rest = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    match review::parse(body.as_bytes()) {
        Ok(request) => {
            let answer = answer::respond(&request.uid, &decide(&request, mapping, None)).unwrap();
            assert!(answer.len() < 16 << 10, "{about}: an answer of {} bytes", answer.len());
        }
        Err(error) => assert!(error.to_string().len() < 1024, "{about}: a long error"),
    }
    let allocated = ALLOCATOR.peak_usage() - at_rest;
    assert!(
        allocated <= BODIES * body.len() + CONSTANT,
        "{about}: {allocated} bytes for {}",
        body.len()
    );
}

/// A mapping with two thousand rules for any image of a short host, so that what is found for each image would add up.
fn mapping() -> Mapping {
    let rule = |n: u32| Rule {
        patterns: vec!["*.b".parse().unwrap()],
        secret: "robot".parse().unwrap(),
        namespaces: Vec::new(),
        fill: None,
        when_missing: WhenMissing::Inject,
        line: n,
    };
    Mapping::new((1..=2000).map(rule).collect(), Vec::new())
}
