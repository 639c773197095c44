//! Running Helm, and the checker of manifests.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::LazyLock,
};

use crate::object::Object;

/// The namespace into which everything is rendered.
pub(crate) const NAMESPACE: &str = "pullcred";

/// The values of an installation with logins.
pub(crate) const LOGINS: &str = "--values=charts/pullcred/ci/credentials-values.yaml";
/// The values of an installation of the credentials controller alone.
pub(crate) const ALONE: &str = "--values=charts/pullcred/ci/credentials-alone-values.yaml";
/// The values of an installation with logins of each cloud.
pub(crate) const CLOUDS: &str = "--values=charts/pullcred/ci/clouds-values.yaml";

/// The registry of the image. What follows it can say otherwise.
const REGISTRY: &str = "--values=tests/chart/registry.yaml";

static HELM: LazyLock<PathBuf> = LazyLock::new(|| {
    let built = Command::new(repository().join("tests/cluster/helm/binary.sh"))
        .stderr(Stdio::inherit())
        .output()
        .expect("tests/cluster/helm/binary.sh is executable");
    assert!(built.status.success(), "tests/cluster/helm/binary.sh: no Helm, see above");
    PathBuf::from(String::from_utf8(built.stdout).unwrap().trim_end())
});

pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The objects of the chart with these arguments, such as `--set=a=b`.
pub(crate) fn objects(arguments: &[&str]) -> Vec<Object> {
    Object::all(&render(arguments))
}

/// The chart's text with these arguments.
pub(crate) fn render(arguments: &[&str]) -> String {
    let output = template(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "helm template {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// What Helm prints after an installation with these arguments, of which nothing is done.
pub(crate) fn notes(arguments: &[&str]) -> String {
    let output = Command::new(&*HELM)
        .args(["install", "pullcred", "charts/pullcred", "--namespace", NAMESPACE])
        .args(["--dry-run=client", REGISTRY])
        .args(arguments)
        .current_dir(repository())
        .output()
        .expect("Helm runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "helm install {arguments:?}: {errors}");
    let printed = String::from_utf8(output.stdout).unwrap();
    printed.split_once("\nNOTES:\n").expect("notes").1.to_owned()
}

/// Why Helm refuses to render the chart with these arguments.
pub(crate) fn refusal(arguments: &[&str]) -> String {
    let output = template(arguments);
    assert!(!output.status.success(), "helm template {arguments:?} is not refused");
    String::from_utf8(output.stderr).unwrap()
}

/// What Helm answers with these arguments.
pub(crate) fn template(arguments: &[&str]) -> Output {
    Command::new(&*HELM)
        .args(["template", "pullcred", "charts/pullcred", "--namespace", NAMESPACE, REGISTRY])
        .args(arguments)
        .current_dir(repository())
        .output()
        .expect("Helm runs")
}

/// The names and paths of the files in `charts/pullcred/ci`, in order.
pub(crate) fn examples() -> Vec<(String, String)> {
    let folder = "charts/pullcred/ci";
    let mut examples: Vec<_> = fs::read_dir(repository().join(folder))
        .unwrap()
        .map(|entry| {
            let file = entry.unwrap().file_name().into_string().unwrap();
            (file.trim_end_matches("-values.yaml").to_owned(), format!("--values={folder}/{file}"))
        })
        .collect();
    examples.sort_unstable();
    assert!(examples.len() > 1, "no values in {folder}");
    examples
}

/// Checks manifests against the schemas of all supported versions of Kubernetes: the checker's report,
/// or what is wrong.
pub(crate) fn check_manifests(text: &str) -> Result<String, String> {
    let mut checker = Command::new(repository().join("tests/chart/manifests/validate.sh"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tests/chart/manifests/validate.sh is executable");
    // Taken, so that it is closed before the answer is waited for.
    checker.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = checker.wait_with_output().unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}
