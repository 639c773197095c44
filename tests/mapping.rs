//! Mapping files: what is accepted, and what people read where it is not.

#![expect(clippy::unwrap_used, reason = "clippy knows the tests here, but not their helpers")]

use std::fmt::Write as _;
use std::path::Path;

use pullcred::core::decide::decide;
use pullcred::core::image::ImageRef;
use pullcred::core::review::Request;
use pullcred::core::rules::{
    Fill, Mapping, NamespacePattern, RegistryPattern, SecretName, WhenMissing,
};
use pullcred::mapping::{self, SIZE_MAX};

fn secrets(mapping: &Mapping, images: &[&str], namespace: &str) -> Vec<String> {
    let mut found = Vec::new();
    for image in images {
        mapping.matches(&ImageRef::parse(image).unwrap(), namespace, &mut found);
    }
    mapping.secrets(&mut found).into_iter().map(ToString::to_string).collect()
}

/// Compares what `shown` makes of each file of a folder with the snapshot beside it.
fn each_file(folder: &str, shown: impl Fn(&str) -> String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testdata/mapping").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort_unstable();
    assert!(!files.is_empty(), "no file in {}", path.display());
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(&path);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            let name = file.file_stem().unwrap().to_str().unwrap();
            insta::assert_snapshot!(name, shown(&text));
        }
    });
}

#[test]
fn broken_files_are_refused_with_what_to_write() {
    each_file("broken", |text| format!("{:#}", mapping::parse(text).expect_err(text)));
}

#[test]
fn good_files_mean_what_they_say() {
    each_file("good", |text| {
        described(&mapping::parse(text).unwrap_or_else(|error| panic!("{error:#}")))
    });
}

/// The values of the chart have a mapping in them, or say where it is; lines are those of the values.
#[test]
fn values_of_the_chart_are_read_by_their_mapping() {
    each_file("values", |text| match mapping::parse_or_values(text) {
        Ok(mapping) => described(&mapping),
        Err(error) => format!("{error:#}"),
    });
}

/// What is read as a mapping file means the same where values are taken, too.
#[test]
fn a_mapping_file_is_no_values() {
    let text = include_str!("../examples/pullcred.yaml");
    let described = |mapping: Result<Mapping, _>| described(&mapping.unwrap());
    assert_eq!(described(mapping::parse_or_values(text)), described(mapping::parse(text)));
    let error = mapping::parse("mapping: {rules: []}").unwrap_err().to_string();
    assert!(error.contains("these are values of the chart"), "{error}");
}

fn described(mapping: &Mapping) -> String {
    let mut text = String::new();
    for rule in mapping.rules() {
        let patterns: Vec<_> = rule.patterns.iter().map(RegistryPattern::as_str).collect();
        let namespaces: Vec<_> = rule.namespaces.iter().map(NamespacePattern::as_str).collect();
        write!(text, "line {}: {patterns:?} -> {} in {namespaces:?}", rule.line, rule.secret)
            .unwrap();
        text.push_str(if rule.when_missing == WhenMissing::Skip { ", or nothing\n" } else { "\n" });
    }
    for rule in mapping.rules() {
        if let Some(Fill { identity: Some(name), .. }) = &rule.fill {
            writeln!(text, "line {}: as {name}", rule.line).unwrap();
        }
    }
    for login in mapping.logins().iter().filter(|login| login.is_fetched()) {
        let (secret, source) = (login.secret(), &login.source);
        writeln!(text, "line {}: {} in {secret}: {source:?}", login.line, login.name).unwrap();
    }
    let always: Vec<_> = mapping.always().iter().map(SecretName::as_str).collect();
    writeln!(text, "always {always:?}").unwrap();
    let discover: Vec<_> = mapping.discover().iter().map(NamespacePattern::as_str).collect();
    if !discover.is_empty() {
        writeln!(text, "discover in {discover:?}").unwrap();
    }
    text
}

#[test]
fn the_example_mapping_does_what_its_comments_say() {
    let mapping = mapping::parse(include_str!("../examples/pullcred.yaml")).unwrap();
    for (image, namespace, expected) in [
        (
            "registry.cn-shanghai.aliyuncs.com/acme/app:1.2",
            "default",
            &["aliyun", "debug-tools"][..],
        ),
        ("nginx", "default", &["docker-hub", "debug-tools"]),
        ("ghcr.io/acme/app", "default", &["acme-robot", "debug-tools"]),
        ("ghcr.io/acmeevil/app", "default", &["debug-tools"]),
        ("quay.io/acme/team/app", "default", &["acme-robot", "debug-tools"]),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/app", "default", &["ecr", "debug-tools"]),
        ("registry.internal:5000/app", "team-a", &["internal", "debug-tools"]),
        ("registry.internal:5000/app", "batch-7", &["internal", "debug-tools"]),
        ("registry.internal:5000/app", "team-b", &["debug-tools"]),
        ("registry.internal/app", "team-a", &["debug-tools"]),
    ] {
        assert_eq!(secrets(&mapping, &[image], namespace), expected, "{image} in {namespace}");
    }
}

/// The line `# Added: …` of each example Pod, as the example mapping does it.
#[test]
fn the_example_pods_get_what_their_comments_say() {
    let mapping = mapping::parse(include_str!("../examples/pullcred.yaml")).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/pods");
    let files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 4);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let said = text.lines().find_map(|line| line.strip_prefix("# Added: ")).unwrap();
        let said: Vec<_> = said
            .trim_end_matches('.')
            .split("), ")
            .filter_map(|entry| entry.split_once(" (").map(|(name, _)| name))
            .collect();

        let pod: k8s_openapi::api::core::v1::Pod = serde_saphyr::from_str(&text).unwrap();
        let json = serde_json::to_vec(&pod).unwrap();
        let request = Request::create("default", serde_json::from_slice(&json).unwrap());
        assert_eq!(decide(&request, &mapping, None).injected(), said, "{}", file.display());
    }
}

#[test]
fn a_pod_without_images_gets_nothing_even_from_always() {
    let mapping = mapping::parse("always: [debug-tools]").unwrap();
    for pod in ["{}", r#"{"spec":null}"#, r#"{"spec":{"containers":[]}}"#] {
        let request = Request::create("default", serde_json::from_str(pod).unwrap());
        assert!(decide(&request, &mapping, None).patch().is_none(), "{pod}");
    }
    let pod = r#"{"spec":{"containers":[{"image":""}]}}"#;
    let request = Request::create("default", serde_json::from_str(pod).unwrap());
    assert_eq!(decide(&request, &mapping, None).injected(), ["debug-tools"]);
}

#[test]
fn a_file_larger_than_a_config_map_is_refused() {
    let rule = "rules: [{registries: [quay.io], secret: quay}]\n";
    let padded = |length: usize| format!("{rule}{}", "#".repeat(length - rule.len()));
    assert!(mapping::parse(&padded(SIZE_MAX)).is_ok());
    let error = mapping::parse(&padded(SIZE_MAX + 1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 1, column 1: the file has 1048577 bytes, more than the 1048576 that a ConfigMap holds"
    );
}

#[test]
fn ten_thousand_rules_fit_into_a_file() {
    let mut text = String::from("rules:\n");
    for i in 0..10_000 {
        writeln!(text, "  - registries: [registry-{i}.example.com/team]\n    secret: registry-{i}")
            .unwrap();
    }
    let mapping = mapping::parse(&text).unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(mapping.rules().len(), 10_000);
    assert_eq!(mapping.rules()[9_999].line, 20_000);
    assert_eq!(
        secrets(&mapping, &["registry-9999.example.com/team/app"], "default"),
        ["registry-9999"]
    );
}

/// A list of 10,000 hosts, and a rule for each of 1,000 aliases of it.
#[test]
fn a_bomb_of_aliases_is_refused() {
    let hosts: Vec<_> = (0..10_000).map(|i| format!("h{i}.io")).collect();
    let mut text = format!("rules:\n  - registries: &bomb [{}]\n    secret: a\n", hosts.join(","));
    for _ in 0..1_000 {
        text.push_str("  - registries: *bomb\n    secret: a\n");
    }
    let error = mapping::parse(&text).unwrap_err();
    assert!(error.message().starts_with("the aliases of this file"), "{error}");
}

#[test]
fn deep_nesting_is_refused() {
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", "")] {
        for depth in [20, 100, 100_000] {
            let text = format!("rules: {}{}", open.repeat(depth), close.repeat(depth));
            assert!(mapping::parse(&text).is_err());
            assert!(mapping::parse(&text["rules: ".len()..]).is_err());
        }
    }
}

#[test]
fn the_error_of_a_file_full_of_mistakes_is_short() {
    let text = format!("rules:\n  - registries: [{}]\n    secret: a\n", "x, ".repeat(200_000));
    let error = mapping::parse(&text).unwrap_err();
    assert_eq!((error.problems().count(), error.omitted()), (10, 199_990));
    let shown = format!("{error:#}");
    assert!(shown.len() < 6_000, "{} bytes", shown.len());
}

#[test]
fn no_credential_comes_out_of_a_file() {
    for text in [
        "rules:\n  - registries: [\"robot:hunter2@quay.io\", x]\n    secret: a\n",
        "rules:\n  - registries: [x, https://robot:hunter2@quay.io]\n    secret: a\n",
        "rules:\n  - registries: robot:hunter2@quay.io\n    secret: a\n",
        "rules:\n  - registries: [quay.io]\n    secret: robot:hunter2\n",
        "rules:\n  - registries: [quay.io]\n    secret: {username: robot, password: hunter2}\n",
        "rules:\n  - registries: [quay.io]\n    password: hunter2\n    secret: a\n",
        "rules:\n  - {secret: hunter2=, registries: [x]}\n",
        "rules:\n  - {registries: [robot:hunter2@quay.io, {a: b}], secret: a}\n",
        "{password: hunter2, rules: []}\n",
        "password: hunter2\n",
    ] {
        let error = mapping::parse(text).unwrap_err();
        assert!(!format!("{error:#} {error:?}").contains("hunter2"), "{text}{error:#}");
    }
}
