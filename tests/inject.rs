//! `pullcred inject` on manifests of all kinds, through the real binary. A case is a file in `testdata/inject`.

#![cfg(test)]

#[path = "support/cli.rs"]
mod cli;
#[path = "support/rfc6902.rs"]
mod rfc6902;

use std::{fmt::Write, fs, path::PathBuf};

use cli::run;
use proptest::prelude::*;
use pullcred::cluster::ClusterOptions;
use pullcred::commands::{
    Exit, Failure, Streams,
    inject::{self, Options, Output},
    manifests::Source,
};
use serde_json::Value;

const CONFIG: [&str; 3] = ["inject", "--config", "mapping.yaml"];

/// The cases in which an empty list or `null` gives way to a list.
const REPLACED: [&str; 5] = [
    "comments-around-empty-lists.yaml",
    "indentation-of-the-file.yaml",
    "json-lines.json",
    "list-without-entries.yaml",
    "service-accounts.yaml",
];

/// The files of a folder of the test data, by name.
fn files(folder: &str, extensions: &[&str]) -> Vec<PathBuf> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/testdata/").to_owned() + folder;
    let mut files: Vec<_> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension().is_some_and(|it| extensions.contains(&it.to_str().unwrap()))
        })
        .collect();
    files.sort_unstable();
    assert!(files.len() > 10, "the cases have gone");
    files
}

/// Arguments for a case: those that its first line asks for, after the mapping.
fn arguments(text: &str) -> Vec<&str> {
    let own = text.lines().next().and_then(|line| line.strip_prefix("# args: "));
    CONFIG.into_iter().chain(own.into_iter().flat_map(str::split_whitespace)).collect()
}

fn with<'a>(args: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    args.iter().chain(more).copied().collect()
}

/// The values of a stream of JSON.
fn values(json: &str) -> Vec<Value> {
    serde_json::Deserializer::from_str(json).into_iter().map(Result::unwrap).collect()
}

/// The values of a stream of JSON, without what only holds anchors: members such as `x-common`.
fn without_anchors(json: &str) -> Vec<Value> {
    let mut values = values(json);
    for members in values.iter_mut().filter_map(Value::as_object_mut) {
        members.retain(|name, _| !name.starts_with("x-"));
    }
    values
}

/// Whether `new` has all characters of `old`, in order.
fn is_within(old: &str, new: &str) -> bool {
    let mut new = new.chars();
    old.chars().all(|old| new.any(|new| new == old))
}

#[test]
fn each_case_changes_as_its_snapshot_says() {
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path("testdata/inject");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for path in files("inject", &["json", "yaml"]) {
            let text = fs::read_to_string(&path).unwrap();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let file = format!("inject/{}", path.file_name().unwrap().to_str().unwrap());
            let args = arguments(&text);
            let diff = run(&with(&args, &["-o", "diff", "-f", &file]), "");
            insta::assert_snapshot!(name, diff.shown().replace('\r', "␍"));
        }
    });
}

#[test]
fn each_case_changes_once_and_means_the_same_in_json() {
    let mut changed = 0;
    for path in files("inject", &["json", "yaml"]) {
        let text = fs::read_to_string(&path).unwrap();
        let args = arguments(&text);
        let yaml = run(&with(&args, &["-f", "-"]), &text);
        let json = run(&with(&args, &["-f", "-", "-o", "json"]), &text);
        if yaml.code != Some(0) {
            continue;
        }
        let name = path.display();
        assert_eq!(json.code, Some(0), "{name}");

        let again = run(&with(&args, &["-f", "-", "--check"]), &yaml.stdout);
        // Objects whose Pods are not found remain findings.
        let unknown = yaml.stderr.matches("is not known").count();
        assert_eq!(
            (again.code, again.stdout.lines().count()),
            (Some(i32::from(unknown > 0)), unknown),
            "{name}"
        );
        let again = run(&with(&args, &["-f", "-"]), &yaml.stdout);
        assert_eq!(again.stdout, yaml.stdout, "{name}: a second pass changes nothing");
        let read = run(&with(&args, &["-f", "-", "-o", "json"]), &yaml.stdout);
        assert_eq!(without_anchors(&read.stdout), without_anchors(&json.stdout), "{name}");

        let check = run(&with(&args, &["-f", "-", "--check"]), &text);
        assert_eq!(check.code, Some(i32::from(yaml.stdout != text || unknown > 0)), "{name}");
        changed += usize::from(yaml.stdout != text);
        if !REPLACED.iter().any(|file| path.ends_with(file)) {
            assert!(is_within(&text, &yaml.stdout), "{name}: something was lost");
        }
    }
    assert!(changed > 10, "only {changed} cases change");
}

/// What a Pod gets here is what it gets from the webhook, whose golden cases these are.
#[test]
fn pods_get_what_the_webhook_gives_them() {
    let mut compared = 0;
    for path in files("admission", &["yaml"]) {
        let text = fs::read_to_string(&path).unwrap();
        let case: Value = serde_saphyr::from_str(&text).unwrap();
        // Requests that are no creation have no manifest, and mappings of their own are tried elsewhere.
        let is_plain = case.get("request").is_none() && case.get("mapping").is_none();
        let namespace = case.get("namespace").map_or("shop", |it| it.as_str().unwrap());
        let pod = &case["pod"];
        if !is_plain || !pod["spec"].is_object() || namespace == "pullcred" {
            continue;
        }
        let mut manifest = pod.clone();
        manifest["apiVersion"] = "v1".into();
        manifest["kind"] = "Pod".into();
        manifest["metadata"]["namespace"] = namespace.into();
        let mut expected = manifest.clone();
        if case["patch"].is_array() {
            rfc6902::apply(&mut expected, &case["patch"]).unwrap();
        }
        let args = with(&CONFIG, &["-n", "other", "-o", "json", "-f", "-"]);
        let run = run(&args, &manifest.to_string());
        let name = path.display();
        if run.code == Some(0) {
            assert_eq!(values(&run.stdout), [expected], "{name}");
            compared += 1;
        } else {
            // What the webhook cannot read, it leaves alone with a warning; here it is an error.
            assert!(run.stderr.contains("its Pod cannot be read"), "{name}: {}", run.stderr);
            assert!(case["patch"].is_null(), "{name}");
        }
    }
    assert!(compared > 20, "only {compared} cases were compared");
}

#[test]
fn rules_of_other_namespaces_are_noted_where_the_manifest_names_none() {
    const NOTE: &str = "note: the rule in line 11 holds only in other namespaces than `default`: \
                        name the namespace with -n\n";
    const NAMESPACE: &str = "metadata: {namespace: default}";
    let pod = |metadata: &str, spec: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\n{metadata}\nspec: {{containers: [{{image: registry.internal:5000/a}}]{spec}}}\n"
        )
    };
    let nothing = "0 of 1 Pods and Pod templates lack Secrets\n";
    for (args, manifest, noted) in [
        (vec![], pod("", ""), true),
        (vec![], pod("metadata: {labels: {pullcred.dev/inject: disabled}}", ""), false),
        // It lists the Secret itself.
        (vec![], pod("", ", imagePullSecrets: [{name: internal}]"), false),
        (vec![], pod(NAMESPACE, ""), false),
        (vec!["-n", "default"], pod("", ""), false),
        (vec![], pod("", "").replace("registry.internal:5000", "gcr.io"), false),
    ] {
        let run = run(&with(&with(&CONFIG, &["-f", "-", "--check"]), &args), &manifest);
        let note = if noted { NOTE } else { "" };
        assert_eq!((run.code, run.stderr), (Some(0), format!("{note}{nothing}")), "{manifest}");
    }
    let run = run(&with(&CONFIG, &["-f", "-", "--check", "-n", "shop"]), &pod("", ""));
    assert_eq!(run.code, Some(1), "with the namespace the Secret is missed: {}", run.stderr);
}

#[test]
fn several_files_become_one_stream() {
    let args =
        with(&CONFIG, &["-f", "inject/markers.yaml", "-f", "inject/every-kind.yaml", "-f", "-"]);
    let together = run(&args, r#"{"apiVersion": "v1", "kind": "ConfigMap"}"#);
    let json = run(&with(&CONFIG, &["-o", "json", "-f", "-"]), &together.stdout);
    assert_eq!(
        (together.code, json.code),
        (Some(0), Some(0)),
        "{}{}",
        together.stderr,
        json.stderr
    );
    assert_eq!(values(&json.stdout).len(), 3 + 10 + 1);
}

#[test]
fn a_diff_is_one_that_patch_takes() {
    let folder = tempfile::tempdir().unwrap();
    for path in files("inject", &["yaml"]) {
        let text = fs::read_to_string(&path).unwrap();
        let args = arguments(&text);
        let yaml = run(&with(&args, &["-f", "-"]), &text);
        if yaml.code != Some(0) {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap();
        fs::write(folder.path().join(name), &text).unwrap();
        let mapping = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/testdata/mapping.yaml");
        let mut args: Vec<_> = with(&args, &["-o", "diff", "-f", name]);
        args[2] = mapping;
        let diff = cli::output(cli::command(&args).current_dir(folder.path()), "");
        let mut patch = std::process::Command::new("patch");
        patch.args(["-p0", "--binary", "--fuzz=0", "--silent"]).current_dir(folder.path());
        let patched = cli::output(&mut patch, &diff.stdout);
        assert_eq!(patched.code, Some(0), "{name}: {}{}", patched.stdout, patched.stderr);
        assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap(), yaml.stdout, "{name}");
    }
}

#[test]
fn mistakes_are_explained() {
    let mistakes: [(&str, &[&str]); 10] = [
        ("a file that is not there", &["-f", "inject/deploy.yaml"]),
        ("a folder without manifests", &["-f", "help"]),
        ("a pattern without matches", &["-f", "inject/none-*.yaml"]),
        ("standard input in place", &["-f", "-", "--in-place"]),
        ("a path that leads nowhere", &["-f", "-", "--path", "Rollouts=/spec/template", "--check"]),
        ("standard input twice", &["-f", "-", "-f", "-"]),
        ("no file at all", &[]),
        ("a path that is no pointer", &["-f", "-", "--path", "spec.template"]),
        ("a custom kind without its path", &["-f", "-"]),
        ("a mapping that is none", &["-f", "-", "--config", "inject/values-of-a-chart.yaml"]),
    ];
    let rollout = "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nspec: {template: {spec: {containers: [{image: nginx}]}}}\n";
    let mut shown = String::new();
    for (what, args) in mistakes {
        let args = match args {
            [.., "--config", _] => with(&["inject"], args),
            _ => with(&CONFIG, args),
        };
        let run = run(&args, rollout);
        writeln!(shown, "=== {what}: pullcred {}\n{}\n", args.join(" "), run.shown()).unwrap();
    }
    insta::with_settings!({snapshot_path => "testdata/inject", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("mistakes", shown);
    });
}

/// What stands in a manifest may be a credential in the wrong place, or reach for the reader's terminal.
#[test]
fn messages_repeat_nothing_but_names_and_those_in_one_line() {
    for (pod, message) in [
        (
            r"{metadata: {name: a}, spec: {imagePullSecrets: canary}}",
            "Pod a: its Pod cannot be read: spec.imagePullSecrets: expected a sequence: write a list, one entry a line behind `- `",
        ),
        (
            r"{metadata: {name: a}, spec: {imagePullSecrets: [canary]}}",
            "Pod a: its Pod cannot be read: spec.imagePullSecrets[0]: expected an object: write keys with values, such as `name: …`",
        ),
        (
            r#"{metadata: {name: "a\e[31m\nb"}, spec: {containers: [{image: 1}]}}"#,
            r"Pod a\u{1b}[31m\nb: its Pod cannot be read: spec.containers[0].image: expected a string: write `y`, `on` and numbers that are text in quotes",
        ),
    ] {
        let manifest = format!("{{apiVersion: v1, kind: Pod, {}", &pod[1..]);
        let run = run(&with(&CONFIG, &["-f", "-"]), &manifest);
        assert_eq!(run.code, Some(1), "{}", run.shown());
        assert_eq!(run.stderr, format!("pullcred: standard input: line 1: {message}\n"));
    }
}

/// What the command makes of a text, in this process.
fn injected(text: &str) -> Result<String, Failure> {
    let options = Options {
        config: concat!(env!("CARGO_MANIFEST_DIR"), "/tests/testdata/mapping.yaml").into(),
        sources: vec![Source::Stdin],
        output: Output::Yaml,
        check: false,
        namespace: None,
        paths: Vec::new(),
        service_accounts: Vec::new(),
        reports: None,
        cluster: ClusterOptions::default(),
    };
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut streams = Streams {
        stdin: &mut text.as_bytes(),
        stdout: &mut stdout,
        stderr: &mut stderr,
        colour: false,
    };
    assert_eq!(inject::run(&options, &mut streams)?, Exit::Fine);
    Ok(String::from_utf8(stdout).unwrap())
}

/// Editors leave out the last line break, and what ends there may be a block scalar.
#[test]
fn a_text_may_end_behind_any_line_and_without_its_line_break() {
    let mut changed = 0;
    for path in files("inject", &["json", "yaml"]) {
        let text = fs::read_to_string(&path).unwrap();
        for (end, _) in text.match_indices('\n') {
            let text = &text[..end];
            let Ok(new) = injected(text) else { continue };
            assert_eq!(injected(&new).unwrap(), new, "{}: {text}", path.display());
            changed += usize::from(new != text);
        }
    }
    assert!(changed > 100, "only {changed} texts change");
}

/// A Pod as people write them: with this many spaces, with or without comments, and with its keys in any order.
fn manifest() -> impl Strategy<Value = String> {
    let list = prop::sample::select(vec![
        "",
        "imagePullSecrets:",
        "imagePullSecrets: # none",
        "imagePullSecrets: []",
        "imagePullSecrets: null   # none",
        "imagePullSecrets: [ ]",
        "imagePullSecrets: [{name: mine}]",
        "imagePullSecrets: [name: mine, {name: \"hub\"}] # two",
        "imagePullSecrets:\nLI- name: mine",
        "imagePullSecrets:\nLI# first\nLI- name: mine # it\nLI- {name: github}\nLI# last",
        "imagePullSecrets:\nLI-   name: mine\n\nLI- name: >-\nLI    other",
    ]);
    let containers = prop::sample::select(vec![
        "containers:\nLI- name: a\nLI  image: ghcr.io/acme/a",
        "containers:\nLI- image: nginx # hub\nLI  name: a\nLI  args:\nLI  - |\nLI    - b\n\n",
        "containers: [{name: a, image: nginx}]",
        "containers:\nLI- {name: a,\nLI   image: 'quay.io/acme/a'}",
        "containers: [{\"name\": \"a\", \"image\": \"gcr.io/a/a\"}]",
    ]);
    let other = prop::sample::select(vec![
        "hostNetwork: true",
        "# a comment",
        "nodeSelector:\n  PAD a: b",
        "nodeName: |\n  PAD text\n\n",
        "nodeName: >-\n  PAD text",
        "volumes:\nLI- name: v\nLI  emptyDir: {}",
    ]);
    let spec = (list, containers, prop::collection::vec(other, 0..2)).prop_flat_map(
        |(list, containers, others)| {
            let parts: Vec<_> = [list, containers].into_iter().chain(others).collect();
            Just(parts).prop_shuffle()
        },
    );
    let end = prop::sample::select(vec!["", "\n", "\n# end\n", "\n\n---\n"]);
    let indents = (1..5_usize, prop::sample::select(vec![0, 2, 4]));
    (spec, indents, end, any::<bool>()).prop_map(|(spec, (indent, of_lists), end, returns)| {
        let pad = " ".repeat(indent);
        let mut text = "apiVersion: v1\nkind: Pod\nspec:".to_owned();
        let mut seen = std::collections::HashSet::new();
        for part in spec.iter().filter(|part| !part.is_empty() && seen.insert(**part)) {
            let part = part.replace("LI", &format!("{pad}{}", " ".repeat(of_lists)));
            write!(text, "\n{pad}{}", part.replace("PAD", &pad)).unwrap();
        }
        text.push_str(end);
        if returns { text.replace('\n', "\r\n") } else { text }
    })
}

proptest! {
    #[test]
    fn whatever_people_write_can_be_changed_and_is_kept(text in manifest()) {
        let new = injected(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        prop_assert_eq!(injected(&new).unwrap(), new.clone());
        // An empty list gives way, and that alone.
        let gone = [": []", ": [ ]", ": null"].iter().fold(text.clone(), |text, it| text.replace(it, ":"));
        prop_assert!(is_within(&gone, &new), "{text}\n===\n{new}");
    }

    #[test]
    fn no_text_is_a_surprise(text in "(apiVersion: v1\n|kind: (Pod|List)\n|spec:|items:|imagePullSecrets:|containers:|image: nginx|[-{}\\[\\]&*!|>\"' \n:,a]){0,30}") {
        // Any error is fine, as long as it is one.
        let _ = injected(&text);
    }
}
