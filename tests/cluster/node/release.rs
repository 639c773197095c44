//! pullcred as people install it: the chart, by Helm, with its image in the private registry.

use std::{
    env, fs, mem,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Result, anyhow, ensure};
use serde_json::json;

use super::{FIRST, NodeCluster, THIRD, kubelet::POD_LOGS};
use crate::{
    namespace::{Namespace, StoredPod},
    pki::User,
    process::{Process, tail_of},
    pullcred::Said,
};

/// The chart of this repository.
const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/pullcred");

/// The values that the tests install it with.
pub(crate) const VALUES: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/node/values.yaml");

/// The chart of an older revision, and the values of then: see `pack.sh` beside them.
const OLDER_CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/upgrade/chart.tgz");
const OLDER_VALUES: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/upgrade/values.yaml");

/// The name of the release, and so the prefix of everything in it.
pub(crate) const RELEASE: &str = "pullcred";

/// The namespace of the release.
pub(crate) const HOME: &str = "pullcred-system";

/// The pull Secret for pullcred's own image.
const REGISTRY_SECRET: &str = "registry";

/// The login that is copied, in the release's namespace.
pub(crate) const LOGIN: &str = "third-login";

/// How long Helm waits for what it installs.
const TIMEOUT: &str = "--timeout=150s";

/// For Helm itself.
const HELM: Duration = Duration::from_secs(180);

/// A version of pullcred's image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tag(pub(crate) &'static str);

impl Tag {
    /// The one of the tests' values.
    pub(crate) const USUAL: Self = Self("0.1.0");

    /// Another one.
    pub(crate) const NEXT: Self = Self("0.1.1");

    /// The one of an older revision.
    pub(crate) const OLDER: Self = Self("0.0.9");

    /// The full name of pullcred's image with this tag.
    pub(crate) fn image(self) -> String {
        FIRST.image(&format!("pullcred/pullcred:{}", self.0))
    }
}

impl NodeCluster {
    /// Makes the namespace of the release, in which only Pods of level `restricted` are admitted, with
    /// the Secret for pullcred's own image and the login that is copied.
    pub(crate) async fn make_home(&self) -> Result<Namespace> {
        let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let home = Namespace::create(self.api(), HOME, &labels).await?;
        self.secret_by_login(&home, REGISTRY_SECRET, FIRST, FIRST.password).await?;
        self.secret_by_login(&home, LOGIN, THIRD, THIRD.password).await?;
        Ok(home)
    }

    /// Pushes pullcred's own image as another version.
    pub(crate) async fn push_pullcred(&self, tag: Tag) -> Result<()> {
        self.push_program(&self.programs().pullcred, &tag.image(), FIRST).await
    }

    /// Makes the release what it was at an older revision, by the chart and the values of then. Its image has today's program, as a
    /// checkout may have no history to build another one from; `PULLCRED_OLDER` names one of then, from `image/binary.sh`.
    /// Answers whether it did.
    pub(crate) async fn helm_upgrade_to_older(&self) -> Result<bool> {
        let of_then = env::var_os("PULLCRED_OLDER").map(PathBuf::from);
        let program = of_then.as_deref().unwrap_or(&self.programs().pullcred);
        self.push_program(program, &Tag::OLDER.image(), FIRST).await?;
        let tag = format!("image.tag={}", Tag::OLDER.0);
        let upgrade = ["upgrade", RELEASE, OLDER_CHART, "--reset-values", "--values", OLDER_VALUES];
        self.helm(&[&upgrade[..], &["--set", &tag, "--wait", TIMEOUT]].concat()).await?;
        Ok(of_then.is_some())
    }

    /// Installs the chart with the tests' values, and waits until its Pods are ready.
    pub(crate) async fn helm_install(&self) -> Result<String> {
        self.helm(&["install", RELEASE, CHART, "--values", VALUES, "--wait", TIMEOUT]).await
    }

    /// Upgrades the release by `--set` for each setting, and waits until the new Pods are ready.
    pub(crate) async fn helm_upgrade(&self, settings: &[&str]) -> Result<String> {
        let settings = settings.iter().flat_map(|&setting| ["--set", setting]);
        self.helm_upgrade_with(&settings.collect::<Vec<_>>()).await
    }

    /// The same with any arguments.
    pub(crate) async fn helm_upgrade_with(&self, arguments: &[&str]) -> Result<String> {
        let upgrade = ["upgrade", RELEASE, CHART, "--reset-then-reuse-values", "--wait", TIMEOUT];
        self.helm(&[&upgrade, arguments].concat()).await
    }

    /// Waits until every webhook Pod decides by the mapping of the release, as people do: the one that is asked next may not be the
    /// one that answered before.
    pub(crate) async fn until_in_force(&self) -> Result<()> {
        let args = ["--wait", "--namespace", "default"];
        let said = Said::by_check(self.control_plane(), User::ADMIN, &args).await?;
        // Findings about the release's other parts are none of this, and a check that could not be made is no finding.
        ensure!(!said.stderr.lines().any(|line| line.starts_with("pullcred: ")), "{said:?}");
        Ok(())
    }

    /// Goes back to the revision before, and waits until its Pods are ready.
    pub(crate) async fn helm_rollback(&self) -> Result<String> {
        self.helm(&["rollback", RELEASE, "--wait", TIMEOUT]).await
    }

    /// Uninstalls the release, and waits until its objects are gone.
    pub(crate) async fn helm_uninstall(&self) -> Result<String> {
        self.helm(&["uninstall", RELEASE, "--wait", TIMEOUT]).await
    }

    /// Runs Helm as the administrator, in the namespace of the release, and answers what it printed.
    pub(crate) async fn helm(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.programs().helm);
        command
            .arg("--kubeconfig")
            .arg(self.control_plane().kubeconfig(User::ADMIN)?)
            .args(["--namespace", HOME])
            .args(arguments)
            .env("HOME", self.folder());
        let run = Process::run("helm", &mut command, self.folder(), HELM).await;
        run.map_err(|error| anyhow!("{error:#}\n{}", self.log_tails_of_release()))
    }

    /// The Pods of a component that are not on their way out.
    pub(crate) async fn pods_of(&self, component: &str) -> Result<Vec<StoredPod>> {
        let selector = format!("pods?labelSelector=app.kubernetes.io/component%3D{component}");
        let mut list = self.existing(HOME).object("/api/v1", &selector).await?;
        let items = list["items"].as_array_mut().map(mem::take).unwrap_or_default();
        let pods = items.into_iter().map(StoredPod::from);
        Ok(pods.filter(|pod| pod.at("/metadata/deletionTimestamp").is_none()).collect())
    }

    /// The ends of what pullcred's own Pods printed.
    pub(crate) fn log_tails_of_release(&self) -> String {
        // NAMESPACE_POD_UID/CONTAINER/RESTART.log
        let pods = entries(&self.folder().join(POD_LOGS)).into_iter();
        let ours = pods.filter(|pod| {
            pod.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(HOME.as_bytes()))
        });
        let containers = ours.flat_map(|pod| entries(&pod));
        let logs = containers.flat_map(|container| entries(&container));
        logs.map(|log| tail_of(&log)).collect::<Vec<_>>().join("\n")
    }
}

/// The lines of what Helm printed that begin so, blanks made one.
pub(crate) fn lines_of(printed: &str, beginnings: &[&str]) -> String {
    let wanted = |line: &&str| beginnings.iter().any(|beginning| line.starts_with(beginning));
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    printed.lines().filter(wanted).map(words).collect::<Vec<_>>().join(", ")
}

/// What is in a folder, if there is one.
fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
