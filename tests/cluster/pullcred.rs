//! The pullcred binary under test: as a process of a role, and as a command that says something.

use std::{
    fs,
    io::Write,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use axum::http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::{
    control_plane::ControlPlane,
    pki::{Identity, User},
    process::Process,
    sandbox::next_port,
};

/// A role that is not ready by then never will be.
const READY: Duration = Duration::from_secs(20);

/// A running pullcred. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Pullcred {
    process: Process,
    address: SocketAddr,
    admin: SocketAddr,
}

/// How to run `pullcred webhook`.
pub(crate) struct Webhook<'a> {
    /// Names the log and the files.
    pub(crate) name: &'a str,
    /// The text of the mapping file.
    pub(crate) mapping: &'a str,
    /// Where it serves admission.
    pub(crate) listen: SocketAddr,
    /// What it serves with.
    pub(crate) identity: &'a Identity,
    /// Further flags.
    pub(crate) flags: &'a [&'a str],
    /// Further environment.
    pub(crate) environment: &'a [(&'a str, &'a str)],
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

// === impl Webhook ===

impl Webhook<'_> {
    /// Starts it, with its files in `folder`, and waits until it says that it is ready.
    pub(crate) async fn start(&self, folder: &Path) -> Result<Pullcred> {
        let mapping = folder.join(format!("{}.yaml", self.name));
        fs::write(&mapping, self.mapping)?;
        let (certificate, key) = self.identity.write(folder, self.name)?;
        let admin = SocketAddr::from(([127, 0, 0, 1], next_port()));
        let mut command = Pullcred::command();
        command
            .arg("webhook")
            .arg("--config")
            .arg(mapping)
            .args(["--listen", &self.listen.to_string()])
            .args(["--admin-listen", &admin.to_string()])
            .arg("--tls-cert")
            .arg(certificate)
            .arg("--tls-key")
            .arg(key)
            .args(self.flags)
            .envs(self.environment.iter().copied());
        Pullcred::start(self.name, &mut command, self.listen, admin, folder).await
    }
}

// === impl Pullcred ===

impl Pullcred {
    /// The binary that cargo built for this test.
    pub(crate) fn command() -> Command {
        Command::new(env!("CARGO_BIN_EXE_pullcred"))
    }

    /// Starts any role and waits until `/readyz` on its admin port succeeds.
    pub(crate) async fn start(
        name: &str,
        command: &mut Command,
        address: SocketAddr,
        admin: SocketAddr,
        logs: &Path,
    ) -> Result<Self> {
        let mut process = Process::start(name, command, logs)?;
        process.ready(READY, async || get(admin, "/readyz").await.map(drop)).await?;
        Ok(Self { process, address, admin })
    }

    /// Where it serves admission.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it serves `/metrics`.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The value of a metric without labels.
    pub(crate) async fn metric(&self, name: &str) -> Result<u64> {
        let text = get(self.admin, "/metrics").await?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("there is no metric {name}"))?.parse()?)
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The process, to ask it to end or to read its log.
    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Ends it at once, as a node that dies would.
    pub(crate) fn kill(self) {
        self.process.kill();
    }
}

// === impl Said ===

impl Said {
    /// Runs a command to its end. It finds `stdin` on its standard input.
    pub(crate) async fn by(mut command: Command, stdin: &str) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (mut child, stdin) = (command.spawn()?, stdin.to_owned());
        let output = tokio::task::spawn_blocking(move || {
            // Less than a pipe takes at once. Whoever does not read it closes it, which is no matter here.
            let _ = child.stdin.take().map(|mut pipe| pipe.write_all(stdin.as_bytes()));
            child.wait_with_output()
        });
        let output = output.await??;
        Ok(Self {
            code: output.status.code().context("ended by a signal")?,
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
        })
    }

    /// What `pullcred check --live` says to a user.
    pub(crate) async fn by_check(
        control_plane: &ControlPlane,
        user: User,
        args: &[&str],
    ) -> Result<Self> {
        let mut command = Pullcred::command();
        command.args(["check", "--live"]).args(args);
        command.arg("--kubeconfig").arg(control_plane.kubeconfig(user)?);
        command.env_remove("PULLCRED_CONFIG");
        Self::by(command, "").await
    }

    /// Whether it said this anywhere.
    pub(crate) fn tells(&self, text: &str) -> bool {
        self.stdout.contains(text) || self.stderr.contains(text)
    }
}

/// One plain HTTP request on a connection of its own.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<String> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let request = Request::get(path)
        .header("host", address.to_string())
        .header("connection", "close")
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    driver.await??;
    let body = String::from_utf8_lossy(&body).into_owned();
    ensure!(status.is_success(), "{path} answers {status}: {body}");
    Ok(body)
}
