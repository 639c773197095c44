//! What is rendered is the same each time, is what it was, and is valid.

use std::{collections::HashSet, process::Command};

use crate::helm::{LOGINS, check_manifests, examples, render, repository};

#[test]
fn two_renders_are_identical() {
    for (example, values) in examples() {
        assert_eq!(render(&[&values]), render(&[&values]), "{example}");
    }
}

/// The default's whole text; of the other examples, the documents that are not word for word in it.
#[test]
fn renders_are_what_they_were() {
    insta::with_settings!({
        snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true,
    }, {
        insta::assert_snapshot!("default", text(&[DEFAULT]));
        for (example, values) in examples().iter().filter(|(example, _)| example != "default") {
            insta::assert_snapshot!(example.as_str(), beside_the_default(&[values]));
        }
    });
}

/// The snapshot is that of the version before reports.
#[test]
fn without_reports_a_release_with_logins_is_what_it_was() {
    let off = "--set=reports.enabled=false";
    insta::with_settings!({
        snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true,
    }, {
        insta::assert_snapshot!("credentials-without-reports", beside_the_default(&[LOGINS, off]));
    });
}

const DEFAULT: &str = "--values=charts/pullcred/ci/default-values.yaml";

/// The documents that the default does not have word for word.
fn beside_the_default(arguments: &[&str]) -> String {
    let usual = text(&[DEFAULT]);
    let documents: HashSet<&str> = usual.split("---\n").collect();
    let text = text(arguments);
    let changed: Vec<_> = text
        .split("---\n")
        .filter(|document| !documents.contains(document))
        // A file of the chart as it is, and long.
        .filter(|document| !document.contains("templates/monitoring/dashboard.yaml"))
        .collect();
    changed.join("---\n")
}

/// What is rendered, without versions: each release would change every document.
fn text(arguments: &[&str]) -> String {
    let version = format!("-{}", env!("CARGO_PKG_VERSION"));
    render(arguments)
        .replace(&version, "-VERSION")
        .replace(&format!("\"{}\"", env!("CARGO_PKG_VERSION")), "\"VERSION\"")
        .replace(&format!(":{}\"", env!("CARGO_PKG_VERSION")), ":VERSION\"")
}

#[test]
fn renders_are_valid_from_kubernetes_1_30_to_1_37() {
    let texts: Vec<_> = examples().iter().map(|(_, values)| render(&[values])).collect();
    let report = check_manifests(&texts.join("\n---\n")).unwrap();
    let versions: Vec<_> = report.lines().filter_map(|line| line.split(':').next()).collect();
    let expected: Vec<_> = (30..=37).map(|minor| format!("Kubernetes 1.{minor}")).collect();
    assert_eq!(versions, expected, "{report}");
}

#[test]
fn the_checker_of_manifests_finds_what_is_wrong() {
    let service = render(&["--show-only=templates/webhook/service.yaml"]);
    for (right, wrong, words) in [
        ("targetPort:", "targetport:", "targetport: field not declared"),
        ("kind: Service", "kind: Servise", "there is no such kind"),
        ("port: 443", "port: [443]", "port"),
        ("type: ClusterIP", "type: ClusterIP\n  type: NodePort", "already set"),
    ] {
        let refusal = check_manifests(&service.replace(right, wrong)).unwrap_err();
        assert!(refusal.contains(words), "{wrong}: {refusal}");
    }
    // Resources of a whole Pod came with Kubernetes 1.32.
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec: {template: {spec: {resources: {}}}}\n";
    let refusal = check_manifests(job).unwrap_err();
    assert!(
        refusal.contains("Kubernetes 1.31:") && !refusal.contains("Kubernetes 1.32:"),
        "{refusal}"
    );
}

#[test]
fn the_chart_passes_its_lint() {
    let lint = Command::new(repository().join("charts/lint.sh")).output().unwrap();
    let errors = String::from_utf8_lossy(&lint.stderr);
    assert!(lint.status.success(), "{errors}{}", String::from_utf8_lossy(&lint.stdout));
}
