//! A role of pullcred that has an admin port and no other: a controller.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Result;

use crate::{
    process::Process,
    pullcred::{Pullcred, get},
    sandbox::next_port,
};

/// A controller that is not ready by then never will be.
const READY: Duration = Duration::from_secs(30);

/// A running controller. Dropping it ends it.
pub(crate) struct Controller {
    process: Process,
    log: PathBuf,
    admin: SocketAddr,
}

// === impl Controller ===

impl Controller {
    /// Starts `pullcred ARGUMENTS` and does not wait. It logs as much as it can be made to: nothing secret may be part of it.
    pub(crate) fn spawn(
        name: &str,
        arguments: &[&str],
        kubeconfig: &Path,
        logs: &Path,
    ) -> Result<Self> {
        Self::spawn_with(name, arguments, kubeconfig, logs, &[])
    }

    /// The same with more environment.
    pub(crate) fn spawn_with(
        name: &str,
        arguments: &[&str],
        kubeconfig: &Path,
        logs: &Path,
        environment: &[(&str, &Path)],
    ) -> Result<Self> {
        let admin = SocketAddr::from(([127, 0, 0, 1], next_port()));
        let mut command: Command = Pullcred::command();
        command
            .args(arguments)
            .args(["--admin-listen", &admin.to_string()])
            .env("KUBECONFIG", kubeconfig)
            .env("PULLCRED_LOG", "trace")
            .envs(environment.iter().copied());
        let process = Process::start(name, &mut command, logs)?;
        Ok(Self { process, log: logs.join(format!("{name}.log")), admin })
    }

    /// Waits until it says that all is in order.
    pub(crate) async fn ready(&mut self) -> Result<()> {
        let admin = self.admin;
        self.process.ready(READY, async || get(admin, "/readyz").await.map(drop)).await
    }

    /// Where it serves `/metrics`.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// What it says about itself.
    pub(crate) async fn readyz(&self) -> Result<String> {
        get(self.admin, "/readyz?verbose").await
    }

    /// The value of a counter with these labels, 0 where it has none yet.
    pub(crate) async fn metric(&self, series: &str) -> Result<u64> {
        let metrics = get(self.admin, "/metrics").await?;
        let line = metrics.lines().find_map(|line| line.strip_prefix(series));
        Ok(line.map_or(Ok(0), |value| value.trim().parse())?)
    }

    /// Everything that it has logged.
    pub(crate) fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.log)?)
    }

    /// Ends it at once.
    pub(crate) fn kill(self) {
        self.process.kill();
    }
}
