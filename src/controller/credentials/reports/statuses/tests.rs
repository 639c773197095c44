use super::*;
use crate::controller::credentials::{
    discovery::{Found, FoundSecret},
    state::Fetch,
};
use crate::core::{
    knowledge::ReportedSecrets,
    rules::{LoginName, SecretName},
};

type LoginCase<'c> = (LoginOverview, Option<&'c LoginProblem>, bool, usize, [&'c str; 2]);
type CopyCase<'c> = (Progress, Option<Refusal>, Option<Contents>, &'c str, &'c str);

const REFUSED: Option<Refusal> = Some(Refusal::QuotaExceeded);

fn login_facts<'f>(
    overview: &'f LoginOverview,
    problem: Option<&'f LoginProblem>,
    unread: bool,
    held: usize,
) -> LoginFacts<'f> {
    let registries = vec!["ghcr.io/acme".to_owned()];
    LoginFacts {
        kind: "secret",
        mapping: "3f9c",
        secret: None,
        problem,
        unread,
        held,
        fetched: None,
        health: None,
        expiry: None,
        registries,
        overview,
    }
}

fn overview(wanted: u32, ready: u32) -> LoginOverview {
    LoginOverview { wanted, ready, ..LoginOverview::default() }
}

/// A condition as `kubectl` would print it.
fn shown(condition: &Condition) -> String {
    format!("{} {} {}", condition.type_, condition.status, condition.reason)
}

#[test]
fn the_conditions_of_a_login_follow_from_what_is_known() {
    let missing = LoginProblem::Missing("acme-login".parse().unwrap());
    let not_for = LoginProblem::NotFor {
        secret: "acme-login".parse().unwrap(),
        registry: "ghcr.io/other".parse().unwrap(),
    };
    let refused = |failing| LoginOverview {
        refused: 1,
        pending: 1,
        failing: vec![(Arc::from("a"), Failing::Refused(failing))],
        ..overview(2, 1)
    };
    let cases: [LoginCase<'_>; 11] = [
        (overview(0, 0), None, false, 0, ["True NothingToCopy", "False Copied"]),
        (overview(2, 2), None, false, 0, ["True Copied", "False Copied"]),
        (overview(2, 2), None, false, 30, ["True Copied", "False DeletionHeld"]),
        (overview(2, 2), Some(&missing), false, 0, ["False LoginMissing", "False Copied"]),
        (overview(2, 2), Some(&not_for), false, 0, ["False NoLoginForRegistry", "False Copied"]),
        (overview(2, 0), None, true, 0, ["False LoginUnreadable", "False Copied"]),
        (
            LoginOverview { pending: 1, ..overview(2, 1) },
            None,
            false,
            0,
            ["False RollingOut", "True RollingOut"],
        ),
        (
            LoginOverview { outdated: 1, ..overview(2, 1) },
            None,
            false,
            30,
            ["True Copied", "True RollingOut"],
        ),
        (
            LoginOverview { conflict: 1, ..overview(2, 1) },
            None,
            false,
            0,
            ["False NameConflict", "False Copied"],
        ),
        (
            refused(Refusal::QuotaExceeded),
            None,
            false,
            0,
            ["False QuotaExceeded", "True RollingOut"],
        ),
        (refused(Refusal::Denied), None, false, 0, ["False Denied", "True RollingOut"]),
    ];
    for (overview, problem, unread, held, [ready, progressing]) in cases {
        let status = login_status(login_facts(&overview, problem, unread, held));
        let conditions: Vec<_> = status.conditions.iter().map(shown).collect();
        assert_eq!(
            conditions,
            [
                format!("Ready {ready}"),
                format!("Progressing {progressing}"),
                "Healthy Unknown NotChecked".to_owned()
            ],
            "{overview:?}"
        );
        assert!(status.conditions.iter().all(|it| !it.message.is_empty()));
    }
}

#[test]
fn a_login_counts_its_namespaces_and_names_those_that_fail() {
    let failing = vec![
        (Arc::from("team-a"), Failing::NameConflict),
        (Arc::from("team-b"), Failing::Refused(Refusal::WriteFailed)),
        (Arc::from("team-c"), Failing::Login(Fault::NoLoginForRegistry)),
    ];
    let overview =
        LoginOverview { outdated: 10, conflict: 1, refused: 1, failing, ..overview(1000, 987) };
    let status = login_status(login_facts(&overview, None, false, 0));
    assert_eq!(status.namespaces.copied, "997/1000");
    let named: Vec<_> =
        status.failing.iter().map(|it| format!("{} {}", it.namespace, it.reason)).collect();
    assert_eq!(named, ["team-a NameConflict", "team-b WriteFailed", "team-c NoLoginForRegistry"]);
    assert_eq!((status.kind.as_str(), status.observed_mapping.as_str()), ("secret", "3f9c"));
    assert_eq!(status.registries, ["ghcr.io/acme"]);
}

/// The facts of copies named `robot-0`, `robot-1`, …
fn copies(
    of: &[(Progress, Option<Refusal>, Option<Contents>)],
    then: impl FnOnce(NamespaceFacts<'_>),
) {
    let login: LoginName = "acme".parse().unwrap();
    let names: Vec<SecretName> =
        (0..of.len()).map(|it| format!("robot-{it}").parse().unwrap()).collect();
    let facts = names.iter().zip(of).map(|(secret, (progress, refusal, foreign))| CopyFacts {
        state: CopyState {
            secret,
            login: &login,
            progress: *progress,
            refusal: *refusal,
            fetch: Fetch::Usable,
            login_refused: false,
        },
        foreign: foreign.clone(),
    });
    then(NamespaceFacts { copies: facts.collect(), ..NamespaceFacts::default() });
}

fn keys(keys: &[&str]) -> Contents {
    Contents::Keys(keys.iter().map(|&key| key.into()).collect())
}

#[test]
fn the_state_of_a_copy_follows_from_what_is_there() {
    let missing = |fault| Progress::Missing(fault);
    let cases: [CopyCase<'_>; 14] = [
        (Progress::Ready, None, None, "Ready", "True AllReady"),
        (Progress::Outdated, None, None, "Ready", "True AllReady"),
        // The copy of before is there.
        (Progress::Outdated, REFUSED, None, "Ready", "True AllReady"),
        (Progress::Kept, None, None, "Ready", "True AllReady"),
        (Progress::Pending, None, None, "Pending", "False Copying"),
        (Progress::Pending, REFUSED, None, "Pending QuotaExceeded", "False QuotaExceeded"),
        (Progress::Conflict, None, None, "Conflict NameConflict", "False NameConflict"),
        (
            Progress::Conflict,
            None,
            Some(Contents::Unknown),
            "Conflict NameConflict",
            "False NameConflict",
        ),
        (
            Progress::Conflict,
            None,
            Some(keys(&["quay.io"])),
            "Conflict NameConflict quay.io",
            "False NameConflict",
        ),
        (
            Progress::Conflict,
            None,
            Some(Contents::Unreadable),
            "Unreadable NameConflict",
            "False SecretUnreadable",
        ),
        (
            Progress::Conflict,
            None,
            Some(Contents::WrongType),
            "WrongType NameConflict",
            "False WrongType",
        ),
        (missing(Fault::Missing), None, None, "Missing LoginMissing", "False LoginMissing"),
        (
            missing(Fault::Unreadable),
            None,
            None,
            "Missing LoginUnreadable",
            "False LoginUnreadable",
        ),
        (
            missing(Fault::NoLoginForRegistry),
            None,
            None,
            "Missing NoLoginForRegistry",
            "False NoLoginForRegistry",
        ),
    ];
    for (progress, refusal, foreign, state, ready) in cases {
        copies(&[(progress, refusal, foreign)], |facts| {
            let status = namespace_status(&facts);
            let secret = &status.secrets[0];
            let keys = secret.keys.iter().flatten().cloned();
            let words: Vec<_> = [format!("{:?}", secret.state)]
                .into_iter()
                .chain(secret.reason.clone())
                .chain(keys)
                .collect();
            assert_eq!(words.join(" "), state, "{progress:?}");
            assert_eq!(shown(&status.conditions[0]), format!("Ready {ready}"), "{progress:?}");
            assert_eq!(status.conditions.len(), 1);
        });
    }
}

#[test]
fn a_copy_of_a_fetched_login_says_what_came_of_that() {
    let (none, ended) = (Progress::Missing(Fault::Missing), Fetch::Expired(1_767_225_600));
    let unfetched = ("Missing LoginRefreshFailed", "False LoginRefreshFailed");
    let cases = [
        (Progress::Ready, Fetch::Usable, "Ready", "True AllReady"),
        (Progress::Ready, Fetch::Failed, "Ready", "True AllReady"),
        (Progress::Ready, ended, "Expired", "False Expired"),
        (Progress::Kept, ended, "Expired", "False Expired"),
        (Progress::Outdated, ended, "Expired", "False Expired"),
        (Progress::Pending, Fetch::Usable, "Pending", "False Copying"),
        (Progress::Pending, Fetch::Failed, unfetched.0, unfetched.1),
        (none, Fetch::Failed, unfetched.0, unfetched.1),
        // A foreign Secret stays one whatever its login would be.
        (Progress::Conflict, ended, "Conflict NameConflict", "False NameConflict"),
        (Progress::Conflict, Fetch::Failed, "Conflict NameConflict", "False NameConflict"),
    ];
    for (progress, fetch, state, ready) in cases {
        copies(&[(progress, None, None)], |mut facts| {
            facts.copies[0].state.fetch = fetch;
            let status = namespace_status(&facts);
            let secret = &status.secrets[0];
            let ended = state.starts_with("Expired").then_some("2026-01-01T00:00:00Z");
            assert_eq!(secret.expired_at.as_deref(), ended, "{progress:?} {fetch:?}");
            let words = [Some(format!("{:?}", secret.state)), secret.reason.clone()];
            let words: Vec<_> = words.into_iter().flatten().collect();
            assert_eq!(words.join(" "), state, "{progress:?} {fetch:?}");
            assert_eq!(shown(&status.conditions[0]), format!("Ready {ready}"), "{progress:?}");
        });
    }
}

#[test]
fn the_report_of_a_fetched_login_has_its_end_and_why_it_is_not_renewed() {
    let missing = LoginProblem::Missing("pullcred-login-ecr".parse().unwrap());
    let fetched = |usable, expires, problem: Option<&str>| FetchedLogin {
        usable,
        expires,
        problem: problem.map(ToOwned::to_owned),
        ..FetchedLogin::default()
    };
    let end = Some(1_700_000_000);
    let cases = [
        (fetched(true, end, None), None, "True Copied", Some("2023-11-14T22:13:20Z")),
        (fetched(true, None, None), None, "True Copied", None),
        (
            fetched(true, end, Some("step token")),
            None,
            "False LoginRefreshFailed",
            Some("2023-11-14T22:13:20Z"),
        ),
        (
            fetched(false, end, Some("step token")),
            None,
            "False LoginExpired",
            Some("2023-11-14T22:13:20Z"),
        ),
        (fetched(false, end, None), None, "False LoginExpired", Some("2023-11-14T22:13:20Z")),
        (
            fetched(false, None, Some("step token")),
            Some(&missing),
            "False LoginRefreshFailed",
            None,
        ),
    ];
    let all = overview(2, 2);
    for (fetched, problem, ready, end) in cases {
        let why = fetched.problem.clone().unwrap_or_default();
        let mut facts = login_facts(&all, problem, false, 0);
        facts.expiry = fetched.expiry();
        facts.fetched = Some(fetched);
        let status = login_status(facts);
        assert_eq!(shown(&status.conditions[0]), format!("Ready {ready}"));
        assert!(status.conditions[0].message.contains(&why));
        assert_eq!(status.expires_at.as_deref(), end);
    }
    let own = [
        (LoginOverview { unfetched: 1, pending: 1, ..overview(2, 1) }, "False LoginRefreshFailed"),
        (LoginOverview { unfetched: 1, expired: 1, ..overview(2, 1) }, "False LoginExpired"),
    ];
    for (overview, ready) in own {
        let status = login_status(login_facts(&overview, None, false, 0));
        assert_eq!(shown(&status.conditions[0]), format!("Ready {ready}"));
    }
}

#[test]
fn a_namespace_without_copies_has_nothing_to_copy() {
    let status = namespace_status(&NamespaceFacts::default());
    assert_eq!(shown(&status.conditions[0]), "Ready True NothingToCopy");
    assert!(status.secrets.is_empty() && status.discovery.is_none());
}

#[test]
fn a_namespace_counts_its_secrets_and_the_worst_comes_first() {
    let of = [
        (Progress::Ready, None, None),
        (Progress::Pending, None, None),
        (Progress::Missing(Fault::Missing), None, None),
        (Progress::Conflict, None, Some(Contents::Unreadable)),
        (Progress::Conflict, None, Some(keys(&[]))),
    ];
    copies(&of, |facts| {
        let status = namespace_status(&facts);
        let summary = status.summary;
        assert_eq!((summary.secrets, summary.missing, summary.unhealthy), (5, 2, 2));
        let message = &status.conditions[0].message;
        let robots: Vec<_> = message.split("; ").filter_map(|it| it.split(' ').next()).collect();
        assert_eq!(robots, ["robot-3", "robot-4", "robot-2", "and"], "{message}");
    });
}

#[test]
fn no_report_reaches_64_kib() {
    let limit = 64 << 10;
    let long: Vec<String> = (0..16).map(|it| format!("{}{it:03}", "k".repeat(509))).collect();
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    let of = vec![(Progress::Conflict, None, Some(keys(&long))); 2000];
    copies(&of, |facts| {
        let status = namespace_status(&facts);
        let bytes = serde_json::to_vec(&status).unwrap().len();
        assert!((SECRETS_MAX / 2..limit).contains(&bytes), "{bytes}");
        assert!(ReportedSecrets::of("shop", &status).is_ok(), "the webhook cannot hold it");
        assert_eq!(status.summary.secrets, 2000);
        let with_keys = status.secrets.iter().filter(|it| it.keys.is_some()).count();
        assert!(with_keys > 0 && with_keys < status.secrets.len(), "{with_keys}");
    });
    let failing =
        (0..10).map(|it| (Arc::from("n".repeat(62) + &it.to_string()), Failing::NameConflict));
    let overview = LoginOverview { failing: failing.collect(), ..overview(10, 0) };
    let mut facts = login_facts(&overview, None, false, 0);
    facts.registries = (0..10_000).map(|it| format!("{}{it}", "r".repeat(200))).collect();
    let status = login_status(facts);
    let bytes = serde_json::to_vec(&status).unwrap().len();
    assert!((REGISTRIES_MAX..limit).contains(&bytes), "{bytes}");
}

#[test]
fn what_was_found_is_reported_beside_the_copies_and_what_rules_name() {
    let secret = |name: &str, contents| FoundSecret { name: name.into(), contents, version: 1 };
    let secrets = vec![
        secret("broken", Contents::Unreadable),
        secret("robot-0", keys(&["quay.io"])),
        secret("team", keys(&["quay.io/team"])),
        secret("unread", Contents::Unknown),
    ];
    let all = |status: &PullSecretStatus| {
        let secrets = status.secrets.iter();
        secrets.map(|it| format!("{} {:?}", it.name, it.state)).collect::<Vec<_>>().join(", ")
    };
    for (more, expected) in [
        (false, "robot-0 Ready, broken Unreadable, own Missing, team Ready"),
        // The name may be among those that were left out.
        (true, "robot-0 Ready, broken Unreadable, team Ready"),
    ] {
        let found = Discovered::Permitted(Arc::new(Found { secrets: secrets.clone(), more }));
        copies(&[(Progress::Ready, None, None)], |facts| {
            let named = vec![Arc::from("own"), Arc::from("team"), Arc::from("robot-0")];
            let status =
                namespace_status(&NamespaceFacts { discovery: Some(&found), named, ..facts });
            assert_eq!(all(&status), expected);
            assert_eq!(status.discovery, Some(Discovery::Permitted));
        });
    }
    let facts =
        NamespaceFacts { discovery: Some(&Discovered::NotPermitted), ..NamespaceFacts::default() };
    let status = namespace_status(&facts);
    assert_eq!(status.discovery, Some(Discovery::NotPermitted));
    assert_eq!(shown(&status.conditions[0]), "Ready Unknown NotPermitted");
}
