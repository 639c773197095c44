//! etcd, kube-apiserver, kube-controller-manager and kube-scheduler, started together.

use std::{
    ffi::OsString,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use kube::Client;
use tokio::net::TcpStream;

use crate::{
    access::Access,
    api::Api,
    pki::{Authority, User},
    process::Process,
    sandbox::{NODE_ADDRESS, Sandbox, next_port},
};

/// For the slowest start on a busy machine; the usual one takes seconds.
const START: Duration = Duration::from_secs(120);

/// The addresses of Services, and the first of them, which is the API server's own.
const SERVICES: &str = "10.0.0.0/24";
const SERVICE: &str = "10.0.0.1";

/// The key that signs tokens of `ServiceAccount`s. It is of RSA, as most clusters' is: clouds take no other from all of them.
/// Its public half is read from the same text.
const SERVICE_ACCOUNTS: &str = include_str!("../testdata/tokens/issuer.pem");

/// For one command of kubectl.
const KUBECTL: Duration = Duration::from_secs(60);

/// What a run wants different from the usual control plane.
#[derive(Debug, Default)]
pub(crate) struct Options {
    api_server: Vec<OsString>,
}

/// A running control plane. Dropping it ends every process of it.
#[derive(Debug)]
pub(crate) struct ControlPlane {
    // Dropped in this order: the last started first, so that nobody logs the loss of a server.
    scheduler: Process,
    controller_manager: Process,
    api_server: Process,
    _etcd: Process,
    access: Access,
    folder: PathBuf,
    binaries: PathBuf,
    ready_after: Duration,
}

// === impl Options ===

impl Options {
    /// Adds a flag to kube-apiserver, such as `--audit-log-path`.
    pub(crate) fn api_server(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.api_server.push(flag(name, value));
        self
    }

    /// Starts the control plane with all its files in `folder`, and waits until it serves.
    pub(crate) async fn start(self, sandbox: &Sandbox, folder: &Path) -> Result<ControlPlane> {
        let begin = Instant::now();
        let address = SocketAddr::new(NODE_ADDRESS, next_port());
        let access = Access::new(Authority::new("cluster")?, address, folder);
        let start = Start { binaries: &sandbox.programs().kubernetes, folder, access: &access };

        let (etcd, etcd_url) = start.etcd()?;
        let mut api_server = start.api_server(&etcd_url, self.api_server)?;
        let api = Api::new(access.client(User::ADMIN).await?);
        api_server.ready(START, async || api.get("/readyz").await?.ok().map(drop)).await?;
        let manager = vec![
            flag("--service-account-private-key-file", folder.join("service-accounts.key")),
            flag("--root-ca-file", folder.join("authority.crt")),
            "--use-service-account-credentials=true".into(),
            // Many small namespaces at once: the default of 20 requests a second would be the brake.
            "--kube-api-qps=200".into(),
            "--kube-api-burst=400".into(),
        ];
        let (controller_manager, scheduler) = tokio::try_join!(
            start.component(
                "kube-controller-manager",
                User::named("system:kube-controller-manager"),
                manager,
            ),
            start.component("kube-scheduler", User::named("system:kube-scheduler"), Vec::new()),
        )?;

        Ok(ControlPlane {
            scheduler,
            controller_manager,
            api_server,
            _etcd: etcd,
            access,
            folder: folder.to_owned(),
            binaries: sandbox.programs().kubernetes.clone(),
            ready_after: begin.elapsed(),
        })
    }
}

// === impl ControlPlane ===

impl ControlPlane {
    /// From the start of etcd until everything answered.
    pub(crate) fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// Holds all files of the run: logs, keys, kubeconfigs, etcd's data.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A client that acts as `user`.
    pub(crate) async fn client(&self, user: User) -> Result<Client> {
        self.access.client(user).await
    }

    /// The path of a kubeconfig with which a program acts as `user`.
    pub(crate) fn kubeconfig(&self, user: User) -> Result<PathBuf> {
        self.access.kubeconfig(user)
    }

    /// The path of a kubeconfig with which a program acts as the one whose token it is.
    pub(crate) fn kubeconfig_of_token(&self, name: &str, token: &str) -> Result<PathBuf> {
        self.access.kubeconfig_of_token(name, token)
    }

    /// The number of the API server's process.
    pub(crate) fn api_server_id(&self) -> u32 {
        self.api_server.id()
    }

    /// A Kubernetes program to run, such as kubelet.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.binaries.join(name));
        command.current_dir(&self.folder);
        command
    }

    /// Runs kubectl as the administrator and answers what it printed.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.program("kubectl");
        command.arg("--kubeconfig").arg(self.kubeconfig(User::ADMIN)?).args(arguments);
        Process::run("kubectl", &mut command, &self.folder, KUBECTL).await
    }

    /// The last line in the API server's log that has `words` in it.
    pub(crate) fn logged(&self, words: &str) -> Result<String> {
        let log = fs::read_to_string(self.folder.join("kube-apiserver.log"))?;
        let line = log.lines().rfind(|line| line.contains(words));
        line.map(str::to_owned).with_context(|| format!("nothing about {words}"))
    }

    /// The ends of all logs, for the message of a wait that took too long.
    pub(crate) fn log_tails(&self) -> String {
        [&self.api_server, &self.controller_manager, &self.scheduler]
            .map(Process::log_tail)
            .join("\n")
    }
}

/// What every component needs to start.
struct Start<'a> {
    binaries: &'a Path,
    folder: &'a Path,
    access: &'a Access,
}

// === impl Start ===

impl Start<'_> {
    fn etcd(&self) -> Result<(Process, String)> {
        let clients = format!("http://127.0.0.1:{}", next_port());
        let peers = format!("http://127.0.0.1:{}", next_port());
        let arguments = [
            flag("--data-dir", self.folder.join("etcd")),
            flag("--listen-client-urls", &clients),
            flag("--advertise-client-urls", &clients),
            flag("--listen-peer-urls", &peers),
            flag("--initial-advertise-peer-urls", &peers),
            flag("--initial-cluster", format!("default={peers}")),
            // Nothing here outlives the run.
            "--unsafe-no-fsync".into(),
        ];
        Ok((self.process("etcd", arguments)?, clients))
    }

    fn api_server(&self, etcd_url: &str, extra: Vec<OsString>) -> Result<Process> {
        let authority = self.access.authority();
        let address = self.access.address();
        let ip = address.ip().to_string();
        let serving = authority.server(&[
            &ip,
            SERVICE,
            "127.0.0.1",
            "localhost",
            "kubernetes.default.svc",
        ])?;
        let (certificate, key) = serving.write(self.folder, "kube-apiserver")?;
        let (kubelet_certificate, kubelet_key) =
            authority.client(User::ADMIN)?.write(self.folder, "kube-apiserver-kubelet-client")?;
        let authority = self.file("authority.crt", &authority.certificate())?;
        let mut arguments = vec![
            flag("--etcd-servers", etcd_url),
            "--bind-address=0.0.0.0".into(),
            flag("--advertise-address", &ip),
            flag("--secure-port", address.port().to_string()),
            flag("--tls-cert-file", certificate),
            flag("--tls-private-key-file", key),
            flag("--client-ca-file", authority),
            flag(
                "--service-account-key-file",
                self.file("service-accounts.pub", SERVICE_ACCOUNTS)?,
            ),
            flag(
                "--service-account-signing-key-file",
                self.file("service-accounts.key", SERVICE_ACCOUNTS)?,
            ),
            "--service-account-issuer=https://kubernetes.default.svc".into(),
            flag("--service-cluster-ip-range", SERVICES),
            "--authorization-mode=Node,RBAC".into(),
            "--enable-admission-plugins=NodeRestriction".into(),
            "--allow-privileged=true".into(),
            "--kubelet-preferred-address-types=InternalIP".into(),
            flag("--kubelet-client-certificate", kubelet_certificate),
            flag("--kubelet-client-key", kubelet_key),
        ];
        arguments.extend(extra);
        self.process("kube-apiserver", arguments)
    }

    /// Starts a client of the API server that has a port of its own, and waits for that.
    async fn component(
        &self,
        name: &str,
        user: User,
        mut arguments: Vec<OsString>,
    ) -> Result<Process> {
        let port = next_port();
        arguments.extend([
            flag("--kubeconfig", self.access.kubeconfig(user)?),
            "--leader-elect=false".into(),
            "--bind-address=127.0.0.1".into(),
            flag("--secure-port", port.to_string()),
        ]);
        let mut process = self.process(name, arguments)?;
        let probe = async || Ok(TcpStream::connect(("127.0.0.1", port)).await.map(drop)?);
        process.ready(START, probe).await?;
        Ok(process)
    }

    fn process(
        &self,
        name: &str,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Process> {
        let mut command = Command::new(self.binaries.join(name));
        command.args(arguments).current_dir(self.folder);
        Process::start(name, &mut command, self.folder)
    }

    fn file(&self, name: &str, content: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        fs::write(&path, content)?;
        Ok(path)
    }
}

/// `name=value` as one argument, whatever bytes a path has.
fn flag(name: &str, value: impl Into<OsString>) -> OsString {
    let mut flag = OsString::from(name);
    flag.push("=");
    flag.push(value.into());
    flag
}
