use proptest::prelude::*;

use super::*;
use crate::reports::{PullSecretStatus, ReportedSecret, ReportedState};

fn status(secrets: &[(&str, ReportedState, Option<&[&str]>)]) -> PullSecretStatus {
    let secret = |&(name, state, keys): &(&str, ReportedState, Option<&[&str]>)| ReportedSecret {
        name: name.to_owned(),
        state,
        reason: None,
        expired_at: None,
        keys: keys.map(|keys| keys.iter().map(|&key| key.to_owned()).collect()),
    };
    PullSecretStatus { secrets: secrets.iter().map(secret).collect(), ..Default::default() }
}

fn packed(
    namespace: &str,
    secrets: &[(&str, ReportedState, Option<&[&str]>)],
) -> Result<ReportedSecrets, Unusable> {
    ReportedSecrets::of(namespace, &status(secrets))
}

#[test]
fn what_is_stale_has_no_state_but_keeps_its_keys() {
    use ReportedState::{Conflict, Missing, Ready, Unknown, Unreadable, WrongType};
    let mut known = Knowledge::default();
    let keys: &[&str] = &["quay.io", "ghcr.io/acme"];
    let shop = packed(
        "shop",
        &[
            ("theirs", Conflict, Some(&[])),
            ("found", Ready, Some(keys)),
            ("copy", Ready, None),
            ("gone", Missing, None),
            ("bad", Unreadable, Some(keys)),
            ("odd", WrongType, None),
            ("new", Unknown, Some(keys)),
            ("twice", Missing, None),
            ("twice", Ready, None),
        ],
    );
    assert!(known.insert(shop.unwrap()));
    let state = |known: &Knowledge, name: &str| {
        known.namespace("shop").unwrap().secret(name).map(|it| it.state)
    };
    assert_eq!(state(&known, "gone"), None);
    known.set_fresh(true);
    assert_eq!(state(&known, "gone"), Some(Missing));
    assert_eq!(state(&known, "theirs"), Some(Conflict));
    assert_eq!(state(&known, "odd"), Some(WrongType));
    assert_eq!(state(&known, "new"), None, "a state of another version");
    assert_eq!(state(&known, "twice"), None, "a contradiction");
    assert_eq!(state(&known, "other"), None);
    for fresh in [true, false] {
        known.set_fresh(fresh);
        let shop = known.namespace("shop").unwrap();
        let readable: Vec<_> = shop.readable().map(|it| (it.name, it.keys)).collect();
        let [(found, Some(of_found)), (theirs, Some(of_theirs))] = readable[..] else {
            panic!("{readable:?}")
        };
        assert_eq!((found, theirs), ("found", "theirs"), "by name");
        assert_eq!(of_found.iter().collect::<Vec<_>>(), keys);
        assert_eq!(of_theirs.iter().count(), 0);
        assert_eq!(format!("{of_found:?}"), "2 keys");
    }
}

#[test]
fn a_clone_shares_until_one_side_changes() {
    let mut known = Knowledge::default();
    for n in 0..1000 {
        known.insert(packed(&format!("ns-{n}"), &[("a", ReportedState::Ready, None)]).unwrap());
    }
    let published = known.clone();
    known.remove("ns-7");
    known.remove("ns-7");
    known.insert(packed("ns-8", &[("b", ReportedState::Ready, None)]).unwrap());
    assert_eq!((published.namespaces(), known.namespaces()), (1000, 999));
    assert!(published.namespace("ns-7").is_some() && known.namespace("ns-7").is_none());
    let copied = published.parts.iter().zip(&known.parts).filter(|(a, b)| !Arc::ptr_eq(a, b));
    assert!(copied.count() <= 2);
    for n in 0..1000 {
        known.remove(&format!("ns-{n}"));
    }
    assert_eq!((known.namespaces(), known.bytes), (0, 0));
}

#[test]
fn names_with_the_same_hash_are_kept_apart() {
    let mut part: Vec<(u64, ReportedSecrets)> = Vec::new();
    let names: Vec<String> = (0..100).map(|n| format!("ns-{}", n * 37 % 100)).collect();
    for name in &names {
        let place = place_of(&part, 7, name).unwrap_err();
        part.insert(place, (7, packed(name, &[]).unwrap()));
    }
    for name in &names {
        assert_eq!(part[place_of(&part, 7, name).unwrap()].1.namespace(), name);
    }
    assert!(place_of(&part, 7, "ns-100").is_err() && place_of(&part, 8, "ns-1").is_err());
}

#[test]
fn a_report_that_is_too_large_or_malformed_says_nothing() {
    let ready = ReportedState::Ready;
    let long = "k".repeat(513);
    assert_eq!(packed("shop", &[("a", ready, Some(&[&long]))]), Err(Unusable::Malformed));
    assert_eq!(packed("shop", &[("a", ready, Some(&[""]))]), Err(Unusable::Malformed));
    assert_eq!(packed("shop", &[("", ready, None)]), Err(Unusable::Malformed));
    assert_eq!(packed("", &[]), Err(Unusable::Malformed));
    let name = "n".repeat(254);
    assert_eq!(packed("shop", &[(&name, ready, None)]), Err(Unusable::Malformed));
    let many = vec!["quay.io"; 513];
    assert_eq!(packed("shop", &[("a", ready, Some(&many))]), Err(Unusable::TooLarge));
    let names: Vec<_> = (0..257).map(|n| format!("s{n}")).collect();
    let secrets: Vec<_> = names.iter().map(|name| (name.as_str(), ready, None)).collect();
    assert_eq!(packed("shop", &secrets), Err(Unusable::TooLarge));
    assert!(packed("shop", &secrets[1..]).is_ok());
    let key = "k".repeat(512);
    let keys = vec![key.as_str(); 33];
    assert_eq!(packed("shop", &[("a", ready, Some(&keys))]), Err(Unusable::TooLarge));
}

#[test]
fn all_reports_together_are_bounded() {
    let mut known = Knowledge::default();
    let key = "k".repeat(500);
    let keys = vec![key.as_str(); 30];
    let large = |n: usize| packed(&format!("ns-{n}"), &[("a", ReportedState::Ready, Some(&keys))]);
    let fitted = (0..1500).filter(|&n| known.insert(large(n).unwrap())).count();
    assert!((1000..1200).contains(&fitted), "{fitted}");
    assert!(known.bytes <= BYTES_MAX && known.namespaces() == fitted);
    assert!(known.insert(large(7).unwrap()), "one that is there is replaced");
    known.remove("ns-8");
    assert!(known.insert(large(1499).unwrap()), "what goes makes room");
}

fn state() -> impl Strategy<Value = ReportedState> {
    use ReportedState::{
        Conflict, Expired, Missing, Pending, Ready, Refused, Unreadable, WrongType,
    };
    proptest::sample::select(vec![
        Ready, Pending, Missing, WrongType, Unreadable, Conflict, Refused, Expired,
    ])
}

proptest! {
    #[test]
    fn what_is_packed_is_found_again(
        secrets in prop::collection::btree_map(
            "[a-z]{1,4}",
            (state(), prop::option::of(prop::collection::vec("\\PC{1,9}", 0..4))),
            0..9,
        ),
        other in "[a-z]{1,4}",
    ) {
        let reported = |(name, (state, keys)): (&String, &(_, Option<Vec<String>>))| ReportedSecret {
            name: name.clone(), state: *state, reason: None, expired_at: None, keys: keys.clone(),
        };
        let list: Vec<_> = secrets.iter().map(reported).collect();
        let report = PullSecretStatus { secrets: list.clone(), ..Default::default() };
        let mut known = Knowledge::default();
        known.set_fresh(true);
        known.insert(ReportedSecrets::of("shop", &report).unwrap());
        let shop = known.namespace("shop").unwrap();
        for secret in &list {
            let found = shop.secret(&secret.name).unwrap();
            prop_assert_eq!((found.name, found.state), (secret.name.as_str(), secret.state));
            let keys = found.keys.map(|keys| keys.iter().map(str::to_owned).collect::<Vec<_>>());
            prop_assert_eq!(&keys, &secret.keys);
        }
        if !secrets.contains_key(&other) {
            prop_assert!(shop.secret(&other).is_none());
        }
    }
}
