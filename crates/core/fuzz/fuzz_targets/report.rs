//! Any bytes are a report or are refused; and whatever it says, a decision by it is bounded, and repeated it adds nothing.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pullcred_core::decide::{Decision, SecretOutcome, decide};
use pullcred_core::knowledge::{Knowledge, ReportedSecrets};
use pullcred_core::pod::Pod;
use pullcred_core::reports::PullSecretStatus;
use pullcred_core::review::Request;
use pullcred_core::rules::{Mapping, Rule, WhenMissing};
use serde_json::json;

static MAPPING: LazyLock<Mapping> = LazyLock::new(|| {
    let rule = |registry: &str, secret: &str, when_missing| Rule {
        patterns: vec![registry.parse().expect("a pattern")],
        secret: secret.parse().expect("a name"),
        namespaces: Vec::new(),
        fill: None,
        when_missing,
        line: 1,
    };
    let rules = vec![
        rule("ghcr.io", "a", WhenMissing::Inject),
        rule("quay.io", "b", WhenMissing::Skip),
    ];
    let always = vec!["c".parse().expect("a name")];
    Mapping::new(rules, always).with_discover(vec!["*".parse().expect("a pattern")])
});

const IMAGES: [&str; 5] = ["ghcr.io/x", "quay.io/x", "nginx", "a.example.com:5000/x/y", "-"];

/// Calls `check` with the decision about a Pod that lists these Secrets.
fn decided(known: &Knowledge, listed: &[String], check: impl FnOnce(&Decision<'_>)) {
    let containers: Vec<_> = IMAGES.iter().map(|it| json!({"name": "a", "image": it})).collect();
    let listed: Vec<_> = listed.iter().map(|it| json!({"name": it})).collect();
    let pod = json!({"spec": {"containers": containers, "imagePullSecrets": listed}}).to_string();
    let pod: Pod<'_> = serde_json::from_str(&pod).expect("a Pod");
    check(&decide(&Request::create("shop", pod), &MAPPING, known.namespace("shop")));
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(status) = serde_json::from_slice::<PullSecretStatus>(bytes) else { return };
    let Ok(secrets) = ReportedSecrets::of("shop", &status) else { return };
    let mut known = Knowledge::default();
    known.insert(secrets);
    for fresh in [false, true] {
        known.set_fresh(fresh);
        let mut added = Vec::new();
        decided(&known, &[], |decision| {
            assert!(decision.discovered().len() <= 8);
            assert!(decision.warnings().len() <= 3);
            assert!(decision.warnings().iter().all(|it| it.chars().count() <= 120));
            assert!(fresh || decision.withheld().is_empty());
            assert!(decision.injected().contains(&"a"), "an image needs it");
            added.extend(decision.injected().iter().map(ToString::to_string));
        });
        decided(&known, &added, |decision| {
            let injected = decision.secrets().iter().any(|it| it.outcome == SecretOutcome::Injected);
            assert!(!injected && decision.patch().is_none(), "a second pass");
        });
    }
});
