//! What is rendered is the same each time, is what it was, and is valid.

use std::{collections::HashSet, process::Command};

use crate::helm::{check_manifests, examples, render, repository};

#[test]
fn two_renders_are_identical() {
    for (example, values) in examples() {
        assert_eq!(render(&[&values]), render(&[&values]), "{example}");
    }
}

/// The default's whole text; of the other examples, the documents that are not word for word in it.
#[test]
fn renders_are_what_they_were() {
    // Each release would change every document.
    let version = format!("-{}", env!("CARGO_PKG_VERSION"));
    let text = |values: &str| {
        render(&[values])
            .replace(&version, "-VERSION")
            .replace(&format!("\"{}\"", env!("CARGO_PKG_VERSION")), "\"VERSION\"")
            .replace(&format!(":{}\"", env!("CARGO_PKG_VERSION")), ":VERSION\"")
    };
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _bound = settings.bind_to_scope();

    let usual = text("--values=charts/pullcred/ci/default-values.yaml");
    let documents: HashSet<&str> = usual.split("---\n").collect();
    insta::assert_snapshot!("default", usual);
    for (example, values) in examples() {
        if example == "default" {
            continue;
        }
        let text = text(&values);
        let changed: Vec<_> = text
            .split("---\n")
            .filter(|document| !documents.contains(document))
            // A file of the chart as it is, and long.
            .filter(|document| !document.contains("templates/monitoring/dashboard.yaml"))
            .collect();
        insta::assert_snapshot!(example, changed.join("---\n"));
    }
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
