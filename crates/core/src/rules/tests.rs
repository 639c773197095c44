use proptest::prelude::*;

use super::*;

fn rule<S: AsRef<str>>(patterns: &[S], secret: &str, namespaces: &[S]) -> Rule {
    Rule {
        patterns: patterns.iter().map(|text| text.as_ref().parse().unwrap()).collect(),
        secret: secret.parse().unwrap(),
        namespaces: namespaces.iter().map(|text| text.as_ref().parse().unwrap()).collect(),
        fill: None,
        when_missing: WhenMissing::Inject,
        line: 1,
    }
}

/// A mapping with one rule for each pattern, its Secret called `s0`, `s1`, …
fn mapping(patterns: &[&str]) -> Mapping {
    let rules = (0..).zip(patterns).map(|(i, pattern)| rule(&[pattern], &format!("s{i}"), &[]));
    Mapping::new(rules.collect(), Vec::new())
}

fn secrets(mapping: &Mapping, images: &[&str], namespace: &str) -> Vec<String> {
    let mut found = Vec::new();
    for image in images {
        mapping.matches(&ImageRef::parse(image).unwrap(), namespace, &mut found);
    }
    mapping.secrets(&mut found).into_iter().map(ToString::to_string).collect()
}

fn covers(pattern: &str, image: &str) -> bool {
    !secrets(&mapping(&[pattern]), &[image], "default").is_empty()
}

#[test]
fn a_pattern_covers_host_port_and_whole_path_segments() {
    for (pattern, image, expected) in [
        ("quay.io", "quay.io/acme/app:1", true),
        ("quay.io", "quay.io.evil.example/app", false),
        ("quay.io", "evil.example/quay.io/app", false),
        ("quay.io", "cdn.quay.io/app", false),
        ("quay.io", "quay.io:443/app", false),
        ("QUAY.io", "quay.io/app", true),
        ("quay.io", "QUAY.io/app", true),
        ("registry:5000", "registry:5000/app", true),
        ("registry:5000", "registry:05000/app", false),
        ("registry:5000", "registry:5000", false),
        ("registry:5000", "registry:5001/app", false),
        ("localhost", "localhost/app", true),
        ("localhost", "localhost:5000/app", false),
        ("[fd00::1]:5000", "[FD00::1]:5000/app", true),
        ("[fd00::1]", "[fd00::1]:5000/app", false),
        ("quay.io/acme", "quay.io/acme", true),
        ("quay.io/acme", "quay.io/acme/x/y", true),
        (
            "quay.io/acme",
            "quay.io/acme@sha256:0123456789012345678901234567890123456789012345678901234567890123",
            true,
        ),
        ("quay.io/acme", "quay.io/acmeevil/x", false),
        ("quay.io/acme", "quay.io/x/acme", false),
        ("quay.io/acme/app", "quay.io/acme", false),
        ("quay.io/acme/app", "quay.io/acme/app/x", true),
    ] {
        assert_eq!(covers(pattern, image), expected, "{pattern} {image}");
    }
}

#[test]
fn docker_hub_has_many_spellings() {
    for pattern in ["docker.io", "index.docker.io", "Docker.io"] {
        for image in [
            "nginx",
            "library/nginx",
            "docker.io/nginx",
            "docker.io/library/nginx",
            "index.docker.io/nginx",
            "INDEX.docker.io/nginx",
        ] {
            assert!(covers(pattern, image), "{pattern} {image}");
        }
        assert!(!covers(pattern, "registry-1.docker.io/nginx"));
    }
    assert!(covers("docker.io/library", "nginx"));
    assert!(covers("docker.io/library/nginx", "index.docker.io/nginx:1"));
    assert!(covers("index.docker.io/acme", "acme/app"));
    assert!(!covers("docker.io/nginx", "nginx"), "that is the path of an organisation");
    assert!(covers("registry-1.docker.io", "registry-1.docker.io/nginx"));
}

#[test]
fn a_star_stays_within_its_label() {
    for (pattern, image, expected) in [
        ("*.dkr.ecr.*.amazonaws.com", "1.dkr.ecr.eu-west-1.amazonaws.com/app", true),
        ("*.dkr.ecr.*.amazonaws.com", "1.DKR.ecr.eu-west-1.amazonaws.com/app", true),
        ("*.dkr.ecr.*.amazonaws.com", "1.dkr.ecr.eu.west.amazonaws.com/app", false),
        ("*.dkr.ecr.*.amazonaws.com", "dkr.ecr.eu-west-1.amazonaws.com/app", false),
        ("*.dkr.ecr.*.amazonaws.com", "1.dkr.ecr.x.amazonaws.com.evil.example/app", false),
        ("*.dkr.ecr.*.amazonaws.com", "1.dkr.ecr.x.amazonaws.com:443/app", false),
        ("*.example.com", "example.com/app", false),
        ("*.example.com", "a.example.com/app", true),
        ("*.example.com", "a.b.example.com/app", false),
        ("r*.example.com:5000/acme", "r.example.com:5000/acme/app", true),
        ("r*.example.com:5000/acme", "r1.example.com:5000/acme-evil/app", false),
        ("*:5000", "registry:5000/app", true),
        ("*:5000", "registry.io:5000/app", false),
        ("*:5000", "[fd00::1]:5000/app", false),
        ("*.io", "nginx", true),
    ] {
        assert_eq!(covers(pattern, image), expected, "{pattern} {image}");
    }
}

#[test]
fn an_image_without_a_registry_matches_nothing() {
    assert!(!covers("*.io", "my_host.io/app"));
    assert!(!covers("docker.io", "my_host.io/app"));
}

#[test]
fn names_come_by_rank_whatever_the_order_of_images() {
    let mapping = mapping(&[
        "*.example.com",
        "r*.example.com",
        "*.example.com/acme/app",
        "reg.example.com",
        "reg.example.com/acme",
        "reg.example.com/acme/app",
        "quay.io/acme",
        "quay.io",
    ]);
    let expected = ["s5", "s4", "s6", "s3", "s7", "s1", "s2", "s0"];
    let images = ["reg.example.com/acme/app", "quay.io/acme/app"];
    assert_eq!(secrets(&mapping, &images, "default"), expected);
    assert_eq!(secrets(&mapping, &[images[1], images[0], images[1]], "default"), expected);
}

#[test]
fn names_come_once_and_always_comes_last() {
    let rules = vec![
        rule(&["quay.io", "quay.io/acme"], "a", &[]),
        rule(&["quay.io"], "b", &[]),
        rule(&["quay.io/acme"], "b", &[]),
    ];
    let always = ["z", "b", "z"].map(|name| name.parse().unwrap()).to_vec();
    let mapping = Mapping::new(rules, always);
    assert_eq!(secrets(&mapping, &["quay.io/acme/app"], "default"), ["a", "b", "z"]);
    assert_eq!(secrets(&mapping, &[], "default"), ["z", "b"]);
}

#[test]
fn a_match_tells_its_rule() {
    let mapping = mapping(&["quay.io", "quay.io/acme"]);
    let mut found = Vec::new();
    mapping.matches(&ImageRef::parse("quay.io/acme/app").unwrap(), "default", &mut found);
    let _ = mapping.secrets(&mut found);
    let found: Vec<_> =
        found.iter().map(|m| (m.pattern.as_str(), m.rule.secret.as_str(), m.rank)).collect();
    assert_eq!(found, [("quay.io/acme", "s1", 0), ("quay.io", "s0", 1)]);
}

#[test]
fn a_rule_holds_in_its_namespaces() {
    let mapping = Mapping::new(
        vec![
            rule(&["quay.io"], "everywhere", &[]),
            rule(&["quay.io"], "here", &["team-a", "team-a", "batch-*", "batch-7", "*-7"]),
            rule(&["quay.io"], "there", &["team-b"]),
        ],
        Vec::new(),
    );
    for (namespace, expected) in [
        ("team-a", vec!["everywhere", "here"]),
        ("batch-7", vec!["everywhere", "here"]),
        ("batch-8", vec!["everywhere", "here"]),
        ("team-b", vec!["everywhere", "there"]),
        ("team-c", vec!["everywhere"]),
        ("", vec!["everywhere"]),
    ] {
        let mut found = Vec::new();
        mapping.matches(&ImageRef::parse("quay.io/app").unwrap(), namespace, &mut found);
        assert_eq!(found.len(), expected.len(), "{namespace}: a rule is found once");
        assert_eq!(secrets(&mapping, &["quay.io/app"], namespace), expected, "{namespace}");
    }
}

// The index must find just what comparing every pattern with the image would.

fn pattern_text() -> impl Strategy<Value = String> {
    ("(a|b|\\*|a\\*)\\.(io|\\*)(:50)?", "((/[ab]){1,3}/?)?").prop_map(|(host, path)| host + &path)
}

fn one_rule() -> impl Strategy<Value = Rule> {
    let patterns = prop::collection::vec(pattern_text(), 1..4);
    let namespaces = prop::collection::vec("x|y|x\\*|\\*", 0..3);
    (patterns, "[a-d]", namespaces)
        .prop_map(|(patterns, secret, namespaces)| rule(&patterns, &secret, &namespaces))
}

/// Compares by the words of the documentation, one pattern at a time.
fn covers_by_definition(pattern: &RegistryPattern, image: &ImageRef<'_>) -> bool {
    let (pattern_name, pattern_port) =
        pattern.host().split_once(':').unwrap_or((pattern.host(), ""));
    let (name, port) = image.registry().split_once(':').unwrap_or((image.registry(), ""));
    let (pattern_labels, labels): (Vec<_>, Vec<_>) =
        (pattern_name.split('.').collect(), name.split('.').collect());
    let repository = image.repository();
    let path: Vec<_> = pattern.path().split('/').filter(|segment| !segment.is_empty()).collect();
    pattern_port == port
        && pattern_labels.len() == labels.len()
        && pattern_labels.iter().zip(&labels).all(|(glob, label)| glob::covers(glob, label))
        && repository.split('/').collect::<Vec<_>>().starts_with(&path)
        && (!pattern.path().ends_with('/') || repository.split('/').count() > path.len())
}

proptest! {
    #[test]
    fn the_index_agrees_with_the_definition(
        rules in prop::collection::vec(one_rule(), 0..12),
        image in "(a|b|ab)\\.(io|b)(:50)?(/[ab]){1,4}",
        namespace in "x|y|xy|z",
    ) {
        let mapping = Mapping::new(rules.clone(), Vec::new());
        let image = ImageRef::parse(&image).unwrap();
        let mut found = Vec::new();
        mapping.matches(&image, &namespace, &mut found);
        let mut found: Vec<_> = found
            .iter()
            .map(|m| (std::ptr::from_ref(m.rule), m.pattern.as_str()))
            .collect();
        found.sort_unstable();
        let mut expected: Vec<_> = mapping
            .rules()
            .iter()
            .filter(|rule| rule.holds_in(&namespace))
            .flat_map(|rule| rule.patterns.iter().map(move |pattern| (rule, pattern)))
            .filter(|(_, pattern)| covers_by_definition(pattern, &image))
            .map(|(rule, pattern)| (std::ptr::from_ref(rule), pattern.as_str()))
            .collect();
        expected.sort_unstable();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn a_rule_holds_in_the_namespaces_that_it_names_or_in_all() {
    let rule = |namespaces: &[&str]| Rule {
        patterns: Vec::new(),
        secret: "a".parse().unwrap(),
        namespaces: namespaces.iter().map(|it| it.parse().unwrap()).collect(),
        fill: None,
        when_missing: WhenMissing::Inject,
        line: 1,
    };
    for (namespaces, namespace, holds) in [
        (&[][..], "shop", true),
        (&["shop"], "shop", true),
        (&["shop"], "shop-2", false),
        (&["team", "batch-*"], "batch-7", true),
        (&["team", "batch-*"], "batch", false),
        (&["*"], "anything", true),
    ] {
        assert_eq!(rule(namespaces).holds_in(namespace), holds, "{namespaces:?} {namespace}");
    }
}

#[test]
fn discovery_is_for_the_namespaces_that_it_names_and_never_for_excluded_ones() {
    let discover = |namespaces: &[&str]| {
        let namespaces = namespaces.iter().map(|it| it.parse().unwrap()).collect();
        let mapping = Mapping::new(Vec::new(), Vec::new()).with_discover(namespaces);
        mapping.with_own_namespace(Some("pullcred".into()))
    };
    for (namespaces, namespace, discovers) in [
        (&[][..], "shop", false),
        (&["sandbox-*"], "sandbox-7", true),
        (&["sandbox-*", "shop"], "shop", true),
        (&["sandbox-*"], "shop", false),
        (&["*"], "shop", true),
        (&["*"], "kube-system", false),
        (&["*", "pullcred"], "pullcred", false),
    ] {
        assert_eq!(discover(namespaces).discovers(namespace), discovers, "{namespaces:?}");
    }
}
