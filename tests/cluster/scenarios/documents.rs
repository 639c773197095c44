//! What the documents say to type, typed: every command of a `console` block in the README, install.md, logins.md,
//! operations.md and quickstart.md is run on the node, or listed here with the reason why not.

mod steps;

use std::{
    collections::BTreeSet,
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use self::steps::{Step, steps};
use crate::{
    namespace::Namespace,
    node::{FIRST, HOME, NodeCluster, RELEASE, Tag},
    pki::User,
    process::Process,
    registration::INJECT,
    report::Report,
};

/// The documents whose commands are typed.
const DOCUMENTS: [&str; 5] =
    ["README.md", "docs/install.md", "docs/logins.md", "docs/operations.md", QUICKSTART];

/// Typed last, in a cluster without pullcred, and read by those who have none.
const QUICKSTART: &str = "docs/quickstart.md";

/// The longest that one command takes: Helm waits for Pods, and a namespace for its Pods to leave.
const LIMIT: Duration = Duration::from_secs(240);

/// The sections that are typed, in this order: each leaves the cluster as the next one finds it.
const TYPED: [(&str, &str); 23] = [
    ("docs/install.md", "With Helm"),
    ("docs/install.md", "Opt a namespace in"),
    ("docs/install.md", "A Secret of your own"),
    ("docs/operations.md", "What is in force"),
    ("docs/operations.md", "Is all well"),
    ("docs/operations.md", "The certificate"),
    ("docs/operations.md", "Copies of logins"),
    ("docs/operations.md", "In an emergency"),
    ("README.md", "Install it in a cluster"),
    ("docs/logins.md", "In a minute"),
    ("docs/logins.md", "Rotate a login"),
    ("docs/logins.md", "Deletions that wait for a person"),
    ("docs/logins.md", "Deleting copies by hand"),
    ("docs/install.md", "What Helm installed"),
    ("docs/install.md", "Without a webhook"),
    ("docs/install.md", "Without Helm"),
    ("docs/install.md", "With Kustomize"),
    ("docs/install.md", "Plain manifests"),
    ("docs/install.md", "On your own machine"),
    (QUICKSTART, "The Pod that hangs"),
    (QUICKSTART, "Install pullcred"),
    (QUICKSTART, "One label"),
    (QUICKSTART, "Remove it"),
];

/// The sections that are not, and why.
const NOT_TYPED: [(&str, &str, &str); 6] = [
    (
        "README.md",
        "The problem",
        "what a kubelet says: `node_story::before_and_after` has it from one",
    ),
    ("README.md", "Try it in a minute", "it compiles, and takes no cluster"),
    ("README.md", "The command line", "`tests/docs.rs` runs these, and compares what they print"),
    (
        "docs/logins.md",
        "Without the controller",
        "`tests/docs.rs` runs this, and compares what it prints",
    ),
    (
        "docs/install.md",
        "The image",
        "the sandbox has neither compilers' caches nor skopeo: the image is packed by the same script, and pushed",
    ),
    (
        QUICKSTART,
        "A cluster with pullcred's image",
        "the sandbox has no kind: the node is there, and the image is in the registry",
    ),
];

/// What is typed otherwise than it stands, and why.
const OTHERWISE: [(&str, &str, &str, &str); 8] = [
    // A placeholder.
    (
        "docs/operations.md",
        "What is in force",
        "POD",
        "$(kubectl get pod -n pullcred -l app.kubernetes.io/component=webhook -o jsonpath='{.items[0].metadata.name}')",
    ),
    (
        "docs/operations.md",
        "The certificate",
        "POD",
        "$(kubectl get pod -n pullcred -l app.kubernetes.io/component=controller -o jsonpath='{.items[0].metadata.name}')",
    ),
    (
        "docs/operations.md",
        "Copies of logins",
        "POD",
        "$(kubectl get pod -n pullcred -l app.kubernetes.io/component=credentials -o jsonpath='{.items[0].metadata.name}')",
    ),
    // It is there, from install.md.
    (
        "README.md",
        "Install it in a cluster",
        "kubectl create namespace pullcred",
        "kubectl get namespace pullcred",
    ),
    // Namespaces of other scenarios are in this cluster, with what is wrong there on purpose.
    ("docs/install.md", "With Helm", "check --live", "check --live --namespace shop"),
    ("docs/operations.md", "Is all well", "check --live", "check --live --namespace shop"),
    (QUICKSTART, "Install pullcred", "check --live", "check --live --namespace shop"),
    // pullcred's image is not on the node, but in the private registry.
    (
        QUICKSTART,
        "Install pullcred",
        "--values values.yaml",
        "--values values.yaml --set 'imagePullSecrets[0].name=example-robot'",
    ),
];

/// Somebody at a shell, with the repository, a Docker config after `docker login`, and the programs that the documents use.
struct Desk {
    cluster: Arc<NodeCluster>,
    folder: PathBuf,
}

// === impl Desk ===

impl Desk {
    fn new(cluster: Arc<NodeCluster>) -> Result<Self> {
        let folder = cluster.folder().join("documents");
        let (bin, home) = (folder.join("bin"), folder.join("home"));
        for folder in [&bin, &home.join(".docker")] {
            fs::create_dir_all(folder)?;
        }
        symlink(&cluster.programs().helm, bin.join("helm"))?;
        symlink(cluster.control_plane().program("kubectl").get_program(), bin.join("kubectl"))?;
        symlink(env!("CARGO_BIN_EXE_pullcred"), bin.join("pullcred"))?;
        for name in ["charts", "deploy", "examples"] {
            symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join(name), folder.join(name))?;
        }
        fs::write(home.join(".docker/config.json"), FIRST.docker_config().to_string())?;
        fs::write(folder.join("token.txt"), format!("{}\n", FIRST.password))?;
        fs::copy(folder.join("examples/pullcred.yaml"), folder.join("pullcred.yaml"))?;
        Ok(Self { cluster, folder })
    }

    /// Types a command, and answers what it printed and how long it took.
    async fn type_in(&self, step: &Step, command: &str) -> Result<(String, Duration)> {
        let script = format!("set -euo pipefail\n{command}\n{}", step.here_document);
        let path = env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("bash");
        shell
            .args(["-c", &script])
            .current_dir(&self.folder)
            .env("HOME", self.folder.join("home"))
            .env("KUBECONFIG", self.cluster.control_plane().kubeconfig(User::ADMIN)?)
            .env("SSL_CERT_FILE", self.cluster.folder().join("registries.crt"))
            .env("PATH", format!("{}:{path}", self.folder.join("bin").display()))
            .env_remove("PULLCRED_CONFIG");
        let begin = Instant::now();
        let printed = Process::run("documents", &mut shell, self.cluster.folder(), LIMIT).await?;
        ensure!(!printed.contains(FIRST.password), "{command} tells a password");
        Ok((printed, begin.elapsed()))
    }
}

/// From nothing, with pullcred's own image in a private registry, to nothing.
pub(crate) async fn word_for_word(cluster: Arc<NodeCluster>) -> Result<Report> {
    let all = all_steps()?;
    every_command_is_typed_or_listed(&all)?;

    remove_what_others_installed(&cluster).await?;
    cluster.push_pullcred(Tag::USUAL).await?;
    cluster.push(FIRST, "app:latest").await?;
    let desk = Desk::new(Arc::clone(&cluster))?;
    let mut report = Report::new();
    for (document, section) in TYPED {
        if (document, section) == (QUICKSTART, "The Pod that hangs") {
            // Its containers do not end by themselves.
            cluster
                .kubectl(&["delete", "pods", "--all", "--namespace=shop", "--grace-period=1"])
                .await?;
            cluster.kubectl(&["delete", "namespace", "shop", "--timeout=50s"]).await?;
        }
        for step in all.iter().filter(|step| step.document == document && step.section == section) {
            let command = step.typed();
            let attempt = || format!("{document}, {section}: {command}");
            let (printed, took) = desk.type_in(step, &command).await.with_context(attempt)?;
            for line in &step.output {
                let first = line.split_whitespace().next().unwrap_or_default();
                ensure!(printed.contains(first), "{}: no {first:?} in {printed:?}", attempt());
            }
            if command.starts_with("helm uninstall") {
                forget_pods(&cluster).await?;
            }
            let last = printed.trim().lines().last().unwrap_or_default();
            let said = format!("{:.1} s: {last}", took.as_secs_f64());
            report = report.seen(format!("{section}: `{command}`"), said);
        }
    }
    let left = what_is_left(&cluster).await?;
    ensure!(left.is_empty(), "pullcred is removed, and these are left: {left:?}");
    Ok(report.seen("objects of pullcred that are left at the end", left.len()))
}

/// Every object of the chart has its name as a label, and every copy who keeps it.
async fn what_is_left(cluster: &NodeCluster) -> Result<Vec<String>> {
    let cluster = cluster.control_plane();
    let kinds = ["api-resources", "--verbs=list", "--output=name"];
    // Events tell of the past, and have no labels.
    let kinds = cluster.kubectl(&kinds).await?;
    let kinds: Vec<_> = kinds.lines().filter(|kind| !kind.starts_with("events")).collect();
    ensure!(kinds.len() > 20, "only {kinds:?} can be listed");
    let kinds = kinds.join(",");
    let mut left = Vec::new();
    for label in ["app.kubernetes.io/name=pullcred", "app.kubernetes.io/managed-by=pullcred"] {
        let selector = format!("--selector={label}");
        let list = ["get", &kinds, "--all-namespaces", &selector, "--output=name"];
        let printed = cluster.kubectl(&list).await?;
        let names = printed.lines().filter(|line| !line.starts_with("Warning: "));
        left.extend(names.map(str::to_owned));
    }
    Ok(left)
}

fn all_steps() -> Result<Vec<Step>> {
    let mut all = Vec::new();
    for document in DOCUMENTS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
        all.extend(steps(document, &fs::read_to_string(path)?)?);
    }
    Ok(all)
}

fn every_command_is_typed_or_listed(all: &[Step]) -> Result<()> {
    let not_typed = NOT_TYPED.map(|(document, section, _)| (document, section));
    let listed: BTreeSet<_> = TYPED.into_iter().chain(not_typed).collect();
    let there: BTreeSet<_> = all.iter().map(|it| (it.document, it.section.as_str())).collect();
    let unlisted: Vec<_> = there.difference(&listed).collect();
    ensure!(unlisted.is_empty(), "commands that are neither typed nor listed: {unlisted:?}");
    let gone: Vec<_> = listed.difference(&there).collect();
    ensure!(gone.is_empty(), "sections without a command: {gone:?}");
    for (document, section, from, _) in OTHERWISE {
        let mut of_section =
            all.iter().filter(|it| (it.document, it.section.as_str()) == (document, section));
        ensure!(of_section.any(|it| it.command.contains(from)), "nothing says {from} in {section}");
    }
    Ok(())
}

/// The other scenarios share one installation. Its names are those of the documents, in another namespace.
async fn remove_what_others_installed(cluster: &NodeCluster) -> Result<()> {
    let releases = cluster.helm(&["list", "--short"]).await?;
    if releases.lines().any(|it| it == RELEASE) {
        cluster.helm_uninstall().await?;
        cluster.kubectl(&["delete", "namespace", HOME, "--wait=false"]).await?;
        // Helm keeps them for the release that they are of.
        let definitions = ["loginreports.pullcred.dev", "pullsecretreports.pullcred.dev"];
        cluster
            .kubectl(&[&["delete", "crd", "--ignore-not-found"][..], &definitions].concat())
            .await?;
    }
    // Where other scenarios have a namespace of this name, it goes on as that of the documents.
    let existing = cluster
        .control_plane()
        .kubectl(&["get", "namespace", "shop", "--ignore-not-found", "--output=name"])
        .await?;
    if existing.trim().is_empty() {
        Namespace::create(cluster.api(), "shop", &json!({})).await?;
    } else {
        cluster.existing("shop").label(INJECT, None).await?;
        let of_other_scenarios = ["delete", "pods,secrets", "--all", "--namespace=shop"];
        cluster.kubectl(&of_other_scenarios).await?;
    }
    Ok(())
}

/// Forgets the Pods that Helm has removed. A webhook Pod stays until the API server has closed its idle connections, for a minute and a
/// half, and the namespace with it; what that is good for is shown elsewhere.
async fn forget_pods(cluster: &NodeCluster) -> Result<()> {
    let all = ["delete", "replicasets,pods", "--all", "--namespace=pullcred"];
    cluster.kubectl(&[&all[..], &["--force", "--grace-period=0"]].concat()).await.map(drop)
}
