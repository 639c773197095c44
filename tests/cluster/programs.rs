//! Programs that the tests run and cargo does not build for them. They are made before the sandbox
//! is entered, where there still is a network.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::prometheus::Monitoring;

/// What a control plane takes. envtest's archives hold only the first, the second and the last.
const CONTROL_PLANE: [&str; 5] =
    ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"];

/// The chart's values of a release that tries logins.
const HEALTH: &str = "charts/pullcred/ci/health-values.yaml";

/// What a node takes beside that.
const NODE: [&str; 2] = ["kubelet", "kube-proxy"];

/// Where the programs are.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Programs {
    /// The folder with etcd, kube-apiserver and the rest of Kubernetes.
    pub(crate) kubernetes: PathBuf,
    /// Prometheus, and the chart's alerts for it.
    pub(crate) monitoring: Monitoring,
    /// What else a node takes; only for a run that has one.
    pub(crate) node: Option<NodePrograms>,
}

/// What a node and its surroundings take beside Kubernetes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NodePrograms {
    /// The folder with containerd, its shim, ctr and the network plugins.
    pub(crate) containerd: PathBuf,
    /// The registry.
    pub(crate) registry: PathBuf,
    pub(crate) helm: PathBuf,
    /// pullcred as it goes into its image: the release build, static.
    pub(crate) pullcred: PathBuf,
}

impl Programs {
    /// Builds what was not built before.
    pub(crate) fn build(with_node: bool) -> Result<Self> {
        let kubernetes = script("tests/cluster/kubernetes/binaries.sh")?;
        for name in CONTROL_PLANE.iter().chain(NODE.iter().filter(|_| with_node)) {
            ensure!(
                kubernetes.join(name).exists(),
                "{} has no {name}: envtest's archives leave it out. Add it, or unset \
                 KUBEBUILDER_ASSETS and let the tests build their own",
                kubernetes.display()
            );
        }
        let node = with_node.then(NodePrograms::build).transpose()?;
        let monitoring = Monitoring {
            programs: script("tests/prometheus/binaries.sh")?,
            rules: printed("charts/rules.sh", &[])?,
            rules_with_health: printed("charts/rules.sh", &["--values", HEALTH])?,
        };
        Ok(Self { kubernetes, monitoring, node })
    }
}

impl NodePrograms {
    fn build() -> Result<Self> {
        Ok(Self {
            containerd: script("tests/cluster/containerd/binaries.sh")?,
            registry: script("tests/cluster/registry/binary.sh")?,
            helm: script("tests/cluster/helm/binary.sh")?,
            pullcred: script("image/binary.sh")?,
        })
    }
}

/// Runs a script of the repository that builds something and prints where that is.
fn script(path: &str) -> Result<PathBuf> {
    // One of them prints a path from the repository's root.
    Ok(Path::new(env!("CARGO_MANIFEST_DIR")).join(printed(path, &[])?.trim()))
}

/// What a script of the repository prints.
fn printed(path: &str, arguments: &[&str]) -> Result<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let mut command = Command::new(&script);
    command.args(arguments);
    for (name, _) in env::vars_os() {
        // What cargo says of this test's package. Build scripts of libraries look at such variables and
        // would run again each time, here and then where somebody builds the image by hand.
        if ["CARGO_PKG_", "CARGO_MANIFEST_"]
            .iter()
            .any(|prefix| name.to_string_lossy().starts_with(prefix))
        {
            command.env_remove(name);
        }
    }
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot run {path}"))?;
    ensure!(output.status.success(), "{path} could not provide its programs: {}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}
