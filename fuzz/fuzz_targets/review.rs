//! Any bytes are a review or are refused; and a patch applies to the Pod it is for, and leaves nothing to do.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pullcred::core::answer::respond;
use pullcred::core::decide::decide;
use pullcred::core::review::parse;
use pullcred::core::rules::Mapping;
use pullcred::mapping;
use serde_json::Value;

static MAPPING: LazyLock<Mapping> = LazyLock::new(|| {
    let mapping = mapping::parse(include_str!("../../examples/pullcred.yaml")).expect("a mapping");
    mapping.with_own_namespace(Some("pullcred".into()))
});

fuzz_target!(|body: &[u8]| {
    let Ok(request) = parse(body) else { return };
    let decision = decide(&request, &MAPPING, None);

    let answer = respond(&request.uid, &decision).expect("an answer");
    let answer: Value = serde_json::from_slice(&answer).expect("an answer in JSON");
    assert_eq!(answer["response"]["uid"], *request.uid);
    assert_eq!(answer["response"]["allowed"], true);
    assert!(decision.warnings().len() <= 3);
    assert!(decision.warnings().iter().all(|warning| warning.chars().count() <= 120));

    let Some(patch) = decision.patch() else { return };
    // What the decision skips, such as text with half a surrogate pair, may be nothing for a stricter reader.
    let Ok(mut review) = serde_json::from_slice::<Value>(body) else { return };
    json_patch::patch(&mut review["request"]["object"], &patch).expect("the patch applies");
    let patched = review.to_string();
    let again = parse(patched.as_bytes()).expect("the review of the patched Pod");
    assert!(decide(&again, &MAPPING, None).patch().is_none(), "{patched}");
});
