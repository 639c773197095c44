//! containerd: its configuration, and its client `ctr` for what a test does by hand.

use std::{
    env, fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Result;

use super::registry::{Account, USER};
use crate::process::Process;

/// containerd takes a moment to start.
const START: Duration = Duration::from_secs(30);

/// An import or a push of a small image on a busy machine.
const CTR: Duration = Duration::from_secs(60);

/// Its usual place: see [`super::machine`].
pub(crate) const SOCKET: &str = "/run/containerd/containerd.sock";

/// The image of the container that holds a Pod's network namespace.
pub(crate) const PAUSE_IMAGE: &str = "localhost/pause:1";

/// The addresses of Pods.
pub(crate) const POD_CIDR: &str = "10.88.0.0/24";

/// A running containerd. Dropping it ends it, but not the containers.
#[derive(Debug)]
pub(crate) struct Containerd {
    process: Process,
    programs: PathBuf,
    folder: PathBuf,
}

impl Containerd {
    /// Starts it with its files in `folder`. It trusts the registries that `authority` signed.
    pub(crate) async fn start(programs: &Path, authority: &Path, folder: &Path) -> Result<Self> {
        let network = folder.join("cni");
        fs::create_dir(&network)?;
        fs::write(network.join("10-pods.conflist"), network_configuration())?;
        let path = folder.join("containerd.toml");
        fs::write(&path, configuration(programs, &network, folder))?;
        let mut command = Command::new(programs.join("containerd"));
        // Its shim is beside it, and runc is wherever it is.
        let search = env::var("PATH").unwrap_or_default();
        command
            .arg("--config")
            .arg(path)
            .env("PATH", format!("{}:{search}:/usr/sbin:/sbin", programs.display()))
            .env("SSL_CERT_FILE", authority);
        let mut process = Process::start("containerd", &mut command, folder)?;
        process.ready(START, async || Ok(UnixStream::connect(SOCKET).map(drop)?)).await?;
        Ok(Self { process, programs: programs.to_owned(), folder: folder.to_owned() })
    }

    /// Gives the kubelet an image without a pull.
    pub(crate) async fn preload(&self, archive: &Path) -> Result<()> {
        self.ctr("k8s.io", "import", &["import", &archive.to_string_lossy()]).await
    }

    /// Pushes the image in `archive`, which has the full name `image`, to the registry of `account`.
    /// The kubelet does not have it thereby.
    pub(crate) async fn push(&self, archive: &Path, image: &str, account: Account) -> Result<()> {
        const APART: &str = "pushed";
        let user = format!("{USER}:{}", account.password);
        self.ctr(APART, "import", &["import", &archive.to_string_lossy()]).await?;
        self.ctr(APART, "push", &["push", "--user", &user, image]).await
    }

    /// Asks it to end, and waits.
    pub(crate) async fn end(mut self, limit: Duration) -> Result<()> {
        self.process.terminate()?;
        self.process.ended(limit).await.map(drop)
    }

    /// The program that stays with each container.
    pub(crate) fn shim(&self) -> PathBuf {
        self.programs.join("containerd-shim-runc-v2")
    }

    /// The last lines of its log.
    pub(crate) fn log_tail(&self) -> String {
        self.process.log_tail()
    }

    async fn ctr(&self, namespace: &str, log: &str, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(self.programs.join("ctr"));
        command.args(["--address", SOCKET, "--namespace", namespace, "images"]).args(arguments);
        Process::run(&format!("ctr-{log}"), &mut command, &self.folder, CTR).await.map(drop)
    }
}

/// Version 3 of <https://github.com/containerd/containerd/blob/v2.4.2/docs/cri/config.md>.
fn configuration(programs: &Path, network: &Path, folder: &Path) -> String {
    let root = folder.join("containerd");
    let (programs, network, root) = (programs.display(), network.display(), root.display());
    format!(
        "\
version = 3
root = '{root}'
state = '/run/containerd'

[grpc]
address = '{SOCKET}'

# A namespace has only the content that it pulled itself.
[plugins.'io.containerd.metadata.v1.bolt']
content_sharing_policy = 'isolated'

# It copies each layer, which works on every file system.
[plugins.'io.containerd.cri.v1.images']
snapshotter = 'native'
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = '{PAUSE_IMAGE}'
[[plugins.'io.containerd.transfer.v1.local'.unpack_config]]
platform = 'linux'
snapshotter = 'native'

[plugins.'io.containerd.cri.v1.runtime']
disable_apparmor = true
restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ['{programs}']
conf_dir = '{network}'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'
"
    )
}

/// One veth pair for each Pod, and no address translation: nobody is outside.
fn network_configuration() -> String {
    let subnet = format!(r#""subnet": "{POD_CIDR}", "routes": [{{"dst": "0.0.0.0/0"}}]"#);
    let plugin = format!(r#"{{"type": "ptp", "ipam": {{"type": "host-local", {subnet}}}}}"#);
    format!(r#"{{"cniVersion": "1.0.0", "name": "pods", "plugins": [{plugin}]}}"#)
}
