use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::knowledge::{Knowledge, ReportedSecrets};
use crate::reports::{PullSecretStatus, ReportedSecret};
use crate::rules::{Fill, Rule, WhenMissing};

/// A Secret of a report.
type Reported<'r> = (&'r str, ReportedState, Option<&'r [&'r str]>);

fn knowledge(secrets: &[Reported<'_>]) -> Knowledge {
    let secret = |&(name, state, keys): &Reported<'_>| ReportedSecret {
        name: name.to_owned(),
        state,
        reason: None,
        expired_at: None,
        keys: keys.map(|keys| keys.iter().map(|&key| key.to_owned()).collect()),
    };
    let secrets = secrets.iter().map(secret).collect();
    let status = PullSecretStatus { secrets, ..Default::default() };
    let mut known = Knowledge::default();
    known.set_fresh(true);
    assert!(known.insert(ReportedSecrets::of("shop", &status).unwrap()));
    known
}

fn rule(registry: &str, secret: &str, login: bool, when_missing: WhenMissing) -> Rule {
    let fill = login.then(|| Fill {
        login: "acme".parse().unwrap(),
        labels: Vec::new(),
        identity: None,
        verify: None,
    });
    Rule {
        patterns: vec![registry.parse().unwrap()],
        secret: secret.parse().unwrap(),
        namespaces: Vec::new(),
        fill,
        when_missing,
        line: 1,
    }
}

fn mapping(rules: Vec<Rule>, always: &[&str], discover: &[&str]) -> Mapping {
    let always = always.iter().map(|name| name.parse().unwrap()).collect();
    let discover = discover.iter().map(|name| name.parse().unwrap()).collect();
    Mapping::new(rules, always).with_discover(discover)
}

/// What a decision says: each Secret with its outcome, and the warnings.
fn decided(
    mapping: &Mapping,
    known: Option<&Knowledge>,
    images: &[&str],
    listed: &[&str],
) -> (Vec<(String, SecretOutcome)>, Vec<String>, Option<Reason>) {
    let containers: Vec<_> =
        images.iter().map(|image| json!({"name": "a", "image": image})).collect();
    let listed: Vec<_> = listed.iter().map(|name| json!({"name": name})).collect();
    let pod = json!({"spec": {"containers": containers, "imagePullSecrets": listed}}).to_string();
    let request = Request::create("shop", serde_json::from_str(&pod).unwrap());
    let decision = decide(&request, mapping, known.and_then(|known| known.namespace("shop")));
    let outcomes = decision.secrets().iter().map(|it| (it.name.to_owned(), it.outcome)).collect();
    (outcomes, decision.warnings().to_vec(), decision.reason())
}

/// Each row of the table: what is known of a Secret, and what comes of it where an image needs it, also under
/// `whenMissing: skip`, and where it is for every Pod.
#[test]
fn every_state_has_its_outcome_and_its_warning() {
    use ReportedState::{
        Conflict, Expired, Missing, Pending, Ready, Refused, Unreadable, WrongType,
    };
    use SecretOutcome::{Injected, Withheld};
    let opens: Option<&[&str]> = Some(&["quay.io", "ghcr.io/acme"]);
    let other: Option<&[&str]> = Some(&["ghcr.io/other", "quay.io"]);
    let none: Option<&[&str]> = Some(&[]);
    let left_out = "pull secret robot is not in namespace shop: left out by its rule";
    let left_out_yet = "pull secret robot is not in namespace shop yet: left out by its rule";
    let pending = "pull secret robot is not in namespace shop yet: pullcred is copying it";
    let missing = "pull secret robot is not in namespace shop: pullcred lacks its login";
    let wrong_type =
        "pull secret robot is of a type that kubelets skip: use kubernetes.io/dockerconfigjson";
    let theirs =
        "pull secret robot has no login for ghcr.io/acme/a: delete it and pullcred makes it";
    let opens_nothing =
        "pull secret robot has no login for ghcr.io/acme/a: add one, or ask its owner";
    let unreadable =
        "pull secret robot cannot be read, and fails every pull of this Pod: correct or delete it";
    let harmful = "pull secret robot cannot be read, and would fail every pull: left out until it is corrected";
    let expired = "pull secret robot has an expired login: pulls fail until it is renewed";
    let refused = "pull secret robot has a login that its registry refuses: ask who runs pullcred";
    let rows = [
        // state, keys, with `inject`, with `skip`, for every Pod
        (Ready, None, (Injected, ""), (Injected, ""), (Injected, "")),
        (Ready, opens, (Injected, ""), (Injected, ""), (Injected, "")),
        (Ready, other, (Injected, opens_nothing), (Injected, opens_nothing), (Injected, "")),
        (Ready, none, (Injected, opens_nothing), (Injected, opens_nothing), (Injected, "")),
        (Pending, None, (Injected, pending), (Withheld(Pending), left_out_yet), (Injected, "")),
        (Missing, None, (Injected, missing), (Withheld(Missing), left_out), (Injected, "")),
        (WrongType, None, (Injected, wrong_type), (Injected, wrong_type), (Injected, "")),
        (Conflict, None, (Injected, ""), (Injected, ""), (Injected, "")),
        (Conflict, opens, (Injected, ""), (Injected, ""), (Injected, "")),
        (Conflict, other, (Injected, theirs), (Injected, theirs), (Injected, "")),
        (Expired, None, (Injected, expired), (Injected, expired), (Injected, "")),
        (Refused, None, (Injected, refused), (Injected, refused), (Injected, "")),
        (
            Unreadable,
            None,
            (Injected, unreadable),
            (Injected, unreadable),
            (Withheld(Unreadable), harmful),
        ),
    ];
    let images = ["ghcr.io/acme/a"];
    for (state, keys, with_inject, with_skip, for_every_pod) in rows {
        let mut known = knowledge(&[("robot", state, keys)]);
        let by_rule = |when_missing| {
            mapping(vec![rule("ghcr.io/acme", "robot", true, when_missing)], &[], &[])
        };
        let of_every_pod = mapping(Vec::new(), &["robot"], &[]);
        for (mapping, (outcome, warning)) in [
            (by_rule(WhenMissing::Inject), with_inject),
            (by_rule(WhenMissing::Skip), with_skip),
            (of_every_pod, for_every_pod),
        ] {
            let (outcomes, warnings, reason) = decided(&mapping, Some(&known), &images, &[]);
            assert_eq!(outcomes, [("robot".to_owned(), outcome)], "{state:?} {keys:?}");
            assert_eq!(warnings.concat(), warning, "{state:?} {keys:?}");
            let withheld = matches!(outcome, Withheld(_)).then_some(Reason::Withheld);
            assert_eq!(reason, withheld, "{state:?}");
            // The Pod lists it itself: nothing can be left out.
            let (outcomes, warnings, reason) = decided(&mapping, Some(&known), &images, &["robot"]);
            assert_eq!(outcomes[0].1, SecretOutcome::Present, "{state:?}");
            assert_eq!(reason, Some(Reason::AlreadyPresent), "{state:?}");
            assert!(!warnings.concat().contains("left out"), "{state:?} {warnings:?}");
            // What may no longer hold is not known.
            known.set_fresh(false);
            for known in [None, Some(&known)] {
                let (outcomes, warnings, _) = decided(&mapping, known, &images, &[]);
                assert_eq!(outcomes, [("robot".to_owned(), Injected)], "{state:?}");
                assert!(warnings.is_empty(), "{state:?}");
            }
            known.set_fresh(true);
        }
    }
}

#[test]
fn a_secret_without_a_login_is_for_people_to_make() {
    let mapping = mapping(vec![rule("quay.io", "quay", false, WhenMissing::Inject)], &[], &[]);
    let known = knowledge(&[("quay", ReportedState::Missing, None)]);
    let (_, warnings, _) = decided(&mapping, Some(&known), &["quay.io/a"], &[]);
    assert_eq!(warnings, ["pull secret quay is not in namespace shop: create it, or pulls fail"]);
}

/// What keeps pullcred from making a Secret is said, as far as a warning has room.
#[test]
fn a_secret_that_cannot_be_made_is_not_said_to_be_on_its_way() {
    use ReportedState::{Missing, Pending};
    let mapping = mapping(vec![rule("quay.io", "quay", true, WhenMissing::Inject)], &[], &[]);
    for (state, reason, warning) in [
        (Pending, None, "is not in namespace shop yet: pullcred is copying it"),
        (Pending, Some("QuotaExceeded"), "is not in namespace shop: its quota leaves no room"),
        (Pending, Some("Denied"), "is not in namespace shop: the API server refuses it"),
        (Missing, Some("LoginMissing"), "is not in namespace shop: pullcred lacks its login"),
        (Missing, Some("LoginRefused"), "is not in namespace shop: a registry refuses its login"),
    ] {
        let reason = reason.map(str::to_owned);
        let secret =
            ReportedSecret { name: "quay".to_owned(), state, reason, expired_at: None, keys: None };
        let status = PullSecretStatus { secrets: vec![secret], ..Default::default() };
        let mut known = Knowledge::default();
        known.set_fresh(true);
        known.insert(ReportedSecrets::of("shop", &status).unwrap());
        let (_, warnings, _) = decided(&mapping, Some(&known), &["quay.io/a"], &[]);
        assert_eq!(warnings, [format!("pull secret quay {warning}")]);
    }
}

#[test]
fn one_rule_that_injects_wins() {
    use WhenMissing::{Inject, Skip};
    let known = knowledge(&[("robot", ReportedState::Missing, None)]);
    let rules =
        |second| vec![rule("a.io", "robot", true, Skip), rule("b.io", "robot", true, second)];
    for (second, always, images, injected) in [
        (Skip, &[][..], &["a.io/x", "b.io/x"][..], false),
        (Inject, &[], &["a.io/x"], false),
        (Inject, &[], &["a.io/x", "b.io/x"], true),
        (Skip, &["robot"], &["a.io/x"], true),
    ] {
        let (outcomes, ..) =
            decided(&mapping(rules(second), always, &[]), Some(&known), images, &[]);
        assert_eq!(outcomes[0].1 == SecretOutcome::Injected, injected, "{second:?} {always:?}");
    }
}

#[test]
fn what_exists_is_discovered_by_the_order_of_a_kubelet() {
    use ReportedState::{Conflict, Missing, Ready, Refused, Unreadable, WrongType};
    let secrets: [Reported<'_>; 10] = [
        ("wide", Ready, Some(&["quay.io", "https://index.docker.io/v1/"])),
        ("narrow", Ready, Some(&["quay.io/acme"])),
        ("glob", Conflict, Some(&["*.example.com"])),
        ("hub", Ready, Some(&["docker.io/library/nginx"])),
        ("refused", Refused, Some(&["ghcr.io"])),
        ("copy", Ready, None),
        ("named", Ready, Some(&["quay.io"])),
        ("unreadable", Unreadable, Some(&["quay.io"])),
        ("odd", WrongType, None),
        ("gone", Missing, None),
    ];
    let mut known = knowledge(&secrets);
    let rules = || vec![rule("quay.io", "named", false, WhenMissing::Inject)];
    let discovering = mapping(rules(), &["tools"], &["sh*"]);
    let elsewhere = mapping(rules(), &["tools"], &["other"]);
    for (images, found) in [
        (&["quay.io/acme/a"][..], &["named", "tools", "narrow", "wide"][..]),
        (&["quay.io/other"], &["named", "tools", "wide"]),
        // Another key matches, so the kubelet does not fall back to that of Docker Hub.
        (&["nginx"], &["tools", "hub"]),
        (&["busybox"], &["tools", "wide"]),
        (&["a.example.com/x", "ghcr.io/x"], &["tools", "glob", "refused"]),
        (&["own.io/x"], &["tools"]),
    ] {
        for fresh in [true, false] {
            known.set_fresh(fresh);
            let (outcomes, ..) = decided(&discovering, Some(&known), images, &[]);
            let names: Vec<_> = outcomes.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, found, "{images:?}, fresh {fresh}");
            let (outcomes, ..) = decided(&discovering, Some(&known), images, found);
            assert!(outcomes.iter().all(|(_, it)| *it == SecretOutcome::Present), "a second pass");
        }
        let (outcomes, ..) = decided(&elsewhere, Some(&known), images, &[]);
        let by_mapping = if found[0] == "named" { 2 } else { 1 };
        assert_eq!(outcomes.len(), by_mapping, "{images:?}");
    }
}

#[test]
fn at_most_eight_are_discovered_and_those_that_are_tried_first() {
    let names: Vec<String> = (0..20).map(|n| format!("s{n:02}")).collect();
    let keys: Vec<String> = (0..20).map(|n| format!("quay.io{}", "/a".repeat(n % 10))).collect();
    let keys: Vec<[&str; 1]> = keys.iter().map(|key| [key.as_str()]).collect();
    let secrets: Vec<Reported<'_>> = names
        .iter()
        .zip(&keys)
        .map(|(name, key)| (name.as_str(), ReportedState::Ready, Some(&key[..])))
        .collect();
    let known = knowledge(&secrets);
    let mapping = mapping(Vec::new(), &[], &["*"]);
    let image = format!("quay.io{}/app", "/a".repeat(9));
    let found = |images: &[&str], listed: &[&str]| {
        let (outcomes, ..) = decided(&mapping, Some(&known), images, listed);
        outcomes.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    let expected = ["s06", "s07", "s08", "s09", "s16", "s17", "s18", "s19"];
    assert_eq!(found(&[&image], &[]), expected);
    assert_eq!(found(&["quay.io/b", &image], &[]), found(&[&image, "quay.io/b"], &[]));
    assert_eq!(found(&[&image], &expected), expected, "a second pass adds no more");
}

#[test]
fn images_that_need_a_secret_are_those_of_its_rules() {
    // The key opens the other image of the Pod, for which no rule names this Secret.
    let mapping = mapping(
        vec![
            rule("ghcr.io/acme", "robot", true, WhenMissing::Inject),
            rule("quay.io", "quay", false, WhenMissing::Inject),
        ],
        &[],
        &[],
    );
    let images = ["quay.io/x", "ghcr.io/acme/a", "ghcr.io/acme/b"];
    for (key, warned) in [("quay.io", 1), ("ghcr.io/acme/b", 0)] {
        let known = knowledge(&[("robot", ReportedState::Conflict, Some(&[key]))]);
        let (_, warnings, _) = decided(&mapping, Some(&known), &images, &[]);
        assert_eq!(warnings.len(), warned, "{key}: {warnings:?}");
    }
}

fn state() -> impl Strategy<Value = ReportedState> {
    use ReportedState::{
        Conflict, Expired, Missing, Pending, Ready, Refused, Unknown, Unreadable, WrongType,
    };
    proptest::sample::select(vec![
        Ready, Pending, Missing, WrongType, Unreadable, Conflict, Refused, Expired, Unknown,
    ])
}

proptest! {
    /// Whatever reports say: a name that today's decision adds is left out only by `skip` or for an unreadable Secret that no
    /// image needs, and only while they are fresh; what is added beside is at most eight.
    #[test]
    fn reports_leave_nothing_out_that_a_rule_does_not_say(
        rules in prop::collection::vec(
            ("[abc]\\.io(/[xy])?", "[p-s]", any::<bool>(), any::<bool>()), 0..6),
        always in prop::collection::vec("[p-t]", 0..3),
        reported in prop::collection::btree_map(
            "[p-w]", (state(), prop::option::of(prop::collection::vec("([abc]|\\*)\\.io(/[xy])?", 0..3))), 0..6),
        images in prop::collection::vec("[abc]\\.io/[xyz]", 1..4),
        listed in prop::collection::vec("[p-w]", 0..3),
        fresh in any::<bool>(),
        discovers in any::<bool>(),
    ) {
        let rules: Vec<Rule> = rules.iter().map(|(registry, secret, login, skip)| {
            rule(registry, secret, *login, if *skip { WhenMissing::Skip } else { WhenMissing::Inject })
        }).collect();
        let always: Vec<&str> = always.iter().map(String::as_str).collect();
        let mapping = mapping(rules, &always, if discovers { &["*"] } else { &[] });
        let images: Vec<&str> = images.iter().map(String::as_str).collect();
        let listed: Vec<&str> = listed.iter().map(String::as_str).collect();
        let secrets = reported.iter().map(|(name, (state, keys))| ReportedSecret {
            name: name.clone(), state: *state, reason: None, expired_at: None, keys: keys.clone(),
        }).collect();
        let status = PullSecretStatus { secrets, ..Default::default() };
        let mut known = Knowledge::default();
        known.insert(ReportedSecrets::of("shop", &status).unwrap());
        known.set_fresh(fresh);

        let (before, ..) = decided(&mapping, None, &images, &listed);
        let (after, warnings, _) = decided(&mapping, Some(&known), &images, &listed);
        prop_assert!(warnings.len() <= 3);
        prop_assert!(after.len() <= before.len() + 8);
        prop_assert!(discovers || after.len() == before.len());
        for ((name, was), (same, is)) in before.iter().zip(&after) {
            prop_assert_eq!(name, same, "the order of the mapping");
            if was == is { continue }
            let SecretOutcome::Withheld(state) = is else { panic!("{name}: {is:?}") };
            prop_assert!(fresh);
            prop_assert_eq!(*was, SecretOutcome::Injected);
            prop_assert_eq!(*state, reported[name].0);
            let needed_by = |rule: &&Rule| {
                rule.secret.as_str() == name
                    && images.iter().any(|image| decided(&mapping_of(rule), None, &[image], &[]).0.len() == 1)
            };
            let needing: Vec<&Rule> = mapping.rules().iter().filter(needed_by).collect();
            if needing.is_empty() {
                prop_assert_eq!(*state, ReportedState::Unreadable);
            } else {
                prop_assert!(needing.iter().all(|rule| rule.when_missing == WhenMissing::Skip));
                prop_assert!(matches!(state, ReportedState::Missing | ReportedState::Pending));
            }
        }
        let mut names: Vec<_> = after.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        prop_assert_eq!(names.len(), after.len(), "each name once");
    }
}

fn mapping_of(rule: &Rule) -> Mapping {
    Mapping::new(vec![rule.clone()], Vec::new())
}
